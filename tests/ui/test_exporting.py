"""Taking a run home, on an open engine: every file, of a race, of nets under operations, of a run of a sweep."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import numpy as np
import pyarrow.csv
import pyarrow.parquet
import pytest
import safetensors.numpy
from streamlit.testing.v1 import AppTest

from resnet_viz.engine.hub import Hub
from resnet_viz.export.frames import make_table, write_csv, write_parquet
from resnet_viz.lab.experiments import training
from resnet_viz.lab.experiments.operations import edit_state, measure_operation
from resnet_viz.records import OVERFLOWS, Change, Edit, Lane, NetConfig, Operation, RaceConfig, join_frames
from resnet_viz.text import use_language
from resnet_viz.ui import exporting
from resnet_viz.ui.exporting import Taken
from tests.pages import run_page, wait_for

NET = NetConfig(depth=6, width=(12,))
CONFIG = RaceConfig(steps=25, lanes=(Lane(NetConfig(depth=8, width=(12,), skip=False)), Lane(NET)),
                    changes=(Change(7, 1, "lr", 0.02),), edits=(Edit(11, 0, Operation("zero-wb", 1)),
                                                                Edit(25, 1, Operation("zero-w", 0))))


def open_page(**query: str) -> AppTest:
    return run_page("race", **query)


def replay(engine: Hub, config: RaceConfig, steps: int):
    job = engine.call(engine.replay(config, steps))
    wait_for(lambda: job.state != "running")
    return job


def test_a_replay_is_the_run_to_the_bit(engine: Hub) -> None:
    """Every frame, the end, and the weights, with what was changed and edited on the way and at the end."""
    job = replay(engine, CONFIG, 25)
    assert job.state == "done" and job.done == job.total == 50
    for i, found in enumerate(job.results):
        state, frames = training.make_state(CONFIG.lanes[i], CONFIG.dataset, CONFIG.seed), []
        for stop in (7, 11, 25):
            state = edit_state(state, CONFIG.edits_at(i, state.step))
            state, frame = training.advance(state, stop - state.step, CONFIG.lane_at(i, state.step))
            frames.append(frame)
        state = edit_state(state, CONFIG.edits_at(i, 25))
        ours, theirs = join_frames(frames), found.frame
        for name in ("loss", "gradient", "probe_step", "test_loss", "ratio", "weight_norm"):
            assert np.array_equal(getattr(ours, name), getattr(theirs, name), equal_nan=True)
        assert found.ends == training.finish(state)
        tensors = safetensors.numpy.load(found.weights)
        assert not tensors["blocks.0.layer2.weight"].any() or i == 0


def test_a_replay_ends_with_what_was_changed_after_the_last_step(engine: Hub) -> None:
    """A race stands still, somebody cuts the shortcuts and takes it home: the report tells what the script prints."""
    config = RaceConfig(steps=12, lanes=(Lane(NET),), changes=(Change(12, 0, "skip", False),))
    [found] = replay(engine, config, 12).results
    state = training.advance(training.make_state(Lane(NET), "digits", 0), 12)[0]
    whole, cut = (training.finish(replace(state, lane=config.lane_at(0, step))) for step in (11, 12))
    assert found.ends == cut != whole
    assert json.loads(safe_config(found.weights))["skip"] is False


def test_frames_are_a_table_of_all_steps(engine: Hub) -> None:
    runs = [found.frame for found in replay(engine, CONFIG, 25).results]
    table = make_table(runs, ["plain, “α”", "residual"])
    assert table.num_rows == 50
    assert table.column_names[:8] == ["lane", "net", "step", "loss", "accuracy", "test_loss", "test_accuracy", "gradient_1"]
    csv = pyarrow.csv.read_csv(io.BytesIO(write_csv(table)))
    parquet = pyarrow.parquet.read_table(io.BytesIO(write_parquet(table)))
    assert csv.column_names == parquet.column_names == table.column_names
    for name in ("loss", "gradient_1", "gradient_5"):
        lane = np.array(parquet["lane"])
        for i, run in enumerate(runs):
            values = run.loss if name == "loss" else run.gradient[:, int(name[-1]) - 1]
            assert np.array_equal(np.array(parquet[name])[lane == i].astype(np.float32), values)
            assert np.array_equal(np.array(csv[name])[lane == i].astype(np.float32), values)
    assert csv["gradient_7"].to_pylist()[25:] == [None] * 25  # the second lane has fewer layers
    assert csv["test_loss"].to_pylist()[1] is None and csv["test_loss"].to_pylist()[10] is not None
    assert parquet["share_1"].to_pylist()[0] is None  # the plain net has no shortcut


@pytest.mark.parametrize("language", ["en", "zh_CN"])
def test_the_race_can_be_taken_home(engine: Hub, language: str) -> None:
    use_language(language)  # AppTest names choices here, outside the script
    page = open_page(lang=language, depth="6", width="12", steps="20")
    assert {"en": "Take it home", "zh_CN": "导出"}[language] in [item.proto.popover.label for item in page.get("popover")]
    race = engine.find(page.session_state["run.race"])
    page.button(key="export.prepare").click().run()
    assert not page.exception and page.toast  # nothing trained yet
    page.button(key="play").click().run()
    wait_for(lambda: race.state == "finished")
    page.run()
    page.selectbox(key="export.lane").set_value(1).run()
    page.button(key="export.prepare").click().run()
    job = engine.jobs["replay", *page.session_state["export.prepared"]]
    wait_for(lambda: job.state == "done")
    page.run()
    assert not page.exception
    assert {button.key for button in page.get("download_button")} >= {
        "export.script", "export.weights", "export.config", "export.report", "export.csv", "export.parquet"}
    use_language("en")


def test_files_of_a_live_race(engine: Hub) -> None:
    race = engine.call(engine.make(CONFIG))
    race_done = lambda: race.state == "finished"
    engine.loop.call_soon_threadsafe(race.play)
    wait_for(race_done)
    taken = exporting.take_race(race, lambda: ["plain", "residual"])
    assert RaceConfig.from_json(taken.config.to_json()) == CONFIG
    assert "STEPS, BATCH = 0, 25, 128" in exporting.write_script(taken, 0)
    weights = safetensors.numpy.load(exporting.save_weights(taken, 0))
    [state, _] = engine.call(race.take_states(25))
    assert np.array_equal(weights["stem.layer.weight"].ravel(), state.weights[: 64 * 12])
    report = exporting.write_report(taken, replay(engine, CONFIG, 25).results)
    assert report.startswith("<!doctype html>") and "lr = 0.02" in report and "zero-wb" in report


def test_operated_nets_can_be_taken_home(engine: Hub) -> None:
    """The script, the weights and the report are of the nets under operations; a lesion is no weight."""
    config = RaceConfig(steps=12, lanes=(Lane(NET),))
    race = engine.call(engine.make(config))
    engine.loop.call_soon_threadsafe(race.play)
    wait_for(lambda: race.state == "finished")
    states = engine.call(race.take_states(12))
    operations = [(Operation("zero-wb", 1), Operation("lesion", 0))]
    taken = Taken(config, lambda: ["net"], 12, lambda: states, operations)
    weights = safetensors.numpy.load(exporting.save_weights(taken, 0))
    assert not weights["blocks.1.layer2.weight"].any() and weights["blocks.0.layer2.weight"].any()
    assert "blocks[k].lesion = True" in exporting.write_script(taken, 0)
    after = measure_operation(states[0], operations[0]).after
    report = exporting.write_report(taken, replay(engine, config, 12).results)
    assert f"{100 * after['test_accuracy']:.2f} %" in report and "lesion block=0" in report


def test_a_run_of_a_sweep_can_be_taken_home(engine: Hub) -> None:
    config = RaceConfig(steps=10, lanes=(Lane(NET),))
    job = replay(engine, config, 10)
    settings = json.loads(safe_config(job.results[0].weights))
    assert settings["depth"] == 6 and settings["dataset"] == "digits"


def safe_config(content: bytes) -> str:
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length])["__metadata__"]["config"]


def test_a_replay_stops_when_it_is_cancelled(engine: Hub) -> None:
    job = engine.call(engine.replay(RaceConfig(steps=5000), 5000))
    engine.loop.call_soon_threadsafe(job.cancel)
    wait_for(lambda: job.state == "cancelled")
    assert job.done < job.total


def test_a_diverging_run_is_told(engine: Hub) -> None:
    config = RaceConfig(steps=20, lanes=(Lane(NetConfig(depth=12, width=(12,), init="he"),
                                              Lane().train.__class__(lr=100.0)),))
    job = replay(engine, config, 20)
    run = job.results[0].frame
    assert run.diverged and len(run) < 20
    report = exporting.write_report(Taken(config, lambda: ["net"], 20), job.results)
    assert f"diverged at step {len(run)}: {OVERFLOWS[run.overflow]}. Its numbers" in report
