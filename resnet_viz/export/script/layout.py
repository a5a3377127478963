"""How the lines of a script become text: nested as they are indented, comments beside the code or before it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

MAX_WIDTH = 110  # characters of a line
COMPOUND = ("if ", "for ", "else:", "with ")  # what such statements begin with
Lines = list[Any]  # text, a `Table`, or a list of them, which is indented; anything else, such as None, is left out


@dataclass(frozen=True)
class Table:
    """Items between brackets, as many to a line as fit."""

    start: str
    items: list[str]
    end: str

    def lay_out(self, width: int) -> list[str]:
        lines, line = [], self.start
        for item in self.items:
            if line not in (self.start, "    ") and len(line) + len(item) + len(self.end) > width:
                lines.append(line.rstrip())
                line = "    "
            line += item + ", "
        return [*lines, line.rstrip().rstrip(",") + self.end]


def lay_out(lines: Lines, squeezed: bool = False, width: int = MAX_WIDTH, depth: int = 0) -> list[str]:
    """The lines of text, tables of at most `width`.

    `squeezed`: in fewer lines, none of them blank, no comment on its own, "if a:" and its only statement in one.
    """
    found: list[str] = []
    for item in lines:
        if isinstance(item, list):
            inner = lay_out(item, squeezed, width, depth + 1)
            if squeezed and can_join(found[-1], inner, width):
                inner = [found.pop() + " " + inner[0].lstrip()]
            found += inner
        elif isinstance(item, str | Table):
            parts = item.lay_out(width) if isinstance(item, Table) else place_comment(item)
            found += ["    " * depth + part for part in parts if not (squeezed and is_idle(part))]
    return found


def can_join(start: str, inner: list[str], width: int) -> bool:
    """Whether a line that opens what is indented, and that, are as good as one line."""
    first, only = start.lstrip(), inner[0].lstrip()
    return (len(inner) == 1 and first.startswith(COMPOUND) and first.endswith(":") and not only.startswith(COMPOUND)
            and len(start) + len(only) < width)


def is_idle(line: str) -> bool:
    """Whether the script does as well without: it is blank, or a comment but no heading."""
    return re.match(r'$|# (?![1-5]\. )|"""(?!ResNet|a\[l)', line) is not None


def place_comment(line: str) -> list[str]:
    """A comment stands before its code where a line cannot hold both."""
    if len(line) <= MAX_WIDTH - 8:  # the line may be indented
        return [line]
    code, mark, comment = line.partition("  # ")
    return [f"# {comment}", code] if mark else [line]
