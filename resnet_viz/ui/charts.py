"""A chart on a page: the figure, said in words for who cannot see it, and its picture and numbers to take home."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from resnet_viz.text import _, get_language


def show_chart(figure: go.Figure, key: str, alt: str, rows: Iterable[Mapping[str, Any]]) -> None:
    """Show a figure. `alt` says in a sentence what it shows; `rows` are its numbers, as the CSV file has them."""
    dictionary = {"Download plot as a PNG": _("Download the picture (PNG)"), "Reset axes": _("Show all"),
                  "Reset camera to default": _("Show all")}
    solid = any(trace.type == "surface" for trace in figure.data)
    config = {
        "displaylogo": False, "displayModeBar": True, "scrollZoom": False,
        "modeBarButtons": [["resetCameraDefault3d" if solid else "resetScale2d", "toImage"]],
        "toImageButtonOptions": {"filename": f"resnet-viz-{key}", "scale": 2},
        "locale": (locale := get_language().replace("_", "-")),
        "locales": {locale: {"dictionary": dictionary}},
    }
    st.plotly_chart(figure, key=key, alt=alt, config=config)
    show_csv(rows, key)


def make_columns(key: str, count: int, gap: str = "large") -> list:
    """Columns for charts that want width: without room side by side they stand below each other (assets/page.css)."""
    with st.container(key=f"wide-{key}"):
        return st.columns(count, gap=gap)


def show_csv(rows: Iterable[Mapping[str, Any]], key: str) -> None:
    """A table's or a chart's numbers to take home."""
    st.download_button(_("Numbers (CSV)"), write_csv(rows), f"resnet-viz-{key}.csv", "text/csv", key=f"{key}.csv",
                       icon=":material/table:", type="tertiary", on_click="ignore")


def write_csv(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """A table with a header, in UTF-8 with the mark that spreadsheets need to see it is."""
    rows = list(rows)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else [])
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode("utf-8-sig")
