"""What is measured, from what a training step leaves behind. A probe returns numbers and changes nothing.

Reductions run over many tensors at once, not layer by layer. The squares of a vanishing gradient underflow in single
precision (and those of an exploding one overflow), so such norms are taken again in double.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Hashable, Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resnet_viz.lab.datasets import Data
from resnet_viz.lab.nets import Net, Trace


def measure_gradients(trace: Trace) -> Tensor:
    """‖∂L/∂a[l]‖₂ per sample, root mean square over the batch: (L,), input to output.

    The loss is a mean over B samples, so the gradient of one sample's loss is B times what the trace holds.
    """
    norms = torch.stack(torch._foreach_norm(trace.gradients))
    if not 1e-15 < norms.min() <= norms.max() < 1e15:
        norms = torch.stack(torch._foreach_norm(trace.gradients, 2, torch.float64))
    return (norms * math.sqrt(len(trace.logits))).float()


def measure_blocks(trace: Trace) -> list[np.ndarray]:
    """Per block, averaged over the samples: ratio ‖F‖/‖s‖, share ‖s‖/(‖s‖+‖F‖), cosine of a[l] and a[l+2]; (K,) each.

    NaN where there is no shortcut (ratio, share), where dimensions differ (cosine), or where all samples are zero.
    """
    k = len(trace.branches)
    result = torch.full((3, k), math.nan)
    for index in _group([(f.shape, s is None) for f, s in zip(trace.branches, trace.shortcuts, strict=True)]):
        branch = torch.stack([trace.branches[i] for i in index]).flatten(2)  # (k, B, D)
        shortcuts = [trace.shortcuts[i] for i in index]
        if shortcuts[0] is not None:
            f = torch.linalg.vector_norm(branch, dim=2)
            s = torch.linalg.vector_norm(torch.stack(shortcuts).flatten(2), dim=2)
            result[0, index] = torch.nanmean(f / s.where(s > 0, torch.nan), 1)
            result[1, index] = torch.nanmean(s / (s + f), 1)
        same = [i for i in index if trace.activations[2 * i].shape == trace.activations[2 * i + 2].shape]
        if same:
            before, after = (torch.stack([trace.activations[2 * i + j] for i in same]).flatten(2) for j in (0, 2))
            lengths = torch.linalg.vector_norm(before, dim=2) * torch.linalg.vector_norm(after, dim=2)
            result[2, same] = torch.nanmean((before * after).sum(2) / lengths.where(lengths > 0, torch.nan), 1)
    return list(result.numpy())


def _group(keys: list[Hashable]) -> list[list[int]]:
    """Indices of equal keys."""
    groups: dict[Hashable, list[int]] = {}
    for i, key in enumerate(keys):
        groups.setdefault(key, []).append(i)
    return list(groups.values())


def measure_weight_gradients(module: Net, gradients: dict[Tensor, Tensor]) -> np.ndarray:
    """‖∂L/∂W‖/‖W‖ of every layer with weights, input to output: (depth,). NaN where W is 0."""
    weights = [layer.weight for layer in module.weighted_layers()]
    norms = torch.stack(torch._foreach_norm([w.detach().double() for w in weights]))
    slopes = torch.stack(torch._foreach_norm([gradients[w].double() for w in weights]))
    return (slopes / norms.where(norms > 0, torch.nan)).numpy()


def measure_weight_norms(module: Net) -> np.ndarray:
    """The Frobenius norm ‖W[l+2]‖ of every block, input to output: (K,)."""
    return torch.stack(torch._foreach_norm([block.layer2.weight.detach() for block in module.blocks])).numpy()


@torch.inference_mode()
def measure_accuracy(module: Net, x: Tensor, y: Tensor) -> tuple[float, float]:
    """Mean cross-entropy and accuracy on (x, y), in evaluation mode: BatchNorm uses its running statistics."""
    module.eval()
    logits = module(x)
    module.train()
    return F.cross_entropy(logits, y).item(), (logits.argmax(1) == y).double().mean().item()


def measure_held_out(module: Net, data: Data) -> tuple[float, float]:
    """Loss and accuracy on the held-out part."""
    return measure_accuracy(module, data.test_x, data.test_y)


def measure_whole(module: Net, data: Data) -> dict[str, float]:
    """Loss and accuracy on the whole training part and on the held-out part, by name."""
    train, test = measure_accuracy(module, data.x, data.y), measure_held_out(module, data)
    return dict(zip(("train_loss", "train_accuracy", "test_loss", "test_accuracy"), train + test, strict=True))


@torch.no_grad()
def recompute_statistics(module: Net, data: Data) -> None:
    """Estimate BatchNorm's running statistics anew, as the cumulative average over the training part in one pass."""
    norms = [part for part in module.modules() if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d)]
    training, momenta = module.training, [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # cumulative
    try:
        if norms:
            module.train()(data.x)
    finally:
        module.train(training)
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum


@contextlib.contextmanager
def recomputed(module: Net, data: Data) -> Iterator[Net]:
    """The module with the statistics that BatchNorm has on the training part; on leaving they are as they were."""
    kept = [buffer.clone() for buffer in module.buffers()]
    recompute_statistics(module, data)
    try:
        yield module
    finally:
        for buffer, value in zip(module.buffers(), kept, strict=True):
            buffer.copy_(value)
