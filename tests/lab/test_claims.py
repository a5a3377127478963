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
    """Degradation: equal parameters, nothing vanishes. Measured: plain-56 0.14 to 0.17, residual-56 0.92, plain-8 0.98."""
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


@pytest.mark.parametrize("seed", SEEDS)
def test_gradients_do_not_simply_follow_the_loss(seed):
    """At the first layer they grow as the loss falls; where it is nearly 0 all are small. 20 layers of 32 units, lr 0.02.

    Measured: the first layer's 2.6 to 3.5 times as large at 0.16 to 0.38 of the first loss; all at most 0.39 times at last.
    """
    lane = Lane(NetConfig(width=(32,)), TrainConfig(lr=0.02, batch_size=64))
    frame = advance(make_state(lane, "digits", seed), 400)[1]
    gradient, largest = frame.gradient.astype(float), int(frame.gradient[:60, 0].argmax())
    assert gradient[largest, 0] > 1.5 * gradient[0, 0] and frame.loss[largest] < 0.7 * frame.loss[0]
    assert frame.loss[-20:].mean() < 0.05 and (gradient[-20:].mean(0) < 0.8 * gradient[0]).all()


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("net", [NetConfig("conv", "none", 56, (4,), "batch"), NetConfig("conv", "none", 20, (4,), "batch"),
                                 NetConfig(depth=30, norm="batch", init="xavier", skip=False)], ids=str)
def test_with_batch_norm_gradients_do_not_vanish_but_grow_towards_the_input(net, seed):
    """Plain nets at step 0. Measured: first over last 1,700 to 6,400, 13 to 17, 260 to 310: 0.12 to 0.18 per block."""
    gradient = measure(make_state(Lane(net, TrainConfig(batch_size=64)), "digits", seed)).gradient[0].astype(float)
    assert gradient.min() > 0.5 * gradient[-1]
    assert 0.09 < math.log10(gradient[0] / gradient[-1]) / net.blocks < 0.22


@pytest.mark.parametrize("seed", SEEDS)
def test_other_cures_than_shortcuts(seed):
    """Plain, 20 layers, 48 wide, 300 steps. Measured: He 0.81 to 0.96 at lr 0.01, 0.10 to 0.36 or diverged at 0.05."""
    def train(net: dict, **settings) -> float:
        lane = Lane(NetConfig(width=(48,), skip=False, **net), TrainConfig(batch_size=64, **settings))
        return finish(advance(make_state(lane, "digits", seed), 300)[0])["train_accuracy"]

    careful, hasty = (train({"init": "he"}, lr=lr) for lr in (0.01, 0.05))
    assert careful > 0.6 and careful > hasty + 0.25
    assert train({"norm": "batch"}) > 0.6
    assert train({}, optimizer="adamw", lr=0.002) > 0.25
    assert train({}) < 0.15


@pytest.mark.parametrize("seed", SEEDS)
def test_he_without_norm_diverges_with_sgd_at_usual_rates_and_not_else(seed):
    """Residual, 22 layers of 48 units. Measured: with SGD 0.02 in 5 steps."""
    def diverges(**settings) -> bool:
        lane = Lane(NetConfig(depth=22, width=(48,), init="he"), TrainConfig(batch_size=64, **settings))
        state, frame = advance(make_state(lane, "digits", seed), 100)
        return frame.diverged or finish(state)["train_accuracy"] < 0.3

    assert diverges(lr=0.02) and not diverges(lr=0.001) and not diverges(optimizer="adamw", lr=0.001)


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
