"""A picture's way through a net: what each layer hands on, lit up one after the other."""

from __future__ import annotations

import base64
import math

import numpy as np

from resnet_viz.figures.architecture import BANDS, Box, label_layer, plan_drawing, tell_number, write_shape
from resnet_viz.records import Architecture
from resnet_viz.text import _

STRIP = 130  # pixels, the height of the largest picture
SECONDS, BEATS = 20.0, (0.15, 0.5)  # of the whole way, where a layer is lit no shorter and no longer than BEATS

STYLE = """<style>
.pass-strip { display: flex; align-items: center; gap: min(4px, 0.3vw); height: STRIPpx; }
.pass-strip > * { box-sizing: border-box; border: 1px solid; border-radius: 2px; min-width: 2px; }
.pass-strip > .lit { background: currentColor; }
.pass-strip > img { border: 0; flex: none; image-rendering: pixelated; }
.pass-captions { display: grid; min-height: 3.2em; }
.pass-captions p { grid-area: 1 / 1; margin: 0.5rem 0 0; }
.pass-plays .pass-strip > span { animation: pass-light 0.5s both; }
.pass-plays .pass-captions p { visibility: hidden; animation: pass-tell var(--beat) step-end; }
.pass-plays .pass-captions p:last-child { animation-fill-mode: forwards; }
@keyframes pass-light {
  from { background: transparent; }
  30% { background: currentColor; transform: scale(1.15); }
  to { background: currentColor; transform: none; }
}
@keyframes pass-tell { from, to { visibility: visible; } }
@media (prefers-reduced-motion: reduce) {
  .pass-plays .pass-strip > span { animation: none; background: currentColor; }
  .pass-plays .pass-captions p { animation: none; }
  .pass-plays .pass-captions p:last-child { visibility: visible; }
}
</style>""".replace("STRIP", str(STRIP))


def list_steps(net: Architecture) -> list[Box]:
    """The layers that a picture passes, one by one: those that are drawn."""
    return list(plan_drawing(net).boxes)


def list_shapes(net: Architecture) -> list[tuple[int, ...]]:
    """The picture's shape, and what each layer makes of it: one more than `list_steps`."""
    return [net.input, *(box.layer.output for box in list_steps(net))]


def label_steps(net: Architecture) -> list[str]:
    """How far the picture is, and its shape."""
    shapes = list_shapes(net)
    return [f"{i}/{len(shapes) - 1} · {write_shape(shape)}" for i, shape in enumerate(shapes)]


def describe_steps(net: Architecture) -> list[str]:
    """What each layer does to the picture, and how many numbers it has become."""
    shapes = list_shapes(net)
    told = [_("The picture: {shape}").format(shape=write_shape(net.input))]
    for box, before in zip(list_steps(net), shapes, strict=False):
        told.append(f"{box.layer.name} · {label_layer(box.layer)} · {tell_number(net, box)} · "
                    f"{write_shape(before)} → {write_shape(box.layer.output)}")
    numbers = _("{count} numbers")
    return [f"{text} = {numbers.format(count=f'{math.prod(shape):,}')}" for text, shape in zip(told, shapes, strict=True)]


def draw_pass(net: Architecture, step: int, picture: np.ndarray, plays: bool) -> str:
    """HTML of a net as a strip: what each layer hands on, as high as its picture (by the square root) and as wide as its

    channels (by the logarithm), lit up to `step`, or one after the other where it `plays`. `picture` (H, W), from 0 to 1,
    stands in front.
    """
    shapes, told = list_shapes(net), describe_steps(net)
    sides = [shape[1] if len(shape) == 3 else 1 for shape in shapes]
    heights = [max(5.0, STRIP * math.sqrt(side / max(sides))) for side in sides]
    ranks = sorted(set(sides), reverse=True)
    beat = min(max(SECONDS / len(shapes), BEATS[0]), BEATS[1])
    delays = [f";animation-delay:{i * beat:.2f}s" if plays else "" for i in range(len(shapes))]
    parts = [_draw_picture(picture, STRIP if max(sides) > 1 else STRIP / 2)]
    for i in range(1, len(shapes)):
        colour = BANDS[ranks.index(sides[i]) % len(BANDS)]
        look = f"height:{heights[i]:.0f}px;flex:{3 + math.log2(shapes[i][0]):.1f};color:{colour}"
        parts.append(f'<span style="{look}{delays[i]}"{" class=lit" if i <= step and not plays else ""}></span>')
    captions = "".join(f'<p style="{delay}">{text}</p>' for delay, text in zip(delays, told, strict=True)
                       if plays or text == told[step])
    strip = f'<div class="pass-strip" role="img" aria-label="{told[step]}">{"".join(parts)}</div>'
    return (f'<div class="pass{" pass-plays" if plays else ""}" style="--beat:{beat:.2f}s">{strip}'
            f'<div class="pass-captions">{captions}</div></div>{STYLE}')


def _draw_picture(picture: np.ndarray, side: float) -> str:
    """Its pixels as squares, dark ink on white."""
    ink = "".join(f'<rect x="{j}" y="{i}" width="1" height="1" fill="#11161C" fill-opacity="{value:.2f}"/>'
                  for (i, j), value in np.ndenumerate(picture) if value > 0)
    rows, columns = picture.shape
    svg = (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {columns} {rows}"><rect width="100%" height="100%" '
           f'fill="#FFFFFF"/>{ink}</svg>')
    return (f'<img alt="" src="data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}" '
            f'style="height:min({side:.0f}px,18vw);margin-right:0.5rem">')
