"""The races of the pages that ask one question each: their lanes from what the page sets, and back."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from resnet_viz.records import N_, ConfigError, Lane, RaceConfig, parse_field
from resnet_viz.text import _
from resnet_viz.ui.settings import (
    DEFAULTS,
    NET_FIELDS,
    TRAIN_FIELDS,
    Settings,
    check_value,
    read_query,
    read_race,
    write_query,
    write_value,
)

# ---------------------------------------------------------------------------------------------------- weight decay

DECAY_BASE = Settings(depth=12, init="xavier", lr=0.02, steps=1000)  # without decay both nets learn
LAMBDAS = (0.0, 0.001, 0.01, 0.03)
KINDS = {"both": (True, False), "residual": (True,), "plain": (False,)}  # whether there are shortcuts


def make_decay_race(settings: Settings, lambdas: tuple[float, ...], kind: str) -> RaceConfig:
    """A lane for each λ, first of the residual net, then of the plain one."""
    lane = replace(settings, compare="skip", skips=(True, True), cuts=DECAY_BASE.cuts).make_lane(1)
    lanes = [Lane(replace(lane.net, skip=skip), replace(lane.train, weight_decay=value))
             for skip in KINDS[kind] for value in lambdas]
    return RaceConfig(settings.dataset, settings.seed, settings.steps, tuple(lanes))


def read_decay_race(config: RaceConfig) -> tuple[Settings, tuple[float, ...], str]:
    """What `make_decay_race` was given."""
    skips = [lane.net.skip for lane in config.lanes]
    kind = "both" if len(set(skips)) == 2 else "residual" if skips[0] else "plain"
    lambdas = tuple(lane.train.weight_decay for lane in config.lanes[: len(skips) // len(KINDS[kind])])
    settings = replace(read_race(config), compare="skip", first=None, skips=DECAY_BASE.skips, cuts=DECAY_BASE.cuts,
                       weight_decay=0.0)
    return settings, lambdas, kind


def is_decay_race(config: RaceConfig) -> bool:
    return not config.changes and not config.edits and make_decay_race(*read_decay_race(config)) == config


def read_lambdas(text: str) -> tuple[float, ...]:
    """One to four numbers with commas between. Raises `ConfigError`."""
    parts = [part.strip() for part in text.split(",")]
    values = tuple(parse_field("weight_decay", part) for part in parts)
    if not 1 <= len(values) <= 4 or len(set(values)) < len(values):
        raise ConfigError("lambdas", text, N_("one to four different numbers with commas between, such as {example}"),
                          example="0, 0.001, 0.01, 0.03")
    for value in values:
        check_value("weight_decay", value)
    return values


# ---------------------------------------------------------------------------------------------------- dimensions

DIMENSION_BASES = {
    "dense": Settings(depth=12, width=(128, 256), shortcut="projection", init="xavier", lr=0.02, steps=500,
                      skips=(True, True)),
    "conv": Settings(family="conv", depth=20, width=(8,), shortcut="projection", norm="batch", steps=300,
                     skips=(True, True)),
}
WAYS = {"dense": ("projection", "zero-pad", "projection-all", "none"),  # the lanes' shortcuts
        "conv": ("zero-pad", "projection", "projection-all", "none")}  # options A, B and C of He et al. 2015, and plain
DIMENSION_FIELDS = (*NET_FIELDS, *TRAIN_FIELDS, "dataset", "seed", "steps")  # that a URL of this page may set
LEARNED = ("projection", "projection-all")  # ways with a W_s to look at


def make_dimensions_race(settings: Settings) -> RaceConfig:
    """A lane for each way out where dimensions change, and the plain net. Raises `ConfigError` where none change."""
    whole = {"compare": "skip", "first": None, "skips": (True, True), "cuts": DEFAULTS.cuts}
    lane = replace(settings, shortcut="projection", **whole).make_lane(1)
    widths = lane.net.stage_widths
    if len(set(widths)) == 1 or any(b < a for a, b in itertools.pairwise(widths)):
        raise ConfigError("width", write_value(widths), N_("widths that grow from stage to stage, such as {example}: else "
                          "there is nothing to pad, or zeros cannot do it"), example="128,256")
    lanes = tuple(Lane(replace(lane.net, shortcut=way), lane.train) for way in WAYS[lane.net.family])
    return RaceConfig(settings.dataset, settings.seed, settings.steps, lanes)


def read_dimensions_race(config: RaceConfig) -> Settings:
    """What `make_dimensions_race` was given."""
    base = DIMENSION_BASES[config.lanes[0].net.family]
    return replace(read_race(config), shortcut=base.shortcut, compare="skip", first=None, skips=base.skips,
                   cuts=base.cuts)


def is_dimensions_race(config: RaceConfig) -> bool:
    with contextlib.suppress(ConfigError):
        return not config.changes and not config.edits and make_dimensions_race(read_dimensions_race(config)) == config
    return False


def name_way(way: str, family: str) -> str:
    """A lane's name; of convolutional nets with the letter of He et al. 2015."""
    name = {"zero-pad": _("Zero padding"), "projection": _("W_s where dimensions change"),
            "projection-all": _("W_s everywhere"), "none": _("Plain net")}[way]
    letter = {"zero-pad": "A · ", "projection": "B · ", "projection-all": "C · "}.get(way, "")
    return letter + name if family == "conv" else name


