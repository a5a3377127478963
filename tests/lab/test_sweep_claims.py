"""What the ready sweeps show, at their cheapest decisive points: runs of the sweeps themselves, so no change goes by.

And what their numbers are measured with.
"""

import numpy as np
import pytest

from resnet_viz.lab.experiments.training import advance, finish, finish_run, make_state, measure
from resnet_viz.records import Lane, NetConfig, RaceConfig, TrainConfig, count_parameters
from resnet_viz.sweeps import METRICS, READY

pytestmark = pytest.mark.slow
SEEDS = (0, 1, 2)


def find_run(name: str, **place) -> RaceConfig:
    """The run of a ready sweep at these values of its axes."""
    config = READY[name].config
    names = [axis.name for axis in config.axes]
    return next(run.race for run in config.list_runs() if place.items() <= dict(zip(names, run.place, strict=True)).items())


def train(name: str, steps: int | None = None, **place) -> tuple[float, bool]:
    """Training accuracy of a run, after fewer steps where given, and whether it diverged."""
    race = find_run(name, **place)
    state, frame = advance(make_state(race.lanes[0], race.dataset, race.seed), steps or race.steps)
    return finish(state)["train_accuracy"], frame.diverged


@pytest.mark.parametrize("seed", SEEDS)
def test_vanishing_begins_at_ten_layers(seed):
    """Measured: plain 6 0.997 to 1, plain 8 0.30 to 0.92, plain 10 to 30 0.10; residual 1.00 at each depth."""
    assert train("vanishing", depth=6, shortcut="none", seed=seed)[0] > 0.95
    assert train("vanishing", depth=10, shortcut="none", seed=seed)[0] < 0.15
    assert train("vanishing", depth=30, shortcut="identity", seed=seed)[0] > 0.95


@pytest.mark.parametrize("seed", SEEDS)
def test_flat_gradients_are_not_enough(seed):
    """He's initial weights, plain. Measured, seeds 0 to 4: 12 layers 0.999, 32 0.33 to 0.69, 52 0.10 to 0.24."""
    race = find_run("he-without-norm", depth=52, seed=seed)
    gradient = measure(make_state(race.lanes[0], race.dataset, seed)).gradient[0]
    assert gradient.max() < 10 * gradient.min()  # over 51 layers; measured 2.8 to 3.5
    assert train("he-without-norm", depth=12, seed=seed)[0] > 0.97
    assert train("he-without-norm", depth=52, seed=seed)[0] < 0.5


def test_degradation_compares_nets_of_equal_parameters_whose_gradients_do_not_vanish():
    """What they come to is in test_claims.py, at fewer steps: plain-56 0.14 to 0.17, residual-56 0.92, plain-8 0.98."""
    for depth in (8, 56):
        plain, residual = (find_run("degradation", depth=depth, shortcut=shortcut) for shortcut in ("none", "zero-pad"))
        assert count_parameters(plain.lanes[0].net, plain.data) == count_parameters(residual.lanes[0].net, residual.data)
    gradient = measure(make_state(plain.lanes[0], plain.dataset, 0)).gradient[0]
    assert np.all(gradient > 0.1 * gradient[-1])


@pytest.mark.parametrize("seed", SEEDS)
def test_which_combinations_train_at_all(seed):
    """22 dense layers, SGD 0.05. Without BatchNorm, He's initial weights diverge with shortcuts; BatchNorm makes plain and
    residual nets train, but for the plain one whose last layers start at zero. Measured: 0.98 to 1.00, or else 0.10.
    """
    assert train("init-norm", init="he", norm="none", shortcut="identity", seed=seed)[1]
    for shortcut in ("none", "identity"):
        accuracy, diverged = train("init-norm", init="he", norm="batch", shortcut=shortcut, seed=seed)
        assert accuracy > 0.9 and not diverged
    assert train("init-norm", init="zero-last", norm="none", shortcut="identity", seed=seed)[0] > 0.95
    assert train("init-norm", steps=100, init="zero-last", norm="batch", shortcut="none", seed=seed)[0] < 0.15


@pytest.mark.parametrize("seed", range(5))
def test_stored_statistics_may_make_errors_much_larger(seed):
    """Plain conv net of 20 layers, 4 channels, after 80 steps. Measured: training accuracy 0.42 to 0.64 with stored ones,

    0.63 to 0.76 with recomputed ones; losses 1.8 to 4.2 against 0.7 to 1.0. A net without BatchNorm has one number.
    """
    lane = Lane(NetConfig("conv", "none", 20, (4,), "batch"), TrainConfig(batch_size=64))
    found = finish_run(advance(make_state(lane, "digits", seed), 80)[0])
    assert found["train_accuracy_recomputed"] > found["train_accuracy"] + 0.04
    assert found["train_loss"] > 1.4 * found["train_loss_recomputed"]
    state = make_state(Lane(NetConfig(depth=4, width=(8,))), "digits", seed)
    found = finish_run(state)
    assert found["train_loss_recomputed"] == found["train_loss"] and {*found} == {*METRICS}
