"""Runs: recorded whole, whatever is lost or comes twice; equal ones are one, and nobody's moves anybody else's."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import numpy as np
import pytest

from resnet_viz.engine import run as run_module
from resnet_viz.engine.cluster import SETTINGS
from resnet_viz.engine.hub import Hub
from resnet_viz.engine.recording import Recording
from resnet_viz.engine.run import Run, Share
from resnet_viz.lab.experiments import training
from resnet_viz.records import Frame, Lane, NetConfig, RaceConfig, join_frames, read_frame
from resnet_viz.records.frames import ARRAYS
from tests.engine.test_race import assert_same, make_race, wait
from tests.engine.test_race import run as play

SMALL = Lane(NetConfig(depth=6, width=(16,)))


def make_frame(steps: int = 37, lane: Lane = SMALL) -> Frame:
    return training.advance(training.make_state(lane, "digits", 0), steps)[1]


def assert_equal(one: Frame, other: Frame) -> None:
    assert (one.first, one.overflow) == (other.first, other.overflow)
    assert all(np.array_equal(getattr(one, name), getattr(other, name), equal_nan=True) for name in ARRAYS)


def test_a_frame_is_the_same_in_a_message_and_in_pieces() -> None:
    frame = make_frame()
    assert_equal(read_frame(frame.to_message()), frame)
    for middle in (0, 1, 10, 36, 37):
        assert_equal(join_frames([frame.cut(0, middle), frame.cut(middle, 99)]), frame)
    part = frame.cut(5, 21)
    assert part.first == 5 and len(part) == 16 and part.probe_step.tolist() == [10, 20]
    assert len(frame.cut(50, 60)) == 0 and frame.cut(3, 3).gradient.shape == (0, 5)


def test_what_diverged_is_told_only_with_the_step_that_did() -> None:
    frame = Frame(**{**vars(make_frame(8)), "overflow": "loss"})
    assert frame.cut(0, 9).overflow == "loss" and frame.cut(0, 8).overflow is None


def test_a_recording_gives_any_stretch_and_never_has_many_parts() -> None:
    frame, recording = make_frame(), Recording()
    for first in range(0, 37, 2):
        recording.add(frame.cut(first, min(37, first + 2)))
        assert len(recording) == min(37, first + 2) and len(recording._parts) < 7
    for first, stop in ((0, 37), (7, 30), (30, 31), (4, 4)):
        assert_equal(recording.take(first, stop), frame.cut(first, stop))
    assert recording.bytes == sum(getattr(frame, name).nbytes for name in ARRAYS)


def reach(engine: Hub, config: RaceConfig, step: int) -> Run:
    async def work() -> Run:
        run = engine.runs.get(config, 0)
        await run.reach(step, lambda: Share(flight=2))
        return run

    return asyncio.run_coroutine_threadsafe(work(), engine.loop).result(240)


def test_what_is_lost_is_made_again_and_what_comes_twice_is_left(engine: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the messages that a run is sent, one never comes, and each of the others comes twice."""
    monkeypatch.setattr(run_module, "MAX_SLICE", 20)
    record, lost = Run.record, []

    def lose(run: Run, frame: Frame) -> None:
        if not lost and frame.first > 40:
            lost.append(frame.first)
            return
        record(run, frame)
        record(run, frame)

    monkeypatch.setattr(Run, "record", lose)
    run = reach(engine, RaceConfig(seed=11, lanes=(SMALL,)), 120)
    expected = training.advance(training.make_state(SMALL, "digits", 11), 120)[1]
    assert lost and run.frontier == 120
    assert_equal(run.recording.take(0, 120), expected)


