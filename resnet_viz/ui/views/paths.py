"""Paths: a residual net unravelled. How many there are, how long, which carry gradient, what deleting a block leaves."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import streamlit as st

from resnet_viz.engine.jobs import Call, Job
from resnet_viz.figures.looks import COLOURS
from resnet_viz.figures.paths import count_left, count_lengths, draw_lengths, draw_norms, list_paths
from resnet_viz.records import N_, ConfigError, NetConfig, Operation, OperationResult, PathsResult, parse_field
from resnet_viz.text import SUPERSCRIPTS, _, join, write_number
from resnet_viz.ui.bar import show_share
from resnet_viz.ui.chance import show_chance
from resnet_viz.ui.charts import show_chart
from resnet_viz.ui.exporting import show_export, take_subject
from resnet_viz.ui.glossary import show_words
from resnet_viz.ui.progress import follow_job, start_job
from resnet_viz.ui.session import write_url
from resnet_viz.ui.subject import Subject, show_subject, take_preset
from resnet_viz.ui.unravelled import EXACT, show_unravelled
from resnet_viz.ui.words import sentence

MAX_DRAWN = 6  # blocks: 64 paths
FIRST = "few"  # nets that can be drawn
PREFIX = "paths."
DEFAULTS = {"samples": 20, "draw_seed": 0, "lane": 1, "path": 0, "delete": 0}
DRAWS = {"samples": (1, 100), "draw_seed": (0, 10**6)}


def show_page() -> None:
    """The whole page."""
    st.title(_("Paths"), anchor=False)
    st.markdown(_("At each block a signal takes the branch or the shortcut, so a residual net of n blocks is a bundle of "
                  "2ⁿ paths. A plain net is one. How long are they, and which of them carry gradient?"))
    subject = show_subject(FIRST, recomputes=True)
    read_url(subject)
    fit_choices(subject)
    for error in st.session_state[PREFIX + "errors"]:  # until something else is chosen
        st.error(sentence(error), icon=":material/link_off:")
    shared = write_url(subject.write_query() | write_own(), subject.race)
    show_chance(subject, _("Nothing is lost there by deleting a block, and its gradients are those of a net that has "
                           "learned nothing."), FIRST)
    show_paths(subject)
    show_lengths(subject)
    show_deletion(subject)
    show_limits()
    with st.container(horizontal=True):
        show_share(shared)
        show_export(lambda: take_subject(subject))
    show_words("held-out", "bit")
    show_lesson()


def read_url(subject: Subject) -> None:
    """On the page's first run in a session: the choices of the link, as far as these nets have them."""
    if PREFIX + "read" in st.session_state:
        return
    st.session_state[PREFIX + "read"], st.session_state[PREFIX + "errors"] = True, []
    for name, (low, high) in find_bounds(subject).items():
        text = st.query_params.get(name)
        value = None if text is None else parse_field("steps", text)
        if isinstance(value, int) and low <= value <= high:
            set_choice(name, value)
        elif text is not None:
            error = ConfigError(PREFIX + name, text, N_("a whole number from {low} to {high}"), low=low, high=high)
            st.session_state[PREFIX + "errors"].append(error)


def find_bounds(subject: Subject) -> dict[str, tuple[int, int]]:
    """What each choice may be: the draws; and counted from 0 the net, the path that is lit, the block to delete."""
    residual = list_residual(subject) or [0]
    paths = count_drawn(subject.net(residual[-1]))
    return DRAWS | {"lane": (residual[0], residual[-1]), "path": (0, paths - 1), "delete": (0, count_common(subject) - 1)}


def fit_choices(subject: Subject) -> None:
    """Other nets may not have the block or path that was chosen."""
    for name, (low, high) in find_bounds(subject).items():
        set_choice(name, min(max(get_choice(name), low), high))
    set_choice("path", min(get_choice("path"), count_drawn(subject.net(get_choice("lane"))) - 1))


def count_drawn(net: NetConfig) -> int:
    """The paths that are drawn one by one, where they are few enough."""
    return 2 ** min(MAX_DRAWN, sum(net.skips))


def list_residual(subject: Subject) -> list[int]:
    """The lanes that have shortcuts."""
    return [i for i, state in enumerate(subject.states) if state.lane.net.residual]


