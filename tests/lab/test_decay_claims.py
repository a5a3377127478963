"""What the page on weight decay says, as nets that are trained here and may prove it wrong."""

import numpy as np
import pytest

from resnet_viz.lab.experiments.operations import edit_state, measure_each_block, measure_operation
from resnet_viz.lab.experiments.training import advance, finish, make_state, measure
from resnet_viz.records import Frame, Lane, NetConfig, Operation, State, TrainConfig

pytestmark = pytest.mark.slow
SEEDS = range(5)
RESIDUAL = Lane(NetConfig(depth=12, init="xavier"), TrainConfig(lr=0.02))  # the page's nets
PLAIN = RESIDUAL.changed("skip", False)


def train(lane: Lane, seed: int, decay: float, steps: int = 600) -> tuple[State, Frame]:
    state, frame = advance(make_state(lane.changed("weight_decay", decay), "digits", seed), steps)
    return state, frame


@pytest.mark.parametrize("seed", SEEDS)
def test_decay_drives_a_residual_net_towards_the_identity_and_accuracy_hardly_falls(seed):
    """λ = 0, 0.01, 0.03 at step 600. Measured at seed 0: ‖W[l+2]‖ 8.1, 2.9, 1.1; r .80, .32, .16; cosine .89, .98, .998."""
    runs = [train(RESIDUAL, seed, decay) for decay in (0.0, 0.01, 0.03)]
    norm, ratio, cosine = ([float(getattr(frame, name)[-1].mean()) for _, frame in runs]
                           for name in ("weight_norm", "ratio", "cosine"))
    assert norm[0] > 2 * norm[1] > 3 * norm[2] > 0  # approached, not reached
    assert ratio[0] > 1.5 * ratio[1] > 2 * ratio[2] > 0
    assert cosine[0] < cosine[1] < cosine[2] < 1
    scores = [finish(state)["test_accuracy"] for state, _ in runs]
    assert min(scores) > 0.92 and scores[0] - scores[2] < 0.04
    state, decayed = runs[0][0], runs[2][0]
    costs = [finish(s)["test_accuracy"] - measure_each_block(s, "lesion")[1] for s in (state, decayed)]
    assert costs[0].max() > 0.01  # a useful block cannot simply be deleted
    assert costs[1].mean() < costs[0].mean()


@pytest.mark.parametrize("seed", SEEDS)
def test_decay_drives_a_plain_net_to_the_zero_map(seed):
    """λ = 0.03 at step 600: ‖W[l+2]‖ a fiftieth, accuracy at chance; without decay the same net learns."""
    (free, before), (_, after) = train(PLAIN, seed, 0.0), train(PLAIN, seed, 0.03)
    assert finish(free)["train_accuracy"] > 0.9
    assert after.weight_norm[-1].mean() < 0.1 * before.weight_norm[-1].mean()
    assert after.accuracy[-20:].mean() < 0.2
    assert np.abs(after.test_accuracy[-1] - 0.1) < 0.06


@pytest.mark.parametrize("seed", SEEDS)
def test_w_s_everywhere_goes_the_way_of_the_plain_net(seed):
    """12 layers 32 wide, Xavier, SGD 0.02, λ = 0.3, 200 steps. Measured: with identities cosine 1.000 and accuracy 0.74 to
    0.80; with W_s everywhere, which decays too, 0.27 to 0.44 and 0.10, where without decay it is at 0.93 to 0.97."""
    def run(shortcut, decay):
        lane = Lane(NetConfig(depth=12, shortcut=shortcut, init="xavier", width=(32,)), TrainConfig(lr=0.02))
        state, frame = train(lane, seed, decay, 200)
        return float(frame.cosine[-1].mean()), finish(state)["test_accuracy"]

    cosine, accuracy = run("identity", 0.3)
    assert cosine > 0.99 and accuracy > 0.5
    cosine, accuracy = run("projection-all", 0.3)
    assert cosine < 0.7 and accuracy < 0.2
    assert run("projection-all", 0.0)[1] > 0.8


@pytest.mark.parametrize("seed", SEEDS)
def test_with_batch_norm_decay_leaves_the_branch_its_size(seed):
    """λ = 0.1, 12 layers 32 wide. Measured: ‖W[l+2]‖ 3.7 → 0.5, r 0.70 to 0.73 → 0.59 to 0.61."""
    lane = Lane(NetConfig(depth=12, norm="batch", width=(32,)))
    frames = [train(lane, seed, decay, 200)[1] for decay in (0.0, 0.1)]
    norm, ratio = ([float(getattr(frame, name)[-1].mean()) for frame in frames] for name in ("weight_norm", "ratio"))
    assert norm[1] < norm[0] / 4
    assert ratio[1] > 0.7 * ratio[0]


@pytest.mark.parametrize("seed", SEEDS)
def test_with_batch_norm_the_size_of_the_weights_matters_to_training(seed):
    """W[l+2] × 0.01 in each block: the same loss, and one step later a hundred times as high. Measured: 0.02 to 0.06, and
    then 3.1 to 4.7 where the untouched net stays at 0.02 to 0.04."""
    state, _ = advance(make_state(Lane(NetConfig(depth=8, norm="batch", width=(32,))), "digits", seed), 60)
    scaled = edit_state(state, [Operation("scale", k, 0.01) for k in range(3)])
    free, moved = (advance(s, 2)[1].loss for s in (state, scaled))
    assert moved[0] == pytest.approx(free[0], abs=0.02)
    assert moved[1] > 1 and free[1] < 0.3


def test_behind_batch_norm_the_output_does_not_depend_on_the_size_of_the_weights():
    """W[l+2] halved, statistics estimated anew: the same outputs; γ halved: others."""
    lane = Lane(NetConfig(depth=12, norm="batch"))
    state, _ = advance(make_state(lane, "digits", 0), 100)
    losses = [measure_operation(state, operations, recompute=True).after["test_loss"]
              for operations in ([], [Operation("scale", 2, 0.5)], [Operation("scale-norm", 2, 0.5)])]
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)
    assert abs(losses[2] - losses[0]) > 10 * abs(losses[1] - losses[0])


def test_training_wakes_a_residual_block_and_not_a_plain_one():
    """Trained on from W[l+2] = b[l+2] = 0: the residual block's branch comes back, the plain net is dead for good."""
    for lane, wakes in ((RESIDUAL, True), (PLAIN, False)):
        state = edit_state(train(lane, 0, 0.0, 200)[0], [Operation("zero-wb", 2)])
        assert measure(state).weight_norm[0, 2] == 0
        later = advance(state, 50)[1].weight_norm[-1, 2]
        assert (later > 0.01) == wakes and (wakes or later == 0)
