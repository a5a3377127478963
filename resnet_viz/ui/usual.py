"""What usually goes with a choice: a family's settings, a learning rate that trains, a word where nothing does."""

from __future__ import annotations

import streamlit as st

from resnet_viz import records
from resnet_viz.text import _
from resnet_viz.ui.settings import DEFAULTS, write_value

RATED = ("dataset", "norm", "init", "optimizer", "shortcut")  # what the usual learning rate depends on


def find_rate(dataset: str, norm: str, init: str, optimizer: str, shortcut: str) -> float:
    """The learning rate that a choice usually has: with it, and all else default, 20 layers train to 2,000 steps.

    All but He's initial weights without normalisation, with which a residual net is to explode: at any rate.
    """
    if optimizer == "adamw":
        return 0.002
    if dataset != "digits" or (norm == "none" and (init in ("he", "xavier") or shortcut == "projection-all")):
        return 0.01
    return DEFAULTS.lr


def warn_explosion() -> None:
    """Say beforehand what is meant to diverge."""
    state = st.session_state
    if (state.init, state.norm, state.optimizer) == ("he", "none", "sgd") and state.depth >= 20:
        st.caption(_("A residual net is meant to diverge with these: its signal grows from block to block. Choose "
                     "BatchNorm as well, and it trains."))


def on_choice(name: str) -> None:
    """Give what has been chosen the settings that it usually has."""
    if name == "family":
        take_family()
    state = st.session_state
    usual = find_rate(*(state.get(field, getattr(DEFAULTS, field)) for field in RATED))
    if state.lr == state.get("usual.lr") and state.compare not in ("lr", *RATED):  # else somebody chose it
        state.lr = usual
    state["usual.lr"] = usual


def take_family() -> None:
    """Give the new family the settings it usually has, and the nearest depth it can have."""
    family, depth = st.session_state.family, st.session_state.depth
    for name, value in records.FAMILY_DEFAULTS[family].items():
        if name != st.session_state.compare:
            st.session_state[name] = write_value(value) if name == "width" else value
    if not records.DATASETS[st.session_state.dataset].is_picture and family == "conv":
        st.session_state.dataset = DEFAULTS.dataset
    if family == "conv" and st.session_state.compare != "depth":
        st.session_state.depth = 2 + 6 * max(1, round((depth - 2) / 6))
