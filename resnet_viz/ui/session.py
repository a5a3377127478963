"""A page's race: found by the URL or made, and kept in step with the page's widgets both ways."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import Any

import streamlit as st

from resnet_viz.engine.hub import hub
from resnet_viz.engine.race import Race
from resnet_viz.records import LIVE_FIELDS, ConfigError, Lane, RaceConfig
from resnet_viz.text import LANGUAGES, choose_language, sentence, use_language
from resnet_viz.ui.controls import read_widgets, write_widgets
from resnet_viz.ui.settings import read_query, read_race, write_query


def open_session() -> Race:
    """The language, and the page's race. On a page's first run both come from the URL."""
    if "language" not in st.session_state:
        asked = st.query_params.get("lang")
        st.session_state.language = asked if asked in LANGUAGES else choose_language(st.context.locale)
    use_language(st.session_state.language)
    race = hub.find(st.session_state.get("run", st.query_params.get("run", "")))
    if race is None:
        settings, st.session_state.complaints = read_query(st.query_params.to_dict())
        if "config" in st.session_state:  # the race was dropped while the page slept: the same one again
            settings = read_race(st.session_state.config)
        race = hub.call(hub.make(settings.make_race()))
    st.session_state.run = race.id
    if st.session_state.get("seen") != (race.id, race.revision):
        now = race.lanes_now()
        live = {name: _live_value(now[-1], name) for name in LIVE_FIELDS if name != "skip"}
        write_widgets(replace(read_race(race.config), skips=tuple(lane.net.skip for lane in now), **live))
        _mark_seen(race)
    return race


def _mark_seen(race: Race) -> None:
    st.session_state.seen, st.session_state.config = (race.id, race.revision), race.config


def act(name: str, *args: Any) -> None:
    """Call a method of the page's race in the engine's loop."""
    race = hub.find(st.session_state.run)

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
    if not _same_but_live(wanted, race.config) or (race.step == 0 and race.state == "ready"):
        if wanted != race.config:
            act("reset", wanted)
    else:
        for i, (lane, now) in enumerate(zip(wanted.lanes, race.lanes_now(), strict=True)):
            for name in LIVE_FIELDS:
                if _live_value(lane, name) != _live_value(now, name):
                    act("change", i, name, _live_value(lane, name))
        if wanted.steps != race.config.steps:
            act("extend", wanted.steps)
    _mark_seen(race)


def _live_value(lane: Lane, name: str) -> Any:
    return getattr(lane.net if name == "skip" else lane.train, name)


def _same_but_live(a: RaceConfig, b: RaceConfig) -> bool:
    """Whether two races differ in nothing that needs new weights."""
    return _freeze(a) == _freeze(b)


def _freeze(race: RaceConfig) -> RaceConfig:
    """The race with every live setting at its default."""
    lanes = race.lanes
    for name in LIVE_FIELDS:
        lanes = tuple(lane.changed(name, _live_value(Lane(), name)) for lane in lanes)
    return replace(race, lanes=lanes, changes=(), steps=1)


def write_url(race: Race) -> dict[str, str]:
    """Put the race, the run and the language into the address bar; the parameters without the run are returned."""
    shared = write_query(read_race(race.config)) | {"lang": st.session_state.language}
    wanted = shared | {"run": race.id}
    if st.query_params.to_dict() != wanted:
        st.query_params.from_dict(wanted)
    return shared
