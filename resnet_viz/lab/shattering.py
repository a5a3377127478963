"""Gradients before any training, and the responses of layers: why depth hurts, and what a shortcut changes.

Slopes: how gradients shrink or grow from block to block at the initial weights. Shattering: Balduzzi et al. 2017
(arXiv 1702.08591), whether the gradient at a point says anything of the gradient beside it. Responses: He et al. 2015
(1512.03385), figure 7.
"""

from __future__ import annotations

import contextlib
import math

import numpy as np
import torch
from torch import Tensor

from resnet_viz.lab.batches import check
from resnet_viz.lab.nets import Net
from resnet_viz.records import Autocorrelation, NetConfig

EPSILON = 1e-5  # BatchNorm's ε

# log10 change of ‖∂L/∂a[l]‖ per plain block of two layers, towards the input, of equal widths and many units.
PLAIN_SLOPES = {"he": 0.0, "xavier": math.log10(1 / 2), "default": math.log10(1 / 6)}
BATCH_SLOPE = math.log10(math.pi / (math.pi - 1))


# ---------------------------------------------------------------------------------------------------- slopes


def measure_slope(gradient: np.ndarray, blocks: int) -> float:
    """log10 change of a gradient norm (L,) per block, walking from the output back to the input.

    NaN where either end is 0 or not finite.
    """
    first, last = float(gradient[0]), float(gradient[-1])
    usable = 0 < first < math.inf and 0 < last < math.inf
    return math.log10(first / last) / blocks if usable else math.nan


def find_theory(net: NetConfig) -> float | None:
    """The slope that mean-field theory has for a wide dense net, None where there is none for it.

    A ReLU passes half of the gradient's square: W of variance v multiplies it by n·v/2, so plain he 1, xavier 1/2 and
    default 1/6 per layer, and the norm by as much per block of two layers. BatchNorm behind W: π/(π-1) per block at
    any init, for large batches. A residual block whose branch is 0 passes all of it; of the default init nearly all.
    """
    simple = net.family == "dense" and net.activation == "relu" and net.order == "post" and len(set(net.width)) == 1
    if not simple:
        return None
    if net.residual:
        identity = net.shortcut in ("identity", "zero-pad", "projection")  # all the identity, of equal widths
        still = net.init == "zero-last" or (net.init == "default" and net.norm == "none")
        return 0.0 if identity and still and not net.cuts else None
    if net.init == "zero-last":
        return None
    return BATCH_SLOPE if net.norm == "batch" else PLAIN_SLOPES[net.init]


# ---------------------------------------------------------------------------------------------------- shattering


def measure_autocorrelation(depth: int, residual: bool, batch_norm: bool = True, branch_scale: float = 1.0,
                            seeds: int = 10, points: int = 256, width: int = 200) -> Autocorrelation:
    """The autocorrelation of dy/dx along a line, of random nets y = f(x): see `Autocorrelation`. 1702.08591, section 2.

    a[0] = g(W x), a[l] = g(W a[l-1]) or, residual, g(branch_scale · W a[l-1] + a[l-1]) for l = 1 … depth, y = W a[depth];
    `width` units, W normal of variance 2/fan_in, b = 0; BatchNorm behind each of the `depth` W, its statistics those of
    the points. Seeds are 0, 1, … In double precision. Without BatchNorm b = 0 leaves one kink, at x = 0.
    """
    gradient = np.stack([_measure_line(seed, depth, residual, batch_norm, branch_scale, points, width)
                         for seed in range(seeds)])
    each = np.stack([correlate(row, points // 8) for row in gradient])
    return Autocorrelation(gradient, each.mean(0), each)


def _measure_line(seed: int, depth: int, residual: bool, batch_norm: bool, scale: float, points: int,
                  width: int) -> np.ndarray:
    """dy/dx at evenly spaced x from -2 to 2: (points,)."""
    check()
    generator = torch.Generator().manual_seed(seed)

    def draw(outputs: int, inputs: int) -> Tensor:
        return torch.randn(inputs, outputs, generator=generator, dtype=torch.float64) * math.sqrt(2 / inputs)

    x = torch.linspace(-2, 2, points, dtype=torch.float64)[:, None].requires_grad_()
    a = (x @ draw(width, 1)).relu()
    for _ in range(depth):
        z = a @ draw(width, width)
        if batch_norm:
            z = (z - z.mean(0)) / (z.var(0, correction=0) + EPSILON).sqrt()
        a = (scale * z + a).relu() if residual else z.relu()
    y = a @ draw(1, width)
    return torch.autograd.grad(y.sum(), x)[0][:, 0].numpy()


def correlate(row: np.ndarray, lags: int) -> np.ndarray:
    """Autocorrelation of a row (n,), its mean taken out, at the lags 0 … lags - 1: Σ d[i]·d[i+lag] / Σ d[i]².

    NaN where all numbers are equal.
    """
    centred = row - row.mean()
    power = np.dot(centred, centred)
    if not power > 0:
        return np.full(lags, np.nan)
    return np.array([np.dot(centred[: len(row) - lag], centred[lag:]) for lag in range(lags)]) / power


# ---------------------------------------------------------------------------------------------------- responses


@torch.inference_mode()
def measure_responses(module: Net, x: Tensor) -> np.ndarray:
    """The standard deviation of each layer's output on x, behind its BatchNorm, before sum and g: (depth - 1,) float64.

    The stem and two layers a block, input to output, over all examples, pixels and units, in evaluation mode. With
    pre-activation a block's second layer has no BatchNorm behind it. He et al. 2015, figure 7.
    """
    ends = [module.stem.norm]
    for block in module.blocks:
        ends += [block.norm2, block.layer2] if block.order == "pre" else [block.norm1, block.norm2]
    found: list[float] = []
    training = module.training
    with contextlib.ExitStack() as stack:
        for part in ends:
            handle = part.register_forward_hook(lambda _module, _x, z: found.append(z.double().std(correction=0).item()))
            stack.callback(handle.remove)
        module.eval()(x)
    module.train(training)
    return np.array(found)
