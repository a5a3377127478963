"""The app under a path, behind nginx and Caddy with the README's lines, over TLS, and in a frame of another site."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.boards import PATIENCE, TOLD, wait_board
from tests.conftest import Server
from tests.proxies import FRAME, HOST, need, run_proxy

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def lab_server(launch: Callable) -> Iterator[Server]:
    """A server that knows its path, and trusts proxies on this machine."""
    running = launch(STREAMLIT_SERVER_BASE_URL_PATH="lab", STREAMLIT_SERVER_ADDRESS="127.0.0.1",
                     FORWARDED_ALLOW_IPS="127.0.0.1")
    yield running
    running.stop()


@pytest.fixture(params=["nginx", "caddy"])
def proxy(request: pytest.FixtureRequest) -> str:
    need(request.param)
    return request.param


@pytest.fixture
def reader(chromium: Browser) -> Iterator[Page]:
    """A page that minds no certificate, and notes what it could not get."""
    context = chromium.new_context(viewport={"width": 1440, "height": 1000}, locale="en-GB", ignore_https_errors=True)
    page = context.new_page()
    page.failures = []
    page.on("response", lambda answer: answer.status >= 400 and "/_stcore/" not in answer.url  # Streamlit tries several
            and page.failures.append((answer.status, answer.url)))
    yield page
    context.close()


def test_stripped_in_a_frame_of_another_site(proxy: str, reader: Page, server: Server, tmp_path: Path) -> None:
    """The proxy takes the path off, so the server does not know of it; the page does. A link given away leads back."""
    with run_proxy(proxy, tmp_path, server.port, stripped=True) as port:
        reader.goto(f"https://{FRAME}:{port}/portal")
        frame = next(frame for frame in reader.frames if HOST in frame.url)
        wait_board(frame, f"{TOLD} && b.dataset.mounts > 0")  # the numbers come, and the charts' library
        frame.locator(".st-key-play button:visible").first.click()
        wait_board(frame, "b.dataset.step > 5")
        frame.get_by_role("button", name="Share a link").click()
        links = frame.locator("[data-testid=stPopoverBody] code")
        links.nth(1).wait_for(timeout=PATIENCE)
        link = links.nth(1).inner_text()
        assert link.startswith(f"https://{HOST}:{port}/lab/?") and "run=" in link
        reader.goto(link)
        wait_board(reader, f"{TOLD} && b.dataset.step > 5")
        assert not reader.failures


def test_under_a_path_that_the_server_knows(proxy: str, reader: Page, lab_server: Server, tmp_path: Path) -> None:
    """From a page of its own address, over a link to another: numbers, charts, and a file to take home."""
    with run_proxy(proxy, tmp_path, lab_server.port, stripped=False) as port:
        reader.goto(f"https://{HOST}:{port}/lab/decay")
        wait_board(reader, f"{TOLD} && b.dataset.mounts > 0")
        reader.get_by_role("link", name="Race").first.click()
        reader.wait_for_url(f"https://{HOST}:{port}/lab/?**", timeout=PATIENCE)
        wait_board(reader, f"{TOLD} && b.dataset.mounts > 0")
        reader.get_by_role("button", name="Take it home").click()
        with reader.expect_download(timeout=PATIENCE) as file:
            reader.get_by_role("button", name="Config (JSON)").click()
        assert file.value.path().read_text(encoding="utf-8").startswith("{")
        assert not reader.failures


def test_a_trusted_proxys_word_on_the_host_is_taken(lab_server: Server) -> None:
    """By Streamlit's own socket, too: of a proxy that asks for the back end's host, the page would not even appear."""
    address, origin = f"ws://127.0.0.1:{lab_server.port}/lab/_stcore/stream", f"https://{HOST}"
    with pytest.raises(InvalidStatus):
        connect(address, origin=origin, additional_headers={"X-Forwarded-For": "192.0.2.7"})
    with connect(address, origin=origin, additional_headers={"X-Forwarded-For": "192.0.2.7", "X-Forwarded-Host": HOST}):
        pass
