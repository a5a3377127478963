"""(g) The same sweep on one worker and on two. (h) What a sweep's tasks cost the scheduler and the server."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import psutil

from bench.training import describe
from resnet_viz.engine import headless
from resnet_viz.engine import sweep as engine
from resnet_viz.engine.cluster import WORKERS_VARIABLE
from resnet_viz.engine.run import Run, Share
from resnet_viz.engine.sweep import Sweep
from resnet_viz.sweeps import make_sweep

ROUNDS = 3
GRID = make_sweep({"family": "conv", "depth": 20, "steps": 150}, {"seed": range(4)})
SMALL = make_sweep({"depth": 20, "steps": 1000}, {"seed": range(4)})


def measure_all() -> Iterator[tuple[str, str]]:
    pairs = [(run(GRID, 1), run(GRID, 2)) for _ in range(ROUNDS)]
    yield "(g) a sweep of 4 runs of conv 20: one worker against two, times", describe([one / two for one, two in pairs])
    costs = [measure_tasks() for _ in range(ROUNDS)]
    for i, name in enumerate(("scheduler", "server")):
        figures = describe([cost[i] for cost in costs]).replace("pairs", "rounds")
        yield f"(h) a task of a sweep: time of the {name}, ms", figures


def run(config, workers: int, watch=lambda _: None) -> float:
    """Seconds of a sweep with an empty store, the workers' start not counted."""
    with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ, {WORKERS_VARIABLE: str(workers)}):
        sweep = headless.run_sweep(config, f"sqlite:///{Path(folder)}/runs.sqlite", show_progress=watch)
    assert sweep.state == "done" and all(run.result is not None for run in sweep.runs)
    return sweep.seconds


def measure_tasks() -> tuple[float, float]:
    """Milliseconds of the scheduler and of this process per task, in the middle of a sweep on two workers.

    The slices are an eighth of the usual, so that what both do anyway counts little.
    """
    tasks, looks = [], []

    def watch(sweep: Sweep) -> None:
        if sweep.state == "running" and 0.2 < sweep.fraction < 0.9:
            scheduler = psutil.Process(sweep.cluster.embedded.scheduler.process.pid)
            spent = [sum(process.cpu_times()[:2]) for process in (scheduler, psutil.Process())]
            looks.append((len(tasks), *spent))

    submit, usual = Run._submit, engine.ALONE
    eighth = Share(seconds=usual.seconds / 8, keep=usual.keep / 8, frame=usual.frame / 8)
    with (mock.patch.object(Run, "_submit", lambda *args: tasks.append(1) or submit(*args)),
          mock.patch.object(engine, "ALONE", eighth)):
        run(SMALL, 2, watch)
    count, scheduler, server = (last - first for first, last in zip(looks[0], looks[-1], strict=True))
    return 1000 * scheduler / count, 1000 * server / count


if __name__ == "__main__":
    for title, figures in measure_all():
        print(f"{title:72} {figures}", flush=True)
