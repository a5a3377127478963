"""Whose page is let in: as Streamlit lets pages in, or a page would stand there with a dead board."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from streamlit import config
from streamlit.web.server.starlette.starlette_websocket import _is_origin_allowed
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from resnet_viz.ui.origin import ForwardedHost, is_own_page

PLACES = [("https://school.example", "school.example"), ("https://school.example", "127.0.0.1:8501"),
          ("http://localhost:8501", "localhost:8501"), ("https://localhost", "127.0.0.1:8501"), (None, "school.example"),
          ("https://evil.example", "school.example"), ("https://school.example.evil.example", "school.example"),
          ("null", "school.example"), ("https://school.example", None)]


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Streamlit's options as they were, afterwards; and nobody outside is asked for an address."""
    monkeypatch.setattr("streamlit.net_util.get_external_ip", lambda: None)
    names = ("server.enableCORS", "server.corsAllowedOrigins", "server.allowedHosts")
    before = {name: config.get_option(name) for name in names}
    yield
    for name, value in before.items():
        config.set_option(name, value)


@pytest.mark.parametrize("options", [{}, {"server.enableCORS": False}, {"server.allowedHosts": ["school.example"]},
                                     {"server.corsAllowedOrigins": ["https://evil.example"]}])
def test_the_feed_lets_in_what_streamlit_does(options: dict) -> None:
    for name, value in options.items():
        config.set_option(name, value)
    for origin, host in PLACES:
        assert is_own_page(origin, host) == _is_origin_allowed(origin, host), (origin, host)
    assert not is_own_page("https://[::1", "https://[::1")


@pytest.mark.parametrize(("origin", "host", "own"), [
    ("https://school.example", "school.example:443", True), ("https://school.example:443", "school.example", True),
    ("http://school.example", "school.example:80", True), ("https://School.example", "school.Example", True),
    ("https://school.example", "school.example:80", False), ("https://school.example:8443", "school.example", False),
    ("https://school.example", "school.example:8501", False),
])
def test_a_port_that_goes_without_saying_is_the_same_as_said(origin: str, host: str, own: bool) -> None:
    assert is_own_page(origin, host) is own


@pytest.mark.parametrize(("trusted", "peer", "forwarded", "host"), [
    ("10.0.0.1", "10.0.0.1", "school.example", "school.example"),
    ("10.0.0.1", "10.0.0.1", "evil.example, school.example", "school.example"),  # the nearest proxy's word
    ("10.0.0.1", "10.0.0.2", "evil.example", "app:8501"),
    (None, "127.0.0.1", "evil.example", "app:8501"),  # uvicorn trusts it, but nobody has said so
    ("10.0.0.1", "10.0.0.1", None, "app:8501"),
])
def test_the_forwarded_host_is_believed_of_a_trusted_proxy(monkeypatch: pytest.MonkeyPatch, trusted: str | None, peer: str,
                                                           forwarded: str | None, host: str) -> None:
    """Behind uvicorn's own middleware, which decides who is trusted."""
    monkeypatch.delenv("FORWARDED_ALLOW_IPS", raising=False)
    if trusted is not None:
        monkeypatch.setenv("FORWARDED_ALLOW_IPS", trusted)
    seen = []

    async def note(scope, receive, send) -> None:
        seen.append(dict(scope["headers"])[b"host"].decode())

    headers = [(b"host", b"app:8501"), (b"x-forwarded-for", b"192.0.2.7")]
    headers += [(b"x-forwarded-host", forwarded.encode())] if forwarded else []
    app = ProxyHeadersMiddleware(ForwardedHost(note), trusted or "127.0.0.1")
    asyncio.run(app({"type": "websocket", "client": (peer, 5000), "headers": headers, "scheme": "ws"}, None, None))
    assert seen == [host]
