"""The server. `streamlit run app.py` opens the engine, serves the page, and pushes each race's numbers to its boards."""

from __future__ import annotations

import contextlib
import gc
import logging
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import plotly
import streamlit as st
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse
from starlette.routing import Route, WebSocketRoute
from streamlit.url_util import make_url_path

from resnet_viz.engine.hub import hub
from resnet_viz.records import ConfigError
from resnet_viz.ui.feed import serve_feed
from resnet_viz.ui.origin import ForwardedHost
from resnet_viz.ui.seldom import Seldom

HERE = Path(__file__).parent
PLOTLY = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"


@contextlib.asynccontextmanager
async def live(app: st.App) -> AsyncIterator[None]:
    """The engine lives as long as the server."""
    logging.getLogger("uvicorn.error").addFilter(Seldom("Invalid UTF-8"))  # what is wrong with a text frame it says itself
    try:
        async with hub.open():
            gc.freeze()  # what start-up made stays: the collector need not look at it again
            yield
    except ConfigError as error:
        sys.tracebacklimit = 0  # who starts a server that is set up wrongly reads a sentence, not fifty lines of code
        raise error from None


async def send_plotly(request: Request) -> FileResponse:
    """plotly.js of the installed package. The address holds its version, so a browser may keep it."""
    return FileResponse(PLOTLY, media_type="text/javascript", headers={"Cache-Control": "max-age=31536000, immutable"})


def place(path: str) -> str:
    """Where a route is, under the path that Streamlit's own are under; pages ask for it relative to themselves."""
    return make_url_path(st.get_option("server.baseUrlPath"), path)


app = st.App(
    HERE / "resnet_viz" / "ui" / "main.py",
    lifespan=live,
    routes=[
        WebSocketRoute(place("feed/{race_id}"), serve_feed),
        Route(place("plotly/plotly.min.js"), send_plotly),
    ],
    middleware=[Middleware(ForwardedHost)],
)
