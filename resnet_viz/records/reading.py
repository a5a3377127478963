"""Records from JSON, and settings from text, strictly; what was measured to JSON."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import fields
from typing import Any, get_args, get_type_hints

import numpy as np

from resnet_viz.records.errors import MAX_TEXT, N_, ConfigError, UnknownFieldError

MAX_CHANGES = 100
WHOLE_FIELDS = ("depth", "batch_size", "seed", "steps", "channels", "size", "classes", "block", "other", "decay_block")
FLAG_FIELDS = ("decay_bias",)
DECIMAL_FIELDS = ("lr", "momentum", "weight_decay", "alpha", "alpha_bias")


def parse_json(text: str) -> Any:
    """Parsed JSON. NaN and Infinity, which are no JSON, are refused as broken JSON is."""
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ConfigError("config", text, N_("valid JSON ({error})"), error=str(error)[:MAX_TEXT]) from None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


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
    if name in ("net", "train", "operation"):
        return read_record(hint, value, name)
    if name in ("lanes", "changes", "edits"):
        if not isinstance(value, list) or len(value) > MAX_CHANGES:
            raise ConfigError(name, value, N_("a list in brackets of at most {high} items"), high=MAX_CHANGES)
        kind = get_args(hint)[0]  # of tuple[Lane, ...]
        return tuple(read_record(kind, item, f"{name}[{i}]") for i, item in enumerate(value))
    if name == "width":
        return read_width(value)
    return value


def read_width(value: Any) -> tuple[int, ...]:
    """Widths from 64, "64", "128,256" or [128, 256]."""
    if isinstance(value, str):
        parts: list[Any] = value.split(",")
        if all(part.strip().isascii() and part.strip().isdigit() and len(part) < 9 for part in parts):
            return tuple(int(part) for part in parts)
        raise ConfigError("width", value, N_("one number, or two to four with commas between, one per stage"))
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def parse_field(name: str, text: str) -> Any:
    """Text, from a URL or an option, as its field's type. What is no such number stays text, for the check to refuse."""
    if name == "width":
        return read_width(text)
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
