"""The nets, in the symbols of the lesson.

    z[l+1] = W[l+1] a[l] + b[l+1]      a[l+1] = g(z[l+1])
    z[l+2] = W[l+2] a[l+1] + b[l+2]    a[l+2] = g(z[l+2] + a[l])

A block is a residual branch F, a shortcut s and their sum; plain is the same block without the sum, with the same
parameters. He et al. 2015 (arXiv 1512.03385) eq. 1 and 2, section 4.2 for the convolutional shape of 6n+2 layers;
He et al. 2016 (1603.05027) for order="pre". Every g is a module of its own, none works in place, and a shortcut
returns a new tensor, so that a hook sees what the formulas say.

Acceptance: conv, zero-pad, batch norm, width 16 on 3x32x32 has 97,216 n - 21,926 parameters (20 layers: 269,722).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resnet_viz.records import BlockPlan, DataShape, NetConfig, plan_blocks


@dataclass
class Trace:
    """What one forward pass leaves behind, input to output, for L = depth - 1 hidden activations and K blocks.

    `activations` L tensors a[l], `branches` K tensors F, `shortcuts` K tensors s or None where there is none;
    `gradients` L tensors ∂(mean loss)/∂a[l], where a backward pass was made.
    """

    activations: list[Tensor] = field(default_factory=list)
    branches: list[Tensor] = field(default_factory=list)
    shortcuts: list[Tensor | None] = field(default_factory=list)
    gradients: list[Tensor] = field(default_factory=list)
    logits: Tensor | None = None


class IdentityShortcut(nn.Module):
    """s = a[l], as a new tensor: captum would otherwise credit the shortcut with what the branch did."""

    def forward(self, a: Tensor) -> Tensor:
        return a.clone()


class ZeroPadShortcut(nn.Module):
    """Option A: every `stride`-th pixel, and zeros for the added channels. The same as a fixed W_s = [I; 0]."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.added, self.stride = outputs - inputs, stride

    def forward(self, a: Tensor) -> Tensor:
        if a.dim() == 2:  # (B, features)
            return F.pad(a, (0, self.added))
        return F.pad(a[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.added))  # (B, C, H, W)


class Stem(nn.Module):
    """The first layer: a[1] = g(W[1] x + b[1]); before pre-activation blocks without g."""

    def __init__(self, net: NetConfig, data: DataShape) -> None:
        super().__init__()
        channels = data.shape[0] if net.family == "conv" else data.features
        self.layer = make_layer(net, channels, net.stage_widths[0])
        self.norm = make_norm(net, net.stage_widths[0]) if net.order == "post" else nn.Identity()
        self.g = make_activation(net) if net.order == "post" else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.g(self.norm(self.layer(x)))


class Block(nn.Module):
    """A residual block, a[l] -> a[l+2] = g(F(a[l]) + s(a[l])); without `skip`, its shortcut cut, a[l+2] = g(F(a[l])).

    `lesion` drops the branch of a trained net: F = 0.
    """

    def __init__(self, net: NetConfig, plan: BlockPlan, skip: bool) -> None:
        super().__init__()
        self.order, self.skip = net.order, skip
        self.lesion = False
        post = net.order == "post"
        self.layer1 = make_layer(net, plan.inputs, plan.outputs, plan.stride)
        self.norm1 = make_norm(net, plan.outputs if post else plan.inputs)
        self.g1 = make_activation(net)
        self.layer2 = make_layer(net, plan.outputs, plan.outputs)
        self.norm2 = make_norm(net, plan.outputs)
        self.g2 = make_activation(net)
        self.shortcut = make_shortcut(net, plan)

    def run_branch(self, a: Tensor) -> tuple[Tensor, Tensor]:
        """a[l+1], and the branch's output F."""
        if self.order == "pre":
            a1 = self.g2(self.norm2(self.layer1(self.g1(self.norm1(a)))))
            return a1, self.layer2(a1)
        a1 = self.g1(self.norm1(self.layer1(a)))
        return a1, self.norm2(self.layer2(a1))

    def forward(self, a: Tensor, trace: Trace | None = None) -> Tensor:
        a1, branch = self.run_branch(a)
        branch = torch.zeros_like(branch) if self.lesion else branch
        shortcut = self.shortcut(a) if self.skip else None
        out = branch if shortcut is None else branch + shortcut
        out = out if self.order == "pre" else self.g2(out)
        if trace is not None:
            trace.activations += [a1, out]
            trace.branches.append(branch)
            trace.shortcuts.append(shortcut)
        return out


class Head(nn.Module):
    """The last layer; a convolutional net averages over the picture first. (B, ...) -> logits (B, classes)."""

    def __init__(self, net: NetConfig, data: DataShape) -> None:
        super().__init__()
        width, pre = net.stage_widths[-1], net.order == "pre"
        self.norm = make_norm(net, width) if pre else nn.Identity()
        self.g = make_activation(net) if pre else nn.Identity()
        self.layer = nn.Linear(width, data.classes)

    def forward(self, a: Tensor) -> Tensor:
        a = self.g(self.norm(a))
        return self.layer(a.mean((2, 3)) if a.dim() == 4 else a)


