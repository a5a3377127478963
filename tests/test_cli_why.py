"""`credit`, `paths`, `gradients` and `landscape` on the command line: their JSON, and what it must add up to."""

from __future__ import annotations

import json
import math
import re
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torchvision import models

from resnet_viz.cli import main

torch.set_num_threads(1)
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
    cut = run_json(capsys, "paths", *NET, "--cut", "1")
    assert cut["lengths"] == [0, 1, 2, 1] and cut["sum_error"] < 1e-10


def test_gradients_beside_the_theory(capsys) -> None:
    found = run_json(capsys, "gradients", "--depth", "20", "--shortcut", "none", "--init", "he", "--seeds", "4")
    assert found["theory"] == 0 and all(abs(slope) < 0.1 for slope in found["slopes"])
    table = {(row["init"], row["norm"], row["shortcut"]): row for row in found["table"]}
    assert len(table) == 4 * 2 * 5
    for key, theory in ((("default", "none", "none"), math.log10(1 / 6)), (("xavier", "none", "none"), math.log10(1 / 2)),
                        (("he", "batch", "none"), math.log10(math.pi / (math.pi - 1)))):
        assert table[key]["theory"] == pytest.approx(theory) and table[key]["slope"] == pytest.approx(theory, abs=0.05)
    assert table["zero-last", "none", "none"]["slope"] is None  # no gradient
    assert found["autocorrelation"][0] == pytest.approx(1) and abs(found["autocorrelation"][1]) < 0.2
    residual = run_json(capsys, "gradients", "--depth", "8", "--width", "16,32", "--shortcut", "zero-pad", "--seeds", "2")
    assert {row["shortcut"] for row in residual["table"]} == {"none", "zero-pad", "projection", "projection-all"}
    assert residual["autocorrelation"][1] > 0.6 and residual["theory"] is None


def test_landscape_has_the_net_at_its_centre(capsys, tmp_path: Path) -> None:
    """Trained, or with the weights of a file: the same net, the same plane, the same losses."""
    weights = str(tmp_path / "net.safetensors")
    trained = run_json(capsys, "landscape", *NET, "--grid", "5", "--save", weights)
    assert trained["loss"][2][2] == pytest.approx(trained["net_loss"], rel=1e-4) == trained["centre_loss"]
    assert [len(row) for row in trained["loss"]] == [5] * 5 and trained["seconds"] > 0
    read = run_json(capsys, "landscape", "--weights", weights, "--grid", "5")
    assert read["loss"] == trained["loss"]
    for side, ticks in (("4", [-0.5, -0.5 / 3, 0.5 / 3, 0.5]), ("1", [0.0])):  # the net is no point of an even grid
        reach = ["--range", "0.5"] if side != "1" else []  # of one point there is no range
        found = run_json(capsys, "landscape", "--weights", weights, "--grid", side, *reach)
        assert found["ticks"] == pytest.approx(ticks) and found["centre_loss"] == trained["centre_loss"]
    assert found["loss"] == [[trained["centre_loss"]]]


@pytest.mark.parametrize(("command", "option", "value"), [
    ("landscape", "--grid", "0"), ("landscape", "--grid", "1e9"), ("landscape", "--range", "nan"),
    ("landscape", "--range", "0"),
    ("landscape", "--statistics", "none"), ("credit", "--method", "magic"), ("credit", "--samples", "99999"),
    ("credit", "--baseline", "sun"), ("credit", "--target", "10"), ("credit", "--credit-steps", "-1"),
    ("paths", "--samples-per-length", "x"), ("gradients", "--seeds", "0"), ("landscape", "--weights", "/nowhere")])
def test_bad_option_is_one_sentence_and_exit_2(capsys, command: str, option: str, value: str) -> None:
    net = NET[:4] if command == "gradients" else [*NET[:-1], "2"]
    assert main([command, *net, option, value, "--json"]) == 2
    captured = capsys.readouterr()
    lines = [line for line in captured.err.splitlines() if "step/s" not in line and line.strip()]
    assert not captured.out and len(lines) == 1


