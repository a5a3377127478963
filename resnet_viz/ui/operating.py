"""The instruments of the page of operations: which blocks, which nets, what is done to them; undo and redo."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from resnet_viz.records import N_, ConfigError, Operation, list_targets
from resnet_viz.text import _
from resnet_viz.ui.history import Done, History, get_history, set_history
from resnet_viz.ui.subject import Subject
from resnet_viz.ui.words import label_operations, sentence

PILLS = 40  # blocks; of more a list to search in is handier
SIMPLE = ("zero-w", "zero-wb", "zero-norm", "lesion", "cut-shortcut")
ICONS = {"zero-w": "exposure_zero", "zero-wb": "exposure_zero", "zero-norm": "exposure_zero", "lesion": "content_cut",
         "cut-shortcut": "link_off"}
BOTH = -1  # lanes
STATISTICS = ("stale", "recomputed")  # BatchNorm's running ones


def explain_operations() -> dict[str, str]:
    return {
        "zero-w": _("W[l+2] = 0. A bias b[l+2] stays: the block adds b."),
        "zero-wb": _("W[l+2] = 0 and b[l+2] = 0. With ReLU, an identity shortcut and no BatchNorm the block is then the "
                     "identity."),
        "zero-norm": _("γ = β = 0 of the BatchNorm behind W[l+2]: there zeroing W is not enough."),
        "lesion": _("Drop the block’s branch and keep its shortcut; in a plain net, and where the shortcut has been cut, "
                    "drop the whole block."),
        "cut-shortcut": _("Keep the branch and cut the shortcut. A plain net has none, nor has a block where it has been "
                          "cut."),
    }


def show_tools(subject: Subject) -> None:
    """Choose blocks and nets, and press what is to be done."""
    keep_choices(subject)
    blocks = max(subject.net(i).blocks for i in range(len(subject.states)))
    common = {"options": list(range(blocks)), "format_func": lambda k: str(k + 1), "key": "blocks"}
    if blocks <= PILLS:
        st.pills(_("Blocks"), selection_mode="multi", **common)
    else:
        st.multiselect(_("Blocks"), placeholder=_("Choose"), **common)
    lanes = dict(enumerate(subject.names)) | {BOTH: _("Both")}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.segmented_control(_("Nets"), [BOTH, *range(len(subject.names))], format_func=lanes.get, key="lane",
                             required=True)
        if any(state.lane.net.norm == "batch" for state in subject.states):
            kinds = {"stale": _("As they were"), "recomputed": _("Recomputed")}
            st.segmented_control(_("BatchNorm’s running statistics"), list(kinds), format_func=kinds.get,
                                 key="statistics", required=True)
    with st.container(horizontal=True):
        for kind in SIMPLE:
            st.button(label_operations()[kind], key=f"do.{kind}", icon=f":material/{ICONS[kind]}:",
                      help=explain_operations()[kind], disabled=not can_do(subject, kind), on_click=do_simple, args=(kind,))
        show_scale(subject)
        show_swap()
    show_undo()
    if "operations.error" in st.session_state:
        st.warning(st.session_state.pop("operations.error"), icon=":material/warning:")


def keep_choices(subject: Subject) -> None:
    """What is chosen survives a visit to another page, whose run drops the widgets' state."""
    state = st.session_state
    chosen = state.get("blocks", state.get("operations.blocks", [min(1, subject.net(0).blocks - 1)]))
    state["blocks"] = state["operations.blocks"] = [k for k in chosen if k < max(s.lane.net.blocks for s in subject.states)]
    for key, default in (("lane", BOTH), ("statistics", "stale")):
        state[key] = state[f"operations.{key}"] = state.get(key, state.get(f"operations.{key}", default))


def read_statistics(query: Mapping[str, str]) -> list[ConfigError]:
    """Whether a URL wants BatchNorm's statistics recomputed; what is wrong with it."""
    value = query.get("statistics", "stale")
    if value not in STATISTICS:
        return [ConfigError("statistics", value, N_("one of {allowed}"), allowed=tuple(STATISTICS))]
    st.session_state["operations.statistics"] = value
    return []


