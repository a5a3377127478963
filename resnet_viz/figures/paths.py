"""The unravelled net: its paths one by one, how long they are, how much gradient comes along those of each length."""

from __future__ import annotations

import itertools
import math

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from resnet_viz.figures.looks import COLOURS, GREY, PATTERNS, SYMBOLS, finish_figure
from resnet_viz.records import PathsResult
from resnet_viz.text import _

LEGEND = {"orientation": "h", "y": 1.02, "yanchor": "bottom"}
DASHES = ("dash", "solid", "dot", "dashdot")


def list_paths(blocks: int) -> np.ndarray:
    """Which blocks each path takes the branch of: (2^K, K) bool, short paths first."""
    takes = np.array(list(itertools.product((True, False), repeat=blocks)))
    return takes[np.argsort(takes.sum(1), kind="stable")]


def count_lengths(blocks: int, residual: bool) -> np.ndarray:
    """How many paths lead through k = 0 … K branches: (K+1,) float64."""
    counts = [math.comb(blocks, k) for k in range(blocks + 1)] if residual else [0] * blocks + [1]
    return np.array(counts, float)


def count_left(blocks: int, residual: bool) -> np.ndarray:
    """How many of them are left when one block's branch is deleted: those along its shortcut, if it has one. (K+1,)"""
    if not residual:
        return np.zeros(blocks + 1)
    return np.append(count_lengths(blocks - 1, True), 0)


def draw_path(takes: np.ndarray, at: int, lane: int) -> go.Figure:
    """Path `at` of `takes` (2^K, K) on the chain of blocks, and below it all paths, a column each, squares for branches."""
    figure = make_subplots(rows=2, cols=1, row_heights=[0.42, 0.58], vertical_spacing=0.16)
    _draw_chain(figure, takes[at], COLOURS[lane])
    paths, blocks = takes.shape
    cells = np.where(takes, 1.0, np.nan)
    cells[at] *= 2
    figure.add_heatmap(z=cells.T, x=np.arange(1, paths + 1), y=np.arange(1, blocks + 1), zmin=1, zmax=2, xgap=1, ygap=1,
                       colorscale=[[0, GREY], [1, COLOURS[lane]]], showscale=False, row=2, col=1,
                       hovertemplate=_("path {path}: branch of block {block}").format(path="%{x}", block="%{y}")
                       + "<extra></extra>")
    figure.add_shape(type="rect", x0=at + 0.5, x1=at + 1.5, y0=0.5, y1=blocks + 0.5, row=2, col=1,
                     line={"color": COLOURS[lane], "width": 2})
    figure.update_xaxes(title=_("Path, short ones first"), range=[0.4, paths + 0.6], showgrid=False, row=2, col=1)
    figure.update_yaxes(title=_("Block"), dtick=1, range=[blocks + 0.6, 0.4], showgrid=False, row=2, col=1)
    return finish_figure(figure, 300 + 22 * blocks)


def _draw_chain(figure: go.Figure, take: np.ndarray, colour: str) -> None:
    """Blocks as squares on the line, shortcuts as arcs above; the path is the thick line."""
    blocks, t = len(take), np.linspace(0, 1, 25)
    taken, left = [[-0.5, 0.0]], []
    for k, branch in enumerate(take):
        arc, line = np.stack([k + t, np.sin(np.pi * t)], 1), np.array([[k, 0], [k + 1, 0]])
        taken += [*(line if branch else arc)]
        left += [*(arc if branch else line), [np.nan, np.nan]]
    taken.append([blocks + 0.5, 0.0])
    for points, style in ((left, {"color": GREY, "width": 1, "dash": "dot"}), (taken, {"color": colour, "width": 5})):
        x, y = np.array(points).T
        figure.add_scatter(x=x, y=y, mode="lines", line=style, hoverinfo="skip", showlegend=False, row=1, col=1)
    for branch, symbol in ((True, "square"), (False, "square-open")):
        on = np.flatnonzero(take == branch)
        figure.add_scatter(x=on + 0.5, y=np.zeros(len(on)), mode="markers", showlegend=False, hoverinfo="skip",
                           marker={"symbol": symbol, "size": 24, "color": colour if branch else GREY,
                                   "line": {"width": 1.5, "color": colour if branch else GREY}}, row=1, col=1)
    figure.update_xaxes(title=_("Block: a square is its branch, an arc its shortcut"), tickvals=np.arange(blocks) + 0.5,
                        ticktext=[str(k + 1) for k in range(blocks)], range=[-0.6, blocks + 0.6], showgrid=False,
                        zeroline=False, row=1, col=1)
    figure.update_yaxes(visible=False, range=[-0.5, 1.2], row=1, col=1)


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
                           hovertemplate="%{y:,.6g}")
    _name_lengths(figure, max(map(len, lengths)))
    figure.update_yaxes(title=_("Number of paths"), rangemode="tozero")
    figure.update_layout(barmode="group" if left is None else "overlay", hovermode="x unified", legend=LEGEND)
    return finish_figure(figure, 330)


def draw_norms(names: list[str], results: list[PathsResult | None], together: bool) -> go.Figure:
    """The gradient's norm along paths of each length, on a log axis: of one path, or times the number of such paths."""
    figure = go.Figure()
    for i, (name, result) in enumerate(zip(names, results, strict=True)):
        if result is None:
            continue
        norms = result.gradient_norm_by_length if together else result.path_norm
        figure.add_scatter(x=np.arange(len(norms)), y=np.where(norms > 0, norms, np.nan), name=name, mode="lines+markers",
                           line={"color": COLOURS[i], "dash": DASHES[i]}, hovertemplate="%{y:.3g}",
                           marker={"symbol": SYMBOLS[i], "size": 8})
        if together and math.isfinite(result.effective_length) and np.count_nonzero(result.lengths) > 1:
            figure.add_vline(x=result.effective_length, line={"color": COLOURS[i], "dash": "dashdot", "width": 2},
                             annotation={"text": _("effective length {length}").format(
                                 length=f"{result.effective_length:.2f}"), "textangle": -90,
                                 "yanchor": "bottom", "yref": "paper", "y": 0.02, "xanchor": "left"})
    _name_lengths(figure, max(len(result.lengths) for result in results if result is not None))
    figure.update_yaxes(title=_("‖∂L/∂a[1]‖, times the number of paths") if together else _("‖∂L/∂a[1]‖ of one path"),
                        type="log", exponentformat="power")
    figure.update_layout(hovermode="x unified", legend=LEGEND)
    return finish_figure(figure, 330)


def _name_lengths(figure: go.Figure, count: int) -> None:
    figure.update_xaxes(title=_("Length of the path: branches on its way"), dtick=1 if count <= 31 else None)
