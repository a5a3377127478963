"""The diagrams of the ways out hold their words: no line is wider than its box, none lies in the way of another."""

from __future__ import annotations

import re

import plotly.graph_objects as go
import pytest

from resnet_viz.figures.dimensions import draw_way
from resnet_viz.records import DATASETS, NetConfig

UNIT = (264 - 10) / 10, 530 / 13.5  # pixels of one unit in a column of 264
NETS = [NetConfig(depth=12, width=(512, 1024), shortcut="projection"),
        NetConfig(depth=12, width=(128, 256), shortcut="zero-pad"),
        NetConfig("conv", "projection", 8, (8,), "batch", order="pre"), NetConfig("conv", "zero-pad", 8, (64,), "batch")]


def measure(note: go.layout.Annotation) -> tuple[float, float, float, float]:
    """Left, right, top and bottom of a text, in units; letters are 0.57 of their size wide, thin ones half of it."""
    lines = re.sub(r"<(?!br)[^>]*>", "", note.text).split("<br>")
    letters = max(sum(0.28 if sign in " ·[]l:,irt" else 0.57 for sign in line) for line in lines)
    wide, high = letters * note.font.size / UNIT[0], 1.3 * note.font.size * len(lines) / UNIT[1]
    left = note.x - {"left": 0, "center": wide / 2, "right": wide}[note.xanchor]
    return left, left + wide, note.y - high / 2, note.y + high / 2


@pytest.mark.parametrize("net", NETS, ids=lambda net: f"{net.family} {net.shortcut}")
def test_the_words_of_a_diagram_have_room(net: NetConfig) -> None:
    figure = draw_way(net, DATASETS["digits"])
    texts = [(note.text, measure(note)) for note in figure.layout.annotations if note.text]
    boxes = [shape for shape in figure.layout.shapes if shape.type == "rect"]
    assert len(boxes) == 6 and len(texts) > 12
    for text, (left, right, top, bottom) in texts:
        for box in boxes:
            inside = box.x0 <= left and right <= box.x1 and box.y0 <= top and bottom <= box.y1
            beside = right <= box.x0 or box.x1 <= left or bottom <= box.y0 or box.y1 <= top
            assert inside or beside, text
        for other, place in texts:
            apart = right <= place[0] or place[1] <= left or bottom <= place[2] or place[3] <= top
            assert other == text or apart, (text, other)
