"""(f) A grid of losses by two processes of ours against the plain double loop in one, on the same grid.

The plain loop is a tutorial's: it sets the weights, evaluates the module over all training examples, and repeats: with
one thread, as all plain loops here, and with a thread per core, as PyTorch has it by default.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Iterator

import numpy as np
import torch

from bench.training import NETS, describe
from resnet_viz.lab import landscape
from resnet_viz.lab.datasets import load_data
from resnet_viz.lab.experiments import training
from resnet_viz.lab.experiments.planes import measure_landscape_rows
from resnet_viz.lab.train import get_trainer, set_up_process
from resnet_viz.records import Lane, State

GRIDS = {"dense 20": 25, "conv 20": 11}  # points a side
LATE = {"dense 20": 2000, "conv 20": 300}  # steps after which the loss is nearly 0, and a relative difference is hardest
WORKERS = 2
ROUNDS = 3
TOLERANCE = 1e-4  # relative


def measure_all() -> Iterator[tuple[str, str]]:
    for name, side in GRIDS.items():
        state, _ = training.advance(training.make_state(Lane(NETS[name][0]), "digits", 0), 20)
        pairs = compare(state, np.linspace(-1, 1, side))
        for i, threads in enumerate(("one thread", "a thread per core")):
            yield f"(f) {name}: {side}x{side} losses, plain loop of {threads}, times", describe([p[i] for p in pairs])
        yield (f"(f) {name}: the widest relative difference of a loss, after 20 steps",
               f"{max(p[2] for p in pairs):.1e} (aim {TOLERANCE:.0e})")
        state, _ = training.advance(state, LATE[name] - 20)
        yield (f"(f) {name}: the same, after {LATE[name]:,} steps",
               f"{find_difference(state, np.linspace(-1, 1, 11)):.1e} (aim {TOLERANCE:.0e})")


def compare(state: State, grid: np.ndarray) -> list[tuple[float, float, float]]:
    """Of each round the ratios of seconds to the plain loop's, of one thread and of one per core, and the widest relative
    difference."""
    context, pairs = multiprocessing.get_context("spawn"), []
    with context.Pool(WORKERS, initializer=set_up_process) as pool:
        pool.map(run_rows, [(state, grid[:2], grid[:2])] * WORKERS, chunksize=1)  # warm
        for _ in range(ROUNDS):
            (plain, alone), (_, shared) = (time_plain(state, grid, n) for n in (1, len(os.sched_getaffinity(0))))
            began = time.perf_counter()
            parts = pool.map(run_rows, [(state, grid, part) for part in np.array_split(grid, WORKERS)], chunksize=1)
            ours = time.perf_counter() - began
            pairs.append((alone / ours, shared / ours, float(np.abs(np.concatenate(parts) / plain - 1).max())))
    torch.set_num_threads(1)
    return pairs


def find_difference(state: State, grid: np.ndarray) -> float:
    """The widest relative difference of a loss on the grid between the fast way and the plain loop."""
    return float(np.abs(run_rows((state, grid, grid)) / time_plain(state, grid, 1)[0] - 1).max())


def run_rows(task: tuple[State, np.ndarray, np.ndarray]) -> np.ndarray:
    """Some rows of the grid, in a worker."""
    state, xs, ys = task
    return measure_landscape_rows(state, 0, xs, ys)


def time_plain(state: State, grid: np.ndarray, threads: int) -> tuple[np.ndarray, float]:
    """The grid by the plain double loop, and its seconds."""
    module, data = get_trainer(state.lane, state.dataset).module, load_data(state.dataset)
    training.finish(state)  # loads the state
    torch.set_num_threads(threads)
    directions = landscape.make_directions(module, 0)
    module.eval()
    began = time.perf_counter()
    losses = landscape.measure_rows_plainly(module, directions, grid, grid, data.x, data.y)
    return losses, time.perf_counter() - began


if __name__ == "__main__":
    for title, figures in measure_all():
        print(f"{title:72} {figures}", flush=True)
