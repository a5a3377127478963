"""What operations do to whole nets: the nets as chains, before and after, block by block, several blocks at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import plotly.graph_objects as go

from resnet_viz.figures.looks import (
    COLOURS,
    GREY,
    PATTERNS,
    SYMBOLS,
    draw_chance,
    finish_figure,
    finish_with_legend,
    name_chance,
)
from resnet_viz.records import NetConfig, Operation, OperationResult, plan_blocks
from resnet_viz.text import _, percent_sign

BAND = 0.18  # how opaque the band of all draws is
MAX_ARCS = 60  # blocks; more are drawn without their shortcuts


def draw_chain(net: NetConfig, operations: Iterable[Operation], colour: str) -> str:
    """A net as an SVG: blocks, input to output, and their shortcuts; what was operated on is filled, dropped or cut.

    Its grey is seen on either theme. In words it is in the list of operations beside it.
    """
    done: dict[int, set[str]] = {}
    for operation in operations:
        for k in operation.blocks:
            done.setdefault(k, set()).add(operation.kind)
    plans, pitch = plan_blocks(net), 1000 / (net.blocks + 1)
    size, parts = min(40.0, 0.6 * pitch), []
    for k, plan in enumerate(plans):
        x, kinds = (k + 1) * pitch, done.get(k, set())
        trained = net.has_shortcut(k)
        skip = trained and "cut-shortcut" not in kinds
        if (skip or ("lesion" in kinds and not trained)) and net.blocks <= MAX_ARCS:
            reach = 0.5 * pitch - 2
            dash = "" if plan.shortcut == "identity" else ' stroke-dasharray="5 4"'
            left, right = f"{x - reach:.1f}", f"{x + reach:.1f}"
            parts.append(f'<path d="M{left} 60C{left} 8 {right} 8 {right} 60" fill="none" stroke="{GREY}" '
                         f'stroke-width="3"{dash}/>')
        if "lesion" in kinds:
            look = f'fill="none" stroke="{GREY}" stroke-dasharray="4 4"'
        elif kinds - {"cut-shortcut"}:
            look = f'fill="{colour}" stroke="{colour}"'
        else:
            look = f'fill="{GREY}" fill-opacity="0.15" stroke="{GREY}"'
        parts.append(f'<rect x="{x - size / 2:.1f}" y="{60 - size / 2:.1f}" width="{size:.1f}" height="{size:.1f}" '
                     f'rx="3" stroke-width="1.5" {look}/>')
        if net.residual and not trained and "lesion" not in kinds and net.blocks <= MAX_ARCS:
            parts.append(f'<text x="{x:.1f}" y="32" text-anchor="middle" font-size="20" fill="{GREY}">✂</text>')
        if net.blocks <= 30:
            parts.append(f'<text x="{x:.1f}" y="104" text-anchor="middle" font-size="20" fill="{GREY}">{k + 1}'
                         "</text>")
    return ('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1000 108" width="1000" height="108" '
            'font-family="sans-serif">'
            f'<path d="M0 60H1000" stroke="{GREY}"/>{"".join(parts)}</svg>')


def draw_before_after(names: list[str], results: list[OperationResult], chance: float) -> go.Figure:
    """Accuracy of each net, training and held-out: a hollow mark before, a full one after, an arrow between. Percent."""
    figure = go.Figure()
    draw_chance(figure, chance, vertical=True)
    rows = [(i, part) for i in range(len(names)) for part in ("train_accuracy", "test_accuracy")]
    parts = {"train_accuracy": _("training"), "test_accuracy": _("held-out")}
    for i, part in rows:
        row = f"{names[i]} · {parts[part]}"
        before, after = (100 * getattr(results[i], when)[part] for when in ("before", "after"))
        style = {"color": COLOURS[i], "size": 13, "line": {"width": 2, "color": COLOURS[i]}}
        figure.add_scatter(x=[before, after], y=[row, row], mode="lines", line={"color": COLOURS[i], "width": 3},
                           hoverinfo="skip", showlegend=False)
        for x, symbol, label in ((before, SYMBOLS[i] + "-open", _("before")), (after, SYMBOLS[i], _("after"))):
            figure.add_scatter(x=[x], y=[row], mode="markers", marker=style | {"symbol": symbol}, showlegend=False,
                               name=label, hovertemplate=f"{label}: %{{x:.1f}}{percent_sign()}<extra></extra>")
    figure.update_xaxes(title=_("Accuracy; hollow: before, full: after"), range=[-3, 105], ticksuffix=percent_sign())
    figure.update_yaxes(autorange="reversed", automargin=True)
    return finish_figure(figure, 90 + 44 * len(rows))


def draw_each_block(names: list[str], accuracies: list[np.ndarray], whole: list[float], chance: float) -> go.Figure:
    """Accuracy after operating on each block alone, a bar per block (K,) and net; a line: the net as it was. Percent."""
    figure = go.Figure()
    for i, (name, values) in enumerate(zip(names, accuracies, strict=True)):
        blocks = np.arange(1, len(values) + 1)
        pattern = {"shape": PATTERNS[i], "fgcolor": "#FFFFFF", "bgcolor": COLOURS[i], "solidity": 0.15}
        figure.add_bar(x=blocks, y=100 * values, name=name, hovertemplate="%{y:.1f}" + percent_sign(),
                       marker={"color": COLOURS[i], "pattern": pattern})
        figure.add_scatter(x=[0.4, len(values) + 0.6], y=[100 * whole[i]] * 2, mode="lines", hoverinfo="skip",
                           name=_("{net}, as it was").format(net=name),
                           line={"color": COLOURS[i], "width": 2, "dash": ("dash", "dashdot", "longdash", "dot")[i]})
    figure.add_scatter(x=[0.4, max(map(len, accuracies)) + 0.6], y=[100 * chance] * 2, mode="lines", hoverinfo="skip",
                       name=name_chance(chance), line={"color": GREY, "width": 1, "dash": "dot"})
    figure.update_xaxes(title=_("Block, from input to output"), dtick=1 if max(map(len, accuracies)) <= 30 else 5)
    figure.update_yaxes(title=_("Accuracy"), range=[0, 103], ticksuffix=percent_sign())
    figure.update_layout(barmode="group", hovermode="x unified")
    return finish_with_legend(figure, 340)


def draw_cumulative(names: list[str], curves: list[np.ndarray], chance: float) -> go.Figure:
    """Held-out accuracy against the number of blocks operated on: the mean of draws (K+1, draws), and all within a band."""
    figure = go.Figure()
    for i, (name, values) in enumerate(zip(names, curves, strict=True)):
        x = np.arange(len(values))
        low, high, mean = (100 * reduce(values, axis=1) for reduce in (np.min, np.max, np.mean))
        red, green, blue = (int(COLOURS[i][at : at + 2], 16) for at in (1, 3, 5))
        figure.add_scatter(x=[*x, *x[::-1]], y=[*high, *low[::-1]], fill="toself", hoverinfo="skip", showlegend=False,
                           mode="none", fillcolor=f"rgba({red},{green},{blue},{BAND})")
        figure.add_scatter(x=x, y=mean, name=name, mode="lines+markers", customdata=np.stack([low, high], 1),
                           line={"color": COLOURS[i], "dash": ("dash", "solid", "dot", "dashdot")[i]},
                           marker={"symbol": SYMBOLS[i], "size": 8},
                           hovertemplate="%{y:.1f}" + percent_sign() + " (%{customdata[0]:.1f}–%{customdata[1]:.1f})")
    draw_chance(figure, chance)
    figure.update_xaxes(title=_("Number of blocks operated on"), dtick=1 if max(map(len, curves)) <= 30 else 5)
    figure.update_yaxes(title=_("Held-out accuracy"), range=[0, 103], ticksuffix=percent_sign())
    figure.update_layout(hovermode="x unified")
    return finish_with_legend(figure, 340)


def draw_scores(scores: Mapping[str, tuple[int, float]], chance: float) -> go.Figure:
    """Bars of held-out accuracy: `scores` give each bar's name, the lane whose colour it has, and the accuracy."""
    figure = go.Figure()
    for name, (lane, accuracy) in scores.items():
        figure.add_bar(x=[100 * accuracy], y=[name], orientation="h", marker={"color": COLOURS[lane]}, showlegend=False,
                       text=f"{100 * accuracy:.1f}{percent_sign()}", textposition="auto", hoverinfo="skip")
    draw_chance(figure, chance, vertical=True)
    figure.update_xaxes(title=_("Held-out accuracy"), range=[0, 103], ticksuffix=percent_sign())
    figure.update_yaxes(autorange="reversed", automargin=True)
    return finish_figure(figure, 80 + 46 * len(scores))
