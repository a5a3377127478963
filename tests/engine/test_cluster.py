"""A cluster that somebody else runs: RESNET_VIZ_SCHEDULER names it, and the same code gives the same numbers there."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from resnet_viz.engine.hub import Hub
from resnet_viz.lab.experiments import training
from resnet_viz.records import ConfigError, RaceConfig

pytestmark = pytest.mark.processes

ROOT = Path(__file__).parents[2]


def wait_for_address(file: Path) -> str:
    """Of the scheduler that writes this file."""
    while not file.exists() or not file.read_text():
        time.sleep(0.1)
    return json.loads(file.read_text())["address"]


def test_existing_scheduler_is_used_and_left_running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address_file = tmp_path / "scheduler.json"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    start = [sys.executable, "-m", "dask"]
    processes = [subprocess.Popen([*start, *command], env=environment, stderr=subprocess.DEVNULL) for command in (
        ["scheduler", "--port", "0", "--no-dashboard", "--host", "127.0.0.1", "--scheduler-file", str(address_file)],
        ["worker", "--scheduler-file", str(address_file), "--nthreads", "1", "--no-dashboard"],
    )]
    try:
        monkeypatch.setenv("RESNET_VIZ_SCHEDULER", wait_for_address(address_file))
        race = asyncio.run(run_race(RaceConfig(steps=60)))
        for i, run in enumerate(race.lanes):
            _, frame = training.advance(training.make_state(race.config.lanes[i], "digits", 0), 60)
            assert [point[1] for point in run.series.points] == frame.loss.tolist()
        assert all(process.poll() is None for process in processes)
    finally:
        parents = [psutil.Process(process.pid) for process in processes]
        family = [*parents, *(child for parent in parents for child in parent.children(recursive=True))]
        for process in reversed(processes):  # the worker before its scheduler
            process.terminate()
        for left in psutil.wait_procs(family, timeout=10)[1]:
            left.kill()


def test_a_scheduler_without_the_app_s_folder_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It opens what it is sent: before anybody's work fails there, one sentence says what it lacks."""
    address_file = tmp_path / "scheduler.json"
    command = [sys.executable, "-m", "dask", "scheduler", "--port", "0", "--no-dashboard", "--host", "127.0.0.1",
               "--scheduler-file", str(address_file)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    scheduler = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL)
    try:
        monkeypatch.setenv("RESNET_VIZ_SCHEDULER", wait_for_address(address_file))
        with pytest.raises(ConfigError, match="PYTHONPATH"):
            asyncio.run(run_race(RaceConfig(steps=60)))
        assert scheduler.poll() is None
    finally:
        scheduler.terminate()
        scheduler.wait(10)


async def run_race(config: RaceConfig):
    hub = Hub()
    async with hub.open():
        assert hub.cluster.embedded is None
        race = await hub.make(config)
        race.watchers = 1  # or it pauses, where the machine is slow
        race.play()
        while race.state != "finished":
            await asyncio.sleep(0.05)
        return race
