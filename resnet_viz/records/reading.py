"""Records from JSON, and settings from text, strictly; what was measured to JSON."""

from __future__ import annotations

import codecs
import dataclasses
import json
import math
from dataclasses import fields
from typing import Any, get_args, get_type_hints

import numpy as np

from resnet_viz.records.errors import MAX_TEXT, N_, ConfigError, Option, Phrase, RuleError, UnknownFieldError, shorten

MAX_CHANGES = 100
WHOLE_FIELDS = ("depth", "batch_size", "seed", "steps", "channels", "size", "classes", "block", "other", "decay_block")
FLAG_FIELDS = ("decay_bias",)
SCALES = ("scale", "scale-norm")  # operations by a factor
DECIMAL_FIELDS = ("lr", "momentum", "weight_decay", "alpha", "alpha_bias")


# What Python's parser says of broken JSON, in words to translate.
FAULTS = {
    "Expecting value": N_("a value is missing"),
    "Expecting ',' delimiter": N_("a comma, or a closing bracket or brace, is missing"),
    "Expecting ':' delimiter": N_("a colon is missing"),
    "Expecting property name enclosed in double quotes": N_("a name in double quotes is missing"),
    "Illegal trailing comma before end of object": N_("a comma stands before a closing brace"),
    "Illegal trailing comma before end of array": N_("a comma stands before a closing bracket"),
    "Unterminated string starting at": N_("the text that begins here has no closing quote"),
    "Invalid control character at": N_("a line break or a control character stands in a text"),
    "Invalid \\escape": N_("no such sign stands behind a backslash"),
    "Invalid \\uXXXX escape": N_("no four digits stand behind \\u"),
    "Extra data": N_("it ended before"),
}


def decode_text(content: bytes, source: Option) -> str:
    """A text file's content as people's editors write it: UTF-8, with or without a byte-order mark."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in content[:100]:
        raise RuleError(*source, N_("{file} is in UTF-16, not in UTF-8: save it as UTF-8."), file=source)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RuleError(*source, N_("{file} is not in UTF-8, at byte {position}: save it as UTF-8."), file=source,
                        position=error.start + 1) from None


def parse_json(text: str, source: Option | None = None) -> Any:
    """Parsed JSON, of the file `source` if any. NaN and Infinity, which are no JSON, are refused as broken JSON is, and
    so is a name that stands twice in one object: one of its values would be lost.
    """
    source = source or Option("config", "JSON")

    def refuse(reason: str, **more: Any) -> RuleError:
        return RuleError(*source, N_("{file} is not valid JSON: {reason}."), file=source, reason=reason, **more)

    def read_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in pairs:
            if name in found:
                raise RuleError(*source, N_("{file} says {name} twice: {first} and {second}. Only one can be meant."),
                                file=source, name=shorten(name), first=shorten(found[name]), second=shorten(value))
            found[name] = value
        return found

    def refuse_constant(name: str) -> None:
        raise refuse(f"{name} is not JSON")

    try:
        return json.loads(text, parse_constant=refuse_constant, object_pairs_hook=read_pairs)
    except json.JSONDecodeError as error:
        takes = N_("{file} is not valid JSON at line {line}, column {column}: {reason}.")
        raise RuleError(*source, takes, file=source, line=error.lineno, column=error.colno,
                        reason=Phrase(FAULTS.get(error.msg, error.msg))) from None
    except ConfigError:
        raise
    except (ValueError, RecursionError) as error:  # a number of too many digits, brackets in brackets without end
        raise refuse(str(error).partition(";")[0][:MAX_TEXT]) from None


def read_record(kind: type, value: Any, where: str) -> Any:
    """Build a record from parsed JSON, strictly: unknown keys and wrong types are refused by name.

    A number for `width` stands for one stage, and text such as "128,256" for one per stage.
    """
    if not isinstance(value, dict):
        raise ConfigError(where, value, N_("an object in braces"))
    hints, known = get_type_hints(kind), {f.name for f in fields(kind)}
    for name in value:
        if name not in known:
            raise UnknownFieldError(f"{where}.{name}" if where != "config" else name, value[name], known)
    for f in fields(kind):
        if f.name not in value and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING:
            raise ConfigError(f"{where}.{f.name}", None, N_("a value: it must be given"))
    return kind(**{name: _read_field(name, hints[name], item) for name, item in value.items()})


def _read_field(name: str, hint: Any, value: Any) -> Any:
    if name == "operation" and isinstance(value, dict) and value.get("kind") in SCALES and "alpha" not in value:
        raise ConfigError("operation.alpha", None, N_("a value: it must be given"))
    if name in ("net", "train", "operation"):
        return read_record(hint, value, name)
    if name in ("lanes", "changes", "edits"):
        if not isinstance(value, list) or len(value) > MAX_CHANGES:
            raise ConfigError(name, value, N_("a list in brackets of at most {high} items"), high=MAX_CHANGES)
        kind = get_args(hint)[0]  # of tuple[Lane, ...]
        return tuple(read_record(kind, item, f"{name}[{i}]") for i, item in enumerate(value))
    if name in SHORTHANDS:
        return SHORTHANDS[name](value)
    return tuple(value) if name == "value" and isinstance(value, list) else value  # of a live change of `cuts`


def read_width(value: Any) -> tuple[int, ...]:
    """Widths from 64, "64", "128,256" or [128, 256]."""
    if isinstance(value, str):
        parts: list[Any] = value.split(",")
        if all(part.strip().isascii() and part.strip().isdigit() and len(part) < 9 for part in parts):
            return tuple(int(part) for part in parts)
        raise ConfigError("width", value, N_("one number, or two to four with commas between, one per stage"))
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def read_blocks(value: Any) -> tuple[int, ...]:
    """Blocks from 3, "3", "3,4" or [3, 4]; none from "". Whether a net has them is for the net to say."""
    if not isinstance(value, str):
        return tuple(value) if isinstance(value, list | tuple) else (value,)
    parts = value.split(",") if value else []
    if all(part.strip().isascii() and part.strip().isdigit() and len(part) < 9 for part in parts):
        return tuple(int(part) for part in parts)
    raise ConfigError("cuts", value, N_("blocks with commas between, such as {example}"), example="3,4")


SHORTHANDS = {"width": read_width, "cuts": read_blocks}  # settings that are several numbers: what reads each


def parse_field(name: str, text: str) -> Any:
    """Text, from a URL or an option, as its field's type. What is no such number stays text, for the check to refuse."""
    if name in SHORTHANDS:
        return SHORTHANDS[name](text)
    if name in FLAG_FIELDS:
        return {"1": True, "true": True, "0": False, "false": False}.get(text, text)
    if name == "decay_block" and text == "all":
        return None
    try:
        if name in WHOLE_FIELDS:
            return int(text)
        return float(text) if name in DECIMAL_FIELDS else text
    except ValueError:
        return text


def make_jsonable(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {f.name: make_jsonable(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, np.ndarray):
        return make_jsonable(value.tolist())
    if isinstance(value, dict):
        return {name: make_jsonable(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [make_jsonable(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
