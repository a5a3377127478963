"""Measurements that are wanted together: a few at a time on the cluster, with progress, results as they come, and cancel.

Whose turn it is `turns` says. What nobody waits for any more is cancelled, on the workers too.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from distributed import Future
from distributed.scheduler import KilledWorker

from resnet_viz.engine import tasks
from resnet_viz.engine.budget import SHORT_SECONDS, check_budget, estimate_seconds
from resnet_viz.engine.cluster import Cluster
from resnet_viz.engine.recovery import persist
from resnet_viz.engine.run import Run
from resnet_viz.engine.turns import VISITOR
from resnet_viz.records import N_, ConfigError, State

LOOK_SECONDS = 10  # a page looks some times a second; a job that nobody looks at for so long is cancelled
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


class WorkerDiedError(ConfigError):
    """A measurement under which two workers ended, one after the other."""

    TEMPLATE = N_("This could not be measured: twice the worker that was at it ended, probably for want of memory. Choose "
                  "a smaller net, or fewer examples.")


class Job:
    """The calls' `results`, None where there is none yet. Calls that need states first are made by a function.

    `state` is "running", "done", "cancelled" or "failed". `done` counts what has come in of `total`.
    """

    def __init__(self, cluster: Cluster, calls: Calls, priority: int = 0) -> None:
        self.cluster, self.calls, self.priority = cluster, [] if callable(calls) else calls, priority
        self._make_calls = calls if callable(calls) else None
        self.total, self.results = max(1, len(self.calls)), [None] * len(self.calls)
        self.done, self.error, self.visitor = 0, None, VISITOR.get()
        self._state, self._seen, self._waiting = "running", time.monotonic(), 0
        self.runs: list[Run] = []  # that it asks for something: held for as long as it runs
        self._placed: dict[int, Future] = {}  # by the id of what a call names, which `calls` keeps
        self.task = asyncio.create_task(self._run())

    @property
    def state(self) -> str:
        """A page that shows a job reads this again and again: by that it is known that somebody waits."""
        self._seen = time.monotonic()
        return self._state

    @property
    def is_running(self) -> bool:
        """As `state` says, but this does not count as a look."""
        return self._state == "running"

    @property
    def is_forgotten(self) -> bool:
        """Whether it runs, and nobody has looked for a while."""
        return self.is_running and not self._waiting and time.monotonic() - self._seen > LOOK_SECONDS

    def cancel(self) -> None:
        """Start no more, and forget what is in flight; results that are there stay."""
        if self.is_running:
            self._state = "cancelled"  # a task that has not begun yet would not say so
        self.task.cancel()

    async def settle(self, seconds: float | None = None) -> None:
        """Wait until it has ended, at most so long."""
        self._waiting += 1
        try:
            await asyncio.wait([self.task], timeout=seconds)
        finally:
            self._waiting, self._seen = self._waiting - 1, time.monotonic()

    async def wait(self) -> list[Any]:
        """The results when all are there. Raises what went wrong, or `CancelledError`."""
        await self.settle()
        if self.error is not None:
            raise self.error
        if self._state == "cancelled":
            raise asyncio.CancelledError
        return self.results

    async def _run(self) -> None:
        try:
            await persist(self.cluster, self._begin)
            self._state = "done"
        except asyncio.CancelledError:
            self._state = "cancelled"
            raise
        except Exception as error:
            self._state, self.error = "failed", error
            if not isinstance(self.error, ConfigError):
                logger.warning("A measurement failed: %r", self.error)
        finally:
            self._placed.clear()
            self.runs = []

    async def _begin(self) -> None:
        """Work from the beginning, with the results that are there."""
        self._placed.clear()
        try:
            await self._work()
        except ExceptionGroup as group:
            raise group.exceptions[0] from None

    async def _work(self) -> None:
        if self._make_calls is not None and not self.calls:
            self.calls = await self._make_calls()
            self.total, self.results = len(self.calls), [None] * len(self.calls)
        check_budget(self.calls)
        async with asyncio.TaskGroup() as group:
            for i, call in enumerate(self.calls):
                if self.results[i] is None:
                    group.create_task(self._measure(i, call))

    async def _measure(self, i: int, call: Call) -> None:
        async with self.cluster.turns.take(self.visitor, estimate_seconds(call) > SHORT_SECONDS):
            future = self._submit(call)
            try:
                found = await future
            except KilledWorker as error:
                raise WorkerDiedError("measurement", call.name, "") from error
            finally:
                future.release()  # where it is still on its way, the worker stops
        if isinstance(found, tasks.UnwantedError):  # the cluster took it for lost
            raise found
        self.results[i] = found
        self.done += 1

    def _submit(self, call: Call) -> Future:
        submit = self.cluster.client.submit
        arguments = [self._place(item) if isinstance(item, np.ndarray) and item.nbytes > BIG else item
                     for item in call.arguments]
        if call.state is not None:
            arguments.insert(0, self._place(call.state))
        return submit(tasks.demonstrate, call.name, *arguments, pure=False, priority=self.priority)

    def _place(self, thing: Any) -> Future:
        """What several calls name, on the workers."""
        if id(thing) not in self._placed:
            self._placed[id(thing)] = self.cluster.client.submit(tasks.keep, thing, pure=False, priority=self.priority)
        return self._placed[id(thing)]
