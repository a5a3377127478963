"""Where training led: a race's lanes at several of its steps, trained anew a stretch at a time, on a plane of weights."""

from __future__ import annotations

import asyncio
import itertools

from distributed import Future, wait

from resnet_viz.engine import tasks
from resnet_viz.engine.budget import check_training
from resnet_viz.engine.cluster import Cluster
from resnet_viz.engine.jobs import Job
from resnet_viz.engine.race import Race


class Trace(Job):
    """`results`: a `Trajectory` of each lane through `steps`, which begin with 0. The states stay on the workers.

    `directions` is a seed of random ones, or "pca". The kept states of a race depend on how fast it ran; these steps do
    not, so that whoever opens a link sees the same.
    """

    def __init__(self, cluster: Cluster, race: Race, steps: list[int], directions: int | str) -> None:
        config = race.config.until(steps[-1])
        self.race, self.directions = Race(config, cluster, race.count_lanes), directions  # one that nobody plays
        stretch, stops = race.size_stretch(), config.stops_after(0)
        self.stretches = [sorted({*range(low, high, stretch), *(stop for stop in stops if low < stop < high), high})
                          for low, high in itertools.pairwise(steps)]
        super().__init__(cluster, [])
        self.total = len(race.lanes) * sum(len(part) - 1 for part in self.stretches)
        self.results = [None] * len(race.lanes)

    async def _work(self) -> None:
        check_training(self.race.config, self.stretches[-1][-1])
        self.done = 0
        async with asyncio.TaskGroup() as group:
            for lane, pair in enumerate(self.race.pairs_at(0)):
                group.create_task(self._follow(lane, pair))

    async def _follow(self, lane: int, pair: Future) -> None:
        """Train one lane, a stretch at a time, and project its stations."""
        stations, turns = [pair], self.cluster.turns
        for stops in self.stretches:
            for low, high in itertools.pairwise(stops):
                async with turns.take(self.visitor):
                    pair = self.race._advance(lane, pair, low, high - low)
                    await wait([pair])
                self.done += 1
            stations.append(pair)
        stations[-1] = self.race._edit(lane, pair, self.stretches[-1][-1])
        self.results[lane] = await self.cluster.client.submit(tasks.project, stations, self.directions, pure=False)
