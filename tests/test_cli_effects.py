"""Nothing that is given is lost without a word: of every two options of every command each changes the result, or the
command refuses them."""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from resnet_viz import cli, cli_export, cli_sweep
from resnet_viz.cli_options import PLURALS, make_parser, read_options
from resnet_viz.lab import architecture
from resnet_viz.lab.experiments import files, operations, training
from resnet_viz.records import ConfigError, Lane, NetConfig, RaceConfig
from resnet_viz.sweeps import make_run

SMALL = {"depth": 8, "width": 8, "steps": 3, "batch_size": 16}  # of a file, so that the options' defaults are cheap
SETTINGS = {
    "dataset": "moons", "family": "conv", "depth": "14", "width": "4", "shortcut": "none", "norm": "batch", "init": "he",
    "order": "pre", "no-skip": "", "cut": "1", "activation": "tanh", "optimizer": "adamw", "lr": "0.01", "momentum": "0.5",
    "weight-decay": "0.1", "batch-size": "32", "decay": "decoupled", "decay-block": "1", "decay-bias": "0", "steps": "4",
    "seed": "7"}
FIELDS = {name: name.replace("-", "_") for name in SETTINGS} | {"no-skip": "skip", "cut": "cuts"}
FILES = {"frames": "frames", "save": "save", "weights": "net.safetensors"}
OWN = {  # each command's own options, and what it is given besides, for the pairs to differ from
    "operate": ({"operation": "lesion", "block": "1", "alpha": "0.5", "alpha-bias": "0.25", "other": "2", "recompute": "",
                 **FILES},
                [{"operation": "zero-w", "block": "0"}, {"operation": "scale", "block": "0", "alpha": "1"},
                 {"operation": "scale-norm", "block": "0", "alpha": "1", "norm": "batch"},
                 {"operation": "swap", "block": "0", "other": "1"}]),
    "credit": ({"method": "deep-lift", "baseline": "mean", "samples": "3", "target": "1", "credit-steps": "7"} | FILES,
               [{}]),
    "paths": ({"samples-per-length": "3"} | FILES, [{}]),
    "landscape": ({"grid": "1", "range": "0.5", "statistics": "batch"} | FILES, [{}, {"norm": "batch"}]),
    "gradients": ({"seeds": "4"}, [{}]),
    "export": ({"what": "config"}, [{"what": "script", "output": "out"}]),
    "info": ({"channels": "3", "size": "4", "classes": "5"}, [{}]),
    "architecture": ({"net": "resnet18", "size": "64", "classes": "7"}, [{}]),
    "sweep": ({option: {"seeds": "2", "lrs": "0.02,0.03", "batch-sizes": "8", "widths": "4;16",
                         "families": "dense,conv"}.get(option)
               or SETTINGS[name.replace("_", "-")] for option, name in PLURALS.items()}, [{}]),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pairs")
    (path / "small.json").write_text(json.dumps(SMALL))
    lane = Lane(NetConfig(depth=8, width=(8,)))
    (path / "net.safetensors").write_bytes(files.save_weights(training.make_state(lane, "digits", 0)))
    return path


@functools.cache
def get_parser() -> argparse.ArgumentParser:
    return make_parser()


def check_pairs(options: dict[str, str], obtain: Callable[[dict[str, str]], object], base: dict[str, str],
                settle: Callable[[dict[str, str]], object]) -> None:
    """The law, over all single options and pairs of them. An option may say what is so anyway, by a default: then
    `settle`, the settings that result, is equal without it. What is refused is told by both names.
    """
    @functools.cache
    def outcome(*names: str) -> object:
        try:
            return obtain(base | {name: options[name] for name in names})
        except ConfigError as error:
            told = cli.sentence(error)
            if "no effect" in told:
                assert told.count("--") >= 2, told
            return "refused: " + told

    for names in itertools.chain(itertools.combinations(options, 1), itertools.combinations(options, 2)):
        found = outcome(*names)
        if not str(found).startswith("refused"):
            for name in names:
                others = [other for other in names if other != name]
                if found == outcome(*others):
                    anyway = settle(base | {other: options[other] for other in others})
                    told = settle(base | {other: options[other] for other in names})
                    assert name in SETTINGS and told == anyway, f"{name} does nothing in {' '.join(names)} beside {base}"


def parse(command: str, given: dict[str, str], folder: Path) -> argparse.Namespace:
    arguments = [] if command == "architecture" else ["--config", str(folder / "small.json")]
    for name, value in given.items():
        path = str(folder / value) if name in FILES or name == "output" else value
        arguments += [f"--{name}", path] if value else [f"--{name}"]
    return get_parser().parse_args([command, *arguments])


def settle(command: str, folder: Path, given: dict[str, str]) -> RaceConfig:
    """The settings that result."""
    return make_run(read_options(parse(command, given, folder)))


def test_every_two_settings_of_a_run_change_its_numbers(folder: Path) -> None:
    """Really trained, three steps of a small net each, and compared to the bit."""
    def train(given: dict[str, str]) -> object:
        options = parse("train", given, folder)
        race = cli.make_checked_run(options, read_options(options))
        state, _frame = training.advance(training.make_state(race.lanes[0], race.dataset, race.seed), race.steps)
        return state.weights.tobytes(), state.lane.net.activation, state.lane.net.skip

    check_pairs(SETTINGS, train, {}, functools.partial(settle, "train", folder))


@pytest.mark.parametrize("shortcut", ["zero-pad", "projection", "projection-all"])
@pytest.mark.parametrize("more", [{}, {"no-skip": ""}, {"width": "4,8"}, {"width": "4,8", "no-skip": ""},
                                  {"family": "conv"}, {"family": "conv", "no-skip": ""}])
def test_each_shortcut_changes_a_net_or_is_refused(shortcut: str, more: dict[str, str], folder: Path) -> None:
    def train(given: dict[str, str]) -> object:
        options = parse("train", given, folder)
        race = cli.make_checked_run(options, read_options(options))
        return training.advance(training.make_state(race.lanes[0], race.dataset, race.seed), 2)[0].weights.tobytes()

    if shortcut != "zero-pad" or more.get("family") != "conv":  # which a convolutional net has anyway
        check_pairs({"shortcut": shortcut}, train, more, functools.partial(settle, "train", folder))


@pytest.mark.parametrize("command", OWN)
def test_every_two_options_of_a_command_change_what_it_does(command: str, folder: Path, monkeypatch) -> None:
    """What reaches the measurement, or the file; nothing is trained."""
    def load(path: str, lane: Lane, dataset: str, seed: int) -> object:
        drawn = seed if command == "landscape" else None  # of directions; `paths` is given its own
        return "loaded", path, lane.net.__dict__ | {"init": None}, dataset, drawn

    def echo(*seen: object) -> object:
        return SimpleNamespace(to_jsonable=lambda: {"seen": repr(seen)})

    monkeypatch.setattr(cli, "train_to_files", lambda race, options: (("trained", race, options.frames, options.save),))
    monkeypatch.setattr(files, "load_weights", load)
    monkeypatch.setattr(operations, "measure_operation", echo)
    monkeypatch.setattr(architecture, "trace_architecture", echo)
    monkeypatch.setattr(cli, "write_config", lambda race: {})
    monkeypatch.setattr(cli, "measure_why", echo_why)
    monkeypatch.setattr(cli, "count_parameters", lambda net, data: repr((net, data)))
    monkeypatch.setattr(cli_export, "make_content", lambda *seen: repr(seen[:3]))

    def obtain(given: dict[str, str]) -> object:
        options = parse(command, given, folder)
        if command == "sweep":
            return [(run.place, run.race) for run in cli_sweep.read_sweep(options).list_runs()]
        found = cli.obtain_result(options)
        return (folder / "out").read_text() if command == "export" else str(found)

    own, bases = OWN[command]
    settings = SETTINGS if command in ("operate", "credit", "paths", "landscape", "sweep", "export") else {}
    if command in ("gradients", "info"):
        settings = {name: value for name, value in SETTINGS.items() if hasattr(parse(command, {}, folder), FIELDS[name])}
    for base in bases:
        check_pairs(settings | own, obtain, base, functools.partial(settle, command, folder))


def echo_why(options: argparse.Namespace, race: RaceConfig, state: object) -> dict[str, str]:
    """What a measurement reads: the net, the seed where it draws, and the command's own options."""
    own = {name: value for name, value in vars(options).items() if name.replace("_", "-") in OWN[options.command][0]}
    own = {name: value for name, value in own.items() if name not in FILES}
    seed = race.seed if options.command in ("paths", "landscape") else None
    return {"seen": repr((race if options.command == "gradients" else state, seed, own))}


# ---------------------------------------------------------------------------------------------------- files and more


@pytest.mark.parametrize(("command", "first", "second"), [
    ("train", "save", "frames"), ("train", "config", "save"), ("train", "config", "frames"),
    ("operate", "weights", "config"), ("credit", "picture", "weights"), ("export", "config", "output"),
    ("sweep", "config", "database")])
@pytest.mark.parametrize("spelling", ["plain", "dots", "symlink", "hard link"])
def test_two_options_that_name_one_file_are_refused(command, first, second, spelling, tmp_path: Path, capsys) -> None:
    """However it is spelled; what it holds stays as it was."""
    path, other = tmp_path / "one", {"dots": tmp_path / "x" / ".." / "one"}.get(spelling, tmp_path / "one")
    (tmp_path / "x").mkdir()
    path.write_text('{"depth": 4, "steps": 2}')
    if spelling in ("symlink", "hard link"):
        other = tmp_path / "other"
        (os.symlink if spelling == "symlink" else os.link)(path, other)
    address = f"sqlite:///{other}" if second == "database" else str(other)
    assert cli.main([command, f"--{first}", str(path), f"--{second}", address]) == 2
    told = capsys.readouterr().err
    assert f"--{first} " in told and f"--{second} " in told and told.endswith("name one file.\n")
    assert path.read_text() == '{"depth": 4, "steps": 2}'


@pytest.mark.parametrize(("line", "told"), [
    ("train --depth 4 --depth 8", "--depth 4 and --depth 8: only one of them can be meant."),
    ("train --optimizer adamw --momentum 0.5", "--momentum 0.5 has no effect with --optimizer adamw."),
    ("train --decay-block 0", "--decay-block 0 has no effect with --weight-decay 0."),
    ("train --no-skip --shortcut none", "--shortcut none has no effect with --no-skip."),
    ("sweep --depths 8 --depth 20", "--depth 20 and --depths 8: only one of them can be meant."),
    ("sweep --optimizer adamw --momentums 0,0.5", "--momentums 0,0.5 has no effect with --optimizer adamw."),
    ("operate --operation scale --block 0", "--operation scale needs --alpha A: from 0 to 1."),
    ("operate --operation zero-w --block 0 --alpha 0", "--alpha 0 has no effect with --operation zero-w."),
    ("operate --operation lesion --block 0 --recompute", "--recompute has no effect with --norm none."),
    ("landscape --statistics batch", "--statistics batch has no effect with --norm none."),
    ("landscape --grid 1 --range 2", "--range 2 has no effect with --grid 1."),
    ("credit --method deep-lift --credit-steps 9", "--credit-steps 9 has no effect with --method deep-lift."),
    ("credit --net resnet18 --picture a.png --baseline zero", "--baseline zero has no effect with --picture a.png."),
    ("info --dataset moons --channels 1 --size 2 --classes 3",
     "--dataset moons has no effect with --channels 1, --size 2 and --classes 3.")])
def test_what_would_be_lost_is_refused_by_both_names(line: str, told: str, capsys) -> None:
    assert cli.main(line.split()) == 2
    assert capsys.readouterr().err == told + "\n"
