"""Words on the primary colour, in both themes: as dark on it, or as light, as WCAG asks."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

from tests.boards import PATIENCE
from tests.browser.conftest import SETTLED

pytestmark = pytest.mark.browser
LEAST = 4.5
# Each text on a primary button or a chip with its contrast (WCAG 2.2), by computed colours.
CONTRASTS = """() => {
    const read = (colour) => colour.match(/[\\d.]+/g).map(Number);
    const linear = (v) => v <= 10 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4;
    const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
    const speaks = (e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    return [...document.querySelectorAll("button[kind=primary]:enabled, [data-tag]")].flatMap((box) => {
        const ground = light(read(getComputedStyle(box).backgroundColor));
        return [...box.querySelectorAll("*")].filter(speaks)
            .map((e) => [e.textContent, light(read(getComputedStyle(e).color))])
            .map(([words, ink]) => [words, (Math.max(ink, ground) + 0.05) / (Math.min(ink, ground) + 0.05)]);
    });
}"""


def test_words_on_the_primary_colour_can_be_read(page: Page, server) -> None:
    for name, words in (("", {"Play"}), ("decay", {"Play"}), ("sweep", {"Start", "Depth"}), ("dimensions", {"Play"})):
        page.goto(f"{server.url}/{name}")
        page.locator("button[kind=primary]:visible").first.wait_for(timeout=PATIENCE)
        for theme in ("light", "dark"):
            page.emulate_media(color_scheme=theme)
            page.wait_for_function(SETTLED, timeout=PATIENCE)
            contrasts = page.evaluate(CONTRASTS)
            assert words <= {words for words, _ in contrasts}
            assert not [pair for pair in contrasts if pair[1] < LEAST], theme
