"""What the engine and the command line call: training, measuring and operating, composed."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from resnet_viz.lab import dimensions, glass, probes, surgery, weights
from resnet_viz.lab.datasets import Data, load_data
from resnet_viz.lab.dimensions import add_unequal
from resnet_viz.lab.nets import Net
from resnet_viz.lab.train import Trainer, get_trainer, make_state, set_up_process
from resnet_viz.records import (
    DATASETS,
    N_,
    WEIGHT_OPERATIONS,
    BlockEffect,
    BlockView,
    ConfigError,
    Frame,
    Lane,
    Operation,
    OperationResult,
    ProjectionView,
    Source,
    State,
    check_source,
    check_view,
    list_targets,
)

PROBE_EVERY = 10  # steps; the held-out set costs as much as a training step, so not at each
GRADIENT_BATCH = 128

__all__ = ["advance", "edit_state", "finish", "load_weights", "make_state", "measure", "measure_cumulative",
           "measure_each_block", "measure_operation", "measure_projections", "open_block", "save_weights",
           "add_unequal"]


def advance(state: State, steps: int, lane: Lane | None = None) -> tuple[State, Frame]:
    """Train `steps` steps from `state`, which is not changed: the new state, and what was measured on the way.

    `lane`, where given, is the lane's configuration from this step on (a live change). Any slicing gives the same bits.
    Training stops before a step that starts from, or leads to, a number that is not finite; that step leaves no trace.
    """
    started = time.perf_counter()
    state, trainer = _load(state, lane)
    rows, looks, diverged = [], [], False
    for step in range(state.step, state.step + steps):
        statistics = trainer.buffers.clone()
        row, look = _pass(trainer, state.seed, step, step % PROBE_EVERY == 0)
        diverged = not _is_finite(trainer, row, look)
        if diverged:
            trainer.buffers.copy_(statistics)
            break
        rows.append(row)
        looks += look
        trainer.update()
    frame = _make_frame(state, rows, looks, time.perf_counter() - started, diverged)
    return trainer.save(state, len(rows)), frame


def measure(state: State, lane: Lane | None = None) -> Frame:
    """Measure where a state stands, on its next batch, without training: a frame of one row and one probe."""
    state, trainer = _load(state, lane)
    row, look = _pass(trainer, state.seed, state.step, True)
    diverged = not _is_finite(trainer, row, look)
    return _make_frame(state, [] if diverged else [row], [] if diverged else look, 0.0, diverged)


def _load(state: State, lane: Lane | None) -> tuple[State, Trainer]:
    """The state under the lane's configuration, and a trainer holding a copy of it."""
    set_up_process()  # per thread, and a worker may run a task in any
    state = dataclasses.replace(state, lane=lane or state.lane)
    trainer = get_trainer(state.lane, state.dataset)
    trainer.load(state)
    return state, trainer


def _pass(trainer: Trainer, seed: int, step: int, probe: bool) -> tuple[Tensor, list[tuple]]:
    """Forward and backward pass of one step, measured: the row (loss, accuracy, gradient (L)), and the probe, if any."""
    data = load_data(trainer.dataset)
    held_out = probes.measure_held_out(trainer.module, data) if probe else ()
    x, y = data.take_batch(seed, step, trainer.lane.train.batch_size)
    loss, trace = trainer.run_passes(x, y)
    with torch.no_grad():
        accuracy = (trace.logits.argmax(1) == y).float().mean()
        row = torch.cat([torch.stack([loss, accuracy]), probes.measure_gradients(trace)])
        if not probe:
            return row, []
        slopes = probes.measure_weight_gradients(trainer.module, trainer.gradients)
        norms = probes.measure_weight_norms(trainer.module)
        return row, [(step, *held_out, slopes, *probes.measure_blocks(trace), norms)]


def finish(state: State) -> dict[str, Any]:
    """Loss and accuracy on the whole training part and on the held-out part."""
    (_, trainer), data = _load(state, None), load_data(state.dataset)
    return _measure_whole(trainer.module, data)


def _measure_whole(module: Net, data: Data) -> dict[str, Any]:
    train, test = probes.measure_accuracy(module, data.x, data.y), probes.measure_held_out(module, data)
    return dict(zip(("train_loss", "train_accuracy", "test_loss", "test_accuracy"), train + test, strict=True))


def _is_finite(trainer: Trainer, row: Tensor, look: list[tuple]) -> bool:
    """Whether all is finite that a step measured and that its update would use."""
    held_out = [value for probe in look for value in probe[1:3]]
    return bool(row.isfinite().all()) and trainer.is_finite() and all(map(math.isfinite, held_out))


def _make_frame(state: State, rows: list[Tensor], looks: list[tuple], seconds: float, diverged: bool) -> Frame:
    depth, blocks = state.lane.net.depth, state.lane.net.blocks
    table = torch.stack(rows).numpy() if rows else np.zeros((0, depth + 1), np.float32)
    shapes = [(), (), (), (depth,), *[(blocks,)] * 4]
    columns = zip(*looks, strict=True) if looks else [[]] * len(shapes)
    step, *probe = [np.array(column, np.float32).reshape(-1, *s) for column, s in zip(columns, shapes, strict=True)]
    return Frame(state.step, table[:, 0], table[:, 1], table[:, 2:], step.astype(np.int64), *probe,
                 seconds=seconds, diverged=bool(diverged))


