"""Where training led: a race's lanes at several of its steps, on a plane of weights."""

from __future__ import annotations

import asyncio

from resnet_viz.engine import tasks
from resnet_viz.engine.budget import check_training
from resnet_viz.engine.cluster import Cluster
from resnet_viz.engine.jobs import Job
from resnet_viz.engine.race import Race
from resnet_viz.engine.run import Run


class Trace(Job):
    """`results`: a `Trajectory` of each lane through `steps`, which begin with 0. The states stay on the workers.

    `directions` is a seed of random ones, or "pca". The kept states of a race depend on how fast it ran; these steps do
    not, so that whoever opens a link sees the same.
    """

    def __init__(self, cluster: Cluster, race: Race, steps: list[int], directions: int | str) -> None:
        super().__init__(cluster, [])
        self.config, self.runs, self.steps, self.directions = race.config.until(steps[-1]), race.runs, steps, directions
        self.total, self.results = len(self.runs) * steps[-1], [None] * len(self.runs)
        self._reached = [0] * len(self.runs)

    async def _work(self) -> None:
        check_training(self.config, self.steps[-1])
        async with asyncio.TaskGroup() as group:
            for lane, run in enumerate(self.runs):
                group.create_task(self._follow(lane, run))

    async def _follow(self, lane: int, run: Run) -> None:
        """Train one lane anew where no state was kept, and project its stations."""
        def tell(step: int) -> None:
            self._reached[lane] = step
            self.done = sum(self._reached)

        stations = []
        for step in self.steps:
            near = (self.steps[len(stations) - 1], stations[-1]) if stations else None
            stations.append(await run.train_to(step, tell, self.visitor, near))
            tell(step)
        stations[-1] = run.edit(stations[-1], self.steps[-1])
        self.results[lane] = await self.cluster.client.submit(tasks.project, stations, self.directions, pure=False)
