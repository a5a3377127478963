"""Measurements that are wanted together: a few at a time on the cluster, with progress, results as they come, and cancel.

No more are in flight than there are workers, so that the races' slices get their turns in between.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from distributed import Future

from resnet_viz.engine import tasks
from resnet_viz.engine.cluster import Cluster
from resnet_viz.records import ConfigError, State

BIG = 100_000  # bytes of an array that is sent to the workers once, not with each call

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Call:
    """One measurement: the `name` of a function in `lab`, as `tasks.find_function` takes it, and its arguments.

    The function takes `state` first, if that is not None.
    """

    name: str
    state: State | None
    arguments: tuple[Any, ...] = ()


Calls = list[Call] | Callable[[], Awaitable[list[Call]]]


class Job:
    """The calls' `results`, None where there is none yet. Calls that need states first are made by a function.

    `state` is "running", "done", "cancelled" or "failed". `done` counts what has come in of `total`.
    """

    def __init__(self, cluster: Cluster, calls: Calls) -> None:
        self.cluster, self.calls = cluster, [] if callable(calls) else calls
        self._make_calls = calls if callable(calls) else None
        self.total, self.results = max(1, len(self.calls)), [None] * len(self.calls)
        self.state, self.done, self.error = "running", 0, None
        self._placed: dict[int, Future] = {}  # by the id of what a call names, which `calls` keeps
        self.task = asyncio.create_task(self._run())

    def cancel(self) -> None:
        """Start no more, and forget what is in flight; results that are there stay."""
        if self.state == "running":
            self.state = "cancelled"  # a task that has not begun yet would not say so
        self.task.cancel()

    async def wait(self) -> list[Any]:
        """The results when all are there. Raises what went wrong, or `CancelledError`."""
        await asyncio.wait([self.task])
        if self.error is not None:
            raise self.error
        if self.state == "cancelled":
            raise asyncio.CancelledError
        return self.results

    async def _run(self) -> None:
        try:
            await self._work()
            self.state = "done"
        except asyncio.CancelledError:
            self.state = "cancelled"
            raise
        except Exception as error:
            self.state, self.error = "failed", error.exceptions[0] if isinstance(error, ExceptionGroup) else error
            if not isinstance(self.error, ConfigError):
                logger.warning("A measurement failed: %r", self.error)
        finally:
            self._placed.clear()

    async def _work(self) -> None:
        if self._make_calls is not None:
            self.calls = await self._make_calls()
            self.total, self.results = len(self.calls), [None] * len(self.calls)
        room = asyncio.Semaphore(max(1, len(self.cluster.workers)))
        async with asyncio.TaskGroup() as group:
            for i, call in enumerate(self.calls):
                group.create_task(self._measure(i, call, room))

    async def _measure(self, i: int, call: Call, room: asyncio.Semaphore) -> None:
        async with room:
            self.results[i] = await self._submit(call)
            self.done += 1

    def _submit(self, call: Call) -> Future:
        submit = self.cluster.client.submit
        arguments = [self._place(tasks.keep, item) if isinstance(item, np.ndarray) and item.nbytes > BIG else item
                     for item in call.arguments]
        if call.state is None:
            return submit(tasks.demonstrate, call.name, *arguments, pure=False)
        return submit(tasks.experiment, call.name, self._place(tasks.restore, call.state), *arguments, pure=False)

    def _place(self, task: Callable, thing: Any) -> Future:
        """What several calls name, on the workers."""
        if id(thing) not in self._placed:
            self._placed[id(thing)] = self.cluster.client.submit(task, thing, pure=False)
        return self._placed[id(thing)]
