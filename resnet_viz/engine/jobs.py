"""Measurements that are wanted together: a few at a time on the cluster, with progress, results as they come, and cancel.

No more are in flight than there are workers, so that the races' slices get their turns in between.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Any

from distributed import Future

from resnet_viz.engine import tasks
from resnet_viz.engine.cluster import Cluster
from resnet_viz.records import ConfigError, State

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Call:
    """One measurement: `name` of a function of `experiments` that takes a state first; none where `state` is None."""

    name: str
    state: State | None
    arguments: tuple[Any, ...] = ()


class Job:
    """The calls' `results`, None where there is none yet. `state` is "running", "done", "cancelled" or "failed"."""

    def __init__(self, cluster: Cluster, calls: list[Call]) -> None:
        self.cluster, self.calls = cluster, calls
        self.results: list[Any] = [None] * len(calls)
        self.state, self.done, self.error = "running", 0, None
        self._pairs: dict[int, Future] = {}
        self._task = asyncio.create_task(self._run())

    def cancel(self) -> None:
        """Start no more, and forget what is in flight; results that are there stay."""
        self._task.cancel()

    async def wait(self) -> list[Any]:
        """The results when all are there. Raises what went wrong, or `CancelledError`."""
        await asyncio.wait([self._task])
        if self.error is not None:
            raise self.error
        if self.state == "cancelled":
            raise asyncio.CancelledError
        return self.results

    async def _run(self) -> None:
        room = asyncio.Semaphore(max(1, len(self.cluster.workers)))
        try:
            async with asyncio.TaskGroup() as group:
                for i, call in enumerate(self.calls):
                    group.create_task(self._measure(i, call, room))
            self.state = "done"
        except asyncio.CancelledError:
            self.state = "cancelled"
            raise
        except ExceptionGroup as errors:
            self.state, self.error = "failed", errors.exceptions[0]
            if not isinstance(self.error, ConfigError):
                logger.warning("A measurement failed: %r", self.error)
        finally:
            self._pairs.clear()

    async def _measure(self, i: int, call: Call, room: asyncio.Semaphore) -> None:
        async with room:
            self.results[i] = await self._submit(call)
            self.done += 1

    def _submit(self, call: Call) -> Future:
        submit = self.cluster.client.submit
        if call.state is None:
            return submit(tasks.demonstrate, call.name, *call.arguments, pure=False)
        pair = self._pairs.get(id(call.state))
        if pair is None:
            pair = self._pairs[id(call.state)] = submit(tasks.restore, call.state, pure=False)
        return submit(tasks.experiment, call.name, pair, *call.arguments, pure=False)
