"""A sweep's grid as the page's widgets and its URL hold it: up to three settings that vary, and a number of seeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import streamlit as st

from resnet_viz.records import FAMILY_DEFAULTS, N_, NET_LIVE, ConfigError, UnknownFieldError
from resnet_viz.sweeps import READY, SETTINGS, SweepConfig, make_sweep
from resnet_viz.text import _, write_number
from resnet_viz.ui import controls
from resnet_viz.ui.controls import OPTIONS, group_fields, label_fields, label_options, name_decay, show_field
from resnet_viz.ui.settings import DEFAULTS, Settings, read_value, write_value
from resnet_viz.ui.usual import take_family

VARIABLE = tuple(name for name in SETTINGS if name not in (*NET_LIVE, "seed"))  # a net without shortcuts: shortcut "none"
MAX_AXES = 3  # the chart's x, its colour, and its panels
MAX_SEEDS = 20
FLAGS = {"decay_bias": (True, False)}
SUGGESTED = {  # values to start from, where a setting begins to vary
    "dataset": ("digits", "spirals"), "steps": "100, 300, 1000", "depth": "8, 20, 32, 56", "width": "16; 32; 64",
    "lr": "0.01, 0.03, 0.1", "momentum": "0, 0.9", "weight_decay": "0, 0.001, 0.01", "batch_size": "32, 128",
    "decay_block": "all, 0", "shortcut": ("none", "zero-pad"),
}
FIRST = "degradation"  # what the page opens with
OWN = make_sweep({"init": "xavier", "steps": 200},
                 {"depth": (4, 8, 12, 16), "shortcut": ("none", "identity"), "seed": (0, 1)})

# ---------------------------------------------------------------------------------------------------- grids


def make_grid(base: Settings, axes: Mapping[str, tuple], seeds: int) -> SweepConfig:
    """The sweep of these. What is usual for the family is left out, so that equal grids are equal. Raises `ConfigError`."""
    if not 1 <= len(axes) <= MAX_AXES:
        raise ConfigError("vary", ", ".join(axes), N_("from one to three settings"))
    if type(seeds) is not int or not 1 <= seeds <= MAX_SEEDS:
        raise ConfigError("seeds", seeds, N_("a whole number from {low} to {high}"), low=1, high=MAX_SEEDS)
    usual = {name: getattr(DEFAULTS, name) for name in VARIABLE} | FAMILY_DEFAULTS[base.family]
    if "family" in axes:  # what the families do not share is said
        usual = {name: value for name, value in usual.items() if name not in FAMILY_DEFAULTS[base.family]}
    values = {name: getattr(base, name) for name in VARIABLE}
    kept = {name: value for name, value in values.items() if name not in usual or value != usual[name]}
    return make_sweep(kept, {**axes, "seed": tuple(range(seeds))})


def read_grid(config: SweepConfig) -> tuple[Settings, dict[str, tuple], int]:
    """What `make_grid` was given."""
    axes = {axis.name: axis.values for axis in config.axes}
    seeds = len(axes.pop("seed", (0,)))
    base = {name: value for name, value in config.base if name in VARIABLE}
    return replace(start_base(base.get("family", axes.get("family", ("dense",))[0])), **base), axes, seeds


def start_base(family: str) -> Settings:
    """The settings that a family usually has."""
    return replace(DEFAULTS, family=family, skips=(True, True), **FAMILY_DEFAULTS[family])


def list_ready() -> dict[str, SweepConfig]:
    """The ready sweeps, as `make_grid` writes them."""
    return {name: make_grid(*read_grid(ready.config)) for name, ready in READY.items()}


def name_grid(config: SweepConfig) -> str:
    """A ready sweep's name, or "own"."""
    return next((name for name, ready in list_ready().items() if ready == config), "own")


def describe_grid(config: SweepConfig) -> str:
    """The axes in words, such as "Depth: 8, 20 × Shortcut: Plain net, Zero padding (A) × 3 seeds"."""
    _base, axes, seeds = read_grid(config)
    words = _("{setting}: {values}")
    parts = [words.format(setting=label_fields()[name], values=_(", ").join(name_value(name, value) for value in values))
             for name, values in axes.items()]
    return " × ".join([*parts, _("{count} seeds").format(count=seeds)])


