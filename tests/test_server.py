"""The server as a process: torch stays out of it, and SIGTERM ends it with all it started."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.processes

ROOT = Path(__file__).parents[1]


def test_sigterm_ends_everything(launch: Callable) -> None:
    """Within 5 seconds, and no process is left behind."""
    server = launch()
    time.sleep(3)  # the workers are up, and importing torch
    family = psutil.Process(server.process.pid).children(recursive=True)
    assert len(family) >= 3, "a scheduler and two workers at least"
    seconds, alive = server.stop()
    assert alive == [] and seconds < 5
    assert not [process for process in family if process.is_running()]


def test_a_killed_server_leaves_nobody_behind(launch: Callable) -> None:
    """SIGKILL, as it is starting and once it runs: scheduler, nannies and workers find out by themselves."""
    for seconds in (0, 3):
        server = launch()
        time.sleep(seconds)
        family = psutil.Process(server.process.pid).children(recursive=True)
        server.process.kill()
        server.process.wait()
        assert family and psutil.wait_procs(family, timeout=60)[1] == []


@pytest.mark.parametrize(("variable", "value"), [("RESNET_VIZ_SCHEDULER", "nonsense"), ("RESNET_VIZ_WORKERS", "many")])
def test_a_server_that_is_set_up_wrongly_says_so(variable: str, value: str) -> None:
    """In a sentence that names the value, without a traceback."""
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", "0"]
    run = subprocess.run(command, cwd=ROOT, env=os.environ | {variable: value}, capture_output=True, text=True, check=False)
    told = run.stdout + run.stderr
    assert run.returncode and f"“{value}”" in told and " cannot be " in told
    assert "Traceback" not in told and ".py" not in told


def test_server_never_imports_torch() -> None:
    """Everything that `app.py` imports, and every page, without torch, captum or scikit-learn."""
    code = ("import importlib, pkgutil, sys, app, resnet_viz.ui, resnet_viz.figures\n"
            "for part in (resnet_viz.ui, resnet_viz.figures):\n"
            "    for module in pkgutil.walk_packages(part.__path__, part.__name__ + '.'):\n"
            "        if module.name != 'resnet_viz.ui.main':\n"  # the script: it runs as it is imported
            "            importlib.import_module(module.name)\n"
            "assert 'resnet_viz.ui.views.paths' in sys.modules\n"
            "assert not {'torch', 'captum', 'sklearn'} & set(sys.modules), 'torch is in the server'")
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, check=True)
