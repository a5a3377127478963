"""The databases that the store is tested on: SQLite in a file, and a PostgreSQL server of our own."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

_names = (f"test{number}" for number in itertools.count())


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/runs.sqlite"
    return request.getfixturevalue("postgres").make_database(next(_names))
