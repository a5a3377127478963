"""The command line: its JSON, its determinism, and what it says of bad input."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from resnet_viz.cli import main
from resnet_viz.lab.experiments import training
from resnet_viz.lab.experiments.operations import edit_state
from resnet_viz.records import Change, Edit, Lane, NetConfig, Operation, RaceConfig, TrainConfig

TRAIN_KEYS = {"config", "steps", "train_loss", "train_accuracy", "test_loss", "test_accuracy", "parameters",
              "activation_gradient_norms", "initial_activation_gradient_norms", "shortcut_ratio", "steps_per_second",
              "diverged", "overflow"}


def run_json(capsys: pytest.CaptureFixture, *arguments: str) -> dict:
    assert main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_train_prints_one_object(capsys: pytest.CaptureFixture) -> None:
    result = run_json(capsys, "train", "--depth", "8", "--steps", "30", "--seed", "3")
    assert set(result) == TRAIN_KEYS
    assert result["steps"] == 30 and result["diverged"] is False and result["overflow"] is None
    assert len(result["activation_gradient_norms"]) == len(result["initial_activation_gradient_norms"]) == 7
    assert len(result["shortcut_ratio"]) == 3 and all(ratio > 0 for ratio in result["shortcut_ratio"])
    assert result["config"]["depth"] == 8 and result["config"]["seed"] == 3


def test_shortcuts_are_cut_block_by_block(capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    """From 0; of a file too, whose blocks an option overrides; all of them are the plain net, to the bit."""
    small = ["train", "--depth", "8", "--width", "8", "--steps", "12"]
    one = run_json(capsys, *small, "--cut", "1")
    assert one["config"]["cuts"] == [1] and [ratio is None for ratio in one["shortcut_ratio"]] == [False, True, False]
    (tmp_path / "race.json").write_text(json.dumps({"depth": 8, "width": 8, "steps": 12, "cuts": [1]}))
    for arguments, cuts in (((), [1]), (("--cut", "2,0"), [0, 2]), (("--cut", ""), [])):
        assert run_json(capsys, "train", "--config", str(tmp_path / "race.json"), *arguments)["config"]["cuts"] == cuts
    every, plain = run_json(capsys, *small, "--cut", "0,1,2"), run_json(capsys, *small, "--no-skip")
    assert every["test_loss"] == plain["test_loss"] != one["test_loss"]
    for arguments, words in ((("--cut", "3"), "--cut cannot be 3: it takes blocks of this net, from 0 to 2."),
                             (("--cut", "1,1"), "--cut cannot be 1: it takes each block once."),
                             (("--cut", "x"), "--cut cannot be “x”: it takes blocks with commas between, such as 3,4."),
                             (("--cut", "1", "--no-skip"), "--cut 1 has no effect with --no-skip."),
                             (("--cut", "1", "--shortcut", "none"), "--cut 1 has no effect with --shortcut none.")):
        assert main([*small, *arguments]) == 2
        assert capsys.readouterr().err.strip() == words


def test_same_options_give_the_same_bits_as_the_app(capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    """Two processes and the functions that the app's workers call: equal in every number but the speed."""
    options = ["train", "--depth", "8", "--width", "32", "--steps", "70", "--norm", "batch", "--json"]
    outputs = [json.loads(subprocess.run([sys.executable, "-m", "resnet_viz", *options], check=True,
                                         capture_output=True, text=True).stdout) for _ in range(2)]
    for output in outputs:
        output.pop("steps_per_second")
    assert outputs[0] == outputs[1]
    state, frame = training.advance(training.make_state(Lane(NetConfig(depth=8, width=(32,), norm="batch")),
                                                              "digits", 0), 70)
    assert outputs[0]["activation_gradient_norms"] == frame.gradient[-1].tolist()
    assert outputs[0]["test_loss"] == training.finish(state)["test_loss"]


