"""The unravelled net on the page: a component that lights its paths one by one, without asking the server for each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from resnet_viz.figures.unravelled import draw_unravelled, make_picture
from resnet_viz.text import _, get_language, join, write_number
from resnet_viz.ui.charts import write_csv

ASSETS = Path(__file__).parents[2] / "assets"
CSS = (ASSETS / "unravelled.css").read_text(encoding="utf-8")
HTML = ('<div class="rv-paths" data-testid="unravelled"><div class="rv-controls"><button type="button"></button>'
        '<label><span class="rv-path-label"></span><input type="range" min="1"></label>'
        '<label><span class="rv-speed-label"></span><select><option></option><option selected></option><option></option>'
        '</select></label></div><p class="rv-said" aria-live="polite"></p><div class="rv-figure" role="img"></div></div>')
KEY = "unravelled"
EXACT = 1e-9  # relative; double precision leaves about 1e-15

_mount = st.components.v2.component(
    "resnet_viz_unravelled",
    html=HTML,
    css=CSS,
    js=(ASSETS / "unravelled.js").read_text(encoding="utf-8"),
    isolate_styles=False,
)


def show_unravelled(takes: np.ndarray, measured: tuple[np.ndarray, np.ndarray], at: int, colour: str, stamp: str,
                    on_path: Callable[[int], None]) -> None:
    """All paths `takes` (P, K) of a net, path `at` lit; `on_path` is told where a reader stops.

    `measured` is what `measure_each_path` returns; `stamp` is another for each other net.
    """
    norms, lacking = measured
    svg = draw_unravelled(takes, at, norms, lacking, colour)
    words = [describe_path(takes, i, norms[i], lacking[i]) for i in range(len(takes))]
    data = {"svg": svg, "path": at, "takes": ["".join(map(str, take.astype(int))) for take in takes], "words": words,
            "text": write_texts(), "stamp": f"{stamp}.{get_language()}"}
    _mount(key=KEY, data=data, on_path_change=lambda: on_path(take_path(len(takes), at)))
    st.caption(_("Above: the net, and the path that is lit. Below it a sign for each path: a line with a square for every "
                 "branch on its way, piled up by length; the fuller its colour, the larger the norm of the gradient along "
                 "it, on a log scale. Click one to see where it leads. The bars: what is left of the whole gradient when "
                 "the vectors of all paths lit so far are taken off."))
    rows = [{"path": i + 1, "length": int(take.sum()), "branches": " ".join(map(str, np.flatnonzero(take) + 1)),
             "gradient_norm": float(norms[i]), "sum_lacks": float(lacking[i])} for i, take in enumerate(takes)]
    with st.container(horizontal=True):
        st.download_button(_("Picture (SVG)"), make_picture(svg, CSS), "resnet-viz-paths.svg", "image/svg+xml",
                           key="unravelled.svg", icon=":material/image:", type="tertiary", on_click="ignore")
        st.download_button(_("Numbers (CSV)"), write_csv(rows), "resnet-viz-paths.csv", "text/csv", key="unravelled.csv",
                           icon=":material/table:", type="tertiary", on_click="ignore")


def take_path(count: int, default: int) -> int:
    """The path that the browser says is lit: 0 … count - 1, `default` where that is no such number."""
    path: Any = st.session_state[KEY].get("path")
    return path if type(path) is int and 0 <= path < count else default


def describe_path(takes: np.ndarray, i: int, norm: float, lacks: float) -> tuple[str, str]:
    """Which path it is; and how long, how much gradient comes along it, and what the paths up to it add up to."""
    on, count = np.flatnonzero(takes[i]) + 1, len(takes)
    where = (_("through the branches of blocks {blocks}").format(blocks=", ".join(map(str, on))) if len(on) > 1 else
             _("through the branch of block {block}").format(block=on[0]) if len(on) else _("along shortcuts alone"))
    title = _("Path {number} of {count}, {where}.").format(number=i + 1, count=count, where=where)
    rest = _("Length: {length}. Norm of the gradient along it: {norm}.").format(length=len(on), norm=write_number(norm))
    if i + 1 < count or lacks > EXACT:
        total = _("The sum of the paths lit so far differs from the whole gradient by {share} % of its norm.").format(
            share=f"{100 * lacks:.1f}")
    else:
        total = _("All paths are lit, and their sum is the whole gradient: what it differs by is {share} of its norm, "
                  "rounding.").format(share=write_number(lacks, 1))
    return title, join("", rest, total)


def write_texts() -> dict[str, Any]:
    """The words of the controls, and of the figure for who cannot see it."""
    return {
        "play": _("Light up path by path"),
        "stop": _("Stop"),
        "path": _("Path"),
        "speed": _("Speed"),
        "speeds": [_("slow, read out"), _("normal"), _("fast")],
        "figure": _("The net as a chain of blocks with the lit path on it; all paths, piled up by length; and how far "
                    "their sum is from the whole gradient. The text above says it of the lit path."),
    }
