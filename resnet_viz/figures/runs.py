"""The curves of stored runs, one over the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from resnet_viz.figures.looks import COLOURS, finish_figure
from resnet_viz.text import _, percent_sign, write_numbers

DASHES = ("solid", "dash")
MOST = len(COLOURS) * len(DASHES)  # curves that can be told apart


@dataclass(frozen=True)
class Curve:
    """One run's curve: its `name`, and its values at the steps; None where a value is not finite."""

    name: str
    steps: Sequence[float]
    values: Sequence[float | None]


def draw_curves(curves: Sequence[Curve], title: str, percent: bool) -> go.Figure:
    """Values against steps."""
    figure = go.Figure()
    suffix = percent_sign() if percent else ""
    for i, curve in enumerate(curves[:MOST]):
        values = [None if value is None else 100 * value if percent else value for value in curve.values]
        figure.add_scatter(x=list(curve.steps), y=values, name=curve.name, mode="lines",
                           line={"color": COLOURS[i % len(COLOURS)], "width": 2, "dash": DASHES[i // len(COLOURS)]},
                           hovertemplate="%{text}", text=write_numbers(values, 3, suffix))
    figure.update_xaxes(title=_("Step"))
    figure.update_yaxes(title=title, rangemode="tozero", ticksuffix=suffix)
    figure.update_layout(hovermode="x unified", showlegend=True, legend={"orientation": "h", "y": -0.25, "yanchor": "top"})
    return finish_figure(figure, 360)
