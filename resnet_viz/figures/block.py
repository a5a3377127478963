"""One block opened: its rows of numbers, and what comes out of it against what goes in."""

from __future__ import annotations

import math

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from resnet_viz.figures.equations import write_row
from resnet_viz.figures.examples import finish_figure
from resnet_viz.records import BlockView, Examples, NetConfig
from resnet_viz.text import _

COLOURS = {True: "#2A86C8", False: "#D55E00"}  # of a residual net, and of a plain one
SYMBOLS = {True: "circle", False: "diamond"}
CHOSEN = "#A65C98"
LINE = "#808890"


def list_rows(view: BlockView) -> dict[str, np.ndarray]:
    """The rows to draw. Where the shortcut is the identity, s is a[l] once more and left out."""
    same = np.array_equal(view.rows.get("s", np.nan), view.rows["a0"])
    return {name: row for name, row in view.rows.items() if name != "s" or not same}


def measure_reach(views: list[BlockView]) -> tuple[float, float]:
    """The lowest and the highest number of all rows of all views, and 0: one scale for all."""
    lows, highs = zip(*((row.min(), row.max()) for view in views for row in view.rows.values()), strict=True)
    return min(0.0, float(min(lows))), max(0.0, float(max(highs)), 1e-6)


def draw_rows(view: BlockView, net: NetConfig, k: int, unit: int, reach: tuple[float, float]) -> go.Figure:
    """The rows of block `k`, a line each, to one scale: bars where they are vectors, maps where they are channels."""
    rows = list_rows(view)
    titles = [write_row(name, k, view, net) for name in rows]
    figure = make_subplots(len(rows), 1, shared_xaxes=False, subplot_titles=titles, vertical_spacing=0.25 / len(rows))
    for i, row in enumerate(rows.values(), start=1):
        draw = draw_bars if row.ndim == 1 else draw_maps
        draw(figure, i, row, unit if row.shape == view.rows["a2"].shape else None, net.residual, reach)
    figure.update_annotations(x=0, xanchor="left", font_size=14)
    figure.update_layout(showlegend=False, bargap=0.15)
    return finish_figure(figure, 92 * len(rows) + 20).update_layout(margin_t=26)


def draw_bars(figure: go.Figure, i: int, row: np.ndarray, unit: int | None, residual: bool,
              reach: tuple[float, float]) -> None:
    """One row (D,): below 0 the bars are hatched; the chosen unit has a colour of its own, and an arrow."""
    colours = [CHOSEN if j == unit else COLOURS[residual] for j in range(len(row))]
    patterns = ["/" if value < 0 else "" for value in row]
    figure.add_bar(x=np.arange(len(row)) + 1, y=row, marker={"color": colours, "line_width": 0, "pattern": {
        "shape": patterns, "fillmode": "overlay", "solidity": 0.35, "size": 4}},
                   hovertemplate="%{x}: %{y:.3f}<extra></extra>", row=i, col=1)
    low, high = reach
    room = 0.06 * (high - low)
    figure.update_yaxes(range=[low - room, high + 3 * room], nticks=3, zeroline=True, zerolinecolor=LINE, row=i, col=1)
    figure.update_xaxes(showticklabels=False, range=[0, len(row) + 1], showgrid=False, row=i, col=1)
    if unit is not None:
        figure.add_scatter(x=[unit + 1], y=[max(float(row[unit]), 0) + 1.6 * room], mode="markers", hoverinfo="skip",
                           marker={"symbol": "triangle-down", "color": CHOSEN, "size": 9}, row=i, col=1)


