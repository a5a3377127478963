"""Whose measurement may have a worker next, so that nobody's keep the others waiting."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar

VISITOR: ContextVar[str] = ContextVar("visitor", default="")  # whoever the work of this context is for

Claim = tuple[str, bool]  # a visitor, and whether it is for long


class Turns:
    """One for all measurements on a cluster: no more are in flight than there are workers.

    Half of the workers are for short ones only. While another visitor wants workers, or a race does, nobody holds more than
    half. Whoever holds the least is next, and of those, who has waited the longest.
    """

    def __init__(self, count_workers: Callable[[], int]) -> None:
        self.count_workers = count_workers
        self.is_raced: Callable[[], bool] = lambda: False  # whether races want workers, too
        self._held: Counter[Claim] = Counter()
        self._waiting: dict[Claim, deque[asyncio.Future]] = {}

    @contextlib.asynccontextmanager
    async def take(self, visitor: str, long: bool = False) -> AsyncIterator[None]:
        """Wait for one's turn, and have a worker's time until the end of the block."""
        claim, turn = (visitor, long), asyncio.get_running_loop().create_future()
        self._waiting.setdefault(claim, deque()).append(turn)
        self._deal()
        try:
            await turn
            yield
        finally:
            if turn.done() and not turn.cancelled():
                self._held[claim] -= 1
            elif turn in (queue := self._waiting.get(claim, deque())):
                queue.remove(turn)
            self._deal()

    def count_held(self, visitor: str) -> int:
        return self._held[visitor, False] + self._held[visitor, True]

    def _deal(self) -> None:
        self._held, self._waiting = +self._held, {claim: queue for claim, queue in self._waiting.items() if queue}
        while (claim := self._choose()) is not None:
            queue = self._waiting.pop(claim)
            turn = queue.popleft()
            if queue:
                self._waiting[claim] = queue  # behind all others
            if not turn.cancelled():
                self._held[claim] += 1
                turn.set_result(None)

    def _choose(self) -> Claim | None:
        size = self.count_workers()
        if sum(self._held.values()) >= size:
            return None
        half, longs = max(1, size // 2), sum(count for (_visitor, long), count in self._held.items() if long)
        shared = self.is_raced() or len({visitor for visitor, _long in (*self._held, *self._waiting)}) > 1
        fitting = [(visitor, long) for visitor, long in self._waiting
                   if not (long and longs >= half) and not (shared and self.count_held(visitor) >= half)]
        return min(fitting, key=lambda claim: self.count_held(claim[0]), default=None)
