"""What the controls set, as one flat record; to and from the URL, and to the race it stands for.

A URL is somebody else's text: every field of it is read on its own, and a bad one is told in words and left at its
default, so that the rest of a link still works.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from resnet_viz.records import (
    MAX_DEPTH,
    N_,
    NET_LIVE,
    SCALES,
    Change,
    ConfigError,
    Edit,
    Lane,
    NetConfig,
    Operation,
    RaceConfig,
    TrainConfig,
    parse_field,
    read_blocks,
)

NET_FIELDS = tuple(f.name for f in fields(NetConfig) if f.name not in NET_LIVE)
TRAIN_FIELDS = tuple(f.name for f in fields(TrainConfig))
COMPARABLE = ("skip", *NET_FIELDS, *TRAIN_FIELDS)
ALL = "all"  # as a URL says None: no one block, but all parameters


@dataclass(frozen=True)
class Settings:
    """A race of two lanes. They differ in the field `compare`: lane A has the value `first`, lane B the field's own.

    `skips` are the two skip toggles. Where `compare` is "skip", they are the comparison, and `first` is not used. `cuts`
    are the blocks of either lane whose shortcut is cut.
    """

    dataset: str = "digits"
    seed: int = 0
    steps: int = 2000
    family: str = "dense"
    shortcut: str = "identity"
    depth: int = 20
    width: tuple[int, ...] = (64,)
    norm: str = "none"
    init: str = "default"
    order: str = "post"
    activation: str = "relu"
    optimizer: str = "sgd"
    lr: float = 0.05
    momentum: float = 0.9
    weight_decay: float = 0.0
    decay: str = "own"
    decay_block: int | None = None
    decay_bias: bool = True
    batch_size: int = 128
    compare: str = "skip"
    first: Any = None
    skips: tuple[bool, bool] = (False, True)
    cuts: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())
    changes: tuple[Change, ...] = ()
    edits: tuple[Edit, ...] = ()

    def make_lane(self, index: int) -> Lane:
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        if index == 0 and self.compare != "skip":
            values[self.compare] = self.first
        net = NetConfig(skip=self.skips[index], cuts=self.cuts[index], **{name: values[name] for name in NET_FIELDS})
        return Lane(net, TrainConfig(**{name: values[name] for name in TRAIN_FIELDS}))

    def make_race(self) -> RaceConfig:
        """The race. Raises `ConfigError` where the values do not go together."""
        lanes = (self.make_lane(0), self.make_lane(1))
        return RaceConfig(self.dataset, self.seed, self.steps, lanes, self.changes, self.edits)


DEFAULTS = Settings()


def read_race(race: RaceConfig) -> Settings:
    """The settings that stand for a race of two lanes."""
    a, b = race.lanes[0], race.lanes[-1]
    flat_a, flat_b = ({**dataclasses.asdict(lane.net), **dataclasses.asdict(lane.train)} for lane in (a, b))
    different = [name for name in COMPARABLE if name != "skip" and flat_a[name] != flat_b[name]]
    compare = different[0] if different else "skip"
    values = {name: flat_b[name] for name in COMPARABLE if name != "skip"}
    return Settings(dataset=race.dataset, seed=race.seed, steps=race.steps, compare=compare,
                    first=flat_a[compare] if different else None, skips=(a.net.skip, b.net.skip),
                    cuts=(a.net.cuts, b.net.cuts), changes=race.changes, edits=race.edits, **values)


# ---------------------------------------------------------------------------------------------------- the URL


def write_query(settings: Settings, defaults: Settings = DEFAULTS) -> dict[str, str]:
    """What a URL says of the settings: only what is not the page's default."""
    query = {}
    for f in fields(Settings):
        value = getattr(settings, f.name)
        if value != getattr(defaults, f.name):
            query[f.name] = write_cuts(value) if f.name == "cuts" else write_value(value)
    return query


def write_cuts(cuts: tuple[tuple[int, ...], ...]) -> str:
    """The blocks that are cut in each lane where any are: "1:3+4", or "0:2,1:3+4"."""
    return ",".join(f"{lane}:{write_blocks(blocks)}" for lane, blocks in enumerate(cuts) if blocks)


def write_blocks(blocks: tuple[int, ...]) -> str:
    return "+".join(map(str, blocks))


def read_plus(text: str) -> tuple[int, ...]:
    """Blocks from "3+4", whose plus is a space where an address was typed by hand."""
    return read_blocks(text.replace(" ", ",").replace("+", ","))


def read_cuts(text: str) -> tuple[tuple[int, ...], ...]:
    """The blocks that are cut in each of two lanes, from what `write_cuts` writes. Raises `ConfigError`."""
    found: dict[str, tuple[int, ...]] = {}
    for part in text.split(",") if text else []:
        lane, _colon, blocks = part.partition(":")
        if lane not in ("0", "1") or lane in found or not blocks:
            raise ConfigError("cuts", text, N_("a lane and its blocks, counted from 0, such as {example}"), example="1:3+4")
        found[lane] = NetConfig(depth=MAX_DEPTH, cuts=read_plus(blocks)).cuts
    return found.get("0", ()), found.get("1", ())


