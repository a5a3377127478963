"""What is trained: lanes, changes and edits on the way, and the budget of a race."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field, replace
from typing import Any

from resnet_viz.records.data import DATASETS, DataShape
from resnet_viz.records.errors import N_, ConfigError, check_blocks, check_choice, check_flag, check_number, check_whole
from resnet_viz.records.nets import MAX_DEPTH, NetConfig, join_widths, sum_layers
from resnet_viz.records.operations import WEIGHT_OPERATIONS, Operation, check_operation
from resnet_viz.records.reading import MAX_CHANGES, parse_json, read_record

OPTIMIZERS = ("sgd", "adamw")
DECAYS = ("own", "coupled", "decoupled")
NET_LIVE = ("skip", "cuts")
LIVE_FIELDS = (*NET_LIVE, "lr", "momentum", "weight_decay")  # what may change in the middle of a run
MAX_LANES = 8


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
        check_choice("optimizer", self.optimizer, OPTIMIZERS)
        check_number("lr", self.lr, 0.0, 100.0)
        check_number("momentum", self.momentum, 0.0, 0.999)
        check_number("weight_decay", self.weight_decay, 0.0, 10.0)
        check_choice("decay", self.decay, DECAYS)
        if self.decay_block is not None:
            check_whole("decay_block", self.decay_block, 0, (MAX_DEPTH - 2) // 2 - 1)
        check_flag("decay_bias", self.decay_bias)
        check_whole("batch_size", self.batch_size, 2, 1024)

    @property
    def couples_decay(self) -> bool:
        """Whether the decay is a part of the gradient (and so of momentum), rather than taken off the weights beside it."""
        return self.decay == "coupled" or (self.decay == "own" and self.optimizer == "sgd")

    @property
    def decays_plainly(self) -> bool:
        """Whether the decay is of all parameters and of the optimizer's own kind, so that the optimizer can make it."""
        own = self.couples_decay == (self.optimizer == "sgd")
        return own and self.decay_block is None and self.decay_bias


@dataclass(frozen=True)
class Lane:
    """One net of a race and how it is trained."""

    net: NetConfig = NetConfig()
    train: TrainConfig = TrainConfig()

    def __post_init__(self) -> None:
        if self.train.decay_block is not None:
            check_whole("decay_block", self.train.decay_block, 0, self.net.blocks - 1)

    def changed(self, name: str, value: Any) -> Lane:
        """This lane with one live setting changed; its weights stay as they are."""
        if name in NET_LIVE:
            return replace(self, net=replace(self.net, **{name: value}))
        return replace(self, train=replace(self.train, **{name: value}))

    def read_live(self, name: str) -> Any:
        """The value of one live setting."""
        return getattr(self.net if name in NET_LIVE else self.train, name)


@dataclass(frozen=True)
class Change:
    """A live change: before `step`, set `name` of lane `lane` to `value`; of `cuts` to all blocks that are cut then."""

    step: int
    lane: int
    name: str
    value: float | bool | tuple[int, ...]

    def __post_init__(self) -> None:
        check_whole("changes.step", self.step, 0, 10**6)
        check_whole("changes.lane", self.lane, 0, MAX_LANES - 1)
        check_choice("changes.name", self.name, LIVE_FIELDS)
        if self.name == "cuts":  # which of them there are, the lane's net knows
            object.__setattr__(self, "value", check_blocks("cuts", self.value, MAX_DEPTH // 2 - 1))
        else:
            Lane().changed(self.name, self.value)  # validates the value


@dataclass(frozen=True)
class Edit:
    """An operation on a lane's weights in the middle of a run: before `step`, on the net of lane `lane`."""

    step: int
    lane: int
    operation: Operation

    def __post_init__(self) -> None:
        check_whole("edits.step", self.step, 0, 10**6)
        check_whole("edits.lane", self.lane, 0, MAX_LANES - 1)
        check_choice("edits.operation", self.operation.kind, WEIGHT_OPERATIONS)


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
        check_choice("dataset", self.dataset, tuple(DATASETS))
        check_whole("seed", self.seed, 0, 2**31 - 1)
        check_whole("steps", self.steps, 1, 100_000)
        if not 1 <= len(self.lanes) <= MAX_LANES:
            raise ConfigError("lanes", len(self.lanes), N_("from 1 to {high} lanes"), high=MAX_LANES)
        if len(self.changes) > MAX_CHANGES:
            raise ConfigError("changes", len(self.changes), N_("at most {high} live changes"), high=MAX_CHANGES)
        for change in self.changes:
            check_whole("changes.lane", change.lane, 0, len(self.lanes) - 1)
            self.lanes[change.lane].changed(change.name, change.value)
        if len(self.edits) > MAX_CHANGES:
            raise ConfigError("edits", len(self.edits), N_("at most {high} operations"), high=MAX_CHANGES)
        for edit in self.edits:
            check_whole("edits.lane", edit.lane, 0, len(self.lanes) - 1)
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

    def list_cuts(self, index: int) -> list[tuple[int, tuple[int, ...], tuple[int, ...]]]:
        """The steps before which shortcuts of a lane are cut or mended live: step, blocks cut, blocks mended."""
        before, found = set(self.lanes[index].net.cuts), []
        for step in sorted({item.step for item in self.changes if (item.lane, item.name) == (index, "cuts")}):
            now = set(self.lane_at(index, step).net.cuts)
            if now != before:
                found.append((step, tuple(sorted(now - before)), tuple(sorted(before - now))))
            before = now
        return found

    def edits_at(self, index: int, step: int) -> list[Operation]:
        """The operations on a lane's weights just before `step`, in their order."""
        return [edit.operation for edit in self.edits if (edit.lane, edit.step) == (index, step)]

    def take_lane(self, index: int) -> RaceConfig:
        """The race with one of its lanes only, and with what was done to that one."""
        return replace(self, lanes=(self.lanes[index],),
                       changes=tuple(replace(item, lane=0) for item in self.changes if item.lane == index),
                       edits=tuple(replace(item, lane=0) for item in self.edits if item.lane == index))

    def find_parting(self, other: RaceConfig) -> int:
        """The first step before which a race of the same lanes, data and seed has other changes or edits than this one."""
        steps = sorted({*self.stops_after(-1), *other.stops_after(-1)})
        return next(step for step in steps if self._items_at(step) != other._items_at(step))

    def _items_at(self, step: int) -> list[Change | Edit]:
        return [item for item in (*self.changes, *self.edits) if item.step == step]

    def until(self, step: int) -> RaceConfig:
        """The race with what was changed and edited up to and including the start of `step`."""
        return replace(self, changes=tuple(item for item in self.changes if item.step <= step),
                       edits=tuple(item for item in self.edits if item.step <= step))

    def stops_after(self, step: int) -> list[int]:
        """The steps after `step` at which something is changed or edited."""
        return sorted({item.step for item in (*self.changes, *self.edits) if item.step > step})

    def to_json(self) -> str:
        """As a file that people read, too."""
        return json.dumps(dataclasses.asdict(self), indent=1, ensure_ascii=False) + "\n"

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
            raise ConfigError("depth", net.depth, takes, width=join_widths(net.width), batch=batch, cost=f"{cost:,}",
                              limit=f"{limit:,}")
