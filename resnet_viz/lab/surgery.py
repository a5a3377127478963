"""Operations on a trained net, undone to the bit when they have been looked at.

Each is a change of weights, or a flag of a block that drops its branch or cuts its shortcut. The flags belong to a place
in the net and not to its weights, so a list of operations gives the same net whichever of the two come first. The
training pass of `dense.py` knows nothing of the flags: an operated net is for evaluation, by the module itself.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from resnet_viz.lab.nets import Block, IdentityShortcut, Net, Trace
from resnet_viz.records import WEIGHT_OPERATIONS, Operation, check_operation


@contextlib.contextmanager
def operated(module: Net, operations: Iterable[Operation]) -> Iterator[Net]:
    """The module under operations, in place; on leaving every bit and flag is as it was.

    Raises `ConfigError`, before anything is touched, where an operation does not apply to the net.
    """
    operations = tuple(operations)
    for operation in operations:
        check_operation(operation, module.config)
    tensors = list(_tensors(module))
    kept = [tensor.detach().clone() for tensor in tensors]
    flags = [(block.skip, block.lesion, block.shortcut) for block in module.blocks]
    try:
        for operation in sorted(operations, key=lambda item: item.kind not in WEIGHT_OPERATIONS):
            apply_operation(module, operation)
        yield module
    finally:
        _fill(tensors, kept)
        for block, values in zip(module.blocks, flags, strict=True):
            block.skip, block.lesion, block.shortcut = values


def _tensors(module: nn.Module) -> Iterator[Tensor]:
    """Weights and running statistics."""
    yield from module.parameters()
    yield from module.buffers()


@torch.no_grad()
def _fill(tensors: Iterable[Tensor], values: Iterable[Tensor]) -> None:
    for tensor, value in zip(tensors, values, strict=True):
        tensor.copy_(value)


def apply_operation(module: Net, operation: Operation) -> None:
    """Apply one operation for good. It must apply to the net."""
    block, kind = module.blocks[operation.block], operation.kind
    if kind == "zero-w":
        scale(block.layer2, 0.0, 1.0)
    elif kind == "zero-wb":
        scale(block.layer2, 0.0, 0.0)
    elif kind == "zero-norm":
        scale(block.norm2, 0.0, 0.0)
    elif kind in ("scale", "scale-norm"):
        alpha_bias = operation.alpha if operation.alpha_bias is None else operation.alpha_bias
        scale(block.layer2 if kind == "scale" else block.norm2, operation.alpha, alpha_bias)
    elif kind == "swap":
        swap(block, module.blocks[operation.other])
    elif kind == "lesion":
        drop_branch(block, module.config.has_shortcut(operation.block))
    else:
        block.skip = False


@torch.no_grad()
def scale(layer: nn.Module, alpha: float, alpha_bias: float) -> None:
    """alpha W and alpha_bias b, or γ and β. Exact at both ends: 1 · w would flush denormals, 0 · w keep the sign."""
    for tensor, factor in ((layer.weight, alpha), (layer.bias, alpha_bias)):
        if tensor is not None and factor == 0:
            tensor.zero_()
        elif tensor is not None and factor != 1:
            tensor.mul_(factor)


def swap(block: Block, other: Block) -> None:
    """Exchange all weights and running statistics of two blocks of one shape."""
    kept = [tensor.detach().clone() for tensor in _tensors(block)]
    _fill(_tensors(block), _tensors(other))
    _fill(_tensors(other), kept)


def drop_branch(block: Block, trained: bool) -> None:
    """A lesion: the shortcut it was `trained` with remains. A block without one is dropped whole: a[l+2] = a[l]."""
    block.lesion = True
    if not trained:
        block.skip, block.shortcut = True, IdentityShortcut()


@torch.inference_mode()
def measure_identity(module: Net, x: Tensor, blocks: Iterable[int]) -> tuple[float | None, bool]:
    """Whether blocks are the identity on x (B, *shape): max |a[l+2] - a[l]|, and whether they are equal to the bit.

    None and False where there is no block, or dimensions differ. In evaluation mode.
    """
    trace, training = Trace(), module.training
    module.eval()(x, trace)
    module.train(training)
    pairs = [(trace.activations[2 * k], trace.activations[2 * k + 2]) for k in blocks]
    if not pairs or any(a.shape != b.shape for a, b in pairs):
        return None, False
    return max((b - a).abs().max().item() for a, b in pairs), all(torch.equal(a, b) for a, b in pairs)
