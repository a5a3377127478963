"""Whole nets under operations, systematically: each block alone, several at random, all shortcuts at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import streamlit as st

from resnet_viz.engine.hub import hub
from resnet_viz.engine.jobs import Call, Job
from resnet_viz.figures.operations import draw_cumulative, draw_each_block, draw_scores
from resnet_viz.records import (
    DATASETS,
    N_,
    ConfigError,
    NetConfig,
    Operation,
    check_operation,
    list_targets,
    parse_field,
)
from resnet_viz.text import _, join, percent_sign
from resnet_viz.ui.charts import show_chart
from resnet_viz.ui.progress import ask, follow_job
from resnet_viz.ui.subject import Subject
from resnet_viz.ui.words import label_operations, sentence

KINDS = ("lesion", "zero-wb", "zero-w", "zero-norm", "cut-shortcut")
PARTS = ("test_accuracy", "train_accuracy")
DEFAULTS = {"study": "lesion", "part": "test_accuracy", "draws": 5, "draw_seed": 0}
BOUNDS = {"draws": (1, 20), "draw_seed": (0, 10**6)}
PREFIX = "studies."


def read_studies(query: Mapping[str, str]) -> list[ConfigError]:
    """The choices of a URL; what is wrong with them."""
    errors = []
    for name, allowed in (("study", KINDS), ("part", PARTS)):
        if query.get(name, DEFAULTS[name]) in allowed:
            st.session_state[PREFIX + name] = query.get(name, DEFAULTS[name])
        else:
            errors.append(ConfigError(name, query[name], N_("one of {allowed}"), allowed=tuple(allowed)))
    for name, (low, high) in BOUNDS.items():
        value = parse_field("steps", query.get(name, str(DEFAULTS[name])))
        if isinstance(value, int) and low <= value <= high:
            st.session_state[PREFIX + name] = value
        else:
            errors.append(ConfigError(name, query[name], N_("a whole number from {low} to {high}"), low=low, high=high))
    return errors


def get_choice(name: str) -> str | int:
    return st.session_state.get(PREFIX + name, DEFAULTS[name])


def write_studies() -> dict[str, str]:
    return {name: str(get_choice(name)) for name in DEFAULTS if get_choice(name) != DEFAULTS[name]}


def keep(name: str, widget: Callable, *args, **kwargs) -> None:
    """A widget whose value survives a visit to another page, and is in the URL."""
    st.session_state[name] = get_choice(name)
    widget(*args, key=name, on_change=lambda: st.session_state.update({PREFIX + name: st.session_state[name]}), **kwargs)


def show_studies(subject: Subject) -> None:
    """The three studies, each started by its button."""
    kinds = [kind for kind in KINDS if any(list_targets(kind, state.lane.net) for state in subject.states)]
    if get_choice("study") not in kinds:
        st.session_state[PREFIX + "study"] = kinds[0]
    st.header(_("Each block alone, and several at random"), anchor=False)
    labels = label_operations()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        keep("study", st.selectbox, _("What is done to a block"), kinds, format_func=labels.get, width=260)
        keep("draws", st.number_input, _("Random draws"), *BOUNDS["draws"], width=160)
        keep("draw_seed", st.number_input, _("Seed of the draws"), *BOUNDS["draw_seed"], width=180)
    if any(anew for _name, _lane, anew in list_variants(subject)):
        st.caption(_("BatchNorm’s running statistics were taken from the whole net. “Recomputed”: from the training part, "
                     "after the operation."))
    left, right = st.columns(2, gap="large")
    with left:
        show_each_block(subject)
    with right:
        show_cumulative(subject)
    show_skip_toggle(subject)


def list_variants(subject: Subject) -> list[tuple[str, int, bool]]:
    """Name, lane, and whether BatchNorm's statistics are estimated anew: each net, then those with BatchNorm once more."""
    stale = [(name, i, False) for i, name in enumerate(subject.names)]
    return stale + [(_("{net}, recomputed").format(net=name), i, True) for name, i, _anew in stale
                    if subject.net(i).norm == "batch"]


def show_each_block(subject: Subject) -> None:
    """Accuracy after operating on one block alone, for every block. Veit et al. 2016 (1605.06431), fig. 3."""
    kind, variants = get_choice("study"), list_variants(subject)
    key = subject.key("each", kind)
    parts = {"test_accuracy": _("Held-out set"), "train_accuracy": _("Training set")}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if st.button(_("Each block alone"), key="each", icon=":material/bar_chart:"):
            calls = [Call("experiments.operations.measure_operation", subject.states[i], ((), anew))
                     for _name, i, anew in variants]
            calls += [Call("experiments.operations.measure_operation", subject.states[i], ((Operation(kind, k),), anew))
                      for _name, i, anew in variants for k in list_targets(kind, subject.net(i))]
            hub.call(hub.start(key, calls))
        keep("part", st.segmented_control, _("Accuracy"), PARTS, format_func=parts.get, required=True,
             label_visibility="collapsed")
    follow_job(key, "each", lambda job: show_bars(subject, job, kind, get_choice("part")))


