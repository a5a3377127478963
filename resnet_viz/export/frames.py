"""The frames of a run as one table: a row per step and lane, in CSV or Parquet.

Columns: `lane` (from 0), `net` (its name), `step`, `loss` and `accuracy` on the step's training batch, before its update;
`gradient_1` … the norm ‖∂L/∂a[l]‖₂ per sample of each hidden activation, input to output. Every tenth step has more:
`test_loss` and `test_accuracy` on the held-out part, `weight_gradient_1` … ‖∂L/∂W‖/‖W‖ of each layer, and of each block
`ratio_1` … ‖F‖/‖s‖, `share_1` …, `cosine_1` …, `weight_norm_1` … ‖W[l+2]‖. Empty where nothing was measured, or there is
nothing to measure. All numbers are in single precision; CSV writes them with all digits, so that no bit is lost.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from resnet_viz.records import Frame

EVERY_STEP = ("loss", "accuracy", "gradient")
PROBES = ("test_loss", "test_accuracy", "weight_gradient", "ratio", "share", "cosine", "weight_norm")


def make_table(runs: Sequence[Frame], names: Sequence[str]) -> pa.Table:
    """The table of the lanes' runs. Lanes of other depths have other columns: a lane's cells in the rest are empty."""
    tables = [make_lane(i, name, run) for i, (name, run) in enumerate(zip(names, runs, strict=True))]
    found = {name for table in tables for name in table.column_names}
    table = pa.concat_tables(tables, promote_options="default")
    return table.select(sorted(found, key=order_column))


def make_lane(lane: int, name: str, run: Frame) -> pa.Table:
    steps = np.arange(run.first, run.first + len(run))
    columns = {"lane": pa.array([lane] * len(run), pa.int32()), "net": pa.array([name] * len(run), pa.string()),
               "step": pa.array(steps, pa.int32())}
    for field in EVERY_STEP:
        columns |= split_columns(field, getattr(run, field))
    for field in PROBES:
        values = getattr(run, field)
        whole = np.full((len(run), *values.shape[1:]), np.nan, np.float32)
        whole[run.probe_step - run.first] = values
        columns |= split_columns(field, whole)
    return pa.table(columns)


def split_columns(name: str, values: np.ndarray) -> dict[str, pa.Array]:
    """A column, or one per layer or block, numbered from 1."""
    named = {name: values} if values.ndim == 1 else {f"{name}_{i + 1}": column for i, column in enumerate(values.T)}
    return {key: pa.array(column, pa.float32(), mask=~np.isfinite(column)) for key, column in named.items()}


def order_column(name: str) -> tuple[int, int]:
    """Where a column stands: in the order of the docstring, layers and blocks by their number."""
    field, _, number = name.rpartition("_")
    order = ("lane", "net", "step", "loss", "accuracy", "test_loss", "test_accuracy", "gradient", *PROBES[2:])
    return (order.index(field), int(number)) if number.isdigit() else (order.index(name), 0)


def write_csv(table: pa.Table) -> bytes:
    """CSV in UTF-8 with the mark that spreadsheets need to see it is."""
    wide = [pa.field(f.name, pa.float64() if pa.types.is_floating(f.type) else f.type) for f in table.schema]
    sink = io.BytesIO()
    pyarrow.csv.write_csv(table.cast(pa.schema(wide)), sink, pyarrow.csv.WriteOptions(quoting_header="none"))
    return b"\xef\xbb\xbf" + sink.getvalue()


def write_parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pyarrow.parquet.write_table(table, sink)
    return sink.getvalue()
