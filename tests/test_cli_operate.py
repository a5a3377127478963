"""`operate` and `train --save`: the JSON, weights there and back to the bit, and what is said of bad input."""

from __future__ import annotations

import json
import math
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from resnet_viz.cli import main
from resnet_viz.lab.experiments import training
from resnet_viz.lab.experiments.operations import measure_operation
from resnet_viz.records import Lane, NetConfig, Operation

NET = ("--depth", "8", "--width", "16")
SHORT = (*NET, "--steps", "20")
ACCURACIES = {"train_accuracy", "train_loss", "test_accuracy", "test_loss"}


def run_json(capsys: pytest.CaptureFixture, *arguments: str) -> dict:
    assert main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def refuse(capsys: pytest.CaptureFixture, *arguments: str) -> str:
    """The one sentence that bad arguments are refused with."""
    assert main([*arguments, "--json"]) == 2
    out, error = capsys.readouterr()
    assert out == "" and error.count("\n") == 1 and len(error) < 600 and "Traceback" not in error
    return error


@pytest.fixture
def saved(capsys: pytest.CaptureFixture, tmp_path: Path) -> str:
    """The weights of a short training, in a file."""
    path = str(tmp_path / "net.safetensors")
    run_json(capsys, "train", *SHORT, "--save", path)
    return path


# ---------------------------------------------------------------------------------------------------- results


def test_operate_trains_first_and_prints_one_object(capsys):
    """The same numbers as the functions that the app's workers call."""
    result = run_json(capsys, "operate", *SHORT, "--block", "1", "--operation", "zero-wb")
    assert set(result) == {"config", "operation", "before", "after", "identity_gap", "is_identity"}
    assert set(result["before"]) == set(result["after"]) == ACCURACIES
    assert result["identity_gap"] == 0.0 and result["is_identity"] is True
    state = training.make_state(Lane(NetConfig(depth=8, width=(16,))), "digits", 0)
    expected = measure_operation(training.advance(state, 20)[0], [Operation("zero-wb", 1)])
    assert (result["before"], result["after"]) == (expected.before, expected.after)


@pytest.mark.parametrize("options", [
    ("zero-w",), ("zero-wb",), ("zero-norm", "--norm", "batch"), ("lesion",), ("lesion", "--no-skip"), ("cut-shortcut",),
    ("scale", "--alpha", "0.5"), ("scale", "--alpha", "1", "--alpha-bias", "0"), ("swap", "--other", "0"),
    ("lesion", "--norm", "batch", "--recompute"),
])
def test_each_operation(capsys, options):
    result = run_json(capsys, "operate", *SHORT, "--block", "2", "--operation", *options)
    assert result["operation"]["kind"] == options[0] and result["after"] != result["before"]
    assert result["is_identity"] is (options[0] in ("zero-wb", "zero-norm", "lesion"))


def test_scale_by_one_changes_nothing(capsys):
    result = run_json(capsys, "operate", *SHORT, "--block", "1", "--operation", "scale", "--alpha", "1")
    assert result["after"] == result["before"] and result["identity_gap"] > 0


def test_no_gap_where_dimensions_differ(capsys):
    """As null; and so is what is not finite."""
    result = run_json(capsys, "operate", "--depth", "6", "--width", "8,16", "--shortcut", "projection", "--steps", "5",
                      "--block", "1", "--operation", "zero-wb")
    assert result["identity_gap"] is None and result["is_identity"] is False
    exploding = ("--init", "he", "--depth", "60", "--lr", "100", "--steps", "50")
    result = run_json(capsys, "operate", *exploding, "--block", "1", "--operation", "cut-shortcut")
    assert all(v is None or math.isfinite(v) for part in ("before", "after") for v in result[part].values())


def test_result_for_people(capsys):
    assert main(["operate", *SHORT, "--block", "1", "--operation", "lesion"]) == 0
    assert "is_identity" in capsys.readouterr().out


