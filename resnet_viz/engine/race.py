"""A race on the cluster: slices of its lanes in flight, what was measured, and the kept states to go back to.

One asyncio task per race submits the next slices before the last have come back, so that workers need not wait. States
stay on the workers. Every CHECKPOINT slices one copy comes here: it is what a rewind goes back to, and the root from
which Dask recomputes whatever a dying worker takes with it.
"""

from __future__ import annotations

import asyncio
import copy
import itertools
import logging
import secrets
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from distributed import Client, Future, wait

from resnet_viz.engine import tasks
from resnet_viz.engine.cluster import Cluster
from resnet_viz.engine.recovery import Patience, persist
from resnet_viz.engine.series import Series
from resnet_viz.records import Change, Frame, Lane, RaceConfig, State

SLICE_SECONDS = 0.06  # of computing in one slice: shorter than the time between two pictures
MAX_SLICE = 200  # steps
STRETCH_SECONDS = 0.25  # of computing for steps trained anew, before others get a turn and a reader sees progress
PACE = 0.05  # seconds a step, where nothing is known of it
MAX_SLICE_SHARED = 20  # where there are more lanes than workers, so that turns stay short
IN_FLIGHT = 3  # slices per lane; 1 where lanes outnumber workers
CHECKPOINT = 40  # slices between two states kept
KEPT_BYTES = 32_000_000  # of kept states per race, at most
POINT_BYTES = 200  # of one step's numbers in a curve
RACE_BYTES = 200_000  # of a race that has not begun
MAX_KEPT = 24

logger = logging.getLogger(__name__)


@dataclass
class LaneRun:
    """One lane of a running race: the newest state, as a future, and what was measured."""

    pair: Future | None = None
    series: Series = field(default_factory=Series)
    seconds_per_step: float = 0.0


@dataclass
class Slice:
    """Some steps of all lanes, in flight."""

    first: int
    steps: int
    pairs: list[Future]
    frames: list[Future]


