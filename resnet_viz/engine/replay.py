"""A run once more, from its initial weights: every frame of it, which a live race does not keep, to the same bits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from resnet_viz.engine import tasks
from resnet_viz.engine.budget import check_training
from resnet_viz.engine.cluster import Cluster
from resnet_viz.engine.jobs import Job
from resnet_viz.engine.race import MAX_SLICE, Race
from resnet_viz.records import Frame, RaceConfig

SLICE_SECONDS = 0.25  # of computing, before live races get a turn and a reader sees progress
FIRST_SLICE = 5  # steps, while nothing is known of the pace


@dataclass(frozen=True, eq=False)
class LaneReplay:
    """One lane's frames, one after the other; at the end loss and accuracy on either part, and the weights as a file.

    `look` is what was measured where training ended, on the batch that would come next; None where it had to stop.
    """

    frames: list[Frame]
    look: Frame | None
    ends: dict[str, float]
    weights: bytes


class Replay(Job):
    """`results`: a `LaneReplay` of each lane of a race, until `steps`. `done` of `total` steps, of all lanes."""

    def __init__(self, cluster: Cluster, config: RaceConfig, steps: int, count_lanes: Callable[[], int]) -> None:
        self.race, self.steps = Race(config.until(steps), cluster, count_lanes), steps  # one that nobody plays
        super().__init__(cluster, [])
        self.total, self.results = steps * len(config.lanes), [None] * len(config.lanes)

    async def _work(self) -> None:
        check_training(self.race.config, self.steps)
        self.done = 0
        async with asyncio.TaskGroup() as group:
            for lane, pair in enumerate(self.race.pairs_at(0)):
                group.create_task(self._follow(lane, pair))

    async def _follow(self, lane: int, pair: object) -> None:
        """Train one lane, a slice at a time."""
        submit, config, frames, step, size = self.cluster.client.submit, self.race.config, [], 0, FIRST_SLICE
        while step < self.steps:
            stop = min([step + size, self.steps, *config.stops_after(step)])
            async with self.cluster.turns.take(self.visitor):
                pair = self.race._advance(lane, pair, step, stop - step)
                frames.append(await submit(tasks.take_frame, pair, pure=False))
            self.done += stop - step
            step = stop
            if frames[-1].diverged:
                break
            size = min(MAX_SLICE, max(1, round(SLICE_SECONDS * len(frames[-1]) / max(frames[-1].seconds, 1e-6))))
        look = None
        if not frames[-1].diverged:
            pair = self.race._advance(lane, pair, step, 0)  # what was changed and edited after the last step
            look = await submit(tasks.measure, pair, config.lane_at(lane, step), pure=False)
        ends = submit(tasks.experiment, "experiments.training.finish", pair, pure=False)
        weights = submit(tasks.experiment, "experiments.files.save_weights", pair, pure=False)
        self.results[lane] = LaneReplay(frames, look, await ends, await weights)
