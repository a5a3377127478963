"""To be."""

from __future__ import annotations

import streamlit as st

from resnet_viz.ui.subject import show_subject


def show_page() -> None:
    subject = show_subject()
    st.write(subject.names, subject.step)
