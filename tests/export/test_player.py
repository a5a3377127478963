"""A recording holds a run to the bit; its page plays it without a server, and nothing on it asks the network."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from resnet_viz import cli
from resnet_viz.export.player import make_player
from resnet_viz.export.recording import ARRAYS, make_recording, read_array
from resnet_viz.lab.experiments import operations, training
from resnet_viz.records import OVERFLOWS, Change, Frame, Lane, NetConfig, RaceConfig, join_frames
from resnet_viz.text import _

ROOT = Path(__file__).parents[2]
NET = NetConfig(depth=6, width=(12,))
RACE = RaceConfig(steps=25, seed=3, lanes=(Lane(NetConfig(depth=6, width=(12,), skip=False)), Lane(NET)),
                  changes=(Change(5, 1, "cuts", (1,)), Change(12, 1, "skip", False), Change(20, 1, "lr", 0.01)))


def run_lane(lane: int) -> Frame:
    frames = []
    changes = tuple(Change(item.step, 0, item.name, item.value) for item in RACE.changes if item.lane == lane)
    state = operations.follow(RaceConfig(steps=25, seed=3, lanes=(RACE.lanes[lane],), changes=changes), frames.append)
    return join_frames([*frames, training.measure(state)])


def name_lanes() -> list[str]:
    return [_("Plain net"), _("Residual net")]


@pytest.fixture(scope="module")
def runs() -> list[Frame]:
    return [run_lane(lane) for lane in (0, 1)]


def test_every_row_is_in_the_recording_to_the_bit(runs: list[Frame], tmp_path: Path) -> None:
    path, output = tmp_path / "race.json", tmp_path / "race.json.gz"
    path.write_text(RACE.to_json(), encoding="utf-8")
    assert cli.main(["recording", "--config", str(path), "--output", str(output), "--json"]) == 0
    recording = json.loads(gzip.decompress(output.read_bytes()))
    assert RaceConfig.from_json(json.dumps(recording["config"])) == RACE and recording["race"]["recorded"] == 25
    for lane, run in zip(recording["lanes"], runs, strict=True):
        assert len(run) == 26 and lane["probe_step"] == [0, 10, 20, 25] and lane["overflow"] is None
        for name in ARRAYS:
            assert np.array_equal(read_array(lane["arrays"][name]), getattr(run, name), equal_nan=True), name
    assert recording["lanes"][1]["stages"] == [
        {"step": 0, "skip": True, "cuts": []}, {"step": 5, "skip": True, "cuts": [1]},
        {"step": 12, "skip": False, "cuts": None}, {"step": 20, "skip": False, "cuts": None}]
    assert recording["lanes"][1]["marks"] == [[5, [1], []]]


def test_a_run_that_diverged_ends_where_it_did(tmp_path: Path) -> None:
    output = tmp_path / "wild.json.gz"
    assert cli.main(["recording", "--depth", "6", "--lr", "100", "--steps", "30", "--output", str(output)]) == 0
    lane = json.loads(gzip.decompress(output.read_bytes()))["lanes"][0]
    assert lane["overflow"] in OVERFLOWS
    assert lane["arrays"]["loss"]["shape"][0] < 30


def test_the_page_is_one_small_file_in_both_languages(runs: list[Frame]) -> None:
    page = make_player(make_recording(RACE, runs), name_lanes, lambda: {"skip": "<Skip>", "cuts": "Cuts"})
    assert len(page.encode()) < 6e6
    own = page.replace(re.search(r"<script>.*?</script>", page, re.DOTALL).group(), "")  # without plotly.js
    assert not re.findall(r"(?:src|href)=\"(?!data:)", own) and "fetch(" not in own
    film = json.loads(re.search(r'<script id="film" type="application/json">(.*?)</script>', own, re.DOTALL).group(1))
    assert film["looks"]["en"][1]["name"] == "Residual net" and film["looks"]["zh_CN"][1]["name"] == "残差网络"
    assert [mark["words"]["en"] for mark in film["recording"]["marks"]] == [
        "Step 5, Residual net: Cuts = 2", "Step 12, Residual net: <Skip> = off", "Step 20, Residual net: lr = 0.01"]
    assert film["texts"]["zh_CN"].keys() == film["texts"]["en"].keys() >= {"play", "pause", "step_back", "speed_auto"}


@pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed")
def test_scripts_of_the_player_pass_their_own_tests() -> None:
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
    if tuple(map(int, version.strip("v\n").split("."))) < (20, 19):
        pytest.skip(f"Node.js {version.strip()} does not read modules without being told")
    done = subprocess.run(["node", "--test", "tests/board/"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
