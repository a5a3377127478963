"""One block of a trained net under the glass: its numbers, its equations, and what is left when its weights shrink."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from resnet_viz.engine.hub import hub
from resnet_viz.engine.jobs import Call, Job
from resnet_viz.figures.block import (
    count_units,
    draw_rows,
    draw_scatter,
    list_numbers,
    list_pairs,
    measure_reach,
)
from resnet_viz.figures.equations import name_unit, write_equations
from resnet_viz.records import DATASETS, BlockView, ConfigError, Edit, NetConfig, plan_blocks
from resnet_viz.text import _, percent_sign, use_language, write_number
from resnet_viz.ui.bar import show_share
from resnet_viz.ui.canvas import BLANK, show_canvas, show_fed, take_drawing
from resnet_viz.ui.chance import explain_breaking, show_chance
from resnet_viz.ui.charts import show_chart, show_csv
from resnet_viz.ui.exporting import show_export, take_subject
from resnet_viz.ui.glossary import show_words
from resnet_viz.ui.opening import (
    CASES,
    Opening,
    can_be_raw,
    explain_cases,
    fit_opening,
    read_opening,
    take_case,
    write_opening,
)
from resnet_viz.ui.progress import Question, ask
from resnet_viz.ui.session import show_branch, write_url
from resnet_viz.ui.subject import AT, Subject, name_subject, show_subject, take_preset
from resnet_viz.ui.words import label_cases, sentence

OPEN, DRAWN, ERRORS, RENEW = "block.opening", "block.drawn", "block.complaints", "block.renew"  # kept when the page is left
KEY = "block."  # of widgets


def show_page() -> None:
    """The whole page."""
    st.title(_("One block"), anchor=False)
    st.markdown(_("Open a block of a trained net, shrink W[l+2] and b[l+2] to 0, and see what is left of it."))
    if OPEN not in st.session_state:
        read_url()
    subject = show_subject()
    show_chance(subject, explain_breaking())
    show_block(subject)
    show_resume(subject)
    show_words("held-out", "W_s", "bit")
    show_lesson()


def read_url() -> None:
    """What the link opens. One that names a case and no nets gets the case's."""
    query = st.query_params.to_dict()
    st.session_state[OPEN], st.session_state[ERRORS] = read_opening(query)
    if AT not in query and "run" not in query:
        open_case(st.session_state[OPEN].case)


def fit(subject: Subject) -> None:
    """Keep what is open within what these nets have, and tell what was not."""
    opening, errors = fit_opening(st.session_state[OPEN], subject.states)
    if opening.case in CASES and name_subject(subject.race) != CASES[opening.case][0]:
        opening = replace(opening, case="free")
    st.session_state[OPEN] = opening
    st.session_state[ERRORS] = [*st.session_state[ERRORS], *errors]
    for error in st.session_state[ERRORS]:
        st.error(sentence(error), icon=":material/link_off:")


def change(**parts: object) -> None:
    """Open something else. What was wrong with the link is then history, and another block is no case any more."""
    if {"block", "raw"} & set(parts):
        parts |= {"case": "free"}
    if "block" in parts:
        parts |= {"unit": 0, "raw": False}
    st.session_state[OPEN], st.session_state[ERRORS] = replace(st.session_state[OPEN], **parts), []


def on_widget(name: str, shift: int = 0) -> None:
    """A widget was moved; blocks, units and examples are counted from 1 on screen."""
    value = st.session_state[KEY + name]
    change(**{name: value - shift if shift else value})


def set_widget(name: str, value: object) -> str:
    """Have a widget show a value, whatever it showed: its key."""
    st.session_state[KEY + name] = value
    return KEY + name


# ---------------------------------------------------------------------------------------------------- what if


def show_cases() -> None:
    opening, names = st.session_state[OPEN], label_cases()
    st.selectbox(_("What if …"), list(names), format_func=names.get, key=set_widget("case", opening.case),
                 on_change=on_case)
    if opening.case in CASES:
        st.info(explain_cases()[opening.case], icon=":material/lightbulb:")