def count_common(subject: Subject) -> int:
    """Blocks that all the nets have."""
    return min(state.lane.net.blocks for state in subject.states)


def get_choice(name: str) -> int:
    return st.session_state.get(PREFIX + name, DEFAULTS[name])


def set_choice(name: str, value: int) -> None:
    st.session_state[PREFIX + name] = value


def choose(name: str, value: int) -> None:
    """What the reader chose."""
    set_choice(name, value)
    st.session_state[PREFIX + "errors"] = []


def write_own() -> dict[str, str]:
    """This page's parameters of the URL."""
    return {name: str(get_choice(name)) for name in DEFAULTS if get_choice(name) != DEFAULTS[name]}


def keep(name: str, widget: Callable, *args, offset: int = 0, **kwargs) -> None:
    """A widget whose value survives a visit to another page; it shows the choice plus `offset`."""
    key = f"widget.{name}"
    st.session_state[key] = get_choice(name) + offset
    widget(*args, key=key, on_change=lambda: choose(name, st.session_state[key] - offset), **kwargs)


def write_all(blocks: int) -> str:
    """2ⁿ, and the number itself where it can be read."""
    power = "2" + str(blocks).translate(SUPERSCRIPTS)
    return f"{power} = {2**blocks:,}" if blocks <= 20 else power


# ---------------------------------------------------------------------------------------------------- one by one


def show_paths(subject: Subject) -> None:
    """One of the nets unravelled, if it has few blocks, and its paths one after the other."""
    st.header(_("One path after another"), anchor=False)
    residual = list_residual(subject)
    if not residual:
        st.info(_("Neither net has shortcuts: each is one single path, through all its branches."))
        return
    if len(residual) > 1:
        keep("lane", st.segmented_control, _("Net"), residual, format_func=subject.names.__getitem__, required=True)
    lane = get_choice("lane")
    net = subject.net(lane)
    blocks = net.blocks
    if blocks > MAX_DRAWN:
        st.info(_("{net} has {blocks} blocks and {count} paths, too many to draw. Paths are drawn for up to {limit} "
                  "blocks, that is nets of up to {layers} layers.").format(
            net=subject.names[lane], blocks=blocks, count=write_all(sum(net.skips)), limit=MAX_DRAWN,
            layers=2 * MAX_DRAWN + 2))
        st.button(_("Take nets with few blocks"), key="few", on_click=take_preset, args=(FIRST,),
                  icon=":material/account_tree:")
        return
    takes, key = list_paths(net.skips), subject.key("each path", lane)
    start_job(key, [Call("experiments.why.measure_each_path", subject.states[lane], (takes,))], "unravelled")
    follow_job(key, "unravelled", lambda job: show_unravelled(
        takes, job.results[0], get_choice("path"), COLOURS[lane], str(hash(key)),
        lambda path: choose("path", path)) if job.results[0] else None)


# ---------------------------------------------------------------------------------------------------- lengths


def show_lengths(subject: Subject) -> None:
    """How many paths there are of each length, and how much gradient comes along them."""
    st.header(_("How long the paths are, and which carry gradient"), anchor=False)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        keep("samples", st.number_input, _("Paths drawn per length"), *DRAWS["samples"], width=200,
             help=_("Where there are no more paths of a length than that, all of them are measured."))
        keep("draw_seed", st.number_input, _("Seed of the draws"), *DRAWS["draw_seed"], width=180)
    arguments = (get_choice("samples"), get_choice("draw_seed"))
    key = subject.key("paths", *arguments)
    start_job(key, [Call("experiments.why.measure_paths", state, arguments) for state in subject.states], "paths")
    follow_job(key, "paths", lambda job: show_results(subject, job))


def show_results(subject: Subject, job: Job) -> None:
    """The charts, as far as there are results."""
    lengths = [count_lengths(state.lane.net.blocks, sum(state.lane.net.skips)) for state in subject.states]
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown(_("**How many paths**"))
        rows = [{"net": name, "length": k, "paths": count} for name, counts in zip(subject.names, lengths, strict=True)
                for k, count in enumerate(counts.tolist())]
        words = [tell_lengths(name, counts) for name, counts in zip(subject.names, lengths, strict=True)]
        show_chart(draw_lengths(subject.names, lengths), "lengths", join(*words), rows)
    if not any(job.results):
        return
    with right:
        st.markdown(_("**Gradient along one path**"))
        show_norms(subject, job.results, False)
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown(_("**… times the number of such paths**"))
        show_norms(subject, job.results, True)
    with right:
        show_table(subject, job.results)