# ---------------------------------------------------------------------------------------------------- words


def name_value(name: str, value: Any) -> str:
    """One value of a setting."""
    if name == "decay_block":
        return name_decay(write_value(value))
    if name == "cuts":
        return ", ".join(str(block + 1) for block in value) or _("None")
    if isinstance(value, bool):
        return _("Yes") if value else _("No")
    if value == "none":
        return {"shortcut": _("Plain net"), "norm": _("No normalisation")}.get(name, value)
    if isinstance(value, float):
        return write_number(value, 6)
    return label_options().get(value, value) if isinstance(value, str) else write_value(value)


def name_place(name: str, value: Any) -> str:
    """A value where nothing else says which setting it is of."""
    if name == "depth":
        return _("{count} layers").format(count=value)
    if name == "seed":
        return _("seed {number}").format(number=value)
    if name in ("shortcut", "norm", "dataset", "family", "optimizer", "activation"):
        return name_value(name, value)
    return _("{setting} {value}").format(setting=label_fields()[name], value=name_value(name, value))


def name_lines(name: str, values: tuple) -> list[str]:
    """The values of an axis as names of nets: with one kind of shortcut beside none, the plain and the residual one."""
    if name == "shortcut" and len(values) == 2 and "none" in values:
        return [_("Plain net") if value == "none" else _("Residual net") for value in values]
    return [name_place(name, value) for value in values]


# ---------------------------------------------------------------------------------------------------- the URL


def write_query(config: SweepConfig) -> dict[str, str]:
    """What a URL says of a grid: the name of a ready one, or what varies, the values, and what is not usual."""
    if (name := name_grid(config)) != "own":
        return {"ready": name}
    _base, axes, seeds = read_grid(config)
    query = {name: write_value(value) for name, value in config.base}
    query |= {name: write_values(name, values, "") for name, values in axes.items()}
    return query | {"vary": ",".join(axes), "seeds": str(seeds)}


def read_query(query: Mapping[str, str]) -> tuple[SweepConfig, list[ConfigError]]:
    """The grid of a URL, and what was wrong with it: what cannot be is left at its default."""
    first, errors = list_ready()[query["ready"] if query.get("ready") in READY else FIRST], []
    if "ready" in query and query["ready"] not in READY:
        errors.append(ConfigError("ready", query["ready"], N_("one of {allowed}"), allowed=tuple(READY)))
    if "ready" in query or "vary" not in query:
        return first, errors
    names, axes, base = query["vary"].split(","), {}, {}
    for name in names[: MAX_AXES + 1]:
        try:
            axes[name] = read_axis(name, query.get(name, ""))
        except ConfigError as error:
            errors.append(error)
    if query["vary"] and not axes:
        return first, errors  # there is nothing to say of a grid without an axis that has not been said of its axes
    for name in VARIABLE:
        if name in query and name not in names:
            try:
                base[name] = read_value(name, query[name])
            except ConfigError as error:
                errors.append(error)
    try:
        family = base.get("family", axes.get("family", ("dense",))[0])
        seeds = query.get("seeds", "1")
        number = int(seeds) if seeds.isascii() and seeds.isdigit() and len(seeds) < 9 else seeds
        return make_grid(replace(start_base(family), **base), axes, number), errors
    except ConfigError as error:
        return first, [*errors, error]


def read_axis(name: str, text: str) -> tuple:
    """The values of one axis, as a URL and a widget hold them. Raises `ConfigError`."""
    if name not in VARIABLE:
        raise UnknownFieldError(name, text, VARIABLE)
    return tuple(read_value(name, part.strip()) for part in text.split(";" if name == "width" else ","))


def write_values(name: str, values: tuple, space: str = " ") -> str:
    return (";" if name == "width" else ",").join(space + write_value(value) for value in values).strip()


