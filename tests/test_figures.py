"""What is drawn of the data: names, lengths, axes; not pixels."""

from __future__ import annotations

import numpy as np
import pytest

from resnet_viz.figures.examples import COLUMNS, ROWS, draw_examples
from resnet_viz.lab.datasets import take_examples
from resnet_viz.records import DATASETS


def test_pictures_stand_on_a_wall_with_their_classes() -> None:
    examples = take_examples("digits", 600)
    figure = draw_examples(examples)
    wall = np.array(figure.data[0].z)
    assert [note.text for note in figure.layout.annotations] == [str(y) for y in examples.y[: ROWS * COLUMNS]]
    assert np.array_equal(wall[3:11, 1:9], examples.x[0, 0])
    assert np.isfinite(wall).sum() == ROWS * COLUMNS * 64


@pytest.mark.parametrize("name", [name for name, spec in DATASETS.items() if not spec.is_picture])
def test_points_are_told_apart_by_colour_and_shape(name: str) -> None:
    examples = take_examples(name, 600)
    figure = draw_examples(examples)
    assert sum(len(trace.x) for trace in figure.data) == 600
    assert len({trace.marker.color for trace in figure.data}) == len({trace.marker.symbol for trace in figure.data}) == 2
    assert (figure.layout.xaxis.title.text, figure.layout.yaxis.title.text) == ("x₁", "x₂")
