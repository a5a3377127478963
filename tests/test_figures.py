"""What is drawn of the data: names, lengths, axes; not pixels."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from resnet_viz.figures import architecture, layers, passing
from resnet_viz.figures.architecture import draw_architectures
from resnet_viz.figures.block import draw_rows, draw_scatter, list_rows, measure_reach
from resnet_viz.figures.equations import write_equations
from resnet_viz.figures.examples import COLUMNS, ROWS, draw_examples
from resnet_viz.figures.operations import draw_chain
from resnet_viz.lab.architecture import trace_architecture, trace_net
from resnet_viz.lab.datasets import take_examples
from resnet_viz.lab.experiments import training
from resnet_viz.lab.experiments.blocks import open_block
from resnet_viz.records import DATASETS, BlockView, DataShape, Lane, NetConfig, Operation


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


# ---------------------------------------------------------------------------------------------------- one block


def open_small(net: NetConfig, **parts) -> BlockView:
    state = training.advance(training.make_state(Lane(net), "digits", 0), 3)[0]
    return open_block(state, **{"block": 1} | parts)


@pytest.mark.parametrize("norm", ["none", "batch"])
@pytest.mark.parametrize("skip", [True, False])
def test_rows_of_a_block_are_what_is_drawn(norm: str, skip: bool) -> None:
    net = NetConfig(depth=8, width=(16,), norm=norm, skip=skip)
    view = open_small(net)
    figure = draw_rows(view, net, 1, 4, measure_reach([view]))
    bars = [trace for trace in figure.data if trace.type == "bar"]
    rows = list_rows(view)
    assert list(rows) == [name for name in view.rows if name != "s"] and len(bars) == len(rows)
    for trace, row in zip(bars, rows.values(), strict=True):
        assert np.array_equal(trace.y, row)
        assert [shape == "/" for shape in trace.marker.pattern.shape] == (row < 0).tolist()
        assert trace.marker.color[4] != trace.marker.color[5]


def test_maps_of_a_block_are_what_is_drawn() -> None:
    net = NetConfig("conv", "zero-pad", 8, (3,), "batch")
    view = open_small(net, block=0)
    figure = draw_rows(view, net, 0, 70, measure_reach([view]))
    for trace, row in zip(figure.data, list_rows(view).values(), strict=True):
        wall = np.array(trace.z)
        assert np.array_equal(wall[:, 9:17], row[1]) and np.isnan(wall[:, 8]).all()
    assert len(figure.layout.shapes) == len(figure.data)


def test_scatter_of_a_zeroed_block_is_on_its_diagonal() -> None:
    net = NetConfig(depth=8, width=(16,))
    line, points = draw_scatter(open_small(net, operations=[Operation("zero-wb", 1)]), 1, True).data
    assert line.mode == "lines" and np.array_equal(line.x, line.y)
    assert np.array_equal(points.x, points.y) and len(points.x) == 1500
    plain = draw_scatter(open_small(replace(net, skip=False), operations=[Operation("zero-wb", 1)]), 1, False).data[1]
    assert not np.any(plain.y) and np.any(plain.x)


def read_result(line: str) -> float:
    return float(re.sub(r"\\cdot 10\^\{(.*)\}", r"e\1", line.rpartition("= ")[2]))


@pytest.mark.parametrize("order", ["post", "pre"])
@pytest.mark.parametrize("norm", ["none", "batch"])
@pytest.mark.parametrize("skip", [True, False])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_equations_end_in_what_was_computed(order: str, norm: str, skip: bool, activation: str) -> None:
    """Each line's last number is the row's, in the lesson's order; the sum's parts are the products."""
    net = NetConfig(depth=8, width=(16,), norm=norm, order=order, skip=skip, activation=activation)
    view = open_small(net, unit=4)
    lines = write_equations(view, net, 1, 4)
    lines = lines[1:] if order == "pre" else lines
    second = norm == "batch" and order == "post"
    names = [*["u1"] * (norm == "batch"), "z1", "a1", *["u2"] * second, "z2", "a2"]
    assert len(lines) == len(names)
    for name, line in zip(names, lines, strict=True):
        assert read_result(line) == pytest.approx(view.rows[name][4], rel=5e-3, abs=1e-3)
    assert ("+ a^{[3]}_{5}" in lines[-1]) == skip
    assert "(13 more)" in re.sub(r"\\text\{(.*?)\}", r"\1", lines[0])


def test_equations_of_a_zeroed_block_say_zero() -> None:
    net = NetConfig(depth=8, width=(16,))
    lines = write_equations(open_small(net, operations=[Operation("zero-wb", 1)], unit=4), net, 1, 4)
    assert lines[-2].endswith("= 0") and r"\big) = g(0 + " in lines[-1]


def test_a_shortcut_that_is_not_a_itself_has_its_own_line() -> None:
    net = NetConfig(depth=8, width=(12, 16), shortcut="projection")
    view = open_small(net, block=2, unit=4)
    lines = write_equations(view, net, 2, 4)
    assert len(lines) == 5 and read_result(lines[3]) == pytest.approx(view.rows["s"][4], abs=1e-3)
    assert "s" in list_rows(view)


# ---------------------------------------------------------------------------------------------------- architectures


def labels_of(figure) -> list[list[str]]:
    return [list(trace.text) for trace in figure.data if trace.type == "bar"]


def arcs_of(figure) -> dict[str, list[int]]:
    """The number of arcs of each kind, net by net."""
    found: dict[str, list[int]] = {}
    for trace in figure.data:
        if trace.legendgroup:
            found.setdefault(trace.line.dash, []).append(list(trace.x).count(None))
    return found


def test_the_paper_s_figure_has_its_layers_and_arcs() -> None:
    """VGG-19, plain-34, ResNet-34: fig. 3 of He et al. 2015."""
    figure = draw_architectures([trace_architecture(name) for name in ("vgg19", "plain34", "resnet34")])
    vgg, plain, residual = labels_of(figure)
    assert plain == residual and len(residual) == 36 and len(vgg) == 19 + 5
    assert residual[:3] == ["7×7 conv, 64, /2", "pool, /2", "3×3 conv, 64"] and residual[-2:] == ["avg pool", "fc 1000"]
    assert residual.count("3×3 conv, 256") == 11 and residual.count("3×3 conv, 256, /2") == 1
    assert vgg.count("3×3 conv, 512") == 8 and vgg.count("fc 4096") == 2
    assert arcs_of(figure) == {"solid": [13], "dot": [3]}
    counts = [[text for text in trace.text if text] for trace in figure.data
              if trace.type == "scatter" and trace.textposition == "middle left"]
    assert counts == [[str(k) for k in range(1, depth + 1)] for depth in (19, 34, 34)], "the count stands beside the boxes"
    assert 900 < figure.layout.height < 1500
    rows = {trace.name: dict(zip(trace.text, trace.y, strict=True)) for trace in figure.data if trace.type == "bar"}
    assert rows["plain-34"]["3×3 conv, 512, /2"] == rows["ResNet-34"]["3×3 conv, 512, /2"]
    assert rows["plain-34"]["pool, /2"] == 5.5 + 1, "56×56 begins below 224×224 and 112×112"


def test_each_arc_goes_round_its_block() -> None:
    """From the box before the block to the block's last, two rows further down, and the gap between two bands."""
    figure = draw_architectures([trace_architecture("resnet18")])
    for trace in figure.data:
        if trace.legendgroup:
            ends = [i for i, x in enumerate(trace.x) if x is None]
            starts = [0, *(end + 1 for end in ends[:-1])]
            spans = {round(trace.y[end - 1] - trace.y[start], 6) for start, end in zip(starts, ends, strict=True)}
            gap = 3 * architecture.HIGH / 8  # it leaves a box below its middle, and arrives above it
            assert spans == {round((2 if trace.line.dash == "solid" else 2.5) - gap, 6)}
    assert {"no parameters" in trace.hovertext[0] for trace in figure.data if trace.legendgroup} == {True, False}


