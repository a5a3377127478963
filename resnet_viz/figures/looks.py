"""What all figures share: the lanes' colours and marks, and the margins."""

from __future__ import annotations

import plotly.graph_objects as go

COLOURS = ("#D55E00", "#0072B2", "#00865F", "#9C5B8B")  # of lanes; each has a contrast of 3 on white and on the dark theme
SYMBOLS = ("circle", "diamond", "square", "triangle-up")
PATTERNS = ("", "/", "x", ".")
GREY = "#808080"


def finish_figure(figure: go.Figure, height: int) -> go.Figure:
    return figure.update_layout(height=height, margin={"l": 10, "r": 10, "t": 10, "b": 10})


def draw_chance(figure: go.Figure, chance: float, vertical: bool = False) -> None:
    """The accuracy of guessing, in percent, as a dotted line."""
    line = {"line": {"dash": "dot", "width": 1, "color": GREY}}
    if vertical:
        figure.add_vline(x=100 * chance, **line)
    else:
        figure.add_hline(y=100 * chance, **line)
