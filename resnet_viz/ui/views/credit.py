"""Credit: how much of a decision came through each block's shortcut and branch, and from which places of the input."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Hashable

import numpy as np
import streamlit as st

from resnet_viz.engine.hub import hub
from resnet_viz.engine.jobs import Call, Job
from resnet_viz.figures.block import draw_input
from resnet_viz.figures.credit import (
    draw_credit,
    draw_maps,
    draw_points,
    find_disagreements,
    find_reach,
    is_noise,
    list_credits,
    list_maps,
    measure_gap,
)
from resnet_viz.records import (
    CREDIT_METHODS,
    DATASETS,
    MAX_CREDIT_STEPS,
    AblationResult,
    BlockView,
    ConfigError,
    CreditResult,
)
from resnet_viz.text import _, sentence
from resnet_viz.ui.bar import show_share
from resnet_viz.ui.brought import show_brought
from resnet_viz.ui.canvas import BLANK, show_canvas, take_drawing
from resnet_viz.ui.charts import show_chart
from resnet_viz.ui.crediting import (
    ALL,
    ASKED,
    ERRORS,
    KEY,
    MAX_WINDOW,
    NONE,
    ONE,
    STAGES,
    change,
    choose,
    fit_crediting,
    get_asked,
    join_ablations,
    join_credits,
    label_maps,
    label_methods,
    list_samples,
    on_widget,
    read_crediting,
    set_widget,
    write_crediting,
)
from resnet_viz.ui.progress import follow_job
from resnet_viz.ui.session import write_url
from resnet_viz.ui.subject import Subject, show_subject

DRAWN = "credit.drawn"  # the last drawing, kept while a held-out example is looked at
POINTS = 300  # of the data, around the one that is fed
WAIT_SECONDS = 0.8  # for a quick measurement, before its progress is shown
MAX_ERROR = 0.05  # of completeness: above it a reader is told


def show_page() -> None:
    """The whole page."""
    st.title(_("Credit"), anchor=False)
    st.markdown(_("How much of a decision came through a block’s shortcut, and how much through its branch? And from "
                  "which places of the input?"))
    if ASKED not in st.session_state:
        st.session_state[ASKED], st.session_state[ERRORS] = read_crediting(st.query_params.to_dict())
    subject = show_subject()
    asked, errors = fit_crediting(get_asked(), subject.config.dataset)
    st.session_state[ASKED], st.session_state[ERRORS] = asked, [*st.session_state[ERRORS], *errors]
    for error in st.session_state[ERRORS]:
        st.error(sentence(error), icon=":material/link_off:")
    shared = write_url(subject.write_query() | write_crediting(get_asked()), subject.race)
    views = show_input(subject)
    show_blocks(subject)
    if views:
        show_map(subject, views[0])
    show_share(shared)
    show_brought()
    show_lesson()


def measure_soon(key: Hashable, calls: list[Call]) -> Job:
    """A job that is mostly done within a moment; one that was cancelled is not started again by itself."""
    job = hub.jobs.get(key) or hub.call(hub.start(key, calls))
    deadline = time.monotonic() + WAIT_SECONDS
    while job.state == "running" and time.monotonic() < deadline:
        time.sleep(0.01)
    return job


# ---------------------------------------------------------------------------------------------------- the input


def show_input(subject: Subject) -> list[BlockView]:
    """Which example, what the nets say to it, and which class is asked about."""
    asked, dataset = get_asked(), subject.config.dataset
    st.header(_("Input"), anchor=False)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if dataset == "digits":
            kinds = {"data": _("Held-out digit"), "drawn": _("Draw a digit")}
            st.segmented_control(_("Input"), list(kinds), format_func=kinds.get, required=True, on_change=on_kind,
                                 key=set_widget("kind", "data" if asked.pixels is None else "drawn"))
        if asked.pixels is None:
            count = DATASETS[dataset].test
            st.number_input(_("Example, 1 to {count}").format(count=count), 1, count, step=1, width=200,
                            key=set_widget("index", asked.index + 1), on_change=on_widget, args=("index", 1))
        classes = {NONE: _("Each net’s own answer")} | {k: str(k) for k in range(DATASETS[dataset].classes)}
        choose(st.selectbox, _("Credit for the class"), "target", classes, width=240,
               help=_("Whose logit is divided up. A net’s own answer is found for each example anew."))
    key = subject.key("answers", asked.source)
    job = measure_soon(key, [Call("open_block", state, (0, (), asked.source)) for state in subject.states])
    views = [view for view in job.results if view is not None]
    with st.container(horizontal=True, vertical_alignment="center"):
        if asked.pixels is not None:
            with st.container(width=240):
                show_canvas(KEY + "canvas", asked.pixels, on_drawn)
        if views:
            with st.container(width=200 if dataset == "digits" else 320):
                show_picture(views[0], dataset)
        if len(views) == len(subject.names):
            with st.container(width="stretch"):
                show_answers(subject, views)
    if job.state != "done":
        follow_job(key, KEY + "answers", lambda job: None)
    return views


def show_picture(view: BlockView, dataset: str) -> None:
    figure = draw_input(view, None if dataset == "digits" else hub.call(hub.take_examples(dataset, POINTS)))
    alt = _("The input: 8×8 numbers from 0 to 16.") if dataset == "digits" else _("The input: a point at {x}, {y}.").format(
        x=f"{view.picture.flat[0]:.2f}", y=f"{view.picture.flat[1]:.2f}")
    st.plotly_chart(figure, key=KEY + "picture", alt=alt, config={"displayModeBar": False, "staticPlot": True})


def show_answers(subject: Subject, views: list[BlockView]) -> None:
    lines = [] if views[0].label is None else [_("Label: **{label}**").format(label=views[0].label)]
    for name, view in zip(subject.names, views, strict=True):
        best = int(view.probabilities.argmax())
        lines.append(_("{name} says **{label}**, with {share} %").format(
            name=name, label=best, share=f"{100 * view.probabilities[best]:.1f}"))
    st.markdown("\n".join(f"- {line}" for line in lines))


def on_kind() -> None:
    drawn = st.session_state[KEY + "kind"] == "drawn"
    change(pixels=st.session_state.get(DRAWN, BLANK) if drawn else None)


def on_drawn() -> None:
    """The browser sends anything; what is no digit's numbers is told, and the drawing stays as it was."""
    try:
        st.session_state[DRAWN] = take_drawing(KEY + "canvas")
        change(pixels=st.session_state[DRAWN])
    except ConfigError as error:
        st.session_state[ERRORS] = [error]


