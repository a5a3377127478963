"""Gradients at the initial weights against depth, dy/dx along a line and its autocorrelation, and layer responses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from resnet_viz.figures.looks import COLOURS, GREY, SYMBOLS, finish_figure, finish_with_legend, set_log_axis
from resnet_viz.records import Autocorrelation, SlopeResult
from resnet_viz.text import _, write_numbers

DASHES = ("solid", "dash", "dot", "dashdot")
BAND = 0.18  # how opaque the band of all seeds is
REACH = 2.0  # dy/dx is measured at x from -REACH to REACH


@dataclass(frozen=True, eq=False)
class Curve:
    """One net's gradients: its `name`, the number of its `colour` (the shortcut) and of its `mark` (the init)."""

    name: str
    colour: int
    mark: int
    result: SlopeResult


def draw_slopes(curves: list[Curve], bounds: tuple[float, float] | None) -> go.Figure:
    """‖∂L/∂a[l]‖ against l, input to output, on a log axis; thin dotted lines: the theory, from the output's end back.

    `bounds` are the axis' ends in powers of ten, the same for figures that stand side by side.
    """
    figure = go.Figure()
    for curve in curves:
        norms, colour = curve.result.gradient, COLOURS[curve.colour]
        layers = np.arange(1, len(norms) + 1)
        if curve.result.theory is not None and norms[-1] > 0:
            line = norms[-1] * 10 ** (curve.result.theory * (len(norms) - layers) / 2)  # a block is two layers
            figure.add_scatter(x=layers, y=line, mode="lines", line={"color": colour, "width": 1, "dash": "dot"},
                               hoverinfo="skip", showlegend=False)
        step = max(1, len(norms) // 12)
        shown = np.where(np.arange(len(norms)) % step == 0, 7, 0)
        figure.add_scatter(x=layers, y=np.where(norms > 0, norms, np.nan), name=curve.name, mode="lines+markers",
                           line={"color": colour, "width": 2, "dash": DASHES[curve.mark]}, text=write_numbers(norms, 2),
                           hovertemplate="%{text}",
                           marker={"symbol": SYMBOLS[curve.mark], "size": shown, "line": {"width": 0}})
    figure.update_xaxes(title=_("Layer l, from input to output"))
    figure.update_yaxes(title=_("‖∂L/∂a[l]‖, per example"), type="log", exponentformat="power", range=bounds)
    figure.update_layout(hovermode="x unified", legend={"orientation": "h", "y": -0.25, "yanchor": "top"})
    return finish_figure(figure, 480)


def find_bounds(results: list[SlopeResult]) -> tuple[float, float] | None:
    """Ends of a log axis that holds all the gradients, in powers of ten; None where there are none."""
    found = [result.gradient[(result.gradient > 0) & np.isfinite(result.gradient)] for result in results]
    values = np.log10(np.concatenate(found)) if found else np.array([])
    return (float(values.min()) - 0.3, float(values.max()) + 0.3) if len(values) else None


def draw_lines(names: list[str], results: list[Autocorrelation | None], seed: int) -> go.Figure:
    """dy/dx at the points of the line, of one seed's net of either kind, one above the other."""
    figure = make_subplots(rows=len(names), cols=1, shared_xaxes=True, vertical_spacing=0.08, subplot_titles=names)
    for i, result in enumerate(results):
        if result is not None:
            x = np.linspace(-REACH, REACH, result.gradient.shape[1])
            figure.add_scatter(x=x, y=result.gradient[seed], mode="lines", line={"color": COLOURS[i], "width": 1.5},
                               name=names[i], showlegend=False, hovertemplate="%{text}", row=i + 1, col=1,
                               text=write_numbers(result.gradient[seed]))
    figure.update_xaxes(title="x", row=len(names), col=1)
    figure.update_yaxes(title="dy/dx")
    figure.update_layout(hovermode="x")
    return finish_figure(figure, 400).update_layout(margin_t=30)


def draw_autocorrelation(names: list[str], results: list[Autocorrelation | None]) -> go.Figure:
    """The autocorrelation of dy/dx against the lag: the mean of the seeds, and a band of one standard deviation."""
    figure = go.Figure()
    figure.add_hline(y=0, line={"color": GREY, "width": 1, "dash": "dot"})
    for i, (name, result) in enumerate(zip(names, results, strict=True)):
        if result is None:
            continue
        lags, spread = np.arange(len(result.mean)), result.by_seed.std(0)
        red, green, blue = (int(COLOURS[i][at : at + 2], 16) for at in (1, 3, 5))
        figure.add_scatter(x=[*lags, *lags[::-1]], y=[*(result.mean + spread), *(result.mean - spread)[::-1]], mode="none",
                           fill="toself", fillcolor=f"rgba({red},{green},{blue},{BAND})", hoverinfo="skip",
                           showlegend=False)
        figure.add_scatter(x=lags, y=result.mean, name=name, mode="lines+markers", customdata=spread,
                           line={"color": COLOURS[i], "dash": DASHES[i]}, marker={"symbol": SYMBOLS[i], "size": 7},
                           hovertemplate="%{y:.2f} ± %{customdata:.2f}")
    figure.update_xaxes(title=_("Lag: how many points apart"))
    figure.update_yaxes(title=_("Autocorrelation of dy/dx"), range=[-0.4, 1.05])
    figure.update_layout(hovermode="x unified")
    return finish_with_legend(figure, 366)


def draw_now(names: list[str], gradients: list[np.ndarray]) -> go.Figure:
    """‖∂L/∂a[l]‖ of each net against l, input to output, on a log axis."""
    figure = _draw_layers(names, [np.where(values > 0, values, np.nan) for values in gradients], 2)
    figure.update_xaxes(title=_("Layer l, from input to output"))
    set_log_axis(figure, _("‖∂L/∂a[l]‖, per example"), np.concatenate(gradients))
    return finish_with_legend(figure, 340)


def draw_responses(names: list[str], responses: list[np.ndarray], ranked: bool) -> go.Figure:
    """The standard deviation of each layer's response, input to output, or the largest first."""
    figure = _draw_layers(names, [np.sort(values)[::-1] if ranked else values for values in responses], 3)
    figure.update_xaxes(title=_("Layers, the largest first") if ranked else _("Layer, from input to output"))
    figure.update_yaxes(title=_("Standard deviation"), rangemode="tozero")
    return finish_with_legend(figure, 340)


def _draw_layers(names: list[str], rows: list[np.ndarray], digits: int) -> go.Figure:
    """A number of each layer, a line for each net."""
    figure = go.Figure()
    for i, (name, values) in enumerate(zip(names, rows, strict=True)):
        figure.add_scatter(x=np.arange(1, len(values) + 1), y=values, name=name, mode="lines+markers",
                           line={"color": COLOURS[i], "dash": DASHES[i]}, marker={"symbol": SYMBOLS[i], "size": 8},
                           hovertemplate="%{text}", text=write_numbers(values, digits))
    return figure.update_layout(hovermode="x unified")
