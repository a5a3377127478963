"""The browser's Back and Forward: one press, one change, on the page that is shown and from page to page."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.boards import PATIENCE, wait_board
from tests.browser.conftest import SETTLED

pytestmark = pytest.mark.browser


def settle(page: Page) -> str:
    """The address, once the page has settled, without the ids of runs."""
    page.wait_for_timeout(300)  # a rerun has to begin
    page.wait_for_function(SETTLED, timeout=PATIENCE)
    return re.sub("run=[^&]*", "", page.url)


def fill(page: Page, key: str, value: str) -> str:
    page.locator(f".st-key-{key} input").fill(value)
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(f"{key}={value}"), timeout=PATIENCE)
    return settle(page)


def press(page: Page, which: str) -> str:
    (page.go_back if which == "back" else page.go_forward)()
    return settle(page)


def test_back_is_one_press_for_one_change(page: Page, server) -> None:
    """Settings, a live change, a page by a button and one by its link: each is undone by one press, and done again."""
    page.goto("about:blank")
    page.goto(server.url + "/?lang=en")
    wait_board(page)
    places = [settle(page), fill(page, "depth", "8"), fill(page, "seed", "3")]
    assert press(page, "back") == places[1]
    expect(page.locator(".st-key-seed input")).to_have_value("0")
    assert press(page, "back") == places[0]
    expect(page.locator(".st-key-depth input")).to_have_value("20")
    expect(page.get_by_test_id("lane-1")).to_contain_text("20 layers")
    assert press(page, "forward") == places[1]
    expect(page.get_by_test_id("lane-1")).to_contain_text("8 layers")

    page.locator(".st-key-step button:visible").first.click()
    wait_board(page, "b.dataset.step === '1' && b.dataset.state === 'paused'")
    page.locator(".st-key-skip-1 label").first.click()
    page.wait_for_url(re.compile("changes=1.1.skip.0"), timeout=PATIENCE)
    page.wait_for_timeout(3000)  # a slow machine's board asks for a rerun, which a Back pressed now would lose to
    settle(page)
    assert press(page, "back") == places[1]
    expect(page.get_by_role("switch", name="Skip connections · lower net")).to_be_checked()
    wait_board(page, "b.dataset.step === '1'")  # nothing of the run is lost

    page.get_by_test_id("block-1-2").focus()
    page.keyboard.press("s")  # a shortcut cut on the board
    page.wait_for_url(re.compile("changes=1.1.cuts.1"), timeout=PATIENCE)
    page.wait_for_timeout(3000)
    settle(page)
    assert press(page, "back") == places[1]
    expect(page.get_by_test_id("arc-1-2")).to_have_attribute("aria-pressed", "false", timeout=PATIENCE)

    page.locator(".st-key-operate button:visible").click()
    page.wait_for_url(re.compile("/operations.*at=1"), timeout=PATIENCE)
    operations = settle(page)
    assert press(page, "back") == places[1]
    assert press(page, "forward") == operations
    expect(page.locator("h1")).to_have_text("Operations")
    page.get_by_role("link", name="Race").first.click()
    wait_board(page)
    settle(page)
    assert press(page, "back") == operations
    assert press(page, "back") == places[1] and press(page, "back") == places[0]
    page.go_back()
    assert page.url == "about:blank"
