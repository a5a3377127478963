"""What is asked on the page of credit: of which example, against what, by which method. To and from the URL."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import streamlit as st

from resnet_viz.engine.hub import hub
from resnet_viz.engine.jobs import Call, Job
from resnet_viz.records import (
    CREDIT_METHODS,
    DATASETS,
    MAP_METHODS,
    MAX_CLASSES,
    MAX_CREDIT_STEPS,
    N_,
    PRETRAINED,
    AblationResult,
    ConfigError,
    CreditResult,
    Source,
    check_baseline,
    check_credit,
    check_source,
    find_error,
    read_samples,
)
from resnet_viz.text import _
from resnet_viz.ui import progress
from resnet_viz.ui.canvas import read_pixels, write_pixels

ONE, ALL = "one", "all"
NONE = "none"  # a widget’s word for None, which to Streamlit is no choice at all
MAX_INDEX = max(data.test for data in DATASETS.values()) - 1
WEIGHTS = ("random", "download", "file")
MAX_WINDOW = 8
STAGES, PICTURE_STAGES = 3, 4  # of our convolutional nets, of torchvision’s


@dataclass(frozen=True)
class Crediting:
    """Every choice of the page. `samples` is "one" (example `index`, or `pixels`), "class:K" or "all"; `target` a class, or
    None for the net's own answer. The `picture_` ones are of the net for pictures that a person brings.
    """

    index: int = 0
    pixels: tuple[int, ...] | None = None
    target: int | None = None
    samples: str = ONE
    method: str = CREDIT_METHODS[0]
    baseline: str | int = "zero"
    credit_steps: int = 50
    map: str = MAP_METHODS[0]
    window: int = 2
    stage: int = 0
    picture_net: str = PRETRAINED[0]
    picture_weights: str = WEIGHTS[0]
    picture_map: str = "grad-cam"
    picture_stage: int = 3
    picture_method: str = "deep-lift"
    picture_target: int | None = None

    @property
    def source(self) -> Source:
        return Source(self.index, self.pixels)


ASKED, ERRORS, KEY = "credit.asked", "credit.complaints", "credit."  # kept when the page is left; of widgets


def get_asked() -> Crediting:
    return st.session_state[ASKED]


def change(**parts: object) -> None:
    """Ask something else; what was wrong with the link is then history."""
    st.session_state[ASKED], st.session_state[ERRORS] = replace(get_asked(), **parts), []


def set_widget(name: str, value: object) -> str:
    """Have a widget show a value, whatever it showed: its key."""
    st.session_state[KEY + name] = value
    return KEY + name


def on_widget(name: str, shift: int = 0) -> None:
    """A widget was moved; examples and stages are counted from 1 on screen."""
    value = st.session_state[KEY + name]
    change(**{name: value - shift if shift else None if value == NONE else value})


def choose(widget: Callable, label: str, name: str, options: dict, **more: Any) -> None:
    """A widget for one of the choices, `options` by their words; NONE stands for None."""
    value = getattr(get_asked(), name)
    widget(label, list(options), key=set_widget(name, NONE if value is None else value), on_change=on_widget, args=(name,),
           format_func=options.get, **more)


def measure_soon(key: Hashable, calls: list[Call]) -> Job:
    """A measurement that starts by itself and is mostly there within a moment. What was cancelled stays so."""
    job = hub.jobs.get(key)
    if job is None or job.state in ("running", "done"):
        job = hub.call(hub.start(key, calls))
    hub.call(hub.settle([job], progress.PATIENCE))
    return job


def offer_again(key: Hashable, name: str, calls: list[Call]) -> None:
    """A button to measure what has not been, or not to its end; none where it would only fail again."""
    job = hub.jobs.get(key)
    if job is None or job.state == "cancelled" or (job.state == "failed" and not isinstance(job.error, ConfigError)):
        st.button(_("Measure"), key=name, icon=":material/play_arrow:", type="primary",
                  on_click=lambda: hub.call(hub.start(key, calls)))


def _read_choice(*allowed: str) -> Callable[[str, str], str]:
    def read(name: str, text: str) -> str:
        if text not in allowed:
            raise ConfigError(name, text, N_("one of {allowed}"), allowed=tuple(allowed))
        return text
    return read


def _read_whole(low: int, high: int) -> Callable[[str, str], int]:
    def read(name: str, text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) < 7 and low <= int(text) <= high):
            raise ConfigError(name, text, N_("a whole number from {low} to {high}"), low=low, high=high)
        return int(text)
    return read


def _read_baseline(name: str, text: str) -> str | int:
    if text.isascii() and text.isdigit():
        return _read_whole(0, MAX_INDEX)(name, text)
    return _read_choice("zero", "mean")(name, text)


def _read_samples(name: str, text: str) -> str:
    is_class = text.startswith("class:") and text.isascii() and text[6:].isdigit() and len(text) < 9
    if text not in (ONE, ALL) and not is_class:
        raise ConfigError(name, text, N_("one example, all, or a class"))
    return text


READERS: dict[str, Callable[[str, str], Any]] = {
    "index": _read_whole(0, MAX_INDEX), "pixels": lambda name, text: read_pixels(text), "target": _read_whole(0, 999),
    "samples": _read_samples, "method": _read_choice(*CREDIT_METHODS), "baseline": _read_baseline,
    "credit_steps": _read_whole(1, MAX_CREDIT_STEPS), "map": _read_choice(*MAP_METHODS),
    "window": _read_whole(1, MAX_WINDOW), "stage": _read_whole(0, STAGES - 1),
    "picture_net": _read_choice(*PRETRAINED), "picture_weights": _read_choice(*WEIGHTS),
    "picture_map": _read_choice(*MAP_METHODS), "picture_stage": _read_whole(0, PICTURE_STAGES - 1),
    "picture_method": _read_choice(*CREDIT_METHODS), "picture_target": _read_whole(0, MAX_CLASSES - 1),
}


def read_crediting(query: Mapping[str, str]) -> tuple[Crediting, list[ConfigError]]:
    """What a URL asks, and what is wrong with it; that is left at its default."""
    asked, errors = Crediting(), []
    for name, read in READERS.items():
        if name in query:
            try:
                asked = replace(asked, **{name: read(name, query[name])})
            except ConfigError as error:
                errors.append(error)
    return asked, errors


def write_crediting(asked: Crediting) -> dict[str, str]:
    """The URL's parameters: what is not the default."""
    changed = {f.name: getattr(asked, f.name) for f in fields(asked) if getattr(asked, f.name) != f.default}
    return {name: write_pixels(value) if name == "pixels" else str(value) for name, value in changed.items()}


