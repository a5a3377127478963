"""The WebSocket route: pushes a race's numbers to the boards that show it, ten times a second, and takes what they ask for.

A snapshot first, then deltas. Each message is made from what is new at the time of sending, so a slow reader gets fewer
and larger ones and nothing queues up; where there is nothing new, a sign of life. Only pages that Streamlit itself serves
(`origin.py`) and that know the race's token are let in; who is not is told why, by the code that the socket is closed with.
Who is let in may cut a block's shortcut and mend it: {"type": "cut", "lane": 1, "block": 3, "cut": true}.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import time
from typing import Any

from starlette.websockets import WebSocket

from resnet_viz.engine.hub import hub
from resnet_viz.engine.race import Race
from resnet_viz.export.board import describe_net, find_cuts
from resnet_viz.records import ConfigError
from resnet_viz.ui.origin import is_own_page
from resnet_viz.ui.seldom import Seldom

PERIOD = 0.1  # seconds between two messages
BEAT = 0.8  # seconds without news after which a sign of life is sent; the board waits 2 for one
MAX_MESSAGE = 64 * 1024  # bytes; nothing that long is ever expected
WRONG_TOKEN, STRANGER, GONE = 4401, 4403, 4404  # close codes of our own
NOT_TEXT, TOO_LONG = 1003, 1009  # those of RFC 6455

logger = logging.getLogger(__name__)
logger.addFilter(Seldom())


async def serve_feed(socket: WebSocket) -> None:
    """One board's connection, from its first message to its last."""
    await socket.accept()  # of a socket that is refused before, a browser tells the page nothing
    race = hub.find(socket.path_params["race_id"])
    code = await find_refusal(socket, race)
    if race is not None and code is None:
        race.watchers += 1
        sender = asyncio.create_task(send_all(socket, race))
        try:
            code = await listen(socket, race)
        finally:
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)
            race.watchers -= 1
            race.unwatched_since = time.monotonic()
    if code is not None:
        await socket.close(code)


async def find_refusal(socket: WebSocket, race: Race | None) -> int | None:
    """The code to close with, where there is no such race, or it is not for this page."""
    if race is None:
        return GONE
    if not secrets.compare_digest(socket.query_params.get("token", "").encode(), race.token.encode()):
        logger.warning("A board was refused: its token is not the race's")
        return WRONG_TOKEN
    origin, host = socket.headers.get("origin"), socket.headers.get("host")
    if await asyncio.to_thread(is_own_page, origin, host):
        return None
    logger.warning("A board was refused: its page is of the origin %r, and asked the host %r. See “Behind a proxy” in the "
                   "README", origin, host)
    return STRANGER


async def listen(socket: WebSocket, race: Race) -> int | None:
    """Do what the board asks for, until its page has gone. Where it sends what no board does, the code to close with."""
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return None
        text = message.get("text")
        if text is None:
            logger.warning("A board's socket was closed: what came was not text")
            return NOT_TEXT
        if len(text.encode()) > MAX_MESSAGE:
            logger.warning("A board's socket was closed: what came was longer than %d bytes", MAX_MESSAGE)
            return TOO_LONG
        if (asked := read_cut(text, race)) is not None:
            try:
                await race.cut(*asked)
            except ConfigError:  # there are as many live changes as a race may have
                await socket.send_text('{"type":"full"}')


def read_cut(text: str, race: Race) -> tuple[int, int, bool] | None:
    """The lane, the block and whether it is cut, where that is what a board asks for, and the block has a shortcut."""
    try:
        asked = json.loads(text)
        lane, block, cut = (asked[name] for name in ("lane", "block", "cut"))
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    whole = type(lane) is int and type(block) is int and type(cut) is bool and asked.get("type") == "cut"
    if not whole or not 0 <= lane < len(race.config.lanes):
        return None
    net = race.lanes_now()[lane].net
    return (lane, block, cut) if find_cuts(net) is not None and 0 <= block < net.blocks else None


async def send_all(socket: WebSocket, race: Race) -> None:
    """Send what is new at once, but at most every PERIOD, until the race is gone."""
    cursor, news = Cursor(race), asyncio.Event()
    race.listeners.add(news)
    try:
        while hub.find(race.id) is race:
            due = time.monotonic() + PERIOD
            news.clear()
            await socket.send_text(json.dumps(cursor.next_message(), separators=(",", ":"), allow_nan=False))
            await asyncio.sleep(due - time.monotonic())
            while not await is_set_within(news, BEAT):
                await socket.send_text('{"type":"beat"}')
        await socket.close(GONE)
    finally:
        race.listeners.discard(news)


async def is_set_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        return await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False


class Cursor:
    """How far one board has been told of a race."""

    def __init__(self, race: Race) -> None:
        self.race, self.sequence, self.epoch, self.revision = race, 0, -1, -1
        self.told: list[tuple[int, int]] = []

    def next_message(self) -> dict[str, Any]:
        """A snapshot where the curves start anew, else what has been added."""
        race, fresh = self.race, self.epoch != self.race.epoch
        if fresh:
            self.told = [(0, 0)] * len(race.lanes)
        self.epoch, self.sequence = race.epoch, self.sequence + 1
        now, changed, self.revision = race.lanes_now(), fresh or race.revision != self.revision, race.revision
        lanes = []
        for i, run in enumerate(race.lanes):
            measured = run.series.send(*self.told[i]) | run.series.send_scores()
            net = now[i].net
            lanes.append(measured | {"step": race.step, "skip": net.residual, "cuts": find_cuts(net)})
            if changed:
                lanes[i]["marks"] = race.config.list_cuts(i)
            self.told[i] = (len(run.series.points), len(run.series.probes))
        message = {"type": "snapshot" if fresh else "delta", "seq": self.sequence, "status": describe_status(race),
                   "lanes": lanes}
        return message | {"race": describe_race(race)} if fresh else message


def describe_status(race: Race) -> dict[str, Any]:
    lane, step, overflow = race.divergence or (None, None, None)
    return {"state": race.state, "step": race.step, "limit": race.config.steps, "speed": round(race.speed, 1),
            "lane": lane, "diverged_at": step, "overflow": overflow, "revision": race.revision}


def describe_race(race: Race) -> dict[str, Any]:
    """What does not change while a race runs: the nets as the board draws them."""
    data = race.config.data
    return {"id": race.id, "limit": race.config.steps, "chance": 1 / data.classes, "classes": data.classes,
            "lanes": [describe_net(lane.net, data) for lane in race.lanes_now()]}
