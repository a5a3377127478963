"""The page on architectures in Chromium: drawn, zoomed, passed by a picture, and taken home."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.conftest import WIDTHS

pytestmark = pytest.mark.browser
PATIENCE = 60_000  # ms; the machine may be busy
LABELS = ".js-plotly-plot .bars .point text"


def open_page(page: Page, url: str, query: str = "?lang=en") -> None:
    page.goto(f"{url}/architecture{query}")
    expect(page.locator(LABELS).first).to_be_visible(timeout=PATIENCE)
    expect(page.locator(".pass-strip")).to_be_visible(timeout=PATIENCE)


def test_boxes_are_pointed_at_and_zoomed(page: Page, server) -> None:
    open_page(page, server.url)
    expect(page.locator(LABELS)).to_have_count(24 + 36 + 36)
    page.locator(LABELS, has_text="3×3 conv, 512, /2").last.hover(force=True)
    box = page.locator(".hoverlayer")
    for words in ("layer4.0.conv1", "512×7×7", "1,179,648 parameters", "57,802,752 multiply-adds", "layer 28 of 34"):
        expect(box).to_contain_text(words, timeout=PATIENCE)
    letters = f"document.querySelector('{LABELS}').getBoundingClientRect().height"
    before = page.evaluate(letters)
    page.mouse.move(0, 0)
    page.locator("[data-title='Zoom in']").click()
    page.wait_for_function(f"() => {letters} > {1.5 * before}", timeout=PATIENCE)
    page.locator("[data-title='Show all']").click()
    page.wait_for_function(f"() => {letters} < {1.1 * before}", timeout=PATIENCE)
    assert not page.errors


def test_a_picture_passes_by_itself_and_by_the_keys(page: Page, server) -> None:
    """One layer after the other is lit; then by the slider, which says the layer and its shape to who hears the page."""
    open_page(page, server.url, "?lang=en&nets=resnet18")
    page.locator(".st-key-arch-play button").click()
    expect(page.locator(".pass-plays .pass-strip > span")).to_have_count(20, timeout=PATIENCE)
    lit = """() => [...document.querySelectorAll('.pass-strip > span')].filter(
        span => getComputedStyle(span).backgroundColor !== 'rgba(0, 0, 0, 0)').length"""
    page.wait_for_function(f"() => {{ const lit = ({lit})(); return lit > 0 && lit < 20; }}", timeout=PATIENCE)
    page.wait_for_function(f"() => ({lit})() === 20", timeout=PATIENCE)
    expect(page.locator(".pass-captions p").last).to_be_visible(timeout=PATIENCE)
    slider = page.locator(".st-key-arch-step input[type=range]")
    expect(slider).to_have_count(0)  # or it would stand at the end while the first layer is lit
    page.locator(".st-key-arch-choose button").click()
    expect(slider).to_have_attribute("aria-valuetext", "20/20 · 1000", timeout=PATIENCE)
    slider.press("ArrowLeft")
    caption = page.locator(".pass-captions p")
    expect(caption).to_have_count(1, timeout=PATIENCE)
    expect(caption).to_contain_text("avg pool · does not count as a layer · 512×7×7 → 512×1×1", timeout=PATIENCE)
    expect(slider).to_have_attribute("aria-valuetext", "19/20 · 512×1×1")
    page.wait_for_url(re.compile("step=19"), timeout=PATIENCE)
    assert page.evaluate(lit) == 19 and not page.errors


def test_labels_stand_on_one_line_beside_segmented_controls(page: Page, server) -> None:
    """Aligned at their lower ends, a segmented control and an input of one height have their labels at one height."""
    open_page(page, server.url, "?lang=en")
    heights = [page.get_by_test_id(kind).last.evaluate("e => e.getBoundingClientRect().height")
               for kind in ("stButtonGroup", "stSelectbox")]
    assert abs(heights[0] - heights[1]) < 1.5


def test_the_way_is_told_in_chinese_when_it_is_drawn_by_itself(page: Page, server) -> None:
    open_page(page, server.url, "?lang=zh_CN&nets=resnet18")
    page.locator(".st-key-arch-step input[type=range]").press("ArrowRight")
    expect(page.locator(".pass-captions p")).to_contain_text("maxpool · 池化, /2 · 不计入层数", timeout=PATIENCE)
    expect(page.locator(".st-key-arch-play button")).to_contain_text("开始")


def test_nothing_moves_for_who_asked_for_that(page: Page, server) -> None:
    page.emulate_media(reduced_motion="reduce")
    open_page(page, server.url, "?lang=en&nets=resnet18")
    page.locator(".st-key-arch-play button").click()
    expect(page.locator(".pass-plays .pass-strip > span")).to_have_count(20, timeout=PATIENCE)
    assert page.evaluate("() => document.querySelector('.pass').getAnimations({subtree: true}).length") == 0
    expect(page.locator(".pass-captions p").last).to_be_visible()


def take(page: Page, selector: str) -> Path:
    with page.expect_download(timeout=PATIENCE) as download:
        page.locator(selector).click()
    return download.value.path()


def test_the_figure_is_taken_home(page: Page, server) -> None:
    """As PNG and as SVG, by the camera; each has every box."""
    open_page(page, server.url, "?lang=en&nets=resnet18")
    camera = "[data-title='Download the picture']"
    assert take(page, camera).read_bytes().startswith(b"\x89PNG")
    page.get_by_role("radio", name="SVG").click()
    expect(page.get_by_role("radio", name="SVG")).to_be_checked(timeout=PATIENCE)
    expect(page.locator(LABELS)).to_have_count(20)
    page.wait_for_function("() => document.querySelector('.js-plotly-plot')._context.toImageButtonOptions.format === 'svg'",
                           timeout=PATIENCE)
    words = "".join(ElementTree.parse(take(page, camera)).getroot().itertext())
    assert words.count("3×3 conv, 512") == 4 and "ResNet-18" in words
    assert not page.errors


@pytest.mark.parametrize("language", ["en", "zh_CN"])
def test_the_page_that_is_taken_home_draws_without_a_network(page: Page, server, chromium: Browser, find_faults,
                                                             tmp_path: Path, language: str) -> None:
    open_page(page, server.url, f"?lang={language}&nets=resnet18")
    file = tmp_path / "page.html"
    file.write_bytes(take(page, ".st-key-arch-html button:visible").read_bytes())
    asked: list[str] = []
    alone: BrowserContext = chromium.new_context(offline=True)
    home = alone.new_page()
    home.on("request", lambda request: asked.append(request.url))
    home.goto(file.as_uri())
    expect(home.locator(LABELS)).to_have_count(20, timeout=PATIENCE)
    expect(home.locator("tbody tr")).to_have_count(1 + 20 + 2 + 20 + 1 - 1)
    expect(home.locator("ul")).to_contain_text("11,689,512 parameters" if language == "en" else "11,689,512 个参数")
    assert [url for url in asked if url.startswith("http")] == [] and not find_faults(home)
    alone.close()


def test_ones_own_net_is_drawn_as_its_slider_moves(page: Page, server) -> None:
    open_page(page, server.url, "?lang=en&nets=own")
    expect(page.locator(LABELS)).to_have_count(21)
    page.locator(".st-key-own-depth input[type=range]").press("ArrowRight")
    expect(page.locator(LABELS)).to_have_count(27, timeout=PATIENCE)
    page.wait_for_url(re.compile("depth=26"), timeout=PATIENCE)
    assert not page.errors


@pytest.mark.parametrize("language", ["en", "zh_CN"])
def test_page_is_accessible_and_fits(page: Page, server, find_faults, language: str) -> None:
    """The figure may be scrolled sideways, the page may not."""
    open_page(page, server.url, f"?lang={language}")
    scrolls = "figure => figure.scrollWidth > figure.clientWidth"
    figure = page.locator(".st-key-arch-figure")
    assert not figure.evaluate(scrolls)
    assert not find_faults(page, WIDTHS)
    assert figure.evaluate(scrolls) and not page.errors
