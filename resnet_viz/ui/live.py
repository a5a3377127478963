"""A line of text that a screen reader says when it changes: the same element all along, whatever Streamlit redraws."""

from __future__ import annotations

import streamlit as st

JS = """
export default function ({ data, parentElement }) {
  const line = parentElement.querySelector("p");
  if (line.textContent !== data.text) line.textContent = data.text;
}
"""

_mount = st.components.v2.component("resnet_viz_live", js=JS, isolate_styles=False,
                                    html='<p class="rv-live" role="status" aria-live="polite"></p>')


def show_live(key: str, text: str) -> None:
    """The line. Change it seldom: each change is read aloud."""
    _mount(key=key, data={"text": text}, height="content")
