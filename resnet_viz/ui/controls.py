"""The widgets: their words, and how they stand for `Settings`. Each has the name of its field as its key."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from resnet_viz import records
from resnet_viz.text import _, write_number
from resnet_viz.ui.settings import ALL, COMPARABLE, DEFAULTS, Settings, read_value, write_value
from resnet_viz.ui.usual import RATED, find_rate, on_choice, warn_explosion


def label_fields() -> dict[str, str]:
    """What each setting is called."""
    return {
        "dataset": _("Data set"), "seed": _("Seed"), "steps": _("Step limit"), "compare": _("The lanes differ in"),
        "skip": _("Skip connections"), "cuts": _("Cut shortcuts"), "family": _("Family"), "depth": _("Depth"),
        "width": _("Width"), "shortcut": _("Shortcut"), "norm": _("Normalisation"), "init": _("Initial weights"),
        "order": _("Where g stands"), "activation": _("Function g"),
        "optimizer": _("Optimizer"), "lr": _("Learning rate"), "momentum": _("Momentum"),
        "weight_decay": _("Weight decay λ"), "decay": _("Kind of decay"), "decay_block": _("What decays"),
        "decay_bias": _("Biases decay too"), "batch_size": _("Batch size"),
    }


def label_options() -> dict[str, str]:
    """What each choice is called."""
    return {
        "digits": _("Digits 8×8"), "spirals": _("Two spirals"), "circles": _("Two circles"), "moons": _("Two moons"),
        "checkerboard": _("Checkerboard"), "dense": _("Dense"), "conv": _("Convolutional"),
        "identity": _("Identity"), "zero-pad": _("Zero padding (A)"), "projection": _("W_s where dimensions change (B)"),
        "projection-all": _("W_s everywhere (C)"), "batch": _("BatchNorm"), "default": _("PyTorch’s default"),
        "he": _("He"), "xavier": _("Xavier"), "zero-last": _("Last layer of a branch zero"),
        "post": _("After the sum"), "pre": _("Before the layers (pre-activation)"),
        "relu": "ReLU", "tanh": "tanh", "own": _("The optimizer’s own"), "coupled": _("In the gradient (L2)"),
        "decoupled": _("Beside the step (decoupled)"), "sgd": _("SGD with momentum"), "adamw": "AdamW", "none": _("None"),
    }


def explain_fields() -> dict[str, str]:
    """What each setting does, for who learns."""
    return {
        "dataset": _("Digits are scikit-learn’s 8×8 pictures of real handwriting; the others are points in a plane, made "
                     "here. A fifth of the digits, a third of the points, is held out and never trained on."),
        "seed": _("Decides the initial weights and the order of the batches. The same seed gives the same numbers, to "
                  "the bit."),
        "steps": _("Where the race ends. One step trains on one batch."),
        "compare": _("Both lanes start from the same settings and see the same batches, but for batches of another size. "
                     "They start from the same weights, too, but for other depths, widths, families, normalisation or "
                     "kinds of initial weights. Choose the one thing that is different."),
        "family": _("Dense: each block is z[l+1] = W[l+1] a[l] + b[l+1], ReLU, z[l+2] = W[l+2] a[l+1] + b[l+2]. "
                    "Convolutional: the shape of He et al. 2015 for CIFAR, three stages of 3×3 convolutions."),
        "depth": _("Layers with weights: 2n+2 for dense nets (n blocks of two layers, a stem and a head), 6n+2 for "
                   "convolutional ones. Try 8 against 56."),
        "width": _("Units of each layer; with commas, one number per stage, such as 64,128. For a convolutional net the "
                   "channels of the first stage; they double at each later stage."),
        "shortcut": _("How a[l] reaches the sum where its dimension differs from z[l+2]: padded with zeros (no "
                      "parameters) or multiplied by a learned matrix W_s. The identity needs equal dimensions."),
        "norm": _("BatchNorm behind each layer keeps signals at one size, and gradients from vanishing; at the start those "
                  "of a plain net even grow from block to block on their way to the input. Deep plain nets then train at "
                  "all, and yet worse than shallow ones: degradation."),
        "init": _("PyTorch’s default shrinks the gradient of a plain net about sixfold per block. He’s initialisation "
                  "keeps its size; without normalisation it lets a residual net explode. That is meant to be seen: trained "
                  "with SGD, a residual net of 20 layers diverges within some dozens of steps."),
        "order": _("After the sum, as in the lesson: a[l+2] = g(z[l+2] + a[l]). Before the layers (He et al. 2016): "
                   "nothing stands on the shortcut’s way from input to output."),
        "optimizer": _("SGD with momentum is the paper’s choice. AdamW scales each weight’s step by its recent gradients, "
                       "which hides much of a vanishing gradient."),
        "lr": _("How far one step goes. May be changed in the middle of a run."),
        "momentum": _("How much of the last step is kept in the next. May be changed in the middle of a run."),
        "weight_decay": _("Pulls every weight towards 0, W_s too. Without BatchNorm a block with an identity shortcut "
                          "then moves towards the identity, one with W_s or without a shortcut towards the zero map. May "
                          "be changed in the middle of a run."),
        "decay": _("In the gradient, λW passes through momentum like the loss’s own gradient. Beside the step, lr·λ·W is "
                   "taken off the weights. SGD’s own is the first, AdamW’s the second."),
        "decay_block": _("All parameters, or one block’s two layers only: that block’s branch is then drawn to 0, its "
                         "shortcut and the other blocks are free."),
        "decay_bias": _("Whether b, and BatchNorm’s β, decay as W does. Without it b[l+2] need not go to 0."),
        "activation": _("ReLU leaves what is positive as it is, so g(a[l]) = a[l] where a[l] comes from a ReLU. tanh "
                        "does not: a block with W = b = 0 is then tanh, not the identity."),
        "batch_size": _("Examples per step. What is left over at the end of an epoch is dropped."),
        "skip": _("On: a[l+2] = g(z[l+2] + a[l]). Off: a[l+2] = g(z[l+2]), with the same weights. May be switched in the "
                  "middle of a run; see what the gradients do."),
    }


OPTIONS = {
    "dataset": tuple(records.DATASETS), "family": records.FAMILIES, "shortcut": records.SHORTCUTS,
    "norm": records.NORMS, "init": records.INITS, "order": records.ORDERS, "optimizer": records.OPTIMIZERS,
    "activation": records.ACTIVATIONS, "decay": records.DECAYS,
}
NUMBERS: dict[str, dict[str, Any]] = {
    "seed": {"min_value": 0, "max_value": 2**31 - 1, "step": 1},
    "steps": {"min_value": 1, "max_value": 100_000, "step": 500},
    "depth": {"min_value": 4, "max_value": records.MAX_DEPTH, "step": 2},
    "batch_size": {"min_value": 2, "max_value": 1024, "step": 32},
    "lr": {"min_value": 0.0, "max_value": 100.0, "step": 0.01, "format": "%g"},
    "momentum": {"min_value": 0.0, "max_value": 0.999, "step": 0.1, "format": "%g"},
    "weight_decay": {"min_value": 0.0, "max_value": 10.0, "step": 0.001, "format": "%g"},
}


PLAIN_FIELDS = (*OPTIONS, *NUMBERS, "compare", "decay_bias")  # whose widgets hold the setting itself
TEXT_FIELDS = ("width", "decay_block")  # whose widgets hold it as a URL does


def show_field(name: str, key: str | None = None, lane: str = "",
               on_change: Callable[[str], None] | None = None) -> None:
    """The widget of one setting. Its value is in the session under its key; `on_change` is told the setting's name."""
    label = label_fields()[name] + (f" · {lane}" if lane else "")
    common = {"key": key or name, "help": explain_fields()[name], "on_change": on_change,
              "args": (name,) if on_change else None}
    if name in OPTIONS:
        st.selectbox(label, OPTIONS[name], format_func=lambda option: label_options()[option], **common)
    elif name == "decay_block":
        st.selectbox(label, list_decays(), format_func=name_decay, **common)
    elif name == "decay_bias":
        st.toggle(label, **common)
    elif name == "width":
        st.text_input(label, max_chars=30, **common)
    else:
        bounds = NUMBERS[name] | ({"step": 6} if name == "depth" and st.session_state.get("family") == "conv" else {})
        st.number_input(label, **bounds, **common)


