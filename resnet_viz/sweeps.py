"""Sweeps: a grid over any settings of a race of one lane, what it costs, and what one of its runs came to.

A *run* is a race of one lane, written as flat settings (`depth`, `lr`, `seed`, …) wherever people read or write one.
Its *identity* is the hash of those settings and of the version of the numbers: equal identity, equal numbers.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import itertools
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from resnet_viz import records
from resnet_viz.records import (
    DATASETS,
    DECIMAL_FIELDS,
    FAMILY_DEFAULTS,
    N_,
    PROBE_EVERY,
    SHORTHANDS,
    ConfigError,
    Lane,
    NetConfig,
    RaceConfig,
    RuleError,
    TrainConfig,
    UnknownFieldError,
    count_multiply_adds,
    count_parameters,
    parse_json,
    shorten,
)

NET_SETTINGS = tuple(f.name for f in fields(NetConfig))
TRAIN_SETTINGS = tuple(f.name for f in fields(TrainConfig))
RACE_SETTINGS = ("dataset", "seed", "steps")
SETTINGS = (*NET_SETTINGS, *TRAIN_SETTINGS, *RACE_SETTINGS)
MAX_RUNS = 1000
MAX_VALUES = 100  # of one axis
MAX_CORE_SECONDS = 200_000  # of a whole sweep: a day of two cores, and some
STORED = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")  # with BatchNorm's stored statistics
RECOMPUTED = tuple(f"{name}_recomputed" for name in STORED)  # with those of the whole training part
METRICS = STORED + RECOMPUTED

# ---------------------------------------------------------------------------------------------------- runs


def make_run(values: Mapping[str, Any]) -> RaceConfig:
    """The race of one lane of flat settings; what is not among them has its default. Raises `ConfigError`."""
    net, train = ({name: values[name] for name in names if name in values} for names in (NET_SETTINGS, TRAIN_SETTINGS))
    others = {name: values[name] for name in (*RACE_SETTINGS, "changes", "edits") if name in values}
    return RaceConfig(lanes=(Lane(NetConfig(**net), TrainConfig(**train)),), **others)


def list_settings(race: RaceConfig) -> dict[str, Any]:
    """The settings of a race of one lane, flat."""
    lane = race.lanes[0]
    values = {name: getattr(lane.net, name) for name in NET_SETTINGS}
    values |= {name: getattr(lane.train, name) for name in TRAIN_SETTINGS}
    return values | {name: getattr(race, name) for name in RACE_SETTINGS}


def write_value(value: Any) -> Any:
    """A setting as JSON holds it, and a database: widths and blocks as text, such as "128,256"."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else value


def read_value(name: str, value: Any) -> Any:
    """A setting from JSON in its one form, so that 1 and 1.0, or 64, "64" and [64], are the same run."""
    if name in SHORTHANDS:
        return SHORTHANDS[name](value)
    if name in DECIMAL_FIELDS and type(value) is int and abs(value) < 2**53:
        return float(value)
    return value


def write_settings(race: RaceConfig) -> dict[str, Any]:
    """The settings of a run, flat, as JSON holds them."""
    return {name: write_value(value) for name, value in list_settings(race).items()}


def check_once(names: Iterable[str]) -> None:
    """Raise where two names are the same setting, such as batch-size and batch_size: one's value would be lost."""
    found: dict[str, str] = {}
    for name in names:
        if (key := name.replace("-", "_")) in found:
            raise RuleError(key, name, N_("{first} and {second} are one setting: only one can be meant."),
                            first=shorten(found[key]), second=shorten(name))
        found[key] = name


def read_settings(content: Any, where: str = "config") -> dict[str, Any]:
    """Flat settings from JSON, with "-" or "_" in their names. Raises `ConfigError` for a name that there is not."""
    if not isinstance(content, dict):
        raise ConfigError(where, content, N_("an object in braces"))
    check_once(content)
    values = {name.replace("-", "_"): value for name, value in content.items()}
    for name, value in values.items():
        if name not in SETTINGS:
            raise UnknownFieldError(name, value, SETTINGS)
    return {name: read_value(name, value) for name, value in values.items()}


# ---------------------------------------------------------------------------------------------------- identity

# The version of the numbers: raised by hand whenever bits change, and for nothing else. Where they move and this stays,
# `tests/lab/test_golden.py` fails.
NUMBERS = 1
LIBRARIES = ("torch", "numpy", "scikit-learn")


