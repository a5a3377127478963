"""The command line's options: the parser, and the settings of options and files."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from resnet_viz.cli_effects import AXES
from resnet_viz.cli_why import add_why
from resnet_viz.records import (
    FAMILY_DEFAULTS,
    N_,
    OPERATIONS,
    ConfigError,
    Operation,
    Option,
    RaceConfig,
    RuleError,
    decode_text,
    parse_field,
    parse_json,
)
from resnet_viz.sweeps import NET_SETTINGS, READY, SETTINGS, TRAIN_SETTINGS, list_settings, read_settings
from resnet_viz.text import _

EVENTS = ("changes", "edits")  # what was done in the middle of a race, where a file says so
OPERATION_OPTIONS = ("operation", "block", "alpha", "alpha_bias", "other")
SHAPE_OPTIONS = {"channels": 1024, "size": 4096, "classes": 100_000}  # the largest of each
UNCOUNTED = ("init", "activation")  # settings of a net that none of its counts depends on
MAX_FILE = 1_000_000  # bytes of a config file
PLURALS = {"families": "family", "batch-sizes": "batch_size"} | {
    f"{name.replace('_', '-')}s": name
    for name in ("dataset", "depth", "width", "shortcut", "norm", "init", "order", "activation", "optimizer", "lr",
                 "momentum", "weight_decay", "decay", "seed")}


class Once(argparse.Action):
    """An option that is given once, and then is among the namespace's `given`; of two values argparse takes the last."""

    def __call__(self, _parser: Any, space: argparse.Namespace, value: Any, _option: str | None = None) -> None:
        space.given = given = getattr(space, "given", frozenset())
        if self.dest in given:
            raise RuleError(self.dest, value, N_("{first} and {second}: only one of them can be meant."),
                            first=Option(self.dest, getattr(space, self.dest)), second=Option(self.dest, value))
        space.given = given | {self.dest}
        setattr(space, self.dest, value)


class Parser(argparse.ArgumentParser):
    """A parser whose options are given once each, and whose help says so where it cannot be written."""

    def __init__(self, *values: Any, **more: Any) -> None:
        super().__init__(*values, **more)
        self.register("action", None, Once)

    def _print_message(self, message: str, file: Any = None) -> None:
        print(message, end="", file=file or sys.stderr)


def make_parser() -> argparse.ArgumentParser:
    """The parser; it takes every value as text, for `records` to judge."""
    parser = Parser("resnet_viz", description=_("Train plain and residual nets without the app."))
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help=_("train one net and print what came out"), allow_abbrev=False)
    operate = commands.add_parser("operate", help=_("train one net, operate on a block, and print what it did"),
                                  allow_abbrev=False)
    info = commands.add_parser("info", help=_("count a net’s parameters and multiply-adds"), allow_abbrev=False)
    why, sweep, export, recording = add_why(commands), add_sweep(commands), add_export(commands), add_recording(commands)
    credit, paths, gradients, landscape = why
    trained = (credit, paths, landscape)
    for name in ("dataset", *NET_SETTINGS, *TRAIN_SETTINGS, "steps", "seed"):
        for command in (train, operate, sweep, export, recording, *trained):
            add_setting(command, name)
        if name in NET_SETTINGS or name == "dataset":
            add_setting(gradients, name)
            if name not in UNCOUNTED:
                add_setting(info, name)
    for name in SHAPE_OPTIONS:
        info.add_argument("--" + name, metavar=name.upper(), help=_("the input’s shape, where no data set gives it"))
    for command in (train, operate, *trained):
        command.add_argument("--frames", metavar="FILE.jsonl", help=_("write every frame, one to a line"))
        command.add_argument("--save", metavar="FILE.safetensors", help=_("write the trained weights"))
    for command in (operate, *trained):
        command.add_argument("--weights", metavar="FILE", help=_("read the weights instead of training"))
    add_operation(operate)
    for command in (train, operate, info, export, recording, *why):
        command.add_argument("--config", metavar="FILE.json", help=_("settings from a file; options override it"))
    for command in (train, operate, info, sweep, export, recording, *why, add_architecture(commands)):
        command.add_argument("--json", action="store_true", help=_("print one JSON object"))
    return parser


def add_setting(command: argparse.ArgumentParser, name: str) -> None:
    if name == "skip":
        command.add_argument("--no-skip", dest="skip", action="store_const", const=False,
                             help=_("cut the shortcuts, keep the branches"))
    elif name == "cuts":
        command.add_argument("--cut", dest="cuts", metavar="K,K",
                             help=_("cut the shortcuts of these blocks, counted from 0"))
    else:
        command.add_argument("--" + name.replace("_", "-"), dest=name, metavar=name.upper())


def add_export(commands: Any) -> argparse.ArgumentParser:
    command = commands.add_parser("export", help=_("one file of a run to take home"), allow_abbrev=False)
    command.add_argument("--what", metavar="WHAT", help="script, report, player, frames, weights, config")
    command.add_argument("--lane", metavar="K", help=_("the net of a file of several, counted from 0"))
    command.add_argument("--output", metavar="FILE", help=_("the file to write; of frames .csv or .parquet"))
    return command


