"""What has been measured in one lane of a race so far, as the board needs it: curves, and the newest of each profile."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from resnet_viz.records import Frame

PROFILES = ("gradient", "weight_gradient", "ratio", "share", "cosine")  # one value per layer or block; the newest is sent
MAX_POINTS = 1000  # per curve and message; more are averaged in groups


@dataclass
class Series:
    """Curves of one lane: `points` step, loss, accuracy of training batches; `probes` the same of the held-out set."""

    points: list[tuple[int, float, float]] = field(default_factory=list)
    probes: list[tuple[int, float, float]] = field(default_factory=list)
    profiles: dict[str, np.ndarray] = field(default_factory=dict)

    def add(self, frame: Frame) -> None:
        """Take in a frame that follows on what is there."""
        steps = range(frame.first, frame.first + len(frame))
        self.points += zip(steps, frame.loss.tolist(), frame.accuracy.tolist(), strict=True)
        self.look(frame)

    def look(self, frame: Frame) -> None:
        """Take in the probes and newest profiles of a frame, not its steps (those have not been taken)."""
        newest = self.probes[-1][0] if self.probes else -1
        probes = zip(frame.probe_step.tolist(), frame.test_loss.tolist(), frame.test_accuracy.tolist(), strict=True)
        self.probes += [probe for probe in probes if probe[0] > newest]
        for name in PROFILES:
            values = getattr(frame, name)
            if len(values):
                self.profiles[name] = values[-1]

    def cut(self, step: int) -> None:
        """Forget everything from `step` on."""
        self.points = [point for point in self.points if point[0] < step]
        self.probes = [probe for probe in self.probes if probe[0] < step]
        self.profiles.clear()

    def send(self, points: int = 0, probes: int = 0) -> dict[str, Any]:
        """A message's part: curves from these indices on, and the newest profiles. All finite or None."""
        profiles = {name: self.profiles.get(name) for name in PROFILES}
        return {
            "points": thin(self.points[points:]),
            "probes": thin(self.probes[probes:]),
            **{name: None if values is None else round_finite(values) for name, values in profiles.items()},
        }


def thin(points: list[tuple[int, float, float]]) -> dict[str, list]:
    """Columns step, loss, accuracy; of more than MAX_POINTS the means of groups of neighbours."""
    table = np.array(points, np.float64).reshape(-1, 3)
    group = -(-len(table) // MAX_POINTS)
    if group > 1:
        starts = np.arange(0, len(table), group)
        counts = np.diff([*starts, len(table)])[:, None]
        table = np.add.reduceat(table, starts) / counts
    columns = (round_finite(column) for column in table.T)
    return dict(zip(("step", "loss", "accuracy"), columns, strict=True))


def round_finite(values: np.ndarray) -> list[float | None]:
    """Five significant digits, which is more than a chart shows; None for what is not finite."""
    return [float(f"{value:.5g}") if np.isfinite(value) else None for value in values.tolist()]
