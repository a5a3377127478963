"""What was measured of why residual nets work: paths, gradients at the start, trajectories."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from resnet_viz.records.reading import make_jsonable


@dataclass(frozen=True, eq=False)
class PathsResult:
    """The paths of a net of K blocks by length k, the number of branches on the way; (K+1,) float64 each.

    `lengths` is C(K, k) (exact below 2^53; a plain net: one path, of length K); `path_norm` the norm ‖∂L/∂a[1]‖₂ along a
    path of that length, per example, averaged over examples and paths; `gradient_norm_by_length` that times C(K, k).
    Norms of vectors do not add up: these are no parts of a whole. `effective_length` is the mean length, weighted by
    `gradient_norm_by_length`, NaN where all are 0. `sum_error` is the relative error of the sum of all path *vectors*
    against the whole gradient, None for more than 8 blocks.
    """

    lengths: np.ndarray
    path_norm: np.ndarray
    gradient_norm_by_length: np.ndarray
    effective_length: float
    sum_error: float | None

    def to_jsonable(self) -> dict[str, Any]:
        """Lists and numbers; what is not finite becomes null."""
        return make_jsonable(self)


@dataclass(frozen=True, eq=False)
class SlopeResult:
    """Gradients at the initial weights: `gradient` (L,) float64 is ‖∂L/∂a[l]‖₂ per example, input to output.

    It is the geometric mean over the seeds. `slope` is its log10 change per block of two layers, walking from the output
    back to the input: negative vanishes, positive explodes; `slopes` (seeds,) of each seed; `theory` what is expected
    of a wide net, None where nothing is.
    """

    gradient: np.ndarray
    slope: float
    slopes: np.ndarray
    theory: float | None

    def to_jsonable(self) -> dict[str, Any]:
        """Lists and numbers; what is not finite becomes null."""
        return make_jsonable(self)


@dataclass(frozen=True, eq=False)
class Autocorrelation:
    """How alike the gradients at neighbouring points are: `gradient` (seeds, points) is dy/dx at each x in [-2, 2].

    `mean` (lags,) and `by_seed` (seeds, lags) are the autocorrelation of the mean-centred gradient at the lags 0, 1, …
    points: 1 at lag 0, near 1 at lag 1 where gradients are smooth, near 0 where they are white noise. All float64.
    """

    gradient: np.ndarray
    mean: np.ndarray
    by_seed: np.ndarray

    def to_jsonable(self) -> dict[str, Any]:
        """Lists and numbers; what is not finite becomes null."""
        return make_jsonable(self)


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Weights of a run on a plane about the last of them: `points` (n, 2), the last (0, 0), in units of the directions.

    `directions` (2, P) span the plane; `explained` is the share of the squared distances from the last that lies in it,
    0 to 1, NaN where nothing has moved. All float64.
    """

    points: np.ndarray
    directions: np.ndarray
    explained: float
