"""The records that cross a process boundary: what to train, where training stands, and what was measured.

Everything here is a frozen dataclass of plain values and numpy arrays, so the server can hold it without torch.
Construction validates: a `ConfigError` names the field, what it got and what it takes. The counts of parameters and
multiply-adds are arithmetic on the configuration, so a net can be refused before anything is allocated.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields, replace
from typing import Any, get_type_hints

import numpy as np

FAMILIES = ("dense", "conv")
SHORTCUTS = ("none", "identity", "zero-pad", "projection", "projection-all")
NORMS = ("none", "batch")
INITS = ("default", "he", "xavier", "zero-last")
ORDERS = ("post", "pre")
ACTIVATIONS = ("relu", "tanh")
OPTIMIZERS = ("sgd", "adamw")
DECAYS = ("own", "coupled", "decoupled")
LIVE_FIELDS = ("skip", "lr", "momentum", "weight_decay")  # what may change in the middle of a run

MAX_DEPTH = 1202  # the deepest net of He et al. 2015
MAX_LANES = 8
MAX_CHANGES = 100
MAX_TEXT = 60  # characters of a bad value that an error message repeats


def N_(message: str) -> str:
    """Mark a message for translation; `text.sentence` translates it when a reader is known."""
    return message


class ConfigError(ValueError):
    """A value that cannot be used: `field`, `value`, and in words what the field takes.

    `takes` is an untranslated template and `params` what it is filled with, so that the sentence can be told in the
    language of whoever reads it. `str(error)` is the English sentence.
    """

    TEMPLATE = N_("{field} cannot be {value}: it takes {takes}.")

    def __init__(self, field: str, value: Any, takes: str, **params: Any) -> None:
        self.field, self.value, self.takes, self.params = field, shorten(value), takes, params
        super().__init__(self.sentence())

    def sentence(self, translate: Any = str) -> str:
        takes = translate(self.takes).format(**self.params)
        return translate(self.TEMPLATE).format(field=self.field, value=self.value, takes=takes)

    def __reduce__(self) -> tuple:
        return _rebuild_error, (type(self), self.field, self.value, self.takes, self.params)


class UnknownFieldError(ConfigError):
    """A setting of a name that there is not."""

    TEMPLATE = N_("{field} cannot be set: the settings are {takes}.")

    def __init__(self, field: str, value: Any, known: Iterable[str]) -> None:
        super().__init__(shorten(field).strip("“”"), value, "{known}", known=", ".join(sorted(known)))


def _rebuild_error(kind: type, field: str, value: Any, takes: str, params: dict) -> ConfigError:
    error = kind.__new__(kind)
    error.field, error.value, error.takes, error.params = field, value, takes, params
    error.args = (error.sentence(),)
    return error


def shorten(value: Any) -> str:
    """The value as an error message repeats it: quoted if it is text, and never long."""
    if isinstance(value, int) and abs(value) > 10**MAX_TEXT:
        return f"{'-' if value < 0 else ''}10^{int(abs(value).bit_length() * math.log10(2))}"
    try:
        shown = f"“{value[:MAX_TEXT]}”" if isinstance(value, str) else str(value)
    except RecursionError:
        shown = "[[[…]]]"
    shown = shown.encode(errors="replace").decode()  # a lone surrogate could not be sent
    return shown if len(shown) <= MAX_TEXT + 2 else shown[:MAX_TEXT] + "…"


def _choice(name: str, value: Any, allowed: tuple[str, ...]) -> None:
    if value not in allowed or not isinstance(value, str):
        raise ConfigError(name, value, N_("one of {allowed}"), allowed=", ".join(allowed))


def _whole(name: str, value: Any, low: int, high: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ConfigError(name, value, N_("a whole number from {low} to {high}"), low=low, high=high)


def _number(name: str, value: Any, low: float, high: float) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:
        raise ConfigError(name, value, N_("a number from {low} to {high}"), low=low, high=high)


def _flag(name: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise ConfigError(name, value, N_("true or false"))


# ---------------------------------------------------------------------------------------------------- data sets


@dataclass(frozen=True)
class DataShape:
    """The shape of a data set: of one example, the number of classes, and of examples in either part."""

    shape: tuple[int, ...]  # (features,) for points, (channels, height, width) for pictures
    classes: int
    train: int = 0
    test: int = 0

    @property
    def is_picture(self) -> bool:
        return len(self.shape) == 3

    @property
    def features(self) -> int:
        return math.prod(self.shape)


DATASETS = {
    "digits": DataShape((1, 8, 8), 10, 1437, 360),
    "spirals": DataShape((2,), 2, 1024, 512),
    "circles": DataShape((2,), 2, 1024, 512),
    "moons": DataShape((2,), 2, 1024, 512),
    "checkerboard": DataShape((2,), 2, 1024, 512),
}


# ---------------------------------------------------------------------------------------------------- nets


@dataclass(frozen=True)
class NetConfig:
    """One net. `shortcut` says what happens where dimensions change; inside a stage a shortcut is the identity.

    "zero-pad", "projection" and "projection-all" are options A, B and C of He et al. 2015, section 4.1. `width` is
    one number or one per stage (dense), or the first stage's channels (conv). `skip=False` cuts every shortcut and
    keeps the branches: the plain net with the same weights.
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

    def __post_init__(self) -> None:
        _choice("family", self.family, FAMILIES)
        _choice("shortcut", self.shortcut, SHORTCUTS)
        _choice("norm", self.norm, NORMS)
        _choice("init", self.init, INITS)
        _choice("order", self.order, ORDERS)
        _choice("activation", self.activation, ACTIVATIONS)
        _flag("skip", self.skip)
        self._check_depth()
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
            takes = N_("{unit}n+2 layers with weights, from {low} to {high}; the nearest is {nearest}")
            raise ConfigError("depth", depth, takes, unit=unit, low=low, high=high, nearest=nearest)
        raise ConfigError("depth", depth, N_("a whole number from {low} to {high}"), low=low, high=high)

    def _check_width(self) -> None:
        high = 1024 if self.family == "dense" else 256
        if not isinstance(self.width, tuple) or not 1 <= len(self.width) <= 4:
            raise ConfigError("width", self.width, N_("one number, or two to four with commas between, one per stage"))
        for value in self.width:
            _whole("width", value, 1, high)
        if self.family == "conv" and len(self.width) != 1:
            takes = N_("one number for a convolutional net: the first stage's channels, doubled at each later stage")
            raise ConfigError("width", _join(self.width), takes)
        if self.family == "dense" and len(self.width) > self.blocks:
            raise ConfigError("width", _join(self.width), N_("at most one number per block, and there are {blocks}"),
                              blocks=self.blocks)

    def _check_dimensions(self) -> None:
        widths = self.stage_widths
        if self.shortcut == "identity" and len(set(widths)) > 1:
            takes = N_("identity only where a[l] and z[l+2] have equal dimensions, but the stages are {widths} wide: "
                       "choose zero-pad or projection")
            raise ConfigError("shortcut", self.shortcut, takes, widths=_join(widths))
        if self.shortcut == "zero-pad" and any(b < a for a, b in zip(widths, widths[1:], strict=False)):
            takes = N_("zero-pad only where the width grows, but the stages are {widths} wide: choose projection")
            raise ConfigError("shortcut", self.shortcut, takes, widths=_join(widths))

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
        return self.skip and self.shortcut != "none"

    def check_data(self, data: DataShape) -> None:
        """Raise where this net cannot take the data."""
        if self.family == "conv" and not data.is_picture:
            raise ConfigError("family", self.family, N_("dense where the data are points in a plane, not pictures"))


