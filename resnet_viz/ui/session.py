"""A page's race: found by the URL or made, and kept in step with the page's widgets both ways."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from resnet_viz.engine.hub import hub
from resnet_viz.engine.race import Race
from resnet_viz.records import LIVE_FIELDS, NET_LIVE, ConfigError, Lane, RaceConfig
from resnet_viz.text import _, choose_language, use_language
from resnet_viz.ui.controls import read_widgets, write_widgets
from resnet_viz.ui.settings import read_query, read_race
from resnet_viz.ui.words import sentence

PAGE = "race"
IDS = ("run", "sweep")  # parameters of a URL that name what is shown, and are no settings
# What a page keeps in the session beside its widgets, where that is not all under the page's own name.
KEPT = {"operations": ("operations.", "studies.", "history"), "architecture": ("architecture.", "arch.", "own.")}


def name_visitor() -> str:
    """Whose session this thread runs the script of: their measurements take turns with those of others."""
    context = get_script_run_ctx(suppress_warning=True)
    return "" if context is None else context.session_id


def start_session() -> None:
    """The language: the URL's on the first run or on going back and forth, or the browser's."""
    known, asked = st.session_state.get("language"), st.query_params.get("lang")
    if known is None or (is_history() and asked and choose_language(asked) != known):
        st.session_state.language = choose_language(asked or st.context.locale)
        if known is not None:
            translate_choices()
    use_language(st.session_state.language)


def is_history() -> bool:
    """Whether this run of the script was asked for by the browser's Back or Forward."""
    return get_script_run_ctx().is_history_navigation


def return_to(page: str) -> None:
    """On Back and Forward the address says what the page shows: forget what the session has kept of it.

    The page then reads its address, as on its first run. One that is bare, as before a page has written it, says nothing.
    """
    st.session_state["returned"] = is_history() and "lang" in st.query_params
    if not st.session_state["returned"]:
        return
    for name in [name for name in st.session_state if str(name).startswith(KEPT.get(page, (f"{page}.",)))]:
        del st.session_state[name]
    for name in ("page", "subject", "subject.step", "subject.first", "subject.config"):
        st.session_state.pop(name, None)


def translate_choices() -> None:
    """A callback of the language's control. A browser knows what is chosen by its words, and sends them back as they are:

    each widget has to be set to what it already says, so that it is told in the new words.
    """
    for name, value in st.session_state.items():
        if isinstance(value, str | int | list) and not isinstance(value, bool):  # a button's, which must not be set
            st.session_state[name] = value


def open_race(page: str, make_config: Callable[[], RaceConfig], fits: Callable[[RaceConfig], bool],
              follow: Callable[[str, Race, RaceConfig], None] | None = None) -> Race:
    """A page's race: the session's, or the URL's, or a new one. One that the server no longer has is made anew, and told.

    `fits` says whether the page can show a race: a link may name any. Where a reader has gone back, the race follows the
    URL (by `follow`, else `follow_config`).
    """
    returned = st.session_state.pop("returned", False)
    kept, asked = st.session_state.get(f"run.{page}"), st.query_params.get("run", "")
    known = kept or asked
    race = (hub.find(asked) if returned else None) or hub.find(known)
    if known and race is None:
        st.session_state[f"lost.{page}"] = True  # told again, where a run of the script is broken off before it is drawn
    if st.session_state.get(f"lost.{page}"):
        st.toast(_("That run is no longer on the server. This is the same race, at its start."),
                 icon=":material/restart_alt:")
    if race is None or not fits(race.config):
        race = hub.call(hub.make((not returned and st.session_state.get(f"config.{page}")) or make_config()))
        remember_race(page, race)
    elif returned:
        st.session_state[f"seen.{page}"] = (race.id, race.revision)  # whichever race the page showed before
        (follow or follow_config)(page, race, make_config())
    st.session_state[f"run.{page}"] = race.id
    return race


