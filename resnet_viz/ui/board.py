"""The live board: one keyed v2 component that draws a race while it runs.

A WebSocket (`feed.py`) pushes frames to the browser; Streamlit's reruns only exchange the words and
the feed's address. The drawing is in the modules of `assets/board`, its contract with the server in the head of `board.js`.
"""

from dataclasses import asdict, dataclass
from importlib.metadata import version

import streamlit as st

from resnet_viz.engine.race import Race
from resnet_viz.export.board import HTML, join_modules, read_style, words
from resnet_viz.text import get_language

PLOTLY = f"plotly/plotly.min.js?v={version('plotly')}"

_mount = st.components.v2.component(
    "resnet_viz_board",
    html=HTML,
    css=read_style(),
    js=join_modules("board.js"),
    isolate_styles=False,
)


@dataclass(frozen=True)
class Look:
    """How a lane is drawn: its translated name, one of four colours, and dashed where two lanes share a colour."""

    name: str
    colour: int
    dash: bool = False


RACE_CHARTS = ("loss", "accuracy", "layers", "blocks")


def show_board(key: str, race: Race, revision: int, looks: list[Look], charts: tuple[str, ...] = RACE_CHARTS,
               chains: bool = True, cutting: bool = False) -> None:
    """Show a race.

    `looks` are its lanes', `charts` name what is drawn and in which order; without `chains` a table of scores stands in
    their place; with `cutting` a click on a shortcut cuts or mends it. As long as `key` stays, so do the charts, their
    zoom and the connection; another race connects anew. The board knows for which state of the race the page's buttons
    were drawn, and for which `revision` its widgets; where the race leaves them, or is gone, it has the page drawn again.
    Its addresses are relative to the page, which may be served under any path.
    """
    data = {"feed": f"feed/{race.id}?token={race.token}", "plotly": PLOTLY, "language": get_language(), "text": words(),
            "lanes": [*map(asdict, looks)], "state": race.state, "revision": revision, "charts": list(charts),
            "chains": chains, "cutting": cutting}
    _mount(key=key, data=data, on_settled_change=lambda: None)
