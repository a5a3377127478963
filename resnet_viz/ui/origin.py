"""Whose page opens the feed: what Streamlit's own socket lets in is let in, else a page would stand with a dead board."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send
from streamlit.web.server.server_util import is_url_from_allowed_origins
from streamlit.web.server.starlette.starlette_websocket import is_host_allowed

PORTS = {"http": 80, "https": 443}


def is_own_page(origin: str | None, host: str | None) -> bool:
    """Streamlit's rule: server.allowedHosts, then the same host, else server.enableCORS and server.corsAllowedOrigins.

    A port that goes without saying is the same as said, on both sides. Who sends no Origin is no browser, and could send
    any; the token is for those. May look up this machine's addresses, and so take a second.
    """
    try:
        return is_host_allowed(host) and (origin is None or _is_same_host(origin, host or "")
                                          or is_url_from_allowed_origins(origin))
    except ValueError:  # no address at all
        return False


def _is_same_host(origin: str, host: str) -> bool:
    page, asked = urlsplit(origin), urlsplit(f"//{host}")
    default = PORTS.get(page.scheme)  # the proxy may speak TLS for us: the browser knows which scheme it is
    return bool(page.hostname) and (page.hostname, page.port or default) == (asked.hostname, asked.port or default)


class ForwardedHost:
    """Middleware: the host that the browser asked for, where a trusted proxy says so in X-Forwarded-Host.

    Trusted are those that uvicorn is told to trust, in FORWARDED_ALLOW_IPS. Of them it has taken the client's address
    from X-Forwarded-For, with the port 0, which no connection has.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app, self.told = app, "FORWARDED_ALLOW_IPS" in os.environ

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.told and (scope.get("client") or ("", None))[1] == 0:
            scope = scope | {"headers": _take_forwarded(scope["headers"])}
        await self.app(scope, receive, send)


def _take_forwarded(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers with the nearest proxy's X-Forwarded-Host as Host."""
    forwarded = [value for name, value in headers if name == b"x-forwarded-host"]
    if not forwarded:
        return headers
    return [*((name, value) for name, value in headers if name != b"host"),
            (b"host", forwarded[-1].rpartition(b",")[2].strip())]
