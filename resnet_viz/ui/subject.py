"""The nets that are operated on: the race's at one of its steps, or a preset's, which train in seconds.

A subject is a race and a step. What is done to its nets is done to copies on a worker; the race never knows.
"""

from __future__ import annotations

import time
from collections.abc import Hashable
from dataclasses import dataclass, replace

import streamlit as st

from resnet_viz.engine.hub import hub
from resnet_viz.engine.race import Race
from resnet_viz.engine.stand import Stand
from resnet_viz.records import ConfigError, NetConfig, RaceConfig, State, parse_field
from resnet_viz.text import _, use_language
from resnet_viz.ui import progress
from resnet_viz.ui.controls import label_options, name_lanes
from resnet_viz.ui.session import PAGE
from resnet_viz.ui.settings import Settings, read_query, read_race, write_query, write_value
from resnet_viz.ui.words import sentence

TWINS = Settings(depth=16, optimizer="adamw", lr=0.002)  # both nets learn: what surgery breaks was not broken before
PRESETS: dict[str, tuple[Settings, int]] = {
    "twins": (TWINS, 600),
    "few": (replace(TWINS, depth=12), 600),  # five blocks: all their paths can be drawn
    "deep": (Settings(), 300),
    "tanh": (replace(TWINS, depth=12, activation="tanh"), 600),
    "batch": (Settings(norm="batch"), 300),
    "projection": (replace(TWINS, depth=12, shortcut="projection", width=(32, 64)), 600),
    "conv": (Settings(family="conv", shortcut="zero-pad", width=(8,), norm="batch"), 150),
    "conv56": (Settings(family="conv", shortcut="zero-pad", width=(8,), norm="batch", depth=56), 150),
}
POLL = 0.3  # seconds between two looks at a net that trains
BATCH_KEPT = 0.9  # of BatchNorm's stored statistics at each step, torch's default
BEGINNING = 0.05  # of them that is what they began as, and no longer matters
AT, NETS = "at", "nets"  # widgets: the step, and whose nets


def label_presets() -> dict[str, str]:
    return {
        "race": _("The race’s nets"),
        "link": _("The nets of the link"),
        "twins": _("Dense, 16 layers: both learn"),
        "few": _("Dense, 12 layers: few paths"),
        "deep": _("Dense, 20 layers: the plain net does not learn"),
        "tanh": _("Dense, 12 layers, tanh"),
        "batch": _("Dense, 20 layers, BatchNorm"),
        "projection": _("Dense, 12 layers, 32 → 64 by W_s"),
        "conv": _("Convolutional, 20 layers, BatchNorm"),
        "conv56": _("Convolutional, 56 layers: the plain net hardly learns"),
    }


@dataclass(frozen=True)
class Subject:
    """The lanes of `race` as they stood at `step`; `states` are what a worker needs of them."""

    race: Race
    step: int
    states: list[State]

    def name(self) -> list[str]:
        """What the lanes are called, in the language of the moment."""
        return name_lanes(read_race(self.race.config), [state.lane.net.residual for state in self.states])

    @property
    def names(self) -> list[str]:
        return self.name()

    @property
    def config(self) -> RaceConfig:
        """All that determines the nets."""
        return self.race.config.until(self.step)

    def key(self, *more: Hashable) -> Hashable:
        """Equal for equal nets, in whichever race they stand."""
        return (replace(self.config, steps=1), self.step, *more)

    def net(self, lane: int) -> NetConfig:
        return self.states[lane].lane.net

    def find_accuracy(self, lane: int) -> float | None:
        """A net's held-out accuracy when it was last measured on its way here; None where it never was."""
        known = [accuracy for step, _loss, accuracy, *_more in self.race.lanes[lane].series.probes if step <= self.step]
        return known[-1] if known else None

    def write_query(self) -> dict[str, str]:
        """The URL's parameters that stand for these nets."""
        return write_query(read_race(self.config)) | {AT: str(self.step)}


def take_nets(race: Race, step: int, first: str | None = None) -> None:
    """Make a race's nets at one step the subject of all pages of surgery.

    `first` is the preset where a page has opened with it and nobody has chosen these nets.
    """
    st.session_state["subject"], st.session_state["subject.step"] = race.id, step
    st.session_state["subject.first"] = first


def take_preset(name: str, first: str | None = None) -> Race:
    """Make a preset's nets the subject."""
    settings, step = PRESETS[name]
    race = prepare(settings.make_race(), step)
    take_nets(race, step, first)
    return race


def show_subject(first: str = "twins", recomputes: bool = False) -> Subject:
    """Choose the nets, in the sidebar. Stops the script, with a bar of progress, while they are being trained.

    `first` is the preset where nothing else has been chosen; `recomputes`: the page measures with BatchNorm's statistics
    recomputed, or those of a batch, so that it does not matter how far the stored ones are.
    """
    race = open_subject(first)
    with st.sidebar:
        st.subheader(_("Nets"), divider="gray")
        names, chosen = label_presets(), name_subject(race)
        st.session_state[NETS] = chosen
        options = [*(name for name in ("race", "link") if name == chosen or (name == "race" and find_own_race())), *PRESETS]
        st.selectbox(_("Nets to operate on"), options, format_func=names.get, key=NETS, on_change=on_nets,
                     help=_("Copies of them: whatever is done here, the race does not notice."))
    step = st.session_state["subject.step"]
    if race.step < step:
        show_training(race.id, step)
        st.stop()
    with st.sidebar:
        st.session_state[AT] = step
        st.number_input(_("At step"), 0, race.step, key=AT, on_change=on_step,
                        help=_("Any step of the nets’ history. Where none was kept they are trained anew, to the same "
                               "bits."))
        st.caption(describe_nets(race))
    stand = hub.call(hub.stand(race, step))
    hub.call(hub.settle([stand], progress.PATIENCE))
    if stand.state != "done":
        show_standing(race.id, stand)
        st.stop()
    states = stand.results
    if not recomputes and BATCH_KEPT**step > BEGINNING and any(state.lane.net.norm == "batch" for state in states):
        st.info(_("After {step} steps BatchNorm’s stored statistics are still {percent} % what they began as, mean 0 and "
                  "variance 1: evaluated with them, these nets are not normalised. Take a later step.").format(
            step=step, percent=round(100 * BATCH_KEPT**step)), icon=":material/info:")
    return Subject(race, step, states)


