"""Whose turn it is, without a cluster."""

from __future__ import annotations

import asyncio

from resnet_viz.engine.turns import Turns


class Worker:
    """Tasks that end when they are told to, and who has begun one."""

    def __init__(self, turns: Turns) -> None:
        self.turns, self.begun, self.ends, self.tasks = turns, [], [], []

    async def ask(self, visitor: str, count: int = 1, long: bool = False) -> None:
        async def hold() -> None:
            async with self.turns.take(visitor, long):
                self.begun.append(visitor)
                self.ends.append(end := asyncio.Event())
                await end.wait()

        self.tasks += [asyncio.create_task(hold()) for _ in range(count)]
        await self.rest()

    async def end(self, index: int) -> None:
        self.ends[index].set()
        await self.rest()

    async def rest(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)


def test_a_lone_visitor_has_all_workers_for_short_measurements_and_half_for_long_ones() -> None:
    async def work() -> None:
        short, long = Worker(Turns(lambda: 4)), Worker(Turns(lambda: 4))
        await short.ask("a", 9)
        await long.ask("a", 9, long=True)
        assert (len(short.begun), len(long.begun)) == (4, 2)
        await long.ask("a", 9)
        assert len(long.begun) == 4  # what is short goes beside what is long

    asyncio.run(work())


def test_nobody_holds_more_than_half_while_another_waits() -> None:
    async def work() -> None:
        worker = Worker(Turns(lambda: 4))
        await worker.ask("a", 99)
        await worker.ask("b", 99)
        for index in range(20):
            await worker.end(index)
        assert worker.begun[4:6] == ["b", "b"]
        assert abs(worker.begun[4:].count("a") - worker.begun[4:].count("b")) <= 2
        assert worker.turns.count_held("a") == worker.turns.count_held("b") == 2

    asyncio.run(work())


def test_on_one_worker_visitors_take_turns() -> None:
    async def work() -> None:
        worker = Worker(Turns(lambda: 1))
        for visitor in "abc":
            await worker.ask(visitor, 9)
        for index in range(8):
            await worker.end(index)
        assert "".join(worker.begun[-6:]) in ("abcabc", "bcabca", "cabcab")

    asyncio.run(work())


def test_a_race_has_half_of_the_workers_left() -> None:
    async def work() -> None:
        worker = Worker(Turns(lambda: 2))
        worker.turns.is_raced = lambda: True
        await worker.ask("a", 9)
        assert len(worker.begun) == 1

    asyncio.run(work())


def test_who_gives_up_holds_nothing() -> None:
    async def work() -> None:
        worker = Worker(Turns(lambda: 1))
        await worker.ask("a", 3)
        await worker.ask("b")
        for task in worker.tasks[:3]:  # one that has its turn, two that wait
            task.cancel()
        await worker.rest()
        assert worker.begun == ["a", "b"] and worker.turns.count_held("a") == 0

    asyncio.run(work())
