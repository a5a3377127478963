"""A run: one lane's training under one history, recorded. Whoever holds it wishes it to reach a step.

A slice of about a quarter of a second is a task. What it measures comes while it works, and fills the recording; its state
stays on the worker, where the next slice begins with it. A state comes here every KEEP_SECONDS of computing: it is the root
from which Dask recomputes whatever a dying worker takes with it, and from which any step is trained anew, to the same bits.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import secrets
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from distributed import Client, Future, wait

from resnet_viz.engine import tasks
from resnet_viz.engine.cluster import Cluster
from resnet_viz.engine.recording import Recording
from resnet_viz.engine.recovery import LOST, Patience, persist
from resnet_viz.records import Frame, RaceConfig, State

SLICE_SECONDS = 0.25  # of computing in one slice
MAX_SLICE = 2000  # steps
FIRST_SLICE = 4  # steps, while nothing is known of the pace
FRAME_SECONDS = 0.085  # of computing between two frames: boards show ten a second
KEEP_SECONDS = 2.0  # of computing between two states kept
KEPT_BYTES = 16_000_000  # of kept states per run, at most
MAX_KEPT = 24
RECENT = 4  # slices whose states stay on the workers: where a run is paused, one of them is near

logger = logging.getLogger(__name__)


class RowsLostError(OSError):
    """A slice has ended, and not all that it measured has come."""


@dataclass(frozen=True)
class Share:
    """How much of the workers a run may have: seconds of a slice, between two states kept and between two frames;

    slices in flight.
    """

    seconds: float = SLICE_SECONDS
    keep: float = KEEP_SECONDS
    frame: float = FRAME_SECONDS
    flight: int = 1


@dataclass(frozen=True)
class Wish:
    """That a run may reach `step`. `tell` is called at each news; `visitor` is whose turns it takes, None: nobody's."""

    step: int
    share: Callable[[], Share]
    tell: Callable[[], None]
    visitor: str | None