# ---------------------------------------------------------------------------------------------------- the blocks


def show_blocks(subject: Subject) -> None:
    """Shortcut or branch, block by block, beside what the block is really worth."""
    st.header(_("Shortcut or branch, block by block"), anchor=False)
    show_questions(subject)
    asked = get_asked()
    samples = list_samples(asked, subject.config.dataset)
    options = (asked.baseline, asked.target, asked.credit_steps)
    key = subject.key("credit", tuple(samples), *options)
    calls = [make_call(what, state, sample, options) for what, state, sample in list_plan(subject, samples)]
    job = hub.jobs.get(key)
    if asked.samples == ONE:
        job = measure_soon(key, calls)
    if job is None or job.state in ("cancelled", "failed"):
        st.button(_("Measure"), key=KEY + "measure", icon=":material/play_arrow:", type="primary",
                  on_click=lambda: hub.call(hub.start(key, calls)))
    follow_job(key, KEY + "credit", lambda job: show_credits(subject, job, len(samples)))


def list_plan(subject: Subject, samples: list) -> list[tuple]:
    """What is measured of which net on which examples, in this order."""
    return list(itertools.product(("ablation", *CREDIT_METHODS), subject.states, samples))


def make_call(what: str, state: object, sample: object, options: tuple) -> Call:
    baseline, target, steps = options
    if what == "ablation":
        return Call("measure_ablation", state, (sample, target))
    return Call("measure_credit", state, (what, baseline, sample, target, steps))


