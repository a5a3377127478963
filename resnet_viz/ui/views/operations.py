"""Operations on whole nets: zero, scale, drop, cut or swap blocks of trained nets, and see which net survives."""

from __future__ import annotations

import streamlit as st

from resnet_viz.engine.hub import hub
from resnet_viz.engine.jobs import Call
from resnet_viz.figures.looks import COLOURS
from resnet_viz.figures.operations import draw_before_after, draw_chain
from resnet_viz.records import DATASETS, WEIGHT_OPERATIONS, Edit, OperationResult
from resnet_viz.text import _, join, percent_sign, write_number
from resnet_viz.ui.bar import show_share
from resnet_viz.ui.chance import explain_breaking, show_chance
from resnet_viz.ui.charts import show_chart
from resnet_viz.ui.exporting import Taken, show_export, take_subject
from resnet_viz.ui.glossary import show_words
from resnet_viz.ui.history import Done, get_history, read_history, set_history, write_history
from resnet_viz.ui.operating import describe_done, read_statistics, show_tools, write_statistics
from resnet_viz.ui.progress import ask
from resnet_viz.ui.session import show_branch, write_url
from resnet_viz.ui.studies import read_studies, show_studies, write_studies
from resnet_viz.ui.subject import Subject, show_subject
from resnet_viz.ui.words import sentence


def show_page() -> None:
    """The whole page."""
    st.title(_("Operations"), anchor=False)
    st.markdown(_("Operate on blocks of two trained nets, one with shortcuts and one without. What is done to one is "
                  "done to the other."))
    subject = show_subject()
    show_chance(subject, explain_breaking())
    read_url()
    show_tools(subject)
    shared = write_url(subject.write_query() | write_own(), subject.race)
    show_nets(subject)
    show_results(subject)
    with st.container(horizontal=True):
        show_train_on(subject)
        show_share(shared)
        taken = take_nets(subject)
        show_export(lambda: taken)
    show_studies(subject)
    show_words("held-out", "bit")
    show_lesson()


def read_url() -> None:
    """On the page's first run in a session: the operations and choices of the link."""
    if "operations.read" in st.session_state:
        return
    st.session_state["operations.read"] = True
    query = st.query_params.to_dict()
    history, errors = read_history(query.get("ops", ""))
    set_history(history)
    for error in [*errors, *read_statistics(query), *read_studies(query)]:
        st.error(sentence(error), icon=":material/link_off:")


def write_own() -> dict[str, str]:
    """This page's parameters of the URL."""
    ops = write_history(get_history())
    return ({"ops": ops} if ops else {}) | write_statistics() | write_studies()


def show_nets(subject: Subject) -> None:
    """The nets as chains, and what has been done to each, in words."""
    history = get_history()
    for i, name in enumerate(subject.names):
        operations, errors = history.list_operations(i, subject.net(i))
        picture = draw_chain(subject.net(i), operations, COLOURS[i])
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            st.markdown(f"**{name}**", width="content")
            st.download_button(_("Picture (SVG)"), picture, f"resnet-viz-net-{i + 1}.svg", "image/svg+xml",
                               key=f"net-{i}.svg", icon=":material/image:", type="tertiary", on_click="ignore")
        words = _("; ").join(describe_done(Done(operation), subject) for operation in operations) or _("nothing done")
        st.image(picture, width="stretch",
                 alt=_("{net} as a chain of blocks: {operations}").format(net=name, operations=words))
        for error in errors:
            st.info(sentence(error), icon=":material/info:")
    done = [describe_done(item, subject) for click in history.clicks for item in click]
    st.caption(_("Done: {operations}.").format(operations=_("; ").join(done)) if done else
               _("Nothing has been done yet."))


def show_results(subject: Subject) -> None:
    """Before and after, of each net, and what that means."""
    recompute = st.session_state.get("statistics") == "recomputed"
    history, questions = get_history(), []
    for i, state in enumerate(subject.states):
        operations, _errors = history.list_operations(i, subject.net(i))
        arguments = (tuple(operations), recompute and subject.net(i).norm == "batch")
        questions.append((subject.key("operate", i, *arguments),
                          [Call("experiments.operations.measure_operation", state, arguments)]))
    ask(questions, "operated", lambda *jobs: draw_results(subject, [job.results[0] for job in jobs]))


def draw_results(subject: Subject, results: list[OperationResult | None]) -> None:
    """All of them, side by side; what went wrong with one has been told."""
    if None in results:
        return
    history = get_history()
    chance = 1 / DATASETS[subject.config.dataset].classes
    rows = [{"net": name, "when": when, **getattr(result, when), "identity_gap": result.identity_gap}
            for name, result in zip(subject.names, results, strict=True) for when in ("before", "after")]
    words = [tell_result(name, result) for name, result in zip(subject.names, results, strict=True)]
    show_chart(draw_before_after(subject.names, results, chance), "operations", join(*words), rows)
    show_table(subject, results)
    if history.clicks:
        for i, (name, result) in enumerate(zip(subject.names, results, strict=True)):
            st.markdown(f"**{name}** · {judge_result(result, bool(history.list_operations(i, subject.net(i))[0]), chance)}")


