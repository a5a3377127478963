"""`python -m bench`: the figures of the README, each a ratio or a count from one run. Nothing here is a test."""

from __future__ import annotations

import itertools
import os
import platform

os.environ.setdefault("OMP_NUM_THREADS", "1")

from bench import board, engine, landscape, sweep, training  # noqa: E402  (one thread is decided before torch is imported)


def main() -> None:
    cores = len(os.sched_getaffinity(0))
    print(f"{platform.machine()}, {cores} cores, Python {platform.python_version()}")
    for title, figures in itertools.chain(training.measure_all(), engine.measure_all(), landscape.measure_all(),
                                          sweep.measure_all(), board.measure_all()):
        print(f"{title:72} {figures}", flush=True)


if __name__ == "__main__":
    main()
