"""Training is a pure function: the same bits from the same state, however it is sliced, and nothing it is given changes."""

import dataclasses
import functools
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from resnet_viz.lab.datasets import Data, load_data
from resnet_viz.lab.experiments.training import advance, finish, load_trainer, make_state, measure
from resnet_viz.lab.nets import build_net
from resnet_viz.lab.train import MOMENTS, get_trainer
from resnet_viz.records import (
    DATASETS,
    OVERFLOWS,
    PROBE_EVERY,
    Change,
    Frame,
    Lane,
    NetConfig,
    RaceConfig,
    State,
    TrainConfig,
)

torch.set_num_threads(1)
STEPS = 60
LANES = {
    "dense": Lane(NetConfig(depth=8, width=(16,)), TrainConfig(batch_size=32, weight_decay=1e-3)),
    "plain": Lane(NetConfig(depth=8, width=(8, 16), shortcut="projection", skip=False), TrainConfig(batch_size=32)),
    "conv-batch": Lane(NetConfig("conv", "projection", 8, (4,), "batch"), TrainConfig(batch_size=32)),
    "adamw": Lane(NetConfig(depth=8, width=(16,)), TrainConfig("adamw", 0.003, weight_decay=1e-2, batch_size=32)),
    "adamw-batch-pre": Lane(NetConfig(depth=6, width=(8,), norm="batch", order="pre"),
                            TrainConfig("adamw", 0.003, batch_size=32)),
    "tanh": Lane(NetConfig(depth=8, width=(16,), activation="tanh"), TrainConfig(batch_size=32)),
    "decay-block": Lane(NetConfig(depth=8, width=(16,)),
                        TrainConfig(batch_size=32, weight_decay=0.1, decay_block=1, decay_bias=False)),
    "decay-decoupled": Lane(NetConfig("conv", "projection-all", 8, (4,), "batch"),
                            TrainConfig(batch_size=32, weight_decay=0.1, decay="decoupled")),
    "decay-adam": Lane(NetConfig(depth=8, width=(16,)),
                       TrainConfig("adamw", 0.003, weight_decay=0.1, decay="coupled", decay_block=0, batch_size=32)),
}
EACH_LANE = pytest.mark.parametrize("name", LANES)
ARRAYS = ("weights", "buffers", "moments")
MEASURED = [f.name for f in dataclasses.fields(Frame) if f.name not in ("first", "seconds", "overflow")]


def start(name: str, seed: int = 0) -> State:
    return make_state(LANES[name], "digits", seed)


def assert_same(a: State | Frame, b: State | Frame) -> None:
    """Equal to the bit in every array; NaN equals NaN."""
    for name in ARRAYS if isinstance(a, State) else MEASURED:
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name, strict=True)


def join(frames: list[Frame]) -> Frame:
    """Consecutive frames as one."""
    assert all(b.first == a.first + len(a) for a, b in zip(frames, frames[1:], strict=False))
    columns = {name: np.concatenate([getattr(frame, name) for frame in frames]) for name in MEASURED}
    return Frame(frames[0].first, **columns, overflow=frames[-1].overflow)


@functools.cache
def run_whole(name: str) -> tuple[State, Frame]:
    """Sixty steps in one slice."""
    return advance(start(name), STEPS)


# ---------------------------------------------------------------------------------------------------- determinism


@EACH_LANE
def test_same_seed_gives_the_same_bits(name):
    """Twice the same, also with a trainer made afresh; and something else from another seed."""
    get_trainer.cache_clear()
    state, frame = advance(start(name), STEPS)
    assert_same(state, run_whole(name)[0])
    assert_same(frame, run_whole(name)[1])
    assert (state.step, frame.first, len(frame), frame.diverged) == (STEPS, 0, STEPS, False)
    other, _ = advance(start(name, seed=1), STEPS)
    assert not np.array_equal(state.weights, other.weights)


@EACH_LANE
def test_any_slicing_gives_the_same_bits(name):
    """Weights, moments, running statistics and rows do not tell where the slices were, nor what ran in between."""

    @settings(deadline=None, max_examples=8)
    @given(st.sets(st.integers(1, STEPS - 1), max_size=8), st.booleans())
    def check(cuts, disturb):
        state, frames = start(name), []
        for first, last in zip([0, *sorted(cuts)], [*sorted(cuts), STEPS], strict=True):
            state, frame = advance(state, last - first)
            frames.append(frame)
            if disturb:  # the same trainer, kept between slices, serves other states too
                advance(start(name, seed=2), 2)
        assert_same(state, run_whole(name)[0])
        assert_same(join(frames), run_whole(name)[1])

    check()


