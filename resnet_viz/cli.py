"""The command line: the same as in the app, without it. `train` one net, `operate` on one, `info` about one, the

`architecture` of one that everybody knows; `sweep` a grid of settings; `credit`, `paths`, `gradients` and `landscape`
say why it works; `export` writes a file of a run to take home.

Results are JSON on stdout (`--json`), progress and errors are on stderr. Exit code 2: something given cannot be used.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
import time
from typing import Any

from resnet_viz.cli_effects import check_files, check_own, check_settings, check_shape, check_weights
from resnet_viz.cli_export import run_export, run_recording
from resnet_viz.cli_options import (
    EVENTS,
    SHAPE_OPTIONS,
    make_parser,
    read_operation,
    read_options,
    write_file,
)
from resnet_viz.cli_output import CLOSED, discard, prepare_streams, show_result, writing
from resnet_viz.cli_sweep import run_sweep
from resnet_viz.cli_why import check_why, is_brought, measure_brought, measure_why
from resnet_viz.cli_words import sentence
from resnet_viz.records import (
    DATASETS,
    N_,
    ConfigError,
    DataShape,
    Frame,
    Lane,
    NetConfig,
    RaceConfig,
    State,
    check_operation,
    count_multiply_adds,
    count_parameters,
    list_layers,
)
from resnet_viz.sweeps import NET_SETTINGS, list_settings, make_run
from resnet_viz.text import choose_language, use_language


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the exit code."""
    use_language(choose_language(next(filter(None, map(os.environ.get, ("LC_ALL", "LC_MESSAGES", "LANG"))), None)))
    prepare_streams()
    try:
        return run_command(arguments)
    except ConfigError as error:
        print(sentence(error), file=sys.stderr)
        return 2
    except BrokenPipeError:
        discard(sys.stdout, sys.stderr)
        return CLOSED


def run_command(arguments: list[str] | None) -> int:
    with writing():
        options = make_parser().parse_args(arguments)
    result = obtain_result(options)
    with writing():
        if options.json:
            print(json.dumps(result, allow_nan=False))
        else:
            show_result(result)
    return 0


def obtain_result(options: argparse.Namespace) -> dict[str, Any]:
    check_files(options)
    if is_brought(options):
        return measure_brought(options)
    whole = {"export": run_export, "recording": run_recording, "sweep": run_sweep}  # these read what they are to do
    if options.command in whole:
        return whole[options.command](options)
    runs = {"train": run_train, "operate": run_operate, "info": run_info, "architecture": run_architecture}
    return runs.get(options.command, run_why)(options, read_options(options))


# ---------------------------------------------------------------------------------------------------- train


def run_train(options: argparse.Namespace, values: dict[str, Any]) -> dict[str, Any]:
    race = make_checked_run(options, values)
    state, first, last, seconds = train_to_files(race, options)
    from resnet_viz.lab.experiments.training import finish, measure

    end = measure(state).to_jsonable()
    return {
        "config": write_config(race),
        "steps": state.step,
        **{name: finite(value) for name, value in finish(state).items()},
        "parameters": count_parameters(race.lanes[0].net, race.data),
        "activation_gradient_norms": last_row(last),
        "initial_activation_gradient_norms": first["gradient"][0] if first["gradient"] else [],
        "shortcut_ratio": end["ratio"][-1] if end["ratio"] else [],
        "steps_per_second": state.step / seconds,
        "diverged": bool(last["diverged"]),
        "overflow": last["overflow"],
    }


def make_checked_run(options: argparse.Namespace, values: dict[str, Any]) -> RaceConfig:
    """The run of these settings. Raises for an option that would do nothing in it."""
    race = make_run(values)
    check_weights(options)
    check_settings(options, [race])
    check_own(options, race)
    return race


def write_config(race: RaceConfig) -> dict[str, Any]:
    """The settings, and what was changed or operated on in the middle of the run."""
    events = {name: [dataclasses.asdict(item) for item in getattr(race, name)] for name in EVENTS}
    return list_settings(race) | {name: items for name, items in events.items() if items}


def train_to_files(race: RaceConfig, options: argparse.Namespace) -> tuple[State, dict, dict, float]:
    """`train`, with the frames and the weights written where the options ask for it, and the seconds it took."""
    if options.frames is not None:
        write_file("frames", options.frames, mode="wb")
    if options.save is not None:
        write_file("save", options.save)
    from resnet_viz.lab.experiments.files import save_weights

    started = time.perf_counter()
    state, first, last = train(race, options.frames)
    seconds = time.perf_counter() - started
    if options.save is not None:
        write_file("save", options.save, save_weights(state), "wb")
    return state, first, last, seconds


def train(race: RaceConfig, path: str | None) -> tuple[State, dict, dict]:
    """Train to the limit or to divergence: the state, and the first and the last frame that has steps, as JSON.

    Every frame is written to the file at `path` as it comes, one to a line.
    """
    from tqdm import tqdm

    from resnet_viz.lab.experiments.operations import follow

    first = last = None
    with tqdm(total=race.steps, unit="step", file=sys.stderr, dynamic_ncols=True) as bar:
        def watch(frame: Frame) -> None:
            nonlocal first, last
            shown = frame.to_jsonable()
            first = first or shown
            last = shown if len(frame) or last is None else last | {name: shown[name] for name in ("diverged", "overflow")}
            if path is not None:
                write_file("frames", path, json.dumps(shown, allow_nan=False).encode() + b"\n")
            bar.update(len(frame))
            bar.set_postfix(loss=shown["loss"][-1] if len(frame) else None, refresh=False)

        state = follow(race, watch)
    return state, first, last


def last_row(frame: dict[str, Any]) -> list:
    return frame["gradient"][-1] if frame["gradient"] else []


def finite(value: float) -> float | None:
    return value if abs(value) < float("inf") else None


# ---------------------------------------------------------------------------------------------------- operate


def run_operate(options: argparse.Namespace, values: dict[str, Any]) -> dict[str, Any]:
    race, operation = make_checked_run(options, values), read_operation(options)
    net = race.lanes[0].net
    check_operation(operation, net)
    state = obtain_state(race, options)
    from resnet_viz.lab.experiments.operations import measure_operation

    result = measure_operation(state, [operation], options.recompute)
    return {"config": write_config(race), "operation": dataclasses.asdict(operation), **result.to_jsonable()}


def obtain_state(race: RaceConfig, options: argparse.Namespace) -> State:
    """The net that a file has the weights of, or a newly trained one."""
    if options.weights is None:
        return train_to_files(race, options)[0]
    from resnet_viz.lab.experiments.files import load_weights

    return load_weights(options.weights, race.lanes[0], race.dataset, race.seed)


# ---------------------------------------------------------------------------------------------------- why


def run_why(options: argparse.Namespace, values: dict[str, Any]) -> dict[str, Any]:
    race = make_checked_run(options, values)
    check_why(options, race)
    state = None if options.command == "gradients" else obtain_state(race, options)
    return {"config": write_config(race), **measure_why(options, race, state)}


# ---------------------------------------------------------------------------------------------------- info


def run_info(options: argparse.Namespace, values: dict[str, Any]) -> dict[str, Any]:
    check_shape(options)
    net = NetConfig(**{name: values[name] for name in NET_SETTINGS if name in values})
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


# ---------------------------------------------------------------------------------------------------- architecture


def run_architecture(options: argparse.Namespace, values: dict[str, Any]) -> dict[str, Any]:
    from resnet_viz.lab.architecture import trace_architecture

    return trace_architecture(options.net, values.get("size"), values.get("classes")).to_jsonable()
