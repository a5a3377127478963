"""Pages that break nets say where there is nothing to break, and open with nets that can show what they are about."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from resnet_viz.engine.hub import Hub
from resnet_viz.ui.chance import tell_chance
from resnet_viz.ui.subject import PRESETS, name_subject
from tests.pages import find_nets, open_nets, read_texts

TOUR = """
from importlib import import_module

import streamlit as st

from resnet_viz.ui.session import start_session

start_session()
import_module(f"resnet_viz.ui.views.{st.session_state['view']}").show_page()
"""


def test_which_nets_guess() -> None:
    scores = {"Plain net": 0.1028, "Residual net": 0.97, "Other net": None}
    assert tell_chance(scores, 0.1, "So.") == "At chance, 10 % of the held-out set: Plain net: 10.3 %. So."
    assert tell_chance(scores, 0.1, "So.", every=True) == "" and tell_chance({"Plain net": 0.16}, 0.1, "So.") == ""
    assert tell_chance({"A": 0.1, "B": 0.1}, 0.1, "So.", every=True)


@pytest.mark.parametrize("name", ["block", "operations", "credit", "paths"])
def test_a_net_at_chance_is_told_and_nets_that_learn_are_offered(engine: Hub, name: str) -> None:
    """The race's own nets, as one comes from it: the plain one guesses, and breaking it changes nothing."""
    page = open_nets(name, at="30")
    assert "At chance, 10 % of the held-out set: Plain net: 1" in read_texts(page)
    page.button(key="chance.twins").click().run()
    assert not page.exception and name_subject(find_nets(page)) == ("few" if name == "paths" else "twins")


def test_each_page_opens_with_its_own_nets_until_some_are_chosen(engine: Hub) -> None:
    """One block opens with 16 layers; of those nobody has chosen, Paths takes nets whose paths can be drawn."""
    page = AppTest.from_string(TOUR, default_timeout=60)
    for view, nets in (("operations", "twins"), ("paths", "few"), ("landscape", "conv"), ("operations", "twins")):
        page.session_state["view"] = view
        page.run()
        assert not page.exception and name_subject(find_nets(page)) == nets
    page.selectbox(key="nets").set_value("batch").run()
    page.session_state["view"] = "paths"
    page.run()
    assert name_subject(find_nets(page)) == "batch" and page.session_state["subject.step"] == PRESETS["batch"][1]
