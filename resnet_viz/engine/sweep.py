"""A sweep on the cluster: a run per worker at a time, in slices, so that live races get their turns in between.

What is in the store already is not run again, and what finishes is stored at once.
"""

from __future__ import annotations

import asyncio
import datetime
import logging
import math
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

from resnet_viz.engine import tasks
from resnet_viz.engine.cluster import Cluster
from resnet_viz.engine.recovery import persist
from resnet_viz.engine.run import Run as Recorded
from resnet_viz.engine.run import Share
from resnet_viz.engine.runs import Runs
from resnet_viz.engine.series import Series
from resnet_viz.engine.turns import VISITOR
from resnet_viz.records import N_, ConfigError, Lane, NetConfig, RaceConfig
from resnet_viz.store.runs import Store, StoreError
from resnet_viz.sweeps import METRICS, Run, RunResult, SweepConfig, identify, predict_seconds

ALONE = Share(seconds=0.8, keep=0.5, frame=0.4)  # cancelling takes no longer than a slice, and a death costs one
SHARED = Share(seconds=0.06, keep=0.5)  # where others want the workers too
MAX_POINTS = 200  # of a stored curve
WAIT_SECONDS = 0.5  # after which workers that have come are noticed
SAMPLES = {"dense": (Lane(), 60), "conv": (Lane(NetConfig("conv", "zero-pad", 8, (8,), "batch")), 12)}

logger = logging.getLogger(__name__)


class WorkersDifferError(ConfigError):
    """The workers of a cluster do not have the same code."""

    TEMPLATE = N_("The cluster cannot be used: its workers have {value} different versions of the code. Give all the same.")


class RunFailedError(ConfigError):
    """A run that failed for another reason than its configuration."""

    TEMPLATE = N_("This run failed: {value}")


@dataclass(eq=False)
class RunProgress:
    """One run of a sweep. `state`: "waiting", "running", "finished", "diverged", "failed", "impossible" or "cancelled".

    `error` says in words why it failed or cannot be; `reused`: it was in the store before this sweep came to it.
    """

    run: Run
    identity: str = ""
    state: str = "waiting"
    step: int = 0
    cost: float = 0.0  # predicted seconds of one core
    result: RunResult | None = None
    reused: bool = False
    error: ConfigError | None = None