class Run:
    """The run of a race of one lane. All methods belong to the event loop.

    `overflow` says what was not finite in the step after those recorded, `error` why it cannot go on.
    """

    def __init__(self, config: RaceConfig, cluster: Cluster, place: int | None = None) -> None:
        self.id, self.config, self.cluster, self.place = secrets.token_urlsafe(9), config, cluster, place
        self.recording, self.overflow, self.error = Recording(), None, None
        self.kept: dict[int, State] = {}
        self.room = KEPT_BYTES
        self.pace = self.seconds = 0.0  # of computing: of a step, and of all
        self.wishes: dict[object, Wish] = {}  # by who has them
        self._source: tuple[Run, int] | None = None  # which is followed until that step
        self._states: deque[tuple[int, State | Future]] = deque(maxlen=RECENT)  # those of the last slices, and their steps
        self._generation = self._slices = 0
        self._since_kept = 0.0
        self._task: asyncio.Task | None = None
        cluster.runs[self.id] = self

    def fork(self, config: RaceConfig, step: int) -> Run:
        """A run of another history, the same until `step`: it shares what is recorded or on its way until then."""
        other = Run(config, self.cluster, self.place)
        other.kept = {at: state for at, state in self.kept.items() if at <= step}
        other.pace, other._source = self.pace, (self, step)
        other._copy()
        return other

    def _copy(self) -> None:
        """Take over what the source has recorded, and at last the state it has there, if it has gone no farther."""
        source, step = self._source
        if source.frontier > self.frontier:
            self.record(source.recording.take(self.frontier, min(step, source.frontier)))
        if self.frontier < step and source.overflow is None:
            return
        if self.frontier < step:
            self.overflow = source.overflow
        self._states.extend(place for place in source._states if place[0] <= self.frontier)
        self._generation, self._source = source._generation, None

    # ------------------------------------------------------------------------------------------------ what it has

    @property
    def frontier(self) -> int:
        """How many steps are recorded."""
        return len(self.recording)

    @property
    def submitted(self) -> int:
        """The first step that is not yet on its way."""
        done = max(self.frontier, self._states[-1][0] if self._states else 0)
        return done if self._source is None else max(done, self._source[1])

    @property
    def is_live(self) -> bool:
        """Whether it trains for somebody who takes no turns."""
        return self.overflow is None and any(wish.visitor is None and wish.step > self.frontier
                                             for wish in self.wishes.values())

    @property
    def bytes(self) -> int:
        return self.recording.bytes + sum(count_bytes(state) for state in self.kept.values())

    def record(self, frame: Frame) -> None:
        """Take in what a worker has measured, as far as it is new and follows on what is there."""
        if self.overflow is not None or frame.first > self.frontier:
            return
        if len(frame):
            self.pace = smooth(self.pace, frame.seconds / len(frame))
        self.seconds, self._since_kept = self.seconds + frame.seconds, self._since_kept + frame.seconds
        if frame.stop >= self.frontier:
            self.recording.add(frame.cut(self.frontier, frame.stop))
            self.overflow = frame.overflow
        self._tell()

    def _tell(self) -> None:
        for wish in list(self.wishes.values()):
            wish.tell()

    # ------------------------------------------------------------------------------------------------ what is wished

    def wish(self, holder: object, step: int, share: Callable[[], Share], tell: Callable[[], None],
             visitor: str | None = None) -> None:
        """Train on until `step`, until the holder wishes something else or nothing."""
        self.wishes[holder] = Wish(step, share, tell, visitor)
        if step > self.frontier and (self._task is None or self._task.done()):
            self.error = None
            self._task = asyncio.create_task(self._work())

    def unwish(self, holder: object) -> None:
        """Submit no more for this holder. What is in flight is still recorded."""
        self.wishes.pop(holder, None)

    async def reach(self, step: int, share: Callable[[], Share] = Share, tell: Callable[[], None] = lambda: None,
                    visitor: str | None = None) -> None:
        """Wait until `step` steps are recorded, or all until it diverges. Raises why it cannot go on."""
        holder, news = object(), asyncio.Event()

        def note() -> None:
            tell()
            news.set()

        self.wish(holder, step, share, note, visitor)
        try:
            while self.frontier < step and self.overflow is None and self.error is None:
                news.clear()
                await news.wait()
        finally:
            self.unwish(holder)
        if self.error is not None:
            raise self.error

    def _choose(self) -> Wish | None:
        """What is submitted for: first for those who take no turns. None where there is nothing more to submit."""
        if self.overflow is not None:
            return None
        done = self.frontier if self._source is not None else self.submitted
        return min((wish for wish in self.wishes.values() if wish.step > done),
                   key=lambda wish: wish.visitor is not None, default=None)

    # ------------------------------------------------------------------------------------------------ the task

    async def _work(self) -> None:
        """Train until nobody wishes more; begin again from the states kept here where workers are lost."""
        patience = Patience(self.cluster)
        while self._choose() is not None:
            try:
                await self.cluster.ready()
                if self._source is None:
                    await self._train()
                elif (wish := self._choose()) is not None:
                    source, step = self._source
                    await source.reach(step, wish.share, self._follow, wish.visitor)
                    self._follow()
            except Exception as error:
                logger.warning("A run lost its workers at step %s: %r", self.frontier, error)
                self._states.clear()
                self._generation = 0
                if self.error is None:
                    try:
                        await patience.wait(error, self._slices)
                    except Exception:
                        self.error = error
                if self.error is not None:
                    self._tell()
                    return

    def _follow(self) -> None:
        if self._source is not None:
            self._copy()
            self._tell()

    async def _train(self) -> None:
        if self._generation != self.cluster.generation:
            self._states.clear()
            self._generation = self.cluster.generation
        if not self._states:
            self._states.append(self._find_nearest(self.frontier))
        flight: deque[tuple[Future, int]] = deque()
        while flight or self._choose() is not None:
            wish = self._choose()
            async with self._take_turn(None if flight else wish.visitor):
                while (wish := self._choose()) is not None and len(flight) < (share := wish.share()).flight:
                    if flight and self._since_kept >= share.keep:
                        break
                    flight.append(self._submit(share))
                if flight:
                    await self._take_in(*flight.popleft())
            if not flight and wish is not None and self._since_kept >= share.keep:
                self._keep(self._states[-1][0], await self._fetch(self._states[-1][1]))

    def _take_turn(self, visitor: str | None) -> contextlib.AbstractAsyncContextManager:
        return contextlib.nullcontext() if visitor is None else self.cluster.turns.take(visitor)

    def _submit(self, share: Share) -> tuple[Future, int]:
        """A slice; none crosses a change, or a step that somebody wishes."""
        (first, state), wished = self._states[-1], [wish.step for wish in self.wishes.values()]
        stop = min([first + self._count_steps(share.seconds), *self.config.stops_after(first),
                    *(step for step in wished if step > first)])
        future = self._advance(state, range(first, stop), self._count_steps(share.frame), self.id)
        self._states.append((stop, future))
        return future, stop

    def _count_steps(self, seconds: float) -> int:
        """Of so many seconds of computing."""
        return min(MAX_SLICE, max(1, round(seconds / self.pace))) if self.pace else FIRST_SLICE

    async def _take_in(self, future: Future, stop: int) -> None:
        try:
            await finish(future)
        except Exception as error:
            if future.status == "error" and not isinstance(error, LOST):  # it would fail again
                self.error = error
            raise
        self._slices += 1
        if self.overflow is not None:
            self._states = deque([(self.frontier, future)], RECENT)
        elif self.frontier < stop:
            raise RowsLostError(f"Of {stop} steps {self.frontier} have come")

    # ------------------------------------------------------------------------------------------------ states

    def _keep(self, step: int, state: State) -> None:
        """Keep a state, and root in it what goes on from there. Of too many the closest to the one before goes."""
        self.kept[step] = state
        while len(self.kept) > max(2, min(MAX_KEPT, self.room // count_bytes(state))):
            gaps = {b: b - a for a, b in itertools.pairwise([0, *sorted(self.kept)]) if b != step}
            del self.kept[min(gaps, key=gaps.get)]
        if self._states and step == self._states[-1][0]:
            self._states[-1], self._since_kept = (step, state), 0.0

    def find_kept(self, step: int) -> int:
        """The last step at or before `step` whose state was kept."""
        return max((at for at in self.kept if at <= step), default=0)

    def _find_nearest(self, step: int) -> tuple[int, State | Future]:
        """The nearest state at or before `step` that there is, and where."""
        at = self.find_kept(step)
        if self._generation == self.cluster.generation:
            for place in reversed(self._states):
                if at <= place[0] <= step:
                    return place
        lane, dataset, seed = self.config.lanes[0], self.config.dataset, self.config.seed
        return at, self.kept[at] if at in self.kept else self._ask(tasks.start, lane, dataset, seed)

    def _ask(self, task: Callable, *arguments: Any) -> Future:
        """A task, where its state is; one that begins with none, or with one kept here, where its lane has its place."""
        near, workers = {}, self.cluster.workers
        if self.place is not None and workers and not isinstance(arguments[0], Future):
            near = {"workers": [workers[self.place % len(workers)]], "allow_other_workers": True}
        return self.cluster.client.submit(task, *arguments, pure=False, **near)

    def _advance(self, state: State | Future, steps: range, size: int, recorder: str) -> Future:
        """The state after these steps, before what is edited then; nothing is changed or edited in between."""
        if self.config.edits_at(0, steps.start):
            state = self.edit(state, steps.start)
        lane, topic = self.config.lane_at(0, steps.start), self.cluster.client.id
        return self._ask(tasks.advance, state, steps, lane, size, recorder, topic)

    def edit(self, state: State | Future, step: int) -> Future:
        """The state as training goes on from `step` with it."""
        return self._ask(tasks.edit, state, self.config.edits_at(0, step), self.config.lane_at(0, step))

    async def _fetch(self, state: State | Future) -> State:
        return state if isinstance(state, State) else (await gather(self.cluster.client, [state]))[0]

    async def train_to(self, step: int, tell: Callable[[int], None] = lambda step: None, visitor: str | None = None,
                       near: tuple[int, State | Future] | None = None) -> State | Future:
        """The state at `step`, before what is edited there, trained anew on a worker from the nearest that there is.

        `near` is one more, and its step. `tell` hears of the steps on the way. Nothing is recorded.
        """
        at, state = self._find_nearest(step)
        if near is not None and near[0] >= at:
            at, state = near
        stops = [*range(at, step, self._count_steps(SLICE_SECONDS)), *self.config.stops_after(at), step]
        for low, high in itertools.pairwise(sorted({stop for stop in stops if stop <= step})):
            async with self._take_turn(visitor):
                await finish(state := self._advance(state, range(low, high), MAX_SLICE, ""))
            tell(high)
        return state

    async def find_state(self, step: int, tell: Callable[[int], None] = lambda step: None,
                         visitor: str | None = None) -> Future:
        """The state on a worker as training goes on from `step` with it."""
        return self.edit(await self.train_to(step, tell, visitor), step)

    async def state_at(self, step: int, tell: Callable[[int], None] = lambda step: None,
                       visitor: str | None = None) -> State:
        """The state as training goes on from `step` with it: after what is changed and edited there."""
        async def find() -> State:
            return await self._fetch(await self.find_state(step, tell, visitor))

        return await persist(self.cluster, find)

    async def look(self, step: int) -> tuple[Frame, Frame | None]:
        """Measure where it stands at `step`, without training; and without what is changed or edited there, if anything is.

        The state is kept.
        """
        return await persist(self.cluster, lambda: self._look(step))

    async def _look(self, step: int) -> tuple[Frame, Frame | None]:
        state = await self.train_to(step)
        lane, was = (self.config.lane_at(0, at) for at in (step, step - 1))
        wanted = [self._ask(tasks.measure, self.edit(state, step), lane)]
        if lane != was or self.config.edits_at(0, step):
            wanted.append(self._ask(tasks.measure, state, was))
        found, *before = await gather(self.cluster.client, wanted)
        if step > 0 and step not in self.kept:
            self._keep(step, await self._fetch(state))
        while len(self._states) > 1 and not self.wishes:  # it rests
            self._states.popleft()
        return found, before[0] if before else None


async def finish(future: Future) -> None:
    """Wait until a task has ended, without its result. Raises what it failed of."""
    await wait([future])
    if future.status == "error":
        await future


def count_bytes(state: State) -> int:
    return state.weights.nbytes + state.moments.nbytes + state.buffers.nbytes


async def gather(client: Client, futures: list[Future]) -> list[Any]:
    """Their results. Whoever is cancelled meanwhile leaves Dask's own waiting to its end, or it writes tracebacks of it."""
    waiting = asyncio.ensure_future(client.gather(futures))
    waiting.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # told to nobody, if nobody is left
    return await asyncio.shield(waiting)


def smooth(old: float, new: float) -> float:
    return new if old == 0 else 0.8 * old + 0.2 * new
