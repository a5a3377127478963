"""The command line: the same training as in the app, without it. `train` one net, or `info` about one.

Results are JSON on stdout (`--json`), progress and errors are on stderr. Exit code 2: something given cannot be used.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
import time
from pathlib import Path
from typing import Any, TextIO

from resnet_viz.records import (
    DATASETS,
    FAMILY_DEFAULTS,
    N_,
    ConfigError,
    DataShape,
    Frame,
    Lane,
    NetConfig,
    RaceConfig,
    TrainConfig,
    UnknownFieldError,
    count_multiply_adds,
    count_parameters,
    list_layers,
    parse_field,
    parse_json,
    read_width,
)
from resnet_viz.text import _, choose_language, sentence, use_language

NET_OPTIONS = tuple(f.name for f in dataclasses.fields(NetConfig))
TRAIN_OPTIONS = tuple(f.name for f in dataclasses.fields(TrainConfig))
RACE_OPTIONS = ("dataset", "seed", "steps")
SHAPE_OPTIONS = {"channels": 1024, "size": 4096, "classes": 100_000}  # the largest of each
SLICE = 50  # steps between two movements of the progress bar; any number gives the same results
MAX_FILE = 1_000_000  # bytes of a config file


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the exit code."""
    use_language(choose_language(next(filter(None, map(os.environ.get, ("LC_ALL", "LC_MESSAGES", "LANG"))), None)))
    options = make_parser().parse_args(arguments)
    try:
        values = read_options(options)
        result = {"train": run_train, "info": run_info}[options.command](options, values)
    except ConfigError as error:
        print(sentence(error), file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps(result, allow_nan=False))
    else:
        show_result(result)
    return 0


def make_parser() -> argparse.ArgumentParser:
    """The parser; it takes every value as text, for `records` to judge."""
    parser = argparse.ArgumentParser("resnet_viz", description=_("Train plain and residual nets without the app."))
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help=_("train one net and print what came out"), allow_abbrev=False)
    info = commands.add_parser("info", help=_("count a net’s parameters and multiply-adds"), allow_abbrev=False)
    for name in ("dataset", *NET_OPTIONS, *TRAIN_OPTIONS, "steps", "seed"):
        wanted = (train, info) if name in NET_OPTIONS or name == "dataset" else (train,)
        for command in wanted:
            if name == "skip":
                command.add_argument("--no-skip", dest="skip", action="store_const", const=False,
                                     help=_("cut the shortcuts, keep the branches"))
            else:
                command.add_argument("--" + name.replace("_", "-"), dest=name, metavar=name.upper())
    for name in SHAPE_OPTIONS:
        info.add_argument("--" + name, metavar=name.upper(), help=_("the input’s shape, where no data set gives it"))
    train.add_argument("--frames", metavar="FILE.jsonl", help=_("write every frame, one to a line"))
    for command in (train, info):
        command.add_argument("--config", metavar="FILE.json", help=_("settings from a file; options override it"))
        command.add_argument("--json", action="store_true", help=_("print one JSON object"))
    return parser


def read_options(options: argparse.Namespace) -> dict[str, Any]:
    """The settings: of the options, and of the file for what no option says."""
    given = {name: value for name, value in vars(options).items()
             if value is not None and name in (*NET_OPTIONS, *TRAIN_OPTIONS, *RACE_OPTIONS, *SHAPE_OPTIONS)}
    values = {name: parse_field(name, value) if isinstance(value, str) else value for name, value in given.items()}
    values = (read_file(options.config) if options.config else {}) | values
    return FAMILY_DEFAULTS.get(values.get("family"), {}) | values


