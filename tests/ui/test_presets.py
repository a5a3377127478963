"""What the pages of surgery say of the nets they open with, over five seeds."""

from dataclasses import replace

import numpy as np
import pytest

from resnet_viz.lab.experiments.operations import measure_cumulative, measure_each_block
from resnet_viz.lab.experiments.training import advance, finish, make_state
from resnet_viz.records import Lane, State
from resnet_viz.ui.subject import PRESETS

pytestmark = pytest.mark.slow
SETTINGS, STEP = PRESETS["twins"]


def train(lane: Lane, seed: int) -> State:
    return advance(make_state(lane, "digits", seed), STEP)[0]


@pytest.mark.parametrize("seed", range(5))
def test_zeroing_one_block_costs_the_residual_twin_little_and_the_plain_one_everything(seed: int) -> None:
    """Both have learned. Any block: at most 3 points of the residual net's accuracy, chance for the plain one.

    Measured: at most 2.5 points of the held-out part, 1.8 of the training part; plain 0.10.
    """
    plain, residual = (train(lane, seed) for lane in SETTINGS.make_race().lanes)
    before = [finish(state) for state in (plain, residual)]
    assert min(score["train_accuracy"] for score in before) > 0.95 and min(s["test_accuracy"] for s in before) > 0.85
    after = [measure_each_block(state, "zero-wb") for state in (plain, residual)]
    assert np.all(after[0] < 0.15)
    assert np.all(after[1][0] > before[1]["train_accuracy"] - 0.03)
    assert np.all(after[1][1] > before[1]["test_accuracy"] - 0.03)


NAMED = [("tanh", 0), ("tanh", 1), *(("projection", seed) for seed in range(5)), *(("batch", seed) for seed in range(5)),
         ("conv", 0)]


@pytest.mark.parametrize(("name", "seed"), NAMED)
def test_what_one_block_of_the_other_presets_costs(name: str, seed: int) -> None:
    """Held-out points lost without one branch, stored statistics and recomputed ones, residual net. With identities and
    no BatchNorm a few at most, with W_s more; with BatchNorm up to most of what was learned, most of which is back once
    they are recomputed, and some cost nothing.

    Measured: tanh at most 1.7; W_s 1.7 to 16; BatchNorm 6.7 to 32, recomputed 1.7 to 4.4; conv 75, recomputed 7.5.
    """
    settings, step = PRESETS[name]
    lane = replace(settings, skips=(True, True)).make_lane(1)
    state = advance(make_state(lane, "digits", seed), step)[0]
    whole = finish(state)["test_accuracy"]
    stored, recomputed = (whole - measure_each_block(state, "lesion", anew)[1] for anew in (False, True))
    if lane.net.norm == "none":
        assert stored.max() < (0.05 if lane.net.shortcut == "identity" else 0.4)
        return
    assert stored.max() > (0.3 if name == "conv" else 0.03)
    assert recomputed[stored.argmax()] < 0.5 * stored.max()
    assert recomputed.min() <= 0.005


def test_recomputed_statistics_do_not_mend_the_plain_net() -> None:
    """Measured with BatchNorm: without any one block at least 60 points lower, recomputed or not."""
    settings, step = PRESETS["batch"]
    state = advance(make_state(settings.make_race().lanes[0], "digits", 0), step)[0]
    assert np.all(finish(state)["test_accuracy"] - measure_each_block(state, "lesion", True)[1] > 0.3)


def test_several_blocks_cost_more_and_more() -> None:
    """The mean of five draws falls from block to block in the residual net; in the plain one it is at chance at once."""
    curves = [measure_cumulative(train(lane, 0), "lesion", 5, 0).mean(1) for lane in SETTINGS.make_race().lanes]
    assert np.all(np.diff(curves[1]) < 0) and curves[1][1] > 0.9
    assert np.all(curves[0][1:] < 0.3)


@pytest.mark.parametrize("name", [name for name in PRESETS if name != "deep"])
def test_the_residual_net_of_each_preset_has_learned(name: str) -> None:
    settings, step = PRESETS[name]
    lane = replace(settings, skips=(True, True)).make_lane(1)
    state = advance(make_state(lane, "digits", 0), step)[0]
    assert finish(state)["test_accuracy"] > 0.93
