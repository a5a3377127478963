"""The commands `export`: one file of a run to take home, as the app gives it; and `recording`: every row of every net."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from resnet_viz.cli_effects import check_settings
from resnet_viz.cli_options import SETTINGS, parse_options, read_json, read_options, write_file
from resnet_viz.export.frames import make_table, write_csv, write_parquet
from resnet_viz.export.player import make_player
from resnet_viz.export.recording import make_recording, write_recording
from resnet_viz.export.report import LaneReport, make_report
from resnet_viz.export.script import make_script
from resnet_viz.records import N_, ConfigError, Frame, RaceConfig, State, join_frames, parse_field
from resnet_viz.sweeps import RACE_SETTINGS, make_run
from resnet_viz.text import _

WHAT = ("script", "report", "player", "frames", "weights", "config")
WRITERS = {".csv": write_csv, ".parquet": write_parquet}


def run_export(options: argparse.Namespace) -> dict[str, Any]:
    """Write the file. Everything that could be wrong is told before anything is trained."""
    race = read_race(options)
    if len(race.lanes) == 1:
        check_settings(options, [race])
    if options.what not in WHAT:
        raise ConfigError("what", options.what or "", N_("one of {allowed}"), allowed=tuple(WHAT))
    lane = read_lane(options.lane, len(race.lanes))
    path = read_output(options)
    content = make_content(options.what, race, lane, path)
    write_file("output", options.output, content.encode() if isinstance(content, str) else content, "wb")
    return {"what": options.what, "output": str(path), "bytes": path.stat().st_size}


def run_recording(options: argparse.Namespace) -> dict[str, Any]:
    """Write the recording of a race: see `export.recording`."""
    race = read_race(options)
    if len(race.lanes) == 1:
        check_settings(options, [race])
    write_file("output", options.output or "")
    content = write_recording(record(race))
    write_file("output", options.output, content, "wb")
    return {"what": "recording", "output": options.output, "bytes": len(content)}


def read_race(options: argparse.Namespace) -> RaceConfig:
    """The race of the file, of one lane or several, or of the options alone."""
    content = read_json(options.config) if options.config is not None else None
    if not isinstance(content, dict) or not isinstance(content.get("lanes"), list) or len(content["lanes"]) < 2:
        return make_run(read_options(options))
    given = parse_options(options, SETTINGS)
    for name, value in given.items():
        if name not in RACE_SETTINGS:
            raise ConfigError(name, value, N_("no value beside a file of several nets: it says what each of them has"))
    return replace(RaceConfig.from_json(json.dumps(content)), **given)


def read_lane(text: str | None, count: int) -> int | None:
    lane = None if text is None else parse_field("seed", text)
    if lane is not None and (not isinstance(lane, int) or not 0 <= lane < count):
        raise ConfigError("lane", lane, N_("a whole number from {low} to {high}"), low=0, high=count - 1)
    return lane


def read_output(options: argparse.Namespace) -> Path:
    """The file to write, which must be possible."""
    name = options.output or ""
    if options.what == "frames" and Path(name).suffix not in WRITERS:
        raise ConfigError("output", name, N_("a file’s name that ends with .csv or .parquet, for frames"))
    write_file("output", name)
    return Path(name)


def make_content(what: str, race: RaceConfig, lane: int | None, path: Path) -> str | bytes:
    """What the file holds. Script and weights are of the first lane where none is chosen, the others of all lanes."""
    if what == "config":
        return (race if lane is None else race.take_lane(lane)).to_json()
    if what == "script":
        return make_script(race, lane or 0)
    if what == "weights":
        from resnet_viz.lab.experiments.files import save_weights

        _frame, state = follow(race.take_lane(lane or 0))
        return save_weights(state)
    race = race if lane is None else race.take_lane(lane)
    if what == "player":
        return make_player(record(race), lambda: [name_lane(race, i) for i in range(len(race.lanes))])
    names = [name_lane(race, i) for i in range(len(race.lanes))]
    runs = [follow(race.take_lane(i)) for i in range(len(race.lanes))]
    if what == "frames":
        return WRITERS[path.suffix](make_table([frame for frame, _state in runs], names))
    from resnet_viz.lab.experiments.training import finish

    lanes = [LaneReport(name, frame, finish(state)) for name, (frame, state) in zip(names, runs, strict=True)]
    return make_report(race, lanes, race.steps)


def record(race: RaceConfig) -> dict[str, Any]:
    """Train every lane to its end, and record it: each row, and one where it ended."""
    from resnet_viz.lab.experiments.training import measure

    runs = []
    for lane in range(len(race.lanes)):
        frame, state = follow(race.take_lane(lane))
        runs.append(frame if frame.diverged else join_frames([frame, measure(state)]))
    return make_recording(race, runs)


def name_lane(race: RaceConfig, lane: int) -> str:
    """A net's name; with its number where another has the same."""
    names = [_("Residual net") if one.net.residual else _("Plain net") for one in race.lanes]
    return names[lane] if names.count(names[lane]) == 1 else f"{names[lane]} {lane}"


def follow(race: RaceConfig) -> tuple[Frame, State]:
    """Train a race of one lane to its end, with what was changed and edited on the way: all its frames as one."""
    from tqdm import tqdm

    from resnet_viz.lab.experiments import operations

    frames = []
    with tqdm(total=race.steps, unit="step", file=sys.stderr, dynamic_ncols=True) as bar:
        def watch(frame: Frame) -> None:
            frames.append(frame)
            bar.update(len(frame))

        state = operations.follow(race, watch)
    return join_frames(frames), state
