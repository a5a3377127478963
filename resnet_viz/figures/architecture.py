"""Whole nets side by side, layer by layer from top to bottom, as in fig. 3 of He et al. 2015 (1512.03385)."""

from __future__ import annotations

import base64
import itertools
import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from resnet_viz.figures.looks import finish_figure
from resnet_viz.records import Architecture, BlockSpan, Layer
from resnet_viz.text import _

LINE = "#6B7785"
# One per size of picture. White letters are read on each, and each stands out from a white and from a dark page.
BANDS = ("#7A6A00", "#A8528B", "#7A63B8", "#2E7D4F", "#C0453B", "#0072B2", "#96592A")
ROW = 24  # pixels of a layer
LEFT, RIGHT = -0.8, 0.56  # where the first column's room begins, and the last one's ends
HALF, HIGH = 0.35, 0.76  # half a box's width, of a column of 1, and its height, of a row of 1
BULGE = 0.09  # how far a shortcut swings out
MANY = 60  # layers, beyond which equal blocks in a row are drawn once
MANY_STEPS = 160  # layers, beyond which a picture passes them once


@dataclass(frozen=True)
class Box:
    """One drawn layer: number `index` of the net's, in `row` of the figure."""

    index: int
    layer: Layer
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


def plan_drawing(net: Architecture, most: int = MANY) -> Drawing:
    """Every layer that is drawn; of more than `most`, equal blocks in a row but once."""
    long = sum(map(is_drawn, net.layers)) > most
    groups = [list(group) for _key, group in itertools.groupby(
        enumerate(net.blocks), lambda item: describe_block(net, item[1]) if long else item[0])]
    blocks = tuple((group[0][1], len(group)) for group in groups)
    left_out = {i for group in groups for _k, block in group[1:] for i in range(block.first, block.last + 1)}
    boxes = tuple(Box(i, layer) for i, layer in enumerate(net.layers) if is_drawn(layer) and i not in left_out)
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
            boxes.append(Box(box.index, box.layer, bands[side][0] + used[side] + 0.5))
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


def describe_layer(layer: Layer) -> str:
    """The lines that stand beside a box that is pointed at."""
    return "<br>".join((
        f"<b>{layer.name}</b> · {label_layer(layer)}",
        _("out: {shape}").format(shape=write_shape(layer.output)),
        _("{count} parameters").format(count=f"{layer.parameters:,}"),
        _("{count} multiply-adds").format(count=f"{layer.multiply_adds:,}"),
        _("counts as a layer") if layer.counted else _("does not count as a layer"),
    ))


def describe_shortcut(net: Architecture, block: BlockSpan) -> str:
    beside = [layer for layer in net.layers[block.first : block.last + 1] if not layer.counted and layer.kind != "norm"]
    lines = [_("Shortcut: {kind}").format(kind=f"<b>{name_shortcut(block.shortcut)}</b>"),
             f"{write_shape(block.input)} → {write_shape(block.output)}"]
    for layer in beside:
        lines.append(f"{label_layer(layer)}: " + _("{count} parameters").format(count=f"{layer.parameters:,}"))
    return "<br>".join(lines if beside else [*lines, _("no parameters")])


# ---------------------------------------------------------------------------------------------------- the figure


def draw_architectures(nets: list[Architecture], ink: str = "#1B2430") -> go.Figure:
    """Up to three nets as columns of boxes, rows of equal picture size side by side; point at a box for its numbers.

    Solid arcs are shortcuts that keep the shape, dotted ones change it. A trace of boxes per net, then its arcs. `ink` is
    the colour of what is written beside the boxes.
    """
    drawings, bands = place([plan_drawing(net) for net in nets])
    figure, shown = go.Figure(), set()
    _draw_bands(figure, bands, len(nets))
    for column, drawing in enumerate(drawings):
        _draw_boxes(figure, column, drawing, list(bands))
        _draw_arcs(figure, column, drawing, shown)
        _draw_repeats(figure, column, drawing)
        title = f"<b>{name_net(drawing.net.name)}</b><br>" + _("{count} layers").format(count=drawing.net.counted_layers)
        _write(figure, column, -0.25, title, "top center", 13)
    rows = max(bottom for _top, bottom in bands.values())
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
    boxes, rows = drawing.boxes, [box.row for box in drawing.boxes]
    gaps = [(a + HIGH / 2, b - HIGH / 2, None) for a, b in itertools.pairwise(rows)]
    figure.add_scatter(x=[column] * 3 * len(gaps), y=[y for gap in gaps for y in gap], mode="lines", hoverinfo="skip",
                       line={"color": LINE, "width": 1.5}, showlegend=False)
    colours = [BANDS[sides.index(measure_side(box.layer)) % len(BANDS)] if box.layer.counted else LINE for box in boxes]
    figure.add_bar(orientation="h", name=name_net(drawing.net.name), base=[column - HALF] * len(boxes),
                   x=[2 * HALF] * len(boxes), y=rows, width=HIGH, marker={"color": colours, "line": {"width": 0}},
                   text=[label_layer(box.layer) for box in boxes], textposition="inside", insidetextanchor="middle",
                   textangle=0, insidetextfont={"color": "white", "size": 12}, showlegend=False,
                   hovertext=[describe_layer(box.layer) for box in boxes], hovertemplate="%{hovertext}<extra></extra>")


