"""A page without a browser: opened with a query, and waited for."""

from __future__ import annotations

import time
from collections.abc import Callable

from streamlit.testing.v1 import AppTest

from resnet_viz.engine.hub import hub
from resnet_viz.engine.race import Race

SCRIPT = """
from resnet_viz.ui.session import return_to, start_session
from resnet_viz.ui.views.{name} import show_page

start_session()
return_to("{name}")
show_page()
"""


def run_page(name: str, timeout: float = 60, **query: str) -> AppTest:
    """One run of the script of the page `views/{name}.py`, at an address with this query."""
    page = AppTest.from_string(SCRIPT.format(name=name), default_timeout=timeout)
    for key, value in query.items():
        page.query_params[key] = value
    page.run()
    assert not page.exception
    return page


def wait_for(condition: Callable[[], object], meanwhile: Callable[[], object] = lambda: None, seconds: float = 240) -> None:
    """Wait, workers may still be starting. `meanwhile` is done every 5 s: a race that nobody watches pauses."""
    deadline, looked = time.monotonic() + seconds, time.monotonic()
    while not condition() and time.monotonic() < deadline:
        if time.monotonic() > looked + 5:
            meanwhile()
            looked = time.monotonic()
        time.sleep(0.05)
    assert condition()


def open_nets(name: str, **query: str) -> AppTest:
    """A page that operates on nets, once they are trained."""
    return train_nets(run_page(name, **query))


def train_nets(page: AppTest) -> AppTest:
    """The page once its nets are trained, run now and then meanwhile, as its fragments are in a browser."""
    wait_for(lambda: find_nets(page).step >= page.session_state["subject.step"], page.run)
    page.run()
    assert not page.exception
    return page


def wait_for_jobs() -> None:
    """Until all that was asked for has been measured."""
    wait_for(lambda: all(job.state != "running" for job in list(hub.jobs.values())))


def find_nets(page: AppTest) -> Race:
    """The race whose nets a page operates on."""
    return hub.find(page.session_state["subject"])


def read_texts(page: AppTest) -> str:
    return "\n".join(item.value for item in [*page.header, *page.markdown, *page.caption, *page.info])


def can_be_taken_home(page: AppTest) -> bool:
    """Whether the page's nets are offered as script, weights and config."""
    keys = {button.key for button in page.get("download_button")}
    return {f"export.{name}" for name in ("script", "weights", "config")} <= keys
