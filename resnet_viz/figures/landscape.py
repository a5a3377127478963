"""The loss on a plane through a net's weights, as contours and as a surface, with the way of training on it.

Heights and colours are log10 of the loss: from a net that has learned to the edge of the plane lie many powers of ten.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from resnet_viz.figures.looks import finish_figure
from resnet_viz.text import _, write_number, write_scientific

NOISE = 1e-5  # relative: losses in single precision agree to about 1e-6
FLOOR, CEILING = 1e-4, 1e3  # what is lower or higher is drawn at these
SCALE = "Viridis"
FINE = 24  # steps of colour at most
WAY = "#FFFFFF"  # of the trajectory, on a dark edge
EDGE = "#1B2430"
NET_MARK, LOW_MARK, START_MARK = "star", "cross", "circle"


@dataclass(frozen=True, eq=False)
class Slice:
    """One net's losses on a plane: `loss[i, j]` at x = ticks[j], y = ticks[i]; the net stands at (0, 0).

    `way` (n, 2): where the weights were at `steps` of the training, projected on the plane; None where that is not known.
    """

    name: str
    ticks: np.ndarray
    loss: np.ndarray
    way: np.ndarray | None = None
    steps: tuple[int, ...] = ()


@dataclass(frozen=True)
class Shape:
    """A slice in numbers. `lowest` stands at `place`; `bent` is the share of inner points at which the loss curves
    downwards in some direction; `hollows` counts the inner points lower than all eight neighbours, `holes` the points
    without a finite loss, `above` and `below` those that are drawn at the ceiling or the floor.
    """

    centre: float
    lowest: float
    highest: float
    place: tuple[float, float]
    bent: float
    hollows: int
    holes: int
    above: int
    below: int


def measure_shape(part: Slice) -> Shape:
    """NaN where there is nothing to measure."""
    loss, middle = part.loss, len(part.ticks) // 2
    finite = np.where(np.isfinite(loss), loss, np.nan)
    holes = int(np.isnan(finite).sum())
    if holes == loss.size:
        return Shape(math.nan, math.nan, math.nan, (math.nan, math.nan), math.nan, 0, holes, 0, 0)
    row, column = divmod(int(np.nanargmin(finite)), len(part.ticks))
    place = float(part.ticks[column]), float(part.ticks[row])
    return Shape(float(finite[middle, middle]), float(np.nanmin(finite)), float(np.nanmax(finite)), place,
                 measure_bent(finite), count_hollows(finite), holes, int((finite > CEILING).sum()),
                 int((finite < FLOOR).sum()))


def measure_bent(loss: np.ndarray) -> float:
    """The share of inner points at which the smaller eigenvalue of the Hessian, by differences, is negative. Li et al.
    2018, section 6, look at the same eigenvalue. NaN where half of the points or more have none.
    """
    core = loss[1:-1, 1:-1]
    xx, yy = loss[1:-1, 2:] - 2 * core + loss[1:-1, :-2], loss[2:, 1:-1] - 2 * core + loss[:-2, 1:-1]
    xy = (loss[2:, 2:] - loss[2:, :-2] - loss[:-2, 2:] + loss[:-2, :-2]) / 4
    smaller = (xx + yy) / 2 - np.hypot((xx - yy) / 2, xy)
    known = np.isfinite(smaller)
    return float((smaller[known] < -NOISE * np.abs(core[known])).mean()) if known.mean() >= 0.5 else math.nan


def count_hollows(loss: np.ndarray) -> int:
    core, side = loss[1:-1, 1:-1], len(loss)
    around = [loss[i : side - 2 + i, j : side - 2 + j] for i in range(3) for j in range(3) if (i, j) != (1, 1)]
    return int(np.all([core < other - NOISE * np.abs(other) for other in around], axis=0).sum())


def find_height(parts: list[Slice]) -> tuple[float, float]:
    """From the lowest to the highest log10 of all nets, as drawn: one scale for all."""
    values = np.concatenate([take_log(part.loss).ravel() for part in parts])
    values = values[np.isfinite(values)]
    if not len(values):
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    return (low, high) if high - low > 1e-3 else (low - 0.05, high + 0.05)


def take_log(loss: np.ndarray) -> np.ndarray:
    """log10, between floor and ceiling; NaN where the loss is not finite."""
    return np.log10(np.clip(np.where(np.isfinite(loss), loss, np.nan), FLOOR, CEILING))


def read_height(part: Slice, points: np.ndarray) -> np.ndarray:
    """log10 of the slice's loss at points (n, 2) of the plane, between the grid's: (n,), NaN off the plane."""
    ticks, z = part.ticks, take_log(part.loss)
    at = (points - ticks[0]) / (ticks[1] - ticks[0])
    low = np.clip(np.floor(np.nan_to_num(at)).astype(int), 0, len(ticks) - 2)
    (j, i), (u, v) = low.T, (at - low).T
    mixed = ((1 - u) * (1 - v) * z[i, j] + u * (1 - v) * z[i, j + 1] + (1 - u) * v * z[i + 1, j] + u * v * z[i + 1, j + 1])
    inside = np.all((at >= 0) & (at <= len(ticks) - 1), axis=1)
    return np.where(inside, mixed, np.nan)


def count_off(part: Slice) -> int:
    """Stations of the way that lie beyond the slice."""
    return 0 if part.way is None else int((~np.all(np.abs(part.way) <= part.ticks[-1] * (1 + 1e-9), axis=1)).sum())


# ---------------------------------------------------------------------------------------------------- figures


def draw_contours(part: Slice, height: tuple[float, float], axes: tuple[str, str], revision: str) -> go.Figure:
    """Lines of equal loss. `axes` are the directions' names; `height` the ends of the colours' scale, powers of ten."""
    low, high = height
    size = max((high - low) / FINE, 1e-3)
    figure = go.Figure(go.Contour(
        x=part.ticks, y=part.ticks, z=take_log(part.loss), zmin=low, zmax=high, colorscale=SCALE, connectgaps=False,
        contours={"start": low, "end": high, "size": size}, line={"width": 0.5, "color": "rgba(255,255,255,0.35)"},
        colorbar=_make_bar(height, -0.18), hovertext=_write_points(part), hoverinfo="text"))
    if part.way is not None and len(part.way) > 1:
        figure.add_scatter(x=part.way[:, 0], y=part.way[:, 1], mode="lines", hoverinfo="skip",
                           line={"color": EDGE, "width": 5})
        figure.add_scatter(x=part.way[:, 0], y=part.way[:, 1], mode="lines+markers", text=_write_steps(part),
                           hoverinfo="text", line={"color": WAY, "width": 2},
                           marker={"size": 6, "color": WAY, "line": {"width": 1, "color": EDGE}})
        figure.add_scatter(x=part.way[:1, 0], y=part.way[:1, 1], mode="markers", text=_write_steps(part)[:1],
                           hoverinfo="text", marker=_mark(START_MARK, 11))
    shape = measure_shape(part)
    if shape.place != (0.0, 0.0):
        figure.add_scatter(x=[shape.place[0]], y=[shape.place[1]], mode="markers", marker=_mark(LOW_MARK, 11),
                           text=[_("The lowest point: {loss}").format(loss=write_loss(shape.lowest))], hoverinfo="text")
    figure.add_scatter(x=[0], y=[0], mode="markers", marker=_mark(NET_MARK, 15), hoverinfo="text",
                       text=[_("The net: {loss}").format(loss=write_loss(shape.centre))])
    reach = [float(part.ticks[0]), float(part.ticks[-1])]
    figure.update_xaxes(title=axes[0], range=reach, constrain="domain", zeroline=False)
    figure.update_yaxes(title=axes[1], range=reach, scaleanchor="x", constrain="domain", constraintoward="top",
                        zeroline=False)
    figure.update_layout(showlegend=False, uirevision=revision)
    return finish_figure(figure, 480).update_layout(margin={"t": 36, "b": 120})


def draw_surface(part: Slice, height: tuple[float, float], revision: str) -> go.Figure:
    """The same as a mountain range, over the directions d₁ and d₂."""
    low, high = height
    z = take_log(part.loss)
    figure = go.Figure(go.Surface(
        x=part.ticks, y=part.ticks, z=z, cmin=low, cmax=high, colorscale=SCALE, colorbar=_make_bar(height, 0),
        hovertext=_write_points(part), hoverinfo="text", connectgaps=False))
    lift = 0.01 * (high - low)
    if part.way is not None and len(part.way) > 1:
        figure.add_scatter3d(x=part.way[:, 0], y=part.way[:, 1], z=read_height(part, part.way) + lift, hoverinfo="text",
                             mode="lines+markers", line={"color": WAY, "width": 6}, text=_write_steps(part),
                             marker={"size": 3, "color": WAY, "line": {"width": 1, "color": EDGE}})
    middle = len(part.ticks) // 2
    figure.add_scatter3d(x=[0], y=[0], z=[z[middle, middle] + lift], mode="markers", hoverinfo="text",
                         text=[_("The net: {loss}").format(loss=write_loss(part.loss[middle, middle]))],
                         marker={"size": 6, "symbol": "diamond", "color": "#D55E00", "line": {"width": 1, "color": WAY}})
    reach = [float(part.ticks[0]), float(part.ticks[-1])]
    at, words = _list_ticks(height)
    figure.update_layout(showlegend=False, uirevision=revision, scene={
        "xaxis": _make_axis("d₁", range=reach, nticks=5), "yaxis": _make_axis("d₂", range=reach, nticks=5),
        "zaxis": _make_axis("", range=[low, high + 2 * lift], tickvals=at, ticktext=words),
        "aspectmode": "manual", "aspectratio": {"x": 1, "y": 1, "z": 0.8}, "uirevision": revision,
        "camera": {"eye": {"x": 1.4, "y": 1.4, "z": 1.3}, "center": {"x": 0, "y": 0, "z": -0.12}}})
    return finish_figure(figure, 420).update_layout(margin={"l": 0, "r": 0, "t": 36, "b": 60})


def _make_axis(title: str, **more) -> dict:
    return {"title": {"text": title, "font": {"size": 13}}, "tickfont": {"size": 11}, **more}


def _mark(symbol: str, size: int) -> dict:
    return {"symbol": symbol, "size": size, "color": "#D55E00" if symbol == NET_MARK else WAY,
            "line": {"width": 1.5, "color": WAY if symbol == NET_MARK else EDGE}}


def _make_bar(height: tuple[float, float], y: float) -> dict:
    """The scale of colours, below the chart, where it takes no width; `y` in heights of the plot, negative below it."""
    at, words = _list_ticks(height)
    return {"thickness": 12, "title": {"text": _("Loss"), "side": "top"}, "tickvals": at, "ticktext": words,
            "orientation": "h", "y": y, "yanchor": "top", "len": 0.9}


def _list_ticks(height: tuple[float, float]) -> tuple[list[float], list[str]]:
    """Places on a log axis and what stands there: powers of ten, and 2 and 5 between where there are few of them."""
    low, high = height
    for digits in ((1,), (1, 2, 5), tuple(range(1, 10))):
        values = [digit * 10.0**power for power in range(math.floor(low) - 1, math.ceil(high) + 1) for digit in digits]
        values = [value for value in values if low - 1e-9 <= math.log10(value) <= high + 1e-9]
        if len(values) >= 3:
            break
    signs = ["≥ " if value >= CEILING else "≤ " if value <= FLOOR * 1.0001 else "" for value in values]
    words = [sign + write_number(value) for sign, value in zip(signs, values, strict=True)]
    return [math.log10(value) for value in values], words


def _write_points(part: Slice) -> list[list[str]]:
    return [[_("Loss {loss} at ({x}, {y})").format(loss=write_loss(value), x=write_number(x), y=write_number(y))
             for x, value in zip(part.ticks, row, strict=True)] for y, row in zip(part.ticks, part.loss, strict=True)]


def _write_steps(part: Slice) -> list[str]:
    return [_("Step {step}").format(step=step) for step in part.steps]


def write_loss(value: float) -> str:
    """Four digits, and no more than a reader takes in: 0.01234, 12,340, 1.234×10⁸."""
    if not math.isfinite(value):
        return "∞" if value > 0 else "–"
    if 1000 <= value < 100_000:
        return f"{value:,.0f}"
    if 0 < value < FLOOR or value >= 100_000:
        return write_scientific(value, 3)
    return write_number(value, 4)


def list_points(parts: list[Slice]) -> list[dict[str, object]]:
    """A row per net and point of the grid, as measured; and one per station of the way, whose loss is not measured."""
    rows = [{"net": part.name, "x": float(x), "y": float(y), "loss": float(part.loss[i, j]), "step": None}
            for part in parts for i, y in enumerate(part.ticks) for j, x in enumerate(part.ticks)]
    return rows + [{"net": part.name, "x": float(x), "y": float(y), "loss": None, "step": step}
                   for part in parts if part.way is not None
                   for step, (x, y) in zip(part.steps, part.way, strict=True)]
