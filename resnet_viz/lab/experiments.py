"""What the engine and the command line call: training and measuring, composed."""

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
from resnet_viz.lab.train import Trainer, get_trainer, make_state, set_up_process
from resnet_viz.records import Frame, Lane, State

PROBE_EVERY = 10  # steps; the held-out set costs as much as a training step, so not at each

__all__ = ["advance", "finish", "make_state", "measure"]


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
        return row, [(step, *held_out, slopes, *probes.measure_blocks(trace))]


def finish(state: State) -> dict[str, Any]:
    """Loss and accuracy on the whole training part and on the held-out part."""
    (_, trainer), data = _load(state, None), load_data(state.dataset)
    train = probes.measure_accuracy(trainer.module, data.x, data.y)
    test = probes.measure_held_out(trainer.module, data)
    return dict(zip(("train_loss", "train_accuracy", "test_loss", "test_accuracy"), train + test, strict=True))


def _is_finite(trainer: Trainer, row: Tensor, look: list[tuple]) -> bool:
    """Whether all is finite that a step measured and that its update would use."""
    held_out = [value for probe in look for value in probe[1:3]]
    return bool(row.isfinite().all()) and trainer.is_finite() and all(map(math.isfinite, held_out))


def _make_frame(state: State, rows: list[Tensor], looks: list[tuple], seconds: float, diverged: bool) -> Frame:
    depth, blocks = state.lane.net.depth, state.lane.net.blocks
    table = torch.stack(rows).numpy() if rows else np.zeros((0, depth + 1), np.float32)
    shapes = [(), (), (), (depth,), (blocks,), (blocks,), (blocks,)]
    columns = zip(*looks, strict=True) if looks else [[]] * len(shapes)
    step, *probe = [np.array(column, np.float32).reshape(-1, *s) for column, s in zip(columns, shapes, strict=True)]
    return Frame(state.step, table[:, 0], table[:, 1], table[:, 2:], step.astype(np.int64), *probe,
                 seconds=seconds, diverged=bool(diverged))
