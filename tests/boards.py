"""The live board in Chromium, as tests wait for it: it writes what it has drawn into its `data-` attributes."""

from __future__ import annotations

from playwright.sync_api import Frame, Page

PATIENCE = 60_000  # ms; the machine may be busy
TOLD = "b.dataset.connection === 'open' && b.dataset.seq"  # the feed has told of the race, and that is what is drawn


def wait_board(page: Page | Frame, condition: str = TOLD) -> None:
    """Wait until a condition on the board `b` holds."""
    page.wait_for_function(
        f"() => {{ const b = document.querySelector('[data-testid=board]'); return b && ({condition}); }}",
        timeout=PATIENCE)
