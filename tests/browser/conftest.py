"""Chromium: Debian's where it is, else Playwright's own. Where there is none the tests fail; they are never skipped."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

# Chromium's own talk with the outside is off; as root it needs --no-sandbox.
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--disable-quic"]

# Of a page of the app: the script has ended, for the time that a rerun takes to begin, and nothing is faded that is about
# to be drawn anew.
SETTLED = """() => {
    const app = document.querySelector('[data-testid=stApp]');
    if (!app) return true;
    const quiet = app.dataset.testScriptState === 'notRunning'
        && [...document.querySelectorAll('[data-testid=stElementContainer]')]
            .every(element => getComputedStyle(element).opacity === '1');
    window.settledSince = quiet ? window.settledSince ?? performance.now() : undefined;
    return quiet && performance.now() - window.settledSince > 700;
}"""

# The page itself never widens, but the part of it that Streamlit scrolls.
OVER = """() => Math.max(...[document.documentElement, document.querySelector('[data-testid=stMain]')]
    .map(part => part ? part.scrollWidth - part.clientWidth : 0))"""


# What is scrolled sideways and cannot be reached by keyboard, or has no name.
UNREACHED = """() => [...document.querySelectorAll('[data-testid=stMain] *')].filter(part => {
    if (!/auto|scroll/.test(getComputedStyle(part).overflowX) || part.scrollWidth <= part.clientWidth + 1) return false;
    if (part.closest('[data-testid=stDataFrame]')?.querySelector('canvas[tabindex="0"]')) return false; // takes arrow keys
    if (part.clientWidth === 0 || part.querySelector('button, a[href], input, [tabindex="0"]')) return false;
    const named = part.getAttribute('aria-label') || part.getAttribute('aria-labelledby');
    return !(part.tabIndex >= 0 && named && part.getAttribute('role'));
}).map(part => part.outerHTML.slice(0, 120))"""
WIDTHS = 1440, 390  # a laptop, then a phone: Streamlit folds its sidebar away where a page becomes narrow


@pytest.fixture(scope="session")
def find_faults() -> Callable[..., dict]:
    """What is wrong with a page as it stands: what axe finds, how far it runs over the side, and on a phone what is wider

    than its column and cannot be scrolled there by keyboard. Empty where all is well.

    Where `widths` are given, at each of them, and by each.
    """

    def look(page: Page, widths: tuple[int, ...] = ()) -> dict:
        found = {}
        for width in widths:
            page.set_viewport_size({"width": width, "height": 900})
            found |= {(width, name): fault for name, fault in look(page).items()}
        if widths:
            return found
        page.mouse.move(0, 0)  # off the buttons, whose help would be read as a part of the page
        page.wait_for_function("() => !document.querySelector('[role=tooltip]')", timeout=10_000)
        page.wait_for_function(SETTLED, timeout=30_000)
        violations = Axe().run(page).response["violations"]
        faults = {v["id"]: [node["html"][:150] for node in v["nodes"]][:3] for v in violations}
        over = page.evaluate(OVER)
        unreached = page.evaluate(UNREACHED) if page.viewport_size["width"] < 600 else []
        return faults | ({"over the side": over} if over > 0 else {}) | ({"unreached": unreached} if unreached else {})

    return look


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for a module. Not for the session: Playwright holds the main thread's event loop while it lives."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    context = chromium.new_context(viewport={"width": 1440, "height": 1000}, locale="en-GB")
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    page = context.new_page()
    page.errors = []
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    return page