def _draw_arcs(figure: go.Figure, column: int, drawing: Drawing, shown: set[bool]) -> None:
    """Each shortcut, from below the box before the block to below the block's last."""
    swing = np.sin(np.linspace(0, np.pi, 15)) * BULGE
    for keeps in (True, False):
        xs, ys, notes = [], [], []
        for block, _count in drawing.blocks:
            if block.shortcut == "none" or block.keeps_shape != keeps:
                continue
            before, _first, last = drawing.find_ends(block)
            note = describe_shortcut(drawing.net, block)
            xs += [*(column + HALF + 0.005 + swing), None]
            ys += [*np.linspace(before.row + HIGH / 4, last.row, len(swing)), None]
            notes += [note] * (len(swing) + 1)
        if xs:
            name = _("Identity shortcut") if keeps else _("Shortcut that changes dimensions")
            figure.add_scatter(x=xs, y=ys, mode="lines", name=name, hovertext=notes, legendgroup=str(keeps),
                               showlegend=keeps not in shown, hovertemplate="%{hovertext}<extra></extra>",
                               line={"color": LINE, "width": 2, "dash": "solid" if keeps else "dot"})
            shown.add(keeps)


def _draw_repeats(figure: go.Figure, column: int, drawing: Drawing) -> None:
    for block, count in drawing.blocks:
        if count > 1:
            _before, first, last = drawing.find_ends(block)
            x = column + HALF + (0.01 if block.shortcut == "none" else BULGE + 0.015)
            _write(figure, x, (first.row + last.row) / 2, f"<b>×{count}</b>", "middle right", 12)


def write_page(nets: list[Architecture]) -> bytes:
    """The figure as a page of its own, plotly.js included: it needs no network."""
    names = ", ".join(name_net(net.name) for net in nets)
    figure = draw_architectures(nets).update_layout(template="plotly_white")
    page = figure.to_html(include_plotlyjs=True, config={"displaylogo": False})
    return page.replace("<head>", f"<head><title>{names}</title>", 1).encode()


def list_rows(nets: list[Architecture]) -> list[dict[str, Any]]:
    """A row per layer of each net, those that are not drawn too."""
    return [{"net": net.name, "layer": layer.name, "kind": layer.kind, "kernel": layer.kernel, "stride": layer.stride,
             "output": write_shape(layer.output), "parameters": layer.parameters, "multiply_adds": layer.multiply_adds,
             "counted": layer.counted} for net in nets for layer in net.layers]


# ---------------------------------------------------------------------------------------------------- counting


@dataclass(frozen=True)
class Part:
    """Layers in a row that count: `blocks` blocks of `each` layers, or where `blocks` is None, `each` single ones.

    `output` is the shape that the last hands on.
    """

    first: Layer
    blocks: int | None
    each: int
    output: tuple[int, ...]

    @property
    def layers(self) -> int:
        return self.each * (self.blocks or 1)


