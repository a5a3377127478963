"""Gradients: how large they are before any training, whether they shatter, and how strongly trained layers respond."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import streamlit as st

from resnet_viz.engine.jobs import Call, Job
from resnet_viz.figures.gradients import (
    REACH,
    Curve,
    draw_autocorrelation,
    draw_lines,
    draw_now,
    draw_responses,
    draw_slopes,
    find_bounds,
)
from resnet_viz.records import INITS, N_, NORMS, ConfigError, Frame, NetConfig, SlopeResult, parse_field
from resnet_viz.text import _, join, write_number
from resnet_viz.ui.bar import show_share
from resnet_viz.ui.charts import make_columns, show_chart
from resnet_viz.ui.controls import label_options
from resnet_viz.ui.exporting import show_export, take_subject
from resnet_viz.ui.glossary import show_words
from resnet_viz.ui.progress import follow_job, start_job
from resnet_viz.ui.session import write_url
from resnet_viz.ui.subject import Subject, show_subject
from resnet_viz.ui.words import sentence

PREFIX = "gradients."
SHORTCUTS = ("none", "identity", "projection-all")  # with equal widths the others are the identity
SCALES = ("1", "0.1")
SEEDS = (0, 1, 2)  # of the slopes
POINTS = 256  # on the line
SHATTERED = 0.2  # below this autocorrelation at lag 1 neighbouring gradients have next to nothing in common
DEFAULTS = {"slope_depth": 20, "kinds": ("none", "identity"), "inits": ("default", "he", "xavier"), "norms": NORMS,
            "line_depth": 24, "line_scale": "1", "line_seeds": 10, "line_seed": 0}
BOUNDS = {"slope_depth": (4, 110), "line_depth": (1, 50), "line_seeds": (10, 30), "line_seed": (0, 9)}
SETS = {"kinds": SHORTCUTS, "inits": INITS, "norms": NORMS}


def show_page() -> None:
    """The whole page."""
    st.title(_("Gradients"), anchor=False)
    st.markdown(_("How large is the gradient at each layer before any training, and does the gradient at one point say "
                  "anything about the gradient beside it? Then, in nets that have been trained: how large is it there, "
                  "and how strongly do layers respond?"))
    read_url()
    for error in st.session_state[PREFIX + "errors"]:  # until something else is chosen
        st.error(sentence(error), icon=":material/link_off:")
    show_slopes()
    show_shattering()
    subject = show_subject(recomputes=True)
    shared = write_url(subject.write_query() | write_own(), subject.race)
    show_trained(subject)
    with st.container(horizontal=True):
        show_share(shared)
        show_export(lambda: take_subject(subject))
    show_words("stem", "held-out", "W_s")
    show_lesson()


# ---------------------------------------------------------------------------------------------------- choices


def read_url() -> None:
    """On the page's first run in a session: the choices of the link."""
    if PREFIX + "read" in st.session_state:
        return
    st.session_state[PREFIX + "read"], st.session_state[PREFIX + "errors"] = True, []
    for name in DEFAULTS:
        try:
            if name in st.query_params:
                set_choice(name, read_choice(name, st.query_params[name]))
        except ConfigError as error:
            st.session_state[PREFIX + "errors"].append(error)


def read_choice(name: str, text: str) -> Any:
    """One parameter of the URL. Raises `ConfigError`."""
    if name in BOUNDS:
        value, (low, high) = parse_field("steps", text), BOUNDS[name]
        high = get_choice("line_seeds") - 1 if name == "line_seed" else high
        if not isinstance(value, int) or not low <= value <= high:
            raise ConfigError(name, text, N_("a whole number from {low} to {high}"), low=low, high=high)
        if name == "slope_depth" and value % 2:
            raise ConfigError(name, text, N_("an even number: two layers a block, a stem and a head"))
        return value
    allowed = SETS.get(name, SCALES)
    parts = text.split(",") if name in SETS else [text]
    if not set(parts) <= set(allowed):
        raise ConfigError(name, text, N_("one of {allowed}"), allowed=tuple(allowed))
    return tuple(option for option in allowed if option in parts) if name in SETS else text


def get_choice(name: str) -> Any:
    return st.session_state.get(PREFIX + name, DEFAULTS[name])


def set_choice(name: str, value: Any) -> None:
    st.session_state[PREFIX + name] = value


def write_own() -> dict[str, str]:
    """This page's parameters of the URL."""
    changed = {name: get_choice(name) for name in DEFAULTS if get_choice(name) != DEFAULTS[name]}
    return {name: ",".join(value) if name in SETS else str(value) for name, value in changed.items() if value != ()}


