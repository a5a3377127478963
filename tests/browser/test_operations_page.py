"""The page of operations in Chromium: one click, and what one goes on to."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import WIDTHS

pytestmark = pytest.mark.browser
PATIENCE = 60_000  # ms; the machine may be busy


def open_page(page: Page, url: str, query: str = "") -> None:
    """The page, once its nets have been trained."""
    page.goto(url + "/operations" + query)
    page.locator(".st-key-each button:visible").wait_for(timeout=PATIENCE)


def click(page: Page, key: str) -> None:
    page.locator(f".st-key-{key} button:visible").first.click()


def test_one_click_breaks_the_plain_net_and_undo_mends_it(page: Page, server) -> None:
    open_page(page, server.url)
    click(page, "do-zero-wb")
    expect(page.get_by_text("a[l+2] equals a[l] in every number")).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_text("Accuracy fell to that of guessing.")).to_be_visible(timeout=PATIENCE)
    page.wait_for_url(re.compile("ops=zero-wb"), timeout=PATIENCE)
    click(page, "undo")
    expect(page.get_by_text("Nothing has been done yet.")).to_be_visible(timeout=PATIENCE)
    click(page, "several")
    expect(page.locator(".st-key-several-blocks .js-plotly-plot")).to_be_visible(timeout=PATIENCE)
    assert not page.errors


def test_training_goes_on_from_operated_nets_in_a_copy(page: Page, server) -> None:
    """The residual block wakes up in a race of its own; what was operated on is still there, at its step."""
    open_page(page, server.url, "?depth=8&at=60&ops=zero-wb%3A1")
    click(page, "train_on")
    expect(page.get_by_text("operated on at step 60")).to_be_visible(timeout=PATIENCE)
    board = page.get_by_test_id("board")
    expect(board).to_have_attribute("data-step", "60", timeout=PATIENCE)
    click(page, "step")
    expect(board).to_have_attribute("data-step", "61", timeout=PATIENCE)
    page.wait_for_url(re.compile("edits=60"), timeout=PATIENCE)
    assert not page.errors


def test_the_races_nets_can_be_operated_on(page: Page, server) -> None:
    """From the race page, where it stands, and back: the race is there as it was."""
    page.goto(server.url + "/?depth=8&steps=40")
    page.locator(".st-key-play button:visible").first.click(timeout=PATIENCE)
    board = page.get_by_test_id("board")
    expect(board).to_have_attribute("data-state", "finished", timeout=PATIENCE)
    click(page, "operate")
    page.locator(".st-key-each button:visible").wait_for(timeout=PATIENCE)
    expect(page.get_by_role("spinbutton", name="At step")).to_have_value("40")
    click(page, "do-zero-wb")
    expect(page.get_by_text("Done: Zero W and b, block 2.")).to_be_visible(timeout=PATIENCE)
    page.get_by_role("link", name="Race").first.click()
    expect(board).to_have_attribute("data-step", "40", timeout=PATIENCE)
    expect(page.get_by_text("operated on at step")).to_have_count(0)
    assert not page.errors


@pytest.mark.parametrize("language", ["en", "zh_CN"])
def test_page_is_accessible_and_fits(page: Page, server, find_faults, language: str) -> None:
    open_page(page, server.url, f"?lang={language}&ops=lesion%3A1")
    click(page, "each")
    expect(page.locator(".st-key-each-block .js-plotly-plot")).to_be_visible(timeout=PATIENCE)
    assert not find_faults(page, WIDTHS)
    assert not page.errors


def test_words_have_their_sentence_by_keyboard_and_on_a_phone(page: Page, server) -> None:
    """A word is tabbed to, or tapped: its sentence stands below it, within the page."""
    page.set_viewport_size({"width": 390, "height": 844})
    open_page(page, server.url, "?depth=8&at=60")
    word = page.locator(".rv-word").last
    expect(word.locator(".rv-meaning")).to_be_hidden()
    word.focus()
    expect(word.locator(".rv-meaning")).to_be_visible()
    box = word.locator(".rv-meaning").bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= 390
