"""What is refused because something given would be lost without a word: an option that does nothing beside the others,
two options that name one file.
"""

from __future__ import annotations

import argparse
import itertools
import os
from collections.abc import Iterable
from pathlib import Path

from resnet_viz.records import N_, SCALES, Option, RaceConfig, RuleError
from resnet_viz.sweeps import NET_SETTINGS, TRAIN_SETTINGS, write_value

FILES = ("config", "weights", "picture", "save", "frames", "output", "database")
SQLITE = "sqlite:///"
TRAINED = (*TRAIN_SETTINGS, "init", "steps")  # settings that only training asks for
SEEDED = ("paths", "landscape")  # commands that draw something at random, beside the initial weights
AXES = "axes."  # what an axis of a sweep is stored under, so that it is not taken for a setting


def list_given(options: argparse.Namespace) -> frozenset[str]:
    """The options that were given, and not only have a default; flags count where they are set."""
    flags = {name for name, usual in (("skip", None), ("recompute", False)) if getattr(options, name, usual) is not usual}
    return getattr(options, "given", frozenset()) | flags


def refuse(name: str, value: object, cause: Option) -> None:
    raise RuleError(name, value, N_("{option} has no effect with {cause}."), option=Option(name, str(value)), cause=cause)


# ---------------------------------------------------------------------------------------------------- settings


def check_settings(options: argparse.Namespace, races: Iterable[RaceConfig]) -> None:
    """Raise for a setting that was given and changes nothing in any of the races, naming what takes its effect."""
    races = list(races)
    given = {name: getattr(options, name) for name in list_given(options) & {*NET_SETTINGS, *TRAIN_SETTINGS}}
    given |= {name: ",".join(texts) for name, texts in vars(options).items() if name.startswith(AXES) and texts}
    for name, value in sorted(given.items()):
        causes = [find_cause(name.removeprefix(AXES), race) for race in races]
        if races and all(causes):
            refuse(name, value, causes[0])


def find_cause(name: str, race: RaceConfig) -> Option | None:
    """The choice beside which a setting does nothing in a race of one lane, if there is one."""
    net, train = race.lanes[0].net, race.lanes[0].train
    live = {change.name for change in race.changes}
    equal, plain = len(set(net.stage_widths)) == 1, not net.residual and not live & {"skip", "cuts"}
    cut = Option("cuts", write_value(net.cuts)) if net.skip and net.cuts else Option("skip", "")
    no_shortcut = Option("shortcut", "none") if net.shortcut == "none" else cut
    rules = (
        (name == "momentum" and train.optimizer != "sgd", Option("optimizer", train.optimizer)),
        (name.startswith("decay") and train.weight_decay == 0 and "weight_decay" not in live, Option("weight_decay", "0")),
        (name == "skip" and net.shortcut == "none", no_shortcut),
        (name == "cuts" and (net.shortcut == "none" or not (net.skip or "skip" in live)), no_shortcut),
        (name == "order" and net.norm == "none" and plain, no_shortcut),  # W and g take turns either way
        # Where dense stages differ, a shortcut that is cut still says what lets the net be at all.
        (name == "shortcut" and not (net.skip and len(net.cuts) < net.blocks) and plain
         and (equal or net.family == "conv"), cut),
        (name == "shortcut" and net.shortcut in ("zero-pad", "projection") and net.family == "dense" and equal,
         Option("width", write_value(net.stage_widths))),
    )
    return next((cause for holds, cause in rules if holds), None)


def check_weights(options: argparse.Namespace) -> None:
    """Raise for what only training asks for, where weights are read instead."""
    if getattr(options, "weights", None) is None:
        return
    useless = (*TRAINED, "frames", "save") + (() if options.command in SEEDED else ("seed",))
    for name in sorted(list_given(options) & {*useless}):
        refuse(name, getattr(options, name), Option("weights", options.weights))


# ---------------------------------------------------------------------------------------------------- commands' own


def check_own(options: argparse.Namespace, race: RaceConfig | None) -> None:
    """Raise for an option of one command that does nothing beside the others. `race` is None where no net of ours is."""
    given, norm = list_given(options), race.lanes[0].net.norm if race is not None else "none"
    if options.command == "operate":
        check_factors(options, given, norm)
    if options.command == "credit" and options.method == "deep-lift" and "credit_steps" in given:
        refuse("credit_steps", options.credit_steps, Option("method", "deep-lift"))
    if options.command == "landscape":
        if norm == "none" and "statistics" in given:
            refuse("statistics", options.statistics, Option("norm", "none"))
        if options.grid == "1" and "range" in given:
            refuse("range", options.range, Option("grid", "1"))


def check_factors(options: argparse.Namespace, given: frozenset[str], norm: str) -> None:
    """α belongs to the operations by a factor, which need it; with BatchNorm behind W there is no b to have its own."""
    kind = Option("operation", options.operation or "")
    if options.operation in SCALES and "alpha" not in given:
        raise RuleError("alpha", None, N_("{operation} needs {alpha}: from 0 to 1."), operation=kind,
                        alpha=Option("alpha", "A"))
    for name in ("alpha", "alpha_bias"):
        if name in given and options.operation is not None and options.operation not in SCALES:
            refuse(name, getattr(options, name), kind)
    if "alpha_bias" in given and options.operation == "scale" and norm == "batch":
        refuse("alpha_bias", options.alpha_bias, Option("norm", "batch"))
    if options.recompute and norm == "none":
        refuse("recompute", True, Option("norm", "none"))


# ---------------------------------------------------------------------------------------------------- files


def check_files(options: argparse.Namespace) -> None:
    """Raise where two options name one file, by whatever path: one would write over the other, or over what is read."""
    named = [(name, path) for name in FILES if (path := getattr(options, name, None)) is not None and path != os.devnull]
    for (name, path), (other, second) in itertools.combinations(named, 2):
        if is_same(find_file(path), find_file(second)):
            raise RuleError(name, path, N_("{first} and {second} name one file."), first=Option(name, path),
                            second=Option(other, second))


def find_file(path: str) -> Path:
    """The file that an option names; a database's address may name one, too."""
    return Path(path.removeprefix(SQLITE))


def is_same(path: Path, other: Path) -> bool:
    """Whether two paths are of one file, which need not be there yet."""
    try:
        if path.exists() and other.exists():
            return path.samefile(other)
        return path.resolve() == other.resolve()
    except (OSError, ValueError, RuntimeError):  # no path at all, as whoever opens it will say
        return False


def check_axes(options: argparse.Namespace) -> None:
    """Raise where a setting has one value for all runs and an axis of values."""
    for name in sorted(list_given(options)):
        if (texts := getattr(options, AXES + name, None)) is not None:
            plural = Option(AXES + name, ",".join(texts))
            raise RuleError(name, getattr(options, name), N_("{first} and {second}: only one of them can be meant."),
                            first=Option(name, getattr(options, name)), second=plural)


def check_shape(options: argparse.Namespace) -> None:
    """Raise for a data set of whose shape nothing is left."""
    if {"dataset", "channels", "size", "classes"} <= list_given(options):
        named = {name: Option(name, getattr(options, name)) for name in ("dataset", "channels", "size", "classes")}
        takes = N_("{dataset} has no effect with {channels}, {size} and {classes}.")
        raise RuleError("dataset", options.dataset, takes, **named)
