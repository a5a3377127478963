"""Stored runs as files: what pandas and pyarrow read back is what was written."""

from __future__ import annotations

import csv
import io

import pandas as pd
import pyarrow.parquet as pq
import pytest

from resnet_viz.store.export import COLUMNS, write_csv, write_parquet
from resnet_viz.sweeps import SETTINGS, RunResult, make_run, read_settings

RUNS = [
    RunResult("i" * 64, "c" * 64, make_run({"lr": 1 / 3, "depth": 8}), 0.1 + 0.2, 0.9, 1e-12, 0.8, False, 300, 1.5,
              "2026-01-01T00:00:00.000+00:00", {"points": {"loss": [1.0]}}),
    RunResult("j" * 64, "c" * 64, make_run({"width": (16, 32), "depth": 8, "shortcut": "projection", "skip": False,
                                            "decay_block": 1, "steps": 7}), None, None, None, None, True, 3, 0.25,
              "2026-01-02T00:00:00.000+00:00"),
]


def test_csv_is_read_back_to_the_bit() -> None:
    rows = list(csv.DictReader(io.StringIO(write_csv(RUNS).decode())))
    assert [tuple(row) for row in rows] == [COLUMNS] * 2
    for row, run in zip(rows, RUNS, strict=True):
        for name, value in run.to_row().items():
            assert row[name] == ("" if value is None else str(value))
            if isinstance(value, float):
                assert float(row[name]) == value
    assert rows[1]["width"] == "16,32"


def test_parquet_is_read_back_to_the_bit_with_its_types() -> None:
    table = pq.read_table(io.BytesIO(write_parquet(RUNS)))
    assert table.column_names == list(COLUMNS)
    assert table.to_pylist() == [run.to_row() for run in RUNS]
    kinds = {name: str(table.schema.field(name).type) for name in ("depth", "lr", "skip", "width", "train_loss", "diverged",
                                                                  "taken", "finished", "decay_block", "decay_bias")}
    assert kinds == {"depth": "int64", "lr": "double", "skip": "bool", "width": "string", "train_loss": "double",
                     "diverged": "bool", "taken": "int64", "finished": "string", "decay_block": "int64",
                     "decay_bias": "bool"}


def test_both_hold_the_same() -> None:
    one, other = pd.read_csv(io.BytesIO(write_csv(RUNS))), pd.read_parquet(io.BytesIO(write_parquet(RUNS)))
    assert list(one.columns) == list(other.columns)
    for name in ("lr", "train_loss", "test_loss", "seconds"):
        pd.testing.assert_series_equal(one[name], other[name], rtol=0, atol=0)


@pytest.mark.parametrize("run", RUNS)
def test_a_row_says_which_run_it_was(run: RunResult) -> None:
    row = pq.read_table(io.BytesIO(write_parquet([run]))).to_pylist()[0]
    assert make_run(read_settings({name: row[name] for name in SETTINGS})) == run.race


def test_nothing_is_a_file_too() -> None:
    assert write_csv([]).decode() == ",".join(COLUMNS) + "\n"
    assert pq.read_table(io.BytesIO(write_parquet([]))).num_rows == 0
