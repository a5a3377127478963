"""Trajectories on a real cluster: the states that headless training has, and nothing left behind when cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

import numpy as np
import pytest

from resnet_viz.engine.hub import Hub
from resnet_viz.engine.jobs import Call
from resnet_viz.lab.experiments import training
from resnet_viz.lab.experiments.operations import edit_state
from resnet_viz.lab.experiments.planes import make_directions, measure_landscape_rows, project_trajectory
from resnet_viz.records import Change, Edit, Lane, NetConfig, Operation, RaceConfig, State

NET = NetConfig(depth=8, width=(16,))
STEPS = [0, 7, 20, 31]
CONFIG = RaceConfig(steps=100, lanes=(Lane(NetConfig(depth=8, width=(16,), skip=False)), Lane(NET)),
                    changes=(Change(10, 1, "lr", 0.01), Change(90, 0, "lr", 1.0)),
                    edits=(Edit(12, 1, Operation("scale", 0, 0.5)), Edit(31, 0, Operation("zero-wb", 1))))


def run(engine: Hub, work: Coroutine):
    return asyncio.run_coroutine_threadsafe(work, engine.loop).result(120)


def train(lane: int, until: int) -> State:
    """As `race.take_states`: with the changes and operations before `until` and at it."""
    state = training.make_state(CONFIG.lanes[lane], CONFIG.dataset, CONFIG.seed)
    for stop in [*(stop for stop in CONFIG.stops_after(0) if stop < until), until]:
        state = edit_state(state, CONFIG.edits_at(lane, state.step))
        state, _ = training.advance(state, stop - state.step, CONFIG.lane_at(lane, state.step))
    return state


@pytest.mark.parametrize("directions", ["pca", 3])
def test_trajectory_is_that_of_headless_training(engine: Hub, directions: int | str) -> None:
    """Live changes and operations on the way are followed; the last state is after the operations made there."""
    async def trace() -> list:
        race = await engine.make(CONFIG)
        return await (await engine.trace(("way", directions), race, STEPS, directions)).wait()

    for lane, found in enumerate(run(engine, trace())):
        states = [train(lane, step) for step in STEPS]
        states[-1] = edit_state(states[-1], CONFIG.edits_at(lane, STEPS[-1]))
        expected = project_trajectory(states, directions)
        assert np.allclose(found.points, expected.points, rtol=1e-12) and not found.points[-1].any()
        assert found.explained == pytest.approx(expected.explained)
        assert np.allclose(found.directions, expected.directions, atol=1e-6) and found.directions.dtype == np.float32


def test_a_cancelled_trace_stops_and_can_be_had_again(engine: Hub) -> None:
    async def cancel() -> None:
        race = await engine.make(CONFIG)
        job = await engine.trace("again", race, STEPS, "pca")
        job.cancel()
        with pytest.raises(asyncio.CancelledError):
            await job.wait()
        again = await engine.trace("again", race, STEPS, "pca")
        assert job.state == "cancelled" and again is not job
        assert await again.wait() and again.done == again.total

    run(engine, cancel())


def test_large_arguments_of_many_calls_are_sent_once(engine: Hub) -> None:
    """And what comes back is what the function says."""
    state = training.advance(training.make_state(Lane(NetConfig(depth=20)), "digits", 0), 2)[0]
    directions = make_directions(state, 0)
    ticks = [-0.5, 0.0, 0.5]
    calls = [Call("experiments.planes.measure_landscape_rows", state, (directions, ticks, [y], "test")) for y in ticks]

    async def measure() -> tuple[list, int]:
        job = await engine.start("large", calls)
        while not job._placed:
            await asyncio.sleep(0)
        placed = len(job._placed)
        return await job.wait(), placed

    rows, placed = run(engine, measure())
    assert placed == 2
    assert np.allclose(np.concatenate(rows), measure_landscape_rows(state, 0, ticks, ticks, "test"))
