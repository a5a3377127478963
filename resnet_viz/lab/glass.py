"""One block of a net, opened: every quantity on the way from a[l] to a[l+2], what one unit adds up, and what the block
does to many examples. All in evaluation mode but for the gradient. Nothing is changed but where it says so.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resnet_viz.lab.nets import Block, Net, Trace
from resnet_viz.records import BlockEffect, Product

MAX_PAIRS = 1500
TOLERANCE = 1e-6  # of a constant: a row of a batched product is not to the bit what it would be alone

Rows = dict[str, Tensor]


@torch.inference_mode()
def run_block(module: Net, k: int, x: Tensor, raw: bool = False) -> tuple[Rows, Tensor | None]:
    """The rows of block `k` on x (B, *shape), as `walk_block` names them, and the logits (B, classes).

    `raw` leaves the stem out: the block is fed x itself, and there are no logits.
    """
    trace, training = Trace(), module.training
    module.eval()
    if not raw:
        module(x, trace)
    rows = walk_block(module.blocks[k], x.flatten(1) if raw else trace.activations[2 * k])
    module.train(training)
    return rows, trace.logits


def walk_block(block: Block, a: Tensor) -> Rows:
    """`Block.forward` step by step, to the same bits: each quantity (B, ...) by its name, in the lesson's order.

    "a0" a[l], "z1" z[l+1], "a1" a[l+1], "z2" what goes into the sum, "s" the shortcut's output, "sum" z2 + s, "a2"
    a[l+2]. A layer's output before its BatchNorm is "u1", "u2". With pre-activation "n0" is the norm of a[l], "g0" what
    g makes of it, and a2 is the sum. What the block does not have is left out; z2 is 0 where a lesion drops the branch.
    """
    rows = {"a0": a} | _walk_branch(block, a)
    if isinstance(block.norm1, nn.Identity):
        rows = {name: row for name, row in rows.items() if name not in ("n0", "u1", "u2")}
    if block.lesion:
        rows["z2"] = torch.zeros_like(rows["z2"])
    total = rows["z2"]
    if block.skip:
        rows["s"] = block.shortcut(a)
        total = total + rows["s"]
    if block.order == "pre":
        return rows | {"a2": total}
    return rows | ({"sum": total} if block.skip else {}) | {"a2": block.g2(total)}


def _walk_branch(block: Block, a: Tensor) -> Rows:
    if block.order == "pre":
        n0 = block.norm1(a)
        g0 = block.g1(n0)
        u1 = block.layer1(g0)
        z1 = block.norm2(u1)
        a1 = block.g2(z1)
        return {"n0": n0, "g0": g0, "u1": u1, "z1": z1, "a1": a1, "z2": block.layer2(a1)}
    u1 = block.layer1(a)
    z1 = block.norm1(u1)
    a1 = block.g1(z1)
    u2 = block.layer2(a1)
    return {"u1": u1, "z1": z1, "a1": a1, "u2": u2, "z2": block.norm2(u2)}


def list_products(block: Block, rows: Rows, unit: int) -> tuple[Product, ...]:
    """What one unit adds up in both layers, for the first example of `rows`; nothing where a lesion drops the branch.

    `unit` is a flat index into the shape of a[l+2], (D,) or (C, H, W), which both layers' outputs have.
    """
    if block.lesion:
        return ()
    pre = block.order == "pre"
    norms = (block.norm2, nn.Identity()) if pre else (block.norm1, block.norm2)
    inputs = (rows["g0" if pre else "a0"], rows["a1"])
    return tuple(read_product(layer, norm, a[:1], unit)
                 for layer, norm, a in zip((block.layer1, block.layer2), norms, inputs, strict=True))


@torch.inference_mode()
def read_product(layer: nn.Module, norm: nn.Module, a: Tensor, unit: int) -> Product:
    """The weights and inputs of one unit of a layer fed a (1, ...), and the BatchNorm behind it, if there is one."""
    if isinstance(layer, nn.Linear):
        columns = a.t()  # (D, 1): one place
    else:
        columns = F.unfold(a, layer.kernel_size, padding=layer.padding, stride=layer.stride)[0]  # (9 C, H W)
    channel, place = divmod(unit, columns.shape[1])
    bias = None if layer.bias is None else layer.bias[channel].item()
    constants: list[float] = []
    if not isinstance(norm, nn.Identity):
        parts = (norm.weight, norm.bias, norm.running_mean, norm.running_var + norm.eps)
        constants = [part[channel].item() for part in parts]
    weights = layer.weight[channel].flatten().numpy().copy()
    return Product(weights, columns[:, place].numpy().copy(), bias, *constants)


@torch.inference_mode()
def measure_effect(block: Block, rows: Rows, logits: Tensor | None, y: Tensor) -> BlockEffect:
    """What a block does to the examples of `rows`, and the net with it to loss and accuracy on their labels y (B,)."""
    before, after = rows["a0"].flatten(1), rows["a2"].flatten(1)
    distance = relative = gap = shortcut_gap = loss = accuracy = None
    is_identity = is_shortcut = False
    if rows["a0"].shape == rows["a2"].shape:
        lengths, norms = (torch.linalg.vector_norm(v, dim=1) for v in (after - before, before))
        distance, gap, is_identity = lengths.mean().item(), _widest(after, before), torch.equal(after, before)
        moved = norms > 0
        relative = (lengths[moved] / norms[moved]).mean().item() if moved.any() else None
    if "s" in rows:
        alone = rows["s"] if block.order == "pre" else block.g2(rows["s"])
        shortcut_gap, is_shortcut = _widest(rows["a2"], alone), torch.equal(rows["a2"], alone)
    if logits is not None:
        loss, accuracy = F.cross_entropy(logits, y).item(), (logits.argmax(1) == y).double().mean().item()
    is_constant = torch.allclose(after, after[:1].expand_as(after), rtol=TOLERANCE, atol=TOLERANCE)
    return BlockEffect(distance, relative, gap, is_identity, is_constant, shortcut_gap, is_shortcut, loss, accuracy)


def _widest(a: Tensor, b: Tensor) -> float:
    return (a - b).abs().max().item()


def draw_pairs(rows: Rows) -> tuple[np.ndarray | None, str | None]:
    """Pairs (a[l], a[l+2]) of single numbers, (N, 2), always the same of all the examples', and "input".

    Where dimensions differ (s, a[l+2]) and "shortcut"; None and None where there is no shortcut either.
    """
    after = rows["a2"]
    against = "input" if rows["a0"].shape == after.shape else "shortcut"
    first = rows.get("a0" if against == "input" else "s")
    if first is None:
        return None, None
    chosen = np.random.default_rng(0).choice(after.numel(), min(after.numel(), MAX_PAIRS), replace=False)
    return np.stack([first.flatten().numpy()[chosen], after.flatten().numpy()[chosen]], axis=1), against


def measure_gradient(module: Net, k: int, x: Tensor, y: Tensor) -> tuple[float, float]:
    """‖∂L/∂W[l+1]‖ and ‖∂L/∂W[l+2]‖ of block `k`, L the mean loss on (x, y), in training mode: by autograd.

    Frobenius norms, taken in double; 0 for what a lesion drops. Moves BatchNorm's running statistics, as training does.
    """
    block, training = module.blocks[k], module.training
    loss = F.cross_entropy(module.train()(x), y)
    module.train(training)
    found = torch.autograd.grad(loss, [block.layer1.weight, block.layer2.weight], allow_unused=True)
    first, second = (0.0 if slope is None else slope.double().norm().item() for slope in found)
    return first, second
