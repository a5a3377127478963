"""Races on a real cluster: the same bits as headless, whatever happens to the workers, and nothing runs unasked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from dataclasses import replace

import numpy as np
import psutil
import pytest

from resnet_viz.engine import run as run_module
from resnet_viz.engine import runs as runs_module
from resnet_viz.engine.hub import Hub
from resnet_viz.engine.jobs import Call, Job
from resnet_viz.engine.race import Race
from resnet_viz.lab.experiments import training
from resnet_viz.lab.experiments.operations import edit_state, measure_operation
from resnet_viz.records import ConfigError, Edit, Lane, NetConfig, Operation, RaceConfig, State, TrainConfig

STEPS = 300


def make_race(engine: Hub, config: RaceConfig) -> Race:
    race = engine.call(engine.make(config))
    race.watchers = 1
    return race


def run(engine: Hub, race: Race, steps: int | None = None) -> Race:
    async def play() -> None:
        race.play(steps)
        await race.settle()

    wait(engine, play())
    return race


def wait(engine: Hub, work: Coroutine) -> None:
    """Run in the engine's loop, however busy the machine is."""
    asyncio.run_coroutine_threadsafe(work, engine.loop).result(300)


def slice_as(monkeypatch: pytest.MonkeyPatch, share: run_module.Share) -> None:
    """However many workers have come."""
    monkeypatch.setattr(runs_module, "LIVE", share)
    monkeypatch.setattr(runs_module, "CROWDED", share)


def run_headless(config: RaceConfig) -> list[tuple]:
    """Per lane the final state, loss and gradient of every step, trained in this process in one slice per change."""
    result = []
    for i, lane in enumerate(config.lanes):
        state, losses = training.make_state(lane, config.dataset, config.seed), []
        for stop in sorted({stop for stop in config.stops_after(0) if stop < config.steps} | {config.steps}):
            state = edit_state(state, config.edits_at(i, state.step))
            state, frame = training.advance(state, stop - state.step, config.lane_at(i, state.step))
            losses += frame.loss.tolist()
        result.append((state, losses))
    return result


def assert_same(race: Race, config: RaceConfig) -> None:
    for run_, (state, losses) in zip(race.lanes, run_headless(config), strict=True):
        kept = run_.run.kept[config.steps]
        assert [point[0] for point in run_.series.points] == list(range(config.steps))
        assert [point[1] for point in run_.series.points] == losses
        assert np.array_equal(kept.weights, state.weights)
        assert np.array_equal(kept.moments, state.moments)
        assert np.array_equal(kept.buffers, state.buffers)


@pytest.mark.parametrize("net", [
    NetConfig(),
    NetConfig(family="conv", shortcut="projection", depth=8, width=(4,), norm="batch"),
], ids=["dense", "conv"])
def test_live_is_headless_to_the_bit(engine: Hub, net: NetConfig) -> None:
    steps = STEPS if net.family == "dense" else 60
    config = RaceConfig(steps=steps, lanes=(Lane(replace(net, skip=False)), Lane(net)))
    assert_same(run(engine, make_race(engine, config)), config)


