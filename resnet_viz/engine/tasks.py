"""What a worker runs. The server imports this module to name the tasks, so torch is imported inside them only.

A *pair* is what `advance` returns: a state, which stays on the worker, and a frame, which travels.
"""

from __future__ import annotations

import functools
import importlib
import os
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from resnet_viz.records import Frame, Lane, Operation, State, Trajectory

if TYPE_CHECKING:
    from distributed import Worker

NICENESS = 10  # the page comes first: workers take what the server leaves

Pair = tuple[State, Frame | None]


def dask_setup(worker: Worker) -> None:
    """Called in each worker as it starts: import torch at once, so that the first Play is fast."""
    os.setpriority(os.PRIO_PROCESS, 0, max(NICENESS, os.getpriority(os.PRIO_PROCESS, 0)))
    from resnet_viz.lab.experiments import training
    from resnet_viz.lab.train import set_up_process

    set_up_process()
    hash_code()
    state, _ = training.advance(training.make_state(Lane(), "digits", 0), 2)
    training.measure(state)


@functools.cache
def hash_code() -> str:
    """The hash of the code that determines a run's numbers, as this worker had it when it started."""
    from resnet_viz import sweeps

    return sweeps.hash_code()


def start(lane: Lane, dataset: str, seed: int) -> Pair:
    from resnet_viz.lab.experiments.training import make_state

    return make_state(lane, dataset, seed), None


def restore(state: State) -> Pair:
    return state, None


def keep(thing: Any) -> Any:
    """An argument of many calls, sent here once."""
    return thing


def project(pairs: list[Pair], directions: int | str) -> Trajectory:
    """A run's states on a plane; its directions as the landscape takes them, in single precision."""
    from resnet_viz.lab.experiments.planes import project_trajectory

    found = project_trajectory([state for state, _frame in pairs], directions)
    return replace(found, directions=found.directions.astype(np.float32))


def advance(pair: Pair, steps: int, lane: Lane) -> Pair:
    from resnet_viz.lab.experiments import training

    return training.advance(pair[0], steps, lane)


def edit(pair: Pair, operations: list[Operation], lane: Lane) -> Pair:
    from resnet_viz.lab.experiments.operations import edit_state

    return edit_state(replace(pair[0], lane=lane), operations), None


def experiment(name: str, pair: Pair, *arguments: Any) -> Any:
    """A function of `lab` that takes a state first: see `find_function`."""
    return find_function(name)(pair[0], *arguments)


def demonstrate(name: str, *arguments: Any) -> Any:
    """A function of `lab` that needs no state: see `find_function`."""
    return find_function(name)(*arguments)


def find_function(name: str) -> Callable:
    """A function by its name in `lab`, such as "experiments.operations.measure_operation".

    Its module is imported when it is first asked for: captum and torchvision take a second, and few workers need them.
    """
    module, _, function = name.rpartition(".")
    return getattr(importlib.import_module(f"resnet_viz.lab.{module}"), function)


def measure(pair: Pair, lane: Lane) -> Frame:
    from resnet_viz.lab.experiments import training

    return training.measure(pair[0], lane)


def take_frame(pair: Pair) -> Frame | None:
    return pair[1]


def take_state(pair: Pair) -> State:
    return pair[0]
