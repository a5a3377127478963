"""Stored runs on a page: filters and selection, in the URL and in widgets; and how runs come back as races."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import streamlit as st

from resnet_viz.records import N_, ConfigError, Lane, RaceConfig
from resnet_viz.sweeps import RunResult, list_settings
from resnet_viz.text import _
from resnet_viz.ui.controls import OPTIONS, label_fields
from resnet_viz.ui.grid import VARIABLE, is_choice, name_place, name_value, read_axis, write_values
from resnet_viz.ui.settings import COMPARABLE, read_value

KEY = "runs."
FILTERABLE = (*VARIABLE, "seed")
ALWAYS = ("dataset", "family", "depth", "shortcut", "norm", "init")  # filters that always stand there
OUTCOMES = ("all", "finished", "diverged")
NAME = 12  # characters of an identity that a URL has
HASH = re.compile(r"[0-9a-f]{8,64}")

# ---------------------------------------------------------------------------------------------------- filters


def read_filters(query: Mapping[str, str]) -> tuple[dict[str, Any], list[ConfigError]]:
    """The filters of a URL, as `Store.browse` takes them, and what was wrong with it."""
    where, errors = {}, []
    for name in (*FILTERABLE, "diverged", "code"):
        if name in query:
            try:
                where[name] = read_filter(name, query[name])
            except ConfigError as error:
                errors.append(error)
    return where, errors


def read_filter(name: str, text: str) -> Any:
    """The values that one filter lets through. Raises `ConfigError`."""
    if name == "diverged":
        if text not in ("0", "1"):
            raise ConfigError(name, text, N_("one of {allowed}"), allowed=("0", "1"))
        return text == "1"
    if name == "code":
        if not HASH.fullmatch(text):
            raise ConfigError(name, text, N_("the hash of a version of the code"))
        return text
    if name == "seed":
        return [read_value(name, part.strip()) for part in text.split(",")]
    return list(read_axis(name, text))


def write_filters(where: Mapping[str, Any]) -> dict[str, str]:
    """The filters as a URL has them."""
    query = {name: write_values(name, tuple(value), "") for name, value in where.items() if name in FILTERABLE}
    if "diverged" in where:
        query["diverged"] = str(int(where["diverged"]))
    return query | ({"code": where["code"]} if "code" in where else {})


def show_filters(where: dict[str, Any], codes: Mapping[str, str]) -> dict[str, Any]:
    """The filters' widgets, set to `where`; what they say now. `codes` are versions and what they are called."""
    st.subheader(_("Filters"), divider="gray")
    more = [name for name in FILTERABLE if name not in ALWAYS]
    first_run = KEY + "more" not in st.session_state
    if first_run:
        st.session_state[KEY + "more"] = [name for name in more if name in where]
    found = {}
    for name in ALWAYS:
        show_filter(name, where, found)
    st.multiselect(_("Other settings"), more, format_func=label_fields().get, key=KEY + "more",
                   placeholder=_("Choose"))
    for name in st.session_state[KEY + "more"]:
        show_filter(name, where, found)
    words = {"all": _("All"), "finished": _("Finished"), "diverged": _("Diverged")}
    st.session_state.setdefault(KEY + "outcome", OUTCOMES[1 + where["diverged"]] if "diverged" in where else "all")
    outcome = st.segmented_control(_("Outcome"), OUTCOMES, format_func=words.get, key=KEY + "outcome", required=True)
    if outcome != "all":
        found["diverged"] = outcome == "diverged"
    options = list(dict.fromkeys(["", *codes, *([where["code"]] if "code" in where else [])]))
    st.session_state.setdefault(KEY + "code", where.get("code", ""))
    code = st.selectbox(_("Version of the code"), options, key=KEY + "code",
                        format_func=lambda code: codes.get(code, code[:8]) if code else _("All"),
                        help=_("A run’s numbers are certain only for the code that made them."))
    return found | ({"code": code} if code else {})


def show_filter(name: str, where: Mapping[str, Any], found: dict[str, Any]) -> None:
    """One setting's filter; what it lets through goes into `found`, nothing where it lets all through."""
    key, title = f"{KEY}filter.{name}", label_fields()[name]
    if is_choice(name):
        st.session_state.setdefault(key, list(where.get(name, ())))
        value = st.multiselect(title, OPTIONS.get(name, (True, False)), key=key, placeholder=_("All"),
                               format_func=lambda value: name_value(name, value))
        if value:
            found[name] = value
        return
    st.session_state.setdefault(key, write_values(name, tuple(where.get(name, ()))))
    text = st.text_input(title, key=key, placeholder=_("All"), max_chars=200)
    if text.strip():
        found[name] = read_filter(name, text)


# ---------------------------------------------------------------------------------------------------- selection


def read_selection(text: str, runs: Iterable[RunResult]) -> list[str]:
    """The identities of these runs that a URL selects, by their first characters."""
    names = [name for name in text.split(",")[:100] if HASH.fullmatch(name)]
    return [run.identity for run in runs if any(run.identity.startswith(name) for name in names)]


def write_selection(identities: Iterable[str]) -> str:
    return ",".join(identity[:NAME] for identity in identities)


def find_differences(runs: Iterable[RunResult]) -> list[str]:
    """The settings in which runs differ."""
    found = [list_settings(run.race) for run in runs]
    return [name for name in found[0] if any(values[name] != found[0][name] for values in found)] if found else []


def name_runs(runs: list[RunResult]) -> list[str]:
    """What tells runs from each other, in words."""
    settings = (find_differences(runs) or ["depth", "shortcut", "seed"])[:4]
    return [" · ".join(name_place(name, list_settings(run.race)[name]) for name in settings) for run in runs]


# ---------------------------------------------------------------------------------------------------- back to the race


class PairError(ConfigError):
    """Two runs that cannot be the lanes of one race: in what they differ."""

    TEMPLATE = N_("These runs cannot race: they differ in {value}. Two runs can that differ in one setting of the net or "
                  "of its training.")


def make_twins(race: RaceConfig) -> RaceConfig:
    """A race of a run and its twin: the same net without shortcuts, and with them. Raises `ConfigError`."""
    lane = race.lanes[0]
    net = lane.net
    if net.shortcut == "none":
        widths = net.stage_widths
        kind = "identity" if len(set(widths)) == 1 else "zero-pad" if list(widths) == sorted(widths) else "projection"
        net = replace(net, shortcut=kind)
    return replace(race, lanes=tuple(Lane(replace(net, skip=skip), lane.train) for skip in (False, True)))


def make_pair(first: RaceConfig, second: RaceConfig) -> RaceConfig:
    """A race of two runs that differ in one setting of the net or its training. Raises `ConfigError`."""
    values = list_settings(first), list_settings(second)
    differences = [name for name in values[0] if values[0][name] != values[1][name]]
    if len(differences) != 1 or differences[0] not in COMPARABLE:
        raise PairError("runs", _(", ").join(label_fields()[name] for name in differences) or "–", "")
    lanes = [race.lanes[0] for race in (first, second)]
    kinds = [lane.net.shortcut for lane in lanes]
    if "none" in kinds and kinds[0] != kinds[1]:  # plain and residual: the same net with its shortcuts cut
        kind = next(kind for kind in kinds if kind != "none")
        lanes = [replace(lane, net=replace(lane.net, shortcut=kind, skip=lane.net.skip and lane.net.shortcut != "none"))
                 for lane in lanes]
    return replace(first, lanes=tuple(lanes))