def keep(name: str, widget: Callable, *args, **kwargs) -> None:
    """A widget whose value survives a visit to another page."""
    key = f"widget.{name}"
    st.session_state[key] = list(get_choice(name)) if name in SETS else get_choice(name)

    def on_change() -> None:
        value, st.session_state[PREFIX + "errors"] = st.session_state[key], []
        set_choice(name, tuple(option for option in SETS[name] if option in value) if name in SETS else value)

    widget(*args, key=key, on_change=on_change, **kwargs)


# ---------------------------------------------------------------------------------------------------- slopes


def label_kinds() -> dict[str, str]:
    return {"none": _("Plain"), "identity": _("Residual"), "projection-all": _("Residual, W_s in each shortcut")}


def show_slopes() -> None:
    """Gradient norms at the initial weights, of all chosen nets, and their slopes beside the theory."""
    st.header(_("The size of gradients before any training"), anchor=False)
    kinds, options = label_kinds(), label_options() | {"none": _("No normalisation")}
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        keep("slope_depth", st.number_input, _("Layers"), *BOUNDS["slope_depth"], step=2, width=140)
        keep("kinds", st.pills, _("Net"), SHORTCUTS, format_func=kinds.get, selection_mode="multi")
        keep("inits", st.pills, _("Initial weights"), INITS, format_func=options.get, selection_mode="multi")
        keep("norms", st.pills, _("Normalisation"), NORMS, format_func=options.get, selection_mode="multi")
    depth, *chosen = (get_choice(name) for name in ("slope_depth", "norms", "kinds", "inits"))
    nets = [NetConfig(shortcut=kind, depth=depth, init=init, norm=norm) for norm, kind, init in itertools.product(*chosen)]
    if not nets:
        st.info(_("Choose at least one net, one kind of initial weights, and with or without normalisation."))
        return
    key = ("slopes", *nets)
    start_job(key, [Call("experiments.why.measure_slopes", None, (net, "digits", SEEDS)) for net in nets], "slopes")
    follow_job(key, "slopes", lambda job: show_slope_charts(nets, job))


def show_slope_charts(nets: list[NetConfig], job: Job) -> None:
    """A chart and a table for nets without normalisation, and beside them for those with BatchNorm."""
    pairs = [(net, result) for net, result in zip(nets, job.results, strict=True) if result is not None]
    norms, bounds = sorted({net.norm for net, _result in pairs}, key=NORMS.index), find_bounds([r for _net, r in pairs])
    for norm, column in zip(norms, make_columns("slopes", len(norms)) if norms else [], strict=True):
        with column:
            st.markdown(_("**Without normalisation**") if norm == "none" else _("**With BatchNorm**"))
            show_slope_chart([pair for pair in pairs if pair[0].norm == norm], norm, bounds)
    st.caption(_("Dense nets of 64 units on the digits, at their initial weights, in training mode, on one batch of 128; "
                 "the geometric mean of {seeds} seeds. Slope: the log10 change of the norm per block of two layers, "
                 "walking from the output back to the input: negative vanishes, positive explodes. Thin dotted lines and "
                 "“theory”: mean-field theory for wide nets. Residual nets may zigzag: a layer inside a block lies off the "
                 "shortcut’s way. All widths are equal, so zero padding, or W_s only where dimensions change, would be the "
                 "identity.").format(seeds=len(SEEDS)))
    st.caption(_("For a residual net with BatchNorm there is no such constant slope: it is 0.05 to 0.09 in nets of 32 to "
                 "56 layers and steeper in shallower ones. A flat curve is no promise: deep plain nets with He’s "
                 "initialisation keep their gradients and still train ever worse with depth. Degradation and vanishing are "
                 "two failures."))


def show_slope_chart(pairs: list[tuple[NetConfig, SlopeResult]], norm: str, bounds: tuple[float, float] | None) -> None:
    kinds, options = label_kinds(), label_options()
    names = [f"{kinds[net.shortcut]} · {options[net.init]}" for net, _result in pairs]
    curves = [Curve(name, SHORTCUTS.index(net.shortcut), INITS.index(net.init), result)
              for name, (net, result) in zip(names, pairs, strict=True)]
    words = [_("{net}: {slope} per block").format(net=name, slope=write_slope(result.slope))
             for name, (_net, result) in zip(names, pairs, strict=True)]
    rows = [{"net": net.shortcut, "init": net.init, "norm": net.norm, "layer": layer + 1, "gradient": value,
             "slope": result.slope, "theory": result.theory}
            for net, result in pairs for layer, value in enumerate(result.gradient.tolist())]
    show_chart(draw_slopes(curves, bounds), f"slopes-{norm}", _("; ").join(words), rows)
    lines = [" | ".join([_("Net"), _("Slope, measured"), _("Theory")]), ":-- | --: | --:"]
    lines += [" | ".join([name, f"**{write_slope(result.slope)}**",
                          "–" if result.theory is None else write_slope(result.theory)])
              for name, (_net, result) in zip(names, pairs, strict=True)]
    st.markdown("\n".join(f"| {line} |" for line in lines))
    if any(result.theory is None for _net, result in pairs):
        st.caption(_("–: there is no theory for this net here."))


