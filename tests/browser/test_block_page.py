"""The page of one block in Chromium: the drawing canvas, the sliders, and whether it can be used by everybody."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import WIDTHS

pytestmark = pytest.mark.browser
PATIENCE = 60_000  # ms; the machine may be busy
NETS = "depth=8&init=xavier&lr=0.02&at=60"


def open_page(page: Page, url: str, query: str = "") -> None:
    page.goto(f"{url}/block?{NETS}{query}")
    expect(page.locator(".st-key-block-resume button:visible")).to_be_visible(timeout=PATIENCE)
    expect(page.locator(".js-plotly-plot .main-svg").first).to_be_visible(timeout=PATIENCE)


def wait_pixels(page: Page, condition: str) -> None:
    """Until the drawing in the address, `p`, is as it should be."""
    page.wait_for_function(f"() => {{ const p = new URLSearchParams(location.search).get('pixels'); return {condition}; }}",
                           timeout=PATIENCE)


def test_a_digit_is_drawn_by_mouse_and_by_keyboard(page: Page, server) -> None:
    open_page(page, server.url)
    page.get_by_role("radio", name="Draw a digit").click()
    canvas = page.get_by_test_id("canvas")
    expect(page.get_by_text("Nothing is drawn yet.")).to_be_visible(timeout=PATIENCE)
    wait_pixels(page, "p === '0'.repeat(64)")
    answer = page.get_by_text("Residual net says")
    before = answer.inner_text()
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.55, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] - 20, steps=10)
    page.mouse.up()
    wait_pixels(page, "p !== '0'.repeat(64) && p.slice(0, 3) === '000'")
    expect(answer).not_to_have_text(before, timeout=PATIENCE)
    page.get_by_role("button", name="Clear").click()
    wait_pixels(page, "p === '0'.repeat(64)")
    canvas.focus()
    page.keyboard.press("Space")
    for _step in range(12):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.get_by_text("The pen is up.")).to_be_visible()
    wait_pixels(page, "[...p].filter((sign) => sign !== '0').length >= 6")
    page.keyboard.press("Escape")
    wait_pixels(page, "p === '0'.repeat(64)")
    assert not page.errors


def test_zeroed_the_block_is_the_identity_in_the_residual_net(page: Page, server) -> None:
    open_page(page, server.url)
    page.locator(".st-key-block-zero button:visible").click()
    expect(page.get_by_text("The block is the identity")).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_text("The output is the same for every input")).to_be_visible()
    page.locator(".st-key-block-resume button:visible").click()
    page.wait_for_function("() => location.pathname !== '/block'", timeout=PATIENCE)
    page.wait_for_function("() => document.querySelector('[data-testid=board]')?.dataset.step === '60'", timeout=PATIENCE)
    assert not page.errors


@pytest.mark.parametrize("language", ["en", "zh_CN"])
def test_page_is_accessible_and_fits(page: Page, server, find_faults, language: str) -> None:
    open_page(page, server.url, f"&lang={language}&pixels={'0' * 24 + 'g' * 16 + '0' * 24}")
    expect(page.get_by_test_id("canvas")).to_be_visible(timeout=PATIENCE)
    assert not find_faults(page, WIDTHS)
    assert not page.errors
