"""Taking a run home in Chromium: every file is downloaded, and the report opens without a network, free of faults."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from resnet_viz.records import RaceConfig
from tests.browser.conftest import WIDTHS

pytestmark = pytest.mark.browser
PATIENCE = 120_000  # ms; the machine may be busy
FILES = {"script": "net0.py", "weights": "net0.safetensors", "config": "race.json", "report": "report.html",
         "player": "player.html", "csv": "frames.csv", "parquet": "frames.parquet"}
WORDS = {"en": ("Take it home", "Prepare report and frames"), "zh_CN": ("导出", "准备报告和逐帧数据")}


def take_home(page: Page, url: str, language: str, folder: Path) -> None:
    """Train a little, and download every file of the race."""
    page.goto(f"{url}/?lang={language}&depth=6&width=12&steps=40")
    board = page.get_by_test_id("board")
    expect(board).to_have_attribute("data-state", "ready", timeout=PATIENCE)
    page.wait_for_load_state("networkidle")
    page.locator(".st-key-play button").filter(visible=True).click(timeout=PATIENCE)
    expect(board).to_have_attribute("data-state", "finished", timeout=PATIENCE)
    take, prepare = WORDS[language]
    page.get_by_role("button", name=take).filter(visible=True).click()
    page.get_by_role("button", name=prepare).filter(visible=True).click()
    expect(page.locator(".st-key-export-report button").filter(visible=True)).to_be_visible(timeout=PATIENCE)
    for name, file in FILES.items():
        with page.expect_download(timeout=PATIENCE) as download:
            page.locator(f".st-key-export-{name} button").filter(visible=True).click()
        assert download.value.suggested_filename == f"resnet-viz-{file}"
        download.value.save_as(folder / file)


@pytest.mark.parametrize("language, width, scheme", [("en", 1440, "light"), ("zh_CN", 390, "dark")])
def test_every_file_is_downloaded_and_the_report_opens(chromium: Browser, server, find_faults, tmp_path: Path,
                                                       language: str, width: int, scheme: str) -> None:
    context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    take_home(page, server.url, language, tmp_path)
    assert not find_faults(page)
    context.close()
    race = RaceConfig.from_json((tmp_path / "race.json").read_text())
    assert len(race.lanes) == 2 and race.lanes[0].net.depth == 6
    script = (tmp_path / "net0.py").read_text()
    compile(script, "net0", "exec")
    assert {"en": "# 1. The data", "zh_CN": "# 1. 数据"}[language] in script
    assert (tmp_path / "frames.csv").read_text("utf-8-sig").count("\n") == 81
    assert (tmp_path / "frames.parquet").read_bytes()[:4] == b"PAR1"
    assert json.loads((tmp_path / "net0.safetensors").read_bytes()[8:].split(b"}}")[0] + b"}}")["head.layer.weight"]
    open_report(chromium, tmp_path / "report.html", find_faults, width, scheme)
    open_player(chromium, tmp_path / "player.html", find_faults, language, scheme)


def open_report(chromium: Browser, path: Path, find_faults, width: int, scheme: str) -> None:
    context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True)
    page, wrong = context.new_page(), []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: wrong.append(request.url) if request.url.startswith("http") else None)
    page.goto(path.as_uri())
    expect(page.locator(".js-plotly-plot .main-svg").first).to_be_visible(timeout=PATIENCE)
    assert page.locator("figure").count() == 7
    for summary in page.locator("summary").all():
        summary.click()
    assert not find_faults(page) and not wrong
    context.close()


def open_player(chromium: Browser, path: Path, find_faults, language: str, scheme: str) -> None:
    """By keyboard, by mouse, and by itself to the end; at all widths, from a file, without a network."""
    context = chromium.new_context(viewport={"width": 1440, "height": 900}, color_scheme=scheme, offline=True,
                                   locale=language.replace("_", "-"))
    page, wrong = context.new_page(), []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: wrong.append(request.url) if request.url.startswith("http") else None)
    page.goto(path.as_uri())
    board, scrubber = page.get_by_test_id("board"), page.get_by_role("slider")
    expect(board).to_have_attribute("data-state", "ready", timeout=PATIENCE)
    expect(page.locator("html")).to_have_attribute("lang", language.replace("_", "-"))
    for key, step in (("ArrowRight", 1), ("ArrowRight", 2), ("ArrowLeft", 1), ("End", 40), ("Home", 0)):
        page.keyboard.press(key)
        expect(board).to_have_attribute("data-step", str(step))
    scrubber.fill("17")
    expect(board).to_have_attribute("data-step", "17")
    held_out = page.get_by_test_id("lane-1").locator(".rv-small i")
    expect(held_out).to_contain_text("10")  # where it was measured last
    points = "document.querySelector('[data-testid=chart-loss] .js-plotly-plot').data[0].x.length"
    page.wait_for_function(f"() => 18 === {points}", timeout=PATIENCE)
    assert not find_faults(page, WIDTHS)
    page.get_by_role("combobox").select_option("30")
    page.keyboard.press("<")
    expect(page.get_by_role("combobox")).to_have_value("10")
    board.get_by_role("button", name=re.compile("^(Play|开始)$")).click()
    expect(board).to_have_attribute("data-state", "finished", timeout=PATIENCE)
    page.get_by_role("button", name="English").click()
    expect(page.get_by_test_id("lane-1").get_by_role("heading")).to_have_text("Residual net")
    ground = "() => getComputedStyle(document.body).backgroundColor"
    before = page.evaluate(ground)
    page.get_by_role("button", name="Light or dark").click()
    assert page.evaluate(ground) != before and not wrong
    context.close()
