"""Each block's credit, split into shortcut and branch, beside what the block is really worth; and whether it adds up."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import streamlit as st

from resnet_viz.engine.jobs import Call, Job
from resnet_viz.figures.credit import (
    draw_credit,
    find_branches,
    find_disagreements,
    find_reach,
    is_constant,
    is_noise,
    list_credits,
    measure_gap,
)
from resnet_viz.records import CREDIT_METHODS, DATASETS, MAX_CREDIT_STEPS, AblationResult, CreditResult
from resnet_viz.text import _, join, percent_sign, write_number
from resnet_viz.ui.charts import make_columns, show_chart
from resnet_viz.ui.crediting import (
    ALL,
    KEY,
    ONE,
    change,
    choose,
    get_asked,
    join_ablations,
    join_credits,
    list_samples,
    measure_soon,
    offer_again,
    on_widget,
    set_widget,
)
from resnet_viz.ui.progress import follow_job
from resnet_viz.ui.subject import Subject
from resnet_viz.ui.words import label_methods

MEASURED = ("ablation", *CREDIT_METHODS)  # in this order
MAX_ERROR = 0.05  # of completeness: above it a reader is told


def show_blocks(subject: Subject) -> None:
    """The whole section."""
    st.header(_("Shortcut or branch, block by block"), anchor=False)
    show_questions(subject)
    asked = get_asked()
    samples = list_samples(asked, subject.config.dataset)
    options = (asked.baseline, asked.target, asked.credit_steps)
    key = subject.key("credit", tuple(samples), *options)
    calls = [make_call(what, state, sample, options)
             for what, state, sample in itertools.product(MEASURED, subject.states, samples)]
    if asked.samples == ONE:
        measure_soon(key, calls)
    offer_again(key, KEY + "measure", calls)
    follow_job(key, KEY + "credit", lambda job: show_credits(subject, job, len(samples)))


def make_call(what: str, state: object, sample: object, options: tuple) -> Call:
    baseline, target, steps = options
    if what == "ablation":
        return Call("experiments.attribution.measure_ablation", state, (sample, target))
    return Call("experiments.attribution.measure_credit", state, (what, baseline, sample, target, steps))


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


# ---------------------------------------------------------------------------------------------------- results


def show_credits(subject: Subject, job: Job, groups: int) -> None:
    """What there is of the results: the bars as soon as the chosen method has been measured for every net."""
    lanes, starts = range(len(subject.states)), itertools.count(0, groups)
    parts = {where: job.results[start : start + groups]
             for where, start in zip(itertools.product(MEASURED, lanes), starts, strict=False)}
    found = {where: part for where, part in parts.items() if all(result is not None for result in part)}
    method = get_asked().method
    if not {*itertools.product((method, "ablation"), lanes)} <= set(found):
        return
    results = [{what: join_credits(found[what, i]) for what in CREDIT_METHODS if (what, i) in found} for i in lanes]
    counts = [part.samples for part in found[method, 0]]
    ablations = [join_ablations(found["ablation", i], counts) for i in lanes]
    reach = find_reach([result for by_method in results for result in by_method.values()])
    for i, column in enumerate(make_columns("credits", len(lanes))):
        with column:
            show_net(subject, i, results[i], ablations[i], reach)
    count = _("One example.") if sum(counts) == 1 else _("The mean of {count} examples.").format(count=sum(counts))
    st.caption(join(count, _("Credits are signed: a negative one spoke against the class. In each block the bars add up "
                             "to the same change of the logit; they must not be added across blocks, where the same "
                             "credit is met again and again. Grey: what the whole net has more than the net without the "
                             "branch (in a plain net: without the block). ≠ where credit and ablation have opposite "
                             "signs.")))
    show_completeness(subject, results)


def show_net(subject: Subject, i: int, results: dict[str, CreditResult], ablation: AblationResult,
             reach: tuple[float, float]) -> None:
    """One net's chart, and what it says."""
    method, words = get_asked().method, label_methods()
    result, name = results[method], subject.names[i]
    st.markdown(f"**{name}**")
    opinions = {words[other]: results[other] for other in results if other != method}
    lost = ablation.logit[np.isfinite(ablation.logit)].tolist() or [math.nan]
    alt = _("{net}, {method}: the logit changes by {change}; credits of branches from {low} to {high}; without a block’s "
            "branch the logit loses {least} to {most}.").format(
        net=name, method=words[method], change=f"{result.output_change:z.2f}", low=f"{result.branch.min():z.2f}",
        high=f"{result.branch.max():z.2f}", least=f"{min(lost):z.2f}", most=f"{max(lost):z.2f}")
    shown = replace(ablation, accuracy=np.full_like(ablation.accuracy, np.nan)) if result.samples == 1 else ablation
    show_chart(draw_credit(result, opinions, reach, shown), f"credit-{i}", alt, list_credits([name], [results], [ablation]))
    plain = bool(np.isnan(result.shortcut).all())
    lines = tell_constant() if is_constant(result) else (tell_plain if plain else tell_residual)(result, ablation)
    fatal = np.flatnonzero(ablation.accuracy == 1) + 1
    if result.samples == 1 and len(fatal):
        lines.append(_("Its answer is wrong when one block alone is dropped: {number}.").format(
            number=", ".join(map(str, fatal))))
    st.markdown("\n".join(f"- {line}" for line in lines))


