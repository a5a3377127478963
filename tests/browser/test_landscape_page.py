"""The page of the loss landscape in Chromium: grids that grow finer, cancelled and gone on with; a surface in WebGL."""

from __future__ import annotations

import io
import re

import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import WIDTHS

pytestmark = pytest.mark.browser
PATIENCE = 60_000  # ms; the machine may be busy
CONV = "family=conv&shortcut=zero-pad&norm=batch&depth=8&width=3&at=12&steps=12&finest=9&part=test"
LARGE = "family=conv&shortcut=zero-pad&norm=batch&depth=20&width=16&at=4&steps=4&finest=33"  # takes a minute


def open_page(page: Page, url: str, query: str, done: str) -> None:
    """The page, once the finest grid is there."""
    page.goto(f"{url}/landscape?{query}")
    expect(page.get_by_text(done).first).to_be_visible(timeout=PATIENCE)


def choose(page: Page, name: str) -> None:
    page.get_by_role("radio", name=name, exact=True).first.click()


def wait_for_colours(page: Page, canvas: Locator) -> None:
    """Until a good part of a canvas is seen in saturated colours: a surface, not a background with axes."""
    for _look in range(30):
        saturation = Image.open(io.BytesIO(canvas.screenshot())).convert("HSV").getchannel("S").histogram()
        if sum(saturation[100:]) > 0.05 * sum(saturation):
            return
        page.wait_for_timeout(500)
    raise AssertionError("no surface is drawn")


def test_contours_then_a_surface_that_webgl_draws(page: Page, server) -> None:
    """Both twins, each with its net, its trajectory, and pixels that are not all alike."""
    open_page(page, server.url, f"{CONV}&lang=en", "White line: the trajectory")
    for i in (1, 2):
        chart = page.locator(f".st-key-landscape-{i} .js-plotly-plot")
        expect(chart.locator(".contourfill path").first).to_be_attached(timeout=PATIENCE)
        expect(chart.locator(".scatterlayer .trace")).not_to_have_count(0)
    choose(page, "Surface")
    for i in (1, 2):
        canvas = page.locator(f".st-key-landscape-{i} .gl-container canvas").first
        expect(canvas).to_be_visible(timeout=PATIENCE)
        canvas.scroll_into_view_if_needed()
        wait_for_colours(page, canvas)
    assert "view=surface" in page.url
    assert not page.errors


def test_cancelled_and_gone_on_with(page: Page, server) -> None:
    """What is there stays on screen; the rest comes at a button."""
    page.goto(f"{server.url}/landscape?lang=en&{LARGE}")
    page.locator(".st-key-cancel button:visible").first.click(timeout=PATIENCE)
    stopped, grid = page.get_by_text("Stopped: what is there stays."), page.get_by_text(re.compile(r"^(\d+)×\1 points\."))
    expect(stopped).to_be_visible(timeout=PATIENCE)
    page.locator(".st-key-go_on button:visible").first.click()
    expect(grid).to_be_visible(timeout=PATIENCE)
    page.locator(".st-key-cancel button:visible").first.click(timeout=PATIENCE)
    expect(stopped).to_be_visible(timeout=PATIENCE)
    expect(grid).to_be_visible()
    expect(page.locator(".st-key-landscape-2 .js-plotly-plot")).to_be_visible()
    assert not page.errors


@pytest.mark.parametrize("language", ["en", "zh_CN"])
def test_page_is_accessible_and_fits(page: Page, server, find_faults, language: str) -> None:
    done = {"en": "9×9 points.", "zh_CN": "9×9 个点。"}[language]
    view = {"en": "surface", "zh_CN": "contours"}[language]
    open_page(page, server.url, f"{CONV}&way=0&view={view}&lang={language}", done)
    expect(page.locator(".st-key-cancel")).to_have_count(0, timeout=PATIENCE)
    assert not find_faults(page, WIDTHS)
    assert not page.errors
