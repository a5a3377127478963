"""A net as it is: its real modules, every layer seen by a hook in one forward pass.

The pass runs on PyTorch's meta device, where tensors have shapes and no numbers: nothing is allocated, and a net of 1202
layers takes a moment. torchvision's ResNets have option B's projections; `PlainBlock` takes the sum out of them.

Acceptance: resnet34 has 21,797,672 parameters and 3,663,761,408 multiply-adds at 224x224, plain34 21,623,848 and
3,644,493,824; both count 34 layers. He et al. 2015 (1512.03385), table 1 and fig. 3.
"""

from __future__ import annotations

import contextlib
from typing import Any

import torch
from torch import Tensor, nn
from torchvision import models
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

from resnet_viz.lab.nets import Block, Head, IdentityShortcut, Net, ZeroPadShortcut
from resnet_viz.records import (
    MIN_PICTURE,
    N_,
    Architecture,
    BlockSpan,
    ConfigError,
    DataShape,
    Layer,
    NetConfig,
    read_architecture,
)

CONVOLUTIONS, NORMS = (nn.Conv2d, nn.Linear), (nn.BatchNorm1d, nn.BatchNorm2d)
POOLS = (nn.MaxPool2d, nn.AdaptiveAvgPool2d)
MAX_PICTURE, MAX_CLASSES = 1024, 100_000


class PlainBlock(BasicBlock):
    """torchvision's block without its shortcut: no projection, and nothing is added."""

    def __init__(self, inplanes: int, planes: int, stride: int = 1, downsample: nn.Module | None = None,
                 *others: Any, **more: Any) -> None:
        super().__init__(inplanes, planes, stride, None, *others, **more)

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(out)))


PLAIN = {"plain18": (2, 2, 2, 2), "plain34": (3, 4, 6, 3)}  # blocks per stage


def trace_architecture(name: str, size: int | None = None, classes: int | None = None) -> Architecture:
    """A net by its name, for pictures of `size` by `size` pixels: by default 224 and 1000 classes, CIFAR's 32 and 10.

    Raises `ConfigError` for a name, size or number of classes that cannot be used.
    """
    net = read_architecture(name)
    usual = (224, 1000) if net is None else (32, 10)
    size, classes = usual[0] if size is None else size, usual[1] if classes is None else classes
    smallest = MIN_PICTURE if net is None else 1  # a CIFAR net's strides halve a picture upwards, to 1 at least
    for field, value, low, high in (("size", size, smallest, MAX_PICTURE), ("classes", classes, 1, MAX_CLASSES)):
        if not isinstance(value, int) or not low <= value <= high:
            raise ConfigError(field, value, N_("a whole number from {low} to {high}"), low=low, high=high)
    if net is not None:
        return trace_net(net, DataShape((3, size, size), classes), name)
    with torch.device("meta"):
        module = (ResNet(PlainBlock, list(PLAIN[name]), num_classes=classes) if name in PLAIN
                  else models.get_model(name, weights=None, num_classes=classes))
    return trace_module(module, (3, size, size), name)


def trace_net(net: NetConfig, data: DataShape, name: str = "own") -> Architecture:
    """One of our own nets. Raises `ConfigError` where it cannot take the data."""
    net.check_data(data)
    with torch.device("meta"):
        module = Net(net, data)
    return trace_module(module, data.shape, name)


def trace_module(module: nn.Module, shape: tuple[int, ...], name: str) -> Architecture:
    """Run one example of `shape` through a net on the meta device, and note what passes."""
    layers: list[Layer] = []
    blocks: list[BlockSpan] = []
    paths = {part: path for path, part in module.named_modules()}
    beside = {part for block in paths for part in list_beside(block)}
    starts: list[int] = []

    def see_layer(part: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        layers.append(read_layer(paths[part], part, inputs[0], output, part not in beside))

    def see_pool(part: nn.Module, inputs: tuple[Tensor]) -> None:
        if len(before := layers[-1].output) == 3:  # our own head averages over the picture without a module
            layers.append(Layer("head.pool", "pool", before[1], 1, before[:1], 0, 0, counted=False))

    def enter_block(part: nn.Module, inputs: tuple[Tensor]) -> None:
        starts.append(len(layers))

    def leave_block(part: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        blocks.append(BlockSpan(starts.pop(), len(layers) - 1, name_shortcut(part), tuple(inputs[0].shape[1:]),
                                tuple(output.shape[1:])))

    with contextlib.ExitStack() as hooks:
        for part in paths:
            if isinstance(part, CONVOLUTIONS + NORMS + POOLS):
                hooks.enter_context(part.register_forward_hook(see_layer))
            elif isinstance(part, BasicBlock | Bottleneck | Block):
                hooks.enter_context(part.register_forward_pre_hook(enter_block))
                hooks.enter_context(part.register_forward_hook(leave_block))
            elif isinstance(part, Head):
                hooks.enter_context(part.layer.register_forward_pre_hook(see_pool))
        with torch.no_grad():
            module.eval()(torch.empty(1, *shape, device="meta"))
    return Architecture(name, shape, tuple(layers), tuple(blocks))


def list_beside(block: nn.Module) -> list[nn.Module]:
    """The modules that stand on a block's shortcut, and so do not count."""
    beside = getattr(block, "shortcut" if isinstance(block, Block) else "downsample", None)
    return list(beside.modules()) if isinstance(beside, nn.Module) else []


def name_shortcut(block: nn.Module) -> str:
    """What a block adds to its branch: "none", "identity", "zero-pad" or "projection"."""
    if isinstance(block, Block):
        kinds = {IdentityShortcut: "identity", ZeroPadShortcut: "zero-pad"}
        return kinds.get(type(block.shortcut), "projection") if block.skip else "none"
    if isinstance(block, PlainBlock):
        return "none"
    return "identity" if block.downsample is None else "projection"


def read_layer(path: str, part: nn.Module, x: Tensor, output: Tensor, main: bool) -> Layer:
    """What a hook saw of one layer. Multiply-adds are those of the weights: a bias adds, and multiplies nothing."""
    parameters = sum(p.numel() for p in part.parameters())
    shape = tuple(output.shape[1:])
    if isinstance(part, nn.Conv2d):
        multiply_adds = part.weight.numel() * shape[1] * shape[2]
        return Layer(path, "conv", part.kernel_size[0], part.stride[0], shape, parameters, multiply_adds, main)
    if isinstance(part, nn.Linear):
        return Layer(path, "linear", 1, 1, shape, parameters, part.weight.numel(), main)
    if isinstance(part, nn.MaxPool2d):
        return Layer(path, "pool", part.kernel_size, part.stride, shape, 0, 0, counted=False)
    if isinstance(part, nn.AdaptiveAvgPool2d):  # of VGG it has nothing to do at 224x224
        return Layer(path, "pool", x.shape[2] // shape[1] or 1, 1, shape, 0, 0, counted=False)
    return Layer(path, "norm", 1, 1, shape, parameters, 0, counted=False)
