"""Weight decay: the same net at several λ, with shortcuts and without. Where does it drive W[l+2]?"""

from __future__ import annotations

import streamlit as st

from resnet_viz.records import N_, ConfigError, RaceConfig
from resnet_viz.text import _, write_number
from resnet_viz.ui.bar import show_bar
from resnet_viz.ui.board import Look, show_board
from resnet_viz.ui.controls import read_widgets, show_groups, write_widgets
from resnet_viz.ui.glossary import show_words
from resnet_viz.ui.questions import (
    DECAY_BASE,
    KINDS,
    LAMBDAS,
    is_decay_race,
    make_decay_race,
    read_decay_race,
    read_lambdas,
)
from resnet_viz.ui.removal import show_removal
from resnet_viz.ui.session import follow_config, open_race, seen_revision, write_from_race, write_url
from resnet_viz.ui.settings import read_query, write_query, write_value
from resnet_viz.ui.words import sentence

PAGE = "decay"
CHARTS = ("weight_norm", "held_out", "branch_ratio", "direction")


def show_page() -> None:
    """The whole page."""
    race = open_race(PAGE, read_url, is_decay_race)
    write_from_race(PAGE, race, "lambdas", lambda: write_choices(race.config))
    st.title(_("Weight decay"), anchor=False)
    st.markdown(_("Weight decay pulls every W to 0. In a block with an identity shortcut that means: towards the identity. "
                  "In a plain one: towards 0 for every input. The same initial weights, the same batches, at several λ."))
    with st.sidebar:
        show_decay()
        show_groups("weight_decay")
    for error in st.session_state.pop("decay.complaints", ()):
        st.error(sentence(error), icon=":material/link_off:")
    bar = st.container()
    try:
        follow_config(PAGE, race, make_decay_race(read_widgets(DECAY_BASE), read_lambdas(st.session_state["lambdas"]),
                                                  st.session_state["kind"]))
    except ConfigError as error:
        st.error(sentence(error), icon=":material/error:")
    settings, lambdas, kind = read_decay_race(race.config)
    own = {"lambdas": write_lambdas(lambdas), "kind": kind}
    defaults = {"lambdas": write_lambdas(LAMBDAS), "kind": "both"}
    shared = write_url(write_query(settings, DECAY_BASE) | {name: own[name] for name in own if own[name] != defaults[name]},
                       race)
    names = name_lanes(race.config)
    with bar:
        show_bar(race, shared, lambda: name_lanes(race.config))
    looks = [Look(name, i % len(lambdas), not lane.net.residual)
             for i, (name, lane) in enumerate(zip(names, race.config.lanes, strict=True))]
    show_board("decay.board", race, seen_revision(PAGE), looks, CHARTS, chains=False)
    show_words("lane", "held-out", "W_s", "r", "cosine")
    show_removal(race, names)
    show_lesson()


def write_choices(config: RaceConfig) -> None:
    """Set the widgets to what a race is."""
    settings, lambdas, kind = read_decay_race(config)
    write_widgets(settings)
    st.session_state["lambdas"], st.session_state["kind"] = write_lambdas(lambdas), kind


def read_url() -> RaceConfig:
    """The race that the URL describes; what is wrong with it is told on the page."""
    query = st.query_params.to_dict()
    settings, errors = read_query(query, DECAY_BASE)
    lambdas, kind = LAMBDAS, query.get("kind", "both")
    try:
        lambdas = read_lambdas(query.get("lambdas", write_lambdas(LAMBDAS)))
    except ConfigError as error:
        errors.append(error)
    if kind not in KINDS:
        errors.append(ConfigError("kind", kind, N_("one of {allowed}"), allowed=tuple(KINDS)))
        kind = "both"
    st.session_state["decay.complaints"] = errors
    return make_decay_race(settings, lambdas, kind)


def write_lambdas(lambdas: tuple[float, ...]) -> str:
    return ", ".join(write_value(value) for value in lambdas)


def label_kinds() -> dict[str, str]:
    return {"both": _("Both"), "residual": _("Residual net"), "plain": _("Plain net")}


def name_lanes(config: RaceConfig) -> list[str]:
    """Each lane by its net and its λ."""
    names = label_kinds()
    return [f"{names['residual' if lane.net.residual else 'plain']} · λ = {write_number(lane.train.weight_decay, 6)}"
            for lane in config.lanes]


def show_decay() -> None:
    """What the lanes differ in."""
    st.text_input(_("Values of λ"), key="lambdas", max_chars=60,
                  help=_("One to four, with commas between. Each gets a net of its own, from the same initial weights."))
    kinds = label_kinds()
    st.segmented_control(_("Nets"), list(kinds), format_func=kinds.get, key="kind", required=True)


def show_lesson() -> None:
    with st.expander(_("What am I looking at?"), icon=":material/school:"):
        st.markdown(_("If weight decay drives W[l+2] and b[l+2] to 0, a block with an identity shortcut is left with "
                      "a[l+2] = g(a[l]), which is a[l] with ReLU: the identity. A plain block is left with "
                      "a[l+2] = g(0) = 0, and nothing gets through. Nor through a block with W_s, which decays as well: "
                      "with W_s everywhere a residual net goes the way of the plain one."))
        st.markdown(_("**What to look for.** With identity shortcuts and without BatchNorm: the larger λ, the smaller "
                      "‖W[l+2]‖ and r, and the nearer to 1 the cosine of a block’s input and output. The residual net’s "
                      "accuracy hardly falls; the plain net’s falls to chance where λ wins."))
        st.markdown(_("**What not to conclude.** The identity is approached and never reached, as long as the block is of "
                      "use: the loss’s gradient pulls back. So trained blocks cannot simply be deleted; see below what "
                      "removing one costs. With BatchNorm the output does not depend on the size of W[l+2], and r "
                      "hardly falls; only decaying γ makes the branch small. Training does depend on it: a step of the "
                      "same length turns a smaller W[l+2] further."))