def on_case() -> None:
    st.session_state[OPEN], st.session_state[ERRORS] = take_case(st.session_state[OPEN], st.session_state[KEY + "case"]), []
    open_case(st.session_state[KEY + "case"])
    st.session_state[RENEW] = True


def open_case(case: str) -> None:
    """Make a case's nets the subject, and open what it asks for."""
    if case in CASES:
        take_preset(CASES[case][0])
        st.session_state[OPEN] = take_case(st.session_state[OPEN], case)


# ---------------------------------------------------------------------------------------------------- the block


@st.fragment
def show_block(subject: Subject) -> None:
    """All that follows the sliders."""
    use_language(st.session_state.language)  # a fragment runs by itself
    if st.session_state.pop(RENEW, False):
        st.rerun()  # other nets: the sidebar too
    fit(subject)
    show_cases()
    opening: Opening = st.session_state[OPEN]
    left, right = st.columns([1, 1], gap="large")
    with right:
        show_scales(subject)
    with left:
        show_input(subject)
        answers = st.container()
    shared = write_url(subject.write_query() | write_opening(opening), subject.race)

    def show(*jobs: Job) -> None:
        views = [job.results[0] for job in jobs]
        with answers:
            show_answers(subject, views)
        show_views(subject, views, shared)

    ask([ask_view(subject, i, opening) for i in range(len(subject.states))], "block", show)


def ask_view(subject: Subject, lane: int, opening: Opening) -> Question:
    """The open block in one lane; what it cannot show there is told, and the others are shown."""
    operations = opening.list_operations(subject.net(lane))
    arguments = (opening.block, operations, opening.source, opening.unit, opening.raw)
    return (subject.key("view", lane, opening.block, tuple(operations), *arguments[2:]),
            [Call("experiments.blocks.open_block", subject.states[lane], arguments)])


def show_views(subject: Subject, views: list[BlockView | None], shared: dict[str, str]) -> None:
    """What each lane's block makes of the input."""
    opening: Opening = st.session_state[OPEN]
    shown = [(i, view) for i, view in enumerate(views) if view is not None]
    if not shown:
        return
    reach = measure_reach([view for _i, view in shown])
    show_unit(shown[0][1], opening)
    for column, (i, view) in zip(st.columns(len(shown), gap="large"), shown, strict=True):
        with column:
            show_lane(subject, i, view, opening, reach)
    show_gradients(subject, shown, opening.block)
    done = [[] if view is None else opening.list_operations(subject.net(i)) for i, view in enumerate(views)]
    with st.container(horizontal=True):
        show_share(shared)
        show_export(lambda: take_subject(subject, done))


def show_scales(subject: Subject) -> None:
    """Which block, and the sliders from 1 to 0."""
    opening, nets = st.session_state[OPEN], [state.lane.net for state in subject.states]
    k, ell = opening.block, 2 * opening.block + 1
    st.header(_("Block and α"), anchor=False)
    blocks = min(net.blocks for net in nets)
    if blocks > 1:
        st.slider(_("Block, from input to output"), 1, blocks, key=set_widget("block", k + 1), on_change=on_widget,
                  args=("block", 1))
    st.markdown(_("a[l] is a[{l}], a[l+2] is a[{n}].").format(l=ell, n=ell + 2))
    if k == 0 and can_be_raw(subject.states):
        st.toggle(_("Feed it the raw input x in the place of a[{l}]").format(l=ell), key=set_widget("raw", opening.raw),
                  on_change=on_widget, args=("raw",))
    batch = any(net.norm == "batch" for net in nets)
    if batch:
        show_alpha("w", _("α of W[{n}]").format(n=ell + 2))
        with st.container(horizontal=True):
            show_alpha("gamma", _("α of γ"))
            show_alpha("beta", _("α of β"))
    else:
        show_pair(opening, ell + 2)
    with st.container(horizontal=True):
        st.button(_("Zero W and b"), key=KEY + "zero", icon=":material/exposure_zero:", on_click=change,
                  kwargs={"w": 0.0, "b": 0.0})
        if batch:
            st.button(_("Zero γ and β"), key=KEY + "zero_norm", on_click=change, kwargs={"gamma": 0.0, "beta": 0.0})
        st.button(_("Restore"), key=KEY + "restore", icon=":material/undo:", on_click=change,
                  kwargs={"w": 1.0, "b": 1.0, "gamma": 1.0, "beta": 1.0})


