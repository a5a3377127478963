"""(d) What a page sees of a run: frames a second, gaps, remounts. (e) Play to the first frame; start to a playable page."""

from __future__ import annotations

import shutil
import statistics
import time
from collections.abc import Iterator

import numpy as np
from playwright.sync_api import Page, sync_playwright

from tests.browser.conftest import FLAGS
from tests.conftest import start_server

SECONDS = 15


def measure_all() -> Iterator[tuple[str, str]]:
    began = time.perf_counter()
    server = start_server()
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
            page = browser.new_page(viewport={"width": 1440, "height": 1000})
            page.goto(f"{server.url}/?steps=100000")
            page.locator(".st-key-play button:visible").first.wait_for()
            yield "(e) start of the server to a playable page, seconds", f"{time.perf_counter() - began:.1f}"
            wait_board(page, "b.dataset.frames > 1")
            page.wait_for_timeout(3000)
            yield "(e) Play to the first drawn frame, warm, seconds (median of 5)", f"{time_play(page):.2f}"
            yield from measure_frames(page)
            browser.close()
    finally:
        server.stop()


def wait_board(page: Page, condition: str) -> None:
    page.wait_for_function(
        f"() => {{ const b = document.querySelector('[data-testid=board]'); return b && ({condition}); }}",
        polling=10, timeout=60_000)


def time_play(page: Page) -> float:
    """Seconds from the click to the first frame that shows a step taken, in the page's own clock."""
    times = []
    for _ in range(5):
        page.evaluate("""() => {
            const board = document.querySelector('[data-testid=board]');
            const watch = new MutationObserver(() => {
                if (Number(board.dataset.step) > 0) { window.__moved = performance.now(); watch.disconnect(); }
            });
            const note = () => { window.__clicked = performance.now(); };
            document.addEventListener('click', note, { once: true, capture: true });
            watch.observe(board, { attributes: true, attributeFilter: ['data-step'] });
        }""")
        page.locator(".st-key-play button:visible").first.click()
        wait_board(page, "b.dataset.step > 0")
        times.append(page.evaluate("() => (window.__moved - window.__clicked) / 1000"))
        page.locator(".st-key-reset button:visible").first.click()
        wait_board(page, "b.dataset.state === 'ready' && b.dataset.step === '0'")
        page.wait_for_timeout(1000)
    return statistics.median(times)


def measure_frames(page: Page) -> Iterator[tuple[str, str]]:
    page.locator(".st-key-play button:visible").first.click()
    wait_board(page, "b.dataset.step > 50")
    count_mounts = "document.querySelector('[data-testid=board]').dataset.mounts"
    mounts = page.evaluate(f"() => {{ window.__boardFrames = []; return {count_mounts}; }}")
    page.wait_for_timeout(SECONDS * 1000)
    frames = np.array(page.evaluate("() => window.__boardFrames"))
    after = page.evaluate(f"() => {count_mounts}")
    gaps = np.diff(frames)
    yield "(d) board: frames a second while it runs", f"{1000 / gaps.mean():.1f}"
    yield "(d) board: 95 % of the gaps between frames are at most, ms", f"{np.percentile(gaps, 95):.0f}"
    yield "(d) board: charts mounted again", f"{int(after) - int(mounts)}"