def show_bars(subject: Subject, job: Job, kind: str, part: str) -> None:
    """As many bars as there are results."""
    names, lanes, _anew = zip(*list_variants(subject), strict=True)
    count, values, at = len(names), [], len(names)
    if any(result is None for result in job.results[:count]):
        return
    for lane in lanes:
        bars = np.full(subject.net(lane).blocks, np.nan)
        for k in list_targets(kind, subject.net(lane)):
            if job.results[at] is not None:
                bars[k] = job.results[at].after[part]
            at += 1
        values.append(bars)
    whole = [result.after[part] for result in job.results[:count]]
    words = [_("{net}: between {low} % and {high} %, as it was {whole} %.").format(
        net=name, low=f"{100 * np.nanmin(bars):.1f}", high=f"{100 * np.nanmax(bars):.1f}", whole=f"{100 * before:.1f}")
        for name, bars, before in zip(names, values, whole, strict=True) if np.isfinite(bars).any()]
    rows = [{"net": name, "block": k + 1, part: value, "as_it_was": before, "operation": kind}
            for name, bars, before in zip(names, values, whole, strict=True)
            for k, value in enumerate(bars.tolist())]
    show_chart(draw_each_block(names, values, whole, chance_of(subject)), "each-block", join(*words), rows)
    for name, state in zip(subject.names, subject.states, strict=True):
        show_missing(name, state.lane.net, kind)


def show_missing(name: str, net: NetConfig, kind: str) -> None:
    """Why some blocks have no bar."""
    missing = sorted(set(range(net.blocks)) - set(list_targets(kind, net)))
    if missing:
        try:
            check_operation(Operation(kind, missing[0]), net)
        except ConfigError as error:
            st.caption(_("{name}: {words}").format(name=name, words=sentence(error)))


def show_cumulative(subject: Subject) -> None:
    """Accuracy after operating on 0, 1, 2 … blocks in random order, in several draws. Veit et al. 2016, fig. 5a."""
    kind, draws, seed = get_choice("study"), get_choice("draws"), get_choice("draw_seed")
    key = subject.key("cumulative", kind, draws, seed)
    if st.button(_("Several blocks at random"), key="several", icon=":material/shuffle:"):
        hub.call(hub.start(key, [
            Call("experiments.operations.measure_cumulative", subject.states[i], (kind, 1, seed + draw, anew))
            for _name, i, anew in list_variants(subject) for draw in range(draws)]))
    follow_job(key, "several", lambda job: show_curves(subject, job, draws))


def show_curves(subject: Subject, job: Job, draws: int) -> None:
    """The draws that there are, of nets that have any."""
    names, curves = [], []
    for i, (name, _lane, _anew) in enumerate(list_variants(subject)):
        results = [result for result in job.results[i * draws : (i + 1) * draws] if result is not None]
        if results and len(results[0]) > 1:
            names.append(name)
            curves.append(np.concatenate(results, axis=1))
    if not curves:
        return
    half = [len(values) // 2 for values in curves]
    words = [_("{net}: {accuracy} % after {count} blocks, on average.").format(
        net=name, accuracy=f"{100 * values[k].mean():.1f}", count=k)
        for name, values, k in zip(names, curves, half, strict=True)]
    rows = [{"net": name, "blocks": k, "draw": draw, "test_accuracy": float(value)}
            for name, values in zip(names, curves, strict=True) for (k, draw), value in np.ndenumerate(values)]
    show_chart(draw_cumulative(names, curves, chance_of(subject)), "several-blocks", join(*words), rows)


def show_skip_toggle(subject: Subject) -> None:
    """Each net as it was trained, and with all its shortcuts switched, without training again."""
    st.header(_("Switch all skip connections of a trained net"), anchor=False)
    calls, bars = [], []
    for i, (name, state) in enumerate(zip(subject.names, subject.states, strict=True)):
        calls.append(Call("experiments.training.finish", state))
        bars.append((_("{net}, as trained").format(net=name), i))
        if state.lane.net.shortcut != "none":
            residual = state.lane.net.residual
            switched = state.lane.changed("skip", not residual)
            switched = switched if residual else switched.changed("cuts", ())
            calls.append(Call("experiments.training.finish", replace(state, lane=switched)))
            bars.append(((_("{net}, its shortcuts cut") if residual else _("{net}, shortcuts added")).format(net=name), i))
    ask([(subject.key("skips"), calls)], "skips", lambda job: draw_switched(subject, bars, job))
    st.caption(_("A net learns with or without shortcuts, and its weights fit only what it learned with: a plain net is "
                 "not a residual net whose shortcuts have been cut."))


def draw_switched(subject: Subject, bars: list[tuple[str, int]], job: Job) -> None:
    """A bar for each net as it was trained and switched."""
    results = job.results
    if None in results:
        return
    scores = {label: (i, result["test_accuracy"]) for (label, i), result in zip(bars, results, strict=True)}
    words = [_("{name}: {words}").format(name=label, words=f"{100 * value:.1f}{percent_sign()}")
             for label, (_lane, value) in scores.items()]
    rows = [{"net": label, **result} for (label, _lane), result in zip(bars, results, strict=True)]
    show_chart(draw_scores(scores, chance_of(subject)), "skips", _("; ").join(words), rows)


def chance_of(subject: Subject) -> float:
    return 1 / DATASETS[subject.config.dataset].classes
