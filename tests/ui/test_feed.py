"""What the feed says where it does not serve, in the log; and to whom others a page's address is of use."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import replace
from types import SimpleNamespace

import pytest
import streamlit as st

from resnet_viz.engine.series import Series
from resnet_viz.records import Change, ConfigError, RaceConfig
from resnet_viz.ui import addresses, feed
from resnet_viz.ui.bar import complete_address
from resnet_viz.ui.seldom import Seldom


def test_a_refusal_is_logged_with_both_values(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr("streamlit.net_util.get_external_ip", lambda: None)
    monkeypatch.setattr(feed.logger, "filters", [Seldom()])
    race = SimpleNamespace(token="right")

    def refuse(token: str, origin: str) -> int | None:
        socket = SimpleNamespace(query_params={"token": token}, headers={"origin": origin, "host": "school.example"})
        return asyncio.run(feed.find_refusal(socket, race))

    assert refuse("right", "https://school.example") is None and not caplog.messages
    for _ in range(3):
        assert refuse("right", "https://evil.example") == feed.STRANGER
    assert len(caplog.messages) == 1 and "evil.example" in caplog.messages[0] and "school.example" in caplog.messages[0]
    assert refuse("wrong", "https://school.example") == feed.WRONG_TOKEN and len(caplog.messages) == 2
    assert "right" not in caplog.text


def fake_race(config: RaceConfig) -> SimpleNamespace:
    """What the feed asks of a race."""
    lanes = [SimpleNamespace(series=Series()) for _ in config.lanes]
    return SimpleNamespace(id="x", config=config, lanes=lanes, state="paused", step=20, speed=0.0, divergence=None,
                           epoch=0, revision=0, lanes_now=lambda: [config.lane_at(i, 20) for i in range(len(config.lanes))])


def test_only_what_a_board_asks_for_is_done() -> None:
    """A cut of a block that there is, in a lane that has shortcuts; all else is let be."""
    race = fake_race(RaceConfig())  # a plain net and a residual one, of nine blocks
    asked = {"type": "cut", "lane": 1, "block": 8, "cut": True}
    assert feed.read_cut(json.dumps(asked), race) == (1, 8, True)
    for wrong in ({"lane": 0}, {"lane": 2}, {"lane": -1}, {"block": 9}, {"block": -1}, {"block": 1.0}, {"lane": True},
                  {"cut": 1}, {"type": "mend"}, {"block": None}):
        assert feed.read_cut(json.dumps(asked | wrong), race) is None, wrong
    for rubbish in ("", "{}", "[]", "1", "null", '"cut"', "[" * 5000, json.dumps({"type": "cut"})):
        assert feed.read_cut(rubbish, race) is None, rubbish[:20]


def test_a_board_that_asks_for_too_much_is_told() -> None:
    """A race has a bound of live changes; the connection stays."""
    race, sent = fake_race(RaceConfig()), []

    async def refuse(*_asked: object) -> None:
        raise ConfigError("changes", 101, "at most 100 live changes")

    messages = iter([{"type": "websocket.receive", "text": json.dumps({"type": "cut", "lane": 1, "block": 0, "cut": True})},
                     {"type": "websocket.disconnect"}])

    async def receive() -> dict:
        return next(messages)

    async def send(text: str) -> None:
        sent.append(json.loads(text))

    race.cut = refuse
    assert asyncio.run(feed.listen(SimpleNamespace(receive=receive, send_text=send), race)) is None
    assert sent == [{"type": "full"}]


def test_boards_are_told_what_is_cut_and_when_it_was() -> None:
    """The marks once, and again when the race has been changed by hand; a net without any shortcuts has none to cut."""
    config = RaceConfig(changes=(Change(10, 1, "cuts", (3,)),))
    race = fake_race(config)
    cursor = feed.Cursor(race)
    plain, residual = cursor.next_message()["lanes"]
    assert plain["cuts"] is None and plain["marks"] == []
    assert residual["cuts"] == [3] and residual["marks"] == [(10, (3,), ())]
    assert all("marks" not in lane for lane in cursor.next_message()["lanes"])
    race.config, race.revision = replace(config, changes=()), 1
    assert [lane["marks"] for lane in cursor.next_message()["lanes"]] == [[], []]


def test_what_anybody_can_cause_is_logged_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """In one line, whatever traceback there was; the next says how many there were. Other messages are left alone."""
    now, told = [0.0], Seldom("Invalid UTF-8")
    monkeypatch.setattr("resnet_viz.ui.seldom.time", SimpleNamespace(monotonic=lambda: now[0]))

    def log(message: str) -> str | None:
        record = logging.LogRecord("x", logging.ERROR, "", 0, message, (), (ValueError, ValueError("bad"), None))
        return logging.Formatter().format(record) if told.filter(record) else None

    assert log("Invalid UTF-8 sequence") == "Invalid UTF-8 sequence"
    assert [log("Invalid UTF-8 sequence") for _ in range(3)] == [None] * 3
    assert "ValueError" in log("another") and "ValueError" in log("another")
    now[0] = 61.0
    assert log("Invalid UTF-8 sequence") == "Invalid UTF-8 sequence (3 more since the last such line)"


@pytest.mark.parametrize(("url", "own"), [
    ("http://localhost:8501/", True), ("http://127.0.0.1:8501/decay", True), ("http://[::1]:8501/", True),
    ("http://127.1.2.3/", True), ("https://school.localhost/lab/", True), ("http://192.168.1.7:8501/", False),
    ("https://school.example/lab/", False), ("", False),
])
def test_a_local_address_is_known(url: str, own: bool) -> None:
    assert addresses.names_own_computer(url) is own


@pytest.mark.parametrize(("options", "url", "others"), [
    ({}, "http://localhost:8501/decay", "http://192.168.1.7:8501/decay"),
    ({"server.address": "0.0.0.0"}, "http://127.0.0.1:8501/", "http://192.168.1.7:8501/"),
    ({"server.address": "localhost"}, "http://localhost:8501/", None),
    ({"browser.serverAddress": "school.example"}, "http://localhost:8501/", "http://school.example:8501/"),
    ({}, "https://localhost/lab/", None),  # a proxy's port: who knows where that listens
])
def test_others_are_given_an_address_they_can_reach(monkeypatch: pytest.MonkeyPatch, options: dict, url: str,
                                                    others: str | None) -> None:
    known = {"server.port": 8501, "server.address": None, "browser.serverAddress": "localhost"} | options
    monkeypatch.setattr(addresses.st, "get_option", known.get)
    monkeypatch.setattr(addresses, "find_network_address", lambda: "192.168.1.7")
    assert addresses.find_address_for_others(url) == others


def test_the_networks_address_is_never_this_computers_own_name() -> None:
    address = addresses.find_network_address()
    assert address is None or not addresses.names_own_computer(f"//{address}")


def test_the_default_pages_address_ends_with_a_stroke(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that has to add it may lose the parameters."""
    monkeypatch.setattr(st, "session_state", {"pages": {"race": 0, "decay": 0}})
    for url, whole in (("https://x.example/lab", "https://x.example/lab/"), ("http://x:8501", "http://x:8501/"),
                       ("https://x.example/lab/decay", "https://x.example/lab/decay"), ("", "")):
        assert complete_address(url) == whole
