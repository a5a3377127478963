"""What is done where the cluster is lost under somebody's work: wait for it, and try again, as often as it dies."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, TypeVar

from distributed.client import ClosedClientError
from distributed.comm import CommClosedError
from distributed.scheduler import KilledWorker

from resnet_viz.records import N_, ConfigError

if TYPE_CHECKING:
    from resnet_viz.engine.cluster import Cluster

RETRIES = 5  # in a row, with nothing gained and no death of the cluster between them
PAUSE_SECONDS = 0.5  # after the first failure; after the second twice as long …

logger = logging.getLogger(__name__)
T = TypeVar("T")


class MendingError(ConfigError):
    """There is no cluster for the moment."""

    TEMPLATE = N_("The server’s workers are being started again. Try again in a moment.")


# Workers or a scheduler went, and futures with them; no fault of the work. (Dask's are `concurrent.futures` ones.)
LOST = (CancelledError, ClosedClientError, CommClosedError, MendingError, KilledWorker, OSError, TimeoutError)


class Patience:
    """Counts the failures of one piece of work: RETRIES in a row, anew after each death of the cluster and each gain."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster, self.failures = cluster, 0
        self._mark: Hashable = None

    async def wait(self, error: Exception, gained: Hashable = None) -> None:
        """Return as soon as it can be tried again. Raises `error` where that is of no use.

        `gained` is anything that differs where something was gained since the last failure.
        """
        mark = (self.cluster.generation, gained)
        self.failures = self.failures + 1 if mark == self._mark else 1
        self._mark = mark
        if self.failures > RETRIES:
            raise error
        await asyncio.sleep(PAUSE_SECONDS * self.failures)
        await self.cluster.ready()


async def persist(cluster: Cluster, work: Callable[[], Awaitable[T]]) -> T:
    """What `work` gives, begun anew where the cluster is lost under it."""
    patience = Patience(cluster)
    await cluster.ready()
    while True:
        try:
            return await work()
        except LOST as error:
            logger.warning("Work lost its workers: %r", error)
            await patience.wait(error)
