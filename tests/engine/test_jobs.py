"""Measurements on a real cluster: whom they are for, and what becomes of those that are forgotten, too large or deadly."""

from __future__ import annotations

import asyncio
import os
import signal
import time

import pytest

from resnet_viz.engine import jobs
from resnet_viz.engine.budget import CostError
from resnet_viz.engine.hub import BusyError, Hub
from resnet_viz.engine.jobs import Call, Job, WorkerDiedError
from resnet_viz.engine.tasks import MemoryLimitError
from resnet_viz.records import Lane, NetConfig, RaceConfig

SMALL = RaceConfig(steps=10, lanes=(Lane(NetConfig(depth=4, width=(4,))),))


@pytest.fixture(autouse=True)
def calls_may_take_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine may be busy with other things."""
    monkeypatch.setattr("resnet_viz.engine.hub.CALL_SECONDS", 240)


def make_line(seeds: int = 1, points: int = 256, depth: int = 50) -> Call:
    """Of 2,000 seeds it takes minutes; of three million points 5 GB."""
    return Call("experiments.why.measure_autocorrelation", None, (depth, True, True, 1.0, seeds, points))


async def count_executing(engine: Hub) -> dict[int, int]:
    """Tasks that run on each worker, those among them that have been cancelled, too; by the worker's process."""
    found = await engine.cluster.client.run(lambda dask_worker: (os.getpid(), len(dask_worker.state.executing)),
                                            on_error="ignore")
    return dict(found.values())


def wait_until(engine: Hub, condition, seconds: float = 240.0) -> dict[int, int]:
    deadline = time.monotonic() + seconds
    while not condition(found := engine.call(count_executing(engine))):
        assert time.monotonic() < deadline, found
        time.sleep(0.1)
    return found


def is_busy(found: dict[int, int]) -> bool:
    return any(found.values())


def test_what_nobody_looks_at_is_cancelled_on_its_worker_too(engine: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    job = engine.call(engine.start("forgotten", [make_line(1000)] * 2))
    wait_until(engine, lambda found: job.state == "running" and is_busy(found))  # workers may be starting still
    monkeypatch.setattr(jobs, "LOOK_SECONDS", 2)
    for _ in range(30):
        assert job.state == "running"  # which is a look
        time.sleep(0.1)
    wait_until(engine, lambda found: not job.is_running)
    assert "forgotten" not in engine.jobs
    wait_until(engine, lambda found: not is_busy(found))
    assert job.state == "cancelled" and job.done == 0
    assert engine.call(engine.start("forgotten", [make_line()])).state == "running"  # whoever comes back has it anew


def test_who_waits_for_a_measurement_need_not_look(engine: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "LOOK_SECONDS", 0)
    assert engine.call(engine.measure("waited", [make_line(4)]))[0] is not None
    monkeypatch.setattr("resnet_viz.engine.hub.CALL_SECONDS", 2)
    with pytest.raises(TimeoutError):
        engine.call(engine.measure("long", [make_line(2000)]))
    monkeypatch.setattr("resnet_viz.engine.hub.CALL_SECONDS", 240)
    wait_until(engine, lambda found: not is_busy(found))  # the page was told, and has gone
    assert "long" not in engine.jobs


def test_memory_is_bounded_by_task_and_the_worker_lives(engine: Hub) -> None:
    before = wait_until(engine, bool).keys()
    with pytest.raises(MemoryLimitError, match="2000 MB"):
        engine.call(engine.measure("large", [make_line(points=3_000_000, depth=1)]))
    assert wait_until(engine, lambda found: not is_busy(found)).keys() == before


def test_a_measurement_under_which_workers_die_fails_after_two(engine: Hub) -> None:
    job = engine.call(engine.start("deadly", [make_line(2000)]))
    for _ in range(2):
        found = wait_until(engine, lambda found: is_busy(found) or job.state != "running")
        assert job.state == "running"
        os.kill(next(pid for pid, count in found.items() if count), signal.SIGKILL)
        killed = [pid for pid, count in found.items() if count]
        wait_until(engine, lambda left, killed=killed: not any(left.get(pid) for pid in killed))
    deadline = time.monotonic() + 240
    while job.state == "running" and time.monotonic() < deadline:
        time.sleep(0.1)
    assert job.state == "failed" and isinstance(job.error, WorkerDiedError)
    assert engine.call(engine.demonstrate("datasets.take_examples", "digits", 1)) is not None


def test_what_is_beyond_the_budget_never_starts(engine: Hub) -> None:
    net = NetConfig("conv", "zero-pad", 602, (32,), "batch")
    job = engine.call(engine.start("budget", [Call("experiments.why.measure_slopes", None, (net, "digits"))]))
    with pytest.raises(CostError):
        engine.call(job.wait())
    assert job.state == "failed"


def test_a_measurement_is_its_visitor_s(engine: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "name_visitor", lambda: "ann")
    job: Job = engine.call(engine.start("whose", [make_line()]))
    assert job.visitor == "ann"
    engine.call(job.wait())


def test_a_hundred_who_come_at_once_keep_their_races(engine: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that were watched and left go first, then those that nobody came to watch; not one that was just made."""
    async def make(count: int) -> list:
        return [await engine.make(SMALL) for _ in range(count)]

    races = asyncio.run_coroutine_threadsafe(make(100), engine.loop).result(120)
    assert all(engine.find(race.id) is race for race in races)
    left, watched, late = races[:3]
    left.watchers += 1
    left.watchers -= 1
    watched.watchers += 1
    late.unwatched_since -= 61
    monkeypatch.setattr("resnet_viz.engine.hub.RACES_BYTES", sum(race.bytes for race in engine.races.values()) - 1)
    others = engine.call(make(1))
    assert engine.find(left.id) is None and engine.find(late.id) is late
    others += engine.call(make(1))
    assert engine.find(late.id) is None
    with pytest.raises(BusyError, match="already runs"):
        engine.call(make(1))
    assert all(engine.find(race.id) is race for race in (*races[3:], *others, watched))

    async def drop() -> None:
        for race in [*races, *others]:
            await engine.drop(race)

    engine.call(drop())
