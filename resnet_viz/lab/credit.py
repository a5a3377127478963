"""Who is to be thanked for a decision: each block's shortcut or its branch, and which places of the input. With captum.

The outputs s and F of one block are a cut: every path from the input to a logit crosses exactly one of them. So credit(s)
+ credit(F) = logit(x) - logit(baseline), block by block, and never to be added across blocks. Credits are signed.
Conductance: Dhamdhere et al. 2018 (arXiv 1805.12233); DeepLift: Shrikumar et al. 2017 (1704.02685); integrated gradients
and completeness: Sundararajan et al. 2017 (1703.01365); Grad-CAM: Selvaraju et al. 2017 (1610.02391).

captum keeps the very tensor that a layer returned, so a shortcut must return a new one; ours do. The branch's last module
is `norm2` (an nn.Identity without BatchNorm: nothing else takes what goes into it), with pre-activation `layer2`.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from captum._utils.gradient import compute_layer_gradients_and_eval
from captum.attr import (
    IntegratedGradients,
    LayerAttribution,
    LayerDeepLift,
    LayerGradCam,
    LayerIntegratedGradients,
    Occlusion,
)
from captum.attr._utils.approximation_methods import approximation_parameters
from torch import Tensor, nn

from resnet_viz.lab.batches import check, count_rows
from resnet_viz.lab.nets import Net

MOST_ROWS = 4096  # of a batch, where memory allows it


@dataclass(frozen=True)
class Cut:
    """The two modules whose outputs are a block's s and F; no shortcut in a plain net."""

    shortcut: nn.Module | None
    branch: nn.Module

    @property
    def modules(self) -> list[nn.Module]:
        return [self.branch] if self.shortcut is None else [self.shortcut, self.branch]


def list_cuts(module: Net) -> list[Cut]:
    """The cut through each block, input to output."""
    return [Cut(block.shortcut if block.skip else None, block.layer2 if block.order == "pre" else block.norm2)
            for block in module.blocks]


@contextlib.contextmanager
def quiet(module: nn.Module) -> Iterator[None]:
    """Evaluation mode, and none of captum's remarks about the hooks it sets; both as before on leaving.

    Before each batch, also of those that captum makes, the measurement can be stopped.
    """
    training = module.training
    module.eval()
    hook = module.register_forward_pre_hook(lambda _module, _inputs: check())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        hook.remove()
        module.train(training)


@torch.no_grad()
def choose_target(module: nn.Module, x: Tensor, target: int | None) -> Tensor:
    """The class of each example, (N,): `target`, or without one the net's own answer."""
    if target is not None:
        return torch.full((len(x),), target)
    with quiet(module):
        return module(x).argmax(1)


@torch.no_grad()
def read_logits(module: nn.Module, x: Tensor, target: Tensor) -> Tensor:
    """The target's logit of each example, (N,), in double."""
    with quiet(module):
        return module(x).gather(1, target[:, None])[:, 0].double()