def write_slope(slope: float) -> str:
    """With its sign; in words where no gradient arrives at all."""
    if not math.isfinite(slope):
        return _("no gradient")
    return f"{slope:+.3f}".replace("-", "−") if abs(slope) >= 0.0005 else "0"


# ---------------------------------------------------------------------------------------------------- shattering


def show_shattering() -> None:
    """dy/dx along a line for random nets, and its autocorrelation. Balduzzi et al. 2017 (1702.08591), section 2."""
    st.header(_("Shattered gradients"), anchor=False)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        keep("line_depth", st.number_input, _("Layers on the line"), *BOUNDS["line_depth"], width=170)
        keep("line_scale", st.segmented_control, _("Branch multiplied by"), SCALES, required=True)
        keep("line_seeds", st.number_input, _("Seeds to average over"), *BOUNDS["line_seeds"], width=190)
        set_choice("line_seed", min(get_choice("line_seed"), get_choice("line_seeds") - 1))
        keep("line_seed", st.number_input, _("Seed of the curve"), 0, get_choice("line_seeds") - 1, width=170)
    depth, scale, seeds = (get_choice(name) for name in ("line_depth", "line_scale", "line_seeds"))
    key = ("shattering", depth, scale, seeds)
    start_job(key, [Call("experiments.why.measure_autocorrelation", None,
                         (depth, residual, True, float(scale) if residual else 1.0, seeds, POINTS))
                    for residual in (False, True)], "shattering")
    follow_job(key, "shattering", lambda job: show_lines(job, scale))


def show_lines(job: Job, scale: str) -> None:
    """The curves of one seed, and beside them the autocorrelation over all."""
    names = [_("Plain"), _("Residual") if scale == "1" else _("Residual, branch × {scale}").format(scale=scale)]
    if not any(job.results):
        return
    found = [(name, result) for name, result in zip(names, job.results, strict=True) if result is not None]
    seed = min(get_choice("line_seed"), len(found[0][1].gradient) - 1)
    words = [_("{net}: autocorrelation at lag 1 is {mean} ± {spread}.").format(
        net=name, mean=f"{result.mean[1]:.2f}".replace("-", "−"), spread=f"{result.by_seed[:, 1].std():.2f}")
        for name, result in found]
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown(_("**The gradient along the line, seed {seed}**").format(seed=seed))
        rows = [{"net": name, "seed": seed, "x": x, "dy_dx": value} for name, result in found for x, value in
                zip(np.linspace(-REACH, REACH, POINTS).tolist(), result.gradient[seed].tolist(), strict=True)]
        changes = [_("{net}: dy/dx changes its sign {count} times.").format(
            net=name, count=int((np.diff(np.sign(result.gradient[seed])) != 0).sum())) for name, result in found]
        show_chart(draw_lines(names, job.results, seed), "lines", join(*changes), rows)
    with right:
        st.markdown(_("**How alike neighbouring gradients are**"))
        rows = [{"net": name, "lag": lag, "seed": i, "autocorrelation": value} for name, result in found
                for i, row in enumerate(result.by_seed.tolist()) for lag, value in enumerate(row)]
        show_chart(draw_autocorrelation(names, job.results), "autocorrelation", join(*words), rows)
    for line, (_name, result) in zip(words, found, strict=True):
        st.markdown(join(line, judge_shattering(result.mean[1])))
    st.caption(_("Random nets y = f(x) of 200 units with BatchNorm, He’s initialisation, b = 0; in the residual one a "
                 "shortcut past each W; dy/dx at 256 points from −2 to 2; mean ± standard deviation over the seeds. Two "
                 "points are 0.016 apart at lag 1. These nets are untrained, and the statistics of BatchNorm are those of "
                 "the points."))


def judge_shattering(lag1: float) -> str:
    """What the autocorrelation at lag 1 means, in words."""
    if lag1 < SHATTERED:
        return _("Like white noise: the gradient at one point says next to nothing about its neighbour’s. It is shattered.")
    if lag1 < 0.9:
        return _("Between noise and a smooth curve: neighbours have something in common.")
    return _("Smooth: neighbours nearly agree.")


# ---------------------------------------------------------------------------------------------------- trained nets


def show_trained(subject: Subject) -> None:
    """Of the subject's nets, as they stand: the gradient at each layer, and how strongly each responds."""
    key, lanes = subject.key("trained"), len(subject.states)
    names = ("experiments.training.measure", "experiments.why.measure_responses")
    start_job(key, [Call(name, state) for name in names for state in subject.states], "trained")

    def show(job: Job) -> None:
        for show_part, results in ((show_now, job.results[:lanes]), (show_responses, job.results[lanes:])):
            if all(result is not None for result in results):
                show_part(subject, results)

    follow_job(key, "trained", show)


