"""The race: two nets learn side by side. The bar of controls, the settings, and the live board."""

from __future__ import annotations

from urllib.parse import urlencode

import streamlit as st

from resnet_viz.engine.race import Race
from resnet_viz.text import LANGUAGES, _, get_language, sentence
from resnet_viz.ui import lesson
from resnet_viz.ui.board import show_board
from resnet_viz.ui.controls import explain_fields, label_fields, name_lanes, name_places, show_settings
from resnet_viz.ui.session import act, follow_widgets, write_url
from resnet_viz.ui.settings import read_race


def show_race(race: Race) -> None:
    """The whole page."""
    with st.sidebar:
        st.segmented_control(_("Language"), list(LANGUAGES), format_func=LANGUAGES.get, key="language",
                             required=True, label_visibility="collapsed")
        show_settings()
    show_title()
    complain()
    bar = st.container()
    follow_widgets(race)
    shared = write_url(race)
    with bar:
        show_bar(race, shared)
    settings = read_race(race.config)
    names = name_lanes(settings, [lane.net.residual for lane in race.lanes_now()])
    show_board("board", f"/feed/{race.id}?token={race.token}", names, get_language(), race.state)
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


def show_bar(race: Race, shared: dict[str, str]) -> None:
    """One obvious button, and the rest of what one does to a run."""
    running = race.state == "running"
    over = race.state == "diverged" or (race.state == "finished" and race.step >= race.config.steps)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        if running:
            st.button(_("Pause"), key="pause", icon=":material/pause:", type="primary", shortcut="P",
                      on_click=act, args=("stop",))
        else:
            st.button(_("Play"), key="play", icon=":material/play_arrow:", type="primary", shortcut="P", disabled=over,
                      on_click=act, args=("play",), help=_("Train both nets"))
        st.button(_("One step"), key="step", icon=":material/skip_next:", shortcut="N", disabled=running or over,
                  on_click=step_once, help=_("Train on one batch, and stop"))
        st.button(_("Reset"), key="reset", icon=":material/replay:", shortcut="Z", on_click=start_over,
                  help=_("Back to the same initial weights"))
        st.button(_("New seed"), key="new_seed", icon=":material/casino:", shortcut="X", on_click=take_new_seed,
                  help=_("Other initial weights, and another order of the batches"))
        show_rewind(race)
        show_share(shared, race)
    with st.container(horizontal=True, vertical_alignment="center", gap="medium", key="toggles"):
        for i, place in enumerate(name_places()):
            st.toggle(f"{label_fields()['skip']} · {place}", key=f"skip.{i}", help=explain_fields()["skip"])


def step_once() -> None:
    act("play", 1)
    act("settle")


def start_over() -> None:
    act("rewind", 0)


def take_new_seed() -> None:
    st.session_state.seed = (st.session_state.seed + 1) % 2**31


def show_rewind(race: Race) -> None:
    """Go back to a kept state."""
    with st.popover(_("Go back"), icon=":material/history:", disabled=race.step == 0):
        steps = [step for step in race.kept_steps if step < race.step or step == 0]
        st.selectbox(_("To step"), steps[::-1], key="rewind_to")
        st.button(_("Go back to this step"), key="rewind", on_click=lambda: act("rewind", st.session_state.rewind_to))


def show_share(shared: dict[str, str], race: Race) -> None:
    """Links: the same race to run anew, or this very run."""
    with st.popover(_("Share a link"), icon=":material/share:"):
        base = (st.context.url or "").split("?")[0]
        st.markdown(_("**The same race**, for each to run on their own. It gives the same numbers."))
        st.code(f"{base}?{urlencode(shared)}", language=None, wrap_lines=True)
        st.markdown(_("**This very run**, watched and steered together."))
        st.code(f"{base}?{urlencode(shared | {'run': race.id})}", language=None, wrap_lines=True)