def open_subject(first: str = "twins") -> Race:
    """The race whose nets are the subject: the session's, the URL's, the race page's, or the preset `first`."""
    if st.session_state.get("subject.first") not in (None, first):  # another page's, which opened with it
        take_preset(first, first)
    race = hub.find(st.session_state.get("subject") or st.query_params.get("run", ""))
    if race is None and "subject.config" in st.session_state:  # dropped while the page slept
        race = prepare(st.session_state["subject.config"], st.session_state["subject.step"])
    elif race is None:
        race = open_first(first)
    if "subject.step" not in st.session_state:
        st.session_state["subject.step"] = read_step(race.step)
    if st.session_state.get("subject") != race.id:
        take_nets(race, st.session_state["subject.step"], st.session_state.get("subject.first"))
    if race is find_own_race():
        st.session_state["subject.step"] = min(st.session_state["subject.step"], race.step)
    st.session_state["subject.config"] = race.config
    race.unwatched_since = time.monotonic()
    return race


def open_first(first: str) -> Race:
    """On the first visit: what the link says; without one the race's nets, if they have been trained."""
    query = st.query_params.to_dict()
    if AT in query:
        settings, complaints = read_query(query)
        for error in complaints:
            st.error(sentence(error), icon=":material/link_off:")
        st.session_state["subject.step"] = read_step(0)
        return prepare(settings.make_race(), st.session_state["subject.step"])
    own = find_own_race()
    if own is not None and own.step:
        st.session_state["subject.step"] = own.step
        return own
    return take_preset(first, first)


def read_step(default: int) -> int:
    """The URL's step, or `default`; a bad one is told."""
    text = st.query_params.get(AT)
    if text is None:
        return default
    try:
        step = parse_field("steps", text)
        if not isinstance(step, int) or step != 0:
            RaceConfig(steps=step)
    except ConfigError as error:
        st.error(sentence(error), icon=":material/link_off:")
        return default
    return step


def prepare(config: RaceConfig, step: int) -> Race:
    """A race of this configuration, on its way to `step`. Whoever asks for the same nets gets the same race."""
    return hub.call(hub.prepare(replace(config, steps=max(config.steps, step)), step))


def find_own_race() -> Race | None:
    return hub.find(st.session_state.get(f"run.{PAGE}", ""))


def name_subject(race: Race) -> str:
    """Which of the choices the subject is."""
    if race is find_own_race():
        return "race"
    fits = [name for name, (settings, step) in PRESETS.items()
            if replace(settings.make_race(), steps=1) == replace(race.config, steps=1)]
    return fits[0] if fits else "link"


def on_nets() -> None:
    chosen = st.session_state[NETS]
    if chosen == "race":
        own = find_own_race()
        take_nets(own, own.step)
    elif chosen in PRESETS:
        take_preset(chosen)


def on_step() -> None:
    st.session_state["subject.step"], st.session_state["subject.first"] = st.session_state[AT], None


def describe_nets(race: Race) -> str:
    """The nets in a line."""
    net, options = race.config.lanes[-1].net, label_options()
    parts = [options[race.config.dataset], options[net.family], _("{depth} layers").format(depth=net.depth),
             _("width {width}").format(width=write_value(net.width)),
             _("seed {seed}").format(seed=race.config.seed)]
    return " · ".join(parts)


@st.fragment(run_every=POLL)
def show_training(race_id: str, step: int) -> None:
    """How far the nets are, until they are there; then the page is drawn."""
    use_language(st.session_state.language)  # a fragment runs by itself
    race = hub.find(race_id)
    if race is None or race.step >= step or race.state in ("diverged", "failed"):
        if race is not None and race.step < step:
            st.session_state["subject.step"] = race.step
        st.rerun()
    race.unwatched_since = time.monotonic()
    if race.state in ("paused", "ready"):
        hub.call(hub.prepare(race.config, step))
    show_steps(race.step, step)


@st.fragment(run_every=POLL)
def show_standing(race_id: str, stand: Stand) -> None:
    """How far the nets are on their way from the last state kept to the step that is asked for."""
    use_language(st.session_state.language)  # a fragment runs by itself
    if (race := hub.find(race_id)) is not None:
        race.unwatched_since = time.monotonic()
    if stand.state == "failed":
        st.error(_("Something went wrong on the server; it has been noted there. Reload the page. Races that run go on."))
        return
    if stand.state != "running":
        st.rerun()
    show_steps(stand.step - stand.total + stand.done, stand.step)


def show_steps(step: int, limit: int) -> None:
    st.progress(step / max(1, limit), text=_("Training the nets: step {step} of {limit}").format(step=step, limit=limit))
