"""What several kinds of tests share: an open engine, and a server as a user starts it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from resnet_viz.engine import jobs
from resnet_viz.engine.hub import Hub, hub
from resnet_viz.ui import progress
from tests.postgres import Postgres, find_programs, run_postgres

ROOT = Path(__file__).parents[1]


MAIN = sys.modules["__main__"]


STARTING = {"engine", "server", "launch", "postgres", "chromium"}  # fixtures that start processes


SHARED = contextlib.ExitStack()  # the engine of all pages without a browser, while nobody wants one of their own


def pytest_sessionfinish() -> None:
    SHARED.close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What starts servers, workers or a browser has the machine to itself; the rest runs on all cores at once."""
    for item in items:
        if STARTING & set(item.fixturenames):
            item.add_marker(pytest.mark.processes)


def pytest_runtest_setup() -> None:
    """Denormals as Python has them: training flushes them to 0 in its thread, and hypothesis counts on them.

    And `__main__`, where AppTest leaves a page's script: a process that is spawned would import it.
    """
    sys.modules["__main__"] = MAIN
    if "torch" in sys.modules:
        sys.modules["torch"].set_flush_denormal(False)


@pytest.fixture(scope="session", autouse=True)
def patience() -> Iterator[None]:
    """Pages run without a browser wait for their numbers: nobody looks at them again when they have come."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(progress, "PATIENCE", 25.0)
        yield


@pytest.fixture(scope="session", autouse=True)
def scratch_database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test, and no server that one starts, writes to the app's own database."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RESNET_VIZ_DATABASE", f"sqlite:///{tmp_path_factory.mktemp('database') / 'runs.sqlite'}")
        yield


@pytest.fixture(scope="module")
def engine() -> Iterator[Hub]:
    """The hub, open in a thread of its own, as it is while a server runs."""
    SHARED.close()
    with open_engine() as opened:
        yield opened


@contextlib.contextmanager
def open_engine() -> Iterator[Hub]:
    ready, stop = threading.Event(), asyncio.Event()

    async def live() -> None:
        async with hub.open():
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(live()))
    thread.start()
    assert ready.wait(60), "the engine did not open"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jobs, "LOOK_SECONDS", 60)  # pages run without a browser look less often
        yield hub
    hub.loop.call_soon_threadsafe(stop.set)
    thread.join(30)
    hub.loop = None


@dataclass
class Server:
    """`streamlit run app.py` in a process of its own."""

    process: subprocess.Popen
    port: int
    started: float  # seconds from start to a healthy answer

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    def stop(self) -> tuple[float, list[psutil.Process]]:
        """End it by SIGTERM: the seconds until everything had ended, and what was still there after 5."""
        if self.process.poll() is not None:
            return 0.0, []
        family = [psutil.Process(self.process.pid), *psutil.Process(self.process.pid).children(recursive=True)]
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        alive = psutil.wait_procs(family, timeout=5)[1]
        seconds = time.monotonic() - began
        for process in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait(5)
        return seconds, alive


def start_server(port: int = 0, **environment: str) -> Server:
    """Start the app, on a free port where none is given, and wait until it is healthy."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("localhost", port))
        port = probe.getsockname()[1]
    base = environment.get("STREAMLIT_SERVER_BASE_URL_PATH", "")
    health = f"http://localhost:{port}{base and '/'}{base}/_stcore/health"
    began = time.monotonic()
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port)]
    process = subprocess.Popen(command, cwd=ROOT, env=os.environ | environment, stdout=subprocess.DEVNULL)
    while time.monotonic() - began < 60:
        with contextlib.suppress(OSError), urllib.request.urlopen(health) as answer:
            if answer.status == 200:
                return Server(process, port, time.monotonic() - began)
        assert process.poll() is None, "the server ended as it started"
        time.sleep(0.05)
    process.kill()
    raise AssertionError("the server did not become healthy")


@pytest.fixture(scope="session")
def launch() -> Callable[..., Server]:
    """Start a server; who calls it stops it."""
    return start_server


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server of our own. Skips where there is none to start, but never in CI."""
    programs = find_programs()
    if programs is None:
        assert not os.environ.get("CI"), "CI needs PostgreSQL: Debian's package postgresql, which `make test` installs"
        pytest.skip("PostgreSQL is not installed (Debian's package postgresql)")
    with run_postgres(programs) as running:
        yield running


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """One for all who leave it as it was: whoever kills or configures one launches their own."""
    running = start_server()
    yield running
    running.stop()
