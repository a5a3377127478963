"""The numbers that a run came to: which there are, what they are called, and with which of BatchNorm's statistics."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import pandas as pd
from pandas.io.formats.style import Styler

from resnet_viz.engine.sweep import RunProgress
from resnet_viz.figures.sweep import Spot
from resnet_viz.records import RaceConfig
from resnet_viz.sweeps import RunResult
from resnet_viz.text import _, percent_sign, write_number
from resnet_viz.ui.words import label_measures

MEASURES = ("train_error", "test_error", "train_loss", "test_loss")
STATISTICS = ("stored", "recomputed")  # of BatchNorm, that a number is measured with
MOST_SHOWN = 1e15  # Streamlit's tables cannot write larger numbers


def uses_norm(races: Iterable[RaceConfig]) -> bool:
    """Whether BatchNorm's statistics make a difference to any of these runs."""
    return any(race.lanes[0].net.norm == "batch" for race in races)


def take_number(result: RunResult, measure: str, statistics: str | None = None) -> float | None:
    """A run's loss, or its error in percent, with these statistics of BatchNorm, the stored ones where none are named."""
    part, what = measure.split("_")
    name = f"{part}_{'accuracy' if what == 'error' else 'loss'}"
    value = getattr(result, f"{name}_recomputed" if statistics == "recomputed" else name)
    return value if what == "loss" or value is None else 100 * (1 - value)


def take_shown(run: RunResult, measure: str, statistics: str | None = None) -> float | None:
    """A number that the table can write; the loss of a run that diverged may be none."""
    number = take_number(run, measure, statistics)
    return number if number is not None and abs(number) < MOST_SHOWN else None


def write_measure(result: RunResult, measure: str, statistics: str | None = None) -> str:
    number = take_number(result, measure, statistics)
    if number is None:
        return "–"
    return f"{number:.1f}{percent_sign()}" if measure.endswith("error") else write_number(number, 4)


def style_table(rows: list[dict[str, Any]], columns: Iterable[tuple[str, str | None]],
                numbers: Iterable[str] = ()) -> Styler:
    """Rows whose cells stay numbers, to be sorted, and are written as numbers are everywhere: errors in percent, losses and

    the columns titled `numbers` with powers of ten as people write them.
    """
    table, titles = pd.DataFrame(rows), {label_measure(*column): column[0] for column in columns}
    errors = {title for title, measure in titles.items() if measure.endswith("error")}
    ways = {title: lambda value: f"{value:.1f}{percent_sign()}" for title in errors}
    ways |= {title: lambda value: write_number(value, 4) for title in {*titles, *numbers} - errors}
    return table.style.format({title: way for title, way in ways.items() if title in table}, na_rep="–")


def label_measure(measure: str, statistics: str | None = None) -> str:
    """What a number is called, and with which statistics it is measured, where that makes a difference."""
    name = label_measures()[measure]
    words = {"stored": _("{measure}, stored statistics"), "recomputed": _("{measure}, recomputed statistics")}
    return name if statistics is None else words[statistics].format(measure=name)


def list_measures(races: Iterable[RaceConfig]) -> list[tuple[str, str | None]]:
    """The columns of a table of runs: each number, and with BatchNorm by either statistics."""
    return list(itertools.product(MEASURES, STATISTICS if uses_norm(races) else (None,)))


def read_spots(runs: Iterable[RunProgress], measure: str, statistics: str | None = None) -> tuple[Spot, ...]:
    return tuple(Spot(run.result.race.seed, take_number(run.result, measure, statistics), run.result.diverged)
                 for run in runs if run.result is not None)
