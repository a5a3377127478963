"""One net as it is configured, its blocks and layers: arithmetic on numbers, before anything is allocated."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass

from resnet_viz.records.data import DataShape
from resnet_viz.records.errors import (
    N_,
    ConfigError,
    Option,
    RuleError,
    check_blocks,
    check_choice,
    check_flag,
    check_whole,
)

FAMILIES = ("dense", "conv")
SHORTCUTS = ("none", "identity", "zero-pad", "projection", "projection-all")
NORMS = ("none", "batch")
INITS = ("default", "he", "xavier", "zero-last")
ORDERS = ("post", "pre")
ACTIVATIONS = ("relu", "tanh")
MAX_DEPTH = 1202  # the deepest net of He et al. 2015


@dataclass(frozen=True)
class NetConfig:
    """One net. `shortcut` says what happens where dimensions change; inside a stage a shortcut is the identity.

    "zero-pad", "projection" and "projection-all" are options A, B and C of He et al. 2015, section 4.1. `width` is
    one number or one per stage (dense), or the first stage's channels (conv). `cuts` are the blocks, counted from 0,
    whose shortcut is cut while the branch is kept; `skip=False` cuts them all: the plain net with the same weights.
    """

    family: str = "dense"
    shortcut: str = "identity"
    depth: int = 20
    width: tuple[int, ...] = (64,)
    norm: str = "none"
    init: str = "default"
    order: str = "post"
    skip: bool = True
    activation: str = "relu"  # g
    cuts: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        check_choice("family", self.family, FAMILIES)
        check_choice("shortcut", self.shortcut, SHORTCUTS)
        check_choice("norm", self.norm, NORMS)
        check_choice("init", self.init, INITS)
        check_choice("order", self.order, ORDERS)
        check_choice("activation", self.activation, ACTIVATIONS)
        check_flag("skip", self.skip)
        self._check_depth()
        object.__setattr__(self, "cuts", check_blocks("cuts", self.cuts, self.blocks))  # equal nets are equal records
        self._check_width()
        self._check_dimensions()

    def _check_depth(self) -> None:
        unit = 2 if self.family == "dense" else 6
        low = 2 + unit
        high = MAX_DEPTH - (MAX_DEPTH - 2) % unit
        depth = self.depth
        if isinstance(depth, int) and not isinstance(depth, bool) and low <= depth <= high and (depth - 2) % unit == 0:
            return
        if isinstance(depth, int) and not isinstance(depth, bool):
            nearest = 2 + unit * round((min(max(depth, low), high) - 2) / unit)
            takes = N_("{field} cannot be {value}: it takes {unit}n+2 layers with weights; the nearest is {nearest}.")
            raise RuleError("depth", depth, takes, unit=unit, nearest=nearest)
        raise ConfigError("depth", depth, N_("a whole number from {low} to {high}"), low=low, high=high)

    def _check_width(self) -> None:
        high = 1024 if self.family == "dense" else 256
        if not isinstance(self.width, tuple) or not 1 <= len(self.width) <= 4:
            raise ConfigError("width", self.width, N_("one number, or two to four with commas between, one per stage"))
        for value in self.width:
            check_whole("width", value, 1, high)
        if self.family == "conv" and len(self.width) != 1:
            takes = N_("one number for a convolutional net: the first stage's channels, doubled at each later stage")
            raise ConfigError("width", join_widths(self.width), takes)
        if self.family == "dense" and len(self.width) > self.blocks:
            raise ConfigError("width", join_widths(self.width), N_("at most one number per block, and there are {blocks}"),
                              blocks=self.blocks)

    def _check_dimensions(self) -> None:
        widths = self.stage_widths
        if self.shortcut == "identity" and len(set(widths)) > 1:
            takes = N_("The dimensions differ, so there can be no {identity}: choose {padding} or {projection}.")
            raise RuleError("shortcut", self.shortcut, takes, identity=Option("shortcut", "identity"),
                            padding=Option("shortcut", "zero-pad"), projection=Option("shortcut", "projection"))
        if self.shortcut == "zero-pad" and any(b < a for a, b in zip(widths, widths[1:], strict=False)):
            takes = N_("The width shrinks ({widths}), so {padding} cannot be: choose {projection}.")
            raise RuleError("shortcut", self.shortcut, takes, widths=join_widths(widths),
                            padding=Option("shortcut", "zero-pad"), projection=Option("shortcut", "projection"))

    @property
    def blocks(self) -> int:
        """The number of residual blocks, two layers with weights each."""
        return (self.depth - 2) // 2

    @property
    def stage_widths(self) -> tuple[int, ...]:
        if self.family == "dense":
            return self.width
        return tuple(self.width[0] * 2**stage for stage in range(3))

    def block_stages(self) -> list[int]:
        """The stage of each block, input to output. Stages share the blocks evenly; the earlier take what is left."""
        stages = len(self.stage_widths)
        share, left = divmod(self.blocks, stages)
        return [stage for stage in range(stages) for _ in range(share + (stage < left))]

    @property
    def residual(self) -> bool:
        """Whether any block has its shortcut."""
        return self.skip and self.shortcut != "none" and len(self.cuts) < self.blocks

    @property
    def skips(self) -> tuple[bool, ...]:
        """Of each block, input to output, whether it has its shortcut."""
        return tuple(map(self.has_shortcut, range(self.blocks)))

    def has_shortcut(self, block: int) -> bool:
        """Whether a block, counted from 0, has a shortcut that is not cut."""
        return self.skip and self.shortcut != "none" and block not in self.cuts

    @property
    def by_hand(self) -> bool:
        """Whether the lesson's own net, for which `lab.dense` has the chain rule written out; others train by autograd."""
        return (self.family, self.norm, self.order, self.activation) == ("dense", "none", "post", "relu")

    def starts_like(self, other: NetConfig) -> bool:
        """Whether one seed gives both nets the same initial weights in every layer; a W_s belongs to a shortcut."""
        names = ["family", "depth", "width", "norm", "init", *(["order"] if self.init == "zero-last" else [])]
        return all(getattr(self, name) == getattr(other, name) for name in names)

    def check_data(self, data: DataShape) -> None:
        """Raise where this net cannot take the data."""
        if self.family == "conv" and not data.is_picture:
            takes = N_("The data are points in a plane, not pictures: choose {dense}.")
            raise RuleError("family", self.family, takes, dense=Option("family", "dense"))


