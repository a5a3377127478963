"""What has been done to the nets on the page of operations: click by click, undone and done again, to and from the URL."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from resnet_viz.records import N_, ConfigError, NetConfig, Operation, check_operation
from resnet_viz.ui.settings import read_operation, write_operation

MAX_DONE = 100
KEY = "history"


@dataclass(frozen=True)
class Done:
    """An operation on one lane, or on all where `lane` is None."""

    operation: Operation
    lane: int | None = None


Click = tuple[Done, ...]


@dataclass(frozen=True)
class History:
    """What each click did, oldest first, and what has been undone since, oldest undone last."""

    clicks: tuple[Click, ...] = ()
    undone: tuple[Click, ...] = ()

    def do(self, click: Click) -> History:
        if sum(map(len, self.clicks)) + len(click) > MAX_DONE:
            raise ConfigError("operations", MAX_DONE + 1, N_("at most {high} operations"), high=MAX_DONE)
        return History((*self.clicks, click))

    def undo(self) -> History:
        return History(self.clicks[:-1], (*self.undone, *self.clicks[-1:]))

    def redo(self) -> History:
        return History((*self.clicks, *self.undone[-1:]), self.undone[:-1])

    def list_operations(self, lane: int, net: NetConfig) -> tuple[list[Operation], list[ConfigError]]:
        """What is to be done to a lane, in order, and why the rest does not apply to it."""
        fitting, errors = [], {}
        for done in (done for click in self.clicks for done in click if done.lane in (None, lane)):
            try:
                check_operation(done.operation, net)
                fitting.append(done.operation)
            except ConfigError as error:
                errors[str(error)] = error
        return fitting, list(errors.values())


def get_history() -> History:
    return st.session_state.get(KEY, History())


def set_history(history: History) -> None:
    st.session_state[KEY] = history


def write_history(history: History) -> str:
    """As a URL has it: clicks with semicolons between, their operations with commas, "0!" before those of one lane."""
    return ";".join(",".join(write_done(done) for done in click) for click in history.clicks)


def write_done(done: Done) -> str:
    return ("" if done.lane is None else f"{done.lane}!") + write_operation(done.operation)


def read_history(text: str) -> tuple[History, list[ConfigError]]:
    """A history from a URL's text, and what was wrong with it; the rest is kept."""
    history, errors = History(), []
    for part in text.split(";")[: MAX_DONE + 1]:
        click: list[Done] = []
        for item in filter(None, part.split(",")[: MAX_DONE + 1]):
            try:
                click.append(read_done(item))
            except ConfigError as error:
                errors.append(error)
        if click:
            try:
                history = history.do(tuple(click))
            except ConfigError as error:
                errors.append(error)
    return history, errors


def read_done(text: str) -> Done:
    lane, mark, operation = text.rpartition("!")
    if mark and lane not in ("0", "1"):
        raise ConfigError("operations", text, N_("what this app’s own links say of operations"))
    return Done(read_operation(operation), int(lane) if mark else None)
