"""What was measured in every step of a run, in single precision, from its first step on."""

from __future__ import annotations

from resnet_viz.records import Frame, join_frames
from resnet_viz.records.frames import ARRAYS


class Recording:
    """Frames that follow on each other, added one by one, any stretch of which can be had."""

    def __init__(self) -> None:
        self._parts: list[Frame] = []

    def __len__(self) -> int:
        """How many steps there are."""
        return self._parts[-1].stop if self._parts else 0

    @property
    def bytes(self) -> int:
        return sum(getattr(part, name).nbytes for part in self._parts for name in ARRAYS)

    def add(self, frame: Frame) -> None:
        """Take in a frame that follows on what is there; small ones are joined, so that there are never many."""
        if len(frame) or not self._parts:
            self._parts.append(frame)
        while len(self._parts) > 1 and len(self._parts[-2]) < 2 * len(self._parts[-1]):
            self._parts[-2:] = [join_frames(self._parts[-2:])]

    def take(self, first: int, stop: int) -> Frame:
        """What was measured in the steps `first … stop - 1`; something must have been recorded."""
        parts = [part for part in self._parts if part.first < stop and part.stop > first] or self._parts[:1]
        return join_frames([part.cut(first, stop) for part in parts])
