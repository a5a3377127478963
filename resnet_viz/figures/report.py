"""The figures of a report on one race: its curves, and its layers and blocks at the beginning and at the end."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from resnet_viz.figures.looks import COLOURS, SYMBOLS, draw_chance, finish_figure
from resnet_viz.records import Frame
from resnet_viz.text import _, percent_sign, write_numbers

MOST = 500  # points of a curve; of more the means of neighbours
COLUMNS = 120  # steps that a heat map shows
DASHES = ("solid", "dash")  # of the lanes that share a colour


def draw_learning(runs: Sequence[Frame], names: Sequence[str], measure: str, chance: float | None = None) -> go.Figure:
    """`measure`, "loss" or "accuracy", against steps: of each lane the training batches, and as marks what is held out."""
    figure, percent = go.Figure(), measure == "accuracy"
    factor, suffix = (100, percent_sign()) if percent else (1, "")
    for i, (run, name) in enumerate(zip(runs, names, strict=True)):
        steps, values = thin(np.arange(run.first, run.first + len(run)), getattr(run, measure))
        figure.add_scatter(x=steps, y=factor * values, name=_("{net}: training batch").format(net=name), mode="lines",
                           line=take_line(i), opacity=0.6, hovertemplate="%{text}",
                           text=write_numbers(factor * values, 3, suffix))
        held = factor * getattr(run, f"test_{measure}")
        figure.add_scatter(x=run.probe_step, y=held, mode="lines+markers", text=write_numbers(held, 3, suffix),
                           name=_("{net}: held out").format(net=name), line=take_line(i) | {"width": 2.5},
                           marker={"symbol": SYMBOLS[i % 4], "size": 5}, hovertemplate="%{text}")
    if chance is not None:
        draw_chance(figure, chance)
    figure.update_xaxes(title=_("Step"))
    figure.update_yaxes(title=_("Accuracy") if percent else _("Loss"), rangemode="tozero", ticksuffix=suffix)
    return finish(figure, 380)


def draw_gradients(runs: Sequence[Frame], names: Sequence[str]) -> go.Figure:
    """‖∂L/∂a[l]‖ of each layer, input to output, at the first step and at the last."""
    figure = go.Figure()
    for i, (run, name) in enumerate(zip(runs, names, strict=True)):
        for row, dash in ((0, "dot"), (len(run) - 1, "solid")):
            values = run.gradient[row]
            figure.add_scatter(x=np.arange(1, len(values) + 1), y=np.where(values > 0, values, np.nan),
                               name=_("{net}, step {step}").format(net=name, step=run.first + row),
                               mode="lines+markers", line=take_line(i) | {"dash": dash},
                               marker={"symbol": SYMBOLS[i % 4], "size": 5}, hovertemplate="%{text}",
                               text=write_numbers(values))
    figure.update_xaxes(title=_("Layer, from input to output"))
    figure.update_yaxes(title=_("Gradient norm ‖∂L/∂a[l]‖"), type="log", exponentformat="power")
    return finish(figure, 380)


def draw_heat(run: Frame) -> go.Figure:
    """log10 ‖∂L/∂a[l]‖ of every layer and step."""
    norms = np.where(run.gradient > 0, run.gradient, np.nan)
    group = -(-len(run) // COLUMNS)
    steps = np.arange(run.first, run.first + len(run))[::group]
    figure = go.Figure(go.Heatmap(
        x=steps, y=np.arange(1, norms.shape[1] + 1), z=np.log10(norms[::group]).T, colorscale="Viridis", zmin=-8, zmax=2,
        colorbar={"title": {"text": "log₁₀"}},
        hovertemplate=_("Step") + " %{x}, a[%{y}]: 10<sup>%{z:.1f}</sup><extra></extra>"))
    figure.update_xaxes(title=_("Step"))
    figure.update_yaxes(title=_("Layer, from input to output"))
    return finish(figure, 320)


def draw_blocks(runs: Sequence[Frame], names: Sequence[str], measure: str) -> go.Figure:
    """`measure`, "share" or "weight_norm", of each block, input to output, where it was first measured and last."""
    figure, percent = go.Figure(), measure == "share"
    factor, suffix = (100, percent_sign()) if percent else (1, "")
    for i, (run, name) in enumerate(zip(runs, names, strict=True)):
        values = getattr(run, measure)
        if not np.isfinite(values).any():
            continue
        for row, dash in ((0, "dot"), (len(values) - 1, "solid")):
            figure.add_scatter(x=np.arange(1, values.shape[1] + 1), y=factor * values[row],
                               name=_("{net}, step {step}").format(net=name, step=run.probe_step[row]),
                               mode="lines+markers", line=take_line(i) | {"dash": dash},
                               marker={"symbol": SYMBOLS[i % 4], "size": 5}, hovertemplate="%{text}",
                               text=write_numbers(factor * values[row], 3, suffix))
    figure.update_xaxes(title=_("Block, from input to output"))
    figure.update_yaxes(title=_("Shortcut share") if percent else _("‖W[l+2]‖"), ticksuffix=suffix, rangemode="tozero")
    return finish(figure, 360)


def thin(steps: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At most `MOST` points: the means of neighbours where there are more."""
    group = -(-len(steps) // MOST) or 1
    starts = np.arange(0, len(steps), group)
    counts = np.diff([*starts, len(steps)])
    if not len(steps):
        return steps, values
    return tuple(np.add.reduceat(array.astype(float), starts) / counts for array in (steps, values))


def take_line(lane: int) -> dict:
    return {"color": COLOURS[lane % len(COLOURS)], "dash": DASHES[lane // len(COLOURS)], "width": 1.5}


def finish(figure: go.Figure, height: int, hover: str = "x unified") -> go.Figure:
    """On any ground, light or dark: nothing behind it, and grey lines."""
    grid = {"gridcolor": "rgba(128,128,128,0.25)", "zerolinecolor": "rgba(128,128,128,0.4)", "automargin": True}
    figure.update_xaxes(**grid)
    figure.update_yaxes(**grid)
    figure.update_layout(paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)", showlegend=len(figure.data) > 1,
                         legend={"orientation": "h", "y": -0.25, "yanchor": "top"}, hovermode=hover, template="none")
    return finish_figure(figure, height)
