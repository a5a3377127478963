"""The page of credit in Chromium: bars, maps, a digit drawn, a picture brought, and whether everybody can use it."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.browser.conftest import WIDTHS

pytestmark = pytest.mark.browser
PATIENCE = 180_000  # ms; the machine may be busy
NETS = "depth=8&init=xavier&lr=0.02&at=60"


def open_page(page: Page, url: str, query: str = "") -> None:
    page.goto(f"{url}/credit?{NETS}{query}")
    expect(page.locator(".st-key-input-credit .js-plotly-plot .main-svg").first).to_be_visible(timeout=PATIENCE)
    expect(page.locator(".st-key-credit-1 .js-plotly-plot .main-svg").first).to_be_visible(timeout=PATIENCE)


def draw_picture() -> dict:
    out = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)).save(out, "PNG")
    return {"name": "noise.png", "mimeType": "image/png", "buffer": out.getvalue()}


def test_questions_are_answered_and_are_in_the_address(page: Page, server) -> None:
    open_page(page, server.url, "&lang=en")
    page.get_by_role("radio", name="A class").click()
    page.locator(".st-key-credit-measure button:visible").click()
    expect(page.get_by_text("The mean of")).to_be_visible(timeout=PATIENCE)
    page.get_by_role("radio", name="Occlusion").click()
    expect(page.get_by_text("The logit that is lost when a window is replaced")).to_be_visible(timeout=PATIENCE)
    page.wait_for_function("() => /samples=class(:|%3A)0/.test(location.search) && /map=occlusion/.test(location.search)",
                           timeout=PATIENCE)
    with page.expect_download() as waiting:
        page.locator(".st-key-credit-1-csv button:visible").click()
    text = waiting.value.path().read_text(encoding="utf-8-sig")
    assert text.startswith("net,method,block,shortcut,branch,output_change,completeness_error") and text.count("\n") == 10
    assert not page.errors


def test_a_digit_is_drawn_and_judged(page: Page, server) -> None:
    open_page(page, server.url, "&lang=en")
    page.get_by_role("radio", name="Draw a digit").click()
    canvas = page.get_by_test_id("canvas")
    expect(canvas).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_text("There is nothing to divide up").first).to_be_visible(timeout=PATIENCE)  # blank is the baseline
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] - 20, steps=10)
    page.mouse.up()
    expect(page.get_by_text("There is nothing to divide up")).to_have_count(0, timeout=PATIENCE)
    assert not page.errors


def test_a_picture_is_brought(page: Page, server, find_faults) -> None:
    open_page(page, server.url, "&lang=en")
    uploader = page.locator(".st-key-credit-picture-file")
    uploader.locator("input[type=file]").set_input_files(draw_picture() | {"name": "IMG_1.HEIC", "mimeType": "image/heic"})
    expect(uploader).to_contain_text("HEIC is not read here: export it as JPEG first", timeout=PATIENCE)
    expect(uploader).not_to_contain_text("not allowed")
    page.locator(".st-key-credit-picture-file input[type=file]").set_input_files(draw_picture())
    page.locator(".st-key-credit-look button:visible").click(timeout=PATIENCE)
    expect(page.get_by_text("What the net says")).to_be_visible(timeout=PATIENCE)
    expect(page.locator(".st-key-brought-blocks .main-svg").first).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_text("From random weights: an answer without meaning.")).to_be_visible()
    assert not find_faults(page)
    assert not page.errors


@pytest.mark.parametrize("language", ["en", "zh_CN"])
def test_page_is_accessible_and_fits(page: Page, server, find_faults, language: str) -> None:
    open_page(page, server.url, f"&lang={language}")
    assert not find_faults(page, WIDTHS)
    assert not page.errors


def test_dark_theme_is_accessible(chromium, server, find_faults) -> None:
    context = chromium.new_context(viewport={"width": 1024, "height": 900}, color_scheme="dark")
    page = context.new_page()
    open_page(page, server.url, "&lang=zh_CN&picture_weights=download")
    assert not find_faults(page)
    context.close()
