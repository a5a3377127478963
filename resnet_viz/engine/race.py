"""A race: runs, and the step up to which they are shown."""

from __future__ import annotations

import asyncio
import copy
import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from resnet_viz.engine.run import Run, smooth
from resnet_viz.engine.runs import Runs
from resnet_viz.engine.series import Series
from resnet_viz.records import Change, Lane, RaceConfig, State

NEAR_SECONDS = 1.0  # of computing: what is recorded no farther ahead is shown as it comes, what is, at the pace it was made
TICK_SECONDS = 0.05
SPEED_SECONDS = 0.3  # between two looks at how fast it goes
POINT_BYTES = 200  # of one step's numbers in a curve
RACE_BYTES = 200_000  # of a race that has not begun

logger = logging.getLogger(__name__)


@dataclass(eq=False)
class LaneRun:
    """One lane of a race: its run, and what is shown of it."""

    run: Run
    series: Series


class Race:
    """One race. All methods belong to the event loop; `hub` calls them from other threads.

    `state` is "ready", "running", "paused", "finished", "diverged" or "failed"; `step` is where all lanes are shown. Runs
    are shared with other races of equal lanes, and may be ahead.
    """

    def __init__(self, config: RaceConfig, runs: Runs, first_worker: int = 0) -> None:
        self.id, self.token = secrets.token_urlsafe(9), secrets.token_urlsafe(18)
        self.config, self._runs, self.first_worker = config, runs, first_worker
        self.state, self.step, self.target = "ready", 0, 0
        self.epoch = 0  # grows when the curves are no longer a continuation: a snapshot is due
        self.revision = 0  # grows when config or place changed by hand, or a change planned before comes to hold
        self.divergence: tuple[int, int, str] | None = None  # lane, step, what overflowed
        self.lanes = self._make_lanes()
        self._watchers, self.was_watched, self.unwatched_since = 0, False, time.monotonic()
        self.listeners: set[asyncio.Event] = set()
        self.speed = 0.0
        self._seen = (0.0, 0)  # when the speed was looked at, and the step
        self._moved, self._hurry = 0.0, False  # when the step last changed
        self._held = 0  # live changes that hold
        self._timer: asyncio.TimerHandle | None = None
        self._looking: asyncio.Task | None = None

    def _make_lanes(self) -> list[LaneRun]:
        return [LaneRun(self._get_run(i), Series(lane.train.decay_block)) for i, lane in enumerate(self.config.lanes)]

    def _get_run(self, lane: int) -> Run:
        return self._runs.get(self.config, lane, self.first_worker + lane)

    # ------------------------------------------------------------------------------------------------ what users do

    def play(self, steps: int | None = None, hurry: bool = False) -> None:
        """Run to the limit, or `steps` steps on. Does nothing where there is nothing left to run.

        What is recorded already is shown at the pace at which it was made, but where nobody wants to see it: `hurry`.
        """
        if self.state == "diverged":
            return
        limit = self.config.steps
        self.target = limit if steps is None else min(limit, self.step + steps)
        if self.target > self.step:
            self._stop_looking()
            self._moved, self._hurry = time.monotonic(), hurry
            self._seen = self._moved, self.step
            self._set_state("running")
            self._wish()

    def close(self) -> None:
        """Want nothing any more."""
        self._unwish()
        self._stop_looking()
        self._set_state(self.state if self.state != "running" else "paused")

    def pause(self) -> None:
        """Stand still at once. What is in flight is recorded all the same."""
        if self.state == "running":
            self._rest("paused")

    async def settle(self, seconds: float | None = None) -> None:
        """Wait until it rests and has been measured there, at most so long."""
        self.listeners.add(news := asyncio.Event())
        try:
            async with asyncio.timeout(seconds):
                while self.state == "running" or self._is_looking:
                    news.clear()
                    await news.wait()
        except TimeoutError:
            pass
        finally:
            self.listeners.discard(news)

    async def stop(self, seconds: float | None = None) -> None:
        self.pause()
        await self.settle(seconds)

    async def rewind(self, step: int) -> None:
        """Go back to `step`; 0 is the initial weights. Later changes are undone."""
        self._start_over(min(step, self.step), self.config.until(step))

    async def reset(self, config: RaceConfig) -> None:
        """Start over as another race, at its initial weights; who watches this one watches that."""
        self._unwish()
        self.config = config
        self.lanes = self._make_lanes()
        self._start_over(0, config)

    def continue_from(self, other: Race, step: int) -> None:
        """Begin as a copy of another race at `step`, with its curves until then. The other goes on as it is."""
        self.step = step
        for lane, source in zip(self.lanes, other.lanes, strict=True):
            lane.series = copy.deepcopy(source.series)
            lane.series.cut(step)
        self._set_state("paused" if step else "ready")

    async def change(self, lane: int, name: str, value: Any) -> None:
        """Change a live setting of a lane, from the step on at which all lanes can still be changed."""
        change = Change(self.frontier, lane, name, value)
        same = (change.step, lane, name)
        others = tuple(c for c in self.config.changes if (c.step, c.lane, c.name) != same)
        self.config = replace(self.config, changes=others)
        if self.config.lane_at(lane, change.step).changed(name, value) != self.config.lane_at(lane, change.step):
            self.config = replace(self.config, changes=(*others, change))  # else it only takes a change back
        self._change_runs()
        self._held = self._count_held()
        self.revision += 1
        self.publish()
        if self.state != "running":
            self.look()  # the change shows at once in what is measured

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
            self._wish()
        self.config = replace(self.config, steps=steps)
        if self.state in ("finished", "paused"):
            self._set_state("finished" if self.step >= self.config.steps else "paused")
        self.revision += 1
        self.publish()

    async def take_states(self, step: int, tell: Callable[[int], None] = lambda step: None) -> list[State]:
        """The states of all lanes as training goes on from `step` with them: see `take_states`."""
        return await take_states(self.runs, step, tell)

    def lanes_now(self) -> list[Lane]:
        """The lanes with the live changes made so far."""
        return [self.config.lane_at(i, self.frontier) for i in range(len(self.config.lanes))]

    @property
    def frontier(self) -> int:
        """The first step that may still be changed in all lanes: where they rest, else what is not yet on its way."""
        near = [run.submitted for run in self.runs if run.submitted <= self.target
                and (run.submitted - self.step) * run.pace < NEAR_SECONDS]
        return max(self.step, *near) if self.state == "running" and near else self.step

    @property
    def runs(self) -> list[Run]:
        return [lane.run for lane in self.lanes]

    @property
    def watchers(self) -> int:
        """How many boards show the race now."""
        return self._watchers

    @watchers.setter
    def watchers(self, count: int) -> None:
        self._watchers, self.was_watched = count, True

    @property
    def bytes(self) -> int:
        """Of memory that the race takes here beside its runs, roughly."""
        return RACE_BYTES + POINT_BYTES * sum(len(lane.series.points) + len(lane.series.probes) for lane in self.lanes)

    @property
    def kept_steps(self) -> list[int]:
        """Steps that are reached at once."""
        return sorted({0, *(step for run in self.runs for step in list(run.kept) if step <= self.step)})

    # ------------------------------------------------------------------------------------------------ its runs

    def _wish(self) -> None:
        for run in self.runs:
            run.wish(self, self.target, self._runs.share, self._move)
        self._move_at(0)  # what is recorded already tells nobody

    def _unwish(self) -> None:
        for run in self.runs:
            run.unwish(self)
        self._stop_timer()

    def _change_runs(self) -> None:
        """Have the runs of the config's histories; where they run, they go on."""
        for i, lane in enumerate(self.lanes):
            run = self._get_run(i)
            if run is not lane.run:
                lane.run.unwish(self)
                lane.run = run
        if self.state == "running":
            self._wish()

    def _start_over(self, step: int, config: RaceConfig) -> None:
        """Stand at an earlier step, and show nothing of what was measured after it."""
        self._unwish()
        self.config, self.step, self.divergence = config, step, None
        for lane in self.lanes:
            lane.series.cut(step)
        self.state = "paused" if step else "ready"
        self._change_runs()
        self._held = self._count_held()
        self.epoch += 1
        self.revision += 1
        self._set_state(self.state)
        self.look()

    def _move(self) -> None:
        """Show what has been recorded, to the target or a divergence."""
        self._stop_timer()
        if self.state != "running":
            return
        step = self._find_step()
        if step > self.step:
            replaced = [lane.series.add(lane.run.recording.take(self.step, step)) for lane in self.lanes]
            self.epoch += any(replaced)
            self.step = step
            self._clock()
            self._note_held()
            self.publish()
        over = [(i, self.step, run.overflow) for i, run in enumerate(self.runs)
                if run.overflow is not None and run.frontier == self.step]
        if self.step >= self.target:
            self._rest("finished" if self.step >= self.config.steps else "paused")
        elif over:
            self.divergence = over[0]
            self._rest("diverged")
        elif any(run.error is not None and run.frontier == self.step for run in self.runs):
            self._rest("failed")

    def _find_step(self) -> int:
        """The last step that all lanes have; where they are far ahead, as far as it was trained in the time since then."""
        ahead, pace = min(self.target, *(run.frontier for run in self.runs)), max(run.pace for run in self.runs)
        if self._hurry or (ahead - self.step) * pace <= NEAR_SECONDS:
            self._moved = time.monotonic()
            return ahead
        steps = int((time.monotonic() - self._moved) / pace)
        self._moved += steps * pace
        self._move_at(TICK_SECONDS)
        return min(ahead, self.step + steps)

    def _move_at(self, seconds: float) -> None:
        self._stop_timer()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._move)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None

    def _clock(self) -> None:
        """How many steps of lanes a second."""
        now, (then, step) = time.monotonic(), self._seen
        if now - then > SPEED_SECONDS:
            self.speed = smooth(self.speed, len(self.lanes) * (self.step - step) / (now - then))
            self._seen = now, self.step

    def _count_held(self) -> int:
        return sum(change.step <= self.frontier for change in self.config.changes)

    def _note_held(self) -> None:
        """Pages would take back a change that has come to hold by itself, not knowing of it."""
        held = self._count_held()
        self.revision += held != self._held
        self._held = held

    def _rest(self, state: str) -> None:
        self._unwish()
        self.state = state
        self._note_held()
        self._set_state(state)
        self.look()

    # ------------------------------------------------------------------------------------------------ where it rests

    def look(self) -> None:
        """Measure where the lanes stand; before Play, too, so that the board has something true to show."""
        self._stop_looking()
        if self.divergence is None:
            self._looking = asyncio.create_task(self._look())
            self._looking.add_done_callback(lambda _: self.publish())

    @property
    def _is_looking(self) -> bool:
        return self._looking is not None and not self._looking.done()

    def _stop_looking(self) -> None:
        if self._is_looking:
            self._looking.cancel()

    async def _look(self) -> None:
        try:
            found = await asyncio.gather(*(run.look(self.step) for run in self.runs))
        except Exception:
            logger.exception("Race %s has failed", self.id)
            self._set_state("failed")
            return
        replaced = [lane.series.look(*frames) for lane, frames in zip(self.lanes, found, strict=True)]
        self.epoch += any(replaced)

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


async def take_states(runs: list[Run], step: int, tell: Callable[[int], None] = lambda step: None,
                      visitor: str | None = None) -> list[State]:
    """The runs' states as training goes on from `step` with them, trained anew from the nearest that there are.

    The same bits as a race has there. `tell` hears of the step that all have reached.
    """
    reached = dict.fromkeys(runs, 0)

    def note(run: Run, at: int) -> None:
        reached[run] = at
        tell(min(reached.values()))

    return await asyncio.gather(*(run.state_at(step, lambda at, run=run: note(run, at), visitor) for run in runs))