def tell_lengths(name: str, counts: np.ndarray) -> str:
    shortest, longest = np.flatnonzero(counts)[[0, -1]].tolist()
    if counts.sum() == 1:
        return _("{net}: one path, {length} branches long.").format(net=name, length=longest)
    return _("{net}: {count} paths of lengths {shortest} to {length}, {mean} on average.").format(
        net=name, count=write_number(counts.sum(), 6), shortest=shortest, length=longest,
        mean=f"{(shortest + longest) / 2:g}")


def show_norms(subject: Subject, results: list[PathsResult | None], together: bool) -> None:
    name = "gradient_norm_by_length" if together else "path_norm"
    rows, words = [], []
    for net, result in zip(subject.names, results, strict=True):
        if result is None:
            continue
        norms = getattr(result, name)
        rows += [{"net": net, "length": k, "paths": count, name: norm}
                 for k, (count, norm) in enumerate(zip(result.lengths.tolist(), norms.tolist(), strict=True)) if count]
        words.append(_("{net}: largest at length {length}, {norm}; at length {last} it is {end}.").format(
            net=net, length=int(norms.argmax()), norm=write_number(norms.max()), last=len(norms) - 1,
            end=write_number(norms[-1])))
    show_chart(draw_norms(subject.names, results, together), "together" if together else "alone", join(*words), rows)


def show_table(subject: Subject, results: list[PathsResult | None]) -> None:
    """The numbers beside the charts, and what they are not."""
    found = [(name, result) for name, result in zip(subject.names, results, strict=True) if result is not None]
    rows = [[_("Net"), *(name for name, _result in found)],
            [_("Paths"), *(write_count(result) for _name, result in found)],
            [_("Mean length"), *(f"{write_mean(result):g}" for _name, result in found)],
            [_("Effective length"), *(write_cell(result.effective_length, "**{:.2f}**".format) for _name, result in found)],
            [_("Error of the sum"), *(write_cell(result.sum_error, write_number) for _name, result in found)]]
    lines = [" | ".join(row) for row in rows]
    lines.insert(1, "|".join([":--", *["--:"] * len(found)]))
    st.markdown("\n".join(f"| {line} |" for line in lines))
    exact = [result.sum_error < EXACT for _name, result in found if result.sum_error is not None]
    if exact and all(exact):
        st.markdown(_("The sum of all path vectors **is** the gradient: the relative error is that of rounding."))
    elif exact:
        st.markdown(_("The sum of all path vectors misses the gradient by more than rounding: do not trust these numbers."))
    else:
        st.markdown(_("The vectors of all paths are added up only for nets of 8 blocks or fewer."))
    st.markdown(_("**Norms do not add up**: vectors partly cancel, so these are not parts of a whole."))
    st.caption(_("Effective length: the mean length, each length weighted by norm times number. Measured as Veit et al. "
                 "(2016) did: forwards the whole net, backwards one path at a time; at a[1], on 16 held-out examples, in "
                 "evaluation mode, with BatchNorm’s statistics recomputed on the training part. Every path passes the g "
                 "behind each sum, with the whole net’s active units."))


def write_count(result: PathsResult) -> str:
    shortcuts = np.count_nonzero(result.lengths) - 1
    return write_all(shortcuts) if shortcuts else "1"


def write_mean(result: PathsResult) -> float:
    """The mean length of all paths, whatever gradient comes along them."""
    return float((np.arange(len(result.lengths)) * result.lengths).sum() / result.lengths.sum())


def write_cell(value: float | None, write: Callable[[float], str]) -> str:
    return "–" if value is None or not np.isfinite(value) else write(value)


# ---------------------------------------------------------------------------------------------------- deletion


