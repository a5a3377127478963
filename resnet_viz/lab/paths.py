"""The unravelled net: its 2^K paths, and how much gradient comes along those of each length. Veit et al. 2016 (1605.06431).

Each block is passed either through its branch or through its shortcut, so K blocks have 2^K paths, C(K, k) of them
through k branches; a block whose shortcut is cut is passed through its branch only. The forward pass is always whole; on
the way back each row of a batch has gates of its own, and many paths are one backward pass. All in double precision and in
evaluation mode.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from resnet_viz.lab.batches import check, count_rows
from resnet_viz.lab.nets import Net
from resnet_viz.records import PathsResult

MAX_SUMMED = 8  # blocks; the vectors of all paths are added up to here
MAX_ROWS = 512  # of a batch: examples times paths


def measure_paths(module: Net, x: Tensor, y: Tensor, samples_per_length: int, seed: int) -> PathsResult:
    """Gradient by length of path, at a[1], the input of the stack of blocks, on the examples (x, y): see `PathsResult`.

    For each length k, `samples_per_length` paths drawn at random, or all of them where there are no more than that.
    """
    net, blocks = module.config, module.config.blocks
    module = copy.deepcopy(module).double().eval().requires_grad_(False)
    lengths = count_lengths(blocks, sum(net.skips))
    norms, rng = np.zeros(blocks + 1), np.random.default_rng(seed)
    for k in np.flatnonzero(lengths):
        takes = draw_paths(net.skips, int(k), samples_per_length, rng)
        norms[k] = trace_paths(module, x, y, takes).norm(dim=2).mean().item()
    totals = norms * lengths
    error = measure_sum_error(module, x, y) if blocks <= MAX_SUMMED else None
    return PathsResult(lengths, norms, totals, find_effective_length(totals), error)


def find_effective_length(totals: np.ndarray) -> float:
    """The mean length, weighted by the gradient (K+1,) that comes along all paths of that length; NaN where that is 0."""
    total = totals.sum()
    return float((np.arange(len(totals)) * totals).sum() / total) if total > 0 else math.nan


def count_lengths(blocks: int, shortcuts: int) -> np.ndarray:
    """How many paths there are through k = 0 … K branches, where so many of K blocks have shortcuts: (K+1,) float64."""
    return np.array([0] * (blocks - shortcuts) + [math.comb(shortcuts, k) for k in range(shortcuts + 1)], float)


def draw_paths(skips: Sequence[bool], length: int, samples: int, rng: np.random.Generator) -> np.ndarray:
    """Which blocks a path takes the branch of, `length` of them: (S, K) bool. All such paths where they are few.

    `skips` (K,) says which blocks have a shortcut: of the others every path takes the branch.
    """
    free = np.flatnonzero(skips)
    count = length - (len(skips) - len(free))
    if math.comb(len(free), count) <= samples:
        chosen = list(itertools.combinations(range(len(free)), count))
    else:
        chosen = [tuple(rng.permutation(len(free))[:count]) for _ in range(samples)]
    takes = np.tile(~np.array(skips, bool), (len(chosen), 1))
    for row, index in zip(takes, chosen, strict=True):
        row[free[list(index)]] = True
    return takes


def trace_paths(module: Net, x: Tensor, y: Tensor, takes: np.ndarray | None) -> Tensor:
    """∂L/∂a[1] of each example's own loss along each path: (S, B, D). Without `takes` the whole gradient: (1, B, D).

    The shortcut's gradient is stopped where a path takes the branch, and the branch's where it does not.
    """
    with torch.no_grad():
        start = module.stem(x.double() if module.config.family == "conv" else x.double().flatten(1))
    count, rows = 1 if takes is None else len(takes), count_rows(module, x.double(), MAX_ROWS)
    found = []
    for part in range(0, count, step := max(1, rows // len(x))):
        check()
        paths = min(step, count - part)
        gates = None if takes is None else torch.from_numpy(takes[part : part + paths]).repeat_interleave(len(x), 0)
        a = first = start.repeat(paths, *[1] * (start.dim() - 1)).requires_grad_()
        for k, block in enumerate(module.blocks):
            a = _run_block(block, a, None if gates is None else gates[:, k])
        loss = F.cross_entropy(module.head(a), y.repeat(paths), reduction="sum")
        found.append(torch.autograd.grad(loss, first)[0].flatten(1).unflatten(0, (paths, len(x))))
    return torch.cat(found)


def measure_each_path(module: Net, x: Tensor, y: Tensor, takes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Paths `takes` (S, K) one after the other: the norm along each, and what the sum of those so far still lacks.

    Both (S,): ‖∂L/∂a[1]‖ per example, averaged; ‖whole gradient - sum of the first paths‖ / ‖whole gradient‖,
    the latter over all examples together.
    """
    module = copy.deepcopy(module).double().eval().requires_grad_(False)
    whole, each = trace_paths(module, x, y, None), trace_paths(module, x, y, takes)
    lacking = (whole - each.cumsum(0)).flatten(1).norm(dim=1) / (whole.norm() if whole.any() else 1)
    return each.norm(dim=2).mean(1).numpy(), lacking.numpy()


def _run_block(block: torch.nn.Module, a: Tensor, gate: Tensor | None) -> Tensor:
    """a[l+2], whatever the gates (B,): they open the branch, or else the shortcut, to the gradient alone."""
    _, branch = block.run_branch(a)
    if not block.skip:
        out = branch
    else:
        shortcut = block.shortcut(a)
        if gate is not None:
            gate = gate.view(-1, *[1] * (a.dim() - 1))
            branch = torch.where(gate, branch, branch.detach())
            shortcut = torch.where(gate, shortcut.detach(), shortcut)
        out = branch + shortcut
    return out if block.order == "pre" else block.g2(out)


def measure_sum_error(module: Net, x: Tensor, y: Tensor) -> float:
    """‖Σ of all path vectors - ∂L/∂a[1]‖ / ‖∂L/∂a[1]‖, over all examples together; 0 where both are 0."""
    takes = np.array(list(itertools.product(*((False, True) if skip else (True,) for skip in module.config.skips))))
    whole = trace_paths(module, x, y, None)[0]
    gap, norm = (trace_paths(module, x, y, takes).sum(0) - whole).norm().item(), whole.norm().item()
    return gap / norm if norm > 0 else gap