def show_questions(subject: Subject) -> None:
    """Over which examples, by which method, against which baseline."""
    asked, data = get_asked(), DATASETS[subject.config.dataset]
    kinds = {ONE: _("This example"), "class": _("A class"), ALL: _("The whole held-out set")}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        kind = asked.samples.partition(":")[0]
        st.segmented_control(_("Averaged over"), list(kinds), format_func=kinds.get, required=True, on_change=on_samples,
                             key=set_widget("over", kind))
        if kind == "class":
            st.selectbox(_("Class"), range(data.classes), key=set_widget("class", int(asked.samples[6:])), width=120,
                         on_change=lambda: change(samples=f"class:{st.session_state[KEY + 'class']}"))
        choose(st.selectbox, _("Method of the bars"), "method", label_methods(), width=220,
               help=_("Conductance is the main split. DeepLift needs no steps and adds up exactly. Integrated gradients "
                      "here treat both tensors together. The other two are drawn as marks."))
        bases = {"zero": _("Empty picture") if data.is_picture else _("The origin"), "mean": _("Mean of the training set"),
                 "example": _("An example")}
        st.selectbox(_("Baseline"), list(bases), format_func=bases.get, on_change=on_baseline, width=220,
                     key=set_widget("base", asked.baseline if isinstance(asked.baseline, str) else "example"),
                     help=_("Credits divide up logit(x) − logit(baseline). Another baseline is another question."))
        if isinstance(asked.baseline, int):
            st.number_input(_("Held-out example"), 1, data.test, step=1, on_change=on_widget, args=("baseline", 1),
                            key=set_widget("baseline", asked.baseline + 1), width=150)
        st.number_input(_("Steps"), 1, MAX_CREDIT_STEPS, step=10, on_change=on_widget, args=("credit_steps",), width=140,
                        key=set_widget("credit_steps", asked.credit_steps),
                        help=_("From the baseline to x. More steps make the completeness error smaller. DeepLift knows "
                               "none."))


def on_samples() -> None:
    kind = st.session_state[KEY + "over"]
    change(samples="class:0" if kind == "class" else kind)


def on_baseline() -> None:
    base = st.session_state[KEY + "base"]
    change(baseline=0 if base == "example" else base)


def show_credits(subject: Subject, job: Job, groups: int) -> None:
    """What there is of the results: the bars as soon as the chosen method has been measured for every net."""
    lanes, parts = len(subject.states), {}
    for at, what in enumerate(("ablation", *CREDIT_METHODS)):
        for i in range(lanes):
            start = (at * lanes + i) * groups
            parts[what, i] = job.results[start : start + groups]
    found = {where: results for where, results in parts.items() if all(part is not None for part in results)}
    method = get_asked().method
    if any((method, i) not in found or ("ablation", i) not in found for i in range(lanes)):
        return
    results = [{what: join_credits(found[what, i]) for what in (method, *CREDIT_METHODS) if (what, i) in found}
               for i in range(lanes)]
    counts = [part.samples for part in found[method, 0]]
    ablations = [join_ablations(found["ablation", i], counts) for i in range(lanes)]
    reach = find_reach([result for by_method in results for result in by_method.values()])
    for i, column in enumerate(st.columns(lanes, gap="medium") if lanes <= 2 else [st.container()] * lanes):
        with column:
            show_net(subject, i, results[i], ablations[i], reach)
    count = _("One example.") if sum(counts) == 1 else _("The mean of {count} examples.").format(count=sum(counts))
    st.caption(count + " " + _("Credits are signed: a negative one spoke against the class. In each block the "
                 "bars add up to the same change of the logit; they must not be added across blocks, where the same "
                 "credit is met again and again. Below: what is lost when the branch alone is dropped (in a plain net: "
                 "the block)."))
    show_completeness(subject, results)


