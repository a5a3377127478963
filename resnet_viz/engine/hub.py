"""The server's races, and the door to them from Streamlit's threads: calls run in the event loop that the races live in."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Hashable, Iterable
from dataclasses import replace
from typing import Any

from resnet_viz.engine.cluster import Cluster, open_cluster
from resnet_viz.engine.jobs import Call, Calls, Job
from resnet_viz.engine.race import Race
from resnet_viz.engine.recovery import MendingError, persist
from resnet_viz.engine.replay import Replay
from resnet_viz.engine.runs import Runs
from resnet_viz.engine.stand import Stand
from resnet_viz.engine.sweep import Sweep, find_code, measure_pace
from resnet_viz.engine.trace import Trace
from resnet_viz.engine.turns import VISITOR
from resnet_viz.records import N_, ConfigError, Edit, RaceConfig, State
from resnet_viz.store.runs import Store
from resnet_viz.sweeps import Estimate, SweepConfig, estimate, identify

RACES_BYTES = 1_000_000_000  # of all races and runs, their kept states and recordings, in this process
GRACE_SECONDS = 60  # in which a race that no page watches yet is safe
PAUSE_SECONDS = 20  # after which a race that no page watches is paused
DROP_SECONDS = 1800  # and dropped
MAX_JOBS = 128
MAX_SWEEPS = 4  # that run at the same time
MAX_KEPT_SWEEPS = 32
PACE_SECONDS = 60  # that a measured pace holds
BRANCH_STEPS = 1000  # that a race which has reached its limit is given to go on
CALL_SECONDS = 30  # a call from a page waits no longer


class BusyError(ConfigError):
    """There is no room for one more race."""

    TEMPLATE = N_("This server already runs {value} races, as many as it can. Try again in a minute.")


class BusySweepsError(ConfigError):
    """There is no room for one more sweep."""

    TEMPLATE = N_("This server already runs {value} sweeps, as many as it can. Try again when one has ended.")


def make_stand_key(race: Race, step: int) -> Hashable:
    """Equal for races that did the same until then."""
    return "stand", replace(race.config.until(step), steps=1), step


class Hub:
    """All races of one server, by id. One per process: `hub` below."""

    def __init__(self) -> None:
        self.races: dict[str, Race] = {}
        self.jobs: dict[Hashable, Job] = {}
        self.sweeps: dict[str, Sweep] = {}
        self.store: Store | None = None
        self._store_opening = asyncio.Lock()
        self._pace: tuple[float, dict[str, float]] = (-math.inf, {})  # when it was measured, and what
        self.cluster: Cluster | None = None
        self.runs: Runs | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        self.name_visitor: Callable[[], str] = str  # whose page's thread calls: the pages know
        self._made = 0
        self._prepared: dict[RaceConfig, str] = {}  # ids of races made by `prepare`

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Open the engine for as long as the server lives."""
        self.loop = asyncio.get_running_loop()
        async with open_cluster() as self.cluster:
            self.runs = Runs(self.cluster)
            self.cluster.turns.is_raced = lambda: self.runs.count_live() > 0
            keeper = asyncio.create_task(self._keep_house())
            try:
                yield
            finally:
                keeper.cancel()
                for race in self.races.values():
                    race.close()
                for job in self.jobs.values():
                    job.cancel()
                await self._close_store()
                self.races.clear()
                self.jobs.clear()

    def call(self, work: Coroutine) -> Any:
        """Run a coroutine in the event loop, from any other thread, and wait for its result.

        Raises `TimeoutError` after CALL_SECONDS, or `MendingError` if that is why; the coroutine goes on.
        """
        if self.loop is None:
            work.close()
            raise RuntimeError("The engine is not open")
        VISITOR.set(self.name_visitor())  # the coroutine's context is a copy of this one
        try:
            return asyncio.run_coroutine_threadsafe(work, self.loop).result(CALL_SECONDS)
        except TimeoutError:
            if self.cluster.is_ready:
                raise
            raise MendingError("cluster", "", "") from None

    def find(self, race_id: str) -> Race | None:
        return self.races.get(race_id)

    async def make(self, config: RaceConfig, source: tuple[Race, int] | None = None) -> Race:
        """A new race, at its initial weights. Makes room by dropping races that nobody watches."""
        while self.runs.bytes + sum(race.bytes for race in self.races.values()) > RACES_BYTES:
            idle = self._list_idle()
            if not idle:
                raise BusyError("races", len(self.races), "")
            await self.drop(idle[0])
        race = Race(config, self.runs, first_worker=self._made)
        self._made += len(config.lanes)
        self.races[race.id] = race
        if source is not None:
            race.continue_from(*source)
        race.look()
        return race

    def _list_idle(self) -> list[Race]:
        """Races that may be dropped: those that were watched and left, then those that no page has come to watch in time.

        Of each, that which has been unwatched the longest comes first.
        """
        since = time.monotonic() - GRACE_SECONDS
        idle = [race for race in self.races.values()
                if not race.watchers and (race.was_watched or race.unwatched_since < since)]
        return sorted(idle, key=lambda race: (not race.was_watched, race.unwatched_since))

    async def branch(self, race: Race, step: int, edits: Iterable[Edit]) -> Race:
        """A new race that goes on from where `race` stood at `step`, after these operations; `race` stays as it is."""
        config = race.config.until(step)
        steps = config.steps if step < config.steps else step + BRANCH_STEPS
        return await self.make(replace(config, steps=steps, edits=(*config.edits, *edits)), source=(race, step))

    async def prepare(self, config: RaceConfig, step: int) -> Race:
        """A race of this configuration that has reached `step` or is on its way there: the same for all who ask."""
        race = self.find(self._prepared.get(config, ""))
        if race is None or race.config != config:
            race = await self.make(config)
            self._prepared = {known: name for known, name in self._prepared.items() if name in self.races}
            self._prepared[config] = race.id
        race.unwatched_since = time.monotonic()
        if race.step < step and race.state != "running":
            race.play(step - race.step, hurry=True)
        return race

    async def run(self, name: str, state: State, *arguments: Any) -> Any:
        """What a function of `lab` says of a state, ahead of what trains. The name: see `tasks.find_function`."""
        return await self._make_soon(Call(name, state, arguments))

    async def demonstrate(self, name: str, *arguments: Any) -> Any:
        """What a function of `lab` says that needs no state, ahead of what trains."""
        return await self._make_soon(Call(name, None, arguments))

    async def _make_soon(self, call: Call) -> Any:
        job = Job(self.cluster, [call], priority=1)
        try:
            async with asyncio.timeout(CALL_SECONDS):
                return (await job.wait())[0]
        finally:
            job.cancel()  # whoever asked may have gone

    async def start(self, key: Hashable, calls: Calls, priority: int = 0) -> Job:
        """Measurements to be made one after the other; those of the same key are made once, whoever asks.

        Those of `priority` 1 go ahead of what trains.
        """
        return self._start(key, lambda: Job(self.cluster, calls, priority))

    async def stand(self, race: Race, step: int) -> Job:
        """The states of a race's lanes as they stood at `step`, as a job's results: see `Race.take_states`."""
        return self._start(make_stand_key(race, step), lambda: Stand(self.cluster, race, step))

    async def settle(self, jobs: Iterable[Job], seconds: float) -> None:
        """Wait until these have ended, at most so long."""
        await asyncio.gather(*(job.settle(seconds) for job in jobs if job.is_running))

    async def trace(self, key: Hashable, race: Race, steps: list[int], directions: int | str) -> Job:
        """The lanes' trajectories, as a job whose results are those of `project_trajectory`: see `Trace`."""
        return self._start(key, lambda: Trace(self.cluster, race, steps, directions))

    async def replay(self, config: RaceConfig, steps: int) -> Job:
        """Every frame of a race's first steps, and how it ends: see `Replay`."""
        return self._start(("replay", config, steps), lambda: Replay(self.runs, config, steps))

    def _start(self, key: Hashable, make: Callable[[], Job]) -> Job:
        job = self.jobs.get(key)
        if job is None or job.state in ("cancelled", "failed"):
            job = self.jobs[key] = make()
        self.jobs[key] = self.jobs.pop(key)  # the newest last
        while len(self.jobs) > MAX_JOBS:  # the oldest that has ended, if any has
            oldest = next((name for name, other in self.jobs.items() if not other.is_running), next(iter(self.jobs)))
            self.jobs.pop(oldest).cancel()
        return job

    async def measure(self, key: Hashable, calls: list[Call]) -> list[Any]:
        """The results of measurements that take no longer than a reader waits, made once for all who ask."""
        async with asyncio.timeout(CALL_SECONDS):
            return await (await self.start(key, calls)).wait()

    async def open_store(self, url: str | None = None) -> Store:
        """The database of runs, opened when it is first asked for. Raises `ConfigError` where it cannot be used."""
        async with self._store_opening:
            if self.store is None:
                self.store = await asyncio.to_thread(Store, url)
        return self.store

    async def estimate(self, config: SweepConfig) -> Estimate:
        """What a sweep would cost here now, at the pace of a short measurement; what is stored costs nothing."""
        store, code = await self.open_store(), await persist(self.cluster, lambda: find_code(self.cluster))
        identities = {identify(run.race, code): run.race for run in config.list_runs() if run.race is not None}
        known = await asyncio.to_thread(store.find, list(identities))
        if time.monotonic() - self._pace[0] > PACE_SECONDS:
            self._pace = time.monotonic(), await persist(self.cluster, lambda: measure_pace(self.cluster))
        return estimate(config, self.cluster.size, self._pace[1], [identities[name] for name in known])

    async def start_sweep(self, config: SweepConfig) -> Sweep:
        """Start a sweep, or find the one of this configuration that is running: it is the same for all who ask."""
        store, code = await self.open_store(), await persist(self.cluster, lambda: find_code(self.cluster))
        running = [sweep for sweep in self.sweeps.values() if sweep.state == "running"]
        for sweep in running:
            if sweep.config == config:
                return sweep
        if len(running) >= MAX_SWEEPS:
            raise BusySweepsError("sweeps", len(running), "")
        sweep = Sweep(config, self.runs, store, code, self.is_shared)
        self.sweeps[sweep.id] = sweep
        for old in [name for name, other in self.sweeps.items() if other.state != "running"][:-MAX_KEPT_SWEEPS]:
            del self.sweeps[old]
        return sweep

    def find_sweep(self, sweep_id: str) -> Sweep | None:
        return self.sweeps.get(sweep_id)

    async def cancel_sweep(self, sweep: Sweep) -> None:
        """Stop a sweep; what has finished stays."""
        sweep.cancel()
        await sweep.settle()

    async def _close_store(self) -> None:
        for sweep in self.sweeps.values():
            await self.cancel_sweep(sweep)
        self.sweeps.clear()
        if self.store is not None:
            self.store.close()
            self.store = None

    async def drop(self, race: Race) -> None:
        self.races.pop(race.id, None)
        race.close()

    def is_shared(self) -> bool:
        """Whether somebody waits for the workers: a race that runs or is watched, a measurement."""
        return (any(race.watchers or race.state == "running" for race in self.races.values())
                or any(job.is_running for job in self.jobs.values()))

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
            for key, job in list(self.jobs.items()):
                if job.is_forgotten:  # who comes back finds none, and starts it anew
                    self.jobs.pop(key).cancel()


hub = Hub()
