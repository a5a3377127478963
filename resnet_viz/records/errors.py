"""What is said of a value that cannot be used, and the checks that many records share."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any

MAX_TEXT = 60  # characters of a bad value that an error message repeats


def N_(message: str) -> str:
    """Mark a message for translation; `text.sentence` translates it when a reader is known."""
    return message


class ConfigError(ValueError):
    """A value that cannot be used: `field`, `value`, and in words what the field takes.

    `takes` is an untranslated template and `params` what it is filled with, so that the sentence can be told in the
    language of whoever reads it. `str(error)` is the English sentence.
    """

    TEMPLATE = N_("{field} cannot be {value}: it takes {takes}.")

    def __init__(self, field: str, value: Any, takes: str, **params: Any) -> None:
        self.field, self.value, self.takes, self.params = field, shorten(value), takes, params
        super().__init__(self.sentence())

    def sentence(self, translate: Any = str) -> str:
        takes = translate(self.takes).format(**self.params)
        return translate(self.TEMPLATE).format(field=self.field, value=self.value, takes=takes)

    def __reduce__(self) -> tuple:
        return _rebuild_error, (type(self), self.field, self.value, self.takes, self.params)


class UnknownFieldError(ConfigError):
    """A setting of a name that there is not."""

    TEMPLATE = N_("{field} cannot be set: the settings are {takes}.")

    def __init__(self, field: str, value: Any, known: Iterable[str]) -> None:
        super().__init__(shorten(field).strip("“”"), value, "{known}", known=", ".join(sorted(known)))


def _rebuild_error(kind: type, field: str, value: Any, takes: str, params: dict) -> ConfigError:
    error = kind.__new__(kind)
    error.field, error.value, error.takes, error.params = field, value, takes, params
    error.args = (error.sentence(),)
    return error


def shorten(value: Any) -> str:
    """The value as an error message repeats it: quoted if it is text, on one line, never long, and no link on a page."""
    if isinstance(value, int) and abs(value) > 10**MAX_TEXT:
        return f"{'-' if value < 0 else ''}10^{int(abs(value).bit_length() * math.log10(2))}"
    try:
        shown = f"“{value[:MAX_TEXT]}”" if isinstance(value, str) else str(value)
    except RecursionError:
        shown = "[[[…]]]"
    shown = shown.encode(errors="replace").decode()  # a lone surrogate could not be sent
    shown = re.sub(r"\s", " ", shown).replace("](", "] (")  # a link’s text must not show somebody else’s link or picture
    return shown if len(shown) <= MAX_TEXT + 2 else shown[:MAX_TEXT] + "…"


def check_choice(name: str, value: Any, allowed: tuple[str, ...]) -> None:
    if value not in allowed or not isinstance(value, str):
        raise ConfigError(name, value, N_("one of {allowed}"), allowed=", ".join(allowed))


def check_whole(name: str, value: Any, low: int, high: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ConfigError(name, value, N_("a whole number from {low} to {high}"), low=low, high=high)


def check_number(name: str, value: Any, low: float, high: float) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:
        raise ConfigError(name, value, N_("a number from {low} to {high}"), low=low, high=high)


def check_flag(name: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise ConfigError(name, value, N_("true or false"))