def split_credit(module: nn.Module, cuts: list[Cut], method: str, x: Tensor, baseline: Tensor, target: Tensor,
                 steps: int) -> Tensor:
    """Credit of every cut's tensors for every example, summed over units: (2, K, N) double, shortcut and branch.

    x and baseline (N, ...), target (N,). NaN where there is no shortcut.
    """
    result = torch.zeros(2, len(cuts), len(x), dtype=torch.double)
    rows = count_rows(module, x, MOST_ROWS)
    size = max(1, rows // {"conductance": steps + 1, "deep-lift": 2}.get(method, 1))
    with quiet(module):
        for part in torch.arange(len(x)).split(size):
            units = SPLITS[method](module, cuts, x[part], baseline[part], target[part], steps)
            for k, pair in enumerate(units):
                result[2 - len(pair):, k, part] = torch.stack([unit.detach().double().flatten(1).sum(1) for unit in pair])
    result[0, [k for k, cut in enumerate(cuts) if cut.shortcut is None]] = torch.nan
    return result


def split_conductance(module: nn.Module, cuts: list[Cut], x: Tensor, baseline: Tensor, target: Tensor,
                      steps: int) -> list[list[Tensor]]:
    """captum's `LayerConductance` of all the cuts' tensors, (N, *shape) each, from the same passes and not from 2K times
    as many: Σ over steps of ∂logit/∂tensor · the tensor's change. As many steps at a time as memory allows.
    """
    layers, n = [layer for cut in cuts for layer in cut.modules], len(x)
    alphas = approximation_parameters("gausslegendre")[1](steps + 1)
    room = max(1, count_rows(module, x, MOST_ROWS) // n)
    total: list[Tensor] = []
    for start in range(0, steps, room):
        chosen = alphas[start : start + room + 1]
        points = torch.cat([baseline + alpha * (x - baseline) for alpha in chosen]).requires_grad_()
        slopes, values = compute_layer_gradients_and_eval(module, layers, (points,), target.repeat(len(chosen)))
        parts = [((v[n:] - v[:-n]) * g[:-n]).detach().unflatten(0, (-1, n)).sum(0)
                 for (g,), (v,) in zip(slopes, values, strict=True)]
        total = [a + b for a, b in zip(total, parts, strict=True)] if total else parts
    found = iter(total)
    return [[next(found) for _ in cut.modules] for cut in cuts]


def split_deep_lift(module: nn.Module, cuts: list[Cut], x: Tensor, baseline: Tensor, target: Tensor,
                    steps: int) -> list[list[Tensor]]:
    """captum's `LayerDeepLift`; it knows no steps."""
    x = x.detach().clone().requires_grad_()  # captum's hooks want gradients all the way, of frozen weights too
    with fresh_inputs(module):
        return [[LayerDeepLift(module, layer).attribute(x, baseline, target) for layer in cut.modules] for cut in cuts]


@contextlib.contextmanager
def fresh_inputs(module: nn.Module) -> Iterator[None]:
    """Every g is fed a tensor of its own. DeepLift changes the gradient of the very tensor that a g takes, and with
    pre-activation and no norm before it that is a[l], which the shortcut takes too.
    """
    def renew(part: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return tuple(tensor.clone() for tensor in inputs)

    hooks = [part.register_forward_pre_hook(renew) for part in module.modules() if isinstance(part, nn.ReLU | nn.Tanh)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def split_integrated(module: nn.Module, cuts: list[Cut], x: Tensor, baseline: Tensor, target: Tensor,
                     steps: int) -> list[list[Tensor]]:
    """captum's `LayerIntegratedGradients`: both tensors go along the line together, else they would not add up."""
    rows = max(len(x), count_rows(module, x, MOST_ROWS))
    return [list(LayerIntegratedGradients(module, cut.modules).attribute(
        x, baseline, target, n_steps=steps, internal_batch_size=rows)) for cut in cuts]


SPLITS = {"conductance": split_conductance, "deep-lift": split_deep_lift, "integrated-gradients": split_integrated}


def map_credit(module: nn.Module, method: str, x: Tensor, baseline: Tensor, target: Tensor, steps: int, window: int,
               layer: nn.Module | None) -> Tensor:
    """Credit of every number of one example x (1, ...) for the target's logit: of x's shape without the 1.

    "integrated-gradients" with `steps`; "occlusion" puts the baseline into windows of `window` pixels a side (all
    channels at once); "grad-cam" of `layer`'s output (1, C, h, w), 0 or more, laid over the picture and the same in all
    its channels.
    """
    rows = count_rows(module, x, 16)
    with quiet(module):
        if method == "integrated-gradients":
            found = IntegratedGradients(module).attribute(x, baseline, target, n_steps=steps, internal_batch_size=rows)
        elif method == "occlusion":
            shape = x.shape[1:]
            sides = (shape[0], *(min(window, side) for side in shape[1:])) if len(shape) == 3 else (1,)
            strides = (shape[0], *(max(1, side // 2) for side in sides[1:])) if len(shape) == 3 else (1,)
            found = Occlusion(module).attribute(x, sides, strides, baseline, target, perturbations_per_eval=min(rows, 8))
        else:
            small = LayerGradCam(module, layer).attribute(x, target, relu_attributions=True)
            found = LayerAttribution.interpolate(small, tuple(x.shape[2:]), "bilinear").expand_as(x)
    return found[0].detach()
