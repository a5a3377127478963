"""Stored runs as files: CSV and Parquet, a row per run, a column per setting and per number."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import fields

import pyarrow as pa
import pyarrow.parquet as pq

from resnet_viz.records import DECIMAL_FIELDS, FLAG_FIELDS, WHOLE_FIELDS
from resnet_viz.sweeps import METRICS, SETTINGS, RunResult

COLUMNS = (*SETTINGS, *(f.name for f in fields(RunResult) if f.name not in ("race", "curves")))


def write_csv(runs: Iterable[RunResult]) -> bytes:
    """CSV in UTF-8, with a header. What is not known, or not finite, is empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(run.to_row() for run in runs)
    return text.getvalue().encode()


def write_parquet(runs: Iterable[RunResult]) -> bytes:
    """A Parquet file; what is not known, or not finite, is null."""
    sink = io.BytesIO()
    schema = pa.schema([(name, find_type(name)) for name in COLUMNS])
    pq.write_table(pa.Table.from_pylist([run.to_row() for run in runs], schema), sink)
    return sink.getvalue()


def find_type(name: str) -> pa.DataType:
    if name in (*WHOLE_FIELDS, "taken"):
        return pa.int64()
    if name in (*DECIMAL_FIELDS, *METRICS, "seconds"):
        return pa.float64()
    return pa.bool_() if name in (*FLAG_FIELDS, "skip", "diverged") else pa.string()