def write_statistics() -> dict[str, str]:
    chosen = st.session_state["operations.statistics"]
    return {"statistics": chosen} if chosen != "stale" else {}


def can_do(subject: Subject, kind: str) -> bool:
    """Whether blocks are chosen, to any of which in any net an operation of this kind applies."""
    return any(set(st.session_state["blocks"]) & set(list_targets(kind, state.lane.net)) for state in subject.states)


def do_simple(kind: str) -> None:
    do([Operation(kind, k) for k in sorted(st.session_state["blocks"])])


def do(operations: list[Operation]) -> None:
    """One click: the operations on the lanes that are chosen."""
    lane = None if st.session_state["lane"] == BOTH else st.session_state["lane"]
    try:
        set_history(get_history().do(tuple(Done(operation, lane) for operation in operations)))
    except ConfigError as error:
        st.session_state["operations.error"] = sentence(error)


def show_scale(subject: Subject) -> None:
    """Factors for W and b, or for γ and β."""
    norm = any(state.lane.net.norm == "batch" for state in subject.states)
    with st.popover(_("Scale…"), icon=":material/tune:", disabled=not st.session_state["blocks"]):
        st.slider(_("α for W[l+2]"), 0.0, 1.0, 0.5, 0.05, key="alpha")
        if not norm:
            st.slider(_("α for b[l+2]"), 0.0, 1.0, 0.5, 0.05, key="alpha_bias")
        st.button(label_operations()["scale"], key="do.scale", on_click=do_scale, args=("scale", "alpha", "alpha_bias"))
        if norm:
            st.slider(_("α for γ"), 0.0, 1.0, 0.5, 0.05, key="alpha_gamma")
            st.slider(_("α for β"), 0.0, 1.0, 0.5, 0.05, key="alpha_beta")
            st.button(label_operations()["scale-norm"], key="do.scale-norm", on_click=do_scale,
                      args=("scale-norm", "alpha_gamma", "alpha_beta"))


def do_scale(kind: str, first: str, second: str) -> None:
    alpha = st.session_state[first]
    bias = st.session_state.get(second, alpha)
    do([Operation(kind, k, alpha, None if bias == alpha else bias) for k in sorted(st.session_state["blocks"])])


def show_swap() -> None:
    """Two blocks of one shape change places."""
    chosen = sorted(st.session_state["blocks"])
    st.button(_("Swap the two"), key="do.swap", icon=":material/swap_horiz:", disabled=len(chosen) != 2,
              help=_("Exchange all weights of two blocks of the same shape. Choose two."), on_click=do_swap)


def do_swap() -> None:
    first, second = sorted(st.session_state["blocks"])
    do([Operation("swap", first, other=second)])


def show_undo() -> None:
    history = get_history()
    with st.container(horizontal=True):
        st.button(_("Undo"), key="undo", icon=":material/undo:", disabled=not history.clicks,
                  on_click=lambda: set_history(get_history().undo()))
        st.button(_("Redo"), key="redo", icon=":material/redo:", disabled=not history.undone,
                  on_click=lambda: set_history(get_history().redo()))
        st.button(_("Undo all"), key="undo_all", icon=":material/restart_alt:", disabled=not history.clicks,
                  on_click=lambda: set_history(History()))


def describe_done(done: Done, subject: Subject) -> str:
    """An operation in words, for the list of what has been done."""
    operation = done.operation
    words = label_operations()[operation.kind]
    if operation.kind in ("scale", "scale-norm"):
        words += f" × {operation.alpha:g}" + ("" if operation.alpha_bias is None else f", {operation.alpha_bias:g}")
    blocks = _("block {number}").format(number=" ↔ ".join(str(k + 1) for k in operation.blocks))
    if done.lane is None or done.lane >= len(subject.names):
        return _("{operation}, {blocks}").format(operation=words, blocks=blocks)
    return _("{operation}, {blocks} ({net})").format(operation=words, blocks=blocks, net=subject.names[done.lane])