def show_now(subject: Subject, frames: list[Frame]) -> None:
    """The gradient's norm at each layer."""
    st.header(_("The gradient in these nets, at step {step}").format(step=subject.step), anchor=False)
    found = [frame.gradient[0].astype(float) if len(frame.gradient) else np.full(0, np.nan) for frame in frames]
    words = [tell_now(name, gradient, state.lane.net.blocks)
             for name, gradient, state in zip(subject.names, found, subject.states, strict=True)]
    rows = [{"net": name, "layer": layer + 1, "gradient": value} for name, values in zip(subject.names, found, strict=True)
            for layer, value in enumerate(values.tolist())]
    show_chart(draw_now(subject.names, found), "now", join(*words), rows)
    for line in words:
        st.markdown(line)
    st.caption(_("In training mode, on the batch that comes next. Compare step 0 with later ones. A gradient’s size "
                 "does not simply follow the loss: in the first layers it often grows at first, and only where the loss is "
                 "nearly 0 have all become small. What matters is how the layers differ."))


def tell_now(name: str, gradient: np.ndarray, blocks: int) -> str:
    first, last = gradient[[0, -1]] if len(gradient) else (0, 0)
    if not 0 < first * last < math.inf:
        return _("{net}: no gradient arrives at the first layer.").format(net=name)
    return _("{net}: {first} at the first layer, {last} at the last; slope {slope} per block.").format(
        net=name, first=write_number(first, 2), last=write_number(last, 2),
        slope=write_slope(math.log10(first / last) / blocks))


def show_responses(subject: Subject, responses: list[np.ndarray]) -> None:
    """The standard deviation of each layer's output. He et al. 2015 (1512.03385), figure 7."""
    st.header(_("How strongly their layers respond"), anchor=False)
    words = [_("{net}: between {low} and {high}, {mean} on average.").format(
        net=name, low=write_number(values.min()), high=write_number(values.max()), mean=write_number(values.mean()))
        for name, values in zip(subject.names, responses, strict=True)]
    left, right = st.columns(2, gap="large")
    for column, ranked, key in ((left, False, "responses"), (right, True, "responses-sorted")):
        with column:
            st.markdown(_("**The largest first**") if ranked else _("**In order**"))
            rows = [{"net": name, "rank" if ranked else "layer": place + 1, "standard_deviation": value}
                    for name, values in zip(subject.names, responses, strict=True)
                    for place, value in enumerate((np.sort(values)[::-1] if ranked else values).tolist())]
            show_chart(draw_responses(subject.names, responses, ranked), key, join(*words), rows)
    for line in words:
        st.markdown(line)
    what = _("The standard deviation of each layer’s output over all held-out examples and units, before the sum and g: "
             "the stem and two layers a block, as in figure 7 of He et al. (2015).")
    st.caption(join(what, explain_norm(subject)))


def explain_norm(subject: Subject) -> str:
    """Where the responses are taken, by whether all nets, none or some have BatchNorm."""
    batch = [state.lane.net.norm == "batch" for state in subject.states]
    if all(batch):
        return _("Taken behind BatchNorm, its statistics recomputed on the training part, except of a pre-activation "
                 "block’s second layer, which has none behind it. There it is about the size of γ, which begins at 1 and "
                 "moves slowly.")
    return _("The figure’s nets have BatchNorm, and take the output behind it; a net without it shows z itself, whose size "
             "its weights decide. Choose nets with BatchNorm to compare.")


def show_lesson() -> None:
    with st.expander(_("What am I looking at?"), icon=":material/school:"):
        st.markdown(_("**What to look for.** In a plain net PyTorch’s default divides the gradient’s norm by about six "
                      "at each block, Xavier’s by two, He’s keeps it; BatchNorm makes it grow towards the input. An "
                      "identity shortcut hands its part of the gradient on unchanged, but for the g behind the sum; W_s "
                      "multiplies it at each block like any other layer, and with PyTorch’s default it shrinks there "
                      "too. On the line, the gradient of a deep plain net looks like noise; that of a residual net of "
                      "the same depth keeps some of its shape, and more when its branch is small."))
        st.markdown(_("**What not to conclude.** “The + 1 prevents vanishing” is exact only where nothing stands behind "
                      "the sum. Shortcuts alone do not fix everything: without normalisation, He’s initialisation makes a "
                      "residual net’s gradients explode. Shattering is one explanation of why residual nets train; paths, "
                      "refinement and a smoother landscape are others. A small response means a small change of a[l], "
                      "not that the layer is of no use."))