# What a family usually has, where nobody says otherwise. A convolutional net changes dimensions, and wants BatchNorm.
FAMILY_DEFAULTS = {
    "dense": {"width": (64,), "norm": "none", "shortcut": "identity"},
    "conv": {"width": (8,), "norm": "batch", "shortcut": "zero-pad"},
}


def join_widths(values: tuple[int, ...]) -> str:
    return ",".join(str(value) for value in values)


@dataclass(frozen=True)
class BlockPlan:
    """One residual block: its stage, dimensions in and out, the stride, and which shortcut it has."""

    stage: int
    inputs: int
    outputs: int
    stride: int
    shortcut: str  # "none", "identity", "zero-pad" or "projection"

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.inputs, self.outputs, self.stride

    @property
    def keeps_shape(self) -> bool:
        """Whether a[l] and a[l+2] have equal dimensions."""
        return self.inputs == self.outputs and self.stride == 1


def plan_blocks(net: NetConfig) -> list[BlockPlan]:
    """The blocks of a net, input to output, with the shortcut each one has where skip is on."""
    widths, stages, plans = net.stage_widths, net.block_stages(), []
    for k, stage in enumerate(stages):
        inputs = widths[stages[k - 1]] if k else widths[0]
        changes = inputs != widths[stage] or (net.family == "conv" and k > 0 and stages[k - 1] != stage)
        kind = net.shortcut
        if kind in ("projection", "zero-pad") and not changes:
            kind = "identity"
        kind = "projection" if kind == "projection-all" else kind
        stride = 2 if changes and net.family == "conv" else 1
        plans.append(BlockPlan(stage, inputs, widths[stage], stride, kind))
    return plans


