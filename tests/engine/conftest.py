"""What tests of the engine share."""

from __future__ import annotations

from pathlib import Path

import pytest

from resnet_viz.engine import tasks
from resnet_viz.records import State


@pytest.fixture
def notes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A file in which every slice is noted that a worker begins."""
    advance, path = tasks.advance, tmp_path / "steps"

    def note(state: State, steps: range, *rest: object) -> State:
        with path.open("a") as file:
            file.write(f"{len(steps)}\n")
        return advance(state, steps, *rest)

    monkeypatch.setattr(tasks, "advance", note)
    return path
