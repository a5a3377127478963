"""The page of paths in Chromium: paths light up one by one, by button, by keyboard, and where nothing may move."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import WIDTHS

pytestmark = pytest.mark.browser
PATIENCE = 90_000  # ms; the machine may be busy
SMALL = "depth=8&at=30"  # three blocks, eight paths


def open_page(page: Page, url: str, query: str = SMALL) -> None:
    """The page, once its nets are trained and all is measured."""
    page.goto(f"{url}/paths?{query}")
    page.locator(".rv-unravelled").wait_for(timeout=PATIENCE)
    page.locator(".st-key-together .js-plotly-plot").first.wait_for(timeout=PATIENCE)


def test_paths_light_up_one_by_one_and_add_up(page: Page, server, tmp_path: Path) -> None:
    """No part of the picture is made anew while they do, and where one stops is in the address."""
    open_page(page, server.url)
    said, lit = page.locator(".rv-said"), page.locator(".rv-path.lit")
    expect(said).to_contain_text("Path 1 of 8, along shortcuts alone.")
    page.evaluate("() => document.querySelectorAll('.rv-unravelled *').forEach((part) => (part.kept = true))")
    page.get_by_label("Speed").select_option(label="fast")
    page.get_by_role("button", name="Light up path by path").click()
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    seen = {lit.count() for _ in range(40) if page.wait_for_timeout(50) is None}
    assert len(seen) > 2 and seen <= set(range(1, 9))
    expect(said).to_contain_text("All paths are lit, and their sum is the whole gradient", timeout=PATIENCE)
    expect(page.get_by_role("button", name="Light up path by path")).to_be_visible()
    assert lit.count() == 8 and page.locator(".rv-bar.lit").count() == 8
    page.wait_for_url(re.compile("path=7"), timeout=PATIENCE)
    assert page.evaluate("() => [...document.querySelectorAll('.rv-unravelled *')].every((part) => part.kept)")
    page.locator(".rv-path").nth(4).click()
    page.wait_for_url(re.compile("path=4"), timeout=PATIENCE)
    expect(said).to_contain_text("Path 5 of 8, through the branches of blocks 1, 2. Length: 2.")
    with page.expect_download() as download:
        page.get_by_role("button", name="Picture (SVG)").click()
    download.value.save_as(tmp_path / "paths.svg")
    picture = ElementTree.parse(tmp_path / "paths.svg").getroot()
    assert len([part for part in picture.iter() if "now" in part.get("class", "").split()]) == 2
    page.reload()
    expect(said).to_contain_text("Path 5 of 8", timeout=PATIENCE)
    assert not page.errors


def test_paths_by_keyboard_where_nothing_may_move(chromium: Browser, server) -> None:
    """The slider says where each path leads; with reduced motion nothing slides or fades."""
    context = chromium.new_context(viewport={"width": 1440, "height": 1000}, locale="en-GB", reduced_motion="reduce")
    page = context.new_page()
    open_page(page, server.url, SMALL + "&path=1")
    slider, said = page.get_by_role("slider", name="Path"), page.locator(".rv-said")
    expect(slider).to_have_attribute("aria-valuetext", "Path 2 of 8, through the branch of block 1.")
    slider.focus()
    page.keyboard.press("ArrowRight")
    expect(slider).to_have_attribute("aria-valuetext", "Path 3 of 8, through the branch of block 2.")
    expect(said).to_have_attribute("aria-live", "polite")
    on = page.locator(".rv-box.on")
    expect(on).to_have_count(1)
    expect(on).to_have_text("F₂")
    speed, button = page.get_by_label("Speed"), page.locator(".rv-controls button")
    expect(speed).to_have_value("slow, read out")  # stills, until somebody wants them faster
    button.focus()
    page.keyboard.press("Enter")
    expect(said).to_have_attribute("aria-live", "polite")
    speed.select_option(label="fast")
    expect(said).to_have_attribute("aria-live", "off")  # too fast to be read out
    speed.select_option(label="slow, read out")
    expect(said).to_have_attribute("aria-live", "polite")
    button.focus()
    page.keyboard.press("Enter")
    expect(button).to_have_text("Light up path by path")
    parts = "[...document.querySelectorAll('.rv-unravelled *')]"
    assert set(page.evaluate(f"() => {parts}.map((part) => getComputedStyle(part).transitionDuration)")) == {"0s"}
    context.close()


@pytest.mark.parametrize("language", ["en", "zh_CN"])
def test_page_is_accessible_and_fits(page: Page, server, find_faults, language: str) -> None:
    open_page(page, server.url, f"{SMALL}&lang={language}&path=5")
    assert not find_faults(page, WIDTHS)
    assert not page.errors
