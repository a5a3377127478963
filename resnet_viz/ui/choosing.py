"""Which nets are on the page of architectures, and what one's own is: the page's URL, its widgets."""

from __future__ import annotations

from typing import Any

import streamlit as st

from resnet_viz.figures.architecture import name_net, write_shape
from resnet_viz.records import (
    ARCHITECTURES,
    DATASETS,
    N_,
    ConfigError,
    DataShape,
    Lane,
    NetConfig,
    check_budget,
    parse_field,
    read_architecture,
)
from resnet_viz.text import _
from resnet_viz.ui.controls import label_options
from resnet_viz.ui.words import sentence

OWN = "own"
CIFAR = tuple(f"cifar{depth}{end}" for end in ("", "-plain") for depth in (20, 32, 44, 56, 110, 1202))
NETS = (*ARCHITECTURES[:7], "vgg19", *CIFAR, *(name for name in ARCHITECTURES[7:] if name != "vgg19"), OWN)
DEFAULT = ("vgg19", "plain34", "resnet34")
MOST = 3
# What one's own net may be, by its family: its picture, the shortcuts to choose from, and the sliders' bounds.
DATA = {"conv": DataShape((3, 32, 32), 10), "dense": DATASETS["digits"]}
SHORTCUTS = {"conv": ("zero-pad", "projection", "projection-all", "none"), "dense": ("identity", "projection-all", "none")}
BOUNDS = {"conv": {"depth": (8, 200, 6), "width": (1, 128, 1)}, "dense": {"depth": (4, 200, 2), "width": (1, 512, 1)}}
OWN_DEFAULT = {"conv": NetConfig("conv", "zero-pad", 20, (16,), "batch"), "dense": NetConfig()}


def read_url(query: dict[str, str]) -> None:
    """The nets that the URL names, and one's own; what is wrong with them is told on the page."""
    names, own, errors = DEFAULT, OWN_DEFAULT["conv"], []
    try:
        names = read_names(query["nets"]) if "nets" in query else names
    except ConfigError as error:
        errors.append(error)
    try:
        own = read_own(query)
    except ConfigError as error:
        errors.append(error)
    look = query.get("look", names[-1])
    if look not in names:
        errors.append(ConfigError("look", look, N_("one of {allowed}"), allowed=tuple(names)))
        look = names[-1]
    st.session_state.update({"architecture.nets": list(names), "architecture.own": own, "architecture.look": look,
                             "architecture.step": query.get("step"), "architecture.complaints": errors})


def read_names(text: str) -> tuple[str, ...]:
    """One to three names with commas between."""
    names = tuple(dict.fromkeys(text[:200].split(",")))
    if len(names) > MOST:
        raise ConfigError("nets", text, N_("at most {high} nets"), high=MOST)
    for name in names:
        if name != OWN:
            read_architecture(name)
    return names


def read_own(query: dict[str, str]) -> NetConfig:
    """One's own net, within the sliders' bounds."""
    family = query.get("family", "conv")
    if family not in BOUNDS:
        raise ConfigError("family", family, N_("one of {allowed}"), allowed=tuple(BOUNDS))
    default = OWN_DEFAULT[family]
    depth, width = parse_field("depth", query.get("depth", str(default.depth))), query.get("width", str(default.width[0]))
    shortcut = query.get("shortcut", default.shortcut)
    if shortcut not in SHORTCUTS[family]:
        raise ConfigError("shortcut", shortcut, N_("one of {allowed}"), allowed=tuple(SHORTCUTS[family]))
    net = NetConfig(family, shortcut, depth, (parse_whole(width),), default.norm)
    for name, value in (("depth", net.depth), ("width", net.width[0])):
        low, high, _step = BOUNDS[family][name]
        if not low <= value <= high:
            raise ConfigError(name, value, N_("a whole number from {low} to {high}"), low=low, high=high)
    return net


def parse_whole(text: str) -> Any:
    """A whole number; anything else stays text, for the check to refuse."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else text


def read_step(text: str, steps: int) -> int:
    """How far the picture is."""
    if parse_whole(text) not in range(steps + 1):
        raise ConfigError("step", text, N_("a whole number from {low} to {high}"), low=0, high=steps)
    return int(text)


def write_query(names: list[str], own: NetConfig, look: str) -> dict[str, str]:
    """The page's URL parameters: what is not the default."""
    query = {} if tuple(names) == DEFAULT else {"nets": ",".join(names)}
    query |= {"look": look} if look in names[:-1] else {}
    if OWN in names:
        default = OWN_DEFAULT[own.family]
        values = {"depth": own.depth, "width": own.width[0], "shortcut": own.shortcut}
        usual = {"depth": default.depth, "width": default.width[0], "shortcut": default.shortcut}
        query |= {"family": own.family} if own.family != "conv" else {}
        query |= {name: str(value) for name, value in values.items() if value != usual[name]}
    return query


def show_choice() -> list[str]:
    """Up to three nets, from left to right; a CIFAR net that only a link can name is offered too."""
    chosen = st.session_state["architecture.nets"]
    options = [None, *NETS, *(name for name in chosen if name not in NETS)]
    names = []
    for i in range(MOST):
        st.session_state.setdefault(f"arch.net{i}", chosen[i] if i < len(chosen) else None)
        label = _("Net {number}").format(number=i + 1)
        names.append(st.selectbox(label, options, format_func=lambda name: name_net(name) if name else "–",
                                  key=f"arch.net{i}", placeholder="–"))
    st.session_state["architecture.nets"] = names = [name for name in dict.fromkeys(names) if name]
    return names


def show_own() -> NetConfig:
    """The sliders of one's own net."""
    own = st.session_state["architecture.own"]
    if "own.family" not in st.session_state:
        write_own(own)
    st.subheader(_("My own net"), divider="gray", anchor=False)
    families = {"conv": _("Convolutional"), "dense": _("Dense")}
    st.segmented_control(_("Family"), list(families), format_func=families.get, key="own.family", required=True,
                         on_change=lambda: write_own(OWN_DEFAULT[st.session_state["own.family"]]))
    family = st.session_state["own.family"]
    for name, label in (("depth", _("Depth")), ("width", _("Width"))):
        low, high, step = BOUNDS[family][name]
        st.slider(label, low, high, step=step, key=f"own.{name}")
    st.selectbox(_("Shortcut"), SHORTCUTS[family], format_func=lambda kind: label_options()[kind], key="own.shortcut")
    own = follow_own(family)
    st.session_state["architecture.own"] = own
    return own


def follow_own(family: str) -> NetConfig:
    """The net that the sliders say, or the last that could be; and whether it could be trained here."""
    values = {name: str(st.session_state[f"own.{name}"]) for name in ("family", "depth", "width", "shortcut")}
    try:
        own = read_own(values)
    except ConfigError as error:
        st.error(sentence(error), icon=":material/error:")
        return st.session_state["architecture.own"]
    shape = write_shape(DATA[family].shape)
    try:
        check_budget(Lane(own), DATA[family])
        st.caption(_("For pictures of {shape}. This net can be trained here.").format(shape=shape))
    except ConfigError:
        st.caption(_("For pictures of {shape}. This net is too large to be trained here; drawing it costs nothing.")
                   .format(shape=shape))
    return own


def write_own(own: NetConfig) -> None:
    for name, value in (("family", own.family), ("depth", own.depth), ("width", own.width[0]), ("shortcut", own.shortcut)):
        st.session_state[f"own.{name}"] = value
