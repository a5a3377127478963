"""What all figures share: the lanes' colours and marks, and the margins."""

from __future__ import annotations

import math

import numpy as np
import plotly.graph_objects as go

from resnet_viz.text import _

COLOURS = ("#D55E00", "#0072B2", "#00865F", "#9C5B8B")  # of lanes; each has a contrast of 3 on white and on the dark theme
SYMBOLS = ("circle", "diamond", "square", "triangle-up")
PATTERNS = ("", "/", "x", ".")
GREY = "#808080"


def finish_figure(figure: go.Figure, height: int) -> go.Figure:
    """The height in pixels, and margins: on top there is room for the chart's buttons, which else lie on the data."""
    return figure.update_layout(height=height, margin={"l": 10, "r": 10, "t": 30, "b": 10})


def finish_with_legend(figure: go.Figure, height: int) -> go.Figure:
    """The same with a legend on top, below the chart's buttons however many lines it takes."""
    whole = height + 34
    figure.update_layout(legend={"orientation": "h", "yref": "container", "y": 1 - 26 / whole, "yanchor": "top", "x": 0})
    return finish_figure(figure, whole).update_layout(margin_t=58)


def set_log_axis(figure: go.Figure, title: str, values: np.ndarray) -> None:
    """A logarithmic y axis for `values`, with marks at powers of ten alone where there are several."""
    usable = values[(values > 0) & np.isfinite(values)]
    decades = np.log10(usable.max() / usable.min()) if len(usable) else 0
    step = math.ceil(decades / 8) if decades > 1 else None
    figure.update_yaxes(title=title, type="log", exponentformat="power", dtick=step)


def draw_chance(figure: go.Figure, chance: float, vertical: bool = False) -> None:
    """The accuracy of guessing, in percent, as a dotted line with its name."""
    look = {"line": {"dash": "dot", "width": 1, "color": GREY},
            "annotation": {"text": name_chance(chance), "font": {"size": 11}}}
    if vertical:
        figure.add_vline(x=100 * chance, annotation_position="bottom right", **look)
    else:
        figure.add_hline(y=100 * chance, annotation_position="top right", **look)


def name_chance(chance: float) -> str:
    return _("chance {chance} %").format(chance=f"{100 * chance:.0f}")
