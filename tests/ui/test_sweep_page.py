"""The page of sweeps, on an open engine with a database of its own."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from resnet_viz.engine.hub import Hub
from resnet_viz.engine.sweep import Sweep

SMALL = {"vary": "depth,shortcut", "depth": "4,6", "shortcut": "none,identity", "seeds": "2", "steps": "4", "width": "8"}


@pytest.fixture(scope="module", autouse=True)
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Before the engine, which opens it."""
    path = tmp_path_factory.mktemp("runs") / "runs.sqlite"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RESNET_VIZ_DATABASE", f"sqlite:///{path}")
        yield path


def script() -> None:
    from resnet_viz.ui.session import start_session
    from resnet_viz.ui.views.sweep import show_page

    start_session()
    show_page()


def open_page(**query: str) -> AppTest:
    page = AppTest.from_function(script, default_timeout=60)
    for name, value in query.items():
        page.query_params[name] = value
    page.run()
    assert not page.exception
    return page


def wait_for(condition) -> None:
    deadline = time.monotonic() + 60
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert condition()


def start(engine: Hub, page: AppTest) -> Sweep:
    page.button(key="sweep.start").click().run()
    assert not page.exception
    return engine.find_sweep(page.query_params["sweep"])


def test_a_sweep_is_run_and_shown(engine: Hub) -> None:
    page = open_page(**SMALL)
    assert page.metric[0].value == "8"
    sweep = start(engine, page)
    wait_for(lambda: sweep.state == "done")
    page.run()
    assert not page.exception and not page.error
    print([m.value for m in page.markdown])