class Sweep:
    """One sweep. All methods belong to the event loop. `state` is "running", "done", "cancelled" or "failed".

    `is_shared` says whether others want the workers too.
    """

    def __init__(self, config: SweepConfig, runs: Runs, store: Store, code: str,
                 is_shared: Callable[[], bool] = lambda: False) -> None:
        self.id, self.cluster = secrets.token_urlsafe(9), runs.cluster
        self.config, self._runs, self.store, self.code, self.is_shared = config, runs, store, code, is_shared
        self.runs = [self._prepare(run) for run in config.list_runs()]
        self.state, self.error, self.visitor = "running", None, VISITOR.get()
        self.store_error: StoreError | None = None  # why the newest result that could not be stored was not
        self.revision = 0  # grows with whatever changes
        self.listeners: set[asyncio.Event] = set()
        self.began, self.ended = time.monotonic(), None
        self.task = asyncio.create_task(self._run())

    def _prepare(self, run: Run) -> RunProgress:
        if run.race is None:
            return RunProgress(run, state="impossible", error=run.error)
        return RunProgress(run, identify(run.race, self.code), cost=predict_seconds(run.race))

    # ------------------------------------------------------------------------------------------------ what users see

    def cancel(self) -> None:
        """Start no more, and forget what is in flight. What has finished stays, here and in the store."""
        if self.state == "running":
            self._end("cancelled")  # a task that has not begun yet would not say so
        self.task.cancel()

    async def settle(self) -> None:
        """Wait until nothing runs any more."""
        await asyncio.gather(self.task, return_exceptions=True)

    @property
    def seconds(self) -> float:
        return (self.ended or time.monotonic()) - self.began

    @property
    def done(self) -> int:
        """How many runs there is nothing left to do for."""
        return sum(run.state not in ("waiting", "running") for run in self.runs)

    @property
    def fraction(self) -> float:
        """How much of the computing is done, from 0 to 1; what was not to be computed does not count."""
        total, done = self._count_cost()
        return 1.0 if total == 0 else done / total

    @property
    def seconds_left(self) -> float | None:
        """By the pace until now; None before there is one."""
        total, done = self._count_cost()
        if self.state != "running" or total == 0:
            return 0.0
        return self.seconds * (total - done) / done if done else None

    def _count_cost(self) -> tuple[float, float]:
        computed = [run for run in self.runs if not run.reused and run.state != "impossible"]
        over = ("finished", "diverged", "failed")
        done = sum(run.cost * (1 if run.state in over else run.step / run.run.race.steps) for run in computed)
        return sum(run.cost for run in computed), done

    # ------------------------------------------------------------------------------------------------ the task

    async def _run(self) -> None:
        active: set[asyncio.Task] = set()
        try:
            await self._reuse(self.runs)
            waiting = sorted((run for run in self.runs if run.state == "waiting"), key=lambda run: run.cost)
            while waiting or active:  # the longest first, so that the workers end together
                while waiting and len(active) < self.cluster.size:
                    active.add(asyncio.create_task(self._work(waiting.pop())))
                ended, active = await asyncio.wait(active, timeout=WAIT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                for task in ended:
                    task.result()
            self._end("done")
        except asyncio.CancelledError:
            self._end("cancelled")
            raise
        except ConfigError as error:
            logger.warning("A sweep failed: %s", error)
            self.error = error
            self._end("failed")
        except Exception as error:
            logger.exception("A sweep failed")
            self.error = RunFailedError("sweep", describe(error), "")
            self._end("failed")
        finally:
            for task in active:
                task.cancel()
            await asyncio.gather(*active, return_exceptions=True)

    def _end(self, state: str) -> None:
        self.state, self.ended = state, time.monotonic()
        for run in self.runs:
            if run.state in ("waiting", "running"):
                run.state = "cancelled"
        self.publish()

    async def _reuse(self, runs: list[RunProgress]) -> None:
        """Take from the store what it has of these."""
        found = await asyncio.to_thread(self.store.find, [run.identity for run in runs if run.identity])
        for run in runs:
            if run.identity in found:
                self._finish(run, found[run.identity], reused=True)

    def _finish(self, run: RunProgress, result: RunResult, reused: bool = False) -> None:
        run.result, run.reused, run.step = result, reused, result.taken
        run.state = "diverged" if result.diverged else "finished"
        self.publish()

    async def _work(self, run: RunProgress) -> None:
        """One run, to its end or its failure, which is nobody else's. Another server may have made it meanwhile."""
        run.state = "running"
        self.publish()
        try:
            await self._try_store(self._reuse([run]))
            if run.result is None:
                result = await self._train(run)
                await self._try_store(asyncio.to_thread(self.store.add, result))
                self._finish(run, replace(result, curves={}))  # they are in the store, and a server keeps many sweeps
        except Exception as error:
            logger.warning("A run of a sweep failed: %r", error)
            run.error = error if isinstance(error, ConfigError) else RunFailedError("run", describe(error), "")
            run.state = "failed"
            self.publish()

    async def _try_store(self, work: Awaitable[Any]) -> None:
        """Ask the store for something. What has been trained is shown, stored or not."""
        try:
            await work
        except StoreError as error:
            logger.warning("The store failed: %s", error)
            self.store_error = error

    async def _train(self, run: RunProgress) -> RunResult:
        """Reach the end, or where it diverges, and measure there."""
        race, made = run.run.race, self._runs.get(run.run.race, 0)

        def tell() -> None:
            run.step = min(race.steps, made.frontier)
            self.publish()

        await made.reach(race.steps, self.share, tell, self.visitor)
        run.step = min(race.steps, made.frontier)
        metrics = await persist(self.cluster, lambda: self._measure(made, run.step))
        return make_result(run.identity, self.code, race, made, run.step, metrics)

    async def _measure(self, made: Recorded, step: int) -> dict[str, float]:
        state = await made.find_state(step, visitor=self.visitor)
        return await self.cluster.client.submit(tasks.demonstrate, "experiments.training.finish_run", state, pure=False)

    def share(self) -> Share:
        return SHARED if self.is_shared() else ALONE

    def publish(self) -> None:
        """Tell who watches that there is something new."""
        self.revision += 1
        for listener in self.listeners:
            listener.set()


def make_result(identity: str, code: str, race: RaceConfig, made: Recorded, taken: int,
                metrics: dict[str, float]) -> RunResult:
    finite = {name: metrics[name] if math.isfinite(metrics[name]) else None for name in METRICS}
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
    series = Series(race.lanes[0].train.decay_block)
    series.add(made.recording.take(0, taken))
    return RunResult(identity, code, race, **finite, diverged=taken < race.steps, taken=taken, seconds=made.seconds,
                     finished=now, curves=series.send(most=MAX_POINTS))


def describe(error: Exception) -> str:
    """An exception in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]


async def find_code(cluster: Cluster) -> str:
    """The version of the numbers, as all workers have it. Raises `ConfigError` if they differ."""
    answers = await cluster.client.run(tasks.hash_numbers, workers=await cluster.list_workers(), on_error="return")
    found = {answer for answer in answers.values() if isinstance(answer, str)}  # not that of a worker that just died
    if not found:  # none has come yet: wait for one
        return await cluster.client.submit(tasks.hash_numbers, pure=False)
    if len(found) > 1:
        raise WorkersDifferError("code", len(found), "")
    return found.pop()


async def measure_pace(cluster: Cluster) -> dict[str, float]:
    """Per family, how many times as long as predicted a step takes here now: some tenths of a second of one worker."""
    pace = {}
    for family, (lane, steps) in SAMPLES.items():
        frame = await cluster.client.submit(tasks.time_steps, lane, steps, pure=False, priority=1)
        pace[family] = frame.seconds / predict_seconds(RaceConfig(steps=steps, lanes=(lane,)))
    return pace