def show_pair(opening: Opening, n: int) -> None:
    """One slider for W[l+2] and b[l+2], or one for each."""
    apart = opening.w != opening.b or st.session_state.get("block.separate", False)
    if apart:
        with st.container(horizontal=True):
            show_alpha("w", _("α of W[{n}]").format(n=n))
            show_alpha("b", _("α of b[{n}]").format(n=n))
    else:
        st.slider(_("α of W[{n}] and b[{n}]").format(n=n), 0.0, 1.0, step=0.01, key=set_widget("both", opening.w),
                  on_change=on_both)
    st.toggle(_("Separately"), key=set_widget("apart", apart), on_change=on_apart)


def show_alpha(name: str, label: str) -> None:
    value = getattr(st.session_state[OPEN], name)
    st.slider(label, 0.0, 1.0, step=0.01, key=set_widget(name, value), on_change=on_widget, args=(name,))


def on_both() -> None:
    value = st.session_state[KEY + "both"]
    change(w=value, b=value)


def on_apart() -> None:
    st.session_state["block.separate"] = st.session_state[KEY + "apart"]
    if not st.session_state["block.separate"]:
        change(b=st.session_state[OPEN].w)


# ---------------------------------------------------------------------------------------------------- the input


def show_input(subject: Subject) -> None:
    """What the nets are fed."""
    opening, dataset = st.session_state[OPEN], subject.states[0].dataset
    st.header(_("Input"), anchor=False)
    if dataset == "digits":
        kinds = {"data": _("Held-out digit"), "drawn": _("Draw a digit")}
        st.segmented_control(_("Input"), list(kinds), format_func=kinds.get, required=True, label_visibility="collapsed",
                             key=set_widget("kind", "data" if opening.pixels is None else "drawn"), on_change=on_kind)
    if opening.pixels is None:
        count = DATASETS[dataset].test
        st.number_input(_("Example, 1 to {count}").format(count=count), 1, count, step=1, on_change=on_widget,
                        key=set_widget("index", opening.index + 1), args=("index", 1))


def show_answers(subject: Subject, views: list[BlockView | None]) -> None:
    """The input as the nets see it, the label, and each net's answer."""
    opening, dataset = st.session_state[OPEN], subject.states[0].dataset
    shown = [view for view in views if view is not None]
    with st.container(horizontal=True, vertical_alignment="center"):
        if opening.pixels is not None:
            with st.container(width=240):
                show_canvas(KEY + "canvas", opening.pixels, on_drawn)
        if shown:
            with st.container(width=200 if dataset == "digits" else 320):
                show_fed(shown[0], dataset, KEY)
    st.markdown("\n".join(f"- {line}" for line in describe_answers(subject, views)))


def describe_answers(subject: Subject, views: list[BlockView | None]) -> list[str]:
    """The label, and each net's answer."""
    lines = []
    for name, view in zip(subject.names, views, strict=True):
        if view is None:
            continue
        if not lines and view.label is not None:
            lines.append(_("Label: **{label}**").format(label=view.label))
        if view.probabilities is None:
            lines.append(_("{name}: no answer, since the net is not whole when its block is fed x.").format(name=name))
        else:
            best = int(view.probabilities.argmax())
            lines.append(_("{name} says **{label}**, with {share} %").format(
                name=name, label=best, share=f"{100 * view.probabilities[best]:.1f}"))
    return lines


def on_kind() -> None:
    drawn = st.session_state[KEY + "kind"] == "drawn"
    change(pixels=st.session_state.get(DRAWN, BLANK) if drawn else None)


