"""A race's recordings, and how it ends: what is not there yet is trained."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from resnet_viz.engine import tasks
from resnet_viz.engine.budget import check_training
from resnet_viz.engine.jobs import Job
from resnet_viz.engine.run import Run, Share, gather
from resnet_viz.engine.runs import Runs
from resnet_viz.records import Frame, RaceConfig


@dataclass(frozen=True, eq=False)
class LaneReplay:
    """One lane's recording; at the end loss and accuracy on either part, and the weights as a file.

    `look` is what was measured where training ended, on the batch that would come next; None where it had to stop.
    """

    frame: Frame
    look: Frame | None
    ends: dict[str, float]
    weights: bytes


class Replay(Job):
    """`results`: a `LaneReplay` of each lane of a race, until `steps`. `done` of `total` steps, of all lanes."""

    def __init__(self, runs: Runs, config: RaceConfig, steps: int) -> None:
        super().__init__(runs.cluster, [])
        self.config, self.steps = config.until(steps), steps
        self.runs = [runs.get(self.config, lane) for lane in range(len(config.lanes))]
        self.total, self.results = steps * len(self.runs), [None] * len(self.runs)

    async def _work(self) -> None:
        check_training(self.config, self.steps)
        async with asyncio.TaskGroup() as group:
            for lane, run in enumerate(self.runs):
                group.create_task(self._follow(lane, run))

    async def _follow(self, lane: int, run: Run) -> None:
        await run.reach(self.steps, Share, self._count, self.visitor)
        self._count()
        stop = min(self.steps, run.frontier)
        state = await run.find_state(stop, visitor=self.visitor)
        submit, overflow = self.cluster.client.submit, run.overflow if stop < self.steps else None
        ends, weights, look = await gather(self.cluster.client, [
            *(submit(tasks.demonstrate, name, state, pure=False)
              for name in ("experiments.training.finish", "experiments.files.save_weights")),
            submit(tasks.measure, state, run.config.lane_at(0, stop), pure=False)])
        frame = replace(run.recording.take(0, stop), overflow=overflow)
        self.results[lane] = LaneReplay(frame, look if overflow is None else None, ends, weights)

    def _count(self) -> None:
        self.done = sum(min(self.steps, run.frontier) for run in self.runs)