def remember_race(page: str, race: Race) -> None:
    st.session_state[f"run.{page}"], st.session_state[f"config.{page}"] = race.id, race.config
    st.session_state[f"seen.{page}"] = (race.id, race.revision)


def seen_revision(page: str) -> int:
    """The revision of its race that a page's widgets say. To be asked for when they have been drawn."""
    st.session_state[f"undrawn.{page}"] = st.session_state[f"lost.{page}"] = False
    return st.session_state[f"seen.{page}"][1]


def write_from_race(page: str, race: Race, widget: str, write: Callable[[], None]) -> None:
    """Set a page's widgets from its race by `write`: on coming to the page (which has `widget`), or where somebody else has

    changed the race. The revision is taken before the race is read: what changes meanwhile is noticed the next time. So is
    what a run of the script set that was broken off before it had drawn the widgets: the browser still has what they said.
    """
    came, st.session_state["page"] = st.session_state.get("page") != page, page
    now = (race.id, race.revision)
    undrawn = st.session_state.get(f"undrawn.{page}", False)
    if came or undrawn or widget not in st.session_state or st.session_state.get(f"seen.{page}") != now:
        write()
        st.session_state[f"seen.{page}"], st.session_state[f"undrawn.{page}"] = now, True


def open_session() -> Race:
    """The race page's race, and its widgets as the race is."""
    race = open_race(PAGE, read_url, lambda config: len(config.lanes) == 2, follow_race)

    def write() -> None:
        now = race.lanes_now()
        live = {name: now[-1].read_live(name) for name in LIVE_FIELDS if name not in NET_LIVE}
        skips, cuts = (tuple(lane.read_live(name) for lane in now) for name in NET_LIVE)
        write_widgets(replace(read_race(race.config), skips=skips, cuts=cuts, **live))

    write_from_race(PAGE, race, "compare", write)
    return race


def read_url() -> RaceConfig:
    """The race that the URL describes; what is wrong with it is told on the page."""
    settings, st.session_state.complaints = read_query(st.query_params.to_dict())
    return settings.make_race()


def act(race_id: str, name: str, *args: Any) -> None:
    """Call a method of a race in the engine's loop. None of them waits long for the workers."""
    race = hub.find(race_id)

    async def work() -> None:
        result = getattr(race, name)(*args)
        if inspect.isawaitable(result):
            await result

    if race is not None:
        hub.call(work())


def follow_widgets(race: Race) -> None:
    """Bring the race to what the widgets say: live where that can be, else from new initial weights."""
    try:
        wanted = read_widgets().make_race()
    except ConfigError as error:
        st.error(sentence(error), icon=":material/error:")
        return
    if race.step == 0 and _same_but_live(wanted, race.config):  # what a link has planned for later steps stays planned
        wanted = replace(wanted, changes=race.config.changes, edits=race.config.edits)
    follow_race(PAGE, race, wanted)


def follow_race(page: str, race: Race, wanted: RaceConfig) -> None:
    """Bring a race to a configuration: live where that can be, else from new initial weights."""

    def list_calls() -> list[tuple]:
        if not _same_but_live(wanted, race.config) or (race.step == 0 and race.state == "ready"):
            return [("reset", wanted)] if wanted != race.config else []
        lanes = [wanted.lane_at(i, race.step) for i in range(len(wanted.lanes))]
        changes = [("change", i, name, lane.read_live(name))
                   for i, (lane, now) in enumerate(zip(lanes, race.lanes_now(), strict=True))
                   for name in LIVE_FIELDS if lane.read_live(name) != now.read_live(name)]
        return changes + ([("extend", wanted.steps)] if wanted.steps != race.config.steps else [])

    _bring(page, race, list_calls)


def follow_config(page: str, race: Race, wanted: RaceConfig) -> None:
    """Bring a page's race to what its widgets say; anything but the limit of steps starts it anew."""

    def list_calls() -> list[tuple]:
        if replace(wanted, steps=1) != replace(race.config, steps=1, changes=(), edits=()):
            return [("reset", wanted)]
        return [("extend", wanted.steps)] if wanted.steps != race.config.steps else []

    _bring(page, race, list_calls)