@EACH_LANE
def test_what_is_given_is_not_changed(name):
    """Neither `advance` nor `measure` nor `finish` changes a state, nor shares memory with one."""
    state, _ = advance(start(name), 15)
    before = {array: getattr(state, array).copy() for array in ARRAYS}
    after, _ = advance(state, 7)
    measure(state)
    finish(state)
    for array, values in before.items():
        np.testing.assert_array_equal(getattr(state, array), values)
        assert not np.shares_memory(getattr(state, array), getattr(after, array))
    assert not np.array_equal(state.weights, after.weights)
    kept = after.weights.copy()
    advance(after, 3)  # the trainer goes on, the state does not
    np.testing.assert_array_equal(after.weights, kept)


@EACH_LANE
@pytest.mark.parametrize("step", [0, 5, 20])
def test_measure_is_the_next_advances_first_row(name, step):
    """The same numbers, and a probe at any step."""
    state, _ = advance(start(name), step)
    look, (_, frame) = measure(state), advance(state, 1)
    assert (look.first, len(look), look.probe_step.tolist()) == (step, 1, [step])
    for row in ("loss", "accuracy", "gradient"):
        np.testing.assert_array_equal(getattr(look, row), getattr(frame, row), strict=True)
    if step % PROBE_EVERY == 0:
        assert_same(look, frame)


# ---------------------------------------------------------------------------------------------------- live changes


CHANGES = (Change(5, 0, "cuts", (2, 1)), Change(10, 0, "lr", 0.01), Change(20, 0, "skip", False),
           Change(25, 0, "momentum", 0.5), Change(33, 0, "weight_decay", 0.01), Change(33, 0, "skip", True),
           Change(40, 0, "lr", 0.02), Change(45, 0, "cuts", (0,)))


def run_race(race: RaceConfig, cuts: list[int]) -> State:
    """One lane of a race, sliced at `cuts`, each slice under the lane as it then is."""
    state = make_state(race.lanes[0], race.dataset, race.seed)
    for first, last in zip([0, *cuts], [*cuts, STEPS], strict=True):
        state, _ = advance(state, last - first, race.lane_at(0, first))
    return state


@pytest.mark.parametrize("name", ["dense", "conv-batch"])
def test_live_changes_replay_to_the_bit(name):
    """Sliced where the changes were made, or a step at a time: the same run, and not the run without them."""
    race = RaceConfig(lanes=(LANES[name],), changes=CHANGES)
    live = run_race(race, sorted({change.step for change in CHANGES}))
    assert_same(live, run_race(RaceConfig.from_json(race.to_json()), list(range(1, STEPS))))
    assert live.lane == race.lane_at(0, STEPS)
    for k in range(len(CHANGES)):
        fewer = replace(race, changes=CHANGES[:k] + CHANGES[k + 1 :])
        assert not np.array_equal(live.weights, run_race(fewer, list(range(1, STEPS))).weights), CHANGES[k]


def test_a_change_leaves_the_weights_as_they_are():
    """Cutting the shortcuts changes what the net computes, and not its weights."""
    state, _ = advance(start("dense"), 20)
    cut = LANES["dense"].changed("skip", False)
    same, frame = advance(state, 0, cut)
    assert_same(state, same)
    assert len(frame) == 0 and same.lane == cut
    assert measure(state, cut).loss[0] > measure(state).loss[0]


# ---------------------------------------------------------------------------------------------------- cuts


@st.composite
def draw_cut_lanes(draw: st.DrawFn) -> Lane:
    """Lanes of three blocks that have shortcuts, trained by hand or by autograd."""
    family = draw(st.sampled_from(["dense", "conv"]))
    shortcuts = {"dense": ("identity", "zero-pad", "projection", "projection-all"),
                 "conv": ("zero-pad", "projection", "projection-all")}[family]
    shortcut, norm = draw(st.sampled_from(shortcuts)), draw(st.sampled_from(["none", "batch"]))
    width = (8, 16) if shortcut in ("zero-pad", "projection") and family == "dense" else (4,)
    net = NetConfig(family, shortcut, 8, width, norm, order=draw(st.sampled_from(["post", "pre"])))
    return Lane(net, TrainConfig(draw(st.sampled_from(["sgd", "adamw"])), 0.01, batch_size=16, weight_decay=0.01))


