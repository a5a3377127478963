"""Where a net stands at chance a page has nothing to show: it says so, and offers nets that both learn."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from resnet_viz.records import DATASETS
from resnet_viz.text import _, percent_sign
from resnet_viz.ui.subject import Subject, take_preset

NEAR = 0.05  # above chance: a net that is no better has learned nothing


def show_chance(subject: Subject, why: str, preset: str = "twins", every: bool = False) -> None:
    """Tell which nets guess, by their last held-out accuracy, and `why` that matters here; offer the nets of `preset`.

    `every`: only where all of them do.
    """
    scores = {name: subject.find_accuracy(i) for i, name in enumerate(subject.names)}
    words = tell_chance(scores, 1 / DATASETS[subject.config.dataset].classes, why, every)
    if words:
        with st.container(key="chance"):
            st.info(words, icon=":material/help:")
            st.button(_("Take two nets that both learn"), key="chance.twins", icon=":material/school:",
                      on_click=take_preset, args=(preset,))


def tell_chance(scores: Mapping[str, float | None], chance: float, why: str, every: bool = False) -> str:
    """Which of the nets' accuracies are no better than guessing; "" where none is."""
    told = {name: score for name, score in scores.items() if score is not None and score < chance + NEAR}
    if not told or (every and len(told) < len(scores)):
        return ""
    nets = [_("{name}: {words}").format(name=name, words=f"{100 * score:.1f}{percent_sign()}")
            for name, score in told.items()]
    return _("At chance, {chance} % of the held-out set: {nets}. {why}").format(
        chance=f"{100 * chance:.0f}", nets=_("; ").join(nets), why=why)


def explain_breaking() -> str:
    """Why a net at chance cannot be operated on."""
    return _("There is nothing to break: with the block or without it, such a net guesses.")
