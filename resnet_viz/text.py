"""Texts in the reader's language. English is in the code; translations are in assets/locale/*.po.

The language belongs to the session: `use_language` sets it for the running script, never for the process.
"""

from __future__ import annotations

import functools
import gettext
import io
import math
import re
from collections.abc import Callable, Iterable
from contextvars import ContextVar, copy_context
from pathlib import Path
from typing import Any

from babel.messages import mofile, pofile

from resnet_viz.records import ConfigError, Words

LOCALE = Path(__file__).parents[1] / "assets" / "locale"
LANGUAGES = {"en": "English", "zh_CN": "简体中文"}

SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
CHINESE = "[\u3001-\u303f\u4e00-\u9fff\uff01-\uff65“”]"  # its signs of punctuation too
GAP = re.compile(f"(?<={CHINESE}) \0(?={CHINESE})|(?<={CHINESE})\0 (?={CHINESE})|\0")

_language: ContextVar[str] = ContextVar("language", default="en")


def use_language(language: str) -> None:
    """Speak this language from here on in the running script; an unknown one is English."""
    _language.set(language if language in LANGUAGES else "en")


def get_language() -> str:
    return _language.get()


def call_in(language: str, function: Callable, *arguments: Any) -> Any:
    """Call a function in this language, such as later, when no session's script is running."""
    context = copy_context()
    context.run(use_language, language)
    return context.run(function, *arguments)


def choose_language(locale: str | None) -> str:
    """The language for a browser's locale, such as "zh-Hans-CN": Chinese of any kind gets 简体中文."""
    return "zh_CN" if (locale or "").lower().startswith("zh") else "en"


class Chinese(str):
    """A Chinese text. A space stands between Chinese and what is not, and so beside its placeholders; where what is filled
    in is Chinese too, such as “20 层”, there is none.
    """

    __slots__ = ()

    def format(self, *values: Any, **names: Any) -> str:
        return GAP.sub("", re.sub(r"\{[^{}]*\}", "\0\\g<0>\0", self).format(*values, **names))


@functools.cache
def load_translations(language: str) -> gettext.NullTranslations:
    path = LOCALE / f"{language}.po"
    if not path.exists():
        return gettext.NullTranslations()
    compiled = io.BytesIO()
    with path.open("rb") as file:
        mofile.write_mo(compiled, pofile.read_po(file, locale=language))
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)


def _(message: str) -> str:
    """The message in the session's language."""
    text = load_translations(_language.get()).gettext(message)
    return Chinese(text) if _language.get().startswith("zh") else text


def join(*sentences: str) -> str:
    """Sentences one after the other, as the session's language sets them: Chinese ones without a space."""
    return ("" if get_language().startswith("zh") else " ").join(sentences)


def percent_sign() -> str:
    """The sign behind a number, as the session's language sets it: 9 % in English, 9% in Chinese."""
    return "%" if get_language().startswith("zh") else " %"


def write_number(value: float, digits: int = 3) -> str:
    """A number as a reader sees it, by its significant digits: 0.0421, 12,340, 1.5×10⁻⁶."""
    if not math.isfinite(value):
        return "–" if math.isnan(value) else "∞" if value > 0 else "−∞"
    short, _mark, power = f"{value:.{digits}g}".partition("e")
    if not power:
        return short
    return f"{value:,.0f}" if 0 <= int(power) < 5 else write_power(short, int(power))


def write_numbers(values: Iterable[float | None], digits: int = 3, suffix: str = "") -> list[str]:
    """Numbers for a chart’s hover, which knows no powers of ten; of what is None or not a number a dash."""
    return ["–" if value is None or math.isnan(value) else write_number(value, digits) + suffix for value in values]


def write_scientific(value: float, places: int) -> str:
    """As a multiple of a power of ten, to so many places: 1.2×10⁴."""
    digits, _mark, power = f"{value:.{places}e}".partition("e")
    return write_power(digits, int(power))


def write_power(factor: str, power: int) -> str:
    """A factor and a power of ten: 1.5×10⁻⁶."""
    return f"{factor}×10{str(power).translate(SUPERSCRIPTS)}"


def sentence(error: ConfigError, words: Words | None = None) -> str:
    """What is wrong, in the session's language, and in the words of where it is read."""
    return error.sentence(_, words)