# ---------------------------------------------------------------------------------------------------- weights


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_saved_weights_give_the_same_bits(capsys, tmp_path: Path, norm: str):
    """Trained or read, with the net's options or those of the file, the numbers are the same."""
    path, operation = str(tmp_path / "net.safetensors"), ("--block", "0", "--operation", "zero-w")
    trained = run_json(capsys, "operate", *SHORT, "--norm", norm, "--save", path, *operation)
    for options in ((), (*NET, "--norm", norm)):
        assert run_json(capsys, "operate", "--weights", path, *options, *operation) == trained
    with safe_open(path, framework="numpy") as file:
        assert json.loads(file.metadata()["config"]) == trained["config"]
        assert ("blocks.0.norm2.running_var" in set(file.keys())) is (norm == "batch")
        assert file.get_slice("blocks.0.layer2.weight").get_shape() == [16, 16]


def test_train_and_then_operate_is_operate(capsys, saved: str):
    """`train --save` and `operate --weights` give what `operate` gives that trains first."""
    operation = ("--block", "2", "--operation", "scale", "--alpha", "0.25")
    assert run_json(capsys, "operate", "--weights", saved, *operation) == run_json(capsys, "operate", *SHORT, *operation)


def test_weights_of_elsewhere_are_read(capsys, tmp_path: Path, saved: str):
    """Without a configuration, in double precision, and with torch's own counters of batches."""
    path = str(tmp_path / "other.safetensors")
    save_file({"stem.norm.num_batches_tracked": np.array(3), **{name: value.astype(np.float64)
                                                               for name, value in load_file(saved).items()}}, path)
    operation = ("--block", "0", "--operation", "zero-w")
    ours, theirs = (run_json(capsys, "operate", "--weights", file, *NET, *operation) for file in (saved, path))
    assert theirs["after"] == ours["after"]
    assert "of 20 layers, and the file’s has 8" in refuse(capsys, "operate", "--weights", path, *operation)


def test_weights_are_read_as_trainers_write_them(capsys, tmp_path: Path, saved: str):
    """As torch saves them, in a checkpoint, under a prefix; what they cannot be used for says why."""
    state = {f"module.{name}": torch.tensor(value) for name, value in load_file(saved).items()}
    path, operation = str(tmp_path / "net.pth.tar"), ("--block", "0", "--operation", "zero-w")
    torch.save({"state_dict": state, "epoch": 3, "optimizer": {}}, path)
    ours, theirs = (run_json(capsys, "operate", "--weights", file, *NET, *operation) for file in (saved, path))
    assert theirs["after"] == ours["after"]
    torch.save({"net": state | {"module.head.layer.bias": state["module.head.layer.bias"] / 0}}, path)
    told = refuse(capsys, "operate", "--weights", path, *NET, *operation)
    assert "head.layer.bias holds numbers that are not finite" in told
    Path(path).write_text("<!DOCTYPE html>")
    assert "is a web page" in refuse(capsys, "operate", "--weights", path, *NET, *operation)


def test_options_go_before_the_files_configuration(capsys, saved: str):
    """And what then does not fit is named with both shapes."""
    operation = ("--block", "0", "--operation", "zero-w")
    error = refuse(capsys, "operate", "--weights", saved, "--width", "32", *operation)
    assert error.startswith("--weights") and "stem.layer.weight" in error and "32×64" in error and "16×64" in error
    deeper = refuse(capsys, "operate", "--weights", saved, "--depth", "10", *operation)
    assert "weights of a net of 10 layers, and the file’s has 8" in deeper
    assert "stem.norm.weight" in refuse(capsys, "operate", "--weights", saved, "--norm", "batch", *operation)
    cut = run_json(capsys, "operate", "--weights", saved, "--no-skip", "--block", "0", "--operation", "lesion")
    assert cut["config"]["skip"] is False and cut["is_identity"] is True


@pytest.mark.parametrize("content", [b"", b"\0" * 8, b"\xff" * 100, b"PK\x03\x04" + b"x" * 100,
                                     b"\x02\0\0\0\0\0\0\0{}", b"\x10\0\0\0\0\0\0\0{\"a\": [1, 2, 3]}"])
def test_unreadable_weights_are_one_sentence(capsys, tmp_path: Path, content: bytes):
    path = tmp_path / "bad.safetensors"
    path.write_bytes(content)
    error = refuse(capsys, "operate", "--weights", str(path), "--block", "0", "--operation", "zero-w")
    assert error.startswith("--weights")


