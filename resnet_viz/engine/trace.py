"""Where training led: a race's lanes at several of its steps, trained anew a stretch at a time, on a plane of weights."""

from __future__ import annotations

import itertools

from distributed import Future, wait

from resnet_viz.engine import tasks
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
        stretch = race.size_stretch()
        self.stretches = [[*range(low, high, stretch), high] for low, high in itertools.pairwise(steps)]
        super().__init__(cluster, [])
        self.total, self.results = sum(len(part) - 1 for part in self.stretches), [None] * len(race.lanes)

    async def _work(self) -> None:
        pairs = self.race.pairs_at(0)
        stations: list[list[Future]] = [pairs]
        for stops in self.stretches:
            for low, high in itertools.pairwise(stops):
                pairs = self.race.train_on(pairs, low, high)
                await wait(pairs)
                self.done += 1
            stations.append(pairs)
        stations[-1] = self.race.edit_at(pairs, self.stretches[-1][-1])
        submit = self.cluster.client.submit
        lanes = [submit(tasks.project, list(lane), self.directions, pure=False) for lane in zip(*stations, strict=True)]
        self.results = await self.cluster.client.gather(lanes)