@settings(deadline=None, max_examples=25)
@given(draw_cut_lanes(), st.integers(0, 1000))
def test_all_blocks_cut_is_the_plain_twin(lane, seed):
    """To the bit, state and frames, whatever else the lane is; with one block left it is not."""
    all_cut, plain = lane.changed("cuts", (0, 1, 2)), lane.changed("skip", False)
    assert not all_cut.net.residual
    ends = [advance(make_state(each, "digits", seed), 12) for each in (all_cut, plain)]
    for a, b in zip(*ends, strict=True):
        assert_same(a, b)
    assert not np.array_equal(advance(make_state(lane.changed("cuts", (0, 1)), "digits", seed), 12)[0].weights,
                              ends[1][0].weights)


def test_by_hand_and_by_autograd_cuts_train_alike(monkeypatch):
    """Dense nets of each shortcut, one block cut: 12 steps by hand are 12 steps of autograd, but for rounding."""
    for shortcut, width in (("identity", (16,)), ("zero-pad", (8, 16)), ("projection", (16, 8)), ("projection-all", (16,))):
        lane = Lane(NetConfig(depth=8, shortcut=shortcut, width=width, cuts=(1,)), TrainConfig(batch_size=32))
        state = make_state(lane, "digits", 0)
        by_hand, measured = advance(state, 12)
        trainer = get_trainer(lane, "digits")
        assert trainer.hand_written is not None
        monkeypatch.setattr(trainer, "hand_written", None)
        by_autograd, frame = advance(state, 12)
        assert by_hand.weights == pytest.approx(by_autograd.weights, abs=1e-5)
        assert measured.ratio == pytest.approx(frame.ratio, rel=1e-3, nan_ok=True)
        assert np.isnan(measured.ratio[0]).tolist() == [False, True, False]


def test_a_cut_w_s_stays_as_it_is():
    """Its gradient is 0: of a block that is cut the shortcut's weights do not move; mended, they do."""
    lane = Lane(NetConfig(depth=8, shortcut="projection-all", width=(16,)), TrainConfig(batch_size=32))
    state = make_state(lane.changed("cuts", (1,)), "digits", 0)

    def read(at: State) -> np.ndarray:
        return load_trainer(at).module.blocks[1].shortcut[0].weight.detach().numpy().copy()

    cut, _ = advance(state, 5)
    mended, _ = advance(cut, 5, lane)
    assert np.array_equal(read(cut), read(state)) and not np.array_equal(read(mended), read(cut))


# ---------------------------------------------------------------------------------------------------- frames


@EACH_LANE
@pytest.mark.parametrize(("first", "steps"), [(0, 0), (0, 1), (0, 25), (3, 4), (9, 12)])
def test_frames_are_as_documented(name, first, steps):
    """Shapes and types; a probe at each tenth step; NaN only where there is nothing to measure."""
    lane = LANES[name]
    state, frame = advance(advance(start(name), first)[0], steps)
    probed = [step for step in range(first, first + steps) if step % PROBE_EVERY == 0]
    m, depth, blocks = len(probed), lane.net.depth, lane.net.blocks
    shapes = {"loss": (steps,), "accuracy": (steps,), "gradient": (steps, depth - 1), "probe_step": (m,),
              "test_loss": (m,), "test_accuracy": (m,), "weight_gradient": (m, depth), "ratio": (m, blocks),
              "share": (m, blocks), "cosine": (m, blocks), "weight_norm": (m, blocks)}
    assert {field: getattr(frame, field).shape for field in MEASURED} == shapes
    assert {field for field in MEASURED if getattr(frame, field).dtype != np.float32} == {"probe_step"}
    assert frame.probe_step.dtype == np.int64 and frame.probe_step.tolist() == probed
    assert (frame.first, len(frame), state.step) == (first, steps, first + steps)
    for field in set(MEASURED) - {"ratio", "share", "cosine"}:
        assert np.isfinite(getattr(frame, field)).all(), field
    assert np.isnan(frame.ratio).all() and np.isnan(frame.share).all() or lane.net.residual or not m
    assert all(getattr(state, array).dtype == np.float32 for array in ARRAYS)
    assert state.moments.shape == (len(MOMENTS[lane.train.optimizer]), len(state.weights))


