"""Sweeps on a real cluster: the numbers of headless runs to the bit, each run once, whatever fails or is killed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from resnet_viz.engine import run as run_module
from resnet_viz.engine import sweep as sweep_module
from resnet_viz.engine import tasks
from resnet_viz.engine.hub import MAX_SWEEPS, BusySweepsError, Hub
from resnet_viz.engine.sweep import RunFailedError, Sweep, find_code, measure_pace
from resnet_viz.lab.experiments import training
from resnet_viz.records import ConfigError, RaceConfig
from resnet_viz.store.runs import Store, StoreError
from resnet_viz.sweeps import METRICS, SweepConfig, hash_numbers, identify, make_sweep

SMALL = {"depth": 6, "width": 16, "batch_size": 32, "steps": 20}
LONG = {"depth": 20, "width": 64, "steps": 100_000}


@pytest.fixture
def lab(engine: Hub, tmp_path: Path) -> Iterator[Hub]:
    """The engine with an empty store of its own."""
    engine.store = None
    engine.call(engine.open_store(f"sqlite:///{tmp_path}/runs.sqlite"))
    yield engine
    wait(engine, engine._close_store())


def wait(engine: Hub, work) -> object:
    """Run in the engine's loop, however busy the machine is."""
    return asyncio.run_coroutine_threadsafe(work, engine.loop).result(300)


def start(engine: Hub, config: SweepConfig) -> Sweep:
    return wait(engine, engine.start_sweep(config))


def run(engine: Hub, config: SweepConfig) -> Sweep:
    sweep = start(engine, config)
    wait(engine, sweep.settle())
    return sweep


def wait_until(condition: Callable[[], bool], seconds: float = 400) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def finish_headless(race: RaceConfig) -> dict[str, float]:
    """What a run comes to, trained in this process in one slice."""
    state = training.make_state(race.lanes[0], race.dataset, race.seed)
    return training.finish_run(training.advance(state, race.steps)[0])


def assert_same(sweep: Sweep) -> None:
    for each in sweep.runs:
        expected = finish_headless(each.run.race)
        assert {name: getattr(each.result, name) for name in METRICS} == expected


# ---------------------------------------------------------------------------------------------------- numbers


def test_a_sweep_has_the_numbers_of_headless_runs_to_the_bit(lab: Hub) -> None:
    config = make_sweep({"family": "conv", "width": 4, "batch_size": 32, "steps": 6},
                        {"depth": (8, 14), "shortcut": ("none", "zero-pad")})
    sweep = run(lab, config)
    assert sweep.state == "done" and sweep.done == 4 and sweep.fraction == 1 and sweep.seconds_left == 0
    assert [each.state for each in sweep.runs] == ["finished"] * 4
    assert_same(sweep)
    stored = lab.store.find([each.identity for each in sweep.runs], curves=True)
    for each in sweep.runs:
        found = stored[each.identity]
        assert (found.race, found.train_loss, found.taken) == (each.run.race, each.result.train_loss, 6)
        assert found.curves["points"]["step"] == list(range(6))
        assert len(found.curves["gradient"]) == found.race.lanes[0].net.depth - 1
        assert each.result.curves == {}  # a server keeps thousands of results


