"""The pages of sweeps and of stored runs in Chromium, on a server with a database of its own."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import WIDTHS

pytestmark = pytest.mark.browser
PATIENCE = 90_000  # ms; the machine may be busy
SMALL = "vary=depth%2Cshortcut&depth=4%2C8&shortcut=none%2Cidentity&seeds=2&steps=20&width=16"


@pytest.fixture(scope="module")
def server(launch: Callable, tmp_path_factory: pytest.TempPathFactory) -> Iterator:
    path: Path = tmp_path_factory.mktemp("runs") / "runs.sqlite"
    running = launch(RESNET_VIZ_DATABASE=f"sqlite:///{path}")
    yield running
    running.stop()


def click(page: Page, key: str) -> None:
    page.locator(f".st-key-{key} button:visible").first.click(timeout=PATIENCE)


def run_sweep(page: Page, url: str, query: str) -> None:
    page.goto(f"{url}/sweep?{query}")
    click(page, "sweep-start")
    expect(page.get_by_test_id("stDataFrame")).to_be_visible(timeout=PATIENCE)
    page.wait_for_function("() => /^(Done in|用时)/.test(document.querySelector('.rv-live')?.textContent ?? '')",
                           timeout=PATIENCE)


def test_points_appear_and_a_reload_finds_them(page: Page, server) -> None:
    """Eight runs: their points are on the charts, their end is said to screen readers, the link shows them again."""
    run_sweep(page, server.url, f"{SMALL}&lang=en")
    expect(page.locator(".rv-live")).to_have_attribute("aria-live", "polite")
    expect(page.locator(".rv-live")).to_contain_text("8 of 8 runs")
    chart = page.locator(".st-key-sweep-train_loss-0 .js-plotly-plot")
    expect(chart.locator(".scatterlayer .trace")).to_have_count(4, timeout=PATIENCE)  # nothing has diverged
    expect(chart.locator(".scatterlayer .point")).to_have_count(4 + 8, timeout=PATIENCE)  # means and runs
    expect(page.get_by_text("What these numbers say")).to_be_visible()
    page.wait_for_url(re.compile("sweep="), timeout=PATIENCE)
    page.reload()
    expect(page.locator(".rv-live")).to_contain_text("8 of 8 runs", timeout=PATIENCE)
    assert not page.errors


def test_a_sweep_is_cancelled(page: Page, server) -> None:
    page.goto(f"{server.url}/sweep?vary=depth&depth=50%2C52&seeds=3&steps=5000&lang=en")
    click(page, "sweep-start")
    bar = page.get_by_role("progressbar")
    expect(bar).to_be_visible(timeout=PATIENCE)
    click(page, "sweep-cancel")
    expect(page.locator(".rv-live")).to_contain_text("Cancelled after", timeout=PATIENCE)
    expect(bar).to_have_count(0, timeout=PATIENCE)
    expect(page.locator(".st-key-sweep-start button:visible").first).to_be_enabled(timeout=PATIENCE)
    assert not page.errors


def test_stored_runs_are_compared_and_raced_again(page: Page, server) -> None:
    """Two runs that differ in the shortcut, selected on the page, become the two lanes of a race."""
    run_sweep(page, server.url, f"{SMALL}&lang=en")
    page.goto(f"{server.url}/runs?depth=8&seed=0&lang=en")
    table = page.locator("[class*='st-key-runs-table']").first
    expect(table).to_be_visible(timeout=PATIENCE)
    for row in (1, 2):  # the header is the first; a row is 35 px high
        table.locator(".dvn-scroller").click(position={"x": 15, "y": 35 * row + 17})
    expect(page.locator("[class*='st-key-runs-points-loss'] .js-plotly-plot")).to_be_visible(timeout=PATIENCE)
    expect(page.locator(".st-key-runs-race button:visible").first).to_be_enabled(timeout=PATIENCE)
    with page.expect_download() as download:
        click(page, "runs-csv")
    assert len(download.value.path().read_text(encoding="utf-8").splitlines()) == 3
    click(page, "runs-race")
    page.wait_for_url(re.compile(r"depth=8.*run="), timeout=PATIENCE)
    expect(page.get_by_test_id("board")).to_be_visible(timeout=PATIENCE)
    assert not page.errors


@pytest.mark.parametrize("language", ["en", "zh_CN"])
def test_pages_are_accessible_and_fit(page: Page, server, find_faults, language: str) -> None:
    run_sweep(page, server.url, f"{SMALL}&lang={language}")
    expect(page.locator(".st-key-sweep-test_loss-0 .js-plotly-plot")).to_be_visible(timeout=PATIENCE)
    assert not find_faults(page, WIDTHS)
    page.goto(f"{server.url}/runs?lang={language}")
    expect(page.locator("[class*='st-key-runs-table']").first).to_be_visible(timeout=PATIENCE)
    assert not find_faults(page, WIDTHS)
    assert not page.errors
