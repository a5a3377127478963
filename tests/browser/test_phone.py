"""On a phone a formula wider than its column is scrolled there, also by keyboard; the rest is `find_faults`’s."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

pytestmark = pytest.mark.browser
PATIENCE = 120_000  # ms; the machine may be busy


def test_a_formula_wider_than_a_phone_is_scrolled_by_the_arrows(page: Page, server) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(server.url)
    page.get_by_text("What am I looking at?").click(timeout=PATIENCE)
    formula = page.get_by_role("group", name="A formula, wider than the page").first
    formula.focus(timeout=PATIENCE)
    page.keyboard.press("ArrowRight")
    page.wait_for_function("() => document.activeElement.scrollLeft > 0", timeout=PATIENCE)
