"""Log lines that anybody can cause by the thousand: one a minute of each kind, and how many there were."""

from __future__ import annotations

import logging
import math
import time

SECONDS = 60


class Seldom(logging.Filter):
    """Of the records of one message it lets one through in a minute, in one line. Of other messages than `message` all."""

    def __init__(self, message: str = "") -> None:
        super().__init__()
        self.message = message
        self.told: dict[str, tuple[float, int]] = {}  # when a message was last let through, and how often it was not

    def filter(self, record: logging.LogRecord) -> bool:
        kind = str(record.msg)
        if not kind.startswith(self.message):
            return True
        last, held = self.told.get(kind, (-math.inf, 0))
        now = time.monotonic()
        if now - last < SECONDS:
            self.told[kind] = last, held + 1
            return False
        self.told[kind] = now, 0
        record.exc_info = record.exc_text = None
        record.msg = kind + (f" ({held} more since the last such line)" if held else "")
        return True
