"""What is drawn of sweeps and of stored runs: traces, axes, means; not pixels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resnet_viz.figures.looks import COLOURS
from resnet_viz.figures.runs import Curve, draw_curves
from resnet_viz.figures.sweep import Line, Measure, Scale, Spot, draw_lines, draw_map, summarise, wrap, write_cell

DEPTHS = Scale("Depth", (8, 20, 56), ("8", "20", "56"))
ERROR, LOSS = Measure("Training error", True, 90.0), Measure("Training loss", False, math.log(10))


def spots(*values: float | None, diverged: bool = False) -> tuple[Spot, ...]:
    return tuple(Spot(seed, value, diverged) for seed, value in enumerate(values))


@given(st.lists(st.floats(0, 100), min_size=2, max_size=6), st.lists(st.floats(0, 100), max_size=3))
def test_means_leave_out_what_diverged(values: list[float], lost: list[float]) -> None:
    mean, spread = summarise(spots(*values) + spots(*lost, diverged=True))
    assert mean == pytest.approx(np.mean(values)) and spread == pytest.approx(np.std(values, ddof=1))


def test_of_one_run_there_is_no_spread_and_of_none_no_mean() -> None:
    assert summarise(spots(3.0))[0] == 3.0 and math.isnan(summarise(spots(3.0))[1])
    assert math.isnan(summarise(())[0]) and math.isnan(summarise(spots(1.0, diverged=True))[0])
    assert math.isnan(summarise(spots(None))[0])


@pytest.mark.parametrize(("values", "kind"), [
    ((8, 20, 56), "linear"), ((0.001, 0.01, 0.1), "log"), ((0.0, 0.001, 0.1), "category"), ((0.0, 0.9), "linear"),
    (("none", "identity"), "category"), (((16,), (16, 32)), "category"), ((True, False), "category"), ((0.0,), "linear"),
])
def test_scale_fits_its_values(values: tuple, kind: str) -> None:
    scale = Scale("x", values, tuple(map(str, values)))
    assert scale.kind == kind and len(scale.places) == len(values)


def test_lines_have_means_runs_and_what_diverged() -> None:
    lines = [Line("Plain net", 0, (spots(0.0, 2.0), spots(10.0), spots(70.0, 80.0))),
             Line("Residual net", 1, (spots(1.0), (), spots(50.0) + (Spot(1, 90.0, True), Spot(2, None, True))))]
    figure = draw_lines(lines, DEPTHS, ERROR)
    assert [trace.name for trace in figure.data] == ["Plain net"] * 3 + ["Residual net"] * 3
    plain, runs, lost, residual, _, crossed = figure.data
    assert (plain.x, plain.y) == ((8, 20, 56), (1.0, 10.0, 75.0)) and plain.line.color == COLOURS[0]
    assert plain.error_y.array == pytest.approx([math.sqrt(2), 0.0, math.sqrt(50)])
    assert plain.error_y.arrayminus == pytest.approx([1.0, 0.0, math.sqrt(50)])  # no error is below 0
    assert figure.layout.showlegend and not draw_lines(lines[:1], DEPTHS, ERROR).layout.showlegend
    assert (runs.x, runs.y, runs.customdata) == ((8, 8, 20, 56, 56), (0.0, 2.0, 10.0, 70.0, 80.0), (0, 1, 0, 0, 1))
    assert len(lost.x) == 0
    assert (residual.x, residual.y) == ((8, 56), (1.0, 50.0)) and residual.line.color == COLOURS[1]
    assert (crossed.x, crossed.y, crossed.marker.symbol) == ((56,), (90.0,), "x")
    assert figure.layout.xaxis.title.text == "Depth" and figure.layout.yaxis.ticksuffix == " %"
    assert figure.layout.shapes[0].y0 == 90.0


def test_axis_stands_still_and_zoom_is_kept_as_points_come() -> None:
    empty, full = (draw_lines([Line("a", 0, runs)], DEPTHS, LOSS) for runs in (((), (), ()), (spots(1.0),) * 3))
    assert empty.layout.xaxis == full.layout.xaxis and empty.layout.uirevision == full.layout.uirevision == "sweep"
    assert len(empty.data) == len(full.data)


def test_choices_are_not_joined_by_a_line() -> None:
    figure = draw_lines([Line("a", 0, (spots(1.0), spots(2.0)))], Scale("Init", ("he", "xavier"), ("He", "Xavier")), LOSS)
    assert figure.data[0].mode == "markers" and figure.layout.xaxis.ticktext == ("He", "Xavier")


def test_map_has_a_mean_a_gap_or_a_word_in_each_cell() -> None:
    across = Scale("Init", ("he", "xavier"), ("He", "Xavier"))
    down = Scale("Norm", ("none", "batch"), ("None", "BatchNorm"))
    cells = [[spots(2.2, diverged=True), spots(1.0, 2.0)], [(), spots(0.5) + (Spot(1, 2.0, True),)]]
    figure = draw_map(cells, across, down, LOSS)
    table = np.array(figure.data[0].z, float)
    assert np.isnan(table[0, 0]) and np.isnan(table[1, 0]) and table[0, 1] == 1.5 and table[1, 1] == 0.5
    assert (figure.data[1].x, figure.data[1].y, figure.data[1].text) == ((0,), (0,), ("diverged",))
    assert figure.data[0].zmax == LOSS.chance
    assert write_cell(cells[1][1], LOSS) == "0.5<br>1 diverged" and write_cell((), LOSS) == ""


def test_curves_are_told_apart_and_gaps_stay() -> None:
    curves = [Curve(f"run {i}", [0, 10], [0.5, None]) for i in range(9)]
    figure = draw_curves(curves, "Training accuracy", percent=True)
    assert len(figure.data) == 8 and len({(trace.line.color, trace.line.dash) for trace in figure.data}) == 8
    assert figure.data[0].y == (50.0, None) and figure.layout.yaxis.ticksuffix == " %"


def test_long_labels_stand_on_several_lines() -> None:
    assert wrap("Last layer of a branch zero") == "Last layer<br>of a branch<br>zero"
    assert wrap("残差分支末层置零") == "残差分支<br>末层置零"
    assert [wrap(short) for short in ("PyTorch 默认", "He")] == ["PyTorch 默认", "He"]
