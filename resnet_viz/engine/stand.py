"""A race's lanes as they stood at one step: on a busy server that takes a while, and a page shows how far it is."""

from __future__ import annotations

from resnet_viz.engine.cluster import Cluster
from resnet_viz.engine.jobs import Job
from resnet_viz.engine.race import Race, take_states


class Stand(Job):
    """`results`: a `State` of each lane of a race at `step`; `done` of `total` steps from the last ones kept."""

    def __init__(self, cluster: Cluster, race: Race, step: int) -> None:
        super().__init__(cluster, [])
        self.runs, self.step = race.runs, step  # whatever becomes of the race meanwhile
        self.total, self.results = max(1, step - min(run.find_kept(step) for run in self.runs)), [None] * len(self.runs)

    async def _work(self) -> None:
        self.results = await take_states(self.runs, self.step, self._tell, self.visitor)

    def _tell(self, step: int) -> None:
        self.done = max(0, self.total - (self.step - step))
