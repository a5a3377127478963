"""What a worker runs. The server imports this module to name the tasks, so torch is imported inside them only.

States stay on the worker; what `advance` measures is sent while it works, as events of the app's own topic.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import re
import resource
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
from distributed import get_worker
from distributed.worker import thread_state

from resnet_viz.records import N_, ConfigError, Frame, Lane, Operation, State, Trajectory

if TYPE_CHECKING:
    from distributed import Worker

NICENESS = 10  # the page comes first: workers take what the server leaves
TASK_BYTES = 2_000_000_000  # of memory that one measurement may have beside what its worker holds already
NO_MEMORY = re.compile("can't allocate memory|not enough memory|std::bad_alloc", re.IGNORECASE)  # PyTorch's errors

class MemoryLimitError(ConfigError):
    """A measurement that wanted more memory than it may have."""

    TEMPLATE = N_("This measurement needs more memory than the {value} MB that one may have here. Choose a smaller net, or "
                  "fewer examples.")


class UnwantedError(Exception):
    """Nobody waits for this measurement any more."""


def dask_setup(worker: Worker) -> None:
    """Called in each worker as it starts: import torch at once, so that the first Play is fast."""
    os.setpriority(os.PRIO_PROCESS, 0, max(NICENESS, os.getpriority(os.PRIO_PROCESS, 0)))
    from resnet_viz.lab.experiments import training
    from resnet_viz.lab.train import set_up_process

    set_up_process()
    hash_numbers()
    state, _ = training.advance(training.make_state(Lane(), "digits", 0), 2)
    training.measure(state)


@functools.cache
def hash_numbers() -> str:
    """The version of the numbers, as this worker had it when it started."""
    from resnet_viz import sweeps

    return sweeps.hash_numbers()


def start(lane: Lane, dataset: str, seed: int) -> State:
    from resnet_viz.lab.experiments.training import make_state

    return make_state(lane, dataset, seed)


def keep(thing: Any) -> Any:
    """What is sent here once, for several tasks."""
    return thing


def project(states: list[State], directions: int | str) -> Trajectory:
    """A run's states on a plane; its directions as the landscape takes them, in single precision."""
    from resnet_viz.lab.experiments.planes import project_trajectory

    found = project_trajectory(states, directions)
    return replace(found, directions=found.directions.astype(np.float32))


def advance(state: State, steps: range, lane: Lane, size: int, run: str, topic: str) -> State:
    """Train a slice. What is measured in each `size` steps goes to the app's `run`, if one is named.

    What diverged before is left as it is.
    """
    from resnet_viz.lab.experiments import training

    for first in steps[::size]:
        if state.step != first:
            break
        state, frame = training.advance(state, min(size, steps.stop - first), lane)
        if run:
            get_worker().log_event(topic, {"run": run} | frame.to_message())
    return state


def edit(state: State, operations: list[Operation], lane: Lane) -> State:
    from resnet_viz.lab.experiments.operations import edit_state

    return edit_state(replace(state, lane=lane), operations)


def demonstrate(name: str, *arguments: Any) -> Any:
    """What a function of `lab` says: see `find_function`. Ends with an `UnwantedError`, where nobody waits for it any more.

    Raises `MemoryLimitError` where it needs more than TASK_BYTES.
    """
    from resnet_viz.lab.batches import stoppable

    function, held = find_function(name), psutil.Process().memory_info().rss

    def look() -> None:
        known = get_worker().state.tasks.get(thread_state.key)
        if known is None or known.state != "executing":
            raise UnwantedError
        if psutil.Process().memory_info().rss > held + TASK_BYTES:  # where the system does not see to it
            raise MemoryError

    try:
        with stoppable(look), bounded_memory():
            return function(*arguments)
    except UnwantedError as error:
        return error  # not raised: Dask would write a traceback for each
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not NO_MEMORY.search(str(error)):
            raise
        raise MemoryLimitError("memory", TASK_BYTES // 10**6, "") from None


@contextlib.contextmanager
def bounded_memory() -> Iterator[None]:
    """On Linux the process gets TASK_BYTES more at most; what is asked for beyond raises, and ends no worker."""
    if sys.platform != "linux":
        yield
        return
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[5])  # of data and stack
    before = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (pages * resource.getpagesize() + TASK_BYTES, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def find_function(name: str) -> Callable:
    """A function by its name in `lab`, such as "experiments.operations.measure_operation".

    Its module is imported when it is first asked for: captum and torchvision take a second, and few workers need them.
    """
    module, _, function = name.rpartition(".")
    return getattr(importlib.import_module(f"resnet_viz.lab.{module}"), function)


def measure(state: State, lane: Lane) -> Frame:
    from resnet_viz.lab.experiments import training

    return training.measure(state, lane)


def time_steps(lane: Lane, steps: int) -> Frame:
    """So many steps of a net that has been trained for two, so that it is warm."""
    from resnet_viz.lab.experiments import training

    state, _ = training.advance(training.make_state(lane, "digits", 0), 2)
    return training.advance(state, steps)[1]
