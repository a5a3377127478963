"""A look at the data: some of the pictures, or the points in their plane."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from resnet_viz.figures.looks import COLOURS, SYMBOLS, finish_figure
from resnet_viz.records import Examples
from resnet_viz.text import _

ROWS, COLUMNS = 3, 12


def draw_examples(examples: Examples) -> go.Figure:
    """The examples of one data set: a wall of pictures with their classes, or a scatter of points."""
    return draw_pictures(examples) if examples.x.ndim == 4 else draw_points(examples)


def draw_pictures(examples: Examples) -> go.Figure:
    """ROWS x COLUMNS pictures (N, 1, H, W) on one heat map, a pixel apart, each with its class above it."""
    count = min(len(examples.x), ROWS * COLUMNS)
    height, width = examples.x.shape[2:]
    wall = np.full((ROWS * (height + 3), COLUMNS * (width + 2)), np.nan)
    notes = []
    for i in range(count):
        row, column = divmod(i, COLUMNS)
        top, left = row * (height + 3) + 3, column * (width + 2) + 1
        wall[top : top + height, left : left + width] = examples.x[i, 0]
        notes.append({"x": left + (width - 1) / 2, "y": top - 1.6, "text": str(examples.y[i]), "showarrow": False})
    figure = go.Figure(go.Heatmap(z=wall, colorscale="Greys", showscale=False, hoverinfo="skip"))
    figure.update_layout(annotations=notes)
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False, autorange="reversed", scaleanchor="x")
    return finish_figure(figure, 230)


def draw_points(examples: Examples) -> go.Figure:
    """Points (N, 2) of two classes, told apart by colour and by shape."""
    figure = go.Figure()
    for label in np.unique(examples.y):
        x, y = examples.x[examples.y == label].T
        figure.add_scatter(x=x, y=y, mode="markers", name=_("Class {label}").format(label=label),
                           marker={"color": COLOURS[label % 2], "symbol": SYMBOLS[label % 2], "size": 5})
    figure.update_xaxes(title="x₁", zeroline=False)
    figure.update_yaxes(title="x₂", zeroline=False, scaleanchor="x")
    return finish_figure(figure, 380)
