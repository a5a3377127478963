"""The WebSocket route: pushes a race's numbers to the boards that show it, ten times a second.

A snapshot first, then deltas. Each message is made from what is new at the time of sending, so a slow reader gets fewer
and larger ones and nothing queues up. Only pages of this server's own origin that know the race's token are let in.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from typing import Any
from urllib.parse import urlsplit

from starlette.websockets import WebSocket, WebSocketDisconnect

from resnet_viz.engine.hub import hub
from resnet_viz.engine.race import Race
from resnet_viz.records import NetConfig, count_multiply_adds, count_parameters, plan_blocks

PERIOD = 0.1  # seconds between two messages
GONE = 4404


async def serve_feed(socket: WebSocket) -> None:
    """One board's connection, from its first message to its last."""
    race = hub.find(socket.path_params["race_id"])
    if not is_own_origin(socket):
        await socket.close()  # before it is accepted: HTTP 403
        return
    if race is None:
        await socket.accept()
        await socket.close(GONE)
        return
    if not secrets.compare_digest(socket.query_params.get("token", "").encode(), race.token.encode()):
        await socket.close()
        return
    await socket.accept()
    race.watchers += 1
    sender = asyncio.create_task(send_all(socket, race))
    try:
        while True:  # nothing is expected; this notices that the page has gone
            await socket.receive_text()
    except WebSocketDisconnect:
        pass
    finally:
        sender.cancel()
        await asyncio.gather(sender, return_exceptions=True)
        race.watchers -= 1
        race.unwatched_since = time.monotonic()


def is_own_origin(socket: WebSocket) -> bool:
    """Whether the page that opens the socket came from this server."""
    origin = socket.headers.get("origin")
    return origin is not None and urlsplit(origin).netloc == socket.headers.get("host")


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
            await news.wait()
        await socket.close(GONE)
    finally:
        race.listeners.discard(news)


class Cursor:
    """How far one board has been told of a race."""

    def __init__(self, race: Race) -> None:
        self.race, self.sequence, self.epoch = race, 0, -1
        self.told: list[tuple[int, int]] = []

    def next_message(self) -> dict[str, Any]:
        """A snapshot where the curves start anew, else what has been added."""
        race, fresh = self.race, self.epoch != self.race.epoch
        if fresh:
            self.told = [(0, 0)] * len(race.lanes)
        self.epoch, self.sequence = race.epoch, self.sequence + 1
        now = race.lanes_now()
        lanes = []
        for i, run in enumerate(race.lanes):
            lanes.append(run.series.send(*self.told[i]) | {"step": race.step, "skip": now[i].net.residual})
            self.told[i] = (len(run.series.points), len(run.series.probes))
        message = {"type": "snapshot" if fresh else "delta", "seq": self.sequence, "status": describe_status(race),
                   "lanes": lanes}
        return message | {"race": describe_race(race)} if fresh else message


def describe_status(race: Race) -> dict[str, Any]:
    lane, step, overflow = race.divergence or (None, None, None)
    return {"state": race.state, "step": race.step, "limit": race.config.steps, "speed": round(race.speed, 1),
            "lane": lane, "diverged_at": step, "overflow": overflow}


def describe_race(race: Race) -> dict[str, Any]:
    """What does not change while a race runs: the nets as the board draws them."""
    data = race.config.data
    return {"id": race.id, "limit": race.config.steps, "chance": 1 / data.classes, "classes": data.classes,
            "lanes": [describe_net(lane.net, race) for lane in race.lanes_now()]}


def describe_net(net: NetConfig, race: Race) -> dict[str, Any]:
    data = race.config.data
    plans = plan_blocks(net)
    layers = ["stem", *(f"block{k}.{i}" for k in range(1, net.blocks + 1) for i in (1, 2))]
    return {
        "depth": net.depth, "family": net.family, "norm": net.norm, "skip": net.residual, "layers": layers,
        "parameters": count_parameters(net, data), "multiply_adds": count_multiply_adds(net, data),
        "blocks": [{"shortcut": plan.shortcut, "stage": plan.stage, "in": str(plan.inputs), "out": str(plan.outputs)}
                   for plan in plans],
    }