def _bring(page: str, race: Race, list_calls: Callable[[], list[tuple]]) -> None:
    """Do to a race what its page's widgets ask for: all at once, or another tab would follow half of it.

    Not where another tab has changed it since these widgets were set: they would undo that. The page follows it first.
    """
    seen = st.session_state.get(f"seen.{page}", (race.id, race.revision))

    async def work() -> int:
        revision = seen[1]
        if (race.id, race.revision) == seen:
            for name, *args in list_calls():
                result = getattr(race, name)(*args)
                if inspect.isawaitable(result):
                    await result
                revision += 1  # as the race's does
        return revision

    if hub.find(race.id) is not None:
        st.session_state[f"seen.{page}"] = (race.id, hub.call(work()))
    st.session_state[f"run.{page}"], st.session_state[f"config.{page}"] = race.id, race.config


def _same_but_live(a: RaceConfig, b: RaceConfig) -> bool:
    """Whether two races differ in nothing that needs new weights."""
    return _freeze(a) == _freeze(b)


def _freeze(race: RaceConfig) -> RaceConfig:
    """The race with every live setting at its default."""
    lanes = race.lanes
    for name in LIVE_FIELDS:
        lanes = tuple(lane.changed(name, Lane().read_live(name)) for lane in lanes)
    return replace(race, lanes=lanes, changes=(), edits=(), steps=1)


def write_url(query: dict[str, str], race: Race | None = None) -> dict[str, str]:
    """Put a page's settings, the language and the run into the address bar; the parameters without the run are returned.

    Each setting that changes is one entry of the browser's history, so is each page: what completes the address of a page
    that has just been opened, or changes an id only, takes the place of the entry there is. Call it once a run.
    """
    shared = query | {"lang": st.session_state.language}
    wanted = shared if race is None else shared | {"run": race.id}
    known, opening = st.query_params.to_dict(), "lang" not in st.query_params or "written" not in st.session_state
    opening = st.session_state.pop("going", False) or opening or _drop_ids(known) == _drop_ids(wanted)
    st.session_state["written"] = True
    with st.container(key="address"):
        if known != wanted and opening and st.session_state.get("replaced") != wanted:
            replace_address(wanted)
            st.session_state["replaced"] = wanted
        elif known != wanted:  # what was replaced is no new entry: Streamlit's own page learns what the address says now
            st.query_params.from_dict(wanted)
    return shared


def _drop_ids(query: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in query.items() if name not in IDS}


def replace_address(query: dict[str, str]) -> None:
    """Set the URL's parameters without a new entry in the browser's history: Streamlit's own way always makes one."""
    context = get_script_run_ctx()
    context.query_string = urlencode(query)
    with context.session_state.query_params() as known:
        known.clear_with_no_forward_msg(preserve_embed=True)
        for name, value in query.items():
            known.set_with_no_forward_msg(name, value)
    text = json.dumps(context.query_string)  # which has no "<" left
    st.html(f"""<script>{{
        const kept = location.search.slice(1).split("&").filter((part) => part.startsWith("embed"));
        history.replaceState(history.state, "", location.pathname + "?" + [...kept, {text}].join("&"));
    }}</script>""", unsafe_allow_javascript=True)


def go_to(page: str) -> None:
    """Show another page, by the last part of its address."""
    st.session_state["going"] = True
    # Without parameters of its own Streamlit first empties this page's: an entry in the history that shows nothing.
    st.switch_page(st.session_state["pages"][page], query_params=st.query_params.to_dict())


def show_branch(race: Race) -> None:
    """Show a race that goes on from operated weights on the race page."""
    remember_race(PAGE, race)
    st.session_state.pop("seen.race", None)  # its widgets are still another race's
    go_to(PAGE)
