"""The unravelled net: its paths, how long they are, how much gradient comes along those of each length."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from resnet_viz.figures.looks import COLOURS, PATTERNS, SYMBOLS, finish_with_legend, set_log_axis
from resnet_viz.records import PathsResult
from resnet_viz.text import _, write_numbers

DASHES = ("dash", "solid", "dot", "dashdot")


def list_paths(skips: Sequence[bool]) -> np.ndarray:
    """Which blocks each path takes the branch of, of those without a shortcut always: (2^S, K) bool, short paths first."""
    takes = np.array(list(itertools.product(*((True, False) if skip else (True,) for skip in skips))))
    return takes[np.argsort(takes.sum(1), kind="stable")]


def count_lengths(blocks: int, shortcuts: int) -> np.ndarray:
    """How many paths lead through k = 0 … K branches, where so many of K blocks have shortcuts: (K+1,) float64."""
    return np.array([0] * (blocks - shortcuts) + [math.comb(shortcuts, k) for k in range(shortcuts + 1)], float)


def count_left(skips: Sequence[bool], block: int) -> np.ndarray:
    """How many of them are left when one block's branch is deleted: those along its shortcut, if it has one. (K+1,)"""
    blocks, shortcuts = len(skips), sum(skips)
    return np.append(count_lengths(blocks - 1, shortcuts - 1), 0) if skips[block] else np.zeros(blocks + 1)


def draw_lengths(names: list[str], lengths: list[np.ndarray], left: list[np.ndarray] | None = None) -> go.Figure:
    """How many paths there are of each length, bars (K+1,) of each net; with `left`, hollow bars, and full ones in them."""
    figure = go.Figure()
    for i, (name, counts) in enumerate(zip(names, lengths, strict=True)):
        x, full = np.arange(len(counts)), {"color": COLOURS[i], "pattern": {
            "shape": PATTERNS[i], "fgcolor": "#FFFFFF", "bgcolor": COLOURS[i], "solidity": 0.15}}
        hollow = {"color": "rgba(0,0,0,0)", "line": {"color": COLOURS[i], "width": 2}}
        bars = [(name, counts, full)] if left is None else [(_("{net}, before").format(net=name), counts, hollow),
                                                            (_("{net}, left").format(net=name), left[i], full)]
        for label, heights, style in bars:
            figure.add_bar(x=x, y=np.where(heights > 0, heights, np.nan), name=label, offsetgroup=i, marker=style,
                           hovertemplate="%{hovertext}", hovertext=write_numbers(heights, 6))
    _name_lengths(figure, max(map(len, lengths)))
    few = max(counts.max() for counts in lengths) <= 10
    figure.update_yaxes(title=_("Number of paths"), rangemode="tozero", dtick=1 if few else None)
    figure.update_layout(barmode="group" if left is None else "overlay", hovermode="x unified")
    return finish_with_legend(figure, 330)


def draw_norms(names: list[str], results: list[PathsResult | None], together: bool) -> go.Figure:
    """The gradient's norm along paths of each length, on a log axis: of one path, or times the number of such paths."""
    figure = go.Figure()
    for i, (name, result) in enumerate(zip(names, results, strict=True)):
        if result is None:
            continue
        norms = result.gradient_norm_by_length if together else result.path_norm
        figure.add_scatter(x=np.arange(len(norms)), y=np.where(norms > 0, norms, np.nan), name=name, mode="lines+markers",
                           line={"color": COLOURS[i], "dash": DASHES[i]}, text=write_numbers(norms),
                           hovertemplate="%{text}",
                           marker={"symbol": SYMBOLS[i], "size": 8})
        if together and math.isfinite(result.effective_length) and np.count_nonzero(result.lengths) > 1:
            figure.add_vline(x=result.effective_length, line={"color": COLOURS[i], "dash": "dashdot", "width": 2},
                             annotation={"text": _("effective length {length}").format(
                                 length=f"{result.effective_length:.2f}"), "textangle": -90, "xshift": 6,
                                 "yanchor": "bottom", "yref": "paper", "y": 0.02, "xanchor": "left"})
    _name_lengths(figure, max(len(result.lengths) for result in results if result is not None))
    title = _("‖∂L/∂a[1]‖, times the number of paths") if together else _("‖∂L/∂a[1]‖ of one path")
    set_log_axis(figure, title, np.concatenate([np.array(trace.y, float) for trace in figure.data]))
    figure.update_layout(hovermode="x unified")
    return finish_with_legend(figure, 330)


def _name_lengths(figure: go.Figure, count: int) -> None:
    figure.update_xaxes(title=_("Length: branches on the way"), dtick=1 if count <= 13 else 5, range=(-0.6, count - 0.4))
