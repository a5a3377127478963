"""`credit`, `paths`, `gradients` and `landscape` on the command line: their JSON, and what it must add up to."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from resnet_viz.cli import main

NET = ["--depth", "8", "--width", "16", "--steps", "40"]


def run_json(capsys: pytest.CaptureFixture, *arguments: str) -> dict:
    assert main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("method", ["conductance", "deep-lift", "integrated-gradients"])
def test_credit_splits_each_block(capsys, method: str) -> None:
    """Shortcut and branch add up to the change of the output, block by block, within the error that is told."""
    blocks = run_json(capsys, "credit", *NET, "--method", method, "--samples", "3")["blocks"]
    assert len(blocks) == 3 and len({block["output_change"] for block in blocks}) == 1
    for block in blocks:
        gap = abs(block["shortcut"] + block["branch"] - block["output_change"]) / abs(block["output_change"])
        assert gap == pytest.approx(block["completeness_error"], abs=1e-6) and gap < 0.05


def test_paths_are_counted_and_add_up(capsys) -> None:
    found = run_json(capsys, "paths", *NET)
    assert found["lengths"] == [math.comb(3, k) for k in range(4)]
    assert len(found["gradient_norm_by_length"]) == 4 and 0 < found["effective_length"] < 3
    assert found["sum_error"] < 1e-10
    assert run_json(capsys, "paths", *NET, "--no-skip")["lengths"] == [0, 0, 0, 1]


def test_gradients_beside_the_theory(capsys) -> None:
    found = run_json(capsys, "gradients", "--depth", "20", "--no-skip", "--init", "he", "--seeds", "2")
    assert found["theory"] == 0 and all(abs(slope) < 0.1 for slope in found["slopes"])
    plain = next(row for row in found["table"] if (row["init"], row["norm"], row["residual"]) == ("default", "none", False))
    assert plain["slope"] == pytest.approx(plain["theory"], abs=0.05)
    assert plain["theory"] == pytest.approx(math.log10(1 / 6))
    assert len(found["table"]) == 16 and found["autocorrelation"][0] == pytest.approx(1)


def test_landscape_has_the_net_at_its_centre(capsys, tmp_path: Path) -> None:
    """Trained, or with the weights of a file: the same net, the same plane, the same losses."""
    weights = str(tmp_path / "net.safetensors")
    trained = run_json(capsys, "landscape", *NET, "--grid", "5", "--save", weights)
    assert trained["loss"][2][2] == pytest.approx(trained["net_loss"], rel=1e-4) == trained["centre_loss"]
    assert [len(row) for row in trained["loss"]] == [5] * 5 and trained["seconds"] > 0
    read = run_json(capsys, "landscape", "--weights", weights, "--grid", "5")
    assert read["loss"] == trained["loss"]


@pytest.mark.parametrize(("command", "option", "value"), [
    ("landscape", "--grid", "0"), ("landscape", "--grid", "1e9"), ("landscape", "--range", "nan"),
    ("landscape", "--statistics", "none"), ("credit", "--method", "magic"), ("credit", "--samples", "99999"),
    ("credit", "--baseline", "sun"), ("credit", "--target", "10"), ("credit", "--credit-steps", "-1"),
    ("paths", "--samples-per-length", "x"), ("gradients", "--seeds", "0"), ("landscape", "--weights", "/nowhere")])
def test_bad_option_is_one_sentence_and_exit_2(capsys, command: str, option: str, value: str) -> None:
    assert main([command, *NET[:-1], "2", option, value, "--json"]) == 2
    captured = capsys.readouterr()
    lines = [line for line in captured.err.splitlines() if "step/s" not in line and line.strip()]
    assert not captured.out and len(lines) == 1