def test_nothing_is_unpickled(capsys, tmp_path: Path):
    """A pickle, as torch.save writes them, is refused and not run."""
    class Trap:
        def __reduce__(self):
            return Path.touch, (tmp_path / "sprung",)

    path = tmp_path / "net.safetensors"
    path.write_bytes(pickle.dumps(Trap()))
    refuse(capsys, "operate", "--weights", str(path), "--block", "0", "--operation", "zero-w")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("config", ["{", "[]", '{"depht": 3}', '{"depth": 1202, "width": [1024]}', '{"family": [1]}',
                                    '{"width": {"a": 1}}', '{"depth": NaN}', "[" * 100_000])
def test_bad_configuration_beside_the_weights_is_one_sentence(capsys, tmp_path: Path, saved: str, config: str):
    path = str(tmp_path / "bad.safetensors")
    save_file(load_file(saved), path, {"config": config})
    refuse(capsys, "operate", "--weights", path, "--block", "0", "--operation", "zero-w")


def test_other_kinds_of_numbers_are_refused(capsys, tmp_path: Path, saved: str):
    path = str(tmp_path / "whole.safetensors")
    save_file({name: value.astype(np.int32) for name, value in load_file(saved).items()}, path)
    assert "int32" in refuse(capsys, "operate", "--weights", path, *NET, "--block", "0", "--operation", "zero-w")


# ---------------------------------------------------------------------------------------------------- bad options


@pytest.mark.parametrize(("arguments", "word"), [
    ((), "--operation"), (("--operation", "zero-w"), "--block"), (("--block", "0"), "--operation"),
    (("--operation", "amputate", "--block", "0"), "--operation"), (("--operation", "zero-w", "--block", "3"), "--block"),
    (("--operation", "zero-w", "--block", "-1"), "--block"), (("--operation", "zero-w", "--block", "1.5"), "--block"),
    (("--operation", "zero-w", "--block", "9" * 5000), "--block"),
    (("--operation", "scale", "--block", "0", "--alpha", "1.5"), "--alpha"),
    (("--operation", "scale", "--block", "0", "--alpha", "nan"), "--alpha"),
    (("--operation", "scale", "--block", "0", "--alpha", "1", "--alpha-bias", "x"), "--alpha-bias"),
    (("--operation", "swap", "--block", "0"), "--other"),
    (("--operation", "zero-norm", "--block", "0"), "--operation"),
    (("--operation", "cut-shortcut", "--block", "0", "--no-skip"), "A plain net"),
    (("--operation", "lesion", "--block", "0", "--recompute"), "--recompute"),
    (("--operation", "zero-w", "--block", "0", "--weights", "/nowhere.safetensors"), "--weights"),
    (("--operation", "zero-w", "--block", "0", "--weights", "/"), "--weights"),
    (("--operation", "zero-w", "--block", "0", "--weights", ""), "--weights"),
    (("--operation", "zero-w", "--block", "0", "--save", "/nowhere/net.safetensors"), "--save"),
    (("--operation", "zero-w", "--block", "0", "--lr", "x"), "--lr"),
])
def test_bad_option_is_one_sentence_and_exit_2(capsys, arguments: tuple[str, ...], word: str):
    """Before anything is trained: the default steps would take a while."""
    assert word in refuse(capsys, "operate", *NET, *arguments)


def test_nothing_is_written_where_nothing_is_trained(capsys, tmp_path: Path, saved: str):
    for option in ("frames", "save"):
        path = tmp_path / option
        assert refuse(capsys, "operate", "--weights", saved, "--block", "0", "--operation", "zero-w", f"--{option}",
                      str(path)).startswith(f"--{option}")
        assert not path.exists()


def test_errors_speak_the_readers_language(capsys, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert "捷径" in refuse(capsys, "operate", "--block", "0", "--operation", "cut-shortcut", "--no-skip")
    monkeypatch.setenv("LC_ALL", "C")
    assert "plain net" in refuse(capsys, "operate", "--block", "0", "--operation", "cut-shortcut", "--no-skip")