def test_a_run_that_diverges_is_recorded_until_then(engine: Hub) -> None:
    lane = Lane(NetConfig(depth=12, width=(12,), init="he"), Lane().train.__class__(lr=100.0))
    run = reach(engine, RaceConfig(lanes=(lane,)), 500)
    state, expected = training.advance(training.make_state(lane, "digits", 0), 500)
    assert run.overflow == expected.overflow is not None and run.frontier == state.step < 500
    found = asyncio.run_coroutine_threadsafe(run.state_at(run.frontier), engine.loop).result(60)
    assert np.array_equal(found.weights, state.weights)
    assert_equal(run.recording.take(0, 500), expected.cut(0, len(expected)))


def test_the_scheduler_keeps_few_of_the_messages(engine: Hub) -> None:
    async def count() -> int:
        return len(await engine.cluster.client.get_events(engine.cluster.client.id))

    reach(engine, RaceConfig(seed=12, lanes=(SMALL,)), 2000)
    kept = asyncio.run_coroutine_threadsafe(count(), engine.loop).result(60)
    assert 0 < kept <= SETTINGS["distributed.admin.low-level-log-length"] == 100


def test_equal_races_cost_one_and_each_stands_where_its_own_player_stops(engine: Hub, notes: Path) -> None:
    config = RaceConfig(seed=13, steps=60, lanes=(SMALL, Lane(NetConfig(depth=6, width=(16,), skip=False))))
    races = [make_race(engine, config) for _ in range(5)]
    assert all(race.runs == races[0].runs for race in races)

    async def play_all() -> None:
        for race in races[:3]:
            race.play()
        races[3].play(7)
        for race in races:
            await race.settle()

    wait(engine, play_all())
    assert [race.step for race in races] == [60, 60, 60, 7, 0]
    assert [race.state for race in races] == ["finished"] * 3 + ["paused", "ready"]
    assert sum(int(line) for line in notes.read_text().split()) <= 2 * 60 + 2 * 7  # what is measured at step 7 on the way
    for race in races[:3]:
        assert_same(race, config)
    assert len(races[3].lanes[0].series.points) == 7


def test_a_live_change_is_of_one_race_and_its_other_lane_stays_shared(engine: Hub) -> None:
    """What is changed in two lanes at once is changed at one step, however far each of them is."""
    others = Lane(NetConfig(depth=6, width=(16,), skip=False)), Lane(NetConfig(depth=4, width=(8,)))
    config = RaceConfig(seed=14, steps=400, lanes=(SMALL, *others))
    one, other = make_race(engine, config), make_race(engine, config)

    async def play_and_change() -> None:
        one.play()
        other.play()
        while min(one.step, other.step) < 50:
            await asyncio.sleep(0.005)
        await one.change(0, "lr", 0.01)
        await one.change(1, "momentum", 0.5)
        await one.settle()
        await other.settle()

    wait(engine, play_and_change())
    assert len({change.step for change in one.config.changes}) == 1 and not other.config.changes
    assert [mine is its for mine, its in zip(one.runs, other.runs, strict=True)] == [False, False, True]
    assert_same(one, one.config)
    assert_same(other, config)


def test_a_pause_is_exact_and_going_back_costs_nothing(engine: Hub, notes: Path) -> None:
    config = RaceConfig(seed=15, steps=2000, lanes=(SMALL,))
    race = make_race(engine, config)

    async def play_and_pause() -> int:
        race.play()
        while race.step < 100:
            await asyncio.sleep(0.005)
        race.pause()
        step = race.step
        await race.settle()
        return step

    step = asyncio.run_coroutine_threadsafe(play_and_pause(), engine.loop).result(240)
    assert race.step == step == len(race.lanes[0].series.points) and race.state == "paused" and step in race.kept_steps
    while not race.runs[0]._task.done():  # what was in flight
        time.sleep(0.01)
    frontier, made = race.runs[0].frontier, notes.read_text()
    engine.call(race.rewind(step // 2))
    wait(engine, race.settle())
    play(engine, race, 5)
    assert race.step == len(race.lanes[0].series.points) == step // 2 + 5 and race.runs[0].frontier == frontier >= step
    assert sum(map(int, notes.read_text()[len(made):].split())) <= step // 2 + 5  # to where it is measured, no more
