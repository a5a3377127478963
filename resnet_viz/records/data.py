"""The shapes of the data sets, and what is fed to a net that is looked at."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from resnet_viz.records.errors import N_, ConfigError, Option, RuleError, check_whole


@dataclass(frozen=True)
class DataShape:
    """The shape of a data set: of one example, the number of classes, and of examples in either part."""

    shape: tuple[int, ...]  # (features,) for points, (channels, height, width) for pictures
    classes: int
    train: int = 0
    test: int = 0

    @property
    def is_picture(self) -> bool:
        return len(self.shape) == 3

    @property
    def features(self) -> int:
        return math.prod(self.shape)


DATASETS = {
    "digits": DataShape((1, 8, 8), 10, 1437, 360),
    "spirals": DataShape((2,), 2, 1024, 512),
    "circles": DataShape((2,), 2, 1024, 512),
    "moons": DataShape((2,), 2, 1024, 512),
    "checkerboard": DataShape((2,), 2, 1024, 512),
}


@dataclass(frozen=True)
class Source:
    """What is fed to a net that is looked at: example `index` of the held-out part, or a digit drawn by hand.

    `pixels` are its 8x8 whole numbers from 0 to 16, row by row, as those of scikit-learn's digits; `index` then says
    nothing.
    """

    index: int = 0
    pixels: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        check_whole("index", self.index, 0, max(data.test for data in DATASETS.values()) - 1)
        fits = isinstance(self.pixels, tuple) and len(self.pixels) == DATASETS["digits"].features
        if self.pixels is not None and not (fits and all(type(p) is int and 0 <= p <= 16 for p in self.pixels)):
            raise ConfigError("pixels", self.pixels, N_("64 whole numbers from 0 to 16, row by row"))


def check_source(source: Source, dataset: str) -> None:
    """Raise `ConfigError` where a data set has no such example, or nobody can draw one."""
    if source.pixels is None:
        check_whole("index", source.index, 0, DATASETS[dataset].test - 1)
    elif dataset != "digits":
        raise RuleError("pixels", source.pixels, N_("Only of {digits} can an example be drawn."),
                        digits=Option("dataset", "digits"))


@dataclass(frozen=True, eq=False)
class Examples:
    """Some examples of a data set, as a person looks at them: `x` (N, *shape) float32, `y` (N,) int64."""

    x: np.ndarray
    y: np.ndarray