def test_a_race_with_changes_and_operations_is_trained_as_the_app_does(capsys, tmp_path: Path) -> None:
    """The file that stands for an operated lane gives the lane's numbers: changed and operated on at the same steps."""
    lane = Lane(NetConfig(depth=8, width=(16,)), TrainConfig(batch_size=32))
    race = RaceConfig(steps=70, lanes=(lane,), changes=(Change(20, 0, "lr", 0.01), Change(60, 0, "skip", False)),
                      edits=(Edit(20, 0, Operation("zero-wb", 1)),))
    state = training.advance(training.make_state(lane, "digits", 0), 20)[0]
    state = edit_state(state, [Operation("zero-wb", 1)])
    state = training.advance(state, 40, race.lane_at(0, 20))[0]
    expected = training.finish(training.advance(state, 10, race.lane_at(0, 60))[0])
    path = tmp_path / "race.json"
    path.write_text(race.to_json(), encoding="utf-8")
    result = run_json(capsys, "train", "--config", str(path))
    assert {name: result[name] for name in expected} == expected
    assert result["config"]["edits"][0]["operation"]["block"] == 1


def test_what_was_done_after_the_last_step_is_done(capsys, tmp_path: Path) -> None:
    """As in the app, and in what `export` writes of the same file."""
    lane = Lane(NetConfig(depth=8, width=(16,)))
    race = RaceConfig(steps=12, lanes=(lane,), changes=(Change(12, 0, "skip", False),),
                      edits=(Edit(12, 0, Operation("zero-wb", 1)),))
    state = training.advance(training.make_state(lane, "digits", 0), 12)[0]
    state = edit_state(replace(state, lane=race.lane_at(0, 12)), [Operation("zero-wb", 1)])
    (tmp_path / "race.json").write_text(race.to_json(), encoding="utf-8")
    options = ["--config", str(tmp_path / "race.json")]
    result = run_json(capsys, "train", *options, "--save", str(tmp_path / "a"))
    expected = training.finish(state)
    assert {name: result[name] for name in expected} == expected
    run_json(capsys, "export", *options, "--what", "weights", "--output", str(tmp_path / "b"))
    a, b = load_file(tmp_path / "a"), load_file(tmp_path / "b")
    assert all(np.array_equal(a[name], b[name]) for name in a) and not a["blocks.1.layer2.weight"].any()
    for name in "ab":  # the file knows that the shortcuts are cut
        again = run_json(capsys, "operate", "--weights", str(tmp_path / name), "--operation", "zero-w", "--block", "1")
        assert again["before"] == expected