# ---------------------------------------------------------------------------------------------------- widgets


def write_widgets(config: SweepConfig) -> None:
    """Set the widgets to a grid. Call before they are drawn."""
    base, axes, st.session_state["seeds"] = read_grid(config)
    controls.write_widgets(base)
    st.session_state["vary"] = list(axes)
    for name, values in axes.items():
        st.session_state[f"axis.{name}"] = list(values) if is_choice(name) else write_values(name, values)


def read_widgets() -> SweepConfig:
    """The grid that the widgets stand for. Raises `ConfigError`."""
    axes = {}
    for name in st.session_state["vary"]:
        value = st.session_state[f"axis.{name}"]
        axes[name] = tuple(value) if is_choice(name) else read_axis(name, value)
    return make_grid(controls.read_widgets(), axes, st.session_state["seeds"])


def is_choice(name: str) -> bool:
    """Whether an axis's values are chosen from a few."""
    return name in OPTIONS or name in FLAGS


def show_grid() -> None:
    """All widgets of a grid: what varies and how, then what all runs share."""
    titles = label_fields()
    st.subheader(_("What varies"), divider="gray")
    st.multiselect(_("Settings that vary"), VARIABLE, format_func=titles.get, key="vary", max_selections=MAX_AXES,
                   on_change=on_vary, placeholder=_("Choose"),
                   help=_("Up to three: one along the axis of the charts, one in colour, one chart for each value of the "
                          "third."))
    for name in st.session_state["vary"]:
        show_values(name)
    st.number_input(_("Seeds"), 1, MAX_SEEDS, key="seeds",
                    help=_("So many runs at each point of the grid, from other initial weights and other batches: how much "
                           "do results differ by chance alone?"))
    for title, names in group_fields().items():
        shared = [name for name in names if name not in ("seed", *st.session_state["vary"])]
        if shared:
            st.subheader(_("The same in all runs: {group}").format(group=title), divider="gray")
        for name in shared:
            show_field(name, on_change=on_family if name == "family" else None)


def show_values(name: str) -> None:
    """The values of one setting."""
    title, key = _("{setting}: the values").format(setting=label_fields()[name]), f"axis.{name}"
    if is_choice(name):
        st.multiselect(title, OPTIONS.get(name) or FLAGS[name], format_func=lambda value: name_value(name, value), key=key,
                       placeholder=_("Choose"))
        return
    takes = {"width": _("Between semicolons; of one net, one number per stage with commas, such as 16; 32; 64,128."),
             "decay_block": _("“all”, or blocks, counted from 0; with commas between.")}
    st.text_input(title, key=key, max_chars=300, help=takes.get(name, _("Numbers with commas between.")))


def on_vary() -> None:
    """Give what begins to vary some values, and what no longer varies its usual one."""
    usual = start_base(st.session_state.get("family", "dense"))
    for name in VARIABLE:
        if name in st.session_state["vary"]:
            start = SUGGESTED.get(name) or OPTIONS.get(name) or FLAGS[name]
            st.session_state.setdefault(f"axis.{name}", list(start) if is_choice(name) else start)
        elif name not in st.session_state:
            value = getattr(usual, name)
            st.session_state[name] = write_value(value) if name in controls.TEXT_FIELDS else value
    if "family" in st.session_state["vary"] and st.session_state.get("shortcut") == "identity":
        st.session_state["shortcut"] = "zero-pad"  # which is the identity where dimensions are equal


def on_family(_field: str) -> None:
    """The usual settings of the family; a convolutional net changes dimensions, which the identity cannot."""
    st.session_state.setdefault("depth", DEFAULTS.depth)
    st.session_state.setdefault("dataset", DEFAULTS.dataset)
    take_family()
    if st.session_state["family"] == "conv" and "identity" in st.session_state.get("axis.shortcut", ()):
        kinds = ["zero-pad" if kind == "identity" else kind for kind in st.session_state["axis.shortcut"]]
        st.session_state["axis.shortcut"] = list(dict.fromkeys(kinds))
