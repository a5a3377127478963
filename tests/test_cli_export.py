"""`python -m resnet_viz export`: every file, and what cannot be used."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.csv
import pyarrow.parquet
import pytest
import safetensors.numpy

from resnet_viz import cli
from resnet_viz.lab.experiments import training
from resnet_viz.records import Change, Edit, Lane, NetConfig, Operation, RaceConfig

NET = NetConfig(depth=6, width=(12,))
RACE = RaceConfig(steps=12, lanes=(Lane(NetConfig(depth=6, width=(12,), skip=False)), Lane(NET)),
                  changes=(Change(5, 1, "skip", False),), edits=(Edit(7, 0, Operation("zero-wb", 0)),))


def export(tmp_path, *options: str, name: str = "out") -> bytes:
    assert cli.main(["export", *options, "--output", str(tmp_path / name), "--json"]) == 0
    return (tmp_path / name).read_bytes()


@pytest.fixture
def race_file(tmp_path) -> str:
    (tmp_path / "race.json").write_text(RACE.to_json())
    return str(tmp_path / "race.json")


def test_script_of_a_lane_of_a_file_and_of_options(tmp_path, race_file, capsys) -> None:
    first = export(tmp_path, "--config", race_file, "--what", "script").decode()
    second = export(tmp_path, "--config", race_file, "--what", "script", "--lane", "1").decode()
    assert "EDITS" in first and "SKIPS" not in first and "SKIPS" in second and "EDITS" not in second
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told == {"what": "script", "output": str(tmp_path / "out"), "bytes": len(second.encode())}
    alone = export(tmp_path, "--depth", "6", "--steps", "3", "--seed", "4", "--what", "script").decode()
    assert "SEED, STEPS, BATCH = 4, 3, 128" in alone


def test_frames_are_the_runs(tmp_path, race_file) -> None:
    csv = pyarrow.csv.read_csv(io.BytesIO(export(tmp_path, "--config", race_file, "--what", "frames", name="f.csv")))
    parquet = pyarrow.parquet.read_table(io.BytesIO(
        export(tmp_path, "--config", race_file, "--what", "frames", "--lane", "1", name="f.parquet")))
    assert csv.num_rows == 24 and parquet.num_rows == 12
    state = training.make_state(RACE.lanes[1], "digits", 0)
    state, a = training.advance(state, 5)
    _, b = training.advance(state, 7, RACE.lane_at(1, 5))
    loss = np.concatenate([a.loss, b.loss])
    assert np.array_equal(np.array(parquet["loss"]), loss)
    assert np.array_equal(np.array(csv["loss"])[12:].astype(np.float32), loss)


def test_weights_config_and_report(tmp_path, race_file) -> None:
    weights = safetensors.numpy.load(export(tmp_path, "--config", race_file, "--what", "weights", "--steps", "7"))
    assert not weights["blocks.0.layer2.weight"].any()  # the operation just before the step that is not taken any more
    assert RaceConfig.from_json(export(tmp_path, "--config", race_file, "--what", "config").decode()) == RACE
    second = RaceConfig.from_json(export(tmp_path, "--config", race_file, "--what", "config", "--lane", "1").decode())
    assert second == replace(RACE, lanes=RACE.lanes[1:], changes=(Change(5, 0, "skip", False),), edits=())
    page = export(tmp_path, "--config", race_file, "--what", "report").decode()
    assert page.startswith("<!doctype html>") and "skip = no" in page and "zero-wb" in page
    assert page.count("js-plotly-plot") >= 1 and page.count("<figure>") == 7


@pytest.mark.parametrize("options, field", [
    (["--what", "picture"], "--what"),
    ([], "--what"),
    (["--what", "script", "--lane", "1"], "--lane"),
    (["--what", "script", "--lane", "x"], "--lane"),
    (["--what", "frames"], "--output"),
    (["--what", "script", "--depth", "7"], "--depth"),
    (["--what", "script", "--config", "/nowhere.json"], "--config"),
])
def test_what_cannot_be_used_is_told(tmp_path, options, field, capsys) -> None:
    assert cli.main(["export", *options, "--output", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.startswith(field)
    assert not (tmp_path / "out").exists()


def test_a_file_that_cannot_be_written_and_settings_beside_several_nets(tmp_path, race_file, capsys) -> None:
    assert cli.main(["export", "--what", "script", "--output", str(tmp_path / "no" / "out")]) == 2
    assert cli.main(["export", "--what", "script"]) == 2
    assert cli.main(["export", "--config", race_file, "--depth", "8", "--what", "script", "--output", "x"]) == 2
    assert [line.split()[0] for line in capsys.readouterr().err.splitlines()] == ["--output", "--output", "--depth"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a disk that is always full is Linux’s")
def test_a_full_disk_is_told(capsys) -> None:
    assert cli.main(["export", "--what", "script", "--output", "/dev/full"]) == 2
    assert capsys.readouterr().err.startswith("--output cannot be “/dev/full”")
