"""What becomes of each learned W_s in a race: beside its start and [I; 0], at the press of a button."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import streamlit as st

from resnet_viz.engine.hub import hub
from resnet_viz.engine.jobs import Call, Job
from resnet_viz.engine.race import Race, take_states
from resnet_viz.figures.dimensions import (
    draw_drift,
    draw_matrices,
    find_change,
    find_limit,
    list_drift,
    list_matrix,
    make_target,
)
from resnet_viz.records import NetConfig, ProjectionView, RaceConfig, plan_blocks
from resnet_viz.text import _, use_language
from resnet_viz.ui.charts import show_chart
from resnet_viz.ui.progress import show_bar
from resnet_viz.ui.questions import LEARNED, Sizes, name_way

POLL = 0.3
MAX_POINTS = 8  # steps at which W_s is measured
MAX_SECONDS = 2.0  # of training anew for the steps between those kept


def show_projections(race: Race, sizes: Sizes) -> None:
    """A button, and what W_s was when it was last pressed."""
    st.header(_("What becomes of a learned W_s?"), anchor=False)
    st.markdown(_("It begins at random and is trained like any other matrix. Does it come to [I; 0], which is zero "
                  "padding?"))
    net = choose_net(race.config, sizes)
    st.button(_("Look at W_s now"), icon=":material/visibility:", key="look", on_click=start_look, args=(race,))
    wanted = st.session_state.get("dimensions.look")
    if wanted is None or wanted[0] != race.id or wanted[1][1] != freeze(race.config, wanted[2][-1]):
        return
    job = hub.jobs.get(wanted[1])
    if job is not None:
        follow_look(job, wanted[2], net, st.session_state["dims.block"])


def choose_net(config: RaceConfig, sizes: Sizes) -> NetConfig:
    """The lane and the block whose W_s is looked at."""
    family = config.lanes[0].net.family
    nets = {lane.net.shortcut: lane.net for lane in config.lanes if lane.net.shortcut in LEARNED}
    blocks = [k for k, plan in enumerate(plan_blocks(nets[sizes.way])) if plan.shortcut == "projection"]
    if st.session_state["dims.block"] not in blocks:
        st.session_state["dims.block"] = find_change(nets[sizes.way])
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.segmented_control(_("Net"), list(nets), format_func=lambda way: name_way(way, family), key="dims.way",
                             required=True)
        st.selectbox(_("Block"), blocks, format_func=lambda k: _("Block {number}").format(number=k + 1), key="dims.block",
                     width=200)
    return nets[sizes.way]


def freeze(config: RaceConfig, step: int) -> RaceConfig:
    """The race without its limit: equal for races that do the same until `step`."""
    return replace(config.until(step), steps=1)


def start_look(race: Race) -> None:
    """Measure every W_s of both lanes at some steps, of the states of the race.

    As the button's callback: the board asks for a new run of the script where a race ends, which would break off this one.
    """
    steps = choose_steps(race)
    lanes = [i for way in LEARNED for i, lane in enumerate(race.config.lanes) if lane.net.shortcut == way]
    key = ("projections", freeze(race.config, steps[-1]), tuple(steps))

    async def make_calls() -> list[Call]:
        runs = race.runs  # whatever becomes of the race meanwhile
        taken = [await take_states(runs, step) for step in steps]
        return [Call("experiments.blocks.measure_projections", states[i]) for states in taken for i in lanes]

    hub.call(hub.start(key, make_calls))
    st.session_state["dimensions.look"] = race.id, key, steps


def choose_steps(race: Race) -> list[int]:
    """The start, where the race stands, states kept between, and halves of the way as far as they are soon trained anew."""
    now, kept = race.step, [step for step in race.kept_steps if step <= race.step]
    some = kept if len(kept) < MAX_POINTS else [kept[round(i)] for i in np.linspace(0, len(kept) - 1, MAX_POINTS - 1)]
    steps, seconds = {0, now, *some}, 0.0
    pace = sum(run.pace for run in race.runs) / max(1, len(hub.cluster.workers))
    for half in (now >> i for i in range(6, 0, -1)):
        seconds += pace * (half - max(step for step in kept if step <= half))
        if half and half not in steps and len(steps) < MAX_POINTS and seconds < MAX_SECONDS:
            steps.add(half)
    return sorted(steps)


def follow_look(job: Job, steps: list[int], net: NetConfig, block: int) -> None:
    """The job's progress until it has ended, then what it measured of one block."""
    if job.state == "done":
        job.calls.clear()  # the states, which nobody wants any more
        results = job.results[LEARNED.index(net.shortcut) :: len(LEARNED)]
        show_look(steps, [view for views in results for view in views if view.block == block])
        return
    if job.state != "running":
        st.info(_("Not measured to the end. Press the button to measure again."))
        return

    @st.fragment(run_every=POLL)
    def watch() -> None:
        use_language(st.session_state.language)  # a fragment runs by itself
        if job.state != "running":
            st.rerun()
        show_bar([job], "look")

    watch()


def show_look(steps: list[int], views: list[ProjectionView]) -> None:
    """W_s at the start and at the last step beside [I; 0], and its distance from it at all steps."""
    view, step = views[-1], steps[-1]
    drift = [each.drift for each in views]
    target = make_target(*view.matrix.shape)
    limit = find_limit([view.matrix_start, view.matrix])
    numbers = {f"‖W_s − [I; 0]‖ · {_('At the start')}": view.drift_start,
               f"‖W_s − [I; 0]‖ · {_('At step {step}').format(step=step)}": view.drift,
               "‖[I; 0]‖": view.target_norm}
    for column, (label, value) in zip(st.columns(3), numbers.items(), strict=True):
        column.metric(label, f"{value:.3f}")
    st.markdown(judge(view, step))
    titles = [_("At the start"), _("At step {step}").format(step=step), "[I; 0]"]
    st.caption(_("One colour scale for all three, from −{limit} to {limit}, the largest number of W_s. The ones of [I; 0] "
                 "lie beyond it.").format(limit=f"{limit:.2f}") if limit < 1 else _("One colour scale for all three."))
    show_chart(draw_matrices(titles, [view.matrix_start, view.matrix, target], limit), "projection",
               _("W_s of block {number}, {outputs}×{inputs}. {verdict}").format(
                   number=view.block + 1, outputs=len(target), inputs=target.shape[1], verdict=judge(view, step)),
               list_matrix({"start": view.matrix_start, f"step_{step}": view.matrix, "I0": target}))
    if len(steps) > 1:
        words = _("‖W_s − [I; 0]‖ at the steps {steps}: {values}").format(
            steps=", ".join(map(str, steps)), values=", ".join(f"{value:.3f}" for value in drift))
        show_chart(draw_drift(steps, drift), "drift", words, list_drift(steps, drift))


def judge(view: ProjectionView, step: int) -> str:
    """Whether W_s has come nearer to [I; 0], by how much, and how far it moved in all."""
    if not all(map(math.isfinite, (view.drift, view.drift_start))):
        return _("W_s has no finite numbers any more.")
    if np.array_equal(view.matrix, view.matrix_start):
        return _("W_s has not moved from its start.")
    moved = float(np.linalg.norm(view.matrix - view.matrix_start))
    percent = 100 * (view.drift - view.drift_start) / view.drift_start
    words = _("W_s has moved by {moved} in {step} steps, and is now nearer to [I; 0] than at the start, by {percent} %.") \
        if percent < 0 else \
        _("W_s has moved by {moved} in {step} steps, and is now farther from [I; 0] than at the start, by {percent} %.")
    return words.format(moved=f"{moved:.3f}", step=step, percent=f"{abs(percent):.2f}")
