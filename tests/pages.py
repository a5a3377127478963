"""A page without a browser: opened with a query, and waited for."""

from __future__ import annotations

import time
from collections.abc import Callable

from streamlit.testing.v1 import AppTest

SCRIPT = """
from resnet_viz.ui.session import start_session
from resnet_viz.ui.views.{name} import show_page

start_session()
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


def can_be_taken_home(page: AppTest) -> bool:
    """Whether the page's nets are offered as script, weights and config."""
    keys = {button.key for button in page.get("download_button")}
    return {f"export.{name}" for name in ("script", "weights", "config")} <= keys
