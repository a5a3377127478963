"""A measurement that takes a while: how far it is, a way to stop it, and what has come in so far."""

from __future__ import annotations

from collections.abc import Callable, Hashable

import streamlit as st

from resnet_viz.engine.hub import hub
from resnet_viz.engine.jobs import Call, Job
from resnet_viz.records import ConfigError
from resnet_viz.text import _, use_language
from resnet_viz.ui.words import sentence

POLL = 0.3  # seconds between two looks


def start_job(key: Hashable, calls: list[Call], name: str) -> None:
    """Start a job where there is none; one that was stopped, by a button. `name` is the button's.

    What these nets do not allow is not asked again.
    """
    job = hub.jobs.get(key)
    stopped = job is not None and job.state in ("cancelled", "failed") and not isinstance(job.error, ConfigError)
    if job is None or (stopped and st.button(_("Measure again"), key=f"{name}.again", icon=":material/refresh:")):
        hub.call(hub.start(key, calls))


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
    with st.container(horizontal=True, vertical_alignment="center"):
        st.progress(job.done / job.total, text=_("Measuring: {done} of {total}").format(done=job.done, total=job.total))
        st.button(_("Cancel"), key=f"{name}.cancel", on_click=hub.loop.call_soon_threadsafe, args=(job.cancel,))
    show(job)
