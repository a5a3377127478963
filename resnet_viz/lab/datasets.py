"""The data sets: a plain dict of generators. Add one here and its shape to `records.DATASETS`.

All are made or shipped locally, split once and for all whatever the race's seed, and standardised: the training part has
mean 0 and variance 1 over all its numbers.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import torch
from sklearn import datasets as sk
from sklearn.model_selection import train_test_split
from torch import Tensor

from resnet_viz.records import DATASETS, Examples

SPLIT_SEED = 0


def make_digits(count: int) -> tuple[np.ndarray, np.ndarray]:
    """scikit-learn's 8x8 digits: (N, 1, 8, 8)."""
    x, y = sk.load_digits(return_X_y=True)
    return x.reshape(-1, 1, 8, 8), y


def make_spirals(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Two interleaved spirals of one and a half turns, with a little noise: (N, 2)."""
    rng = np.random.default_rng(SPLIT_SEED)
    y = np.arange(count) % 2
    radius = np.sqrt(rng.uniform(0.02, 1.0, count))
    angle = 3 * np.pi * radius + np.pi * y
    x = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return 1.5 * x + rng.normal(0, 0.03, x.shape), y


def make_circles(count: int) -> tuple[np.ndarray, np.ndarray]:
    return sk.make_circles(count, noise=0.08, factor=0.5, random_state=SPLIT_SEED)


def make_moons(count: int) -> tuple[np.ndarray, np.ndarray]:
    return sk.make_moons(count, noise=0.1, random_state=SPLIT_SEED)


def make_checkerboard(count: int) -> tuple[np.ndarray, np.ndarray]:
    """A 4x4 checkerboard on [-1, 1]²."""
    x = np.random.default_rng(SPLIT_SEED).uniform(-1, 1, (count, 2))
    return x, np.floor(2 * x).sum(axis=1).astype(int) % 2


GENERATORS = {
    "digits": make_digits,
    "spirals": make_spirals,
    "circles": make_circles,
    "moons": make_moons,
    "checkerboard": make_checkerboard,
}


@dataclass(frozen=True, eq=False)
class Data:
    """A data set in two parts: `x` (N, *shape) float32, `y` (N,) int64. `mean` and `scale` have been taken out of x."""

    x: Tensor
    y: Tensor
    test_x: Tensor
    test_y: Tensor
    mean: float = 0.0
    scale: float = 1.0

    def take_batch(self, seed: int, step: int, size: int) -> tuple[Tensor, Tensor]:
        """The batch of one step. Each epoch is a permutation of the training part; what is left over is dropped.

        Seed and step alone determine it, so the lanes of a race see the same batches, and a rewound one sees them again.
        """
        epoch, k = divmod(step, len(self.y) // size)
        index = _permute(len(self.y), seed, epoch)[k * size : (k + 1) * size]
        return self.x[index], self.y[index]

    def standardise(self, numbers: np.ndarray) -> Tensor:
        """Examples in the data's own units, such as a digit's 0 … 16, as a net takes them: float32, of the same shape."""
        return torch.tensor((numbers - self.mean) / self.scale, dtype=torch.float32)

    def restore(self, x: Tensor) -> np.ndarray:
        """Standardised examples in the data's own units, to four decimals: float32, of the same shape."""
        return (x.double() * self.scale + self.mean).round(decimals=4).float().numpy()


def take_examples(name: str, count: int) -> Examples:
    """The first training examples of a data set."""
    data = load_data(name)
    return Examples(data.x[:count].numpy(), data.y[:count].numpy())


@functools.lru_cache(maxsize=64)
def _permute(count: int, seed: int, epoch: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng((seed, epoch)).permutation(count))


@functools.cache
def load_data(name: str) -> Data:
    """Make and split a data set, stratified by class."""
    spec = DATASETS[name]
    x, y = GENERATORS[name](spec.train + spec.test)
    parts = train_test_split(x, y, test_size=spec.test, stratify=y, random_state=SPLIT_SEED)
    mean, scale = float(parts[0].mean()), float(parts[0].std())
    x, test_x = (torch.tensor((part - mean) / scale, dtype=torch.float32) for part in parts[:2])
    y, test_y = (torch.tensor(part, dtype=torch.int64) for part in parts[2:])
    return Data(x, y, test_x, test_y, mean, scale)