class Race:
    """One race. All methods belong to the event loop; `hub` calls them from other threads.

    `state` is "ready", "running", "paused", "finished", "diverged" or "failed"; `step` is where all lanes stand.
    """

    def __init__(self, config: RaceConfig, cluster: Cluster, count_lanes: Callable[[], int], first_worker: int = 0) -> None:
        self.id, self.token = secrets.token_urlsafe(9), secrets.token_urlsafe(18)
        self.config, self.cluster, self.count_lanes = config, cluster, count_lanes
        self.first_worker = first_worker
        self.state, self.step, self.target = "ready", 0, 0
        self.epoch = 0  # grows when the curves are no longer a continuation: a snapshot is due
        self.revision = 0  # grows when config or place changed by hand, or a change planned before comes to hold
        self.divergence: tuple[int, int, str] | None = None  # lane, step, what overflowed
        self.kept: dict[int, list[State]] = {}
        self.lanes = [LaneRun(series=Series(lane.train.decay_block)) for lane in config.lanes]
        self._watchers, self.was_watched, self.unwatched_since = 0, False, time.monotonic()
        self.room = KEPT_BYTES
        self.listeners: set[asyncio.Event] = set()
        self.speed = 0.0
        self._submitted = 0
        self._taken = 0  # slices that came back
        self._generation = 0
        self._task: asyncio.Task | None = None
        self._stopping = False
        self._wanted = False

    # ------------------------------------------------------------------------------------------------ what users do

    def play(self, steps: int | None = None) -> None:
        """Run to the limit, or `steps` steps on. Does nothing where there is nothing left to run."""
        if self.state == "diverged":
            return
        limit = self.config.steps
        self.target = limit if steps is None else min(limit, self.step + steps)
        if self.target > self.step:
            self._stopping = False
            self._set_state("running")
            self._ensure_task()

    def pause(self) -> None:
        """Submit no more. What is in flight, some tenths of a second, is still taken in."""
        self._stopping = True

    async def settle(self, seconds: float | None = None) -> None:
        """Wait until nothing is in flight any more, at most so long: on a busy server it goes on behind the page."""
        if self._task is not None:
            await asyncio.wait([self._task], timeout=seconds)

    async def stop(self, seconds: float | None = None) -> None:
        self.pause()
        await self.settle(seconds)

    async def abandon(self) -> None:
        """Drop what is in flight: whoever starts over need not wait for it."""
        while self._task is not None and not self._task.done():
            self._task.cancel()
            await self.settle()

    async def rewind(self, step: int) -> None:
        """Go back to the newest kept state at or before `step`; 0 is the initial weights. Later changes are undone."""
        await self.abandon()
        step = self.begin_at(step)
        self._go_back(step, self.config.until(step))

    def continue_from(self, other: Race, step: int) -> None:
        """Begin as a copy of another race at `step`, with its curves until then. The other goes on as it is.

        What lies between the last state kept and `step` is trained anew, as after a loss.
        """
        self.take_kept(other, step)
        self.step = step
        for run, source in zip(self.lanes, other.lanes, strict=True):
            run.series = copy.deepcopy(source.series)
            run.series.cut(step)
        self._set_state("paused" if step else "ready")

    async def reset(self, config: RaceConfig) -> None:
        """Start over as another race, at its initial weights; who watches this one watches that."""
        await self.abandon()
        self.kept.clear()
        self.lanes = [LaneRun(series=Series(lane.train.decay_block)) for lane in config.lanes]
        self._go_back(0, config)

    async def change(self, lane: int, name: str, value: Any) -> None:
        """Change a live setting of a lane from the next step on that has not been submitted."""
        change = Change(self.frontier, lane, name, value)
        same = (change.step, lane, name)
        others = tuple(c for c in self.config.changes if (c.step, c.lane, c.name) != same)
        self.config = replace(self.config, changes=others)
        if self.config.lane_at(lane, change.step).changed(name, value) != self.config.lane_at(lane, change.step):
            self.config = replace(self.config, changes=(*others, change))  # else it only takes a change back
        self.revision += 1
        self.publish()
        self._ensure_task()  # at rest, the change shows at once in what is measured

    async def cut(self, lane: int, block: int, cut: bool) -> None:
        """Cut the shortcut of one block, or mend it: live; where nothing has been trained yet, from the start."""
        known = set(self.lanes_now()[lane].net.cuts)
        cuts = tuple(sorted(known | {block} if cut else known - {block}))
        if self.step or self.state != "ready":
            await self.change(lane, "cuts", cuts)
            return
        lanes = tuple(one.changed("cuts", cuts) if i == lane else one for i, one in enumerate(self.config.lanes))
        changes = tuple(item for item in self.config.changes if (item.step, item.lane, item.name) != (0, lane, "cuts"))
        await self.reset(replace(self.config, lanes=lanes, changes=changes))

    async def extend(self, steps: int) -> None:
        """Set the limit of steps."""
        steps = max(steps, self.frontier, 1)
        if self.state == "running" and self.target == self.config.steps:
            self.target = steps
        self.config = replace(self.config, steps=steps)
        if self.state in ("finished", "paused"):
            self._set_state("finished" if self.step >= self.config.steps else "paused")
        self.revision += 1
        self.publish()

    async def take_states(self, step: int, tell: Callable[[int], None] = lambda steps: None) -> list[State]:
        """The states of all lanes as training goes on from `step` with them, trained anew from the last one kept before.

        The same bits as the race had there. `step` is at most where the race stands. `tell` hears of the steps trained.
        """
        return await persist(self.cluster, lambda: self._take_states(step, tell))

    async def _take_states(self, step: int, tell: Callable[[int], None]) -> list[State]:
        first = self.begin_at(step)
        pairs = self.pairs_at(first)
        for low, high in itertools.pairwise([*range(first, step, self.size_stretch()), step]):
            await wait(pairs := self.train_on(pairs, low, high))
            tell(high - first)
        states = await self.gather_states(self.edit_at(pairs, step))
        return [replace(state, lane=self.config.lane_at(i, step)) for i, state in enumerate(states)]

    def copy_until(self, step: int) -> Race:
        """A race that nobody plays, to take states of: whatever becomes of this one meanwhile."""
        copied = Race(self.config.until(step), self.cluster, self.count_lanes)
        copied.take_kept(self, step)
        for lane, known in zip(copied.lanes, self.lanes, strict=True):
            lane.seconds_per_step = known.seconds_per_step
        return copied

    def take_kept(self, other: Race, step: int) -> None:
        """Have the states that another race kept on its way to `step`, where both did the same until then."""
        self.kept = {at: states for at, states in other.kept.items() if at <= step}

    def begin_at(self, step: int) -> int:
        """The last step at or before `step` whose states were kept."""
        return max((kept for kept in self.kept if kept <= step), default=0)

    def size_stretch(self) -> int:
        """Steps that take about STRETCH_SECONDS, by the pace of the slowest lane until now."""
        pace = max(lane.seconds_per_step for lane in self.lanes) or PACE
        return min(MAX_SLICE, max(1, round(STRETCH_SECONDS / pace)))

    def train_on(self, pairs: list[Future], first: int, step: int) -> list[Future]:
        """The lanes' states at `step`, before the edits made there, from those at `first`."""
        stops = [stop for stop in self.config.stops_after(first) if stop < step]
        for low, high in itertools.pairwise([first, *stops, step]):
            for at in range(low, high, MAX_SLICE):
                pairs = [self._advance(i, pair, at, min(MAX_SLICE, high - at)) for i, pair in enumerate(pairs)]
        return pairs

    def edit_at(self, pairs: list[Future], step: int) -> list[Future]:
        """The lanes' states after the edits made at `step`."""
        return [self._edit(i, pair, step) for i, pair in enumerate(pairs)]

    async def gather_states(self, pairs: list[Future]) -> list[State]:
        client = self.cluster.client
        return await gather(client, [client.submit(tasks.take_state, pair, pure=False) for pair in pairs])

    def lanes_now(self) -> list[Lane]:
        """The lanes with the live changes made so far."""
        return [self.config.lane_at(i, self.frontier) for i in range(len(self.config.lanes))]

    @property
    def frontier(self) -> int:
        """The first step that has not been submitted; what is only trained again, after a loss, has been."""
        return max(self._submitted, self.step)

    @property
    def watchers(self) -> int:
        """How many boards show the race now."""
        return self._watchers

    @watchers.setter
    def watchers(self, count: int) -> None:
        self._watchers, self.was_watched = count, True

    @property
    def bytes(self) -> int:
        """Of memory that the race takes here, roughly."""
        points = sum(len(run.series.points) + len(run.series.probes) for run in self.lanes)
        return RACE_BYTES + POINT_BYTES * points + sum(count_bytes(states) for states in self.kept.values())

    @property
    def kept_steps(self) -> list[int]:
        return sorted({0, *self.kept})

    # ------------------------------------------------------------------------------------------------ the task

    def open(self) -> None:
        """Make the initial states and measure them, so that the board has something true to show before Play."""
        self._ensure_task()

    def _ensure_task(self) -> None:
        self._wanted = True
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        """Run slices until target, pause or divergence, then measure where the race stands. Recover from lost workers."""
        patience = Patience(self.cluster)
        await self.cluster.ready()
        while True:
            try:
                if self._generation != self.cluster.generation:
                    self._root(self.begin_at(self.step))
                while self._wanted:  # somebody may ask for more while this looks
                    self._wanted = False
                    await self._run_slices()
                    await self._look()
                return
            except Exception as error:
                logger.warning("Race %s lost its workers at step %s: %r", self.id, self.step, error)
                self._generation, self._wanted = 0, True  # start again from the states kept here
                try:
                    await patience.wait(error, self._taken)
                except Exception:
                    logger.exception("Race %s has failed", self.id)
                    self._set_state("failed")
                    return

    async def _run_slices(self) -> None:
        flight: deque[Slice] = deque()
        since_checkpoint, last = 0, time.monotonic()
        while flight or not self._done():
            alone = self.count_lanes() <= max(1, len(self.cluster.workers))
            while not self._done() and since_checkpoint < CHECKPOINT and len(flight) < (IN_FLIGHT if alone else 1):
                flight.append(self._submit(self._size_slice(alone)))
                since_checkpoint += 1
            await self._publish_slice(part := flight.popleft())
            if self.divergence is not None:
                return
            now = time.monotonic()
            self.speed = _smooth(self.speed, len(self.lanes) * part.steps / max(now - last, 1e-6))
            last = now
            if since_checkpoint >= CHECKPOINT and not flight:
                await self._keep_states()
                since_checkpoint = 0
        if self.state == "running":
            self._set_state("finished" if self.step >= self.config.steps else "paused")

    def _done(self) -> bool:
        """Whether all is submitted: to the target, or at rest to where the race stood before a worker was lost."""
        at_rest = self._stopping or self.state != "running"
        return self._submitted >= (self.step if at_rest else self.target)

    def _size_slice(self, alone: bool) -> int:
        """So many steps that the slowest lane takes SLICE_SECONDS; none crosses a change, or what is published."""
        slowest = max(lane.seconds_per_step for lane in self.lanes) or SLICE_SECONDS / 4
        steps = min(max(1, round(SLICE_SECONDS / slowest)), MAX_SLICE if alone else MAX_SLICE_SHARED)
        stops = [stop for stop in (self.target, self.step) if stop > self._submitted]
        return min([steps, *(stop - self._submitted for stop in (*stops, *self.config.stops_after(self._submitted)))])

    def _submit(self, steps: int) -> Slice:
        client, first = self.cluster.client, self._submitted
        part = Slice(first, steps, [], [])
        for i, run in enumerate(self.lanes):
            run.pair = self._advance(i, run.pair, first, steps)
            part.pairs.append(run.pair)
            part.frames.append(client.submit(tasks.take_frame, run.pair, pure=False))
        self._submitted += steps
        if any(change.step == self._submitted for change in self.config.changes):
            self.revision += 1  # a change that was planned holds from here on: pages would take it back, not knowing of it
        return part

    def _advance(self, lane: int, pair: Future, step: int, steps: int) -> Future:
        """Some steps of a lane from `step` on; nothing is changed or edited within them."""
        now = self.config.lane_at(lane, step)
        return self.cluster.client.submit(tasks.advance, self._edit(lane, pair, step), steps, now, pure=False)

    def _edit(self, lane: int, pair: Future, step: int) -> Future:
        """The lane's state after the operations made just before `step`."""
        operations = self.config.edits_at(lane, step)
        if not operations:
            return pair
        return self.cluster.client.submit(tasks.edit, pair, operations, self.config.lane_at(lane, step), pure=False)

    async def _publish_slice(self, part: Slice) -> None:
        frames: list[Frame] = await gather(self.cluster.client, part.frames)
        for i, (run, frame) in enumerate(zip(self.lanes, frames, strict=True)):
            if len(frame):
                run.seconds_per_step = _smooth(run.seconds_per_step, frame.seconds / len(frame))
            if frame.first >= self.step:  # else published before a worker was lost: the same numbers again
                run.series.add(frame)
            if frame.diverged:
                self.divergence = (i, frame.first + len(frame), frame.overflow)
        self.step, self._taken = max(self.step, part.first + part.steps), self._taken + 1
        if self.divergence is not None:
            for run, pair in zip(self.lanes, part.pairs, strict=True):
                run.pair = pair
            self._set_state("diverged")
        self.publish()

    async def _keep_states(self) -> None:
        """Bring a copy of the states here, and root the next slices in it."""
        step = self._submitted
        states = self.kept[step] = await self.gather_states([run.pair for run in self.lanes])
        while len(self.kept) > max(2, min(MAX_KEPT, self.room // count_bytes(states))):
            steps = sorted(self.kept)  # thin the older half evenly: drop the one closest to its predecessor
            gaps = {b: b - a for a, b in zip([0, *steps], steps[:-1], strict=False)}
            del self.kept[min(gaps, key=gaps.get)]
        for run, pair in zip(self.lanes, self._restore(states), strict=True):
            run.pair = pair

    def _restore(self, states: list[State]) -> list[Future]:
        return [self.cluster.client.submit(tasks.restore, state, pure=False, **self._place(i))
                for i, state in enumerate(states)]

    def _place(self, lane: int) -> dict[str, Any]:
        """Where a lane's slices had better run: each lane of a race on another worker, if that can be."""
        workers = self.cluster.workers
        near = [workers[(self.first_worker + lane) % len(workers)]] if workers else None
        return {"workers": near, "allow_other_workers": bool(near)}

    def _root(self, step: int) -> None:
        """Start from the states kept at `step`, or from the initial ones."""
        self._generation, self._submitted = self.cluster.generation, step
        for run, pair in zip(self.lanes, self.pairs_at(step), strict=True):
            run.pair = pair

    def pairs_at(self, step: int) -> list[Future]:
        """The lanes' states as kept at `step`, or the initial ones."""
        if step in self.kept:
            return self._restore(self.kept[step])
        config = self.config
        return [self.cluster.client.submit(tasks.start, lane, config.dataset, config.seed, pure=False, **self._place(i))
                for i, lane in enumerate(config.lanes)]

    def _go_back(self, step: int, config: RaceConfig) -> None:
        """Stand at a kept step again, and forget what was measured after it."""
        self.config, self.step, self.divergence = config, step, None
        self.kept = {at: states for at, states in self.kept.items() if at <= step}
        for run in self.lanes:
            run.series.cut(step)
        self._generation = 0
        self.epoch += 1
        self.revision += 1
        self._set_state("paused" if step else "ready")
        self._ensure_task()

    async def _look(self) -> None:
        """Measure where the lanes stand, without training."""
        if self.divergence is not None:
            return
        client = self.cluster.client
        looks, before = [], []
        for i, run in enumerate(self.lanes):
            lane, was = (self.config.lane_at(i, step) for step in (self.step, self.step - 1))
            looks.append(client.submit(tasks.measure, self._edit(i, run.pair, self.step), lane, pure=False))
            same = lane == was and not self.config.edits_at(i, self.step)
            before.append(None if same else client.submit(tasks.measure, run.pair, was, pure=False))
        frames = zip(await gather(client, looks), await gather(client, before), strict=True)
        replaced = [run.series.look(*frame) for run, frame in zip(self.lanes, frames, strict=True)]
        self.epoch += any(replaced)
        self.publish()
        if self.step not in self.kept and self.step > 0:
            await self._keep_states()

    # ------------------------------------------------------------------------------------------------ publishing

    def _set_state(self, state: str) -> None:
        self.state = state
        if state != "running":
            self.speed = 0.0
        self.publish()

    def publish(self) -> None:
        """Tell the boards that there is something new."""
        for listener in self.listeners:
            listener.set()


def count_bytes(states: list[State]) -> int:
    return sum(state.weights.nbytes + state.moments.nbytes + state.buffers.nbytes for state in states)


async def gather(client: Client, futures: list[Future]) -> list[Any]:
    """Their results. Whoever is cancelled meanwhile leaves Dask's own waiting to its end, or it writes tracebacks of it."""
    waiting = asyncio.ensure_future(client.gather(futures))
    waiting.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # told to nobody, if nobody is left
    return await asyncio.shield(waiting)


def _smooth(old: float, new: float) -> float:
    return new if old == 0 else 0.8 * old + 0.2 * new
