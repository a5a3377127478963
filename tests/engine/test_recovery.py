"""What needs the engine while it mends itself waits for it, or is told so; a race outlives any number of deaths."""

from __future__ import annotations

import asyncio
import time

import pytest

from resnet_viz.engine import hub as hub_module
from resnet_viz.engine import recovery
from resnet_viz.engine.cluster import Cluster
from resnet_viz.engine.hub import Hub
from resnet_viz.engine.recovery import LOST, RETRIES, MendingError, Patience, persist
from resnet_viz.lab.experiments.training import make_state
from resnet_viz.records import Lane, NetConfig, RaceConfig
from resnet_viz.sweeps import make_sweep
from tests.engine.test_race import assert_same, make_race

SMALL = Lane(NetConfig(depth=8, width=(16,)))


class Stub:
    """A cluster that is always there."""

    generation = 1

    async def ready(self) -> None:
        pass


def test_failures_are_counted_anew_after_each_death_and_each_gain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "PAUSE_SECONDS", 0)

    async def fail() -> None:
        cluster = Stub()
        patience = Patience(cluster)
        for gained in range(3 * RETRIES):  # something comes in between
            await patience.wait(OSError(), gained)
        for _ in range(3 * RETRIES):  # each time of another death
            cluster.generation += 1
            await patience.wait(OSError())
        for _ in range(RETRIES - 1):  # the same again and again
            await patience.wait(OSError())
        with pytest.raises(OSError, match="at last"):
            await patience.wait(OSError("at last"))

    asyncio.run(fail())


def test_work_is_begun_anew_where_its_cluster_is_lost_and_not_where_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "PAUSE_SECONDS", 0)
    tries = []

    async def work() -> int:
        tries.append(1)
        if len(tries) < 3:
            raise LOST[len(tries)]
        if len(tries) == 3:
            return 3
        raise ValueError

    assert asyncio.run(persist(Stub(), work)) == 3
    with pytest.raises(ValueError):
        asyncio.run(persist(Stub(), work))
    assert len(tries) == 4


def test_without_a_cluster_whoever_asks_is_told_in_words() -> None:
    cluster = Cluster()
    with pytest.raises(MendingError, match="started again"):
        cluster.client.submit(print)
    with pytest.raises(MendingError):
        asyncio.run(cluster.ready(0.2))


def kill_scheduler(engine: Hub) -> None:
    engine.cluster.embedded.scheduler.process.kill()


def test_a_race_outlives_its_scheduler_twice(engine: Hub) -> None:
    config = RaceConfig(steps=400, lanes=(SMALL,))
    race = make_race(engine, config)

    async def play_and_kill() -> None:
        race.play()
        for step in (20, 150):
            while race.step < step:
                await asyncio.sleep(0.01)
            kill_scheduler(engine)
        await race.settle()

    asyncio.run_coroutine_threadsafe(play_and_kill(), engine.loop).result(600)
    assert race.state == "finished"
    assert_same(race, config)


def test_what_is_asked_for_while_the_engine_mends_itself_is_answered(engine: Hub) -> None:
    config = RaceConfig(steps=20, lanes=(SMALL,))

    async def ask() -> tuple:
        await engine.cluster.ready()
        state = make_state(SMALL, "digits", 0)
        kill_scheduler(engine)
        while engine.cluster.is_ready:
            await asyncio.sleep(0.01)
        replay = await engine.replay(config, 20)
        answers = await asyncio.gather(
            engine.run("experiments.files.save_weights", state),
            engine.demonstrate("datasets.take_examples", "digits", 3), replay.wait(),
            engine.start_sweep(make_sweep({"depth": 4, "steps": 5}, {"seed": (0,)})))
        await answers[3].task
        return answers

    weights, examples, replayed, sweep = asyncio.run_coroutine_threadsafe(ask(), engine.loop).result(300)
    sizes = {len(file) - 8 - int.from_bytes(file[:8], "little") for file in (weights, replayed[0].weights)}
    assert len(sizes) == 1 and sizes.pop() > 10_000 and len(examples.x) == 3  # of the numbers, behind what names them
    assert sweep.state == "done" and sweep.runs[0].state == "finished"


def test_a_page_that_waits_too_long_for_the_engine_is_told_why(engine: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    asyncio.run_coroutine_threadsafe(engine.cluster.ready(), engine.loop).result(120)
    monkeypatch.setattr(hub_module, "CALL_SECONDS", 0.3)
    kill_scheduler(engine)
    deadline = time.monotonic() + 60
    while engine.cluster.is_ready and time.monotonic() < deadline:
        time.sleep(0.02)
    with pytest.raises(MendingError):
        engine.call(engine.demonstrate("datasets.take_examples", "digits", 3))
    asyncio.run_coroutine_threadsafe(engine.cluster.ready(), engine.loop).result(120)