def show_net(subject: Subject, i: int, results: dict[str, CreditResult], ablation: AblationResult,
             reach: tuple[float, float]) -> None:
    """One net's chart, and what it says."""
    method, words = get_asked().method, label_methods()
    result, name = results[method], subject.names[i]
    st.markdown(f"**{name}**")
    opinions = {words[other]: results[other] for other in results if other != method}
    plain = bool(np.isnan(result.shortcut).all())
    lost = ablation.logit[np.isfinite(ablation.logit)].tolist() or [math.nan]
    alt = _("{net}, {method}: the logit changes by {change}; credits of branches from {low} to {high}; without a block’s "
            "branch the logit loses {least} to {most}.").format(
        net=name, method=words[method], change=f"{result.output_change:.2f}", low=f"{result.branch.min():.2f}",
        high=f"{result.branch.max():.2f}", least=f"{min(lost):.2f}", most=f"{max(lost):.2f}")
    show_chart(draw_credit(result, opinions, reach, ablation), f"credit-{i}", alt,
               list_credits([name], [results], [ablation]))
    for line in tell_plain(result, ablation) if plain else tell_residual(result, ablation):
        st.markdown("- " + line)


def tell_residual(result: CreditResult, ablation: AblationResult) -> list[str]:
    """Which side has more, and where credit and ablation disagree."""
    blocks = len(result.branch)
    lines = [_("The shortcut has more credit than the branch in {count} of {blocks} blocks.").format(
        count=int((result.shortcut > result.branch).sum()), blocks=blocks)]
    opposite, moved = find_disagreements(result.branch, ablation.logit)
    if opposite:
        lines.append(_("Credit and ablation have **opposite signs** in block {number}: what the branch is credited with "
                       "is not what the net loses without it.").format(number=", ".join(str(k + 1) for k in opposite)))
    if moved:
        lines.append(_("They disagree most about block **{number}**: number {first} of the branches by credit, number "
                       "{second} by ablation.").format(number=moved[0] + 1, first=moved[1], second=moved[2]))
    if not opposite and not moved:
        lines.append(_("Credit and ablation put the branches in the same order here, and agree on every sign."))
    return lines


def tell_plain(result: CreditResult, ablation: AblationResult) -> list[str]:
    """In a plain net nothing goes past a block."""
    lines = [_("Everything goes through every block, so each block’s credit is the whole change of the logit, "
               "{change}: credit cannot tell these blocks apart.").format(change=f"{result.output_change:.2f}")]
    if np.isfinite(ablation.logit).sum() > 1:
        lines.append(_("Ablation can: without block {worst} the logit loses {most}; without block {best}, only {least}.").format(
            worst=int(np.nanargmax(ablation.logit)) + 1, most=f"{np.nanmax(ablation.logit):.2f}",
            best=int(np.nanargmin(ablation.logit)) + 1, least=f"{np.nanmin(ablation.logit):.2f}"))
    if np.isnan(ablation.logit).any():
        lines.append(_("Without a bar: blocks that change dimensions. A plain net cannot do without them."))
    return lines


def show_completeness(subject: Subject, results: list[dict[str, CreditResult]]) -> None:
    """How far each method's bars are from adding up, per net."""
    st.header(_("Do the bars add up?"), anchor=False)
    lines, noisy, large = [], [], False
    words = label_methods()
    for name, by_method in zip(subject.names, results, strict=True):
        for method in (m for m in CREDIT_METHODS if m in by_method):
            result = by_method[method]
            error = float(result.completeness_error.max())
            shown = f"{100 * error:.2g} %" if np.isfinite(error) else "–"
            lines.append(f"| {name} | {words[method]} | {result.output_change:.3f} | {measure_gap(result):.2g} | {shown} |")
            noisy += [name] if is_noise(result) and name not in noisy else []
            large |= error > MAX_ERROR and not is_noise(result)
    heads = [_("Net"), _("Method"), _("ΔF = logit(x) − logit(baseline)"), _("Largest gap of a block, logits"),
             _("Completeness error")]
    st.markdown("\n".join(["| " + " | ".join(heads) + " |", "|:--|:--|--:|--:|--:|", *lines]))
    for name in noisy:
        st.info(_("{net}: ΔF is small beside the credits themselves, which cancel. The error in per cent of ΔF is noise "
                  "then; look at the gap in logits.").format(net=name), icon=":material/info:")
    if large:
        st.info(_("An error above {limit} % is large: take more steps, or believe DeepLift first.").format(
            limit=f"{100 * MAX_ERROR:.0f}"), icon=":material/info:")


