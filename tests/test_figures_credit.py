"""What is drawn of credit: the numbers, their signs, one scale for all nets, and where credit and ablation disagree."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from resnet_viz.figures.credit import (
    BITE,
    draw_brought,
    draw_credit,
    draw_maps,
    draw_points,
    find_branches,
    find_disagreements,
    find_reach,
    is_constant,
    is_noise,
    list_credits,
    list_maps,
    measure_gap,
)
from resnet_viz.records import AblationResult, CreditResult
from resnet_viz.ui.splitting import tell_residual

NAN = float("nan")


def make(shortcut: list[float], branch: list[float], change: float) -> CreditResult:
    parts = np.array(shortcut), np.array(branch)
    gap = np.abs(np.nan_to_num(parts[0]) + parts[1] - change)
    return CreditResult("conductance", 1, *parts, change, gap / abs(change), np.array([gap.max() / abs(change)]))


SPLIT = make([3.0, -1.0, 0.5], [1.0, 5.0, 3.4], 4.0)
PLAIN = make([NAN] * 3, [4.0, 4.1, 4.0], 4.0)
LOST = AblationResult(np.array([-2.0, 1.0, 3.0]), np.array([0.0, 0.1, 0.5]))
UNKNOWN = AblationResult(LOST.logit, np.full(3, NAN))


def pick(figure, kind: str, name: str):
    return next(trace for trace in figure.data if trace.type == kind and trace.name == name)


def test_bars_are_the_credits_and_marks_the_other_opinions() -> None:
    figure = draw_credit(SPLIT, {"DeepLift": make([2.9, -1.1, 0.6], [1.1, 5.1, 3.4], 4.0)}, find_reach([SPLIT]), LOST)
    assert np.array_equal(pick(figure, "bar", "Shortcut").y, SPLIT.shortcut)
    assert np.array_equal(pick(figure, "bar", "Branch").y, SPLIT.branch)
    assert np.array_equal(pick(figure, "scatter", "DeepLift").y, [2.9, -1.1, 0.6, 1.1, 5.1, 3.4])
    assert np.array_equal(pick(figure, "bar", "Logit lost").y, LOST.logit)
    assert np.allclose(pick(figure, "bar", "Accuracy lost, points").y, [0, 10, 50])
    patterns = {trace.marker.pattern.shape for trace in figure.data if trace.type == "bar"}
    assert len(patterns) == 3  # told apart without colours


def test_a_plain_net_has_no_shortcut_to_draw() -> None:
    figure = draw_credit(PLAIN, {"DeepLift": PLAIN}, find_reach([PLAIN]), UNKNOWN)
    assert {trace.name for trace in figure.data} == {"Block", "DeepLift", "Logit lost"}
    assert len(pick(figure, "scatter", "DeepLift").y) == 3
    assert np.array_equal(pick(figure, "bar", "Block").x, [1, 2, 3])


def test_opposite_signs_are_found_and_marked() -> None:
    assert find_disagreements(SPLIT.branch, LOST.logit)[0] == [0]
    figure = draw_credit(SPLIT, {}, find_reach([SPLIT]), LOST)
    marks = [note for note in figure.layout.annotations if note.text == "≠"]
    assert [(note.x, note.y) for note in marks] == [(1, -2.0)]
    assert not [note for note in draw_credit(SPLIT, {}, find_reach([SPLIT])).layout.annotations if note.text == "≠"]


def test_a_block_whose_shortcut_is_cut_is_not_compared_with_the_others() -> None:
    """There the branch has all the credit, and ablation drops the whole block: another question. It is said."""
    cut = replace(SPLIT, shortcut=np.where([True, False, False], np.nan, SPLIT.shortcut))
    assert np.isnan(find_branches(cut)).tolist() == [True, False, False]
    assert find_branches(PLAIN) is PLAIN.branch
    assert not [note for note in draw_credit(cut, {}, find_reach([cut]), LOST).layout.annotations if note.text == "≠"]
    told = tell_residual(cut, LOST)
    assert "of 2 blocks" in told[0] and "In block 1 the shortcut is cut" in told[1]


@pytest.mark.parametrize(("branch", "lost", "found"), [
    ([1, 2, 3], [10, 20, 30], ([], None)),
    ([1, 2, 3], [30, 20, 10], ([], (0, 3, 1))),
    ([1, NAN, 3], [3, 20, 1], ([], (0, 2, 1))),
    ([1, 2], [NAN, 5], ([], None)),
    ([1e-7, 2], [-1e-7, 5], ([], None)),  # signs of rounding
    ([-1, 2], [1, 5], ([0], None))])
def test_disagreements(branch: list, lost: list, found: tuple) -> None:
    assert find_disagreements(np.array(branch, float), np.array(lost, float)) == found


def test_all_nets_have_one_scale_with_zero_on_it() -> None:
    low, high = find_reach([SPLIT, PLAIN])
    assert low < -1 and high > 5
    low, high = find_reach([PLAIN])
    assert low == 0 and high > 4.1
    assert draw_credit(PLAIN, {}, (-3.0, 7.0)).layout.yaxis.range == (-3.0, 7.0)


def test_when_an_error_in_per_cent_says_nothing() -> None:
    assert is_constant(make([1e-6], [-1e-6], 1e-9)) and not is_constant(SPLIT)
    assert is_noise(make([5.0], [-4.9], 0.1)) and not is_noise(SPLIT)
    assert measure_gap(SPLIT) == pytest.approx(0.1) and measure_gap(PLAIN) == pytest.approx(0.1)


def test_rows_of_the_table_are_all_there() -> None:
    rows = list_credits(["a", "b"], [{"deep-lift": SPLIT}, {"deep-lift": PLAIN, "conductance": PLAIN}], [LOST, None])
    assert len(rows) == 9 and [row["block"] for row in rows[:3]] == [1, 2, 3]
    assert rows[0] | {"completeness_error": 0} == {
        "net": "a", "method": "deep-lift", "block": 1, "shortcut": 3.0, "branch": 1.0, "output_change": 4.0,
        "completeness_error": 0, "logit_lost": -2.0, "accuracy_lost": 0.0}
    assert rows[-1]["logit_lost"] is None and np.isnan(rows[-1]["shortcut"])


def test_maps_have_one_scale_with_nothing_in_its_middle() -> None:
    picture = np.arange(64.0).reshape(1, 8, 8) / 4
    maps = [np.eye(8)[None], -3 * np.eye(8)[None]]
    figure = draw_maps(["a", "b"], maps, picture)
    heat = [trace for trace in figure.data if trace.type == "heatmap"]
    assert np.array_equal(heat[0].z, picture[0])
    for trace, found in zip(heat[1:], maps, strict=True):
        assert np.array_equal(trace.z, found[0]) and (trace.zmin, trace.zmax) == (-3, 3)
    assert [trace.showscale for trace in heat] == [False, True, False]
    assert [axis.autorange for axis in figure.select_yaxes()] == ["reversed"] * 3  # row 1 is at the top
    rows = list_maps(["a", "b"], maps)
    assert len(rows) == 128 and sum(row["credit"] for row in rows if row["net"] == "b") == -24
    assert draw_maps(["a"], [np.zeros((1, 8, 8))], picture).data[1].zmax > 0


def test_points_have_a_bar_for_each_of_their_numbers() -> None:
    figure = draw_points(["a", "b"], [np.array([1.0, -2.0]), np.array([0.5, 0.0])])
    assert [list(trace.y) for trace in figure.data] == [[1, -2], [0.5, 0]]
    assert len({trace.marker.pattern.shape for trace in figure.data}) == 2


def test_a_brought_picture_stands_beside_its_map() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (224, 224, 3), np.uint8)
    found = np.random.default_rng(1).normal(size=(224, 224)).astype(np.float32)
    found[0, 0] = 1e6
    figure = draw_brought(picture, found)
    assert [trace.type for trace in figure.data] == ["image", "image", "heatmap"]
    heat = figure.data[2]
    assert np.array_equal(heat.z, found) and heat.zmax == -heat.zmin == pytest.approx(np.percentile(np.abs(found), BITE))
    assert [trace.type for trace in draw_brought(picture, None).data] == ["image"]
