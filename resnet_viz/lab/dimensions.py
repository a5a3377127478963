"""Where dimensions change: what PyTorch says without a shortcut that fits, and what a learned W_s becomes."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from resnet_viz.lab.nets import Net
from resnet_viz.records import ProjectionView

SIZE = 8  # pixels a side of the picture in front of the block


def add_unequal(inputs: int = 128, outputs: int = 256, batch: int = 1, conv: bool = False) -> str:
    """PyTorch's own words where a[l] (batch, inputs) and z[l+2] (batch, outputs) are added, in English.

    With `conv` a[l] is (batch, inputs, 8, 8) and z[l+2] (batch, outputs, 4, 4). Empty where the two can be added: where
    they are equal, or one is 1, which PyTorch repeats.
    """
    a = torch.zeros(batch, inputs, *[SIZE] * 2 * conv)
    z = torch.zeros(batch, outputs, *[SIZE // 2] * 2 * conv)
    try:
        a + z
    except RuntimeError as error:
        return str(error)
    return ""


def read_projections(module: Net) -> dict[int, np.ndarray]:
    """A copy of the learned W_s (outputs, inputs) of every block that has one; of a 1x1 convolution without its 1x1.

    A block keeps its W_s while shortcuts are cut. What BatchNorm behind it makes of it is not in it.
    """
    return {k: block.shortcut[0].weight.detach().flatten(1).numpy().copy() for k, block in enumerate(module.blocks)
            if isinstance(block.shortcut, nn.Sequential)}


def compare_projections(now: dict[int, np.ndarray], start: dict[int, np.ndarray]) -> list[ProjectionView]:
    """How far each W_s is from [I; 0], which zero padding would be, and how far it was at the start."""
    views = []
    for k, matrix in now.items():
        target = np.eye(*matrix.shape, dtype=np.float32)
        drift, drift_start, norm = (float(np.linalg.norm(m)) for m in (matrix - target, start[k] - target, target))
        views.append(ProjectionView(k, matrix, start[k], drift, drift_start, norm))
    return views
