"""The race: two nets learn side by side. The bar of controls, the settings, and the live board."""

from __future__ import annotations

import streamlit as st

from resnet_viz.engine.race import Race
from resnet_viz.text import _, get_language, sentence
from resnet_viz.ui import lesson
from resnet_viz.ui.bar import show_bar
from resnet_viz.ui.board import Look, show_board
from resnet_viz.ui.controls import explain_fields, label_fields, name_lanes, name_places, show_settings
from resnet_viz.ui.glossary import show_words
from resnet_viz.ui.session import act, follow_widgets, go_to, open_session, write_url
from resnet_viz.ui.settings import read_race, write_query
from resnet_viz.ui.subject import take_nets


def show_page() -> None:
    """The whole page."""
    race = open_session()
    with st.sidebar:
        show_settings()
    show_title()
    complain()
    bar = st.container()
    follow_widgets(race)
    settings = read_race(race.config)
    shared = write_url(write_query(settings), race)
    names = name_lanes(settings, [lane.net.residual for lane in race.lanes_now()])
    with bar:
        show_bar(race, shared, names)
        show_toggles(race)
    show_board("board", f"/feed/{race.id}?token={race.token}", [Look(name, i) for i, name in enumerate(names)],
               get_language(), race.state)
    show_words("lane", "stem", "held-out", "W_s", "r", "cosine", "bit")
    lesson.show_lesson(race.config.dataset)


def show_title() -> None:
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium", key="title"):
        st.title("ResNet Viz", anchor=False, width="content")
        st.markdown(_("Two nets with the same weights see the same batches; all that differs is “+ a[l]”. Press Play and "
                      "watch which one learns."), width="content")


def complain() -> None:
    """What was wrong with the link that opened the page, until it is closed."""
    for error in st.session_state.get("complaints", ()):
        st.error(sentence(error), icon=":material/link_off:")


def show_toggles(race: Race) -> None:
    """The lanes' skip connections, to be switched at any time; and the way to the nets' insides."""
    with st.container(horizontal=True, vertical_alignment="center", gap="medium", key="toggles"):
        for i, place in enumerate(name_places()):
            st.toggle(f"{label_fields()['skip']} · {place}", key=f"skip.{i}", help=explain_fields()["skip"])
        if st.button(_("Operate on these nets"), key="operate", icon=":material/healing:", disabled=race.step == 0,
                     help=_("Pause, and zero, drop or swap blocks of copies of these nets.")):
            act(race.id, "stop")
            take_nets(race, race.step)
            go_to("operations")
    if race.config.edits:
        steps = sorted({edit.step for edit in race.config.edits})
        st.caption(_("Copies of nets that were operated on at step {step}. The race they came from goes on as it was.")
                   .format(step=", ".join(map(str, steps))))
