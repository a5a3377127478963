"""Operations on a state's blocks: to train on from, on the way of a race, or only to see what they do."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from resnet_viz.lab import probes, surgery
from resnet_viz.lab.batches import check
from resnet_viz.lab.datasets import load_data
from resnet_viz.lab.experiments.training import advance, finish, load_net, load_trainer, make_state
from resnet_viz.lab.nets import Net
from resnet_viz.records import (
    N_,
    WEIGHT_OPERATIONS,
    ConfigError,
    Frame,
    Operation,
    OperationResult,
    RaceConfig,
    State,
    list_targets,
)


def edit_state(state: State, operations: Iterable[Operation]) -> State:
    """A copy of the state with its weights changed, to train on from. Raises `ConfigError` for lesions and cuts.

    The optimizer's moments of these weights are changed alike: a zeroed weight is at rest, so that only its gradient
    can move it.
    """
    operations = tuple(operations)
    if not operations:
        return state
    for operation in operations:
        if operation.kind not in WEIGHT_OPERATIONS:
            raise ConfigError("operation", operation.kind, N_("one of {allowed}: a change of weights, to train on from"),
                              allowed=tuple(WEIGHT_OPERATIONS))

    def edit(flat: np.ndarray) -> State:
        trainer = load_trainer(dataclasses.replace(state, weights=flat))
        with surgery.operated(trainer.module, operations):
            return trainer.save(state, 0)

    return dataclasses.replace(edit(state.weights), moments=np.stack([edit(row).weights for row in state.moments]))


def follow(race: RaceConfig, watch: Callable[[Frame], None], size: int = 50) -> State:
    """Train a race of one lane, `size` steps at a time, with all that was changed and edited on the way and at its end.

    `watch` is called with what was measured on the way, frame by frame, until the last step or divergence. Any size gives
    the same bits.
    """
    state = make_state(race.lanes[0], race.dataset, race.seed)
    while state.step < race.steps:
        state = edit_state(state, race.edits_at(0, state.step))
        stop = min([race.steps, state.step + size, *race.stops_after(state.step)])
        state, frame = advance(state, stop - state.step, race.lane_at(0, state.step))
        watch(frame)
        if frame.diverged:
            return state
    return edit_state(dataclasses.replace(state, lane=race.lane_at(0, race.steps)), race.edits_at(0, race.steps))


@contextlib.contextmanager
def operate(state: State, operations: Iterable[Operation], recompute: bool) -> Iterator[Net]:
    """The state's net under operations; `recompute` re-estimates BatchNorm's running statistics after them."""
    check()
    with surgery.operated(load_net(state), operations) as module:
        if recompute:
            probes.recompute_statistics(module, load_data(state.dataset))
        yield module


def measure_operation(state: State, operations: Iterable[Operation], recompute: bool = False) -> OperationResult:
    """What operations do to the net of a state, which is not changed. Raises `ConfigError` where one does not apply."""
    before, operations, data = finish(state), tuple(operations), load_data(state.dataset)
    with operate(state, operations, recompute) as module:
        after = probes.measure_whole(module, data)
        gap, same = surgery.measure_identity(module, data.test_x, [k for item in operations for k in item.blocks])
    return OperationResult(before, after, gap, same)


def measure_each_block(state: State, kind: str, recompute: bool = False) -> np.ndarray:
    """Accuracy on the training and the held-out part after operating on one block alone: (2, K), input to output.

    NaN where the operation does not apply to the block. Veit et al. 2016 (1605.06431), fig. 3.
    """
    data = load_data(state.dataset)
    result = np.full((2, state.lane.net.blocks), np.nan)
    for k in list_targets(kind, state.lane.net):
        with operate(state, [Operation(kind, k)], recompute) as module:
            after = probes.measure_whole(module, data)
        result[:, k] = after["train_accuracy"], after["test_accuracy"]
    return result


def measure_cumulative(state: State, kind: str, draws: int, seed: int, recompute: bool = False) -> np.ndarray:
    """Held-out accuracy after operating on 0, 1, … K blocks: (K+1, draws), K of those that it applies to.

    Each draw is a random order of the blocks; its row k has the first k of them. Veit et al. 2016 (1605.06431), fig. 5a.
    """
    data, targets = load_data(state.dataset), list_targets(kind, state.lane.net)
    rng, result = np.random.default_rng(seed), np.zeros((len(targets) + 1, draws))
    for draw in range(draws):
        operations = [Operation(kind, int(k)) for k in rng.permutation(targets)]
        for count in range(len(targets) + 1):
            with operate(state, operations[:count], recompute) as module:
                result[count, draw] = probes.measure_held_out(module, data)[1]
    return result
