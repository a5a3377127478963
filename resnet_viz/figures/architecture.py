"""Whole nets side by side, layer by layer from top to bottom, as in fig. 3 of He et al. 2015 (1512.03385)."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, replace

import numpy as np
import plotly.graph_objects as go

from resnet_viz.figures.looks import finish_figure
from resnet_viz.records import Architecture, BlockSpan, Layer
from resnet_viz.text import _

LINE = "#6B7785"
# One per size of picture. White letters are read on each, and each stands out from a white and from a dark page.
BANDS = ("#7A6A00", "#A8528B", "#7A63B8", "#2E7D4F", "#C0453B", "#0072B2", "#96592A")
ROW = 26  # pixels of a layer
COLUMN = 160  # pixels of a net, at least: its letters can still be read
LEFT, RIGHT = -0.76, 0.56  # where the first column's room begins, and the last one's ends
HALF, HIGH = 0.33, 0.84  # half a box's width, of a column of 1, and its height, of a row of 1
BULGE = 0.1  # how far a shortcut swings out
TALL = 30  # rows, beyond which a net's name stands below it too
MANY = 60  # layers, beyond which equal blocks in a row are drawn once


@dataclass(frozen=True)
class Box:
    """One drawn layer: number `index` of the net's, in `row` of the figure; the `number`-th of those that count."""

    index: int
    layer: Layer
    number: int
    row: float = 0.0


@dataclass(frozen=True)
class Drawing:
    """What is drawn of a net: its boxes, and its blocks with how often each stands there in a row."""

    net: Architecture
    boxes: tuple[Box, ...]
    blocks: tuple[tuple[BlockSpan, int], ...]

    def find_ends(self, block: BlockSpan) -> tuple[Box, Box, Box]:
        """The boxes before a block, at its beginning and at its end."""
        inside = [i for i, box in enumerate(self.boxes) if block.first <= box.index <= block.last]
        return self.boxes[max(inside[0] - 1, 0)], self.boxes[inside[0]], self.boxes[inside[-1]]


def measure_side(layer: Layer) -> int:
    """Pixels a side of what comes out of a layer; 1 for a vector."""
    return layer.output[1] if len(layer.output) == 3 else 1


def is_drawn(layer: Layer) -> bool:
    """Layers that count, and pooling that does something."""
    return layer.counted or (layer.kind == "pool" and layer.kernel > 1)


def plan_drawing(net: Architecture) -> Drawing:
    """Every layer that is drawn; of more than `MANY`, equal blocks in a row but once."""
    long = sum(map(is_drawn, net.layers)) > MANY
    groups = [list(group) for _key, group in itertools.groupby(
        enumerate(net.blocks), lambda item: describe_block(net, item[1]) if long else item[0])]
    blocks = tuple((group[0][1], len(group)) for group in groups)
    left_out = {i for group in groups for _k, block in group[1:] for i in range(block.first, block.last + 1)}
    numbers = itertools.accumulate(int(layer.counted) for layer in net.layers)
    boxes = tuple(Box(i, layer, number) for i, (layer, number) in enumerate(zip(net.layers, numbers, strict=True))
                  if is_drawn(layer) and i not in left_out)
    return Drawing(net, boxes, blocks)


def describe_block(net: Architecture, block: BlockSpan) -> tuple:
    """What two blocks that are drawn as one have in common."""
    layers = net.layers[block.first : block.last + 1]
    return block.shortcut, block.input, *((layer.kind, layer.kernel, layer.stride, layer.output) for layer in layers)


def place(drawings: list[Drawing]) -> tuple[list[Drawing], dict[int, tuple[float, float]]]:
    """The drawings with rows, so that equal sizes of picture stand side by side, and from where to where each size goes."""
    sides = sorted({measure_side(box.layer) for drawing in drawings for box in drawing.boxes}, reverse=True)
    bands, top = {}, 0.0
    for side in sides:
        rows = max(sum(measure_side(box.layer) == side for box in drawing.boxes) for drawing in drawings)
        bands[side], top = (top, top + rows), top + rows + 0.5
    placed = []
    for drawing in drawings:
        used: dict[int, int] = dict.fromkeys(sides, 0)
        boxes = []
        for box in drawing.boxes:
            side = measure_side(box.layer)
            boxes.append(replace(box, row=bands[side][0] + used[side] + 0.5))
            used[side] += 1
        placed.append(Drawing(drawing.net, tuple(boxes), drawing.blocks))
    return placed, bands


# ---------------------------------------------------------------------------------------------------- words


def name_net(name: str) -> str:
    """What a net is called on screen."""
    if name == "own":
        return _("My own net")
    family, depth, rest = re.fullmatch(r"([a-z_]+?)(\d+)(.*)", name).groups()
    plain, ends = _("plain-{depth}"), {"_bn": " + BatchNorm", "-plain": ""}
    names = {"resnet": "ResNet-{depth}", "plain": plain, "vgg": "VGG-{depth}", "resnext": "ResNeXt-{depth}",
             "wide_resnet": "Wide ResNet-{depth}", "cifar": "CIFAR " + (plain if rest else "ResNet-{depth}")}
    return names[family].format(depth=depth) + ends.get(rest, rest.replace("_2", "-2").replace("_", " ").replace("x", "×"))


