"""What removing a block costs, after weight decay has had its way."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from resnet_viz.figures.looks import COLOURS, SYMBOLS, draw_chance, finish_figure
from resnet_viz.text import _, percent_sign


def draw_removal(names: list[str], whole: list[float], removed: list[np.ndarray], chance: float) -> go.Figure:
    """A row per net: held-out accuracy of the whole net as a line, and of the net without each block (K,) as points."""
    figure = go.Figure()
    draw_chance(figure, chance, vertical=True)
    for i, (name, accuracy, values) in enumerate(zip(names, whole, removed, strict=True)):
        blocks = np.flatnonzero(np.isfinite(values))
        figure.add_scatter(
            x=100 * values[blocks], y=[name] * len(blocks), mode="markers", name=_("Without one block"),
            marker={"color": COLOURS[i % 4], "symbol": SYMBOLS[i % 4], "size": 10, "opacity": 0.75},
            customdata=blocks + 1, showlegend=False,
            hovertemplate=_("Without block {block}: {accuracy} %").format(block="%{customdata}", accuracy="%{x:.1f}")
            + "<extra></extra>")
        figure.add_scatter(
            x=[100 * accuracy], y=[name], mode="markers", name=_("The whole net"), showlegend=False,
            marker={"symbol": "line-ns", "size": 24, "line": {"width": 3, "color": COLOURS[i % 4]}},
            hovertemplate=_("The whole net: {accuracy} %").format(accuracy="%{x:.1f}") + "<extra></extra>")
    figure.update_xaxes(title=_("Held-out accuracy"), range=[-2, 104], ticksuffix=percent_sign())
    figure.update_yaxes(autorange="reversed", showgrid=True, automargin=True)
    return finish_figure(figure, 90 + 40 * len(names))