def test_frames_are_written(capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    path = tmp_path / "frames.jsonl"
    run_json(capsys, "train", "--depth", "4", "--steps", "120", "--frames", str(path))
    frames = [json.loads(line) for line in path.read_text().splitlines()]
    assert [frame["first"] for frame in frames] == [0, 50, 100]
    assert sum(len(frame["loss"]) for frame in frames) == 120


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a disk that is always full is Linux’s")
@pytest.mark.parametrize("option", ["frames", "save"])
def test_a_full_disk_is_one_sentence_and_exit_2(capsys, tmp_path: Path, option: str) -> None:
    """And weights that are there stay until there are others."""
    (tmp_path / "net").write_bytes(b"old")
    files = {"save": str(tmp_path / "net")} | {option: "/dev/full"}
    given = [word for name, path in files.items() for word in (f"--{name}", path)]
    assert main(["train", "--depth", "4", "--steps", "3", *given, "--json"]) == 2
    out, error = capsys.readouterr()
    assert out == "" and error.splitlines()[-1].startswith(f"--{option} cannot be “/dev/full”") and "Traceback" not in error
    assert (tmp_path / "net").read_bytes() == b"old"


def test_config_file_and_options(capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    """A flat file or a race of one lane; options go before the file."""
    flat, race = tmp_path / "flat.json", tmp_path / "race.json"
    flat.write_text(json.dumps({"depth": 6, "width": "16", "steps": 5, "batch-size": 64}))
    race.write_text(RaceConfig(steps=5, lanes=(Lane(NetConfig(depth=6, width=(16,))),)).to_json())
    first = run_json(capsys, "train", "--config", str(flat), "--seed", "2")
    assert (first["config"]["depth"], first["config"]["batch_size"], first["config"]["seed"]) == (6, 64, 2)
    assert run_json(capsys, "train", "--config", str(race))["config"]["width"] == [16]


@pytest.mark.parametrize(("depth", "overflow"), [("30", "loss"), ("20", "square")])
def test_divergence_is_reported_as_finite_json(capsys: pytest.CaptureFixture, depth: str, overflow: str) -> None:
    result = run_json(capsys, "train", "--init", "he", "--depth", depth, "--lr", "1", "--steps", "100")
    assert result["diverged"] is True and result["steps"] < 100 and result["overflow"] == overflow
    assert all(math.isfinite(value) for value in result["activation_gradient_norms"])


@pytest.mark.parametrize(("depth", "parameters", "multiply_adds"), [
    ("20", 269_722, 40_551_040), ("56", 853_018, 125_485_696), ("110", 1_727_962, 252_887_680)])
def test_info_counts_what_the_paper_counts(capsys, depth: str, parameters: int, multiply_adds: int) -> None:
    result = run_json(capsys, "info", "--family", "conv", "--depth", depth, "--width", "16", "--norm", "batch",
                      "--shortcut", "zero-pad", "--channels", "3", "--size", "32", "--classes", "10")
    assert (result["parameters"], result["multiply_adds"]) == (parameters, multiply_adds)
    assert sum(layer["counted"] for layer in result["layers"]) == int(depth)


BAD = {
    "depth": ["1000000", "21", "0", "-4", "abc", "nan", "2" * 5000],
    "width": ["100000", "0", "64,,3", "a" * 5000, ""],
    "lr": ["nan", "inf", "-1", "x"],
    "steps": ["0", "1e9", "10000000000000"],
    "seed": ["-1", "3.5"],
    "batch-size": ["1", "1438", "99999999"],
    "shortcut": ["wormhole"], "norm": ["layer"], "dataset": ["cifar"], "family": ["rnn"], "init": ["zeros"],
    "order": ["mid"], "optimizer": ["lion"], "momentum": ["1"], "weight-decay": ["-0.1"],
    "config": ["/nowhere.json"], "frames": ["/nowhere/frames.jsonl"], "save": ["/nowhere/net"],
}


@pytest.mark.parametrize(("option", "value"), [(option, value) for option, values in BAD.items() for value in values])
def test_bad_option_is_one_sentence_and_exit_2(capsys, option: str, value: str) -> None:
    assert main(["train", f"--{option}", value, "--json"]) == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert error.startswith(f"--{option} cannot be") and error.count("\n") == 1 and len(error) < 600


@pytest.mark.parametrize("content", ["{", "[]", "3", '{"depth": NaN}', '{"depth": 1e400}', '{"depht": 3}',
                                     '{"width": {"a": 1}}', '{"lanes": 3}', '{"lanes": [{"net": 3}]}', "[" * 100_000,
                                     '{"steps": ' + "9" * 5000 + "}"])
def test_bad_config_file_is_one_sentence_and_exit_2(capsys, tmp_path: Path, content: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(content)
    assert main(["train", "--config", str(path), "--json"]) == 2
    out, error = capsys.readouterr()
    assert out == "" and error.count("\n") == 1 and len(error) < 600


def test_absurd_size_allocates_nothing() -> None:
    """The budget is checked before torch is even imported."""
    code = ("import sys, resource; resource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31))\n"
            "from resnet_viz.cli import main\n"
            "assert main(['train', '--depth', '1202', '--width', '1024']) == 2\n"
            "assert 'torch' not in sys.modules")
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[1])


def test_errors_speak_the_readers_language(capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert main(["train", "--depth", "21"]) == 2
    assert "层" in capsys.readouterr().err
    monkeypatch.setenv("LC_ALL", "C")
    assert main(["train", "--depth", "21"]) == 2
    assert "it takes" in capsys.readouterr().err
