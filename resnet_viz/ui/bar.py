"""What one does to a run: play, step, reset, another seed, go back, share. The same bar on every page that has a race."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from urllib.parse import urlencode, urlsplit

import streamlit as st

from resnet_viz.engine.race import Race
from resnet_viz.text import _
from resnet_viz.ui import progress
from resnet_viz.ui.addresses import find_address_for_others, names_own_computer
from resnet_viz.ui.exporting import show_export_race
from resnet_viz.ui.session import act


def show_bar(race: Race, shared: dict[str, str], name: Callable[[], Sequence[str]]) -> None:
    """One obvious button, and the rest. `shared` are the parameters of a link to the same race; `name` names its lanes."""
    running = race.state == "running"
    over = race.state == "diverged" or (race.state == "finished" and race.step >= race.config.steps)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        # One widget, so that the keyboard's focus stays on it.
        st.button(_("Pause") if running else _("Play"), key="play", type="primary", shortcut="P", disabled=over,
                  icon=":material/pause:" if running else ":material/play_arrow:", help=explain_play(race, over),
                  on_click=act, args=(race.id, "stop", progress.PATIENCE) if running else (race.id, "play"))
        st.button(_("One step"), key="step", icon=":material/skip_next:", shortcut="N", disabled=running or over,
                  on_click=step_once, args=(race.id,), help=_("Train on one batch, and stop"))
        st.button(_("Reset"), key="reset", icon=":material/replay:", shortcut="Z", on_click=act,
                  args=(race.id, "rewind", 0), help=_("Back to the same initial weights"))
        st.button(_("New seed"), key="new_seed", icon=":material/casino:", shortcut="X", on_click=take_new_seed,
                  help=_("Other initial weights, and another order of the batches"))
        show_rewind(race)
        show_share(shared, race)
        show_export_race(race, name)


def explain_play(race: Race, over: bool) -> str:
    """What Play does, or why it cannot be pressed."""
    if race.state == "running":
        return _("Stop where the nets are, and measure them there")
    if race.state == "diverged":
        return _("A lane has diverged: go back to an earlier step, or reset.")
    if over:
        return _("The race has reached its step limit: raise the limit to go on, go back or reset.")
    return _("Train all nets")


def step_once(race_id: str) -> None:
    act(race_id, "play", 1)
    act(race_id, "settle", progress.PATIENCE)


def take_new_seed() -> None:
    st.session_state.seed = (st.session_state.seed + 1) % 2**31


def show_rewind(race: Race) -> None:
    """Go back to a kept state."""
    with st.popover(_("Go back"), icon=":material/history:", disabled=race.step == 0):
        steps = [step for step in race.kept_steps if step < race.step or step == 0]
        st.selectbox(_("To step"), steps[::-1], key="rewind_to")
        st.button(_("Go back to this step"), key="rewind",
                  on_click=lambda: act(race.id, "rewind", st.session_state.rewind_to))


def show_share(shared: dict[str, str], race: Race | None = None) -> None:
    """Links: the same page to compute anew, or this very run. Where the page was opened locally, links for others, too."""
    with st.popover(_("Share a link"), icon=":material/share:"):
        pages = show_addresses(complete_address(st.context.url or ""))
        st.markdown(_("**The same race**, for each to run on their own. It gives the same numbers.") if race
                    else _("**The same nets and operations**, computed anew. It gives the same numbers."))
        show_links(pages, shared)
        if race is not None:
            st.markdown(_("**This very run**, watched and steered together."))
            show_links(pages, shared | {"run": race.id})


def complete_address(page: str) -> str:
    """The default page's with the “/” at its end: a proxy that has to add it may lose what follows."""
    name = page.rpartition("/")[2]
    return page if name in ("", *st.session_state.get("pages", ())) else f"{page}/"


def show_addresses(page: str) -> list[str]:
    """The addresses of a page, the ones for others first; and a word on them where the page was opened locally."""
    if not names_own_computer(page):
        return [page]
    others = find_address_for_others(page)
    if others is None:
        st.info(_("You opened this page as “{host}”, which on every computer means that computer. For others, write in its "
                  "place the name or the address by which they reach the server.").format(host=urlsplit(page).hostname))
        return [page]
    st.info(_("You opened this page on the server’s own computer. Of each two links the first is for others in the same "
              "network, the second for this computer alone."))
    return [others, page]


def show_links(pages: Sequence[str], parameters: dict[str, str]) -> None:
    for page in pages:
        st.code(f"{page}?{urlencode(parameters)}", language=None, wrap_lines=True)
