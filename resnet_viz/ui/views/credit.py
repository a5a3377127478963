"""Credit: how much of a decision came through each block's shortcut and branch, and from which places of the input."""

from __future__ import annotations

import streamlit as st

from resnet_viz.engine.jobs import Call
from resnet_viz.records import DATASETS, BlockView, ConfigError
from resnet_viz.text import _
from resnet_viz.ui.bar import show_share
from resnet_viz.ui.brought import show_brought
from resnet_viz.ui.canvas import BLANK, show_canvas, show_fed, take_drawing
from resnet_viz.ui.chance import show_chance
from resnet_viz.ui.crediting import (
    ASKED,
    ERRORS,
    KEY,
    NONE,
    change,
    choose,
    fit_crediting,
    get_asked,
    measure_soon,
    offer_again,
    on_widget,
    read_crediting,
    set_widget,
    write_crediting,
)
from resnet_viz.ui.exporting import show_export, take_subject
from resnet_viz.ui.glossary import show_words
from resnet_viz.ui.locating import show_map
from resnet_viz.ui.progress import follow_job
from resnet_viz.ui.session import write_url
from resnet_viz.ui.splitting import show_blocks
from resnet_viz.ui.subject import Subject, show_subject
from resnet_viz.ui.words import sentence

DRAWN = "credit.drawn"  # the last drawing, kept while a held-out example is looked at


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
    show_chance(subject, _("There is no decision to give credit for: such a net guesses."))
    views = show_input(subject)
    show_blocks(subject)
    if views:
        show_map(subject, views[0])
    with st.container(horizontal=True):
        show_share(shared)
        show_export(lambda: take_subject(subject))
    show_brought()
    show_words("conductance", "held-out", "bit")
    show_lesson()


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
    calls = [Call("experiments.blocks.open_block", state, (0, (), asked.source)) for state in subject.states]
    views = [view for view in measure_soon(key, calls).results if view is not None]
    with st.container(horizontal=True, vertical_alignment="center"):
        if asked.pixels is not None:
            with st.container(width=240):
                show_canvas(KEY + "canvas", asked.pixels, on_drawn)
        if views:
            with st.container(width=200 if dataset == "digits" else 320):
                show_fed(views[0], dataset, KEY)
        if len(views) == len(subject.names):
            with st.container(width="stretch"):
                show_answers(subject, views)
    offer_again(key, KEY + "answers.again", calls)
    follow_job(key, KEY + "answers", lambda job: None)
    return views


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


# ---------------------------------------------------------------------------------------------------- the lesson


def show_lesson() -> None:
    with st.expander(_("What am I looking at?"), icon=":material/school:"):
        st.markdown(_("A block’s shortcut s and branch F are a cut: every path from the input to a logit goes through "
                      "exactly one of them. So their credits add up to logit(x) − logit(baseline), in each block by "
                      "itself. Conductance is due to Dhamdhere et al. (2018), DeepLift to Shrikumar et al. (2017), "
                      "integrated gradients to Sundararajan et al. (2017), Grad-CAM to Selvaraju et al. (2017); computed "
                      "by captum."))
        st.markdown(_("**What to look for.** In the residual net both sides have credit in every block, and the shortcut "
                      "often has more. In the plain net the block has it all, since there is no way past it."))
        st.markdown(_("**What not to conclude.** A credit is one way to divide up a number, and it depends on the "
                      "baseline. It does not say what happens without the block: that is ablation, a difference of two "
                      "nets, and the two need not agree. A trained block is not the identity and cannot simply be deleted. "
                      "A map shows what moved one logit, not what the net “sees”."))