def read_file(path: str) -> dict[str, Any]:
    """Settings from a JSON file: flat, named like the options, or a race of one lane as the app exports it."""
    try:
        file = Path(path)
        if file.stat().st_size > MAX_FILE:
            raise ConfigError("config", path, N_("a file of at most {high} bytes"), high=MAX_FILE)
        content = parse_json(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "UTF-8"
        raise ConfigError("config", path, N_("a readable text file ({reason})"), reason=reason) from None
    if not isinstance(content, dict):
        raise ConfigError("config", content, N_("an object in braces"))
    return flatten_race(content) if "lanes" in content else check_names(content)


def check_names(content: dict[str, Any]) -> dict[str, Any]:
    values = {name.replace("-", "_"): value for name, value in content.items()}
    known = (*NET_OPTIONS, *TRAIN_OPTIONS, *RACE_OPTIONS)
    for name, value in values.items():
        if name not in known:
            raise UnknownFieldError(name, value, known)
    if "width" in values:
        values["width"] = read_width(values["width"])
    return values


def flatten_race(content: dict[str, Any]) -> dict[str, Any]:
    race = RaceConfig.from_json(json.dumps(content))
    if len(race.lanes) != 1:
        raise ConfigError("lanes", len(race.lanes), N_("one lane: a net is trained on its own here"))
    lane = race.lanes[0]
    return {**shallow(lane.net), **shallow(lane.train), **{name: getattr(race, name) for name in RACE_OPTIONS}}


def shallow(record: Any) -> dict[str, Any]:
    return {f.name: getattr(record, f.name) for f in dataclasses.fields(record)}


def make_race(values: dict[str, Any]) -> RaceConfig:
    """A race of one lane. Raises `ConfigError`."""
    net = NetConfig(**{name: values[name] for name in NET_OPTIONS if name in values})
    train = TrainConfig(**{name: values[name] for name in TRAIN_OPTIONS if name in values})
    return RaceConfig(lanes=(Lane(net, train),), **{name: values[name] for name in RACE_OPTIONS if name in values})


# ---------------------------------------------------------------------------------------------------- train


def run_train(options: argparse.Namespace, values: dict[str, Any]) -> dict[str, Any]:
    race = make_race(values)
    sink = open_sink(options.frames)
    from resnet_viz.lab import experiments

    started = time.perf_counter()
    with sink or open(os.devnull, "w") as file:
        state, first, last = train(race, file if options.frames else None)
    seconds = time.perf_counter() - started
    end = experiments.measure(state).to_jsonable()
    lane = race.lanes[0]
    config = {**shallow(lane.net), **shallow(lane.train), **{name: getattr(race, name) for name in RACE_OPTIONS}}
    return {
        "config": config | {"width": list(lane.net.width)},
        "steps": state.step,
        **{name: finite(value) for name, value in experiments.finish(state).items()},
        "parameters": count_parameters(lane.net, race.data),
        "activation_gradient_norms": last_row(last),
        "initial_activation_gradient_norms": first["gradient"][0] if first["gradient"] else [],
        "shortcut_ratio": end["ratio"][-1] if end["ratio"] else [],
        "steps_per_second": state.step / seconds,
        "diverged": bool(last["diverged"]),
    }


def train(race: RaceConfig, sink: TextIO | None) -> tuple[Any, dict, dict]:
    """Train to the limit or to divergence: the state, and the first and the last frame that has steps, as JSON."""
    from tqdm import tqdm

    from resnet_viz.lab import experiments

    state = experiments.make_state(race.lanes[0], race.dataset, race.seed)
    first = last = None
    with tqdm(total=race.steps, unit="step", file=sys.stderr, dynamic_ncols=True) as bar:
        while state.step < race.steps:
            state, frame = experiments.advance(state, min(SLICE, race.steps - state.step))
            shown = frame.to_jsonable()
            first = first or shown
            last = shown if len(frame) or last is None else last | {"diverged": frame.diverged}
            write_frame(frame, sink)
            bar.update(len(frame))
            bar.set_postfix(loss=shown["loss"][-1] if len(frame) else None, refresh=False)
            if frame.diverged:
                break
    return state, first, last


def write_frame(frame: Frame, sink: TextIO | None) -> None:
    if sink is not None:
        sink.write(json.dumps(frame.to_jsonable(), allow_nan=False) + "\n")


def open_sink(path: str | None) -> TextIO | None:
    """The file for frames, opened before anything is trained for it."""
    try:
        return open(path, "w", encoding="utf-8") if path else None
    except OSError as error:
        raise ConfigError("frames", path, N_("a file that can be written ({reason})"), reason=error.strerror) from None


def last_row(frame: dict[str, Any]) -> list:
    return frame["gradient"][-1] if frame["gradient"] else []


def finite(value: float) -> float | None:
    return value if abs(value) < float("inf") else None


# ---------------------------------------------------------------------------------------------------- info


def run_info(options: argparse.Namespace, values: dict[str, Any]) -> dict[str, Any]:
    net = NetConfig(**{name: values[name] for name in NET_OPTIONS if name in values})
    data = read_shape(values)
    return {
        "parameters": count_parameters(net, data),
        "multiply_adds": count_multiply_adds(net, data),
        "layers": [dataclasses.asdict(layer) for layer in list_layers(net, data)],
    }


def read_shape(values: dict[str, Any]) -> DataShape:
    """The input's shape: the data set's, or where given --channels, --size and --classes."""
    RaceConfig(dataset=(name := values.get("dataset", "digits")), lanes=(Lane(NetConfig(depth=4)),))
    shape = DATASETS[name]
    for option, high in SHAPE_OPTIONS.items():
        value = values.get(option, 1)
        if not isinstance(value, int) or not 1 <= value <= high:
            raise ConfigError(option, value, N_("a whole number from {low} to {high}"), low=1, high=high)
    classes = values.get("classes", shape.classes)
    if "channels" not in values and "size" not in values:
        return DataShape(shape.shape, classes)
    channels, size = (shape.shape[0], shape.shape[1]) if shape.is_picture else (1, 1)
    channels, size = values.get("channels", channels), values.get("size", size)
    return DataShape((channels, size, size), classes)


def show_result(result: dict[str, Any]) -> None:
    """The result for people: a line each."""
    for name, value in result.items():
        if name == "layers":
            for layer in value:
                print("  {name:18} {kind:7} {output!s:16} {parameters:>12,} {multiply_adds:>14,}".format(**layer))
        else:
            print(f"{name:34} {value:,}" if type(value) is int else f"{name:34} {value}")
