"""A measurement that takes a while: how far it is, a way to stop it, and what has come in so far."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import streamlit as st

from resnet_viz.engine.hub import hub
from resnet_viz.engine.jobs import Call, Job
from resnet_viz.records import ConfigError
from resnet_viz.text import _, use_language
from resnet_viz.ui.words import sentence

POLL = 0.3  # seconds between two looks
PATIENCE = 0.5  # seconds that the drawing of a page waits for numbers; then a bar stands in their place

Question = tuple[Hashable, list[Call]]  # a job's key, and its calls


def ask(questions: Sequence[Question], name: str, show: Callable[..., None]) -> None:
    """Show numbers that are soon there: at once, or where the workers are busy, behind a bar as soon as they have come.

    `show` is given the questions' jobs, all ended. `name` is the widgets'.
    """
    for i, (key, calls) in enumerate(questions):
        start_job(key, calls, f"{name}.{i}", priority=1)
    show_soon([job for key, _calls in questions if (job := hub.jobs.get(key)) is not None], name, show)


def ask_examples(dataset: str, count: int) -> Question:
    """Some examples of a data set."""
    return ("examples", dataset, count), [Call("datasets.take_examples", None, (dataset, count))]


def show_soon(jobs: Sequence[Job], name: str, show: Callable[..., None]) -> None:
    """The same of jobs that have been started."""
    hub.call(hub.settle(jobs, PATIENCE))
    if any(job.state == "running" for job in jobs):
        wait_for(jobs, name)
        return
    for job in jobs:
        if isinstance(job.error, ConfigError):
            st.error(sentence(job.error), icon=":material/error:")
        elif job.state != "done":
            st.info(_("Not measured to the end. Press the button to measure again."))
    show(*jobs)


@st.fragment(run_every=POLL)
def wait_for(jobs: Sequence[Job], name: str) -> None:
    use_language(st.session_state.language)  # a fragment runs by itself
    if all(job.state != "running" for job in jobs):
        st.rerun()
    show_bar(jobs, name)


def show_bar(jobs: Sequence[Job], name: str) -> None:
    """How far jobs are, and a button that stops them."""
    done, total = sum(job.done for job in jobs), sum(job.total for job in jobs)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.progress(done / total, text=_("Measuring: {done} of {total}").format(done=done, total=total))
        st.button(_("Cancel"), key=f"{name}.cancel", on_click=cancel_jobs, args=(jobs,))


def cancel_jobs(jobs: Sequence[Job]) -> None:
    for job in jobs:
        hub.loop.call_soon_threadsafe(job.cancel)


def start_job(key: Hashable, calls: list[Call], name: str, priority: int = 0) -> None:
    """Start a job where there is none; one that was stopped, by a button. `name` is the button's.

    What these nets do not allow is not asked again. Of `priority` 1 is what a page waits for.
    """
    job = hub.jobs.get(key)
    stopped = job is not None and job.state in ("cancelled", "failed") and not isinstance(job.error, ConfigError)
    if job is None or (stopped and st.button(_("Measure again"), key=f"{name}.again", icon=":material/refresh:")):
        hub.call(hub.start(key, calls, priority))


def follow_job(key: Hashable, name: str, show: Callable[[Job], None]) -> None:
    """Show a job of the hub: its progress while it runs, and always what there is of its results.

    `name` is the widgets'; `show` draws the results, of which some may be None.
    """
    job = hub.jobs.get(key)
    if job is None:
        return
    if job.state == "running":
        watch_job(job, name, show)
        return
    if isinstance(job.error, ConfigError):
        st.info(sentence(job.error))
    elif job.state != "done":
        st.info(_("Not measured to the end. Press the button to measure again."))
    show(job)


@st.fragment(run_every=POLL)
def watch_job(job: Job, name: str, show: Callable[[Job], None]) -> None:
    use_language(st.session_state.language)  # a fragment runs by itself
    if job.state != "running":
        st.rerun()
    show_bar([job], name)
    show(job)
