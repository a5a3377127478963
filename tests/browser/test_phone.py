"""On a phone no page is wider than the screen, and what is wider than its column is scrolled there, also by keyboard."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

from tests.browser.conftest import OVER, SETTLED

pytestmark = pytest.mark.browser
PATIENCE = 120_000  # ms; the machine may be busy
NETS = "depth=8&at=20"
TABLE = ".stMarkdown table"
PAGES = {  # with what is waited for: the widest that it has
    "": ".rv-board canvas, .rv-board .main-svg", f"block?{NETS}": TABLE, f"operations?{NETS}&ops=zero-wb%3A1": TABLE,
    "decay": ".rv-table table", "dimensions": TABLE, f"credit?{NETS}&method=deep-lift": TABLE, f"paths?{NETS}": TABLE,
    "gradients": ".main-svg", f"landscape?{NETS}": TABLE, "sweep": "h1", "runs": "h1", "architecture": TABLE,
}
OPEN = "() => document.querySelectorAll('[data-testid=stMain] details:not([open]) summary').forEach(part => part.click())"
# What is scrolled sideways and cannot be reached by keyboard, or has no name.
UNREACHED = """() => [...document.querySelectorAll('[data-testid=stMain] *')].filter(part => {
    if (!/auto|scroll/.test(getComputedStyle(part).overflowX) || part.scrollWidth <= part.clientWidth + 1) return false;
    if (part.closest('[data-testid=stDataFrame]')?.querySelector('canvas[tabindex="0"]')) return false; // takes arrow keys
    if (part.clientWidth === 0 || part.querySelector('button, a[href], input, [tabindex="0"]')) return false;
    const named = part.getAttribute('aria-label') || part.getAttribute('aria-labelledby');
    return !(part.tabIndex >= 0 && named && part.getAttribute('role'));
}).map(part => part.outerHTML.slice(0, 120))"""


def test_every_page_fits_a_phone_and_is_scrolled_by_keyboard(page: Page, server) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    faults = {}
    for place, wide in PAGES.items():
        page.goto(f"{server.url}/{place}")
        page.locator(wide).first.wait_for(state="attached", timeout=PATIENCE)
        page.evaluate(OPEN)
        page.wait_for_function(SETTLED, timeout=PATIENCE)
        faults[place] = (page.evaluate(OVER), page.evaluate(UNREACHED))
    assert {place: found for place, found in faults.items() if found != (0, [])} == {}
    assert not page.errors


def test_a_formula_wider_than_a_phone_is_scrolled_by_the_arrows(page: Page, server) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(server.url)
    page.get_by_text("What am I looking at?").click(timeout=PATIENCE)
    formula = page.get_by_role("group", name="A formula, wider than the page").first
    formula.focus(timeout=PATIENCE)
    page.keyboard.press("ArrowRight")
    page.wait_for_function("() => document.activeElement.scrollLeft > 0", timeout=PATIENCE)