# ---------------------------------------------------------------------------------------------------- on a picture


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A picture, and the weights of nets that nobody trained."""
    folder = tmp_path_factory.mktemp("brought")
    torch.manual_seed(3)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)).save(folder / "a.png")
    (folder / "none.png").write_bytes(b"GIF89a")
    state = models.resnet18().state_dict()
    save_file(state, folder / "18.safetensors")
    torch.save(state, folder / "18.pth")
    torch.save(models.resnet34().state_dict(), folder / "34.pth")
    return {path.name: str(path) for path in folder.iterdir()}


def test_credit_of_a_net_on_a_picture(capsys, files: dict[str, str]) -> None:
    """Either kind of file gives the same numbers, and they are not those of random weights, which are named so."""
    options = ["--picture", files["a.png"], "--method", "deep-lift", "--net", "resnet18"]
    found, same, random = (run_json(capsys, "credit", *options, "--weights", weights)
                           for weights in (files["18.safetensors"], files["18.pth"], "random"))
    assert (found["random"], random["random"]) == (False, True) and found == same
    assert len(found["blocks"]) == 8 and len(found["classes"]) == 5 and found["target_name"] == found["classes"][0]["name"]
    for block in found["blocks"]:
        assert set(block) == {"shortcut", "branch", "output_change", "completeness_error"}
        assert block["shortcut"] + block["branch"] == pytest.approx(block["output_change"], rel=0.01)
    assert found["blocks"] != random["blocks"]


def test_random_weights_are_told_and_people_can_read_it(capsys, files: dict[str, str]) -> None:
    assert main(["credit", "--net", "resnet18", "--picture", files["a.png"], "--weights", "random", "--target", "3",
                 "--credit-steps", "2"]) == 0
    captured = capsys.readouterr()
    assert "Nobody trained this net" in captured.err and "tiger shark" in captured.out
    assert len([line for line in captured.out.splitlines() if " branch " in line]) == 8


@pytest.mark.parametrize(("arguments", "word"), [
    (["--net", "resnet18"], "picture"), (["--picture", "a.png"], "net"), (["--net", "vgg19", "--picture", "a.png"], "net"),
    (["--net", "resnet18", "--picture", "none.png"], "a whole GIF"),
    (["--net", "resnet18", "--picture", "gone"], "picture"),
    (["--net", "resnet18", "--picture", "a.png", "--weights", "34.pth"], "those of ResNet-34"),
    (["--net", "resnet18", "--picture", "a.png", "--weights", "gone"], "weights"),
    (["--net", "resnet18", "--picture", "a.png", "--depth", "20"], "depth"),
    (["--net", "resnet18", "--picture", "a.png", "--samples", "3"], "samples"),
    (["--net", "resnet18", "--picture", "a.png", "--target", "1000"], "target"),
    (["--net", "resnet18", "--picture", "a.png", "--credit-steps", "0"], "--credit-steps")])
def test_bad_picture_or_weights_are_one_sentence(capsys, files: dict[str, str], arguments: list[str], word: str) -> None:
    assert main(["credit", *(files.get(argument, argument) for argument in arguments), "--json"]) == 2
    captured = capsys.readouterr()
    assert not captured.out and len(captured.err.splitlines()) == 1 and word in captured.err


def test_without_a_network_it_says_what_to_do(capsys, files: dict[str, str], tmp_path: Path, monkeypatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise urllib.error.URLError("no route to host")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(urllib.request, "urlopen", fail)
    assert main(["credit", "--net", "resnet50", "--picture", files["a.png"], "--json"]) == 2
    assert re.search(r"local file .*no route to host", capsys.readouterr().err)


def test_people_can_read_the_credit_of_our_nets(capsys) -> None:
    assert main(["credit", *NET[:-1], "2", "--no-skip"]) == 0
    assert len(re.findall(r"^ +\d  branch -?\d", capsys.readouterr().out, re.M)) == 3