def test_lanes_see_the_same_batches(monkeypatch):
    """Whatever the net and the optimizer, the batch of a step is the race's."""
    seen, take = [], Data.take_batch

    def watch(data: Data, seed: int, step: int, size: int) -> tuple:
        seen.append(take(data, seed, step, size)[0])
        return take(data, seed, step, size)

    monkeypatch.setattr(Data, "take_batch", watch)
    for name in LANES:
        advance(start(name, seed=3), 50)  # over an epoch of 44 steps
    for k in range(1, len(LANES)):
        assert all(torch.equal(a, b) for a, b in zip(seen[:50], seen[50 * k : 50 * k + 50], strict=True))
    assert len(seen) == 50 * len(LANES) and not torch.equal(seen[0], seen[1])


# ---------------------------------------------------------------------------------------------------- the step itself


def train_as_torch_does(lane: Lane, steps: int) -> np.ndarray:
    """The same training, the usual way: module, backward, PyTorch's optimizer with its default implementation."""
    module, data, train = build_net(lane.net, DATASETS["digits"], 0), load_data("digits"), lane.train
    apart = train.decay == "decoupled" and train.optimizer == "sgd"  # PyTorch has no such optimizer: by hand, below
    groups = [{"params": [p], "weight_decay": 0 if apart or not decays(lane, name) else train.weight_decay}
              for name, p in module.named_parameters()]
    if train.optimizer == "sgd":
        optimizer = torch.optim.SGD(groups, train.lr, train.momentum)
    else:
        optimizer = (torch.optim.Adam if train.decay == "coupled" else torch.optim.AdamW)(groups, train.lr)
    for step in range(steps):
        x, y = data.take_batch(0, step, train.batch_size)
        optimizer.zero_grad(set_to_none=False)
        F.cross_entropy(module(x), y).backward()
        if apart:
            for name, p in module.named_parameters():
                p.data *= 1 - train.lr * train.weight_decay * decays(lane, name)
        optimizer.step()
    return torch.nn.utils.parameters_to_vector(module.parameters()).detach().numpy()


def decays(lane: Lane, name: str) -> bool:
    train = lane.train
    block = train.decay_block is None or name.startswith(f"blocks.{train.decay_block}.")
    return block and (train.decay_bias or "bias" not in name)


@pytest.mark.parametrize("name", ["dense", "plain", "conv-batch", "adamw", "tanh", "decay-block", "decay-decoupled",
                                  "decay-adam"])
def test_steps_are_torchs(name):
    """Twenty steps move the weights as PyTorch's own loop does, measured within 4e-7 of the way moved.

    Not AdamW with BatchNorm: weights of a pixel that is constant in a batch have gradient 0, and AdamW makes whole steps
    of its rounding noise.
    """
    state, _ = advance(start(name), 20)
    theirs = train_as_torch_does(LANES[name], 20)
    moved = np.linalg.norm(theirs - start(name).weights)
    assert np.linalg.norm(state.weights - theirs) < 1e-5 * moved


def test_decay_takes_hold_of_what_is_chosen():
    """With one block chosen, W[l+2] of that block shrinks and the others do not; b only where biases decay too."""
    def train_on(**decay) -> dict[str, float]:
        lane = Lane(NetConfig(depth=8, width=(16,)), TrainConfig(weight_decay=0.3, **decay))
        state, _ = advance(make_state(lane, "digits", 0), 60)
        trainer = get_trainer(state.lane, "digits")
        return {name: p.norm().item() for name, p in trainer.module.named_parameters()}

    one, bare = train_on(decay_block=1), train_on(decay_block=1, decay_bias=False)
    assert one["blocks.1.layer2.weight"] < 0.3 * one["blocks.0.layer2.weight"]
    assert one["blocks.1.layer2.bias"] < 0.5 * bare["blocks.1.layer2.bias"]
    everything = train_on(decay="decoupled")
    assert everything["blocks.0.layer2.weight"] < 0.5 * one["blocks.0.layer2.weight"]


# ---------------------------------------------------------------------------------------------------- divergence


def explode(lr: float, **net: str) -> Lane:
    return Lane(NetConfig(depth=20, init="he", **net), TrainConfig(lr=lr, batch_size=64))


def list_not_finite(record: State | Frame) -> list[str]:
    """Names of arrays that hold a number that is not finite."""
    names = ARRAYS if isinstance(record, State) else MEASURED
    return [name for name in names if not np.isfinite(getattr(record, name)).all()]