def show_deletion(subject: Subject) -> None:
    """What deleting one block does to the paths of each net, and to its accuracy."""
    st.header(_("Delete a block"), anchor=False)
    keep("delete", st.number_input, _("Block to delete"), 1, count_common(subject), offset=1, width=200)
    k = get_choice("delete")
    nets = [subject.net(i) for i in range(len(subject.states))]
    before = [count_lengths(net.blocks, sum(net.skips)) for net in nets]
    left = [count_left(net.skips, k) for net in nets]
    words = [tell_deletion(name, net.skips, k) for name, net in zip(subject.names, nets, strict=True)]
    rows = [{"net": name, "length": length, "before": b, "left": a}
            for name, bs, as_ in zip(subject.names, before, left, strict=True)
            for length, (b, a) in enumerate(zip(bs.tolist(), as_.tolist(), strict=True))]
    chart, text = st.columns(2, gap="large")
    with chart:
        show_chart(draw_lengths(subject.names, before, left), "deleted", join(*words), rows)
    with text:
        for i, line in enumerate(words):
            show_cost(subject, i, k, line)
        st.caption(_("Residual net: the block’s branch is dropped, its shortcut stays. Plain net: the whole block is "
                     "dropped and its neighbours are joined; that is a path which was not there before. What the other "
                     "blocks are fed changes too, so the gradient that is left is not just the sum over the paths that "
                     "are left."))


def tell_deletion(name: str, skips: Sequence[bool], k: int) -> str:
    shortcuts = sum(skips)
    if not shortcuts:
        return _("**{net}**: 1 path → 0. Its only path led through this block.").format(net=name)
    if not skips[k]:
        return _("**{net}**: {before} paths → 0. The shortcut of this block is cut, so all of them led through it.").format(
            net=name, before=write_all(shortcuts))
    return _("**{net}**: {before} paths → {after}. The half that took this block’s branch is gone.").format(
        net=name, before=write_all(shortcuts), after=write_all(shortcuts - 1))


def show_cost(subject: Subject, lane: int, k: int, line: str) -> None:
    """What is said of the deletion; and held-out accuracy with and without the block, or why it cannot be dropped."""
    arguments = ((Operation("lesion", k),), False)
    key = subject.key("operate", lane, *arguments)
    start_job(key, [Call("experiments.operations.measure_operation", subject.states[lane], arguments)], f"cost.{lane}")
    follow_job(key, f"cost.{lane}", lambda job: st.markdown(join(line, *map(tell_cost, filter(None, job.results)))))


def tell_cost(result: OperationResult) -> str:
    before, after = (100 * when["test_accuracy"] for when in (result.before, result.after))
    return _("Held-out accuracy: {before} % → {after} %.").format(before=f"{before:.1f}", after=f"{after:.1f}")


def show_limits() -> None:
    st.header(_("What this does not show"), anchor=False)
    st.markdown(_("The 2ⁿ paths are **not 2ⁿ independent networks**: they share their weights, and each unit is active or "
                  "not for all of them at once."))
    st.markdown(_("That a residual net behaves like an *ensemble* of short paths (Veit et al. 2016) is one explanation. "
                  "Others compete with it: blocks *refine* one representation step by step (Greff et al. 2017), gradients "
                  "do not *shatter* (Balduzzi et al. 2017), the *loss landscape* is smoother (Li et al. 2018). None has "
                  "been shown to be the only one."))


def show_lesson() -> None:
    with st.expander(_("What am I looking at?"), icon=":material/school:"):
        st.markdown(_("Leaving g aside, a[3] = a[1] + F₁(a[1]) and a[5] = a[3] + F₂(a[3]): the gradient of the loss is a "
                      "sum with one term for each choice of “branch or shortcut” at each block."))
        st.markdown(_("**What to look for.** Most paths are about half as long as the net. Where the norm falls with each "
                      "branch on the way, the effective length is below the mean length, and far below it in deep nets. "
                      "Veit et al. found 5 to 17 in a net of 54 blocks."))
        st.markdown(_("Compare step 0 with step 600 of the dense nets of 12 layers: before training the path along the "
                      "shortcuts alone is already about half of the gradient, after it next to nothing, and longer paths "
                      "carry it. Other nets go the other way: with SGD, training moves the gradient of 32 layers to "
                      "shorter paths."))
        st.markdown(_("**What not to conclude.** A small norm is not a path without use: training has shaped all of them "
                      "together, and path vectors can add up or cancel."))