def write_value(value: Any) -> str:
    if value is None:
        return ALL
    if isinstance(value, Change):
        now = write_blocks(value.value) if value.name == "cuts" else write_value(value.value)
        return f"{value.step}.{value.lane}.{value.name}.{now}"
    if isinstance(value, Edit):
        return f"{value.step}:{value.lane}:{write_operation(value.operation)}"
    if isinstance(value, tuple):
        return ",".join(write_value(item) for item in value)
    if isinstance(value, bool):
        return "1" if value else "0"
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)


def read_query(query: Mapping[str, str], defaults: Settings = DEFAULTS) -> tuple[Settings, list[ConfigError]]:
    """Settings from a URL's parameters, and what was wrong with them. Unknown parameters are none of ours."""
    settings, errors = defaults, []
    for f in fields(Settings):
        if f.name not in query or f.name == "first":
            continue
        try:
            settings = replace(settings, **{f.name: read_value(f.name, query[f.name])})
        except ConfigError as error:
            errors.append(error)
    if settings.compare != "skip":
        try:
            settings = replace(settings, first=read_value(settings.compare, query.get("first", "")))
        except ConfigError as error:
            errors.append(error)
            settings = replace(settings, compare="skip", first=None)
    if "skips" not in query and settings.compare != "skip":
        settings = replace(settings, skips=(True, True))
    try:
        settings.make_race()
    except ConfigError as error:
        errors.append(error)
        settings = keep_valid(settings, defaults)
    return settings, errors


def keep_valid(settings: Settings, defaults: Settings) -> Settings:
    """The defaults with as many of the settings as go together with them, one after the other."""
    kept = defaults
    for name in ("family", "norm", "shortcut", "depth", "width", *(f.name for f in fields(Settings))):
        changed = replace(kept, **{name: getattr(settings, name)})
        try:
            changed.make_race()
        except (ConfigError, TypeError):
            continue
        kept = changed
    return kept


def read_value(name: str, text: str) -> Any:
    """One parameter's value, checked on its own. Raises `ConfigError`."""
    if name in ("changes", "edits"):
        read = read_change if name == "changes" else read_edit
        return tuple(read(part) for part in text.split(",")[:101] if part)
    if name == "skips":
        if text not in ("0,0", "0,1", "1,0", "1,1"):
            raise ConfigError(name, text, N_("two of 0 and 1 with a comma between, such as {example}"), example="0,1")
        return tuple(part == "1" for part in text.split(","))
    if name == "cuts":
        return read_cuts(text)
    if name == "compare":
        if text not in COMPARABLE:
            raise ConfigError(name, text, N_("one of {allowed}"), allowed=tuple(COMPARABLE))
        return text
    value = parse_field(name, text)
    check_value(name, value)
    return value


def check_value(name: str, value: Any) -> None:
    """Raise where a value cannot be right, whatever the other settings are."""
    if name in TRAIN_FIELDS:
        TrainConfig(**{name: value})
    elif name == "width":
        NetConfig(width=value, shortcut="projection", depth=50)
    elif name == "depth":
        if not isinstance(value, int) or not 1 < value < 10**4 or value % 2:
            NetConfig(depth=value)
    elif name in NET_FIELDS:
        depth = 20 if value != "conv" else 8
        NetConfig(**{"shortcut": "projection", "depth": depth, name: value})
    else:
        RaceConfig(**{name: value})


def read_change(text: str) -> Change:
    """A live change from "step.lane.name.value"."""
    parts = text.split(".", 3)
    try:
        step, lane, name, value = parts
        now = read_plus(value) if name == "cuts" else value == "1" if name == "skip" else float(value)
        return Change(int(step), int(lane), name, now)
    except ConfigError:
        raise
    except ValueError:
        raise ConfigError("changes", text, N_("what this app’s own links say of live changes")) from None


def write_operation(operation: Operation) -> str:
    """As a URL has it: "zero-wb:4", "scale:4:0.5:1" with α of W and of b, "swap:4:7"."""
    parts: tuple[Any, ...] = (operation.kind, operation.block)
    if operation.kind in SCALES:
        parts += (operation.alpha,) if operation.alpha_bias is None else (operation.alpha, operation.alpha_bias)
    elif operation.other is not None:
        parts += (operation.other,)
    return ":".join(write_value(part) for part in parts)


def read_operation(text: str) -> Operation:
    """An operation from "kind:block" and what its kind takes more."""
    kind, *numbers = text.split(":")
    try:
        block, *rest = [float(number) if kind in SCALES and i else int(number) for i, number in enumerate(numbers)]
        if not (kind in SCALES) <= len(rest) <= (2 if kind in SCALES else 1):
            raise ValueError(text)
        return Operation(kind, block, *rest) if kind in SCALES else Operation(kind, block, other=rest[0] if rest else None)
    except ConfigError:
        raise
    except ValueError:
        raise ConfigError("operations", text, N_("what this app’s own links say of operations")) from None


def read_edit(text: str) -> Edit:
    """An operation in the middle of a run, from "step:lane:kind:block…"."""
    try:
        step, lane, operation = text.split(":", 2)
        return Edit(int(step), int(lane), read_operation(operation))
    except ConfigError:
        raise
    except ValueError:
        raise ConfigError("edits", text, N_("what this app’s own links say of operations")) from None
