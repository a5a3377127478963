"""The page on weight decay in Chromium: what it claims, live."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.boards import PATIENCE, wait_board
from tests.browser.conftest import WIDTHS

pytestmark = pytest.mark.browser


def open_page(page: Page, url: str, query: str = "") -> None:
    page.goto(url + "/decay" + query)
    wait_board(page)


def read_scores(page: Page) -> list[list[float]]:
    """The board's table: numbers of each lane; NaN where there is none."""
    rows = page.get_by_test_id("board").locator("tbody tr").all()
    cells = [[re.search(r"[\d.]+", cell.inner_text()) for cell in row.locator("td").all()] for row in rows]
    return [[float(found.group()) if found else float("nan") for found in row] for row in cells]


def test_decay_drives_the_residual_net_to_the_identity_and_the_plain_one_to_zero(page: Page, server) -> None:
    """λ = 0.03 after 500 steps: the residual net still reads digits, the plain one has forgotten all of them."""
    open_page(page, server.url, "?lambdas=0%2C0.03&steps=500")
    page.locator(".st-key-play button:visible").first.click()
    wait_board(page, "b.dataset.state === 'finished'")
    (_, free, *_), (_, decayed, *_), (_, plain, *_), (_, ruined, *_) = read_scores(page)
    assert free > 90 and decayed > 90 and plain > 80 and ruined < 20
    norms = [row[2] for row in read_scores(page)]
    assert norms[1] < 0.5 * norms[0] and norms[3] < 0.5 * norms[2]
    with page.expect_download() as download:
        page.get_by_label("Cosine of a[l] and a[l+2]: download the numbers (CSV)").click()
    lines = download.value.path().read_text(encoding="utf-8-sig").splitlines()
    assert lines[0] == "line,x,y" and len(lines) > 100
    page.locator(".st-key-remove button:visible").first.click()
    expect(page.get_by_text("At step 500.")).to_be_visible(timeout=PATIENCE)
    assert not page.errors


@pytest.mark.parametrize("language", ["en", "zh_CN"])
def test_page_is_accessible_and_fits(page: Page, server, find_faults, language: str) -> None:
    open_page(page, server.url, f"?lang={language}&lambdas=0%2C0.03")
    page.locator(".st-key-step button:visible").first.click()
    wait_board(page, "b.dataset.step === '1'")
    assert not find_faults(page, WIDTHS)
    assert not page.errors