# ---------------------------------------------------------------------------------------------------- operations


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
                              allowed=", ".join(WEIGHT_OPERATIONS))

    def edit(flat: np.ndarray) -> State:
        _, trainer = _load(dataclasses.replace(state, weights=flat), None)
        with surgery.operated(trainer.module, operations):
            return trainer.save(state, 0)

    return dataclasses.replace(edit(state.weights), moments=np.stack([edit(row).weights for row in state.moments]))


@contextlib.contextmanager
def _operate(state: State, operations: Iterable[Operation], recompute: bool) -> Iterator[Net]:
    """The state's net under operations; `recompute` re-estimates BatchNorm's running statistics after them."""
    _, trainer = _load(state, None)
    with surgery.operated(trainer.module, operations) as module:
        if recompute:
            surgery.recompute_statistics(module, load_data(state.dataset))
        yield module


def measure_operation(state: State, operations: Iterable[Operation], recompute: bool = False) -> OperationResult:
    """What operations do to the net of a state, which is not changed. Raises `ConfigError` where one does not apply."""
    before, operations, data = finish(state), tuple(operations), load_data(state.dataset)
    with _operate(state, operations, recompute) as module:
        after = _measure_whole(module, data)
        gap, same = surgery.measure_identity(module, data.test_x, [k for item in operations for k in item.blocks])
    return OperationResult(before, after, gap, same)


def measure_each_block(state: State, kind: str, recompute: bool = False) -> np.ndarray:
    """Accuracy on the training and the held-out part after operating on one block alone: (2, K), input to output.

    NaN where the operation does not apply to the block. Veit et al. 2016 (1605.06431), fig. 3.
    """
    data = load_data(state.dataset)
    result = np.full((2, state.lane.net.blocks), np.nan)
    for k in list_targets(kind, state.lane.net):
        with _operate(state, [Operation(kind, k)], recompute) as module:
            after = _measure_whole(module, data)
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
            with _operate(state, operations[:count], recompute) as module:
                result[count, draw] = probes.measure_held_out(module, data)[1]
    return result


# ---------------------------------------------------------------------------------------------------- single blocks


def open_block(state: State, block: int, operations: Iterable[Operation] = (), source: Source = Source(), unit: int = 0,
               raw: bool = False) -> BlockView:
    """One block of a state's net under operations, fed `source`, and the held-out part; the state is not changed.

    `unit` is a flat index into the shape of a[l+2]. `raw` feeds block 0 the standardised input x, negative numbers and
    all, in the place of a[1]. Raises `ConfigError` where one of these does not fit the net.
    """
    data = load_data(state.dataset)
    check_source(source, state.dataset)
    check_view(state.lane.net, DATASETS[state.dataset], block, unit, raw)
    x, label = _read_source(source, data)
    with _operate(state, (), False) as module:
        before, _ = _look_through(module, block, data, raw)
    with _operate(state, operations, False) as module:
        after, (scatter, against) = _look_through(module, block, data, raw)
        rows, logits = glass.run_block(module, block, x, raw)
        products = glass.list_products(module.blocks[block], rows, unit)
        batch = data.take_batch(state.seed, 0, GRADIENT_BATCH)
        gradient = None if raw else glass.measure_gradient(module, block, *batch)
    probabilities = None if logits is None else logits[0].softmax(0).numpy()
    return BlockView({name: row[0].numpy() for name, row in rows.items()}, products, data.restore(x[0]), label,
                     probabilities, before, after, scatter, against, gradient)


def _look_through(module: Net, block: int, data: Data, raw: bool) -> tuple[BlockEffect, tuple]:
    """What a block does to the held-out part, and pairs of numbers before and behind it."""
    rows, logits = glass.run_block(module, block, data.test_x, raw)
    return glass.measure_effect(module.blocks[block], rows, logits, data.test_y), glass.draw_pairs(rows)


def _read_source(source: Source, data: Data) -> tuple[Tensor, int | None]:
    """One example (1, *shape), and its class where it is known."""
    if source.pixels is None:
        return data.test_x[source.index : source.index + 1], int(data.test_y[source.index])
    return data.standardise(np.array(source.pixels, float).reshape(1, *data.x.shape[1:])), None


def measure_projections(state: State) -> list[ProjectionView]:
    """Every learned W_s of a state's net, input to output, beside the one that its seed began with."""
    start = make_state(state.lane, state.dataset, state.seed)
    now, then = (dimensions.read_projections(_load(s, None)[1].module) for s in (state, start))
    return dimensions.compare_projections(now, then)


# ---------------------------------------------------------------------------------------------------- weight files


def save_weights(state: State, config: dict[str, Any]) -> bytes:
    """A safetensors file of a state's weights and running statistics, by name; `config` goes with it as JSON."""
    return weights.write_weights(_load(state, None)[1].module, config)


def load_weights(path: str, lane: Lane, dataset: str, seed: int) -> State:
    """A state with the weights of a safetensors file. Raises `ConfigError` where they do not fit the lane's net."""
    state, trainer = _load(make_state(lane, dataset, seed), None)
    weights.read_weights(trainer.module, path)
    return trainer.save(state, 0)
