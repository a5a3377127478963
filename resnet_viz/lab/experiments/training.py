"""Training, and what is measured on the way: with what it imports, all the code that determines a run's numbers.

Whoever changes a bit of them raises `sweeps.NUMBERS`, by which stored runs are known; `tests/lab/test_golden.py` watches.
"""

from __future__ import annotations

import dataclasses
import math
import time
from typing import Any

import numpy as np
import torch
from torch import Tensor

from resnet_viz.lab import probes
from resnet_viz.lab.datasets import load_data
from resnet_viz.lab.nets import Net, build_net
from resnet_viz.lab.train import MOMENTS, Trainer, flatten, get_trainer, set_up_process
from resnet_viz.records import DATASETS, OVERFLOWS, PROBE_EVERY, Frame, Lane, State


def make_state(lane: Lane, dataset: str, seed: int) -> State:
    """The state before the first step."""
    module = build_net(lane.net, DATASETS[dataset], seed)
    weights = flatten(list(module.parameters()))
    buffers = flatten([b for b in module.buffers() if b.is_floating_point()])
    moments = np.zeros((len(MOMENTS[lane.train.optimizer]), len(weights)), np.float32)
    return State(lane, dataset, seed, 0, weights, buffers, moments)


def advance(state: State, steps: int, lane: Lane | None = None) -> tuple[State, Frame]:
    """Train `steps` steps from `state`, which is not changed: the new state, and what was measured on the way.

    `lane`, where given, is the lane's configuration from this step on (a live change). Any slicing gives the same bits.
    Training stops before a step that starts from, or leads to, a number that is not finite; that step leaves no trace.
    """
    started = time.perf_counter()
    state = dataclasses.replace(state, lane=lane or state.lane)
    trainer, rows, looks, overflow = load_trainer(state), [], [], None
    for step in range(state.step, state.step + steps):
        statistics = trainer.buffers.clone()
        row, look = _pass(trainer, state.seed, step, step % PROBE_EVERY == 0)
        overflow = _find_overflow(trainer, row, look)
        if overflow is not None:
            trainer.buffers.copy_(statistics)
            break
        rows.append(row)
        looks += look
        trainer.update()
    frame = _make_frame(state, rows, looks, time.perf_counter() - started, overflow)
    return trainer.save(state, len(rows)), frame


def measure(state: State, lane: Lane | None = None) -> Frame:
    """Measure where a state stands, on its next batch, without training: a frame of one row and one probe."""
    state = dataclasses.replace(state, lane=lane or state.lane)
    trainer = load_trainer(state)
    row, look = _pass(trainer, state.seed, state.step, True)
    overflow = _find_overflow(trainer, row, look)
    return _make_frame(state, [row], look, 0.0) if overflow is None else _make_frame(state, [], [], 0.0, overflow)


def load_trainer(state: State) -> Trainer:
    """A trainer that holds a copy of the state, until the next state of the same configuration is loaded."""
    set_up_process()  # per thread, and a worker may run a task in any
    trainer = get_trainer(state.lane, state.dataset)
    trainer.load(state)
    return trainer


def load_net(state: State) -> Net:
    """The state's net, for as long as `load_trainer` says."""
    return load_trainer(state).module


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
    return probes.measure_whole(load_net(state), load_data(state.dataset))


def finish_run(state: State) -> dict[str, Any]:
    """What a sweep keeps of a run: `finish`, and the same with BatchNorm's statistics recomputed, in `…_recomputed`.

    The stored ones lag behind the weights, and say another number where these move fast. Equal without BatchNorm.
    """
    stored, module = finish(state), load_net(state)
    if state.lane.net.norm == "none":
        again = stored
    else:
        with probes.recomputed(module, load_data(state.dataset)):
            again = probes.measure_whole(module, load_data(state.dataset))
    return stored | {f"{name}_recomputed": value for name, value in again.items()}


def _find_overflow(trainer: Trainer, row: Tensor, look: list[tuple]) -> str | None:
    """The first of `OVERFLOWS` among all that a step measured and that its update would use; None where all is finite."""
    held_out = [value for probe in look for value in probe[1:3]]
    if bool(row.isfinite().all()) and trainer.is_finite() and all(map(math.isfinite, held_out)):
        return None
    gradient = trainer.weights.grad
    values = {"weights": trainer.weights, "loss": row[:1], "gradient": torch.cat([gradient, row[2:]]),
              "square": torch.dot(gradient, gradient), "statistics": trainer.buffers, "held_out": torch.tensor(held_out)}
    return next(name for name in OVERFLOWS if not values[name].isfinite().all())


def _make_frame(state: State, rows: list[Tensor], looks: list[tuple], seconds: float, overflow: str | None = None) -> Frame:
    depth, blocks = state.lane.net.depth, state.lane.net.blocks
    table = torch.stack(rows).numpy() if rows else np.zeros((0, depth + 1), np.float32)
    shapes = [(), (), (), (depth,), *[(blocks,)] * 4]
    columns = zip(*looks, strict=True) if looks else [[]] * len(shapes)
    step, *probe = [np.array(column, np.float32).reshape(-1, *s) for column, s in zip(columns, shapes, strict=True)]
    return Frame(state.step, table[:, 0], table[:, 1], table[:, 2:], step.astype(np.int64), *probe,
                 seconds=seconds, overflow=overflow)
