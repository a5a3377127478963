"""Standard output as pipes, disks and encodings leave it: a closed pipe ends quietly, a full disk in one sentence."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any

from resnet_viz.records import N_, ConfigError

CLOSED = 141  # what a shell shows of a program that ends because nobody reads it any more: 128 + SIGPIPE


class OutputError(ConfigError):
    """Standard output takes nothing more: the disk is full, or it is closed."""

    TEMPLATE = N_("Standard output cannot be written: {takes}.")


def prepare_streams() -> None:
    """What an encoding has no sign for is replaced. Without a standard error, nothing meant for it goes elsewhere."""
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 (until the end of the process)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


@contextlib.contextmanager
def writing() -> Iterator[None]:
    """What is printed here has arrived at the end. Raises `OutputError`, or `BrokenPipeError` where nobody reads on."""
    if sys.stdout is None:
        raise OutputError("stdout", "", N_("it is closed"))
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        discard(sys.stdout)
        raise OutputError("stdout", "", "{reason}", reason=error.strerror) from None


def discard(*streams: object) -> None:
    """What is still kept for these streams goes nowhere, so that the interpreter's end does not complain of it."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in streams:
        with contextlib.suppress(OSError, ValueError, AttributeError):  # a stream of no file, as tests have
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def show_result(result: dict[str, Any]) -> None:
    """The result for people: a line each."""
    for name, value in result.items():
        if name == "layers":
            for layer in value:
                print("  {name:21} {kind:7} {kernel}x{kernel} /{stride} {output!s:16} {parameters:>12,} "
                      "{multiply_adds:>14,}".format(**layer))
        elif name == "blocks":
            for k, block in enumerate(value, start=1):
                print(write_credit(k, block) if "branch" in block else
                      "  {first:>4}-{last:<4} {shortcut:11} {input!s:16} {output!s}".format(**block))
        else:
            print(f"{name:34} {value:,}" if type(value) is int else f"{name:34} {value}")


def write_credit(k: int, block: dict[str, Any]) -> str:
    """A block's credits in a line; there is no shortcut in a plain net."""
    parts = (f"{name} {value:.4f}" for name, value in block.items() if value is not None)
    return f"  {k:>4}  " + "  ".join(parts)
