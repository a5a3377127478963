"""A race's lanes as they stood at one step: on a busy server that takes a while, and a page shows how far it is."""

from __future__ import annotations

from resnet_viz.engine.cluster import Cluster
from resnet_viz.engine.jobs import Job
from resnet_viz.engine.race import Race


class Stand(Job):
    """`results`: a `State` of each lane of a race at `step`; `done` of `total` steps from the last ones kept."""

    def __init__(self, cluster: Cluster, race: Race, step: int) -> None:
        self.race, self.step = race.copy_until(step), step
        super().__init__(cluster, [])
        self.total, self.results = max(1, step - race.begin_at(step)), [None] * len(race.lanes)

    async def _work(self) -> None:
        async with self.cluster.turns.take(self.visitor):
            self.results = await self.race.take_states(self.step, self._tell)

    def _tell(self, steps: int) -> None:
        self.done = steps
