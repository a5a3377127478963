"""The page of gradients in Chromium: what is chosen is drawn, and stands in the address."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import WIDTHS

pytestmark = pytest.mark.browser
PATIENCE = 90_000  # ms; the machine may be busy
SMALL = "depth=8&at=30&slope_depth=8&line_depth=4"


def open_page(page: Page, url: str, query: str = SMALL) -> None:
    """The page, once its nets are trained and all is measured."""
    page.goto(f"{url}/gradients?{query}")
    for key in ("slopes-none", "slopes-batch", "autocorrelation", "responses", "now"):
        page.locator(f".st-key-{key} .js-plotly-plot").first.wait_for(timeout=PATIENCE)


def test_chosen_nets_are_drawn_and_in_the_address(page: Page, server) -> None:
    open_page(page, server.url)
    legend = page.locator(".st-key-slopes-none .legendtext")
    expect(legend).to_have_count(6)
    page.get_by_role("button", name="Last layer of a branch zero").click()
    expect(legend).to_have_count(8, timeout=PATIENCE)
    page.wait_for_url(re.compile("inits=default%2Che%2Cxavier%2Czero-last"), timeout=PATIENCE)
    expect(page.get_by_text("no gradient").first).to_be_visible()
    page.get_by_role("radio", name="0.1").click()
    expect(page.get_by_text("Residual, branch × 0.1: autocorrelation at lag 1")).to_be_visible(timeout=PATIENCE)
    page.get_by_role("spinbutton", name="At step").fill("0")
    page.get_by_role("spinbutton", name="At step").press("Enter")
    expect(page.get_by_text("The gradient in these nets, at step 0")).to_be_visible(timeout=PATIENCE)
    assert not page.errors


@pytest.mark.parametrize("language", ["en", "zh_CN"])
def test_page_is_accessible_and_fits(page: Page, server, find_faults, language: str) -> None:
    open_page(page, server.url, f"{SMALL}&lang={language}")
    assert not find_faults(page, WIDTHS)
    assert not page.errors
