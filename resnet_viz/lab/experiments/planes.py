"""The loss on a plane through a state's weights, and the way of training on it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from resnet_viz.lab import landscape
from resnet_viz.lab.datasets import load_data
from resnet_viz.lab.experiments.training import load_net
from resnet_viz.lab.nets import Net
from resnet_viz.records import N_, ConfigError, State, Trajectory

SPLITS = ("train", "test")
STATISTICS = ("stored", "batch")  # of BatchNorm


def make_directions(state: State, seed: int) -> np.ndarray:
    """Two random filter-normalised directions of a state's weights: (2, P) float32."""
    return landscape.make_directions(load_net(state), seed)


def _prepare_landscape(state: State, directions: np.ndarray | int, split: str,
                       statistics: str) -> tuple[Net, np.ndarray, Tensor, Tensor]:
    for name, value, allowed in (("split", split, SPLITS), ("statistics", statistics, STATISTICS)):
        if value not in allowed:
            raise ConfigError(name, value, N_("one of {allowed}"), allowed=tuple(allowed))
    module, data = load_net(state), load_data(state.dataset)
    plane = landscape.make_directions(module, directions) if isinstance(directions, int) else directions
    return module, plane, *((data.x, data.y) if split == "train" else (data.test_x, data.test_y))


def measure_landscape_rows(state: State, directions: np.ndarray | int, xs: Sequence[float], ys: Sequence[float],
                           split: str = "train", statistics: str = "stored") -> np.ndarray:
    """The loss at θ + xs[j]·d1 + ys[i]·d2, on the "train" or "test" part: (len(ys), len(xs)) float64.

    `directions` (2, P), or a seed of random ones; `statistics`: BatchNorm's "stored" ones, or those of the "batch".
    """
    module, plane, x, y = _prepare_landscape(state, directions, split, statistics)
    return landscape.measure_rows(module, plane, xs, ys, x, y, statistics)


def measure_landscape_point(state: State, directions: np.ndarray | int, u: float, v: float, split: str = "train",
                            statistics: str = "stored") -> float:
    """The loss at θ + u·d1 + v·d2 by the module itself: the plain way, to check the fast one by."""
    module, plane, x, y = _prepare_landscape(state, directions, split, statistics)
    return float(landscape.measure_rows_plainly(module, plane, [u], [v], x, y, statistics)[0, 0])


def project_trajectory(states: Sequence[State], directions: np.ndarray | int | str = "pca") -> Trajectory:
    """The weights of a run's states on the plane of `directions` (2, P) about the last; "pca" finds the principal ones.

    A whole number is the seed of random ones, of the last state. Principal directions leave γ and β out, as random ones
    do, so that the landscape on their plane is the fast one. Raises `ConfigError` where the run has diverged.
    """
    flats = [state.weights for state in states]
    if not all(np.isfinite(flat).all() for flat in flats):
        raise ConfigError("trajectory", "NaN", N_("a run whose weights are finite, and this one has diverged"))
    if isinstance(directions, str):
        still = landscape.list_norms(load_net(states[-1]))
        directions = landscape.find_principal_directions(flats, still)
    elif isinstance(directions, int):
        directions = make_directions(states[-1], directions)
    points, explained = landscape.project(flats, directions)
    return Trajectory(points, np.asarray(directions, float), explained)