def test_slices_of_any_size_give_the_same_bits(engine: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    config = RaceConfig(steps=80, seed=7)  # of which no run is there yet
    monkeypatch.setattr(run_module, "MAX_SLICE", 7)
    slice_as(monkeypatch, run_module.Share(keep=0.01, flight=2))
    race = run(engine, make_race(engine, config))
    assert all(len(each.kept) > 2 for each in race.runs)
    assert_same(race, config)


def test_rewound_and_recomputed_is_the_same(engine: Hub) -> None:
    config = RaceConfig(steps=STEPS)
    race = run(engine, make_race(engine, config), 120)
    run(engine, race, 60)
    engine.call(race.rewind(120))
    assert race.step == 120 and len(race.lanes[0].series.points) == 120
    assert_same(run(engine, race), config)
    engine.call(race.rewind(0))
    assert race.state == "ready" and race.step == 0
    assert_same(run(engine, race), config)


def test_live_change_is_replayed_from_the_config(engine: Hub) -> None:
    race = run(engine, make_race(engine, RaceConfig(steps=100)), 40)
    engine.call(race.change(1, "skip", False))
    engine.call(race.change(0, "lr", 0.01))
    run(engine, race)
    assert [(c.step, c.lane, c.name) for c in race.config.changes] == [(40, 1, "skip"), (40, 0, "lr")]
    assert_same(race, race.config)
    again = run(engine, make_race(engine, RaceConfig.from_json(race.config.to_json())))
    assert_same(again, race.config)


def test_a_cut_is_a_live_change_and_before_there_is_a_step_the_start(engine: Hub) -> None:
    """Cut one by one; mended at the step where it was cut, there is nothing to change. All of it replays to the bit."""
    race = make_race(engine, RaceConfig(steps=60, lanes=(Lane(NetConfig(depth=8, width=(16,))),)))
    engine.call(race.cut(0, 2, True))
    assert race.state == "ready" and race.config.lanes[0].net.cuts == (2,) and not race.config.changes
    run(engine, race, 30)
    for block, cut, cuts in ((0, True, (0, 2)), (1, True, (0, 1, 2)), (1, False, (0, 2)), (2, False, (0,))):
        engine.call(race.cut(0, block, cut))
        assert race.lanes_now()[0].net.cuts == cuts
    assert [(item.step, item.value) for item in race.config.changes] == [(30, (0,))]
    engine.call(race.cut(0, 2, True))
    engine.call(race.cut(0, 0, False))
    assert not race.config.changes
    engine.call(race.cut(0, 0, True))
    assert race.config.list_cuts(0) == [(30, (0,), ())]
    run(engine, race)
    assert_same(race, race.config)
    engine.call(race.reset(race.config))  # as a link opens it: the cut is planned
    before = race.revision
    run(engine, race)
    assert race.revision == before + 1 and race.lanes_now()[0].net.cuts == (0, 2)  # pages are told that it holds now
    assert_same(race, race.config)


def test_a_branch_goes_on_from_operated_weights_and_the_race_does_not_notice(engine: Hub) -> None:
    """An operation never leaks: the branch replays from its config, the race it came from goes on as if alone."""
    config = RaceConfig(steps=160)
    race = run(engine, make_race(engine, config), 90)
    engine.call(race.change(1, "lr", 0.02))
    edits = [Edit(90, lane, Operation("zero-wb", 3)) for lane in (0, 1)]
    branch = engine.call(engine.branch(race, 90, edits))
    branch.watchers = 1
    assert branch.step == 90 and len(branch.lanes[0].series.points) == 90
    wait(engine, branch.settle())
    for lane, (operated, was) in enumerate(zip(branch.lanes, race.lanes, strict=True)):  # also before it is played
        assert operated.series.scores_before[0] == look_at(race.runs[lane].kept[90], config.lanes[lane])[0]
        assert operated.series.scores != operated.series.scores_before and was.series.scores_before is None
    assert branch.lanes[1].series.profiles["weight_norm"][3] == 0 < branch.lanes[1].series.profiles["weight_norm"][2]
    assert_same(run(engine, branch), branch.config)
    assert_same(run(engine, race), race.config)
    assert race.config.edits == () and branch.config.edits == tuple(edits)
    assert_same(run(engine, make_race(engine, RaceConfig.from_json(branch.config.to_json()))), branch.config)
    engine.call(branch.rewind(0))
    assert branch.config.edits == ()


def look_at(state: State, lane: Lane) -> tuple[float, float]:
    """Accuracy on the next batch and on the held-out part, of a state as a lane's configuration has it."""
    frame = training.measure(state, lane)
    return float(frame.accuracy[0]), float(frame.test_accuracy[0])


def test_a_change_at_rest_is_measured_where_the_lanes_stand_with_what_was_before(engine: Hub) -> None:
    """The numbers are those of the changed net, beside those without the change; taken back, they are the old ones."""
    race = run(engine, make_race(engine, RaceConfig(steps=200)), 120)  # 120 steps: a probe stands there already
    plain, residual = (lane.series for lane in race.lanes)
    state, scores, curves = race.runs[1].kept[120], residual.scores, list(residual.probes)
    assert scores[:2] == look_at(state, race.config.lanes[1]) and residual.scores_before is None
    epoch = race.epoch
    engine.call(race.change(1, "skip", False))
    wait(engine, race.settle())
    assert residual.scores_before == scores and race.epoch > epoch
    assert residual.scores[:2] == look_at(state, race.config.lane_at(1, 120)) and residual.scores[0] < scores[0] - 0.5
    assert residual.probes[-1][2] == residual.scores[1] and residual.probes[:-1] == curves[:-1]
    assert np.isnan(residual.profiles["ratio"]).all() and plain.scores_before is None
    engine.call(race.change(1, "skip", True))
    wait(engine, race.settle())
    assert race.config.changes == () and residual.scores == scores and residual.scores_before is None
    assert residual.probes == curves
    engine.call(race.change(0, "lr", 0.01))  # changes the race, and no number where it stands
    wait(engine, race.settle())
    assert plain.scores_before is None and len(race.config.changes) == 1
    engine.call(race.change(1, "skip", False))
    run(engine, race, 20)
    assert residual.scores_before is None  # training has gone on
    assert [probe for probe in residual.probes if probe[0] == 120][0][2] == look_at(state, race.config.lane_at(1, 120))[1]
    engine.call(race.rewind(120))
    wait(engine, race.settle())
    assert residual.scores_before == scores  # the change at step 120 is a part of where it stands


def test_states_of_any_step_are_those_the_race_had(engine: Hub) -> None:
    race = run(engine, make_race(engine, RaceConfig(steps=100)), 50)
    engine.call(race.change(1, "skip", False))
    race = run(engine, race)
    for step in (0, 33, 50, 77, 100):
        config = replace(race.config, steps=max(step, 1), changes=tuple(c for c in race.config.changes if c.step < step))
        for i, state in enumerate(engine.call(race.take_states(step))):
            expected = training.make_state(config.lanes[i], config.dataset, config.seed) if step == 0 else None
            expected = expected or run_headless(config)[i][0]
            assert state.step == step and np.array_equal(state.weights, expected.weights)
            assert state.lane == race.config.lane_at(i, step)


def test_measurements_of_one_key_are_made_once_and_can_be_cancelled(engine: Hub) -> None:
    race = run(engine, make_race(engine, RaceConfig(steps=10)), 5)
    states = engine.call(race.take_states(5))
    calls = [Call("experiments.operations.measure_operation", state, ([Operation("zero-wb", k)],))
             for state in states for k in range(4)]
    job = engine.call(engine.start("key", calls))
    assert engine.call(engine.start("key", calls)) is job
    finish_job(job)
    assert job.state == "done" and job.done == len(calls)
    alone = measure_operation(states[1], [Operation("zero-wb", 2)])
    assert job.results[6].after == alone.after
    stopped = engine.call(engine.start("other", calls * 40))
    engine.loop.call_soon_threadsafe(stopped.cancel)
    finish_job(stopped)
    assert stopped.state == "cancelled" and stopped.done < len(calls) * 40
    assert engine.call(engine.start("other", calls)) is not stopped


def test_a_measurement_that_cannot_be_made_is_told(engine: Hub) -> None:
    state = engine.call(make_race(engine, RaceConfig(steps=10)).take_states(0))[0]
    bad = Call("experiments.operations.measure_operation", state, ([Operation("zero-wb", 500)],))
    job = engine.call(engine.start("bad", [bad]))
    finish_job(job)
    assert job.state == "failed" and isinstance(job.error, ConfigError) and job.error.field == "block"
    with pytest.raises(ConfigError, match="500"):
        engine.call(engine.run("experiments.operations.measure_operation", state, [Operation("zero-wb", 500)]))


def finish_job(job: Job) -> None:
    deadline = time.monotonic() + 120
    while job.state == "running" and time.monotonic() < deadline:
        time.sleep(0.02)


def test_killed_worker_is_not_noticed(engine: Hub) -> None:
    config = RaceConfig(steps=700)
    race = make_race(engine, config)

    async def play_and_kill() -> None:
        race.play()
        while race.step < 100:
            await asyncio.sleep(0.01)
        workers = [p for p in psutil.Process().children(recursive=True) if "spawn_main" in " ".join(p.cmdline())]
        workers[0].kill()

    wait(engine, play_and_kill())
    assert race.state == "running"
    run(engine, race)
    assert race.state == "finished"
    assert_same(race, config)


def test_all_workers_killed_at_once_are_not_noticed(engine: Hub) -> None:
    config = RaceConfig(steps=400)
    race = make_race(engine, config)

    async def play_and_kill() -> None:
        race.play()
        while race.step < 100:
            await asyncio.sleep(0.01)
        for process in psutil.Process().children(recursive=True):
            if "spawn_main" in " ".join(process.cmdline()):
                process.kill()
        await race.settle()

    wait(engine, play_and_kill())
    assert race.state == "finished"
    assert_same(race, config)


def test_killed_scheduler_is_not_noticed(engine: Hub) -> None:
    config = RaceConfig(steps=400)
    race = run(engine, make_race(engine, config), 100)
    engine.cluster.embedded.scheduler.process.kill()
    time.sleep(0.5)
    run(engine, race)
    assert race.state == "finished"
    assert_same(race, config)


def test_pause_stops_the_work(engine: Hub) -> None:
    race = make_race(engine, RaceConfig(steps=100_000))

    async def play_and_pause() -> None:
        race.play()
        while race.step == 0:  # however busy the machine is
            await asyncio.sleep(0.1)
        await race.stop()

    wait(engine, play_and_pause())
    step = race.step
    assert race.state == "paused" and step > 0
    time.sleep(0.5)
    assert race.step == step
    assert not [task for task in engine.call(count_tasks(engine)) if task.startswith("advance")]


async def count_tasks(engine: Hub) -> list[str]:
    """Names of the tasks that workers have or run."""
    processing = await engine.cluster.client.processing()
    return [str(name) for names in processing.values() for name in names]


def test_one_step_is_one_batch(engine: Hub) -> None:
    race = run(engine, make_race(engine, RaceConfig(steps=100)), 1)
    assert race.step == 1 and race.state == "paused"
    assert len(race.lanes[0].series.points) == 1
    assert race.lanes[1].series.probes[-1][0] == 1  # measured where it stands


def test_race_that_nobody_watches_pauses(engine: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resnet_viz.engine.hub.PAUSE_SECONDS", 1)
    race = make_race(engine, RaceConfig(steps=100_000))
    engine.loop.call_soon_threadsafe(race.play)
    time.sleep(0.5)
    race.watchers, race.unwatched_since = 0, time.monotonic()
    time.sleep(3.5)
    assert race.state == "paused"


def test_divergence_is_told_and_rolled_back(engine: Hub) -> None:
    exploding = Lane(NetConfig(init="he", depth=30), TrainConfig(lr=1.0))
    race = run(engine, make_race(engine, RaceConfig(steps=200, lanes=(Lane(), exploding))))
    assert race.state == "diverged"
    lane, step, overflow = race.divergence
    assert overflow in ("loss", "square") and lane == 1 and step == len(race.lanes[1].series.points)
    assert np.isfinite([point[1] for point in race.lanes[1].series.points]).all()
    engine.call(race.rewind(0))
    assert race.state == "ready" and race.divergence is None


def test_kept_states_are_bounded(engine: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    slice_as(monkeypatch, run_module.Share(keep=0.0))
    monkeypatch.setattr(run_module, "MAX_SLICE", 2)
    monkeypatch.setattr(run_module, "MAX_KEPT", 6)
    for each in run(engine, make_race(engine, RaceConfig(steps=60, seed=5))).runs:
        assert len(each.kept) == 6 and max(each.kept) == 60


def test_many_runs_keep_less_each(engine: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    slice_as(monkeypatch, run_module.Share(keep=0.0))
    monkeypatch.setattr(run_module, "MAX_SLICE", 2)
    monkeypatch.setattr(runs_module, "KEPT_ALL_BYTES", 1)
    for each in run(engine, make_race(engine, RaceConfig(steps=30, seed=6))).runs:
        assert sorted(each.kept)[-1:] == [30] and len(each.kept) == 2 and each.bytes > 0