def count_parts(net: Architecture) -> list[Part]:
    """The layers that count, input to output: a part per stage of blocks, and one per run of equal layers outside."""
    stage_of = {i: s for s, stage in enumerate(net.stages()) for block in stage for i in range(block.first, block.last + 1)}
    counted = [(i, layer) for i, layer in enumerate(net.layers) if layer.counted]
    parts = []
    for (stage, *_same), group in itertools.groupby(
            counted, lambda item: (stage_of[item[0]],) if item[0] in stage_of
            else (None, item[1].kind, measure_side(item[1]))):
        layers = [layer for _i, layer in group]
        blocks = None if stage is None else len(net.stages()[stage])
        parts.append(Part(layers[0], blocks, len(layers) // (blocks or 1), layers[-1].output))
    return parts


def write_count(net: Architecture) -> str:
    """1 + 2·(3 + 4 + 6 + 3) + 1 = 34: singles, and layers per block times the blocks of each stage."""
    terms = []
    for each, group in itertools.groupby(count_parts(net), lambda part: part.each if part.blocks else None):
        parts = list(group)
        if each is None:
            terms += [str(part.each) for part in parts]
        else:
            inside = " + ".join(str(part.blocks) for part in parts)
            terms.append(f"{each}·({inside})" if len(parts) > 1 else f"{each}·{inside}")
    return f"{' + '.join(terms)} = {net.counted_layers}"


# ---------------------------------------------------------------------------------------------------- a forward pass

STRIP = 130  # pixels, the height of the largest picture
SECONDS = 0.45  # that each layer is lit, while it plays

STYLE = """<style>
.pass-strip { display: flex; align-items: center; gap: min(4px, 0.3vw); height: STRIPpx; }
.pass-strip > * { box-sizing: border-box; border: 1px solid; border-radius: 2px; min-width: 2px; }
.pass-strip > .lit { background: currentColor; }
.pass-strip > img { border: 0; image-rendering: pixelated; }
.pass-captions { display: grid; min-height: 3.2em; }
.pass-captions p { grid-area: 1 / 1; margin: 0.5rem 0 0; }
.pass-plays .pass-strip > span { animation: pass-light 0.3s both; }
.pass-plays .pass-captions p { visibility: hidden; animation: pass-tell SECONDSs step-end; }
.pass-plays .pass-captions p:last-child { animation-fill-mode: forwards; }
@keyframes pass-light { from { background: transparent; } to { background: currentColor; } }
@keyframes pass-tell { from, to { visibility: visible; } }
@media (prefers-reduced-motion: reduce) {
  .pass-plays .pass-strip > span { animation: none; background: currentColor; }
  .pass-plays .pass-captions p { animation: none; }
  .pass-plays .pass-captions p:last-child { visibility: visible; }
}
</style>""".replace("SECONDS", str(SECONDS)).replace("STRIP", str(STRIP))


def list_steps(net: Architecture) -> list[Box]:
    """The layers that a picture passes, one by one."""
    return list(plan_drawing(net, MANY_STEPS).boxes)


def describe_step(net: Architecture, step: int) -> str:
    """Where the picture is after `step` layers, and how many numbers it has become."""
    steps = list_steps(net)
    shapes = [net.input, *(box.layer.output for box in steps)]
    numbers = _("{count} numbers").format(count=f"{math.prod(shapes[step]):,}")
    if step == 0:
        return _("The picture: {shape}").format(shape=write_shape(net.input)) + f" = {numbers}"
    layer = steps[step - 1].layer
    return (f"{step}/{len(steps)} · {layer.name} · {label_layer(layer)}: {write_shape(shapes[step - 1])} → "
            f"{write_shape(shapes[step])} = {numbers}")


def draw_pass(net: Architecture, step: int, picture: np.ndarray, plays: bool) -> str:
    """HTML of a net as a strip: what each layer hands on, as high as its picture (by the square root) and as wide as its

    channels (by the logarithm), lit up to `step`, or one after the other where it `plays`. `picture` (H, W), from 0 to 1,
    stands in front.
    """
    shapes = [net.input, *(box.layer.output for box in list_steps(net))]
    sides = [shape[1] if len(shape) == 3 else 1 for shape in shapes]
    heights = [max(5.0, STRIP * math.sqrt(side / max(sides))) for side in sides]
    ranks = sorted(set(sides), reverse=True)
    parts = [_draw_picture(picture, STRIP if max(sides) > 1 else STRIP / 2)]
    for i in range(1, len(shapes)):
        colour = BANDS[ranks.index(sides[i]) % len(BANDS)]
        look = f"height:{heights[i]:.0f}px;flex:{3 + math.log2(shapes[i][0]):.1f};color:{colour}"
        parts.append(f'<span style="{look}{_delay(i, plays)}"{" class=lit" if i <= step and not plays else ""}></span>')
    told = [describe_step(net, i) for i in range(len(shapes))] if plays else [describe_step(net, step)]
    captions = "".join(f'<p style="{_delay(i, plays)}">{text}</p>' for i, text in enumerate(told))
    return (f'<div class="pass{" pass-plays" if plays else ""}"><div class="pass-strip" role="img" aria-label="'
            f'{told[-1]}">{"".join(parts)}</div><div class="pass-captions">{captions}</div></div>{STYLE}')


def _delay(i: int, plays: bool) -> str:
    return f";animation-delay:{i * SECONDS:.2f}s" if plays else ""


def _draw_picture(picture: np.ndarray, side: float) -> str:
    """Its pixels as squares, dark ink on white."""
    ink = "".join(f'<rect x="{j}" y="{i}" width="1" height="1" fill="#11161C" fill-opacity="{value:.2f}"/>'
                  for (i, j), value in np.ndenumerate(picture) if value > 0)
    rows, columns = picture.shape
    svg = (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {columns} {rows}"><rect width="100%" height="100%" '
           f'fill="#FFFFFF"/>{ink}</svg>')
    return (f'<img alt="" src="data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}" '
            f'style="height:min({side:.0f}px,18vw);margin-right:0.5rem">')