def fit_crediting(asked: Crediting, dataset: str) -> tuple[Crediting, list[ConfigError]]:
    """What can be asked of this data set, and what could not."""
    data, errors = DATASETS[dataset], []
    checks = {
        ("index", "pixels"): lambda: check_source(asked.source, dataset),
        ("baseline",): lambda: check_baseline(asked.baseline, data),
        ("samples",): lambda: asked.samples == ONE or read_samples(asked.samples, dataset),
        ("target",): lambda: check_credit(CREDIT_METHODS[0], CREDIT_METHODS, asked.target, data.classes, 1),
    }
    for names, check in checks.items():
        try:
            check()
        except ConfigError as error:
            errors.append(error)
            asked = replace(asked, **{name: getattr(Crediting(), name) for name in names})
    return asked, errors


def list_samples(asked: Crediting, dataset: str) -> list[str | Source]:
    """What is measured one after the other: the whole held-out set class by class."""
    if asked.samples == ALL:
        return [f"class:{k}" for k in range(DATASETS[dataset].classes)]
    return [asked.source if asked.samples == ONE else asked.samples]


def join_credits(parts: list[CreditResult]) -> CreditResult:
    """Of all examples together, from results of groups of them."""
    shares = np.array([part.samples for part in parts]) / sum(part.samples for part in parts)
    shortcut, branch, change = (sum(share * getattr(part, name) for share, part in zip(shares, parts, strict=True))
                                for name in ("shortcut", "branch", "output_change"))
    return CreditResult(parts[0].method, sum(part.samples for part in parts), shortcut, branch, float(change),
                        find_error(shortcut, branch, change), np.concatenate([part.single_error for part in parts]))


def join_ablations(parts: list[AblationResult], counts: list[int]) -> AblationResult:
    """Of all examples together; `counts` are the groups' numbers of examples."""
    shares = np.array(counts) / sum(counts)
    return AblationResult(*(sum(share * getattr(part, name) for share, part in zip(shares, parts, strict=True))
                            for name in ("logit", "accuracy")))
