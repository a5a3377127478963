"""The page on dimensions in Chromium: four lanes race, and W_s is looked at."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.boards import PATIENCE, wait_board
from tests.browser.conftest import WIDTHS

pytestmark = pytest.mark.browser
SMALL = "width=16%2C32&depth=8&steps=60"


def open_page(page: Page, url: str, query: str) -> None:
    page.goto(f"{url}/dimensions?{query}")
    wait_board(page)
    wait_script(page)


def wait_script(page: Page) -> None:
    """Until Streamlit has drawn all: what it draws anew it dims, and a click then may be lost."""
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for(timeout=PATIENCE)


def click(page: Page, key: str) -> None:
    wait_script(page)
    page.locator(f".st-key-{key} button:visible").first.click()


@pytest.mark.parametrize("family", ["dense", "conv"])
def test_four_lanes_race_and_w_s_is_looked_at(page: Page, server, family: str) -> None:
    """Each lane measures a training accuracy; then W_s stands beside its start and [I; 0]."""
    open_page(page, server.url, f"{SMALL}&lang=en" if family == "dense" else "family=conv&depth=8&width=4&steps=40&lang=en")
    board = page.get_by_test_id("board")
    before = re.findall(r"Training accuracy\s+(\S+)", board.inner_text())
    click(page, "play")
    wait_board(page, "b.dataset.state === 'finished'")
    after = re.findall(r"Training accuracy\s+([\d.]+) %", board.inner_text())
    assert len(before) == len(after) == 4 and before != after
    expect(page.locator(".st-key-play button:visible").first).to_be_disabled(timeout=PATIENCE)
    click(page, "look")
    expect(page.get_by_text("W_s has moved by")).to_be_visible(timeout=PATIENCE)
    chart = page.locator(".st-key-projection .js-plotly-plot")
    chart.scroll_into_view_if_needed()
    expect(chart.locator(".hm image")).to_have_count(3, timeout=PATIENCE)
    expect(page.locator(".st-key-drift .js-plotly-plot")).to_be_visible(timeout=PATIENCE)
    assert not page.errors


def test_error_follows_its_numbers_and_the_link(page: Page, server) -> None:
    open_page(page, server.url, f"{SMALL}&lang=en&a=12&z=34")
    code = page.locator("[data-testid=stCode]").first
    expect(code).to_contain_text("The size of tensor a (12) must match the size of tensor b (34)", timeout=PATIENCE)
    field = page.locator(".st-key-dims-z input")
    field.fill("12")
    field.press("Enter")
    expect(code).not_to_contain_text("RuntimeError", timeout=PATIENCE)
    page.wait_for_url(re.compile("z=12"), timeout=PATIENCE)
    assert not page.errors


@pytest.mark.parametrize("language", ["en", "zh_CN"])
def test_page_is_accessible_and_fits(page: Page, server, find_faults, language: str) -> None:
    """With W_s on the page; all three diagrams are as wide as they can be read."""
    open_page(page, server.url, f"{SMALL}&lang={language}")
    click(page, "step")
    wait_board(page, "b.dataset.step === '1'")
    click(page, "look")
    expect(page.locator(".st-key-projection .js-plotly-plot")).to_be_visible(timeout=PATIENCE)
    wait_script(page)
    assert not find_faults(page, WIDTHS)
    diagrams = page.locator("[class*='st-key-way']:not([class*='csv']) .js-plotly-plot").all()
    assert len(diagrams) == 3 and all(diagram.bounding_box()["width"] > 300 for diagram in diagrams)
    assert not page.errors
