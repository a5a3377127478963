"""Why it works: the paths of a net, its gradients before any training, the responses of its layers.

Paths and responses are those of evaluation mode with BatchNorm's statistics recomputed on the training part: at step 0
the stored ones are mean 0 and variance 1, which is no normalisation, and in the first steps they are still half that.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from resnet_viz.lab import paths, probes, shattering
from resnet_viz.lab.batches import check
from resnet_viz.lab.datasets import load_data
from resnet_viz.lab.experiments.training import load_net, make_state, measure
from resnet_viz.lab.train import set_up_process
from resnet_viz.records import Autocorrelation, Lane, NetConfig, PathsResult, SlopeResult, State, TrainConfig


def measure_paths(state: State, samples_per_length: int = 20, seed: int = 0, count: int = 16) -> PathsResult:
    """Gradient by length of path on the first `count` held-out examples."""
    data = load_data(state.dataset)
    with probes.recomputed(load_net(state), data) as module:
        return paths.measure_paths(module, data.test_x[:count], data.test_y[:count], samples_per_length, seed)


def measure_each_path(state: State, takes: np.ndarray, count: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """Single paths, and how their sum becomes the gradient, on the same examples: see `paths.measure_each_path`."""
    data = load_data(state.dataset)
    with probes.recomputed(load_net(state), data) as module:
        return paths.measure_each_path(module, data.test_x[:count], data.test_y[:count], takes)


def measure_slopes(net: NetConfig, dataset: str = "digits", seeds: Sequence[int] = (0, 1, 2),
                   batch: int = 128) -> SlopeResult:
    """Gradient norms at the initial weights, in training mode on each seed's first batch of `batch` examples."""
    lane, rows = Lane(net, TrainConfig(batch_size=batch)), []
    for seed in seeds:
        check()
        found = measure(make_state(lane, dataset, seed)).gradient.astype(float)
        rows.append(found[0] if len(found) else np.full(net.depth - 1, np.nan))
    slopes = np.array([shattering.measure_slope(row, net.blocks) for row in rows])
    with np.errstate(divide="ignore"):
        gradient = np.exp(np.log(np.stack(rows)).mean(0))
    return SlopeResult(gradient, float(slopes.mean()), slopes, shattering.find_theory(net))


def measure_autocorrelation(depth: int, residual: bool, batch_norm: bool = True, branch_scale: float = 1.0,
                            seeds: int = 10, points: int = 256) -> Autocorrelation:
    """Whether gradients shatter, of random nets y = f(x): see `shattering.measure_autocorrelation`."""
    set_up_process()
    return shattering.measure_autocorrelation(depth, residual, batch_norm, branch_scale, seeds, points)


def measure_responses(state: State) -> np.ndarray:
    """The standard deviation of each layer's output on the held-out part: (depth - 1,), input to output."""
    data = load_data(state.dataset)
    with probes.recomputed(load_net(state), data) as module:
        return shattering.measure_responses(module, data.test_x)
