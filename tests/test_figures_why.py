"""What is drawn of paths and gradients: parts, heights, names, axes; not pixels."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resnet_viz.figures import gradients
from resnet_viz.figures.paths import count_left, count_lengths, draw_lengths, draw_norms, list_paths
from resnet_viz.figures.unravelled import BARS, FAINTEST, draw_unravelled, make_picture
from resnet_viz.records import Autocorrelation, PathsResult, SlopeResult
from resnet_viz.ui.views.paths import tell_deletion, tell_lengths

NAMES = ["Plain net", "Residual net"]


# ---------------------------------------------------------------------------------------------------- paths


SKIPS = st.lists(st.booleans(), min_size=1, max_size=8)  # of each block whether it has a shortcut


@given(SKIPS)
def test_every_path_is_listed_once_short_ones_first(skips: list[bool]) -> None:
    """Of blocks without a shortcut all take the branch."""
    takes = list_paths(skips)
    assert len({tuple(take) for take in takes.tolist()}) == 2 ** sum(skips)
    assert (np.diff(takes.sum(1)) >= 0).all() and takes[:, ~np.array(skips)].all()
    assert np.bincount(takes.sum(1)).tolist() == count_lengths(len(skips), sum(skips)).tolist()


@given(SKIPS, st.data())
def test_deleting_a_block_leaves_half_of_the_paths_and_none_of_a_plain_net(skips: list[bool], data: st.DataObject) -> None:
    """Claim on the page: those that took the block's branch are gone, whichever block it is; without a shortcut, all."""
    blocks, takes = len(skips), list_paths(skips)
    block = data.draw(st.integers(0, blocks - 1))
    left = takes[~takes[:, block]]
    assert np.bincount(left.sum(1), minlength=blocks + 1).tolist() == count_left(skips, block).tolist()
    assert count_left(skips, block).sum() == (len(takes) / 2 if skips[block] else 0)
    assert count_lengths(blocks, 0).sum() == 1 and count_left([False] * blocks, block).sum() == 0


def test_a_cut_shortcut_is_not_drawn_and_what_is_said_counts_what_is_left() -> None:
    takes = list_paths((True, False, True))
    svg = draw_unravelled(takes, 0, np.ones(4), np.zeros(4), "#0072B2")
    drawn = {(k, way) for k, way in re.findall(r'data-block="(\d)" data-way="(\w+)"', svg)}
    assert drawn == {("0", "shortcut"), ("0", "branch"), ("1", "branch"), ("2", "shortcut"), ("2", "branch")}
    assert svg.count("rv-sum") == 2
    assert "4 paths of lengths 1 to 3, 2 on average" in tell_lengths("A", count_lengths(3, 2))
    assert "2² = 4 paths → 0" in tell_deletion("A", (True, False, True), 1)
    assert "2² = 4 paths → 2¹ = 2" in tell_deletion("A", (True, False, True), 0)


def draw(blocks: int, at: int) -> tuple[ElementTree.Element, np.ndarray, np.ndarray, np.ndarray]:
    takes = list_paths([True] * blocks)
    norms = 10.0 ** -takes.sum(1)
    lacking = np.linspace(1.5, 0, len(takes))
    return ElementTree.fromstring(draw_unravelled(takes, at, norms, lacking, "#0072B2")), takes, norms, lacking