def tell_constant() -> list[str]:
    return [_("The logit is the same for x and for the baseline, but for rounding. There is nothing to divide up.")]


def tell_residual(result: CreditResult, ablation: AblationResult) -> list[str]:
    """Which side has more, and where credit and ablation disagree."""
    cut = np.isnan(result.shortcut)
    lines = [_("The shortcut has more credit than the branch in {count} of {blocks} blocks.").format(
        count=int((result.shortcut > result.branch).sum()), blocks=int((~cut).sum()))]
    if cut.any():
        lines.append(_("In block {number} the shortcut is cut: all goes through the branch, and ablation drops the whole "
                       "block.").format(number=", ".join(str(k + 1) for k in np.flatnonzero(cut))))
    opposite, moved = find_disagreements(find_branches(result), ablation.logit)
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
               "{change}: credit cannot tell these blocks apart.").format(change=f"{result.output_change:z.2f}")]
    lost = ablation.logit
    if np.isfinite(lost).sum() > 1:
        words = _("Ablation can: without block {worst} the logit loses {most}; without block {best}, only {least}.")
        lines.append(words.format(worst=int(np.nanargmax(lost)) + 1, most=f"{np.nanmax(lost):z.2f}",
                                  best=int(np.nanargmin(lost)) + 1, least=f"{np.nanmin(lost):z.2f}"))
    if np.isnan(lost).any():
        lines.append(_("Without a grey bar: blocks that change dimensions. A plain net cannot do without them."))
    return lines


# ---------------------------------------------------------------------------------------------------- completeness


def show_completeness(subject: Subject, results: list[dict[str, CreditResult]]) -> None:
    """How far each method's bars are from adding up, per net."""
    st.header(_("Do the bars add up?"), anchor=False)
    words = label_methods()
    rows = [(name, method, result) for name, by_method in zip(subject.names, results, strict=True)
            for method, result in by_method.items()]
    heads, several = [_("Net"), _("Method"), "ΔF", _("Gap"), _("Error")], any(row[-1].samples > 1 for row in rows)
    heads += [_("Single examples, on average"), _("The worst of them")] if several else []
    lines = [[name, words[method], f"{result.output_change:z.3f}", write_number(measure_gap(result), 2),
              *(["–"] * (len(heads) - 4) if is_constant(result) else write_errors(result))]
             for name, method, result in rows]
    table = [heads, [":--", ":--", *["--:"] * (len(heads) - 2)], *lines]
    st.markdown("\n".join("| " + " | ".join(line) + " |" for line in table))
    what = _("ΔF = logit(x) − logit(baseline). Gap: by how much the bars of a block miss ΔF, in logits, at the worst "
             "block. Error: that in per cent of ΔF, the completeness error.")
    st.caption(join(what, _("In the bars’ mean the errors of single examples partly cancel. Each one’s own is that of its "
                            "worst block, in per cent of its own ΔF.")) if several else what)
    for line in tell_errors(rows):
        st.info(line, icon=":material/info:")


def write_errors(result: CreditResult) -> list[str]:
    """The largest of the blocks' completeness errors, of a mean also those of its single examples."""
    single = [result.single_error.mean(), result.single_error.max()] if result.samples > 1 else []
    return [write_error(100 * float(error)) for error in (result.completeness_error.max(), *single)]


def write_error(error: float) -> str:
    """A completeness error in per cent; none where there is nothing to divide up."""
    if not math.isfinite(error):
        return "–"
    return ("< 0.001" if error < 0.001 else f"{error:.0f}" if error >= 10 else write_number(error, 2)) + percent_sign()


def tell_errors(rows: list[tuple[str, str, CreditResult]]) -> list[str]:
    """What a reader is to think of the errors: a line per net at most, and one for all."""
    rows = [row for row in rows if not is_constant(row[-1])]
    noisy = dict.fromkeys(name for name, _method, result in rows if is_noise(result))
    lines = [_("{net}: ΔF is small beside the credits themselves, which cancel. The error in per cent of ΔF says little "
               "then; look at the gap in logits.").format(net=name) for name in noisy]
    if any(max(result.completeness_error.max(), result.single_error.mean()) > MAX_ERROR
           for name, _method, result in rows if name not in noisy):
        lines.append(_("An error above {limit} % is large: take more steps, or believe DeepLift first.").format(
            limit=f"{100 * MAX_ERROR:.0f}"))
    return lines