# What a family usually has, where nobody says otherwise. A convolutional net changes dimensions, and wants BatchNorm.
FAMILY_DEFAULTS = {
    "dense": {"width": (64,), "norm": "none", "shortcut": "identity"},
    "conv": {"width": (8,), "norm": "batch", "shortcut": "zero-pad"},
}


def _join(values: tuple[int, ...]) -> str:
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
        if net.skip and block.shortcut == "projection":
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


# ---------------------------------------------------------------------------------------------------- operations

OPERATIONS = ("zero-w", "zero-wb", "zero-norm", "lesion", "cut-shortcut", "scale", "scale-norm", "swap")
WEIGHT_OPERATIONS = ("zero-w", "zero-wb", "zero-norm", "scale", "scale-norm", "swap")  # a net can train on after them


@dataclass(frozen=True)
class Operation:
    """One operation on one block of a trained net; W and b are W[l+2] and b[l+2], of the block's second layer.

    "zero-w" sets W = 0; "zero-wb" b too (behind BatchNorm there is no b: β took its place); "zero-norm" γ = β = 0 of
    the branch's second BatchNorm (which with pre-activation feeds g and not the sum: there "zero-w" is enough); "scale"
    takes `alpha` W and `alpha_bias` b (`alpha` b, where None), "scale-norm" γ and β likewise; "swap" exchanges all
    weights and statistics with block `other`. "lesion" drops the branch and keeps the shortcut, in a plain net it drops
    the whole block; "cut-shortcut" keeps the branch (Veit et al. 2016, 1605.06431). Blocks count from 0.
    """

    kind: str
    block: int
    alpha: float = 0.0
    alpha_bias: float | None = None
    other: int | None = None

    def __post_init__(self) -> None:
        _choice("operation", self.kind, OPERATIONS)
        _whole("block", self.block, 0, (MAX_DEPTH - 2) // 2 - 1)
        _number("alpha", self.alpha, 0.0, 1.0)
        if self.alpha_bias is not None:
            _number("alpha_bias", self.alpha_bias, 0.0, 1.0)
        if self.kind == "swap":
            _whole("other", self.other, 0, (MAX_DEPTH - 2) // 2 - 1)
        elif self.other is not None:
            raise ConfigError("other", self.other, N_("no value but for swap"))

    @property
    def blocks(self) -> tuple[int, ...]:
        """The blocks it works on: one, or two for swap."""
        return (self.block,) if self.other is None else (self.block, self.other)


def check_operation(operation: Operation, net: NetConfig) -> None:
    """Raise `ConfigError`, with the reason in words, where the operation does not apply to the net."""
    for name, k in zip(("block", "other"), operation.blocks, strict=False):
        if k >= net.blocks:
            takes = N_("a block of this net: counted from 0, they are 0 to {high}")
            raise ConfigError(name, k, takes, high=net.blocks - 1)
    plans = plan_blocks(net)
    plan, kind = plans[operation.block], operation.kind
    if kind in ("zero-norm", "scale-norm") and net.norm == "none":
        raise ConfigError("operation", kind, N_("{kind} only where there is BatchNorm; without it choose zero-wb or scale"),
                          kind=kind)
    if kind == "cut-shortcut" and not net.residual:
        raise ConfigError("operation", kind, N_("cut-shortcut only where there is a shortcut, and a plain net has none"))
    if kind == "lesion" and not net.residual and not plan.keeps_shape:
        takes = N_("lesion in a plain net only where a[l] and a[l+2] have equal dimensions, but block {block} changes them "
                   "({inputs} → {outputs}): the net would be torn in two")
        raise ConfigError("operation", kind, takes, block=operation.block, inputs=plan.inputs, outputs=plan.outputs)
    if kind == "swap" and plan.shape != plans[operation.other].shape:
        takes = N_("a block of the same shape as block {block} ({inputs} → {outputs})")
        raise ConfigError("other", operation.other, takes, block=operation.block, inputs=plan.inputs, outputs=plan.outputs)


def list_targets(kind: str, net: NetConfig) -> list[int]:
    """The blocks of a net, input to output, that a kind of operation applies to."""
    targets = []
    for operation in (Operation(kind, k, other=k if kind == "swap" else None) for k in range(net.blocks)):
        with contextlib.suppress(ConfigError):
            check_operation(operation, net)
            targets.append(operation.block)
    return targets


@dataclass(frozen=True)
class Source:
    """What is fed to a net that is looked at: example `index` of the held-out part, or a digit drawn by hand.

    `pixels` are its 8x8 whole numbers from 0 to 16, row by row, as those of scikit-learn's digits; `index` then says
    nothing.
    """

    index: int = 0
    pixels: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        _whole("index", self.index, 0, max(data.test for data in DATASETS.values()) - 1)
        fits = isinstance(self.pixels, tuple) and len(self.pixels) == DATASETS["digits"].features
        if self.pixels is not None and not (fits and all(type(p) is int and 0 <= p <= 16 for p in self.pixels)):
            raise ConfigError("pixels", self.pixels, N_("64 whole numbers from 0 to 16, row by row"))


def check_source(source: Source, dataset: str) -> None:
    """Raise `ConfigError` where a data set has no such example, or nobody can draw one."""
    if source.pixels is None:
        _whole("index", source.index, 0, DATASETS[dataset].test - 1)
    elif dataset != "digits":
        raise ConfigError("pixels", source.pixels, N_("no drawing but for the data set digits"))


def check_view(net: NetConfig, data: DataShape, block: int, unit: int, raw: bool) -> None:
    """Raise `ConfigError` where a net has no such block, the block no such unit, or it cannot be fed the raw input."""
    _whole("block", block, 0, net.blocks - 1)
    output = next(layer.output for layer in list_layers(net, data) if layer.name == f"block{block + 1}.1")
    _whole("unit", unit, 0, math.prod(output) - 1)
    _flag("raw", raw)
    if raw and (net.family != "dense" or net.stage_widths[0] != data.features or block != 0):
        takes = N_("true only for block 0 of a dense net that is as wide as its input, {features}: W[l+1] must fit x")
        raise ConfigError("raw", raw, takes, features=data.features)


# ---------------------------------------------------------------------------------------------------- races


@dataclass(frozen=True)
class TrainConfig:
    """How one lane is trained. `momentum` is for SGD; AdamW takes β = (0.9, 0.999).

    `weight_decay` is λ. "coupled" adds λ W to the gradient (L2 regularisation); "decoupled" takes lr·λ W off the weights
    beside the step (Loshchilov & Hutter 2019, 1711.05101, eq. 12); "own" is what the optimizer's name says: coupled for
    SGD, decoupled for AdamW. `decay_block` is the one block whose branch decays (counted from 0), all parameters where
    None; `decay_bias` whether b, and BatchNorm's β, decay too.
    """

    optimizer: str = "sgd"
    lr: float = 0.05
    momentum: float = 0.9
    weight_decay: float = 0.0
    batch_size: int = 128
    decay: str = "own"
    decay_block: int | None = None
    decay_bias: bool = True

    def __post_init__(self) -> None:
        _choice("optimizer", self.optimizer, OPTIMIZERS)
        _number("lr", self.lr, 0.0, 100.0)
        _number("momentum", self.momentum, 0.0, 0.999)
        _number("weight_decay", self.weight_decay, 0.0, 10.0)
        _choice("decay", self.decay, DECAYS)
        if self.decay_block is not None:
            _whole("decay_block", self.decay_block, 0, (MAX_DEPTH - 2) // 2 - 1)
        _flag("decay_bias", self.decay_bias)
        _whole("batch_size", self.batch_size, 2, 1024)


@dataclass(frozen=True)
class Lane:
    """One net of a race and how it is trained."""

    net: NetConfig = NetConfig()
    train: TrainConfig = TrainConfig()

    def __post_init__(self) -> None:
        if self.train.decay_block is not None:
            _whole("decay_block", self.train.decay_block, 0, self.net.blocks - 1)

    def changed(self, name: str, value: Any) -> Lane:
        """This lane with one live setting changed; its weights stay as they are."""
        if name == "skip":
            return replace(self, net=replace(self.net, skip=value))
        return replace(self, train=replace(self.train, **{name: value}))


@dataclass(frozen=True)
class Change:
    """A live change: before `step`, set `name` of lane `lane` to `value`."""

    step: int
    lane: int
    name: str
    value: float | bool

    def __post_init__(self) -> None:
        _whole("changes.step", self.step, 0, 10**6)
        _whole("changes.lane", self.lane, 0, MAX_LANES - 1)
        _choice("changes.name", self.name, LIVE_FIELDS)
        Lane().changed(self.name, self.value)  # validates the value


@dataclass(frozen=True)
class Edit:
    """An operation on a lane's weights in the middle of a run: before `step`, on the net of lane `lane`."""

    step: int
    lane: int
    operation: Operation

    def __post_init__(self) -> None:
        _whole("edits.step", self.step, 0, 10**6)
        _whole("edits.lane", self.lane, 0, MAX_LANES - 1)
        _choice("edits.operation", self.operation.kind, WEIGHT_OPERATIONS)


# The budget of one race, checked before anything is allocated. A step is three passes (forward, and two backward).
MAX_PARAMETERS = 5_000_000
MAX_MULTIPLY_ADDS = 30_000_000_000  # per step: about a second on one core
MAX_MEMORY = 1_000_000_000  # bytes of activations and their gradients


@dataclass(frozen=True)
class RaceConfig:
    """A race: one data set, one seed, a few lanes, a limit of steps, and the changes and edits made on the way.

    The same `RaceConfig` gives the same numbers to the bit on the same machine.
    """

    dataset: str = "digits"
    seed: int = 0
    steps: int = 2000
    lanes: tuple[Lane, ...] = (Lane(NetConfig(skip=False)), Lane())
    changes: tuple[Change, ...] = field(default=())
    edits: tuple[Edit, ...] = field(default=())

    def __post_init__(self) -> None:
        _choice("dataset", self.dataset, tuple(DATASETS))
        _whole("seed", self.seed, 0, 2**31 - 1)
        _whole("steps", self.steps, 1, 100_000)
        if not 1 <= len(self.lanes) <= MAX_LANES:
            raise ConfigError("lanes", len(self.lanes), N_("from 1 to {high} lanes"), high=MAX_LANES)
        if len(self.changes) > MAX_CHANGES:
            raise ConfigError("changes", len(self.changes), N_("at most {high} live changes"), high=MAX_CHANGES)
        for change in self.changes:
            _whole("changes.lane", change.lane, 0, len(self.lanes) - 1)
        if len(self.edits) > MAX_CHANGES:
            raise ConfigError("edits", len(self.edits), N_("at most {high} operations"), high=MAX_CHANGES)
        for edit in self.edits:
            _whole("edits.lane", edit.lane, 0, len(self.lanes) - 1)
            check_operation(edit.operation, self.lanes[edit.lane].net)
        for lane in self.lanes:
            check_budget(lane, self.data)

    @property
    def data(self) -> DataShape:
        return DATASETS[self.dataset]

    def lane_at(self, index: int, step: int) -> Lane:
        """The lane as configured for `step`: with every change up to and including that step, in the order of steps."""
        lane = self.lanes[index]
        for change in sorted(self.changes, key=lambda change: change.step):
            if change.lane == index and change.step <= step:
                lane = lane.changed(change.name, change.value)
        return lane

    def edits_at(self, index: int, step: int) -> list[Operation]:
        """The operations on a lane's weights just before `step`, in their order."""
        return [edit.operation for edit in self.edits if (edit.lane, edit.step) == (index, step)]

    def until(self, step: int) -> RaceConfig:
        """The race with what was changed and edited up to and including the start of `step`."""
        return replace(self, changes=tuple(item for item in self.changes if item.step <= step),
                       edits=tuple(item for item in self.edits if item.step <= step))

    def stops_after(self, step: int) -> list[int]:
        """The steps after `step` at which something is changed or edited."""
        return sorted({item.step for item in (*self.changes, *self.edits) if item.step > step})

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> RaceConfig:
        """Read a race from JSON. Raises `ConfigError` for anything that is not one."""
        return read_record(cls, parse_json(text), "config")


def check_budget(lane: Lane, data: DataShape) -> None:
    """Raise where one step of a lane would cost more than a race may: parameters, multiply-adds, memory."""
    net, batch = lane.net, lane.train.batch_size
    net.check_data(data)
    if data.train and batch > data.train:
        raise ConfigError("batch_size", batch, N_("at most the {train} training examples"), train=data.train)
    parameters, multiply_adds, outputs = sum_layers(net, data)
    costs = (
        (parameters, MAX_PARAMETERS,
         N_("a smaller net: with width {width} it has {cost} parameters, and at most {limit} can be trained here")),
        (3 * batch * multiply_adds, MAX_MULTIPLY_ADDS,
         N_("a smaller net: with width {width} and batch {batch} a step takes {cost} multiply-adds, and at most {limit} "
            "can be made here")),
        (4 * 6 * batch * outputs, MAX_MEMORY,
         N_("a smaller net: with width {width} and batch {batch} a step needs {cost} bytes, and at most {limit} can be "
            "had here")),
    )
    for cost, limit, takes in costs:
        if cost > limit:
            raise ConfigError("depth", net.depth, takes, width=_join(net.width), batch=batch, cost=f"{cost:,}",
                              limit=f"{limit:,}")


# ---------------------------------------------------------------------------------------------------- JSON


def parse_json(text: str) -> Any:
    """Parsed JSON. NaN and Infinity, which are no JSON, are refused as broken JSON is."""
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ConfigError("config", text, N_("valid JSON ({error})"), error=str(error)[:MAX_TEXT]) from None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def read_record(kind: type, value: Any, where: str) -> Any:
    """Build a record from parsed JSON, strictly: unknown keys and wrong types are refused by name.

    A number for `width` stands for one stage, and text such as "128,256" for one per stage.
    """
    if not isinstance(value, dict):
        raise ConfigError(where, value, N_("an object in braces"))
    hints, known = get_type_hints(kind), {f.name for f in fields(kind)}
    for name in value:
        if name not in known:
            raise UnknownFieldError(f"{where}.{name}" if where != "config" else name, value[name], known)
    for f in fields(kind):
        if f.name not in value and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING:
            raise ConfigError(f"{where}.{f.name}", None, N_("a value: it must be given"))
    return kind(**{name: _read_field(name, hints[name], item) for name, item in value.items()})


def _read_field(name: str, hint: Any, value: Any) -> Any:
    if name in ("net", "train", "operation"):
        return read_record(hint, value, name)
    if name in ("lanes", "changes", "edits"):
        if not isinstance(value, list) or len(value) > MAX_CHANGES:
            raise ConfigError(name, value, N_("a list in brackets of at most {high} items"), high=MAX_CHANGES)
        kind = {"lanes": Lane, "changes": Change, "edits": Edit}[name]
        return tuple(read_record(kind, item, f"{name}[{i}]") for i, item in enumerate(value))
    if name == "width":
        return read_width(value)
    return value


def read_width(value: Any) -> tuple[int, ...]:
    """Widths from 64, "64", "128,256" or [128, 256]."""
    if isinstance(value, str):
        parts: list[Any] = value.split(",")
        if all(part.strip().isascii() and part.strip().isdigit() and len(part) < 9 for part in parts):
            return tuple(int(part) for part in parts)
        raise ConfigError("width", value, N_("one number, or two to four with commas between, one per stage"))
    return tuple(value) if isinstance(value, list | tuple) else (value,)


WHOLE_FIELDS = ("depth", "batch_size", "seed", "steps", "channels", "size", "classes", "block", "other", "decay_block")
FLAG_FIELDS = ("decay_bias",)
DECIMAL_FIELDS = ("lr", "momentum", "weight_decay", "alpha", "alpha_bias")


def parse_field(name: str, text: str) -> Any:
    """Text, from a URL or an option, as its field's type. What is no such number stays text, for the check to refuse."""
    if name == "width":
        return read_width(text)
    if name in FLAG_FIELDS:
        return {"1": True, "true": True, "0": False, "false": False}.get(text, text)
    if name == "decay_block" and text == "all":
        return None
    try:
        if name in WHOLE_FIELDS:
            return int(text)
        return float(text) if name in DECIMAL_FIELDS else text
    except ValueError:
        return text


# ---------------------------------------------------------------------------------------------------- training


@dataclass(frozen=True, eq=False)
class State:
    """Where one lane stands: all of it, so that `advance` is a pure function.

    `weights` (P,) are the parameters, flat, in the order of the net's definition; `buffers` (Q,) BatchNorm's running
    statistics; `moments` (M, P) the optimizer's: 1 row for SGD with momentum, 2 for AdamW. All float32. Batches are
    drawn from a generator that seed and step determine, so no generator's state need be kept.
    """

    lane: Lane
    dataset: str
    seed: int
    step: int
    weights: np.ndarray
    buffers: np.ndarray
    moments: np.ndarray


@dataclass(frozen=True, eq=False)
class Examples:
    """Some examples of a data set, as a person looks at them: `x` (N, *shape) float32, `y` (N,) int64."""

    x: np.ndarray
    y: np.ndarray


@dataclass(frozen=True, eq=False)
class Frame:
    """What was measured in the steps `first … first + n - 1` of one lane. Arrays are float32; the step is the first axis.

    Of each step, on its training batch and before its update: `loss` (n,), `accuracy` (n,), and `gradient` (n, L) the
    norm ‖∂L/∂a[l]‖₂ per sample (root mean square over the batch) of every hidden activation, input to output.

    At the steps `probe_step` (m,), of the state that the step starts from: `test_loss`, `test_accuracy` (m,) on the
    held-out set; on the step's batch `weight_gradient` (m, depth) ‖∂L/∂W‖/‖W‖ of each layer, and per block `ratio`,
    `share`, `cosine` (m, K): ‖F‖/‖s‖, ‖s‖/(‖s‖+‖F‖) and the cosine of a[l] and a[l+2], averaged over the samples, and
    `weight_norm` (m, K): the Frobenius norm ‖W[l+2]‖.
    NaN where there is nothing to measure: ratio and share where there is no shortcut, the cosine where dimensions
    differ.

    `diverged` says that the next step would have started from, or led to, a number that is not finite; it is not taken.
    """

    first: int
    loss: np.ndarray
    accuracy: np.ndarray
    gradient: np.ndarray
    probe_step: np.ndarray
    test_loss: np.ndarray
    test_accuracy: np.ndarray
    weight_gradient: np.ndarray
    ratio: np.ndarray
    share: np.ndarray
    cosine: np.ndarray
    weight_norm: np.ndarray
    seconds: float = 0.0
    diverged: bool = False

    def __len__(self) -> int:
        return len(self.loss)

    def to_jsonable(self) -> dict[str, Any]:
        """Lists and numbers; what is not finite becomes null."""
        return {f.name: _jsonable(getattr(self, f.name)) for f in fields(self)}


@dataclass(frozen=True)
class OperationResult:
    """What operations did to a net, in evaluation mode.

    `before` and `after` hold train_accuracy, train_loss, test_accuracy and test_loss, of the whole training part and
    the held-out part. Over the held-out part and the blocks operated on, `identity_gap` is max |a[l+2] - a[l]|, None
    where dimensions differ, and `is_identity` whether a[l+2] equals a[l] in every number.
    """

    before: dict[str, float]
    after: dict[str, float]
    identity_gap: float | None
    is_identity: bool

    def to_jsonable(self) -> dict[str, Any]:
        """Numbers; what is not finite becomes null."""
        return {f.name: _jsonable(getattr(self, f.name)) for f in fields(self)}


@dataclass(frozen=True, eq=False)
class Product:
    """What one unit of a layer adds up: u = Σ weights · inputs + bias, both (n,) float32; without BatchNorm z is u.

    With BatchNorm behind the layer z = gamma (u - mean)/√variance + beta, ε being in the variance; those four are None
    where there is none. A net with BatchNorm has no `bias`: None. Of a convolution n is 9 times the channels, in the
    order (channel, row, column), zeros of the padding included.
    """

    weights: np.ndarray
    inputs: np.ndarray
    bias: float | None
    gamma: float | None = None
    beta: float | None = None
    mean: float | None = None
    variance: float | None = None


@dataclass(frozen=True)
class BlockEffect:
    """What one block does to the held-out part, in evaluation mode, and loss and accuracy of the net with it.

    `distance` is ‖a[l+2] - a[l]‖₂, averaged over the examples, `relative` that over ‖a[l]‖₂ (of those that are not 0),
    `gap` max |a[l+2] - a[l]|, and `is_identity` whether all numbers are equal; None and False where dimensions differ.
    `is_constant`: all examples get the same a[l+2], to 1e-6. `shortcut_gap` is max |a[l+2] - g(s)| (max |a[l+2] - s|
    with pre-activation), and `is_shortcut` whether all numbers are equal; None and False where there is no shortcut.
    `loss` and `accuracy` are None where the net is not whole: its block 0 is fed the raw input.
    """

    distance: float | None
    relative: float | None
    gap: float | None
    is_identity: bool
    is_constant: bool
    shortcut_gap: float | None
    is_shortcut: bool
    loss: float | None
    accuracy: float | None


@dataclass(frozen=True, eq=False)
class BlockView:
    """One block of a net opened, under operations; only `before` is without them. All arrays are float32.

    Of one example: `rows`, every quantity on the way, (D,) or (C, H, W), by its name and in its order in
    `glass.walk_block`: a0 [n0 g0] [u1] z1 a1 [u2] z2 [s] [sum] a2; `products` of one unit in either layer, none where a
    lesion drops the branch; `picture` the example in the data's own units; `label` its class, None of a drawn one;
    `probabilities` (classes,), the softmax of the whole net's answer.

    Of the held-out part: `before` and `after`, and `scatter` (N, 2), N ≤ 1500 pairs of single numbers of a[l] (where
    `against` is "input") or s ("shortcut": dimensions differ) and a[l+2]; both None where there is neither.

    `gradient` is ‖∂L/∂W[l+1]‖ and ‖∂L/∂W[l+2]‖ in training mode, on the first 128 training examples that the seed draws.
    `probabilities` and `gradient` are None where block 0 is fed the raw input.
    """

    rows: dict[str, np.ndarray]
    products: tuple[Product, ...]
    picture: np.ndarray
    label: int | None
    probabilities: np.ndarray | None
    before: BlockEffect
    after: BlockEffect
    scatter: np.ndarray | None
    against: str | None
    gradient: tuple[float, float] | None

    def to_jsonable(self) -> dict[str, Any]:
        """Lists and numbers; what is not finite becomes null."""
        return _jsonable(self)


@dataclass(frozen=True, eq=False)
class ProjectionView:
    """A learned W_s: `matrix` (outputs, inputs) float32 of block `block`, and `matrix_start` of the seed's initial weights.

    `drift` and `drift_start` are ‖W_s - [I; 0]‖_F of either, and `target_norm` is ‖[I; 0]‖_F: zero padding is [I; 0].
    """

    block: int
    matrix: np.ndarray
    matrix_start: np.ndarray
    drift: float
    drift_start: float
    target_norm: float

    def to_jsonable(self) -> dict[str, Any]:
        """Lists and numbers; what is not finite becomes null."""
        return _jsonable(self)


def _jsonable(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {f.name: _jsonable(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, np.ndarray):
        return _jsonable(value.tolist())
    if isinstance(value, dict):
        return {name: _jsonable(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


# ---------------------------------------------------------------------------------------------------- architectures

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
        takes = N_("one of {allowed}, or cifar and its depth, such as cifar20, cifar56-plain or cifar1202")
        raise ConfigError("net", name, takes, allowed=", ".join(ARCHITECTURES))
    shortcut = "none" if kind else "zero-pad"
    return NetConfig("conv", shortcut, int(depth), (16,), "batch")


# ---------------------------------------------------------------------------------------------------- why it works


@dataclass(frozen=True, eq=False)
class PathsResult:
    """The paths of a net of K blocks by length k, the number of branches on the way; (K+1,) float64 each.

    `lengths` is C(K, k) (exact below 2^53; a plain net: one path, of length K); `path_norm` the norm ‖∂L/∂a[1]‖₂ along a
    path of that length, per example, averaged over examples and paths; `gradient_norm_by_length` that times C(K, k).
    Norms of vectors do not add up: these are no parts of a whole. `effective_length` is the mean length, weighted by
    `gradient_norm_by_length`, NaN where all are 0. `sum_error` is the relative error of the sum of all path *vectors*
    against the whole gradient, None for more than 8 blocks.
    """

    lengths: np.ndarray
    path_norm: np.ndarray
    gradient_norm_by_length: np.ndarray
    effective_length: float
    sum_error: float | None

    def to_jsonable(self) -> dict[str, Any]:
        """Lists and numbers; what is not finite becomes null."""
        return _jsonable(self)


@dataclass(frozen=True, eq=False)
class SlopeResult:
    """Gradients at the initial weights: `gradient` (L,) float64 is ‖∂L/∂a[l]‖₂ per example, input to output.

    It is the geometric mean over the seeds. `slope` is its log10 change per block of two layers, walking from the output
    back to the input: negative vanishes, positive explodes; `slopes` (seeds,) of each seed; `theory` what is expected
    of a wide net, None where nothing is.
    """

    gradient: np.ndarray
    slope: float
    slopes: np.ndarray
    theory: float | None

    def to_jsonable(self) -> dict[str, Any]:
        """Lists and numbers; what is not finite becomes null."""
        return _jsonable(self)


@dataclass(frozen=True, eq=False)
class Autocorrelation:
    """How alike the gradients at neighbouring points are: `gradient` (seeds, points) is dy/dx at each x in [-2, 2].

    `mean` (lags,) and `by_seed` (seeds, lags) are the autocorrelation of the mean-centred gradient at the lags 0, 1, …
    points: 1 at lag 0, near 1 at lag 1 where gradients are smooth, near 0 where they are white noise. All float64.
    """

    gradient: np.ndarray
    mean: np.ndarray
    by_seed: np.ndarray

    def to_jsonable(self) -> dict[str, Any]:
        """Lists and numbers; what is not finite becomes null."""
        return _jsonable(self)


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Weights of a run on a plane about the last of them: `points` (n, 2), the last (0, 0), in units of the directions.

    `directions` (2, P) span the plane; `explained` is the share of the squared distances from the last that lies in it,
    0 to 1, NaN where nothing has moved. All float64.
    """

    points: np.ndarray
    directions: np.ndarray
    explained: float


# ---------------------------------------------------------------------------------------------------- credit

CREDIT_METHODS = ("conductance", "deep-lift", "integrated-gradients")
MAP_METHODS = ("integrated-gradients", "occlusion", "grad-cam")
BASELINES = ("zero", "mean")
MAX_CREDIT_STEPS = 1000
PRETRAINED = ("resnet18", "resnet34", "resnet50")


@dataclass(frozen=True, eq=False)
class CreditResult:
    """What each block's shortcut and branch contributed to the target's logit: `shortcut` and `branch` (K,), input to
    output, in units of the logit, signed, summed over units and averaged over `samples` examples.

    Block by block their sum is `output_change`, logit(x) - logit(baseline), but for `completeness_error` (K,), |sum -
    output_change| / |output_change|: 0 where both are 0. `shortcut` is NaN in a plain net. Never to be added across
    blocks. Dhamdhere et al. 2018 (1805.12233); Sundararajan et al. 2017 (1703.01365).
    """

    method: str
    samples: int
    shortcut: np.ndarray
    branch: np.ndarray
    output_change: float
    completeness_error: np.ndarray

    def to_jsonable(self) -> dict[str, Any]:
        """Lists and numbers; what is not finite becomes null. `blocks` is a list with one dict per block."""
        rows = zip(self.shortcut, self.branch, self.completeness_error, strict=True)
        blocks = [{"shortcut": float(s), "branch": float(b), "output_change": self.output_change,
                   "completeness_error": float(e)} for s, b, e in rows]
        return _jsonable({"method": self.method, "samples": self.samples, "blocks": blocks})


@dataclass(frozen=True, eq=False)
class AblationResult:
    """What each block's branch is really worth, alone: the whole net's number minus that without the branch, (K,) each.

    `logit` of the target's logit, averaged over the examples; `accuracy` of the share of them that is right, NaN for one
    drawn by hand. NaN where a plain net's block cannot be dropped: it changes dimensions.
    """

    logit: np.ndarray
    accuracy: np.ndarray

    def to_jsonable(self) -> dict[str, Any]:
        """Lists and numbers; what is not finite becomes null."""
        return _jsonable(self)


@dataclass(frozen=True, eq=False)
class PictureCredit:
    """torchvision's ResNet on a picture: the five likeliest classes with their probabilities, and for class `target` the
    credit `map` (H, W) float32 of each pixel, summed over its colours. `random`: nobody trained these weights.
    """

    probabilities: tuple[tuple[str, float], ...]
    target: int
    target_name: str
    map: np.ndarray
    random: bool

    def to_jsonable(self) -> dict[str, Any]:
        """Lists and numbers; what is not finite becomes null."""
        return _jsonable(self)


def check_credit(method: str, allowed: tuple[str, ...], target: int | None, classes: int, steps: int) -> None:
    """Raise `ConfigError` where there is no such method or class, or the number of steps is none."""
    _choice("method", method, allowed)
    _whole("steps", steps, 1, MAX_CREDIT_STEPS)
    if target is not None:
        _whole("target", target, 0, classes - 1)


def check_baseline(baseline: str | int, data: DataShape) -> None:
    """Raise `ConfigError` for what is neither "zero", "mean" nor the index of a held-out example."""
    if isinstance(baseline, str):
        _choice("baseline", baseline, BASELINES)
    else:
        _whole("baseline", baseline, 0, data.test - 1)


def read_samples(samples: int | str | Source, dataset: str) -> Source | int | None:
    """Which examples are meant: one, all of a class (its number), or all of the held-out part (None)."""
    data = DATASETS[dataset]
    if isinstance(samples, str):
        kind, _, label = samples.partition(":")
        if samples == "all":
            return None
        if kind == "class" and label.isascii() and label.isdigit() and int(label[:9]) < data.classes:
            return int(label[:9])
        raise ConfigError("samples", samples, N_("all, class: and a class from 0 to {high}, or the number of an example"),
                          high=data.classes - 1)
    if not isinstance(samples, Source):
        _whole("samples", samples, 0, data.test - 1)
        return Source(samples)
    check_source(samples, dataset)
    return samples


def check_map(net: NetConfig, data: DataShape, method: str, window: int, stage: int) -> None:
    """Raise `ConfigError` where Grad-CAM has no picture to look at, or a window or a stage is none of the net's."""
    _whole("window", window, 1, max(data.shape))
    if method == "grad-cam":
        if net.family != "conv":
            raise ConfigError("method", method, N_("grad-cam only in a convolutional net: a dense one keeps no places"))
        _whole("stage", stage, 0, len(net.stage_widths) - 1)


def check_pretrained(name: str) -> None:
    _choice("net", name, PRETRAINED)


def check_picture_map(window: int, stage: int) -> None:
    _whole("window", window, 1, 224)
    _whole("stage", stage, 0, 3)
