"""The command `sweep`: its JSON, its files, what it says of bad input, and what is left when it is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from resnet_viz.cli import main
from resnet_viz.cli_options import make_parser
from resnet_viz.cli_sweep import read_sweep
from resnet_viz.engine.cluster import SETTINGS
from resnet_viz.records import ConfigError
from resnet_viz.store.runs import Store
from resnet_viz.sweeps import METRICS, READY, STORED, make_sweep

ROOT = Path(__file__).parents[1]
KEYS = {"config", *METRICS, "diverged", "reused"}


def read(*arguments: str):
    return read_sweep(make_parser().parse_args(["sweep", *arguments]))


def start_sweep(*arguments: str, database: str) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-m", "resnet_viz", "sweep", *arguments, "--json"], cwd=ROOT, text=True,
                            env=os.environ | {"RESNET_VIZ_DATABASE": database, "LC_ALL": "C.UTF-8"},
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
                            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))  # noqa: PLW1509 (a background job ignores it)


# ---------------------------------------------------------------------------------------------------- runs


@pytest.mark.processes
def test_it_prints_one_object_of_runs_and_seconds_and_remembers_them(tmp_path: Path) -> None:
    """Twice the same command, in processes of their own: the same numbers, the second time from the store."""
    options = ["--family", "conv", "--depths", "8,14", "--shortcuts", "none,zero-pad", "--seeds", "1", "--steps", "5"]
    numbers = []
    for reused in (False, True):
        process = start_sweep(*options, database=f"sqlite:///{tmp_path}/runs.sqlite")
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        result = json.loads(out)
        assert set(result) == {"runs", "seconds"} and result["seconds"] > 0
        assert [(run["config"]["depth"], run["config"]["shortcut"]) for run in result["runs"]] == [
            (8, "none"), (8, "zero-pad"), (14, "none"), (14, "zero-pad")]
        for run in result["runs"]:
            assert set(run) == KEYS and run["reused"] is reused and run["diverged"] is False
            assert 2 < run["train_loss"] < 3 and 0 <= run["test_accuracy"] <= 1
            assert (run["config"]["norm"], run["config"]["width"], run["config"]["steps"]) == ("batch", [8], 5)
        assert "4 of 4 runs" in err and f"{0 if reused else 4} runs to train" in err
        numbers.append([[run[name] for name in METRICS] for run in result["runs"]])
    assert numbers[0] == numbers[1]


@pytest.mark.processes
def test_a_file_failures_and_people(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """What diverges or cannot be is told, in the output and beside it; `train` has the same numbers."""
    path, database = tmp_path / "grid.json", f"sqlite:///{tmp_path}/runs.sqlite"
    path.write_text(json.dumps({"base": {"batch-size": 32, "width": 16, "steps": 10},
                                "axes": {"depth": [6, 7], "lr": [0.05, 100]}}))
    assert main(["sweep", "--config", str(path), "--init", "he", "--database", database, "--json"]) == 0
    out, err = capsys.readouterr()
    good, diverged, *impossible = json.loads(out)["runs"]
    assert good["diverged"] is False and diverged["diverged"] is True and good["config"]["init"] == "he"
    assert [run["train_loss"] for run in impossible] == [None, None]
    assert all("the nearest is 6" in run["error"] or "the nearest is 8" in run["error"] for run in impossible)
    assert "Diverged at step" in err and "depth 6, lr 100.0" in err and "Left out, depth 7, lr 0.05" in err
    options = ["--depth", "6", "--width", "16", "--batch-size", "32", "--init", "he", "--steps", "10"]
    assert main(["train", *options, "--json"]) == 0
    trained = json.loads(capsys.readouterr().out)
    assert {name: trained[name] for name in STORED} == {name: good[name] for name in STORED}
    assert main(["sweep", *options, "--database", database]) == 0
    out = capsys.readouterr().out
    assert f"train_loss {good['train_loss']:.4f}" in out and "reused" in out


# ---------------------------------------------------------------------------------------------------- options


def test_options_make_the_grid() -> None:
    config = read("--family", "conv", "--depths", "8,20", "--shortcuts", "none,zero-pad", "--seeds", "3", "--steps", "9")
    assert config == make_sweep({"family": "conv", "steps": 9},
                                {"depth": (8, 20), "shortcut": ("none", "zero-pad"), "seed": (0, 1, 2)})
    assert read("--seeds", "4,7") == make_sweep({}, {"seed": (4, 7)})
    assert read("--widths", "16;16,32", "--shortcut", "projection") == make_sweep(
        {"shortcut": "projection"}, {"width": ((16,), (16, 32))})
    assert read("--lrs", "0.1,1", "--weight-decays", "0,1e-3", "--batch-sizes", "32", "--families", "dense") == make_sweep(
        {}, {"family": ("dense",), "batch_size": (32,), "lr": (0.1, 1.0), "weight_decay": (0.0, 0.001)})


def test_options_go_before_the_file_and_the_file_before_the_ready_sweep(tmp_path: Path) -> None:
    path = tmp_path / "grid.json"
    path.write_text(json.dumps({"axes": {"depth": [8, 14]}}))
    ready = READY["degradation"].config
    assert read("--ready", "degradation") == ready
    assert read("--ready", "degradation", "--config", str(path)).axes[0].values == (8, 14)
    config = read("--ready", "degradation", "--config", str(path), "--depth", "20", "--seeds", "1")
    assert [axis.name for axis in config.axes] == ["shortcut", "seed"] and dict(config.base)["depth"] == 20
    assert config.axes[1].values == (0,)


@pytest.mark.parametrize(("arguments", "says"), [
    (["--depths", "8,9"], None),
    (["--depths", "9"], "depth cannot be 9"),
    (["--depths", "8,x"], "depth cannot be “x”"),
    (["--depths", "8,,20"], "depth cannot be “”"),
    (["--lrs", "0.1,nan"], "lr cannot be nan"),
    (["--seeds", "101"], "seeds cannot be 101"),
    (["--seeds", "-1"], "seeds cannot be -1"),
    (["--seeds", "a"], "seeds cannot be “a”"),
    (["--depths", "8,8"], "each value once"),
    (["--lrs", ","], "lr cannot be"),
    (["--ready", "nothing"], "degradation, vanishing"),
    (["--config", "no such file"], "a readable text file"),
    (["--depths", "8", "--database", "mysql://u:secret@host/x"], "sqlite:///file or postgresql://user@host/name"),
    (["--depths", "8", "--database", "postgresql://u:secret@127.0.0.1:1/x"], "cannot be used"),
    (["--seeds", "100", "--lrs", ",".join(str(i) for i in range(100))], "at most 1000 runs"),
])
def test_bad_input_is_one_sentence_and_exit_code_2(arguments: list[str], says: str | None,
                                                   capsys: pytest.CaptureFixture) -> None:
    if says is None:  # one combination of several: the others can be
        assert any(run.error is not None for run in read(*arguments).list_runs())
        return
    assert main(["sweep", *arguments, "--json"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and says in err and "secret" not in err and len(err.strip().splitlines()) == 1


@pytest.mark.parametrize(("name", "value", "says"), [
    ("RESNET_VIZ_WORKERS", "two", "a whole number from 1"),
    ("RESNET_VIZ_WORKERS", "0", "a whole number from 1"),
    ("RESNET_VIZ_SCHEDULER", "host", "The scheduler “host” cannot be used"),
    ("RESNET_VIZ_SCHEDULER", "tcp://127.0.0.1:1", "The scheduler “tcp://127.0.0.1:1” cannot be used"),
])
def test_a_cluster_that_cannot_be_is_told(name: str, value: str, says: str, capsys: pytest.CaptureFixture,
                                          monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    monkeypatch.setitem(SETTINGS, "distributed.comm.timeouts.connect", "100ms")
    assert main(["sweep", "--depth", "8", "--json"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and says in err and len(err.strip().splitlines()) == 1


@pytest.mark.parametrize("content", ['{"lanes": []}', '{"axes": 3}', '{"axes": {"colour": [1]}}', "[]", "{\n", "3",
                                     '{"depth": [8, 20]}', '{"axes": {"depth": [8]}, "more": 1}'])
def test_a_file_of_no_grid_is_told(content: str, tmp_path: Path) -> None:
    path = tmp_path / "grid.json"
    path.write_text(content)
    with pytest.raises(ConfigError) as error:
        read("--config", str(path))
    assert len(str(error.value).splitlines()) == 1


# ---------------------------------------------------------------------------------------------------- killed


@pytest.mark.processes
@pytest.mark.parametrize(("end", "send"), [(signal.SIGKILL, os.kill), (signal.SIGINT, os.kill), (signal.SIGINT, os.killpg)],
                         ids=["killed", "interrupted", "ctrl-c"])
def test_ended_in_the_middle_it_has_kept_what_had_finished_and_leaves_nobody_behind(end: int, send: Callable,
                                                                                    tmp_path: Path) -> None:
    """SIGKILL leaves no chance to clean up: scheduler and workers end by themselves. The next run takes what is there.

    Ctrl-C in a terminal is for all processes of the command.
    """
    database = f"sqlite:///{tmp_path}/runs.sqlite"
    options = ["--depth", "12", "--steps", "60", "--seeds", "8"]
    process = start_sweep(*options, database=database)
    try:
        with Store(database) as store:
            wait_until(lambda: store.count() >= 1)
            family = psutil.Process(process.pid).children(recursive=True)
            assert len(family) >= 3  # a scheduler, a nanny and its worker at the least
            send(process.pid, end)
            err = process.communicate(timeout=60)[1]
            kept = store.count()
    finally:
        process.kill()
    if end == signal.SIGINT:
        assert process.returncode == 130 and "Interrupted. What had finished is kept" in err and "Traceback" not in err
    assert psutil.wait_procs(family, timeout=60)[1] == []
    assert 1 <= kept < 8
    if end != signal.SIGKILL:
        return
    out, err = start_sweep(*options, database=database).communicate(timeout=300)
    runs = json.loads(out)["runs"]
    assert sum(run["reused"] for run in runs) == kept and all(run["train_loss"] for run in runs)
    assert f"{8 - kept} runs to train, {kept} known already" in err


def wait_until(condition, seconds: float = 400) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
