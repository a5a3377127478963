"""(c) Two lanes through the engine against two bare processes that call `advance`, on the same cores."""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections.abc import Iterator

from bench.training import describe
from resnet_viz.engine.hub import hub
from resnet_viz.records import RaceConfig

STEPS = 2000
ROUNDS = 3


def measure_all() -> Iterator[tuple[str, str]]:
    ratios = asyncio.run(compare())
    yield "(c) two lanes through the engine against two bare processes, times", describe(ratios)


async def compare() -> list[float]:
    ratios = []
    async with hub.open():
        await time_race(0)  # warm
        for seed in range(1, ROUNDS + 1):  # another each time: what is recorded is not trained again
            bare = await asyncio.to_thread(time_bare)
            ratios.append(bare / await time_race(seed))
    return ratios


async def time_race(seed: int) -> float:
    """Seconds of a default race of STEPS steps, from Play to its end."""
    race = await hub.make(RaceConfig(steps=STEPS, seed=seed))
    race.watchers = 1
    await race.settle()
    began = time.perf_counter()
    race.play()
    while race.step < STEPS:
        await asyncio.sleep(0.01)
    seconds = time.perf_counter() - began
    await race.settle()
    await hub.drop(race)
    return seconds


def time_bare() -> float:
    """Seconds until both of two processes have trained their lane, start-up not counted."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(3)
    workers = [context.Process(target=train_lane, args=(i, barrier)) for i in (0, 1)]
    for worker in workers:
        worker.start()
    barrier.wait()
    began = time.perf_counter()
    for worker in workers:
        worker.join()
    return time.perf_counter() - began


def train_lane(index: int, barrier) -> None:
    """One lane of the default race, in slices as long as the engine's."""
    from resnet_viz.lab.experiments import training

    lane = RaceConfig().lanes[index]
    state, _ = training.advance(training.make_state(lane, "digits", 0), 20)
    barrier.wait()
    while state.step < STEPS:
        state, _ = training.advance(state, min(30, STEPS - state.step))