def add_recording(commands: Any) -> argparse.ArgumentParser:
    command = commands.add_parser("recording", allow_abbrev=False,
                                  help=_("a whole race, every step of every net, to the bit"))
    command.add_argument("--output", metavar="FILE.json.gz", help=_("the file to write"))
    return command


def add_architecture(commands: Any) -> argparse.ArgumentParser:
    command = commands.add_parser("architecture", help=_("every layer of a known net, from its real modules"),
                                  allow_abbrev=False)
    command.add_argument("--net", default="resnet34", metavar="NET", help=_("resnet34, plain34, vgg19, cifar56 …"))
    command.add_argument("--size", metavar="SIZE", help=_("pixels a side of the picture, by default the paper’s"))
    command.add_argument("--classes", metavar="CLASSES", help=_("the number of classes, by default the paper’s"))
    return command


def add_sweep(commands: Any) -> argparse.ArgumentParser:
    command = commands.add_parser("sweep", allow_abbrev=False,
                                  help=_("train a net at every point of a grid of settings, and keep what came out"))
    for option, name in PLURALS.items():
        command.add_argument("--" + option, dest=AXES + name, action="append", metavar="A,B", help={
            "width": _("values between semicolons, such as 16;32;64,128"),
            "seed": _("how many, or a list with commas"),
        }.get(name))
    command.add_argument("--ready", metavar="NAME", help=", ".join(READY))
    command.add_argument("--config", metavar="GRID.json",
                         help=_("settings, or base and axes, from a file; options override it"))
    command.add_argument("--database", metavar="URL", help=_("sqlite:///file or postgresql://user@host/name"))
    return command


def add_operation(command: argparse.ArgumentParser) -> None:
    command.add_argument("--operation", metavar="OPERATION", help=", ".join(OPERATIONS))
    command.add_argument("--block", metavar="K", help=_("the block to operate on, counted from 0"))
    command.add_argument("--alpha", metavar="A", help=_("scale: what W[l+2] and b[l+2] are multiplied by, from 0 to 1"))
    command.add_argument("--alpha-bias", metavar="A", help=_("scale: another factor for b[l+2]"))
    command.add_argument("--other", metavar="K", help=_("swap: the other block"))
    command.add_argument("--recompute", action="store_true",
                         help=_("estimate BatchNorm’s running statistics anew after the operation"))


def read_options(options: argparse.Namespace) -> dict[str, Any]:
    """The settings: of the options, of the config file for what no option says, then of the weights' file."""
    values = parse_options(options, (*SETTINGS, *SHAPE_OPTIONS))
    values = (read_file(options.config) if getattr(options, "config", None) else {}) | values
    if getattr(options, "weights", None) is not None:
        values = read_weights_config(options.weights) | values
    family = values.get("family")
    return (FAMILY_DEFAULTS.get(family, {}) if isinstance(family, str) else {}) | values


def parse_options(options: argparse.Namespace, names: tuple[str, ...]) -> dict[str, Any]:
    """Those of the named options that are given, as their fields' types."""
    given = {name: value for name, value in vars(options).items() if value is not None and name in names}
    return {name: parse_field(name, value) if isinstance(value, str) else value for name, value in given.items()}


def read_operation(options: argparse.Namespace) -> Operation:
    values = parse_options(options, OPERATION_OPTIONS)
    return Operation(values.pop("operation", None), values.pop("block", None), **values)


def read_weights_config(path: str) -> dict[str, Any]:
    """The settings that `train --save` keeps beside the weights; none in a file that was made elsewhere."""
    from resnet_viz.lab import weights

    text = weights.read_config(path)
    if text is None:
        return {}
    return read_settings(parse_json(text, Option("weights", Path(path).name)), "weights")


def read_file(path: str) -> dict[str, Any]:
    """Settings from a JSON file: flat, named like the options, or a race of one lane as the app exports it."""
    content = read_json(path)
    return flatten_race(content) if isinstance(content, dict) and "lanes" in content else read_settings(content)


def read_json(path: str) -> Any:
    """What a JSON file holds. Raises `ConfigError`."""
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_FILE + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError("config", path, N_("a readable text file ({reason})"), reason=reason) from None
    if len(content) > MAX_FILE:
        raise ConfigError("config", path, N_("a file of at most {high} bytes"), high=MAX_FILE)
    source = Option("config", Path(path).name)
    return parse_json(decode_text(content, source), source)


def write_file(option: str, path: str, content: bytes = b"", mode: str = "ab") -> None:
    """Write to an option's file: behind what it holds, or "wb" in its place. Without content: whether it can be written.

    Raises `ConfigError` where it cannot: no such folder, no room on the disk.
    """
    try:
        with open(path, mode) as file:
            file.write(content)
    except BrokenPipeError:
        raise  # nobody reads on
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(option, path, N_("a file that can be written ({reason})"), reason=reason) from None


def flatten_race(content: dict[str, Any]) -> dict[str, Any]:
    race = RaceConfig.from_json(json.dumps(content))
    if len(race.lanes) != 1:
        raise ConfigError("lanes", len(race.lanes), N_("one lane: a net is trained on its own here"))
    return list_settings(race) | {name: getattr(race, name) for name in EVENTS}
