"""What the runs of a sweep came to: curves against a setting, or a map of two. Points appear as the runs finish."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from resnet_viz.figures.looks import COLOURS, GREY, SYMBOLS, finish_figure, finish_with_legend
from resnet_viz.text import _, percent_sign, write_number, write_numbers

DASHES = ("solid", "dash", "dot", "dashdot")
WIDE = 30  # values that are so many times as large as the smallest want a log axis
SCALE = "Cividis_r"  # dark is bad; readable without telling colours apart


@dataclass(frozen=True)
class Scale:
    """One axis of a chart: its `title`, its `values` in order, and what they are called, `labels`."""

    title: str
    values: tuple[Any, ...]
    labels: tuple[str, ...]

    @property
    def numeric(self) -> bool:
        return all(isinstance(value, int | float) and not isinstance(value, bool) for value in self.values)

    @property
    def kind(self) -> str:
        """"linear" or "log" for numbers, "category" for all else and for numbers too far apart that include 0."""
        if not self.numeric:
            return "category"
        positive = [value for value in self.values if value > 0]
        if not positive or max(positive) < WIDE * min(positive):
            return "linear"
        return "log" if len(positive) == len(self.values) else "category"

    @property
    def places(self) -> tuple[Any, ...]:
        """Where the values stand on the axis."""
        return tuple(range(len(self.values))) if self.kind == "category" else self.values


@dataclass(frozen=True)
class Spot:
    """One finished run: its seed and its number; `diverged` where that is the last before it did, None if not finite."""

    seed: int
    value: float | None
    diverged: bool = False


@dataclass(frozen=True)
class Line:
    """One kind of net: its `name`, the number of its `colour`, and for each value of the x axis the finished runs."""

    name: str
    colour: int
    runs: tuple[tuple[Spot, ...], ...]


@dataclass(frozen=True)
class Measure:
    """What is drawn: its `title`, whether in percent, and what guessing would give, None where that is not one number."""

    title: str
    percent: bool
    chance: float | None

    @property
    def suffix(self) -> str:
        return percent_sign() if self.percent else ""

    def write(self, value: float) -> str:
        """A number as text: percents to one place, losses to three digits."""
        return f"{value:.1f}{percent_sign()}" if self.percent else write_number(value)


def summarise(spots: Sequence[Spot]) -> tuple[float, float]:
    """Mean and standard deviation (n - 1) over the seeds that did not diverge; NaN where there are too few."""
    values = [spot.value for spot in spots if not spot.diverged and spot.value is not None]
    return (float(np.mean(values)) if values else np.nan), (float(np.std(values, ddof=1)) if len(values) > 1 else np.nan)


def draw_lines(lines: Sequence[Line], scale: Scale, measure: Measure) -> go.Figure:
    """Means with one standard deviation over the seeds, not below 0; every run as a point, × where it diverged."""
    figure = go.Figure()
    if measure.chance is not None:
        figure.add_hline(y=measure.chance, line={"dash": "dot", "width": 1, "color": GREY})
    for line in lines:
        add_means(figure, line, scale, measure)
        add_runs(figure, line, scale, measure, diverged=False)
        add_runs(figure, line, scale, measure, diverged=True)
    draw_scale(figure.update_xaxes, scale)
    figure.update_yaxes(title=measure.title, rangemode="tozero", ticksuffix=measure.suffix)
    figure.update_layout(uirevision="sweep", hovermode="closest", showlegend=len(lines) > 1)
    return finish_with_legend(figure, 300)


def add_means(figure: go.Figure, line: Line, scale: Scale, measure: Measure) -> None:
    """The means of a line and their spread; joined where the x axis has numbers."""
    found = [(place, *summarise(spots)) for place, spots in zip(scale.places, line.runs, strict=True)]
    known = [row for row in found if np.isfinite(row[1])]
    x, means, spreads = zip(*known, strict=True) if known else ((), (), ())
    up = np.nan_to_num(spreads)
    colour, dash = COLOURS[line.colour % len(COLOURS)], DASHES[line.colour // len(COLOURS) % len(DASHES)]
    figure.add_scatter(
        x=x, y=means, name=line.name, legendgroup=line.name, cliponaxis=False,
        mode="lines+markers" if scale.numeric else "markers",
        line={"color": colour, "width": 2, "dash": dash},
        marker={"color": colour, "symbol": SYMBOLS[line.colour % len(SYMBOLS)], "size": 9},
        error_y={"array": up, "arrayminus": np.minimum(up, means), "color": colour, "thickness": 1.5, "width": 5},
        text=write_numbers(means, 3, measure.suffix),
        hovertemplate=_("{net}: mean {mean}").format(net=line.name, mean="%{text}") + "<extra></extra>")


def add_runs(figure: go.Figure, line: Line, scale: Scale, measure: Measure, diverged: bool) -> None:
    """Each run of a line on its own: those that diverged, or the others."""
    found = [(place, spot) for place, spots in zip(scale.places, line.runs, strict=True)
             for spot in spots if spot.diverged == diverged and spot.value is not None]
    words = _("{net}, seed {seed}: diverged; {value} before that") if diverged else _("{net}, seed {seed}: {value}")
    symbol = "x" if diverged else SYMBOLS[line.colour % len(SYMBOLS)]
    figure.add_scatter(
        x=[place for place, _spot in found], y=[spot.value for _place, spot in found], mode="markers", name=line.name,
        legendgroup=line.name, showlegend=False, cliponaxis=False, customdata=[spot.seed for _place, spot in found],
        text=write_numbers((spot.value for _place, spot in found), 3, measure.suffix),
        marker={"color": COLOURS[line.colour % len(COLOURS)], "symbol": symbol, "size": 10 if diverged else 6,
                "opacity": 1 if diverged else 0.5},
        hovertemplate=words.format(net=line.name, seed="%{customdata}", value="%{text}")
        + "<extra></extra>")


def draw_scale(update: Any, scale: Scale) -> None:
    """An axis whose ticks are the values, all of them from the start, so that it stands still as points come in."""
    places = scale.places
    if scale.kind == "log":
        low, high = np.log10(min(places)), np.log10(max(places))
    else:
        low, high = min(places), max(places)
    room = 0.06 * (high - low) or 0.5
    update(title=scale.title, type="log" if scale.kind == "log" else "linear", range=[low - room, high + room],
           tickvals=list(places), ticktext=list(scale.labels))


def draw_map(cells: Sequence[Sequence[Sequence[Spot]]], across: Scale, down: Scale, measure: Measure) -> go.Figure:
    """A cell for each pair of values, `cells[row][column]` its finished runs: the mean; a word where all diverged."""
    table = np.array([[summarise(spots)[0] for spots in row] for row in cells])
    figure = go.Figure(go.Heatmap(
        z=table, x=list(range(len(across.values))), y=list(range(len(down.values))), colorscale=SCALE, zmin=0,
        zmax=measure.chance if measure.chance is not None else None, xgap=2, ygap=2,
        text=[[write_cell(spots, measure) for spots in row] for row in cells], texttemplate="%{text}",
        showscale=False, hoverongaps=False,  # the cells say their numbers
        hovertemplate="%{text}<extra></extra>"))
    lost = [(x, y) for y, row in enumerate(cells) for x, spots in enumerate(row) if spots and np.isnan(table[y][x])]
    figure.add_scatter(x=[x for x, _y in lost], y=[y for _x, y in lost], mode="text", text=[_("diverged")] * len(lost),
                       showlegend=False, hoverinfo="skip")
    for update, scale, labels in ((figure.update_xaxes, across, map(wrap, across.labels)),
                                  (figure.update_yaxes, down, down.labels)):
        update(title=scale.title, tickvals=list(range(len(scale.values))), ticktext=list(labels), showgrid=False,
               tickangle=0, title_standoff=8, zeroline=False, range=[-0.5, len(scale.values) - 0.5], automargin=True)
    figure.update_layout(uirevision="sweep")
    return finish_figure(figure, max(240, 130 + 52 * len(down.values))).update_layout(margin_t=32)


def wrap(label: str) -> str:
    """A tick's label on lines so short that its neighbours leave it room: plotly drops a label that has none."""
    lines = textwrap.wrap(label, 11, break_long_words=False)
    return "<br>".join(re.sub(r"([\u4e00-\u9fff]{4})(?=[\u4e00-\u9fff])", r"\1<br>", line) for line in lines)


def write_cell(spots: Sequence[Spot], measure: Measure) -> str:
    """The mean of a cell, and how many of its runs diverged, if any did."""
    mean, _spread = summarise(spots)
    lost = sum(spot.diverged for spot in spots)
    words = measure.write(mean) if np.isfinite(mean) else ""
    return words + ("<br>" + _("{count} diverged").format(count=lost) if lost and words else "")