def hash_numbers(libraries: Iterable[str] = LIBRARIES) -> str:
    """The hash of what determines a run's numbers beside its settings. The kind of processor is not in it."""
    versions = [f"{name} {importlib.metadata.version(name)}" for name in libraries]
    return hashlib.sha256(repr((NUMBERS, DATASETS, PROBE_EVERY, versions)).encode()).hexdigest()


def identify(race: RaceConfig, code: str) -> str:
    """The identity of a run, in which nothing is changed on the way, where `hash_numbers` is `code`."""
    assert not race.changes and not race.edits and len(race.lanes) == 1
    settings = write_settings(make_run(read_settings(write_settings(race))))
    if not settings["cuts"]:  # as before there were any
        del settings["cuts"]
    text = json.dumps(settings, sort_keys=True)
    return hashlib.sha256(f"{code}\n{text}".encode()).hexdigest()


# ---------------------------------------------------------------------------------------------------- what came out


@dataclass(frozen=True, eq=False)
class RunResult:
    """What one run came to: loss and accuracy on the whole training part and the held-out part, after `taken` steps.

    Where it `diverged`, they are of the last state before that; what is not finite is None. `seconds` is computing time.
    `finished` is ISO 8601 in UTC. `curves` is as `engine.series.Series.send` gives it, thinned, {} where not asked for.
    BatchNorm normalises with its stored statistics, or, in `…_recomputed`, with those of the whole training part; the two
    are equal without BatchNorm, and the latter None in runs that were stored before they were measured.
    """

    identity: str
    code: str
    race: RaceConfig
    train_loss: float | None
    train_accuracy: float | None
    test_loss: float | None
    test_accuracy: float | None
    diverged: bool
    taken: int
    seconds: float
    finished: str
    curves: Mapping[str, Any] = field(default_factory=dict)
    train_loss_recomputed: float | None = None
    train_accuracy_recomputed: float | None = None
    test_loss_recomputed: float | None = None
    test_accuracy_recomputed: float | None = None

    def to_row(self) -> dict[str, Any]:
        """One flat row, as CSV and Parquet hold it: settings, then numbers. No curves."""
        rest = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("race", "curves")}
        return write_settings(self.race) | rest


# ---------------------------------------------------------------------------------------------------- sweeps


@dataclass(frozen=True)
class Axis:
    """A setting that varies, and its values."""

    name: str
    values: tuple[Any, ...]

    def __post_init__(self) -> None:
        if self.name not in SETTINGS:
            raise UnknownFieldError(self.name, self.values, SETTINGS)
        if not isinstance(self.values, tuple) or not 1 <= len(self.values) <= MAX_VALUES:
            shown = (len(self.values) or "") if isinstance(self.values, tuple) else self.values
            raise ConfigError(self.name, shown, N_("from 1 to {high} values"), high=MAX_VALUES)
        for i, value in enumerate(self.values):
            if any(type(value) is type(other) and value == other for other in self.values[:i]):
                raise ConfigError(self.name, write_value(value), N_("each value once"))
            check_alone(self.name, value)


def check_alone(name: str, value: Any) -> None:
    """Raise where a value cannot be right, whatever the other settings are. How large a number may be depends on them."""
    try:
        make_run({name: value})
    except ConfigError as error:
        if error.field == name and type(value) is not int:
            raise


@dataclass(frozen=True)
class Run:
    """One point of the grid: `place`, the values of the axes; `race`, or why there cannot be one, `error`."""

    place: tuple[Any, ...]
    settings: Mapping[str, Any]
    race: RaceConfig | None
    error: ConfigError | None = None