def tell_result(name: str, result: OperationResult) -> str:
    return _("{net}: held-out accuracy {before} % before, {after} % after.").format(
        net=name, before=f"{100 * result.before['test_accuracy']:.1f}", after=f"{100 * result.after['test_accuracy']:.1f}")


def show_table(subject: Subject, results: list[OperationResult]) -> None:
    """Accuracy and loss of each net on both parts, before → after."""
    heads = [_("Net"), _("Training accuracy"), _("Held-out accuracy"), _("Training loss"), _("Held-out loss")]
    lines = [" | ".join(heads), "|".join([":--", *["--:"] * 4])]
    for name, result in zip(subject.names, results, strict=True):
        cells = [f"{100 * result.before[key]:.1f} → **{100 * result.after[key]:.1f}{percent_sign()}**"
                 for key in ("train_accuracy", "test_accuracy")]
        cells += [f"{write_loss(result.before[key])} → **{write_loss(result.after[key])}**"
                  for key in ("train_loss", "test_loss")]
        lines.append(" | ".join([name, *cells]))
    st.markdown("\n".join(f"| {line} |" for line in lines))


def write_loss(loss: float) -> str:
    """Three decimals; what would be 0 by them is not."""
    return "< 0.001" if loss < 0.001 else f"{loss:.3f}"


def judge_result(result: OperationResult, operated: bool, chance: float) -> str:
    """What the numbers say, in words."""
    if not operated:
        return _("Nothing was done to this net.")
    before, after = (when["test_accuracy"] for when in (result.before, result.after))
    if result.is_identity:
        first = _("What was operated on is the identity now: a[l+2] equals a[l] in every number, for every held-out "
                  "example.")
    elif result.identity_gap is None:
        first = _("Dimensions change in a block that was operated on, so it cannot be the identity.")
    else:
        first = _("Not the identity: a[l+2] differs from a[l] by up to {gap}.").format(
            gap=write_number(result.identity_gap))
    if after < chance + 0.05 < before:
        return _("{first} {second}").format(first=first, second=_("Accuracy fell to that of guessing."))
    points = write_signed(100 * (after - before))
    return _("{first} {second}").format(
        first=first, second=_("Held-out accuracy changed by {points} points.").format(points=points))


def write_signed(points: float) -> str:
    """+1.2 or −1.2, and 0.0 without a sign."""
    text = f"{points:+.1f}".replace("-", "−")
    return text[1:] if text[1:] == "0.0" else text


def take_nets(subject: Subject) -> Taken:
    """What can be taken home: the nets at this step, under what has been done to them."""
    operations = [get_history().list_operations(i, subject.net(i))[0] for i in range(len(subject.states))]
    return take_subject(subject, operations, st.session_state.get("statistics") == "recomputed")


def show_train_on(subject: Subject) -> None:
    """Resume training from the operated weights, in a race of its own."""
    done = [item for click in get_history().clicks for item in click]
    fits = all(item.operation.kind in WEIGHT_OPERATIONS for item in done)
    st.button(_("Train on from here"), key="train_on", icon=":material/play_circle:", disabled=not done or not fits,
              on_click=lambda: st.session_state.update(train_on_wanted=True),
              help=_("In a copy of the race, which stays as it is. Only changes of weights can be trained on from: not a "
                     "dropped branch, not a cut shortcut."))
    if st.session_state.pop("train_on_wanted", False):
        edits = [Edit(subject.step, i, operation) for i in range(len(subject.states))
                 for operation in get_history().list_operations(i, subject.net(i))[0]]
        show_branch(hub.call(hub.branch(subject.race, subject.step, edits)))


def show_lesson() -> None:
    with st.expander(_("What am I looking at?"), icon=":material/school:"):
        st.markdown(_("A residual block without its branch is left with its shortcut, along which what came in goes on: "
                      "with an identity shortcut, and ReLU or pre-activation, it is the identity. A plain block without "
                      "its layer’s weights gives the same output for every input, and nothing after it can tell two "
                      "pictures apart."))
        st.markdown(_("**What to look for.** Zero any one block of a dense residual net with identity shortcuts and "
                      "without BatchNorm: of the nets offered here its accuracy falls by a few points at most. Zero the "
                      "same block of the plain net: it guesses. Zero several: the residual net gets worse slowly, as "
                      "Veit et al. (2016) found. With W_s a first block may cost more, with BatchNorm most of what was "
                      "learned."))
        st.markdown(_("**What not to conclude.** Trained blocks are not identities, though some cost nothing, and "
                      "without a few the net does even a little better. BatchNorm’s running statistics were taken from "
                      "the whole net: recomputed after the operation, most of what a first block cost is back; other "
                      "blocks gain little or lose, and the plain net stays broken. In a plain net the whole block is "
                      "dropped, since there is no shortcut to keep."))
