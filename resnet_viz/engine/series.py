"""What has been measured in one lane of a race so far, as the board needs it: curves, and the newest of each profile."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from resnet_viz.records import Frame

# A value per layer or block; the newest of each is sent.
PROFILES = ("gradient", "weight_gradient", "ratio", "share", "cosine", "weight_norm")
POINT = ("step", "loss", "accuracy")
PROBE = (*POINT, "weight_norm", "ratio", "cosine")
SCORES = ("training_accuracy", "held_out_accuracy", *PROBE[3:])  # of a lane at rest
MAX_POINTS = 1000  # per curve and message; more are averaged in groups


@dataclass
class Series:
    """Curves of one lane: `points` step, loss, accuracy of training batches; `probes` the same of the held-out set,

    and ‖W[l+2]‖, ‖F‖/‖s‖ and the cosine of a[l] and a[l+2], of the block `watched` or as means over all blocks.

    While the lane rests, `scores` are SCORES measured where it stands; `scores_before` the same, of the same weights and
    on the same batch, without what is changed or edited at this very step. None where nothing is, or it changes nothing.
    """

    watched: int | None = None
    points: list[tuple[float, ...]] = field(default_factory=list)
    probes: list[tuple[float, ...]] = field(default_factory=list)
    profiles: dict[str, np.ndarray] = field(default_factory=dict)
    scores: tuple[float, ...] | None = None
    scores_before: tuple[float, ...] | None = None

    def add(self, frame: Frame) -> bool:
        """Take in a frame that follows on what is there. Returns as `look` does."""
        steps = range(frame.first, frame.first + len(frame))
        self.points += zip(steps, frame.loss.tolist(), frame.accuracy.tolist(), strict=True)
        self.scores = self.scores_before = None
        self._take_profiles(frame)
        return self._add_probes(frame)

    def look(self, frame: Frame, before: Frame | None = None) -> bool:
        """Take in what was measured where the lane rests: a frame whose one step has not been taken.

        `before` is the same without what is changed at this step. Returns whether a probe took the place of another, so
        that the curves are no longer a continuation.
        """
        if frame.diverged:
            self.profiles.clear()  # what was measured there was of another net
        self._take_profiles(frame)
        self.scores, was = self._list_scores(frame), None if before is None else self._list_scores(before)
        self.scores_before = None if was is None or np.array_equal(self.scores, was, equal_nan=True) else was
        return self._add_probes(frame)

    def _add_probes(self, frame: Frame) -> bool:
        """Probes that follow on those there are, or on all but the last one, which was made where the lane rested."""
        found, last = self._list_probes(frame), self.probes[-1:]
        first = found[0][0] if found else frame.first if frame.diverged else np.inf
        if not last or last[0][0] < first:
            self.probes += found
            return False
        self.probes[-1:] = found
        return not np.array_equal(last, found[:1], equal_nan=True)

    def _list_scores(self, frame: Frame) -> tuple[float, ...]:
        """SCORES of a frame with one step and one probe; NaN where it has neither, not being finite."""
        if frame.diverged:
            return (np.nan,) * len(SCORES)
        _step, _loss, held_out, *blocks = self._list_probes(frame)[-1]
        return float(frame.accuracy[-1]), held_out, *blocks

    def _list_probes(self, frame: Frame) -> list[tuple[float, ...]]:
        blocks = [self._watch(values) for values in (frame.weight_norm, frame.ratio, frame.cosine)]
        columns = [frame.probe_step, frame.test_loss, frame.test_accuracy, *blocks]
        return list(zip(*(column.tolist() for column in columns), strict=True))

    def _take_profiles(self, frame: Frame) -> None:
        for name in PROFILES:
            values = getattr(frame, name)
            if len(values):
                self.profiles[name] = values[-1]

    def _watch(self, values: np.ndarray) -> np.ndarray:
        """Of one value per block (m, K) the one to draw (m,): NaN where no block has any."""
        if self.watched is not None:
            return values[:, self.watched]
        known = np.isfinite(values)
        return np.where(known, values, 0).sum(1) / np.where(known.any(1), known.sum(1), np.nan)

    def cut(self, step: int) -> None:
        """Forget everything from `step` on."""
        self.points = [point for point in self.points if point[0] < step]
        self.probes = [probe for probe in self.probes if probe[0] < step]
        self.profiles.clear()
        self.scores = self.scores_before = None

    def send(self, points: int = 0, probes: int = 0, most: int = MAX_POINTS) -> dict[str, Any]:
        """A message's part: curves from these indices on, and the newest profiles. All finite or None."""
        profiles = {name: self.profiles.get(name) for name in PROFILES}
        return {
            "points": thin(self.points[points:], POINT, most),
            "probes": thin(self.probes[probes:], PROBE, most),
            **{name: None if values is None else round_finite(values) for name, values in profiles.items()},
        }

    def send_scores(self) -> dict[str, dict[str, float | None] | None]:
        """A message's part: what the lane's numbers are where it rests, and were there before something was changed."""
        scores = {"scores": self.scores, "scores_before": self.scores_before}
        return {name: None if values is None else dict(zip(SCORES, round_finite(np.array(values)), strict=True))
                for name, values in scores.items()}


def thin(points: list[tuple[float, ...]], names: tuple[str, ...], most: int = MAX_POINTS) -> dict[str, list]:
    """Columns by name; of more than `most` points the means of groups of neighbours."""
    table = np.array(points, np.float64).reshape(-1, len(names))
    group = -(-len(table) // most)
    if group > 1:
        starts = np.arange(0, len(table), group)
        counts = np.diff([*starts, len(table)])[:, None]
        table = np.add.reduceat(table, starts) / counts
    columns = (round_finite(column) for column in table.T)
    return dict(zip(names, columns, strict=True))


def round_finite(values: np.ndarray) -> list[float | None]:
    """Five significant digits, which is more than a chart shows; None for what is not finite."""
    return [float(f"{value:.5g}") if np.isfinite(value) else None for value in values.tolist()]
