"""What is said of a value that cannot be used, and the checks that many records share."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

MAX_TEXT = 60  # characters of a bad value that an error message repeats


def N_(message: str) -> str:
    """Mark a message for translation; `text.sentence` translates it when a reader is known."""
    return message


class Option(NamedTuple):
    """One choice of a setting, or one number such as a block's, where a sentence names it."""

    field: str
    value: str | int


class Phrase(str):
    """A part of a sentence that is translated before it is filled in."""

    __slots__ = ()


class Words:
    """What a sentence calls settings and their choices: here by their ids. Each surface has the words of its own."""

    def name_field(self, field: str) -> str:
        return field

    def name_key(self, field: str) -> str:
        """A setting among those of a file or a link."""
        return field

    def name_option(self, field: str, value: str) -> str:
        """A choice in a list of choices."""
        return value

    def point_at(self, option: Option) -> str:
        """A choice in the middle of a sentence."""
        return str(option.value)

    def write_number(self, field: str, value: float) -> str:
        """A number; blocks and the like count from 0 in records and links, which need not be so on screen."""
        return str(value)


class ConfigError(ValueError):
    """A value that cannot be used: `field`, `value`, and in words what the field takes.

    `takes` is an untranslated template and `params` what it is filled with, so that the sentence can be told in the
    language and in the words of whoever reads it: a tuple are choices of the field, an `Option` is one of any field.
    `str(error)` is the English sentence, with ids.
    """

    TEMPLATE = N_("{field} cannot be {value}: it takes {takes}.")

    def __init__(self, field: str, value: Any, takes: str, **params: Any) -> None:
        self.field, self.value, self.takes, self.params = field, shorten(value), takes, params
        super().__init__(self.sentence())

    def sentence(self, translate: Any = str, words: Words | None = None) -> str:
        words = words or Words()
        params = {name: self._fill(name, value, translate, words) for name, value in self.params.items()}
        params |= {"field": words.name_field(self.field), "value": self._show_value(words)}
        takes = translate(self.takes).format(**params)
        return translate(self.TEMPLATE).format(takes=takes, **params)

    def _fill(self, name: str, value: Any, translate: Any, words: Words) -> Any:
        if isinstance(value, Option):
            return words.point_at(value)
        if isinstance(value, tuple):
            return translate(", ").join(words.name_option(self.field, item) for item in value)
        if name in ("low", "high"):
            return words.write_number(self.field, value)
        return translate(value) if isinstance(value, Phrase) else value

    def _show_value(self, words: Words) -> str:
        if re.fullmatch("“?-?[0-9]+”?", self.value):
            return re.sub("-?[0-9]+", lambda number: words.write_number(self.field, int(number[0])), self.value)
        quoted = re.fullmatch("“(.*)”", self.value)
        return f"“{words.name_option(self.field, quoted[1])}”" if quoted else self.value

    def __reduce__(self) -> tuple:
        return _rebuild_error, (type(self), self.field, self.value, self.takes, self.params)


class RuleError(ConfigError):
    """Choices that rule each other out, none of them wrong by itself: `takes` is the whole sentence."""

    TEMPLATE = "{takes}"


class UnknownFieldError(ConfigError):
    """A setting of a name that there is not."""

    TEMPLATE = N_("{field} cannot be set: the settings are {takes}.")

    def __init__(self, field: str, value: Any, known: Iterable[str]) -> None:
        super().__init__(shorten(field).strip("“”"), value, "{known}", known=tuple(sorted(known)))

    def sentence(self, translate: Any = str, words: Words | None = None) -> str:
        known = translate(", ").join(map((words or Words()).name_key, self.params["known"]))
        return translate(self.TEMPLATE).format(field=self.field, takes=known)


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
        raise ConfigError(name, value, N_("one of {allowed}"), allowed=allowed)


def check_whole(name: str, value: Any, low: int, high: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ConfigError(name, value, N_("a whole number from {low} to {high}"), low=low, high=high)


def check_number(name: str, value: Any, low: float, high: float) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:
        raise ConfigError(name, value, N_("a number from {low} to {high}"), low=low, high=high)


def check_blocks(name: str, value: Any, blocks: int) -> tuple[int, ...]:
    """Blocks of a net that has so many, counted from 0, each once: in their order."""
    if not isinstance(value, list | tuple):
        raise ConfigError(name, value, N_("blocks with commas between, such as {example}"), example="3,4")
    for block in value:
        if not isinstance(block, int) or isinstance(block, bool) or not 0 <= block < blocks:
            raise ConfigError(name, block, N_("blocks of this net, from {low} to {high}"), low=0, high=blocks - 1)
        if value.count(block) > 1:
            raise ConfigError(name, block, N_("each block once"))
    return tuple(sorted(value))


def check_flag(name: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise ConfigError(name, value, N_("true or false"))
