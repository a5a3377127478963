"""Nets that everybody knows, as one pass through their modules showed them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from resnet_viz.records.errors import N_, ConfigError, Option
from resnet_viz.records.nets import Layer, NetConfig

# torchvision's nets by torchvision's names, and their plain twins.
ARCHITECTURES = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "plain18", "plain34", "vgg11", "vgg13",
                 "vgg16", "vgg19", "vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn", "resnext50_32x4d", "resnext101_32x8d",
                 "resnext101_64x4d", "wide_resnet50_2", "wide_resnet101_2")
MIN_PICTURE = 32  # pixels: VGG halves a picture five times


@dataclass(frozen=True)
class BlockSpan:
    """One residual block of a traced net: the layers `first` to `last`, counted from 0, those of its shortcut included.

    `input` and `output` are the shapes of a[l] and a[l+2], per example.
    """

    first: int
    last: int
    shortcut: str  # "identity", "projection", "zero-pad" or "none"
    input: tuple[int, ...]
    output: tuple[int, ...]

    @property
    def keeps_shape(self) -> bool:
        return self.input == self.output


@dataclass(frozen=True)
class Architecture:
    """A net as one forward pass of its modules showed it: every layer but the activations, in the order of the pass.

    Beside those of `list_layers`, a layer's kind may be "norm". Layers with weights count, but those of shortcuts.
    """

    name: str
    input: tuple[int, ...]
    layers: tuple[Layer, ...]
    blocks: tuple[BlockSpan, ...]

    @property
    def counted_layers(self) -> int:
        return sum(layer.counted for layer in self.layers)

    @property
    def parameters(self) -> int:
        return sum(layer.parameters for layer in self.layers)

    @property
    def multiply_adds(self) -> int:
        return sum(layer.multiply_adds for layer in self.layers)

    def stages(self) -> list[list[BlockSpan]]:
        """The blocks in groups of equal output shape, input to output."""
        groups: list[list[BlockSpan]] = []
        for block in self.blocks:
            if not groups or groups[-1][-1].output != block.output:
                groups.append([])
            groups[-1].append(block)
        return groups

    def to_jsonable(self) -> dict[str, Any]:
        """The record, and its totals; a layer's `output` has its full name too."""
        totals = {name: getattr(self, name) for name in ("counted_layers", "parameters", "multiply_adds")}
        layers = [dataclasses.asdict(layer) | {"output_shape": layer.output} for layer in self.layers]
        return dataclasses.asdict(self) | {"layers": layers} | totals


def read_architecture(name: Any) -> NetConfig | None:
    """Check a net's name: the settings of "cifar20" or "cifar20-plain", None for torchvision's nets and their twins.

    Raises `ConfigError` for any other name, and for a depth that is not 6n+2.
    """
    if isinstance(name, str) and name in ARCHITECTURES:
        return None
    depth, dash, kind = name.removeprefix("cifar").partition("-") if isinstance(name, str) else ("", "", "")
    fits = str(name).startswith("cifar") and depth.isascii() and depth.isdigit() and len(depth) < 6
    if not fits or (dash and kind != "plain"):
        takes = N_("one of {allowed}, or a net of the CIFAR family, such as {residual} or {plain}")
        raise ConfigError("net", name, takes, allowed=ARCHITECTURES, residual=Option("net", "cifar20"),
                          plain=Option("net", "cifar56-plain"))
    shortcut = "none" if kind else "zero-pad"
    return NetConfig("conv", shortcut, int(depth), (16,), "batch")