class Net(nn.Module):
    """stem, blocks, head."""

    def __init__(self, net: NetConfig, data: DataShape) -> None:
        super().__init__()
        self.config, self.data = net, data
        self.stem = Stem(net, data)
        self.blocks = nn.ModuleList(Block(net, plan, net.has_shortcut(k)) for k, plan in enumerate(plan_blocks(net)))
        self.head = Head(net, data)

    def forward(self, x: Tensor, trace: Trace | None = None) -> Tensor:
        """x (B, *shape) -> logits (B, classes). A `trace` is filled on the way."""
        a = self.stem(x if self.config.family == "conv" else x.flatten(1))
        if trace is not None:
            trace.activations.append(a)
        for block in self.blocks:
            a = block(a, trace)
        logits = self.head(a)
        if trace is not None:
            trace.logits = logits
        return logits

    def weighted_layers(self) -> list[nn.Module]:
        """The `depth` layers with weights that count, input to output."""
        inner = [layer for block in self.blocks for layer in (block.layer1, block.layer2)]
        return [self.stem.layer, *inner, self.head.layer]


def make_layer(net: NetConfig, inputs: int, outputs: int, stride: int = 1) -> nn.Module:
    """W and b: a linear layer, or a 3x3 convolution. BatchNorm's β takes the place of b."""
    bias = net.norm == "none"
    if net.family == "dense":
        return nn.Linear(inputs, outputs, bias=bias)
    return nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=bias)


def make_activation(net: NetConfig) -> nn.Module:
    """g, a new module for each use."""
    return nn.ReLU() if net.activation == "relu" else nn.Tanh()


def make_norm(net: NetConfig, width: int) -> nn.Module:
    if net.norm == "none":
        return nn.Identity()
    return nn.BatchNorm1d(width) if net.family == "dense" else nn.BatchNorm2d(width)


def make_shortcut(net: NetConfig, plan: BlockPlan) -> nn.Module:
    """The shortcut of one block; its parameters exist even while it is cut, so that it can be mended."""
    if plan.shortcut == "zero-pad":
        return ZeroPadShortcut(plan.inputs, plan.outputs, plan.stride)
    if plan.shortcut != "projection":
        return IdentityShortcut()
    if net.family == "dense":
        layer: nn.Module = nn.Linear(plan.inputs, plan.outputs, bias=False)  # W_s
    else:
        layer = nn.Conv2d(plan.inputs, plan.outputs, 1, plan.stride, bias=False)
    return nn.Sequential(layer, make_norm(net, plan.outputs) if net.order == "post" else nn.Identity())


def build_net(net: NetConfig, data: DataShape, seed: int | None = None) -> Net:
    """A net with the initial weights of `seed`; without a seed they are left unset, to be filled from a state."""
    with torch.device("meta"):
        module = Net(net, data)
    module.to_empty(device="cpu")
    for part in module.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            part.reset_parameters()
    if seed is not None:
        initialize(module, seed)
    return module


@torch.no_grad()
def initialize(module: Net, seed: int) -> None:
    """Draw the initial weights. Shortcuts draw from a generator of their own, so twins start from the same weights.

    "default" is PyTorch's: W and b uniform in ±1/√fan_in. "he" (1502.01852): W normal of variance 2/fan_in, b = 0;
    "xavier": variance 2/(fan_in + fan_out), b = 0. "zero-last": default, and each branch's last layer is 0 (behind
    BatchNorm its γ), so that a residual block starts as the identity.
    """
    init, generator = module.config.init, torch.Generator().manual_seed(seed)
    for layer in module.weighted_layers():
        draw_weights(layer, init, generator)
    generator.manual_seed(seed + 2**32)
    for block in module.blocks:
        if isinstance(block.shortcut, nn.Sequential):
            draw_weights(block.shortcut[0], init, generator)
        if init == "zero-last":
            last = block.norm2 if module.config.norm == "batch" and block.order == "post" else block.layer2
            nn.init.zeros_(last.weight)
            if last.bias is not None:
                nn.init.zeros_(last.bias)


def draw_weights(layer: nn.Module, init: str, generator: torch.Generator) -> None:
    weight, bias = layer.weight, layer.bias
    if init in ("he", "xavier"):
        draw = nn.init.kaiming_normal_ if init == "he" else nn.init.xavier_normal_
        draw(weight, **({"nonlinearity": "relu"} if init == "he" else {}), generator=generator)
        if bias is not None:
            nn.init.zeros_(bias)
        return
    bound = 1 / math.sqrt(weight[0].numel())  # fan_in
    nn.init.uniform_(weight, -bound, bound, generator=generator)
    if bias is not None:
        nn.init.uniform_(bias, -bound, bound, generator=generator)
