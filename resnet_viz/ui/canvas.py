"""What a net is fed: a canvas to draw a digit on, by pointer or keyboard, 32×32 dots, counted to the 8×8 numbers that the

data have; and the input as the net sees it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import streamlit as st

from resnet_viz.figures.block import draw_input
from resnet_viz.records import N_, BlockView, ConfigError, Examples, Source
from resnet_viz.text import _
from resnet_viz.ui.progress import ask, ask_examples

ASSETS = Path(__file__).parents[2] / "assets"
HTML = ('<div class="rv-canvas"><canvas tabindex="0" role="application" data-testid="canvas"></canvas>'
        '<button type="button"></button><p role="status"></p></div>')
SIGNS = "0123456789abcdefg"  # a number from 0 to 16 each
BLANK = (0,) * 64
POINTS = 300  # of the data, around the one that is fed

_mount = st.components.v2.component(
    "resnet_viz_canvas",
    html=HTML,
    css=(ASSETS / "canvas.css").read_text(encoding="utf-8"),
    js=(ASSETS / "canvas.js").read_text(encoding="utf-8"),
    isolate_styles=False,
)


def show_canvas(key: str, pixels: tuple[int, ...], on_drawn: Callable[[], None]) -> None:
    """The canvas, with `pixels` on it when it first appears. `on_drawn` is called after each stroke."""
    _mount(key=key, data={"pixels": write_pixels(pixels), "text": words()}, on_pixels_change=on_drawn)


def take_drawing(key: str) -> tuple[int, ...]:
    """What the browser says was drawn. Raises `ConfigError` where that is no digit's numbers."""
    return read_pixels(st.session_state[key].get("pixels"))


def write_pixels(pixels: tuple[int, ...]) -> str:
    return "".join(SIGNS[pixel] for pixel in pixels)


def read_pixels(text: object) -> tuple[int, ...]:
    """64 signs, 0 to 9 and a to g, as numbers. Raises `ConfigError`."""
    if not isinstance(text, str) or len(text) != len(BLANK) or not set(text) <= set(SIGNS):
        raise ConfigError("pixels", text, N_("64 signs, each 0 to 9 or a to g"))
    return Source(pixels=tuple(map(SIGNS.index, text))).pixels


def show_fed(view: BlockView, dataset: str, key: str) -> None:
    """The input as a picture, or as a point among the data's."""
    alt = _("The input: 8×8 numbers from 0 to 16.") if dataset == "digits" else _("The input: a point at {x}, {y}.").format(
        x=f"{view.picture.flat[0]:.2f}", y=f"{view.picture.flat[1]:.2f}")

    def show(examples: Examples | None) -> None:
        st.plotly_chart(draw_input(view, examples), key=f"{key}picture", alt=alt,
                        config={"displayModeBar": False, "staticPlot": True})

    if dataset == "digits":
        show(None)
    else:
        ask([ask_examples(dataset, POINTS)], f"{key}points", lambda job: show(job.results[0]))


def words() -> dict[str, str]:
    return {
        "label": _("Draw a digit here. Arrow keys move the pen, space or Enter lowers and lifts it, Escape or Delete "
                   "clears."),
        "clear": _("Clear"),
        "blank": _("Nothing is drawn yet."),
        "drawn": _("{count} of 64 cells have ink."),
        "pen_up": _("The pen is up."),
        "pen_down": _("The pen is down."),
    }