def find(root: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    return [part for part in root.iter() if part.get(name) is not None]


@pytest.mark.parametrize("blocks", range(1, 7))
def test_paths_up_to_the_lit_one_are_lit(blocks: int) -> None:
    at = 2**blocks // 2
    root, takes, _norms, _lacking = draw(blocks, at)
    parts = find(root, "data-path")
    assert len(parts) == 2 * len(takes)  # a sign and a bar each
    for part in parts:
        path, classes = int(part.get("data-path")), part.get("class").split()
        assert ("lit" in classes) == (path <= at) and ("now" in classes) == (path == at)
        if part.tag.endswith("}g"):  # a square for each branch, besides the frame
            assert len(part.findall("{*}rect")) == 1 + takes[path].sum()


@pytest.mark.parametrize("blocks", range(1, 7))
def test_path_leads_through_one_way_of_each_block(blocks: int) -> None:
    at = 2**blocks - 2
    root, takes, _norms, _lacking = draw(blocks, at)
    on = [part for part in find(root, "data-block") if "on" in part.get("class").split() and part.tag.endswith("}path")]
    assert [int(part.get("data-block")) for part in on] == list(range(blocks))
    assert [part.get("data-way") == "branch" for part in on] == takes[at].tolist()


def test_the_larger_the_norm_the_fuller_the_colour() -> None:
    root, takes, norms, _lacking = draw(5, 0)
    strength = [float(part.get("style").split(":")[1]) for part in find(root, "data-path") if part.tag.endswith("}g")]
    assert (strength[0], strength[-1]) == (1, FAINTEST)
    assert np.allclose(np.diff(strength), np.diff(np.log10(norms)) * (1 - FAINTEST) / 5, atol=2e-3)


def test_bars_are_what_the_sum_lacks() -> None:
    root, _takes, _norms, lacking = draw(5, 3)
    bars = [part for part in find(root, "data-path") if part.tag.endswith("}rect")]
    assert np.allclose([float(bar.get("height")) for bar in bars], np.maximum(1, BARS * lacking / lacking.max()), atol=0.06)


@pytest.mark.parametrize("norms", [np.zeros(4), np.full(4, 0.5), np.array([0, 1, 2, 0.0])])
def test_norms_of_zero_can_be_drawn(norms: np.ndarray) -> None:
    svg = draw_unravelled(list_paths([True] * 2), 0, norms, np.zeros(4), "#0072B2")
    assert "nan" not in svg and "inf" not in svg


def test_picture_is_a_file_of_its_own() -> None:
    svg = draw_unravelled(list_paths([True] * 3), 2, np.ones(8), np.zeros(8), "#0072B2")
    root = ElementTree.fromstring(make_picture(svg, ".a { fill: red; }"))
    assert root.find("{*}style").text == ".a { fill: red; }" and root.find("{*}rect").get("fill") == "#FFFFFF"


def make_result(residual: bool, norm: float) -> PathsResult:
    lengths = count_lengths(4, 4 * residual)
    norms = norm ** np.arange(5) * (lengths > 0)
    return PathsResult(lengths, norms, norms * lengths, 1.25, 0.0)


def test_lengths_are_bars_and_what_is_left_stands_in_them() -> None:
    counts = [count_lengths(4, shortcuts) for shortcuts in (0, 4)]
    figure = draw_lengths(NAMES, counts)
    assert [bar.name for bar in figure.data] == NAMES
    assert np.array_equal(np.nan_to_num(figure.data[1].y), [1, 4, 6, 4, 1])
    left = [count_left([residual] * 4, 0) for residual in (False, True)]
    figure = draw_lengths(NAMES, counts, left)
    assert [bar.name for bar in figure.data] == [f"{name}, {when}" for name in NAMES for when in ("before", "left")]
    assert [np.nansum(bar.y) for bar in figure.data] == [1, 0, 16, 8]
    assert figure.layout.barmode == "overlay"


@pytest.mark.parametrize(("blocks", "step"), [(1, 1), (12, 1), (13, 5), (54, 5)])
def test_lengths_have_marks_that_can_be_read(blocks: int, step: int) -> None:
    axis = draw_lengths(NAMES[1:], [count_lengths(blocks, blocks)]).layout.xaxis
    assert axis.dtick == step and axis.range[0] < 0 < blocks < axis.range[1] < blocks + 1


def test_norms_stand_on_a_log_axis_with_the_effective_length() -> None:
    results = [make_result(False, 0.1), make_result(True, 0.1)]
    alone, together = (draw_norms(NAMES, results, whole) for whole in (False, True))
    assert alone.layout.yaxis.type == together.layout.yaxis.type == "log"
    assert np.allclose(together.data[1].y, [1, 0.4, 0.06, 0.004, 0.0001])
    assert not alone.layout.shapes and [shape.x0 for shape in together.layout.shapes] == [1.25]  # one path has no mean
    assert np.isfinite(np.array(alone.data[0].y, float)).tolist() == [False] * 4 + [True]


# ---------------------------------------------------------------------------------------------------- gradients


def test_theory_leads_from_the_last_layer_back() -> None:
    norms = np.array([1e-3, 1e-2, 0.1, 1.0, 10.0])
    curve = gradients.Curve("a", 0, 0, SlopeResult(norms, -2.0, np.array([-2.0]), math.log10(1 / 6)))
    theory, measured = gradients.draw_slopes([curve], (-4, 2)).data
    assert np.array_equal(measured.y, norms)
    assert theory.y[-1] == norms[-1] and theory.y[0] / theory.y[-1] == pytest.approx(1 / 36)  # two blocks
    assert gradients.find_bounds([curve.result]) == pytest.approx((-3.3, 1.3))
    assert gradients.find_bounds([]) is None


def test_a_net_without_gradient_or_theory_is_drawn() -> None:
    curve = gradients.Curve("a", 0, 0, SlopeResult(np.array([0, 0, 1.0]), math.nan, np.array([math.nan]), None))
    figure = gradients.draw_slopes([curve], gradients.find_bounds([curve.result]))
    assert len(figure.data) == 1 and np.isnan(figure.data[0].y).tolist() == [True, True, False]


def test_line_and_autocorrelation_are_those_measured() -> None:
    rng = np.random.default_rng(0)
    results = []
    for _ in NAMES:
        each = rng.normal(size=(10, 8))
        results.append(Autocorrelation(rng.normal(size=(10, 64)), each.mean(0), each))
    lines = gradients.draw_lines(NAMES, results, 3)
    assert all(np.array_equal(line.y, result.gradient[3]) for line, result in zip(lines.data, results, strict=True))
    assert (lines.data[0].x[0], lines.data[0].x[-1]) == (-2, 2)
    band, mean = gradients.draw_autocorrelation(NAMES, results).data[:2]
    assert np.array_equal(mean.y, results[0].mean)
    assert np.allclose(np.array(band.y)[:8] - np.array(band.y)[:7:-1], 2 * results[0].by_seed.std(0))
    assert len(gradients.draw_autocorrelation(NAMES, [None, results[1]]).data) == 2  # what is still being measured


def test_responses_in_order_and_sorted() -> None:
    rows = [np.array([1.0, 3, 2]), np.array([0.5, 0.1, 0.7, 0.2])]
    assert [list(line.y) for line in gradients.draw_responses(NAMES, rows, False).data] == [list(row) for row in rows]
    assert [list(line.y) for line in gradients.draw_responses(NAMES, rows, True).data] == [[3, 2, 1], [0.7, 0.5, 0.2, 0.1]]
    now = gradients.draw_now(NAMES, [np.array([1e-9, 1.0]), np.array([0, 1.0])])
    assert now.layout.yaxis.type == "log" and np.isnan(now.data[1].y[0])