@dataclass(frozen=True)
class Layer:
    """One layer as a table shows it. `counted` says whether it counts towards the depth."""

    name: str
    kind: str  # "linear", "conv" or "pool"
    kernel: int
    stride: int
    output: tuple[int, ...]
    parameters: int
    multiply_adds: int  # per example
    counted: bool = True


def list_layers(net: NetConfig, data: DataShape) -> Iterator[Layer]:
    """Every layer with its output shape, parameters (normalisation included) and multiply-adds, input to output."""
    net.check_data(data)
    batch, conv = net.norm == "batch", net.family == "conv"
    post = net.order == "post"
    height, width = data.shape[1:] if conv else (1, 1)

    def weights(name: str, fan_in: int, fan_out: int, kernel: int, stride: int, norm: int, counted: bool = True) -> Layer:
        bias = 0 if batch or not counted else fan_out
        output = (fan_out, height, width) if conv else (fan_out,)
        size = fan_in * fan_out * kernel * kernel
        return Layer(name, "conv" if conv else "linear", kernel, stride, output, size + bias + 2 * norm,
                     size * height * width, counted)

    kernel = 3 if conv else 1
    channels = data.shape[0] if conv else data.features
    first = net.stage_widths[0]
    yield weights("stem", channels, first, kernel, 1, first if batch and post else 0)
    for k, block in enumerate(plan_blocks(net), start=1):
        if block.stride == 2:
            height, width = (height + 1) // 2, (width + 1) // 2
        norms = (block.outputs if post else block.inputs, block.outputs) if batch else (0, 0)
        yield weights(f"block{k}.1", block.inputs, block.outputs, kernel, block.stride, norms[0])
        yield weights(f"block{k}.2", block.outputs, block.outputs, kernel, 1, norms[1])
        if net.has_shortcut(k - 1) and block.shortcut == "projection":
            norm = block.outputs if batch and post else 0
            yield weights(f"block{k}.shortcut", block.inputs, block.outputs, 1, block.stride, norm, counted=False)
    last = net.stage_widths[-1]
    if conv:
        yield Layer("pool", "pool", height, 1, (last,), 0, 0, counted=False)
    norm = last if batch and not post else 0
    yield Layer("head", "linear", 1, 1, (data.classes,), (last + 1) * data.classes + 2 * norm, last * data.classes)


def count_parameters(net: NetConfig, data: DataShape) -> int:
    """Trained parameters; those of shortcuts that are cut are not counted."""
    return sum_layers(net, data)[0]


def count_multiply_adds(net: NetConfig, data: DataShape) -> int:
    """Multiply-adds of one forward pass of one example, in layers with weights."""
    return sum_layers(net, data)[1]


@functools.lru_cache(maxsize=1024)
def sum_layers(net: NetConfig, data: DataShape) -> tuple[int, int, int]:
    """Parameters, multiply-adds, and numbers in the outputs of all layers, for one example."""
    layers = list(list_layers(net, data))
    return (sum(layer.parameters for layer in layers), sum(layer.multiply_adds for layer in layers),
            sum(math.prod(layer.output) for layer in layers))


def check_view(net: NetConfig, data: DataShape, block: int, unit: int, raw: bool) -> None:
    """Raise `ConfigError` where a net has no such block, the block no such unit, or it cannot be fed the raw input."""
    check_whole("block", block, 0, net.blocks - 1)
    output = next(layer.output for layer in list_layers(net, data) if layer.name == f"block{block + 1}.1")
    check_whole("unit", unit, 0, math.prod(output) - 1)
    check_flag("raw", raw)
    if raw and (net.family != "dense" or net.stage_widths[0] != data.features or block != 0):
        takes = N_("The raw input can only be fed to the first block of a dense net that is as wide as its input, "
                   "{features}: W[l+1] must fit x.")
        raise RuleError("raw", raw, takes, features=data.features)