def draw_maps(figure: go.Figure, i: int, row: np.ndarray, unit: int | None, residual: bool,
              reach: tuple[float, float]) -> None:
    """One row (C, H, W): its channels side by side; blue is above 0, orange below. A frame around the chosen unit."""
    channels, height, width = row.shape
    wall = np.full((height, channels * (width + 1) - 1), np.nan)
    for c in range(channels):
        wall[:, c * (width + 1) : c * (width + 1) + width] = row[c]
    limit = max(-reach[0], reach[1])
    figure.add_heatmap(z=wall, zmin=-limit, zmax=limit, colorscale=[[0, "#D55E00"], [0.5, "#F4F4F4"], [1, "#0072B2"]],
                       showscale=i == 1, colorbar={"thickness": 8, "nticks": 3, "len": 1}, hoverongaps=False,
                       hovertemplate="%{z:.3f}<extra></extra>", row=i, col=1)
    figure.update_xaxes(visible=False, row=i, col=1)
    figure.update_yaxes(visible=False, autorange="reversed", row=i, col=1)
    if unit is not None:
        c, y, x = np.unravel_index(unit, row.shape)
        left = float(c * (width + 1) + x)
        figure.add_shape(type="rect", x0=left - 0.5, x1=left + 0.5, y0=float(y) - 0.5, y1=float(y) + 0.5,
                         line={"color": CHOSEN, "width": 3}, row=i, col=1)


def draw_scatter(view: BlockView, k: int, residual: bool) -> go.Figure:
    """Numbers of a[l+2] (up) against those of a[l], or of the shortcut's s, with the line on which both are equal."""
    ell = 2 * k + 1
    x, y = view.scatter.T
    low, high = min(float(view.scatter.min()), 0.0), max(float(view.scatter.max()), 1e-3)
    figure = go.Figure()
    figure.add_scatter(x=[low, high], y=[low, high], mode="lines", name=_("Equal"), hoverinfo="skip",
                       line={"color": LINE, "dash": "dash", "width": 1.5})
    figure.add_scatter(x=x, y=y, mode="markers", name=_("Held-out set"), marker={
        "color": COLOURS[residual], "symbol": SYMBOLS[residual], "size": 4, "opacity": 0.6},
                       hovertemplate="%{x:.3f} → %{y:.3f}<extra></extra>")
    room = 0.04 * (high - low)
    figure.update_xaxes(title=f"a<sup>[{ell}]</sup>" if view.against == "input" else "s", range=[low - room, high + room])
    figure.update_yaxes(title=f"a<sup>[{ell + 2}]</sup>", range=[low - room, high + room])
    figure.update_layout(showlegend=False)
    return finish_figure(figure, 320)


def list_pairs(view: BlockView) -> list[dict[str, float]]:
    return [{"before": float(x), "after": float(y)} for x, y in view.scatter]


def list_numbers(view: BlockView) -> list[dict[str, object]]:
    """Every number of every row: the row's name, the unit (flat, from 0), and the value."""
    return [{"row": name, "unit": i, "value": float(value)}
            for name, row in view.rows.items() for i, value in enumerate(row.flat)]


def draw_input(view: BlockView, examples: Examples | None) -> go.Figure:
    """What the net is fed: a picture, or a point among `examples` in its plane."""
    if view.picture.ndim == 3:
        figure = go.Figure(go.Heatmap(z=view.picture[0], zmin=0, zmax=16, colorscale="Greys", showscale=False,
                                      hovertemplate="%{z:.0f}<extra></extra>"))
        figure.update_xaxes(visible=False, constrain="domain")
        figure.update_yaxes(visible=False, autorange="reversed", scaleanchor="x")
        return finish_figure(figure, 190)
    figure = go.Figure()
    if examples is not None:
        figure.add_scatter(x=examples.x[:, 0], y=examples.x[:, 1], mode="markers", hoverinfo="skip",
                           marker={"size": 3, "color": LINE})
    figure.add_scatter(x=[view.picture[0]], y=[view.picture[1]], mode="markers", hoverinfo="x+y",
                       marker={"size": 16, "color": CHOSEN, "symbol": "x"})
    figure.update_layout(showlegend=False)
    figure.update_yaxes(scaleanchor="x")
    return finish_figure(figure, 240)


def count_units(view: BlockView) -> int:
    return math.prod(view.rows["a2"].shape)
