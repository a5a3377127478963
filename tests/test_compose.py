"""What compose.yaml starts, started here by hand: its own commands, as processes on this machine instead of containers."""

from __future__ import annotations

import json
import os
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import yaml

from resnet_viz.lab.experiments import training
from resnet_viz.store.runs import Store
from resnet_viz.sweeps import METRICS, make_run
from tests.postgres import Postgres

pytestmark = pytest.mark.processes

ROOT = Path(__file__).parents[1]
SERVICES = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]
WORKERS = 2


def start(service: str, port: int) -> subprocess.Popen:
    """A service's command in its environment, with this machine's address for the scheduler's."""
    command = SERVICES[service]["command"].replace("8786", str(port)).replace("//scheduler:", "//127.0.0.1:")
    return subprocess.Popen([sys.executable, "-m", *shlex.split(command)], cwd=ROOT, stderr=subprocess.DEVNULL,
                            env=os.environ | SERVICES[service]["environment"] | {"PYTHONPATH": str(ROOT)})


@pytest.fixture
def scheduler() -> Iterator[str]:
    """The address of a scheduler with its workers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    processes = [start("scheduler", port), *(start("worker", port) for _ in range(WORKERS))]
    yield f"tcp://127.0.0.1:{port}"
    family = [each for p in processes for each in (psutil.Process(p.pid), *psutil.Process(p.pid).children(recursive=True))]
    for process in reversed(processes):  # the workers before their scheduler
        process.terminate()
    for left in psutil.wait_procs(family, timeout=20)[1]:
        left.kill()


def test_the_services_commands_make_one_engine_with_one_database(scheduler: str, postgres: Postgres, launch) -> None:
    """The scheduler, two workers, PostgreSQL and a client with the app's environment: the numbers of a headless run. The
    app itself becomes healthy on them, and leaves them as they were.
    """
    address = postgres.make_database("compose")
    names = SERVICES["app"]["environment"]
    environment = os.environ | {"RESNET_VIZ_SCHEDULER": scheduler, "RESNET_VIZ_DATABASE": address}
    assert names["RESNET_VIZ_SCHEDULER"] == "tcp://scheduler:8786" and set(names) <= {*environment, "PGPASSWORD"}
    command = [sys.executable, "-m", "resnet_viz", "sweep", "--depth", "6", "--steps", "10", "--seeds", "4", "--json"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    runs = json.loads(done.stdout)["runs"]
    for seed, run in enumerate(runs):
        race = make_run({"depth": 6, "steps": 10, "seed": seed})
        state = training.advance(training.make_state(race.lanes[0], "digits", seed), 10)[0]
        assert {name: run[name] for name in METRICS} == training.finish_run(state)
    with Store(address) as store:
        assert store.count() == 4
    server = launch(RESNET_VIZ_SCHEDULER=scheduler, RESNET_VIZ_DATABASE=address)
    assert not psutil.Process(server.process.pid).children(recursive=True)  # its workers are elsewhere
    assert server.stop()[1] == []


def test_the_services_fit_together() -> None:
    """Names and ports that one service uses are those that another has."""
    environment, database = SERVICES["app"]["environment"], SERVICES["database"]["environment"]
    assert environment["RESNET_VIZ_DATABASE"] == f"postgresql://{database['POSTGRES_USER']}@database/{database['POSTGRES_DB']}"
    assert environment["PGPASSWORD"] == database["POSTGRES_PASSWORD"]
    assert set(SERVICES["app"]["depends_on"]) == {"database", "scheduler"} <= set(SERVICES)
    assert "tcp://scheduler:8786" in SERVICES["worker"]["command"] and "--nthreads 1" in SERVICES["worker"]["command"]
    assert "healthcheck" in SERVICES["database"] and "command" not in SERVICES["app"]  # the image's own: streamlit run
    assert "streamlit" in (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()[-1]