def on_drawn() -> None:
    """The browser sends anything; what is no digit's numbers is told, and the drawing stays as it was."""
    try:
        pixels = take_drawing(KEY + "canvas")
    except ConfigError as error:
        st.session_state[ERRORS] = [error]
        return
    st.session_state[DRAWN] = pixels
    change(pixels=pixels)


# ---------------------------------------------------------------------------------------------------- what comes out


def show_unit(view: BlockView, opening: Opening) -> None:
    with st.container(width=260):
        st.number_input(_("Unit, 1 to {count}").format(count=count_units(view)), 1, count_units(view), step=1,
                        key=set_widget("unit", opening.unit + 1), on_change=on_widget, args=("unit", 1),
                        help=_("Marked in the rows; its numbers stand in the equations. Of maps they are counted channel "
                               "by channel, row by row."))


def show_lane(subject: Subject, i: int, view: BlockView, opening: Opening, reach: tuple[float, float]) -> None:
    """One net's block: the verdict, its numbers, its rows, the scatter, the equations."""
    net, k = subject.net(i), opening.block
    st.header(subject.names[i], anchor=False, divider="gray")
    good, words = judge(view, net, k)
    (st.success if good else st.warning)(words, icon=":material/check_circle:" if good else ":material/info:")
    if net.residual and not net.has_shortcut(k):
        st.info(_("The shortcut of this block has been cut: as it stands here, it is a block of a plain net."),
                icon=":material/content_cut:")
    show_numbers(view, k)
    if view.scatter is None:
        st.info(_("a[l] and a[l+2] have different dimensions and there is no shortcut: nothing to set against each other."))
    else:
        show_chart(draw_scatter(view, k, net.residual), f"block.scatter.{i}", describe_scatter(view, words),
                   list_pairs(view))
    alt = _("{name}, block {block}: the rows from a[{l}] to a[{n}]. Unit {unit} of a[{n}] is {value}.").format(
        name=subject.names[i], block=k + 1, l=2 * k + 1, n=2 * k + 3, unit=name_unit(view, opening.unit),
        value=f"{view.rows['a2'].flat[opening.unit]:.3f}")
    show_chart(draw_rows(view, net, k, opening.unit, reach), f"block.rows.{i}", alt, list_numbers(view))
    show_equations(view, net, opening)


def judge(view: BlockView, net: NetConfig, k: int) -> tuple[bool, str]:
    """Whether the block is the identity, and what it is, from the numbers of the held-out set."""
    after = view.after
    if after.is_identity:
        return True, _("The block is the identity: a[l+2] equals a[l] in every number.")
    if after.is_constant:
        return False, _("The output is the same for every input: nothing gets through.")
    if after.is_shortcut and after.gap is None:
        words = _("Only the shortcut is left: a[l+2] = s, in every number.") if net.order == "pre" else _(
            "Only the shortcut is left: a[l+2] = g(s), in every number. Not the identity: dimensions differ.")
        return False, words
    if after.gap is None:
        return False, _("Not the identity: a[l] and a[l+2] have different dimensions.")
    gap = write_number(after.gap, 2)
    if after.is_shortcut:
        words = _("Not the identity: the branch is 0, but W_s changes a[l]. Largest difference {gap}.") \
            if plan_blocks(net)[k].shortcut == "projection" else \
            _("Not the identity: the branch is 0, but g changes the shortcut. Largest difference {gap}.")
        return False, words.format(gap=gap)
    return False, _("Not the identity: the largest difference is {gap}.").format(gap=gap)


def show_numbers(view: BlockView, k: int) -> None:
    """‖a[l+2] - a[l]‖, the largest difference, and what the net is worth, before and now."""
    before, after, ell = view.before, view.after, 2 * k + 1
    rows = [(_("‖a[{n}] − a[{l}]‖, mean").format(l=ell, n=ell + 2), before.distance, after.distance, write_number),
            (_("Largest single difference"), before.gap, after.gap, write_number),
            (_("Held-out accuracy"), before.accuracy, after.accuracy, write_share),
            (_("Held-out loss"), before.loss, after.loss, "{:.3f}".format)]
    head = " | ".join([_("Measured"), _("Before"), _("Now")])
    lines = [f"| {head} |", "|:--|--:|--:|"]
    for name, *pair, write in rows:
        cells = ["–" if value is None else write(value) for value in pair]
        lines.append(f"| {name} | {cells[0]} | **{cells[1]}** |")
    st.markdown("\n".join(lines))


