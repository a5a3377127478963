"""The race: two nets learn side by side. The bar of controls, the settings, and the live board."""

from __future__ import annotations

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from resnet_viz.engine.race import Race
from resnet_viz.text import _, join
from resnet_viz.ui import lesson, progress
from resnet_viz.ui.bar import show_bar
from resnet_viz.ui.board import Look, show_board
from resnet_viz.ui.controls import explain_fields, label_fields, name_lanes, name_places, show_settings
from resnet_viz.ui.difference import tell_difference
from resnet_viz.ui.glossary import show_words
from resnet_viz.ui.session import PAGE, act, follow_widgets, go_to, open_session, seen_revision, write_url
from resnet_viz.ui.settings import read_race, write_query
from resnet_viz.ui.subject import take_nets
from resnet_viz.ui.words import sentence


def show_page() -> None:
    """The whole page."""
    race = open_session()
    with st.sidebar:
        show_settings()
    subtitle = show_title()
    complain()
    bar = st.container()
    follow_widgets(race)
    told = tell_difference(race.config.lanes, race.lanes_now())
    subtitle.markdown(join(told, _("Press Play and watch which one learns.")), width="content")
    settings = read_race(race.config)
    shared = write_url(write_query(settings), race)

    def name() -> list[str]:
        return name_lanes(settings, [lane.net.residual for lane in race.lanes_now()])

    with bar:
        show_bar(race, shared, name)
        show_toggles(race)
    show_board("board", race, seen_revision(PAGE), [Look(name, i) for i, name in enumerate(name())], cutting=True)
    show_words("lane", "stem", "held-out", "W_s", "r", "cosine", "bit")
    lesson.show_lesson(race.config)


def show_title() -> DeltaGenerator:
    """The title, and beside it the place for what the lanes differ in, which the widgets below may yet change."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium", key="title"):
        st.title("ResNet Viz", anchor=False, width="content")
        return st.empty()


def complain() -> None:
    """What was wrong with the link that opened the page, until it is closed."""
    for error in st.session_state.get("complaints", ()):
        st.error(sentence(error), icon=":material/link_off:")


def show_toggles(race: Race) -> None:
    """The lanes' skip connections, to be switched at any time; and the way to the nets' insides."""
    with st.container(horizontal=True, vertical_alignment="center", gap="medium", key="toggles"):
        for i, (place, lane) in enumerate(zip(name_places(), race.lanes_now(), strict=True)):
            label, chosen = f"{label_fields()['skip']} · {place}", st.session_state[f"skip.{i}"]
            if lane.net.shortcut == "none":  # off whatever is chosen, which holds again with another kind of shortcut
                st.session_state[f"skip.{i}"] = chosen
                st.toggle(label, value=False, key=f"no-skip.{i}", disabled=True,
                          help=_("Of the kind of shortcut “None” there is nothing to switch on."))
            else:
                st.toggle(label, key=f"skip.{i}", help=explain_fields()["skip"])
        if st.button(_("Operate on these nets"), key="operate", icon=":material/healing:", disabled=race.step == 0,
                     help=_("Pause, and zero, drop or swap blocks of copies of these nets.")):
            act(race.id, "stop", progress.PATIENCE)
            take_nets(race, race.step)
            go_to("operations")
    if race.config.edits:
        steps = sorted({edit.step for edit in race.config.edits})
        st.caption(_("Copies of nets that were operated on at step {step}. The race they came from goes on as it was.")
                   .format(step=", ".join(map(str, steps))))
