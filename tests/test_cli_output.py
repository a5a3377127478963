"""Standard output of the command line: a closed pipe, a full disk, an encoding that lacks signs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HERE = [sys.executable, "-m", "resnet_viz"]


def run(*arguments: str, **more) -> subprocess.CompletedProcess:
    more = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | more
    environment = os.environ | {"LC_ALL": "C.UTF-8"} | more.pop("env", {})
    return subprocess.run([*HERE, *arguments], cwd=ROOT, env=environment, timeout=300, check=False, **more)


@pytest.mark.parametrize("command", ["info --json", "info", "--help", "train --depth 4 --steps 9 --json"])
def test_a_pipe_that_nobody_reads_ends_quietly(command: str) -> None:
    """As with `| head -c 100`: without a word, and with the exit code of a program that SIGPIPE ends."""
    read, write = os.pipe()
    os.close(read)
    found = run(*command.split(), stdout=write)
    os.close(write)
    assert found.returncode == 141 and b"Error" not in found.stderr and b"Traceback" not in found.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a disk that is always full is Linux’s")
@pytest.mark.parametrize("command", ["info --json", "info", "train --help"])
def test_a_full_disk_is_one_sentence_and_exit_2(command: str) -> None:
    with open("/dev/full", "wb") as full:
        found = run(*command.split(), stdout=full)
    assert found.returncode == 2
    assert found.stderr.decode() == "Standard output cannot be written: No space left on device.\n"


def test_a_closed_standard_output_is_told_and_no_standard_error_mixes_into_it() -> None:
    closed = run("info", stdout=None, preexec_fn=lambda: os.close(1))
    assert closed.returncode == 2 and closed.stderr.decode() == "Standard output cannot be written: it is closed.\n"
    mute = run("info", "--depth", "21", stderr=None, preexec_fn=lambda: os.close(2))
    assert mute.returncode == 2 and mute.stdout == b""


@pytest.mark.parametrize("encoding", ["ascii", "gbk"])
@pytest.mark.parametrize(("command", "language", "code"), [
    ("landscape --help", "C", 0), ("info --depth 21", "zh_CN.UTF-8", 2)])
def test_what_cannot_be_encoded_is_replaced(command: str, language: str, code: int, encoding: str) -> None:
    found = run(*command.split(), env={"PYTHONIOENCODING": encoding, "LC_ALL": language})
    text = (found.stdout + found.stderr).decode(encoding)
    assert found.returncode == code and "--depth" in text and "Traceback" not in text
