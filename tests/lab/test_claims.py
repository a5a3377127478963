"""What the app says on screen, as nets that are trained here and may prove it wrong."""

import math

import numpy as np
import pytest

from resnet_viz.lab.experiments.operations import edit_state, measure_operation
from resnet_viz.lab.experiments.training import advance, finish, make_state, measure
from resnet_viz.records import Lane, NetConfig, Operation, RaceConfig, TrainConfig, count_parameters

pytestmark = pytest.mark.slow
SEEDS = range(5)
PLAIN, RESIDUAL = RaceConfig().lanes
CHANCE = math.log(10)


def test_the_default_race_is_the_centrepiece():
    """The race that the page opens with: twenty dense layers, plain against residual, nothing else different."""
    assert RaceConfig().dataset == "digits"
    assert PLAIN.net == NetConfig(skip=False) and RESIDUAL.net == NetConfig(skip=True)
    assert (PLAIN.net.family, PLAIN.net.depth, PLAIN.net.width, PLAIN.net.norm) == ("dense", 20, (64,), "none")
    assert PLAIN.train == RESIDUAL.train


@pytest.mark.parametrize("seed", SEEDS)
def test_plain_stays_at_chance_and_residual_learns(seed):
    """After 300 steps. Measured over five seeds: plain 0.10 and within 2e-4 of ln 10, residual 1.00."""
    plain, residual = (finish(advance(make_state(lane, "digits", seed), 300)[0]) for lane in (PLAIN, RESIDUAL))
    assert plain["train_accuracy"] < 0.15 and plain["test_accuracy"] < 0.15
    assert plain["train_loss"] == pytest.approx(CHANCE, abs=0.02)
    assert residual["train_accuracy"] >= 0.99
    assert residual["test_accuracy"] > 0.93  # measured: 0.967 to 0.975


@pytest.mark.parametrize("seed", SEEDS)
def test_the_first_gradient_vanishes_without_shortcuts(seed):
    """‖∂L/∂a‖, first layer over last, at step 0. Measured: plain 4.8e-8 to 1.3e-7, residual 0.74 to 0.90."""
    ratios = [g[0] / g[-1] for g in (measure(make_state(lane, "digits", seed)).gradient[0] for lane in (PLAIN, RESIDUAL))]
    assert 1e-8 < ratios[0] < 1e-6
    assert 0.1 < ratios[1] < 10


def train_conv(shortcut: str, depth: int, seed: int) -> float:
    """Training accuracy in the last ten of sixty steps of a convolutional net with BatchNorm, 8/16/32 wide."""
    lane = Lane(NetConfig("conv", shortcut, depth, (8,), "batch"), TrainConfig(batch_size=64))
    return float(advance(make_state(lane, "digits", seed), 60)[1].accuracy[-10:].mean())


@pytest.mark.parametrize("seed", [0, 1])
def test_deeper_plain_nets_train_worse_though_normalised(seed):
    """Degradation: equal parameters, healthy gradients. Measured: plain-56 0.14 to 0.17, residual-56 0.92, plain-8 0.98."""
    nets = [NetConfig("conv", shortcut, 56, (8,), "batch") for shortcut in ("none", "zero-pad")]
    assert len({count_parameters(net, RaceConfig().data) for net in nets}) == 1
    gradient = measure(make_state(Lane(nets[0]), "digits", seed)).gradient[0]
    assert np.all(gradient > 0.1 * gradient[-1])  # nothing vanishes: it is another failure
    plain, residual, shallow = train_conv("none", 56, seed), train_conv("zero-pad", 56, seed), train_conv("none", 8, seed)
    assert plain < 0.4
    assert residual > 0.8
    assert shallow > 0.9


@pytest.mark.parametrize("seed", range(5))
def test_shortcuts_do_not_mend_everything(seed):
    """A deep residual net with He's initial weights and no normalisation explodes. Measured: 22 layers, in two steps."""
    lane = Lane(NetConfig(depth=22, init="he"), TrainConfig())
    assert advance(make_state(lane, "digits", seed), 60)[1].diverged


IDENTITIES = {"identity": {}, "before the layers": {"order": "pre", "activation": "tanh"}}
OTHERS = {"tanh": {"activation": "tanh"}, "W_s": {"shortcut": "projection-all"},
          "W_s before the layers": {"shortcut": "projection-all", "order": "pre"}}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", [*IDENTITIES, *OTHERS])
def test_at_a_share_of_100_percent_the_branch_is_0_and_not_every_block_the_identity(name, seed):
    """W[l+2] = b[l+2] = 0 in every block of a small net that has trained a little."""
    net = NetConfig(**{"depth": 8, "width": (12,)} | (IDENTITIES | OTHERS)[name])
    state, _ = advance(make_state(Lane(net, TrainConfig(lr=0.02, batch_size=32)), "digits", seed), 30)
    zeroed = [Operation("zero-wb", k) for k in range(net.blocks)]
    assert np.all(measure(edit_state(state, zeroed)).share == 1)
    result = measure_operation(state, zeroed)
    assert result.is_identity == (name in IDENTITIES)
    assert name in IDENTITIES or result.identity_gap > 0.05