@pytest.mark.parametrize("lr", [0.05, 1.0, 10.0, 100.0])
def test_divergence_is_told_and_stops(lr):
    """Residual, He, no normalisation: stopped within a few steps, all numbers finite, and stopped again if asked again."""
    state, frame = advance(make_state(explode(lr), "digits", 0), 40)
    assert frame.diverged and 0 < len(frame) < 5 and state.step == len(frame)
    assert list_not_finite(state) == list_not_finite(frame) == []
    again, nothing = advance(state, 10)
    assert nothing.diverged and len(nothing) == 0
    assert_same(state, again)
    assert measure(state).diverged and len(measure(state)) == 0
    assert_same(state, advance(make_state(explode(lr), "digits", 0), len(frame))[0])


def test_a_run_that_diverged_can_be_rolled_back():
    """The state before, at a smaller rate, trains."""
    lane = explode(0.05)
    state = make_state(lane, "digits", 0)
    assert advance(state, 40)[1].diverged
    _, frame = advance(state, 40, lane.changed("lr", 1e-5))
    assert not frame.diverged and frame.loss[-5:].mean() < frame.loss[:5].mean()


@pytest.mark.parametrize("lr", [10.0, 100.0])
def test_divergence_with_batch_norm_leaves_finite_numbers(lr):
    """BatchNorm hides the explosion from the loss, and not from its running variance."""
    state, frame = advance(make_state(explode(lr, norm="batch"), "digits", 0), 40)
    assert frame.diverged
    assert list_not_finite(state) == list_not_finite(frame) == []


def test_a_refused_step_leaves_no_trace():
    """The state of a run that diverged is the state before the refused step."""
    state = make_state(explode(100.0, norm="batch"), "digits", 0)
    refused, frame = advance(state, 40)
    assert frame.diverged
    assert_same(refused, advance(state, len(frame))[0])


def test_overflow_of_adamws_moments_is_divergence():
    """A state that is not finite is never handed on as a healthy one."""
    lane = replace(explode(1.0), train=TrainConfig("adamw", 1.0, batch_size=64))
    state, frame = advance(make_state(lane, "digits", 0), 40)
    assert frame.diverged or list_not_finite(state) == []


OVERFLOWING = {  # net and training, He's initial weights, 20 layers, and what overflows in all five seeds
    "rate 1": ({}, TrainConfig(lr=1.0, batch_size=64), {"square"}),
    "adamw 1": ({"width": (128,)}, TrainConfig("adamw", 1.0, batch_size=64), {"square"}),
    "rate 10": ({}, TrainConfig(lr=10.0, batch_size=64), {"loss"}),
    "batch norm": ({"norm": "batch"}, TrainConfig(lr=100.0, batch_size=64), {"statistics"}),
    "batch norm, rate 10": ({"norm": "batch"}, TrainConfig(lr=10.0, batch_size=64), {"statistics", "held_out"}),
    "pre-activation": ({"order": "pre"}, TrainConfig(lr=0.05, batch_size=64), {"loss", "square"}),
}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", OVERFLOWING)
def test_what_overflowed_is_what_is_told(name: str, seed: int) -> None:
    """The refused step once more by autograd alone: what is told is not finite, and what stands before it is."""
    net, training, expected = OVERFLOWING[name]
    state, frame = advance(make_state(Lane(NetConfig(depth=20, init="he", **net), training), "digits", seed), 40)
    assert frame.diverged and frame.overflow in expected and measure(state).overflow in {*expected, "held_out"}
    trainer = load_trainer(state)
    x, y = load_data("digits").take_batch(seed, state.step, training.batch_size)
    module = trainer.module.train()
    loss = F.cross_entropy(module(x), y)
    gradient = torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(module.parameters()))])
    finite = {"weights": trainer.weights.isfinite().all(), "loss": loss.isfinite(), "gradient": gradient.isfinite().all(),
              "square": gradient.square().sum().isfinite(), "statistics": trainer.buffers.isfinite().all()}
    names = list(OVERFLOWS)
    for before in names[: names.index(frame.overflow)]:
        assert finite[before], before
    assert frame.overflow == "held_out" or not finite[frame.overflow]


def test_a_weight_that_is_not_finite_is_told_before_its_loss() -> None:
    state = start("dense")
    weights = state.weights.copy()
    weights[0] = np.nan
    assert measure(replace(state, weights=weights)).overflow == "weights"
    assert measure(state).overflow is None and not measure(state).diverged