def label_layer(layer: Layer) -> str:
    """3×3 conv, 64, /2: as the paper writes it."""
    if layer.kind == "linear":
        return _("fc {units}").format(units=layer.output[0])
    if layer.kind == "pool":
        return _("pool") + f", /{layer.stride}" if layer.stride > 1 else _("avg pool")
    stride = f", /{layer.stride}" if layer.stride > 1 else ""
    return f"{layer.kernel}×{layer.kernel} " + _("conv") + f", {layer.output[0]}{stride}"


def write_shape(shape: tuple[int, ...]) -> str:
    """64×112×112: channels, rows, columns; 1000 for a vector, whose rows and columns are gone."""
    return "×".join(map(str, shape))


def name_shortcut(kind: str) -> str:
    return {"identity": _("identity"), "projection": _("projection W_s"), "zero-pad": _("zero padding"),
            "none": _("none")}[kind]


def label_kind(kind: str) -> str:
    return {"conv": _("convolution"), "linear": _("fully connected"), "pool": _("pooling"), "norm": "BatchNorm"}[kind]


def tell_number(net: Architecture, box: Box) -> str:
    """Which of the layers that count it is."""
    if not box.layer.counted:
        return _("does not count as a layer")
    return _("layer {number} of {count}").format(number=box.number, count=net.counted_layers)


def describe_layer(net: Architecture, box: Box) -> str:
    """The lines that stand beside a box that is pointed at."""
    layer = box.layer
    return "<br>".join((
        f"<b>{layer.name}</b> · {label_layer(layer)}",
        _("out: {shape}").format(shape=write_shape(layer.output)),
        _("{count} parameters").format(count=f"{layer.parameters:,}"),
        _("{count} multiply-adds").format(count=f"{layer.multiply_adds:,}"),
        tell_number(net, box),
    ))


def describe_shortcut(net: Architecture, block: BlockSpan) -> str:
    beside = [layer for layer in net.layers[block.first : block.last + 1] if not layer.counted and layer.kind != "norm"]
    lines = [_("Shortcut: {kind}").format(kind=f"<b>{name_shortcut(block.shortcut)}</b>"),
             f"{write_shape(block.input)} → {write_shape(block.output)}"]
    for layer in beside:
        lines.append(_("{name}: {words}").format(
                name=label_layer(layer), words=_("{count} parameters").format(count=f"{layer.parameters:,}")))
    return "<br>".join(lines if beside else [*lines, _("no parameters")])


# ---------------------------------------------------------------------------------------------------- the figure


def draw_architectures(nets: list[Architecture], ink: str = "#1B2430") -> go.Figure:
    """Up to three nets as columns of boxes, rows of equal picture size side by side; point at a box for its numbers.

    Solid arcs are identities, dotted ones change the shape, dashed ones are projections that keep it. A trace of boxes
    per net, then its arcs. `ink` is the colour of what is written beside the boxes.
    """
    drawings, bands = place([plan_drawing(net) for net in nets])
    figure, shown = go.Figure(), set()
    _draw_bands(figure, bands, len(nets))
    for column, drawing in enumerate(drawings):
        _draw_boxes(figure, column, drawing, list(bands))
        _draw_arcs(figure, column, drawing, shown)
        _draw_repeats(figure, column, drawing)
    rows = max(bottom for _top, bottom in bands.values())
    for column, net in enumerate(nets):
        title = f"<b>{name_net(net.name)}</b>"
        layers = _("{count} layers").format(count=net.counted_layers)
        _write(figure, column, -0.25, f"{title}<br>{layers}", "top center", 13)
        if rows > TALL:
            _write(figure, column, rows + 0.3, title, "bottom center", 13)
    rows += rows > TALL
    figure.update_xaxes(visible=False, range=[LEFT, len(nets) - 1 + RIGHT])
    figure.update_yaxes(visible=False, range=[rows + 0.3, -2.2])
    legend = {"orientation": "h", "x": 0, "xanchor": "left", "y": 1, "yanchor": "bottom", "itemclick": False,
              "itemdoubleclick": False}
    figure.update_layout(dragmode=False, barmode="overlay", legend=legend, hoverlabel={"align": "left"})
    height = round((rows + 2.5) * ROW) + 70
    figure.update_traces(selector={"mode": "text"}, textfont={"color": ink})
    return finish_figure(figure, height).update_layout(margin={"l": 4, "r": 4, "t": 60, "b": 10})