def list_decays() -> list[str]:
    """All parameters, or one block, as far as the net is deep; and what is chosen, if the net is no longer so."""
    chosen = {st.session_state.get("decay_block")}
    if st.session_state.get("compare") == "decay_block":
        chosen |= {st.session_state.get("first")}
    blocks = [str(k) for k in range(min(60, max(0, st.session_state.get("depth", 4) - 2) // 2))]
    return [ALL, *blocks, *(chosen - {ALL, None, *blocks})]


def name_decay(block: str) -> str:
    return _("All parameters") if block == ALL else _("Block {number}").format(number=int(block) + 1)


def group_fields() -> dict[str, tuple[str, ...]]:
    """The settings that both lanes of a race share, in their groups."""
    return {
        _("Data"): ("dataset", "seed", "steps"),
        _("Net"): ("family", "depth", "width", "shortcut", "norm", "init", "order", "activation"),
        _("Training"): ("optimizer", "lr", "momentum", "batch_size", "weight_decay", "decay", "decay_block", "decay_bias"),
    }


def show_groups(*without: str) -> None:
    """The settings' widgets in their groups, but for some."""
    for title, names in group_fields().items():
        st.subheader(title, divider="gray")
        for name in names:
            if name not in without:
                show_field(name, on_change=on_choice)


def show_settings() -> None:
    """All settings but the toggles, in groups."""
    compare, titles = st.session_state.compare, label_fields()
    st.selectbox(titles["compare"], COMPARABLE, format_func=lambda name: titles[name], key="compare",
                 help=explain_fields()["compare"], on_change=on_compare)
    for title, names in group_fields().items():
        st.subheader(title, divider="gray")
        for name in names:
            if name == compare:
                for key, lane in zip(("first", name), name_places(), strict=True):
                    show_field(name, key, lane=lane)
            else:
                show_field(name, on_change=on_choice)
            if name == "init":
                warn_explosion()


def on_compare() -> None:
    """Start the comparison from equal values; skip connections on in both lanes unless they are what is compared."""
    compare = st.session_state.compare
    st.session_state["skip.0"], st.session_state["skip.1"] = compare != "skip", True
    if compare != "skip":
        st.session_state.first = st.session_state[compare]


def write_widgets(settings: Settings) -> None:
    """Set the widgets to these settings. Call before they are drawn."""
    st.session_state["usual.lr"] = find_rate(*(getattr(settings, name) for name in RATED))
    for name in PLAIN_FIELDS:
        st.session_state[name] = getattr(settings, name)
    for name in TEXT_FIELDS:
        st.session_state[name] = write_value(getattr(settings, name))
    if settings.compare != "skip":
        st.session_state.first = write_value(settings.first) if settings.compare in TEXT_FIELDS else settings.first
    for i, (skip, cuts) in enumerate(zip(settings.skips, settings.cuts, strict=True)):
        st.session_state[f"skip.{i}"], st.session_state[f"cuts.{i}"] = skip, cuts


def read_widgets(defaults: Settings = DEFAULTS) -> Settings:
    """The settings that the widgets stand for, `defaults` where the page has no widget.

    Raises `ConfigError`: bounds of widgets hold in the browser only.
    """
    state = st.session_state
    values = {name: state.get(name, getattr(defaults, name)) for name in PLAIN_FIELDS}
    compare, first = values["compare"], None
    if compare != "skip":
        first = state.get("first", getattr(DEFAULTS, compare))
        first = read_value(compare, str(first)) if compare in TEXT_FIELDS else first
    values |= {name: read_value(name, state.get(name, write_value(getattr(defaults, name)))) for name in TEXT_FIELDS}
    skips = tuple(state.get(f"skip.{i}", skip) for i, skip in enumerate(defaults.skips))
    depths = (first if compare == "depth" else values["depth"], values["depth"])
    cuts = tuple(tuple(k for k in state.get(f"cuts.{i}", cuts) if k < (depth - 2) // 2)  # a net that was made shallower
                 for i, (depth, cuts) in enumerate(zip(depths, defaults.cuts, strict=True)))
    return Settings(**values, first=first, skips=skips, cuts=cuts)


def name_lanes(settings: Settings, skips: list[bool]) -> list[str]:
    """What the two lanes are called: by what they differ in."""
    if settings.compare != "skip":
        label, options = label_fields()[settings.compare], label_options()
        values = (settings.first, getattr(settings, settings.compare))
        if settings.compare == "decay_block":
            return [f"{label} · {name_decay(write_value(value))}" for value in values]
        if settings.compare == "decay_bias":
            return [f"{label} · {_('Yes') if value else _('No')}" for value in values]
        return [f"{label} · {options.get(value, write_value(value))}" if isinstance(value, str)
                else f"{label} {write_number(value, 6) if isinstance(value, float) else write_value(value)}"
                for value in values]
    names = [_("Residual net") if skip else _("Plain net") for skip in skips]
    if names[0] != names[1]:
        return names
    return [f"{name} · {place}" for name, place in zip(names, name_places(), strict=True)]


def name_places() -> tuple[str, str]:
    """How the two lanes are told apart whatever they are: by where the board draws them."""
    return _("upper net"), _("lower net")