def read_dimensions_query(query: Mapping[str, str]) -> tuple[Settings, list[ConfigError]]:
    """The settings of a URL that make such a race, and what was wrong with it. `shortcut` is the lanes' to set."""
    family, errors = query.get("family", "dense"), []
    if family not in DIMENSION_BASES:
        errors.append(ConfigError("family", family, N_("one of {allowed}"), allowed=tuple(DIMENSION_BASES)))
        family = "dense"
    base = DIMENSION_BASES[family]
    own = {name: query[name] for name in DIMENSION_FIELDS if name in query and name not in ("family", "shortcut")}
    settings, more = read_query(own, base)
    try:
        make_dimensions_race(settings)
    except ConfigError as error:
        more.append(error)
        settings = replace(settings, width=base.width)
        if not _makes_race(settings):
            settings = base
    return settings, errors + more


def _makes_race(settings: Settings) -> bool:
    with contextlib.suppress(ConfigError):
        return bool(make_dimensions_race(settings))
    return False


def write_dimensions_query(settings: Settings) -> dict[str, str]:
    """What a URL says of such a race: the family, and what is not that family's default."""
    query = write_query(settings, DIMENSION_BASES[settings.family])
    return query if settings.family == "dense" else query | {"family": settings.family}


@dataclass(frozen=True)
class Sizes:
    """The numbers that the page on dimensions asks for besides its race.

    a[l] and z[l+2] that do not fit, `maps` where they are pictures; of a convolution n pixels a side, filter f, padding
    p and stride s; `way`, `block`: the W_s that is looked at, None for the lane's first.
    """

    a: int = 128
    z: int = 256
    maps: bool = False
    n: int = 8
    f: int = 3
    p: int = 1
    s: int = 1
    way: str = "projection"
    block: int | None = None


SIZE_BOUNDS = {"a": (1, 1024), "z": (1, 1024), "n": (1, 512), "f": (1, 15), "p": (0, 15), "s": (1, 8), "block": (0, 600)}


def check_size(name: str, value: Any) -> None:
    """Raise where one of the sizes cannot be."""
    if name == "maps":
        if not isinstance(value, bool):
            raise ConfigError(name, value, N_("true or false"))
    elif name == "way":
        if value not in LEARNED:
            raise ConfigError(name, value, N_("one of {allowed}"), allowed=tuple(LEARNED))
    elif value is not None or name != "block":
        low, high = SIZE_BOUNDS[name]
        if type(value) is not int or not low <= value <= high:
            raise ConfigError(name, value, N_("a whole number from {low} to {high}"), low=low, high=high)


def read_sizes(query: Mapping[str, str]) -> tuple[Sizes, list[ConfigError]]:
    """The sizes of a URL, and what was wrong with them."""
    sizes, errors = Sizes(), []
    for f in fields(Sizes):
        if f.name not in query:
            continue
        text = query[f.name]
        value: Any = text
        if f.name == "maps":
            value = {"1": True, "0": False}.get(text, text)
        elif f.name in SIZE_BOUNDS and text.isascii() and text.isdigit() and len(text) < 9:
            value = int(text)
        try:
            check_size(f.name, value)
            sizes = replace(sizes, **{f.name: value})
        except ConfigError as error:
            errors.append(error)
    return sizes, errors


def write_sizes(sizes: Sizes) -> dict[str, str]:
    """What a URL says of them: only what is not the default."""
    return {f.name: write_value(getattr(sizes, f.name)) for f in fields(Sizes) if getattr(sizes, f.name) != f.default}


def measure_convolution(n: int, f: int, p: int, s: int) -> int:
    """Pixels a side behind a convolution: ⌊(n + 2p - f)/s⌋ + 1. 0 where the filter is larger than the padded picture."""
    return max(0, (n + 2 * p - f) // s + 1)