def test_a_projection_is_not_called_an_identity() -> None:
    """Option C has no identity at all."""
    net = NetConfig("conv", "projection-all", 20, (16,), "batch")
    figure = draw_architectures([trace_net(net, DataShape((3, 32, 32), 10))])
    assert arcs_of(figure) == {"dash": [7], "dot": [2]}
    assert [trace.name for trace in figure.data if trace.showlegend] == [
        "Projection that keeps the dimensions", "Shortcut that changes dimensions"]


def test_deep_nets_are_drawn_with_equal_blocks_once() -> None:
    figure = draw_architectures([trace_architecture(name) for name in ("cifar110", "cifar110-plain", "cifar56")])
    residual, plain, shallow = labels_of(figure)
    assert len(residual) == len(plain) == 1 + 2 + 4 + 4 + 2 and len(shallow) == 56 + 1
    repeats = [trace.text[0] for trace in figure.data if trace.type == "scatter" and trace.mode == "text"
               and trace.text[0].startswith("<b>×")]
    assert repeats == ["<b>×18</b>", "<b>×17</b>", "<b>×17</b>"] * 2
    assert arcs_of(figure) == {"solid": [3, 25], "dot": [2, 2]}


def test_white_letters_are_read_on_every_box_and_boxes_on_either_page() -> None:
    def shine(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return float(np.dot((0.2126, 0.7152, 0.0722), linear))

    for colour in (*architecture.BANDS, architecture.LINE):
        assert 1.05 / (shine(colour) + 0.05) >= 4.5 and (shine(colour) + 0.05) / (shine("#11161C") + 0.05) >= 3, colour


@pytest.mark.parametrize(("name", "count"), [
    ("resnet34", "1 + 2·(3 + 4 + 6 + 3) + 1 = 34"), ("resnet50", "1 + 3·(3 + 4 + 6 + 3) + 1 = 50"),
    ("vgg19", "2 + 2 + 4 + 4 + 4 + 3 = 19"), ("cifar20", "1 + 2·(3 + 3 + 3) + 1 = 20"),
])
def test_the_count_is_written_out(name: str, count: str) -> None:
    net = trace_architecture(name)
    assert layers.write_count(net) == count
    assert sum(part.layers for part in layers.count_parts(net)) == net.counted_layers
    assert layers.count_parts(net)[-1].output == net.layers[-1].output


def test_a_picture_passes_layer_by_layer() -> None:
    net, picture = trace_architecture("resnet34"), np.eye(8)
    still, moving = (passing.draw_pass(net, 3, picture, plays) for plays in (False, True))
    assert still.count("<span") == moving.count("<span") == 36
    assert still.count("class=lit") == 3 and still.count("<p ") == 1 and moving.count("<p ") == 37
    assert "layer1.0.conv1" in still and "64×56×56 → 64×56×56 = 200,704 numbers" in still
    told = passing.describe_steps(net)
    assert told[0] == "The picture: 3×224×224 = 150,528 numbers"
    assert told[36] == "fc · fc 1000 · layer 34 of 34 · 512×1×1 → 1000 = 1,000 numbers"
    assert [f"layer {k} of 34" in "\n".join(told) for k in range(36)] == [False] + [True] * 34 + [False]
    assert passing.label_steps(net)[1] == "1/36 · 64×112×112"


@pytest.mark.parametrize("net", [NetConfig(depth=4, width=(1,), shortcut="none"), NetConfig(depth=200, width=(512,)),
                                 NetConfig("conv", "projection-all", 8, (1,), "batch")], ids=str)
def test_nets_of_one_s_own_are_drawn(net: NetConfig) -> None:
    data = DataShape((3, 32, 32), 10) if net.family == "conv" else DATASETS["digits"]
    traced = trace_net(net, data)
    assert labels_of(draw_architectures([traced]))[0][-1] == "fc 10"
    assert str(net.depth) in layers.write_count(traced)
    assert passing.draw_pass(traced, 1, np.eye(8), False)


def test_the_figure_as_a_page_needs_no_network() -> None:
    page = layers.write_page([trace_architecture("resnet18")]).decode()
    assert page.count("layer4.1.conv2") == 2 and "<title>ResNet-18</title>" in page and len(page) > 3_000_000
    assert page.count("<tr>") == 1 + 20 + 2 + 20 + 1 and "11,689,512 parameters, 1,814,073,344 multiply-adds" in page
    assert not re.search(r'<(script|link)[^>]+(src|href)=', page)


def test_a_chain_shows_the_net_as_it_was_trained() -> None:
    """An arc for each shortcut that is there, scissors where one was cut; a cut block that is dropped is passed by."""
    net = NetConfig(depth=8, cuts=(1,))
    whole, dropped = draw_chain(net, [], "#000"), draw_chain(net, [Operation("lesion", 1)], "#000")
    assert whole.count("60C") == 2 and whole.count("✂") == 1
    assert dropped.count("60C") == 3 and dropped.count("✂") == 0
    assert draw_chain(net, [Operation("cut-shortcut", 0)], "#000").count("60C") == 1
