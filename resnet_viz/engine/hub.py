"""The server's races, and the door to them from Streamlit's threads: calls run in the event loop that the races live in."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Coroutine
from typing import Any

from resnet_viz.engine import tasks
from resnet_viz.engine.cluster import Cluster, open_cluster
from resnet_viz.engine.race import Race
from resnet_viz.records import N_, ConfigError, Examples, RaceConfig

MAX_RACES = 64
PAUSE_SECONDS = 20  # after which a race that no page watches is paused
DROP_SECONDS = 1800  # and dropped
CALL_SECONDS = 30  # a call from a page waits no longer


class BusyError(ConfigError):
    """There is no room for one more race."""

    TEMPLATE = N_("This server already runs {value} races, as many as it can. Try again in a minute.")


class Hub:
    """All races of one server, by id. One per process: `hub` below."""

    def __init__(self) -> None:
        self.races: dict[str, Race] = {}
        self.cluster: Cluster | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        self._made = 0

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Open the engine for as long as the server lives."""
        self.loop = asyncio.get_running_loop()
        async with open_cluster() as self.cluster:
            keeper = asyncio.create_task(self._keep_house())
            try:
                yield
            finally:
                keeper.cancel()
                for race in self.races.values():
                    race.pause()
                self.races.clear()

    def call(self, work: Coroutine) -> Any:
        """Run a coroutine in the event loop, from any other thread, and wait for its result."""
        if self.loop is None:
            work.close()
            raise RuntimeError("The engine is not open")
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(CALL_SECONDS)

    def find(self, race_id: str) -> Race | None:
        return self.races.get(race_id)

    async def make(self, config: RaceConfig) -> Race:
        """A new race, at its initial weights. Makes room by dropping the race that has been unwatched the longest."""
        if len(self.races) >= MAX_RACES:
            idle = [race for race in self.races.values() if not race.watchers]
            if not idle:
                raise BusyError("races", len(self.races), "")
            await self.drop(min(idle, key=lambda race: race.unwatched_since))
        race = Race(config, self.cluster, self.count_lanes, first_worker=self._made)
        self._made += len(config.lanes)
        self.races[race.id] = race
        race.open()
        return race

    async def drop(self, race: Race) -> None:
        race.pause()
        self.races.pop(race.id, None)
        race.publish()

    async def take_examples(self, dataset: str, count: int) -> Examples:
        """Some examples of a data set, to be looked at."""
        return await self.cluster.client.submit(tasks.take_examples, dataset, count)

    def count_lanes(self) -> int:
        """Lanes that are running now."""
        return sum(len(race.lanes) for race in self.races.values() if race.state == "running")

    async def _keep_house(self) -> None:
        while True:
            await asyncio.sleep(1)
            now = time.monotonic()
            for race in list(self.races.values()):
                idle = 0 if race.watchers else now - race.unwatched_since
                if idle > PAUSE_SECONDS and race.state == "running":
                    race.pause()
                if idle > DROP_SECONDS:
                    await self.drop(race)


hub = Hub()