def _draw_bands(figure: go.Figure, bands: dict[int, tuple[float, float]], columns: int) -> None:
    for i, (side, (top, bottom)) in enumerate(bands.items()):
        figure.add_shape(type="rect", layer="below", x0=LEFT, x1=columns - 1 + RIGHT, y0=top - 0.15, y1=bottom + 0.15,
                         line_width=0, fillcolor=fade(BANDS[i % len(BANDS)], 0.1))
        _write(figure, LEFT + 0.02, top + 0.5, f"{side}×{side}", "middle right", 10)


def _write(figure: go.Figure, x: float, y: float, text: str, place: str, size: int) -> None:
    """Words as a trace, so that `draw_architectures` can colour them all."""
    figure.add_scatter(x=[x], y=[y], mode="text", text=[text], textposition=place, textfont={"size": size},
                       hoverinfo="skip", showlegend=False)


def fade(colour: str, alpha: float) -> str:
    return f"rgba({', '.join(str(int(colour[i : i + 2], 16)) for i in (1, 3, 5))}, {alpha})"


def _draw_boxes(figure: go.Figure, column: int, drawing: Drawing, sides: list[int]) -> None:
    """Boxes on a line. Their letters are as large as a box allows, and grow as one zooms; the count stands on the left."""
    boxes, rows = drawing.boxes, [box.row for box in drawing.boxes]
    gaps = [(a + HIGH / 2, b - HIGH / 2, None) for a, b in itertools.pairwise(rows)]
    figure.add_scatter(x=[column] * 3 * len(gaps), y=[y for gap in gaps for y in gap], mode="lines", hoverinfo="skip",
                       line={"color": LINE, "width": 1.5, "simplify": False}, showlegend=False)
    colours = [BANDS[sides.index(measure_side(box.layer)) % len(BANDS)] if box.layer.counted else LINE for box in boxes]
    figure.add_bar(orientation="h", name=name_net(drawing.net.name), base=[column - HALF] * len(boxes),
                   x=[2 * HALF] * len(boxes), y=rows, width=HIGH, marker={"color": colours, "line": {"width": 0}},
                   text=[label_layer(box.layer) for box in boxes], textposition="inside", insidetextanchor="middle",
                   textangle=0, insidetextfont={"color": "white", "size": 36}, showlegend=False,
                   hovertext=[describe_layer(drawing.net, box) for box in boxes],
                   hovertemplate="%{hovertext}<extra>%{fullData.name}</extra>")
    figure.add_scatter(x=[column - HALF - 0.01] * len(boxes), y=rows, mode="text", textposition="middle left",
                       text=[str(box.number) if box.layer.counted else "" for box in boxes], textfont={"size": 10},
                       hoverinfo="skip", showlegend=False)


def choose_dash(block: BlockSpan) -> str:
    """How a shortcut is drawn: solid where it is the identity, else by whether it changes the shape."""
    return "dot" if not block.keeps_shape else "solid" if block.shortcut == "identity" else "dash"


def _draw_arcs(figure: go.Figure, column: int, drawing: Drawing, shown: set[str]) -> None:
    """Each shortcut, an arrow from the box before the block to the block's last."""
    angle = np.linspace(-np.pi / 2, np.pi / 2, 25)
    swing, climb = np.cos(angle) ** 0.8, np.sign(angle) * np.abs(np.sin(angle)) ** 0.8  # rounder than an ellipse
    names = {"solid": _("Identity shortcut"), "dash": _("Projection that keeps the dimensions"),
             "dot": _("Shortcut that changes dimensions")}
    for dash, name in names.items():
        xs, ys, notes, tips = [], [], [], []
        for block, _count in drawing.blocks:
            if block.shortcut == "none" or choose_dash(block) != dash:
                continue
            before, _first, last = drawing.find_ends(block)
            start, end = before.row + HIGH / 4, last.row - HIGH / 8
            xs += [*(column + HALF + 0.02 + swing * (BULGE - 0.02)), None]
            ys += [*((start + end) / 2 + climb * (end - start) / 2), None]
            notes += [describe_shortcut(drawing.net, block)] * (len(swing) + 1)
            tips += [0] * (len(swing) - 1) + [9, 0]
        if xs:
            figure.add_scatter(x=xs, y=ys, mode="lines+markers", name=name, hovertext=notes, legendgroup=dash,
                               showlegend=dash not in shown, hovertemplate="%{hovertext}<extra></extra>",
                               line={"color": LINE, "width": 2, "dash": dash},
                               marker={"symbol": "triangle-left", "size": tips, "color": LINE, "line": {"width": 0}})
            shown.add(dash)


def _draw_repeats(figure: go.Figure, column: int, drawing: Drawing) -> None:
    for block, count in drawing.blocks:
        if count > 1:
            _before, first, last = drawing.find_ends(block)
            x = column + HALF + (0.01 if block.shortcut == "none" else BULGE + 0.01)
            _write(figure, x, (first.row + last.row) / 2, f"<b>×{count}</b>", "middle right", 12)
