"""What each block of a race's nets is worth: removed alone, where the race stands now."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import streamlit as st

from resnet_viz.engine.hub import hub
from resnet_viz.engine.jobs import Call, Job
from resnet_viz.engine.race import Race
from resnet_viz.figures.decay import draw_removal
from resnet_viz.records import DATASETS
from resnet_viz.text import _
from resnet_viz.ui.chance import explain_breaking, tell_chance
from resnet_viz.ui.charts import show_chart
from resnet_viz.ui.progress import follow_job


def show_removal(race: Race, names: list[str]) -> None:
    """A button, and what came out when it was last pressed."""
    st.header(_("Can a block be removed now?"), anchor=False)
    st.markdown(_("A block that has become the identity can go; one that is of use is missed. In a plain net the whole "
                  "block is taken out, in a residual one its branch."))
    if st.button(_("Remove each block in turn"), icon=":material/content_cut:", key="remove", disabled=race.step == 0):
        start_removal(race)
    wanted = st.session_state.get("removal")
    if wanted is None or wanted[0] != race.id:
        return
    follow_job(wanted[2], "removal", lambda job: show_result(job, names, wanted[1]))


def start_removal(race: Race) -> None:
    """Measure each lane whole and without each block, of the states where the race stands."""
    step = race.step

    async def make_calls() -> list[Call]:
        states = await race.take_states(step)
        return [*(Call("experiments.training.finish", state) for state in states),
                *(Call("experiments.operations.measure_each_block", state, ("lesion",)) for state in states)]

    key = ("removal", replace(race.config.until(step), steps=1), step)
    hub.call(hub.start(key, make_calls))
    st.session_state["removal"] = race.id, step, key


def show_result(job: Job, names: list[str], step: int) -> None:
    """Once all is there: the lanes are compared with each other."""
    if job.state != "done" or len(job.calls) != 2 * len(names):
        return
    whole = [result["test_accuracy"] for result in job.results[: len(names)]]
    removed = [np.asarray(result)[1] for result in job.results[len(names) :]]
    worst = [accuracy - np.nanmin(values, initial=accuracy) for accuracy, values in zip(whole, removed, strict=True)]
    chance = 1 / DATASETS[job.calls[0].state.dataset].classes
    rows = [{"net": name, "step": step, "without_block": k + 1, "test_accuracy": float(value), "whole": accuracy}
            for name, accuracy, values in zip(names, whole, removed, strict=True) for k, value in enumerate(values)]
    words = [_("{net}: {accuracy} %, and without its most needed block {cost} points less").format(
        net=name, accuracy=f"{100 * accuracy:.1f}", cost=f"{100 * loss:.1f}")
        for name, accuracy, loss in zip(names, whole, worst, strict=True)]
    st.caption(_("At step {step}. A line: the whole net. A point: the net without one block; point at it to see which.")
               .format(step=step))
    show_chart(draw_removal(names, whole, removed, chance), "removal", _(". ").join(words), rows)
    guessing = tell_chance(dict(zip(names, whole, strict=True)), chance, explain_breaking())
    if guessing:
        st.info(guessing, icon=":material/help:")