# ---------------------------------------------------------------------------------------------------- the map


def show_map(subject: Subject, view: BlockView) -> None:
    """Which numbers of the input spoke for the class, in each net."""
    asked, data = get_asked(), DATASETS[subject.config.dataset]
    st.header(_("Where in the input"), anchor=False)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        choose(st.segmented_control, _("Map"), "map", label_maps(), required=True)
        if asked.map == "occlusion" and data.is_picture:
            st.number_input(_("Window, pixels a side"), 1, MAX_WINDOW, step=1, on_change=on_widget, args=("window",),
                            key=set_widget("window", asked.window), width=190)
        if asked.map == "grad-cam" and any(state.lane.net.family == "conv" for state in subject.states):
            stages = {k: str(k + 1) for k in range(STAGES)}
            choose(st.segmented_control, _("Stage"), "stage", stages, required=True)
    names, maps = [], []
    for i, state in enumerate(subject.states):
        arguments = (asked.map, asked.source, asked.target, asked.baseline, asked.credit_steps, asked.window, asked.stage)
        key = subject.key("map", i, *arguments)
        job = measure_soon(key, [Call("measure_input_credit", state, arguments)])
        if job.state == "done":
            names, maps = [*names, subject.names[i]], [*maps, job.results[0]]
        elif isinstance(job.error, ConfigError):
            st.info(f"{subject.names[i]}: {sentence(job.error)}", icon=":material/info:")
        else:
            follow_job(key, f"{KEY}map.{i}", lambda job: None)
    if not maps:
        return
    figure = draw_maps(names, maps, view.picture) if data.is_picture else draw_points(names, maps)
    show_chart(figure, "input-credit", " ".join(tell_map(*pair) for pair in zip(names, maps, strict=True)),
               list_maps(names, maps))
    explain_map()


def tell_map(name: str, found: np.ndarray) -> str:
    """A map in words: the strongest number and the sum."""
    at = int(np.abs(found).argmax())
    where = _("row {row}, column {column}").format(row=at // found.shape[-1] + 1, column=at % found.shape[-1] + 1)
    where = where if found.ndim == 3 else f"x{'₁₂'[at]}"
    return _("{net}: the strongest credit is {value}, at {where}; the sum of all is {total}.").format(
        net=name, value=f"{found.flat[at]:.3f}", where=where, total=f"{found.sum():.2f}")


def explain_map() -> None:
    asked = get_asked()
    words = {
        "integrated-gradients": _("Blue spoke for the class, orange against it, measured from the baseline above; the sum "
                                  "is the change of the logit, but for the steps’ error."),
        "occlusion": _("The logit that is lost when a window is replaced by the baseline above. Not a sum of parts: "
                       "windows overlap by half."),
        "grad-cam": _("Where the last block of the stage has maps that raise the logit; only what is positive, laid over "
                      "the picture. Late stages are coarse: stage 3 has 2×2 places for 8×8 pixels."),
    }
    st.caption(words[asked.map] + " " + _("All nets have the same colours and one scale."))


# ---------------------------------------------------------------------------------------------------- the lesson


def show_lesson() -> None:
    with st.expander(_("What am I looking at?"), icon=":material/school:"):
        st.markdown(_("A block’s shortcut s and branch F are a cut: every path from the input to a logit goes through "
                      "exactly one of them. So their credits add up to logit(x) − logit(baseline), in each block by "
                      "itself. Conductance is due to Dhamdhere et al. (2018), DeepLift to Shrikumar et al. (2017), "
                      "integrated gradients to Sundararajan et al. (2017), Grad-CAM to Selvaraju et al. (2017); computed by captum."))
        st.markdown(_("**What to look for.** In the residual net both sides have credit in every block, and the shortcut "
                      "often has more. In the plain net the block has it all, since there is no way past it."))
        st.markdown(_("**What not to conclude.** A credit is one way to divide up a number, and it depends on the "
                      "baseline. It does not say what happens without the block: that is ablation, a difference of two "
                      "nets, and the two need not agree. A trained block is not the identity and cannot simply be deleted. "
                      "A map shows what moved one logit, not what the net “sees”."))