def write_share(share: float) -> str:
    return f"{100 * share:.1f}{percent_sign()}"


def describe_scatter(view: BlockView, words: str) -> str:
    axis = _("a[l+2] against a[l]") if view.against == "input" else _("a[l+2] against the shortcut’s s")
    return _("{axis}, {count} pairs over the held-out set. {words}").format(axis=axis, count=len(view.scatter), words=words)


def show_equations(view: BlockView, net: NetConfig, opening: Opening) -> None:
    """As inline formulas, which wrap on a phone."""
    st.markdown("**" + _("Unit {unit}, number by number").format(unit=name_unit(view, opening.unit)) + "**")
    for line in write_equations(view, net, opening.block, opening.unit):
        st.markdown(f"${line}$")


def show_gradients(subject: Subject, shown: list[tuple[int, BlockView]], k: int) -> None:
    st.header(_("Can it wake up? The gradient of its weights"), anchor=False)
    head = " | ".join([_("Net"), f"‖∂L/∂W[{2 * k + 2}]‖", f"‖∂L/∂W[{2 * k + 3}]‖", _("What follows")])
    lines = [f"| {head} |", "|---|---|---|---|"]
    for i, view in shown:
        cells = ["–", "–"] if view.gradient is None else [write_number(norm) for norm in view.gradient]
        lines.append(f"| {subject.names[i]} | {cells[0]} | {cells[1]} | {judge_gradient(view)} |")
    st.markdown("\n".join(lines))
    names = [f"gradient_norm_W{2 * k + i}" for i in (2, 3)]
    show_csv([{"net": subject.names[i]} | dict(zip(names, view.gradient or ("", ""), strict=True)) for i, view in shown],
             "gradient")
    st.markdown(_("On the first 128 training examples that the seed draws. 0 is exactly 0."))


def judge_gradient(view: BlockView) -> str:
    if view.gradient is None:
        return _("no loss without a whole net")
    first, second = view.gradient
    if second == 0:
        return _("both are 0: these weights get no gradient") if first == 0 else _("the first layer learns")
    return _("the second layer learns first, then the first") if first == 0 else _("both layers learn")


# ---------------------------------------------------------------------------------------------------- and then


def show_resume(subject: Subject) -> None:
    st.header(_("And if training goes on?"), anchor=False)
    st.markdown(_("A new race goes on from these weights, both nets with what was done to this block. The old race "
                  "stays as it is."))
    if st.button(_("Train on from here"), key=KEY + "resume", icon=":material/play_arrow:"):
        opening = st.session_state[OPEN]
        edits = [Edit(subject.step, i, operation) for i, state in enumerate(subject.states)
                 for operation in opening.list_operations(state.lane.net)]
        try:
            branch = hub.call(hub.branch(subject.race, subject.step, edits))
        except ConfigError as error:
            st.error(sentence(error), icon=":material/error:")
            return
        show_branch(branch)


def show_lesson() -> None:
    with st.expander(_("What am I looking at?"), icon=":material/school:"):
        st.markdown(_("**The rows** are one block for one input, from top to bottom: what comes in, a[l]; what each layer "
                      "adds up, z; what g makes of it, a; and what goes out, a[l+2]. All rows of both nets have one scale. "
                      "Bars below 0 are hatched; of maps, blue is above 0 and orange below."))
        st.markdown(_("**The scatter** sets numbers going out against the same units’ numbers coming in, over the whole "
                      "held-out set. On the dashed line both are equal: there the block does nothing."))
        st.markdown(_("**What not to conclude.** That a block can be zeroed with little harm does not say that it had "
                      "learned nothing, and that a block starts near the identity does not say that it stays there."))