def test_slices_of_any_size_and_kept_states_give_the_same_bits(lab: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    config = make_sweep(SMALL | {"norm": "batch", "optimizer": "adamw"}, {"seed": (0, 1)})
    monkeypatch.setattr(run_module, "MAX_SLICE", 3)
    monkeypatch.setattr(sweep_module, "ALONE", run_module.Share(keep=0.0))
    assert_same(run(lab, config))


def test_the_code_is_that_of_the_workers(lab: Hub) -> None:
    sweep = run(lab, make_sweep(SMALL, {}))
    assert sweep.code == hash_numbers() == wait(lab, find_code(lab.cluster))
    assert sweep.runs[0].identity == identify(sweep.runs[0].run.race, hash_numbers())


# ---------------------------------------------------------------------------------------------------- reuse


def test_what_is_there_is_not_run_again(lab: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run(lab, make_sweep(SMALL, {"seed": (0, 1)}))
    assert [each.reused for each in first.runs] == [False, False]
    assert wait(lab, lab.estimate(first.config)).runs == 0
    monkeypatch.setattr(tasks, "advance", None)  # nothing can be trained
    second = run(lab, first.config)
    assert second is not first and second.state == "done"
    assert [each.reused for each in second.runs] == [True, True]
    assert [each.result.train_loss for each in second.runs] == [each.result.train_loss for each in first.runs]
    assert [each.result.finished for each in second.runs] == [each.result.finished for each in first.runs]


def test_another_grid_takes_what_it_shares(lab: Hub) -> None:
    run(lab, make_sweep(SMALL, {"seed": (0, 1)}))
    other = make_sweep({"batch_size": 32, "width": "16"}, {"seed": (1, 2), "depth": (6,), "steps": (20,)})
    assert (cost := wait(lab, lab.estimate(other))).runs == 1 and cost.known == 1
    assert [each.reused for each in run(lab, other).runs] == [True, False]


def test_an_interrupted_sweep_resumes(lab: Hub) -> None:
    sweep = start(lab, make_sweep(LONG | {"steps": 80}, {"seed": range(6)}))
    wait_until(lambda: sweep.done >= 1)
    wait(lab, lab.cancel_sweep(sweep))
    assert sweep.state == "cancelled" and 1 <= (kept := lab.store.count()) < 6
    assert sum(each.state == "finished" for each in sweep.runs) <= kept
    resumed = run(lab, sweep.config)
    assert sum(each.reused for each in resumed.runs) == kept
    assert_same(resumed)


def test_two_sweeps_at_once_are_the_same_where_they_are_equal(lab: Hub) -> None:
    config = make_sweep(LONG, {})
    one, other = start(lab, config), start(lab, make_sweep(LONG, {}))
    assert one is other and lab.find_sweep(one.id) is one
    for seed in range(MAX_SWEEPS - 1):
        start(lab, make_sweep(LONG, {"seed": (seed + 1,)}))
    with pytest.raises(BusySweepsError, match=str(MAX_SWEEPS)):
        start(lab, make_sweep(LONG, {"seed": (99,)}))
    wait(lab, lab.cancel_sweep(one))
    assert start(lab, config) is not one


# ---------------------------------------------------------------------------------------------------- what goes wrong


def test_one_failure_does_not_stop_the_rest(lab: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that cannot be, one that diverges, one that fails, and two that are well."""
    make_state = tasks.start
    monkeypatch.setattr(tasks, "start", lambda lane, *rest: 1 / 0 if lane.net.init == "xavier" else make_state(lane, *rest))
    sweep = run(lab, make_sweep(SMALL, {"depth": (6, 7), "init": ("default", "he", "xavier"), "lr": (0.05, 100.0)}))
    states = {each.run.place: each.state for each in sweep.runs}
    assert sweep.state == "done" and sweep.error is None
    assert states[6, "default", 0.05] == "finished" and states[6, "he", 100.0] == "diverged"
    assert {states[6, "xavier", lr] for lr in (0.05, 100.0)} == {"failed"}
    assert {state for place, state in states.items() if place[0] == 7} == {"impossible"}
    for each in sweep.runs:
        assert (each.error is not None) == (each.state in ("failed", "impossible"))
    failed = next(each for each in sweep.runs if each.state == "failed")
    assert isinstance(failed.error, RunFailedError) and "ZeroDivisionError" in str(failed.error)
    assert lab.store.count() == sum(state in ("finished", "diverged") for state in states.values())


def test_what_diverged_is_stored_and_reused(lab: Hub) -> None:
    config = make_sweep(SMALL | {"lr": 100.0, "init": "he"}, {})
    first, second = run(lab, config).runs[0], run(lab, config).runs[0]
    assert first.state == second.state == "diverged" and second.reused
    state, frame = training.advance(training.make_state(first.run.race.lanes[0], "digits", 0), 20)
    assert frame.diverged and first.result.taken == state.step < 20
    assert first.result.train_loss == training.finish(state)["train_loss"]


def test_a_store_that_fails_in_the_middle_costs_no_numbers(lab: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise StoreError("database", "here", "{reason}", reason="the disk is full")

    monkeypatch.setattr(Store, "add", fail)
    sweep = run(lab, make_sweep(SMALL, {"seed": (0, 1)}))
    assert sweep.state == "done" and "the disk is full" in str(sweep.store_error)
    assert_same(sweep)


def test_a_store_that_cannot_be_read_is_told(lab: Hub, monkeypatch: pytest.MonkeyPatch,
                                             caplog: pytest.LogCaptureFixture) -> None:
    def fail(*_: object) -> None:
        raise StoreError("database", "here", "{reason}", reason="it is gone")

    monkeypatch.setattr(Store, "find", fail)
    sweep = run(lab, make_sweep(SMALL, {}))
    assert sweep.state == "failed" and "it is gone" in str(sweep.error)
    assert sweep.runs[0].state == "cancelled"
    assert "it is gone" in caplog.text and "Traceback" not in caplog.text  # the command line's stderr


def test_a_bad_address_is_told_at_once() -> None:
    with pytest.raises(ConfigError, match="database"):
        asyncio.run(Hub().open_store("mysql://host"))


# ---------------------------------------------------------------------------------------------------- beside others


def test_cancelled_before_it_has_begun_it_has_ended(lab: Hub) -> None:
    async def start_and_cancel() -> Sweep:
        sweep = await lab.start_sweep(make_sweep(LONG, {"seed": (0, 1)}))
        await lab.cancel_sweep(sweep)
        return sweep

    sweep = wait(lab, start_and_cancel())
    assert sweep.state == "cancelled" and [each.state for each in sweep.runs] == ["cancelled"] * 2


def test_cancelling_stops_at_once_and_leaves_no_work_behind(lab: Hub) -> None:
    sweep = start(lab, make_sweep(LONG, {"seed": (0, 1, 2)}))
    wait_until(lambda: all(each.step > 0 for each in sweep.runs[1:]))
    wait(lab, lab.cancel_sweep(sweep))
    assert sweep.state == "cancelled" and {each.state for each in sweep.runs} == {"cancelled"}
    assert sweep_module.ALONE.seconds < 1  # and what is in flight then ends by itself
    wait_until(lambda: not wait(lab, list_tasks(lab)))
    assert sweep.done == 3 and sweep.seconds_left == 0 and lab.store.count() == 0


async def list_tasks(engine: Hub) -> list[str]:
    """What the workers have to do."""
    return [str(name) for names in (await engine.cluster.client.processing()).values() for name in names]


def test_progress_and_time_left(lab: Hub) -> None:
    """Never backwards, the steps of what runs included; no time left is told before there is a pace."""
    sweep, seen = start(lab, make_sweep(LONG | {"steps": 400}, {"seed": (0, 1)})), []

    async def watch() -> None:
        sweep.listeners.add(woken := asyncio.Event())
        while sweep.state == "running":
            seen.append((sweep.fraction, sweep.seconds_left, sweep.revision))
            await woken.wait()
            woken.clear()

    wait(lab, watch())
    fractions, left, revisions = zip(*seen, strict=True)
    assert sorted(fractions) == list(fractions) and sorted(revisions) == list(revisions)
    assert len({fraction for fraction in fractions if 0 < fraction < 1}) > 1
    assert all((seconds is None) == (fraction == 0) for seconds, fraction in zip(left, fractions, strict=True))
    assert all(seconds > 0 for seconds, fraction in zip(left, fractions, strict=True) if 0 < fraction < 1)
    assert (sweep.fraction, sweep.seconds_left) == (1, 0)


def test_a_race_goes_on_while_a_sweep_runs_and_the_sweep_too(lab: Hub) -> None:
    """Both move, the race in steps of the board; and the race's numbers are those it has alone."""
    config = RaceConfig(steps=80)
    race = lab.call(lab.make(config))
    race.watchers = 1
    sweep = start(lab, make_sweep(LONG, {"seed": (0, 1, 2)}))
    wait_until(lambda: sweep.runs[-1].step > 0)
    assert lab.is_shared()
    taken = sum(each.step for each in sweep.runs)
    lab.loop.call_soon_threadsafe(race.play)
    wait_until(lambda: race.state == "finished")
    assert sweep.state == "running" and sum(each.step for each in sweep.runs) > taken
    for i, lane in enumerate(config.lanes):
        frame = training.advance(training.make_state(lane, "digits", 0), 80)[1]
        assert [point[1] for point in race.lanes[i].series.points] == frame.loss.tolist()
    wait(lab, lab.drop(race))


def test_slices_are_short_where_others_want_the_workers(lab: Hub) -> None:
    sweep = start(lab, make_sweep(LONG, {}))
    assert sweep.share().seconds == 0.8
    race = lab.call(lab.make(RaceConfig()))
    race.watchers = 1
    assert sweep.share().seconds == 0.06
    wait(lab, lab.drop(race))
    assert sweep.share().seconds == 0.8


def test_the_pace_is_measured_in_both_families(lab: Hub) -> None:
    pace = wait(lab, measure_pace(lab.cluster))
    assert set(pace) == {"dense", "conv"} and all(factor > 0 for factor in pace.values())


# ---------------------------------------------------------------------------------------------------- real kills


def find_workers() -> list[psutil.Process]:
    return [p for p in psutil.Process().children(recursive=True) if "spawn_main" in " ".join(p.cmdline())]


def test_a_killed_worker_costs_its_slice_and_no_number(lab: Hub, notes: Path) -> None:
    """Every slice that a worker begins is noted: of all steps, no more than a slice a run are made twice.

    These seeds have been trained by no other test: equal runs are one.
    """
    sweep = start(lab, make_sweep(LONG | {"steps": 600}, {"seed": (7, 8)}))
    wait_until(lambda: all(each.step > 100 for each in sweep.runs))
    find_workers()[0].kill()
    wait(lab, sweep.settle())
    assert sweep.state == "done" and [each.state for each in sweep.runs] == ["finished"] * 2
    assert_same(sweep)
    made = [int(line) for line in notes.read_text().split()]
    assert 0 <= sum(made) - 1200 <= 2 * max(made)


def test_all_workers_killed_at_once_cost_no_number(lab: Hub) -> None:
    sweep = start(lab, make_sweep(LONG | {"steps": 400}, {"seed": (9, 10)}))
    wait_until(lambda: all(each.step > 100 for each in sweep.runs))
    for process in find_workers():
        process.kill()
    wait(lab, sweep.settle())
    assert sweep.state == "done" and [each.state for each in sweep.runs] == ["finished"] * 2
    assert_same(sweep)


def test_a_killed_scheduler_costs_no_number(lab: Hub) -> None:
    """All futures are gone; the runs go on from the states last kept."""
    sweep = start(lab, make_sweep(LONG | {"steps": 400}, {"seed": (11, 12)}))
    wait_until(lambda: all(each.step > 100 for each in sweep.runs))
    lab.cluster.embedded.scheduler.process.kill()
    wait(lab, sweep.settle())
    assert sweep.state == "done" and [each.state for each in sweep.runs] == ["finished"] * 2
    assert_same(sweep)