@dataclass(frozen=True)
class SweepConfig:
    """A grid: `base`, settings that all runs share, as pairs, and the `axes`. An axis goes before the base.

    Construction bounds the number of runs and their cost, and refuses a grid of which no run can be. A combination that
    cannot be, in a grid of others that can, does not fail the sweep: `list_runs` says why it is left out.
    """

    base: tuple[tuple[str, Any], ...] = ()
    axes: tuple[Axis, ...] = ()

    def __post_init__(self) -> None:
        for name, value in self.base:
            if name not in SETTINGS:
                raise UnknownFieldError(name, value, SETTINGS)
        names = [axis.name for axis in self.axes]
        for name in names:
            if names.count(name) > 1:
                raise ConfigError(name, names.count(name), N_("one axis"))
        if (count := math.prod(len(axis.values) for axis in self.axes)) > MAX_RUNS:
            raise ConfigError("axes", f"{count:,}", N_("at most {high} runs in all"), high=MAX_RUNS)
        runs = self.list_runs()
        if all(run.race is None for run in runs):
            raise runs[0].error
        seconds = sum(predict_seconds(run.race) for run in runs if run.race is not None)
        if seconds > MAX_CORE_SECONDS:
            raise ConfigError("axes", count, N_("a smaller sweep: these runs would take some {hours} hours of one core, "
                                                "and at most {high} can be had here"),
                              hours=f"{seconds / 3600:,.0f}", high=MAX_CORE_SECONDS // 3600)

    def list_runs(self) -> list[Run]:
        """Every point of the grid, the last axis varying fastest."""
        return list(self._runs)

    @functools.cached_property
    def _runs(self) -> list[Run]:
        names = [axis.name for axis in self.axes]
        return [self._make(dict(zip(names, place, strict=True)), place)
                for place in itertools.product(*(axis.values for axis in self.axes))]

    def _make(self, varied: dict[str, Any], place: tuple[Any, ...]) -> Run:
        given = {**dict(self.base), **varied}
        family = given.get("family")
        settings = (FAMILY_DEFAULTS.get(family, {}) if isinstance(family, str) else {}) | given
        try:
            return Run(place, settings, make_run(settings))
        except ConfigError as error:
            return Run(place, settings, None, error)

    def to_json(self) -> str:
        """As a file that people read, too."""
        base = {name: write_value(value) for name, value in self.base}
        axes = {axis.name: [write_value(value) for value in axis.values] for axis in self.axes}
        return json.dumps({"base": base, "axes": axes}, indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> SweepConfig:
        """Read a grid from JSON: {"base": {"family": "conv"}, "axes": {"depth": [8, 20], "seed": [0, 1]}}."""
        return make_sweep(*read_grid(parse_json(text)))


def read_grid(content: Any) -> tuple[dict[str, Any], dict[str, tuple]]:
    """Base and axes from parsed JSON. Raises `ConfigError`."""
    if not isinstance(content, dict):
        raise ConfigError("config", content, N_("an object in braces"))
    for name in content:
        if name not in ("base", "axes"):
            raise UnknownFieldError(name, content[name], ("base", "axes"))
    axes = content.get("axes", {})
    if not isinstance(axes, dict):
        raise ConfigError("axes", axes, N_("an object in braces"))
    base = read_settings(content.get("base", {}), "base")
    check_once(axes)
    for name in axes:
        if (key := name.replace("-", "_")) in base:
            takes = N_("{name} stands both in base and in axes: only one can be meant.")
            raise RuleError(key, name, takes, name=shorten(key))
    return base, {name.replace("-", "_"): read_values(name, values)
                                                            for name, values in axes.items()}


def read_values(name: str, values: Any) -> tuple:
    if not isinstance(values, list):
        raise ConfigError(name, shorten(values), N_("a list in brackets"))
    return tuple(read_value(name.replace("-", "_"), value) for value in values)


def make_sweep(base: Mapping[str, Any], axes: Mapping[str, Iterable[Any]]) -> SweepConfig:
    """A sweep from dicts. Settings of the base that an axis varies are dropped, so that equal sweeps are equal."""
    kept = sorted((name, read_value(name, value)) for name, value in base.items() if name not in axes)
    return SweepConfig(tuple(kept), tuple(Axis(name, tuple(read_value(name, value) for value in values))
                                          for name, values in axes.items()))


# ---------------------------------------------------------------------------------------------------- cost

# Seconds of one step on one core, fitted to `advance` on an AMD EPYC (LOG.md): so much at all, so much per layer (more
# where autograd runs it), and the multiply-adds at a rate. `measure_pace` in engine/sweep.py finds this machine's factor.
STEP_SECONDS = {"dense": 0.3e-3, "conv": 0.9e-3}
LAYER_SECONDS = {"dense": 23e-6, "autograd": 110e-6, "conv": 520e-6}
MULTIPLY_ADDS_PER_SECOND = {"dense": 56e9, "conv": 47e9}


def count_step(race: RaceConfig) -> int:
    """Multiply-adds of one step of a run: three passes (forward, and two backward) over a batch."""
    lane = race.lanes[0]
    return 3 * lane.train.batch_size * count_multiply_adds(lane.net, DATASETS[race.dataset])


def predict_seconds(race: RaceConfig) -> float:
    """What a run takes of one core of the machine that the rates above were measured on."""
    lane = race.lanes[0]
    net, batch = lane.net, lane.train.batch_size / 128
    plain = (net.norm, net.order, net.activation) == ("none", "post", "relu")
    kind = "dense" if net.family == "dense" and plain else ("autograd" if net.family == "dense" else "conv")
    per_step = STEP_SECONDS[net.family] + LAYER_SECONDS[kind] * net.depth * (0.35 + 0.65 * batch)
    return race.steps * (per_step + count_step(race) / MULTIPLY_ADDS_PER_SECOND[net.family])


@dataclass(frozen=True)
class Estimate:
    """What a sweep would cost: `runs` to be trained, those `known` already, those `impossible`; their parameters, and

    multiply-adds in all; `core_seconds` of one core, `longest` those of the longest run, and `seconds` on all `workers`.
    """

    runs: int
    known: int
    impossible: int
    parameters: int
    multiply_adds: int
    core_seconds: float
    longest: float
    workers: int

    @property
    def seconds(self) -> float:
        """Of waiting. A run is on one worker at a time, so no sweep is shorter than its longest run."""
        return max(self.longest, self.core_seconds / self.workers)


def estimate(config: SweepConfig, workers: int = 1, pace: Mapping[str, float] | None = None,
             known: Iterable[RaceConfig] = ()) -> Estimate:
    """The cost of what is not `known`. `pace`: per family, how many times as long as predicted a step takes here."""
    runs, known = config.list_runs(), set(known)
    races = [run.race for run in runs if run.race is not None]
    left = [race for race in races if race not in known]
    seconds = [predict_seconds(race) * (pace or {}).get(race.lanes[0].net.family, 1.0) for race in left]
    return Estimate(len(left), len(races) - len(left), len(runs) - len(races),
                    sum(count_parameters(race.lanes[0].net, race.data) for race in left),
                    sum(race.steps * count_step(race) for race in left),
                    sum(seconds), max(seconds, default=0.0), workers)


# ---------------------------------------------------------------------------------------------------- ready sweeps


@dataclass(frozen=True)
class ReadySweep:
    """A sweep that a class can run in a lesson: its title and question, untranslated."""

    title: str
    question: str
    config: SweepConfig


READY = {
    "degradation": ReadySweep(
        N_("Degradation"),
        N_("Does a deeper plain net train worse, even with BatchNorm? Does a residual one?"),
        make_sweep({"family": "conv", "norm": "batch", "steps": 250},
                   {"depth": (8, 20, 32, 56), "shortcut": ("none", "zero-pad"), "seed": (0, 1, 2)})),
    "vanishing": ReadySweep(
        N_("Vanishing against depth"),
        N_("From which depth on do PyTorch’s default initial weights leave a plain net at chance?"),
        make_sweep({"family": "dense", "init": "default", "steps": 300},
                   {"depth": (4, 6, 8, 10, 14, 20, 30), "shortcut": ("none", "identity"), "seed": (0, 1, 2)})),
    "he-without-norm": ReadySweep(
        N_("He init without BatchNorm"),
        N_("With He’s initial weights the gradients of a plain net are flat. Does it train, then, at any depth?"),
        make_sweep({"family": "dense", "init": "he", "shortcut": "none", "lr": 0.01, "steps": 300},
                   {"depth": (4, 12, 22, 32, 52), "seed": (0, 1, 2, 3, 4)})),
    "decay-depth": ReadySweep(
        N_("Weight decay × depth"),
        N_("How much weight decay does a residual net stand, and does its depth matter?"),
        make_sweep({"family": "dense", "shortcut": "identity", "steps": 600},
                   {"weight_decay": (0.0, 0.001, 0.01, 0.03, 0.1), "depth": (8, 22, 42), "seed": (0, 1, 2)})),
    "init-norm": ReadySweep(
        N_("Init × norm"),
        N_("Which combinations of initial weights and normalisation train at all, plain and residual?"),
        make_sweep({"family": "dense", "depth": 22, "steps": 300},
                   {"init": records.INITS, "norm": records.NORMS, "shortcut": ("none", "identity"), "seed": (0, 1, 2)})),
}


def describe_place(config: SweepConfig, run: Run) -> str:
    """Where a run is on the grid, such as "depth 20, shortcut none"."""
    return ", ".join(f"{axis.name} {write_value(value)}" for axis, value in zip(config.axes, run.place, strict=True))
