"""Slices of a loss landscape: their numbers, and what is drawn of them."""

from __future__ import annotations

import math

import numpy as np
import plotly.graph_objects as go
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resnet_viz.figures.landscape import (
    CEILING,
    FLOOR,
    Slice,
    count_off,
    draw_contours,
    draw_surface,
    find_height,
    list_points,
    measure_shape,
    read_height,
    write_loss,
)

TICKS = np.linspace(-1, 1, 9)
X, Y = np.meshgrid(TICKS, TICKS)
AXES = ("first", "second")


def make_slice(loss: np.ndarray, **more) -> Slice:
    return Slice("net", TICKS, loss, **more)


def draw_both(part: Slice, height: tuple[float, float], revision: str = "same") -> list[go.Figure]:
    return [draw_contours(part, height, AXES, revision), draw_surface(part, height, revision)]


def test_a_bowl_is_convex_and_has_one_hollow() -> None:
    shape = measure_shape(make_slice(0.5 + X**2 + 2 * Y**2))
    assert (shape.centre, shape.lowest, shape.highest, shape.place) == (0.5, 0.5, 3.5, (0.0, 0.0))
    assert (shape.bent, shape.hollows, shape.holes, shape.above, shape.below) == (0, 1, 0, 0, 0)


def test_a_saddle_curves_downwards_everywhere() -> None:
    """Along a diagonal too, where neither axis shows it."""
    for loss in (3 + X**2 - Y**2, 3 + X * Y):
        shape = measure_shape(make_slice(loss))
        assert shape.bent == 1 and shape.hollows == 0


def test_hollows_are_counted_and_the_lowest_is_found() -> None:
    """Rows are y, columns x."""
    loss = np.ones((9, 9))
    loss[2, 6], loss[6, 2], loss[0, 0] = 0.1, 0.2, 0.5  # the last at the edge is no inner point
    shape = measure_shape(make_slice(loss))
    assert shape.hollows == 2 and shape.place == (TICKS[6], TICKS[2]) and shape.lowest == 0.1


def test_rounding_is_no_roughness() -> None:
    """A net at chance: the same loss everywhere, but for the last digits."""
    shape = measure_shape(make_slice(math.log(10) * (1 + 1e-6 * np.random.default_rng(0).normal(size=(9, 9)))))
    assert shape.bent == 0 and shape.hollows == 0


def test_what_is_not_finite_is_a_hole() -> None:
    loss = 1 + X**2 + Y**2
    loss[0, 0], loss[4, 5], loss[8, 8] = np.nan, np.inf, -np.inf
    part = make_slice(loss)
    shape = measure_shape(part)
    assert shape.holes == 3 and shape.highest == 3 and math.isfinite(shape.bent)
    for figure in draw_both(part, find_height([part])):
        z = np.asarray(figure.data[0].z, float)
        assert np.isnan(z).sum() == 3 and np.isnan(z[4, 5])
    nothing = make_slice(np.full((9, 9), np.nan))
    assert measure_shape(nothing).holes == 81 and math.isnan(measure_shape(nothing).lowest)
    assert draw_contours(nothing, find_height([nothing]), AXES, "same").data


def test_heights_are_logarithms_between_floor_and_ceiling_on_one_scale() -> None:
    low, high = make_slice(0.01 + 0 * X), make_slice(10.0 ** (4 * X))
    assert find_height([low, high]) == (math.log10(FLOOR), math.log10(CEILING))
    shape = measure_shape(high)
    assert (shape.above, shape.below) == (9, 0)
    drawn = zip(*(draw_both(part, find_height([low, high])) for part in (low, high)), strict=True)
    for figures, ends in zip(drawn, (("zmin", "zmax"), ("cmin", "cmax")), strict=True):
        assert len({tuple(figure.data[0][end] for end in ends) for figure in figures}) == 1
        assert np.allclose(figures[0].data[0].z, -2) and np.nanmax(figures[1].data[0].z) == 3
    bar = draw_contours(high, find_height([low, high]), AXES, "same").data[0].colorbar
    assert bar.ticktext[0].startswith("≤") and bar.ticktext[-1].startswith("≥")


@given(st.floats(-1, 1), st.floats(-1, 1))
def test_heights_between_points_are_bilinear(x: float, y: float) -> None:
    part = make_slice(10.0 ** (0.5 * X - Y + 0.25 * X * Y))
    assert read_height(part, np.array([[x, y]]))[0] == pytest.approx(0.5 * x - y + 0.25 * x * y, abs=1e-9)


def test_the_way_lies_on_the_surface_and_ends_at_the_net() -> None:
    way = np.array([[2.0, 0.0], [0.5, 0.5], [0.0, 0.0]])
    part = make_slice(1 + X**2 + Y**2, way=way, steps=(0, 10, 20))
    assert count_off(part) == 1
    contours, surface = draw_both(part, find_height([part]))
    line = next(trace for trace in surface.data if getattr(trace, "mode", None) == "lines+markers")
    low, high = find_height([part])
    assert np.isnan(line.z[0]) and np.allclose(line.z[1:], np.log10([1.5, 1]) + 0.01 * (high - low), atol=1e-9)
    line = next(trace for trace in contours.data if getattr(trace, "mode", None) == "lines+markers")
    assert list(line.x) == [2, 0.5, 0] and line.text[0] == "Step 0"
    assert tuple(contours.layout.xaxis.range) == tuple(contours.layout.yaxis.range) == (-1, 1)


def test_zoom_stays_from_grid_to_grid() -> None:
    part = make_slice(1 + X**2)
    figures = draw_both(part, (0, 1), "revision")
    assert {figure.layout.uirevision for figure in figures} == {"revision"}
    assert figures[1].layout.scene.uirevision == "revision"


def test_rows_hold_every_point_as_measured() -> None:
    part = make_slice(10.0 ** (6 * X), way=np.zeros((2, 2)), steps=(0, 7))
    rows = list_points([part])
    assert len(rows) == 83 and max(row["loss"] for row in rows if row["loss"]) == 1e6
    assert [row["step"] for row in rows[-2:]] == [0, 7] and rows[-1]["loss"] is None
    assert rows[1] == {"net": "net", "x": -0.75, "y": -1.0, "loss": 10.0**-4.5, "step": None}


@pytest.mark.parametrize(("value", "words"), [(0.5, "0.5"), (0.012345, "0.01235"), (0.0, "0"), (1234.4, "1,234"),
                                              (7.2756e35, "7.276×10³⁵"), (3e-7, "3.000×10⁻⁷"), (math.inf, "∞"),
                                              (math.nan, "–")])
def test_losses_are_written_to_be_read(value: float, words: str) -> None:
    assert write_loss(value) == words
