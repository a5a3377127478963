"""The loss landscape: the loss on one plane through the weights of both nets, and the way that training took to there."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable

import numpy as np
import streamlit as st

from resnet_viz.engine.hub import hub
from resnet_viz.engine.jobs import Job
from resnet_viz.figures.landscape import (
    CEILING,
    FLOOR,
    Shape,
    Slice,
    count_off,
    draw_contours,
    draw_surface,
    find_height,
    list_points,
    measure_shape,
    write_loss,
)
from resnet_viz.records import ConfigError, Trajectory
from resnet_viz.text import _, join, percent_sign, use_language, write_number
from resnet_viz.ui.bar import show_share
from resnet_viz.ui.chance import show_chance
from resnet_viz.ui.charts import make_columns, show_chart
from resnet_viz.ui.exporting import show_export, take_subject
from resnet_viz.ui.glossary import show_words
from resnet_viz.ui.session import write_url
from resnet_viz.ui.subject import Subject, name_subject, show_subject, take_preset
from resnet_viz.ui.terrain import (
    SEEDS,
    SETS,
    Plane,
    find_plane,
    find_statistics,
    get_choice,
    get_ways,
    has_norm,
    keep,
    list_steps,
    make_level_key,
    make_ticks,
    make_way_key,
    next_side,
    read_levels,
    read_url,
    start_level,
    start_way,
    write_choices,
)
from resnet_viz.ui.words import sentence

POLL = 0.3  # seconds between two looks
FIRST = "conv"
DEPTHS = {"conv": 20, "conv56": 56}  # presets
ALIKE = 0.1  # of the points: no more than that between two nets is called alike


def show_page() -> None:
    """The whole page."""
    st.title(_("Loss landscape"), anchor=False)
    st.markdown(_("Around a trained net’s weights, how does the loss rise? Two directions out of many thousands span a "
                  "plane through the weights of each net. Both are drawn over the same range and in the same colours."))
    subject = show_subject(FIRST)
    for error in read_url():
        st.error(sentence(error), icon=":material/link_off:")
    shared = write_url(subject.write_query() | write_choices(), subject.race)
    show_chance(subject, _("The plane lies around weights that have learned nothing."), FIRST, every=True)
    show_choices(subject)
    show_landscape(subject)
    with st.container(horizontal=True):
        show_share(shared)
        show_export(lambda: take_subject(subject))
    show_words("held-out", "bit")
    show_lesson()


# ---------------------------------------------------------------------------------------------------- choices


def show_choices(subject: Subject) -> None:
    """What is drawn, of which nets and along which directions."""
    planes = {"random": _("Random"), "pca": _("Principal (PCA)")}
    parts = {"train": _("Training set"), "test": _("Held-out set")}
    statistics = {"stored": _("Stored"), "batch": _("Of the batch")}
    views = {"contours": _("Contours"), "surface": _("Surface")}
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        keep("view", st.segmented_control, _("View"), SETS["view"], format_func=views.get, required=True)
        show_depth(subject)
        keep("plane", st.segmented_control, _("Directions"), SETS["plane"], format_func=planes.get, required=True,
             help=_("Random ones, filter by filter as long as the weights; or the two in which the weights moved most "
                    "during training, each net’s own."))
        keep("reach", st.segmented_control, _("Range ±"), SETS["reach"], required=True,
             help=_("Random directions: 1 goes as far as the weights themselves are long. Principal ones: 1 goes as far "
                    "as the trajectory of training."))
        keep("part", st.segmented_control, _("Examples"), SETS["part"], format_func=parts.get, required=True)
        if has_norm(subject):
            keep("statistics", st.segmented_control, _("BatchNorm’s statistics"), SETS["statistics"],
                 format_func=statistics.get, required=True,
                 help=_("Stored: the running ones of training, as at the centre. Of the batch: taken anew at each point, "
                        "over all examples."))
        keep("finest", st.segmented_control, _("Finest grid"), SETS["finest"], required=True,
             format_func=lambda side: f"{side}×{side}")
        keep("way", st.segmented_control, _("Trajectory"), SETS["way"], required=True,
             format_func={"1": _("Shown"), "0": _("Not shown")}.get)
        if get_choice("plane") == "random":
            keep("plane_seed", st.number_input, _("Seed of the directions"), *SEEDS, width=180)


def show_depth(subject: Subject) -> None:
    """A short cut to the twins that the page is about."""
    name = name_subject(subject.race)
    st.session_state["widget.depth"] = name if name in DEPTHS else None

    def on_change() -> None:
        chosen = st.session_state["widget.depth"]
        if chosen is not None:
            take_preset(chosen)

    st.segmented_control(_("Convolutional twins"), list(DEPTHS), key="widget.depth", on_change=on_change,
                         format_func=lambda name: _("{depth} layers").format(depth=DEPTHS[name]))


# ---------------------------------------------------------------------------------------------------- measuring


def show_landscape(subject: Subject) -> None:
    """What has been measured so far; what is still to come is begun."""
    if get_choice("plane") == "pca" and subject.step < 2:
        st.info(_("Principal directions need a trajectory, and these nets have taken fewer than two steps. Choose a "
                  "later step, or random directions."), icon=":material/info:")
        return
    plane = find_plane(subject)
    if plane is None:
        follow([make_way_key(subject)], lambda: start_way(subject))
        return
    grids, keys = read_levels(subject, plane), []  # of what is to be measured next
    side = next_side(grids)
    if side is not None:
        keys.append(make_level_key(subject, plane, side))
    if wants_way(subject) and get_ways(subject) is None and (side is None or side > 9):
        keys.append(make_way_key(subject))
    follow(keys, lambda: begin(subject, plane, side, keys))
    if grids:
        show_slices(subject, plane, grids)


def wants_way(subject: Subject) -> bool:
    return get_choice("way") == "1" and subject.step > 0


def begin(subject: Subject, plane: Plane, side: int | None, keys: list[Hashable]) -> None:
    """Start what has not been started, or was stopped."""
    if side is not None:
        start_level(subject, plane, side)
    if make_way_key(subject) in keys:
        start_way(subject)


def follow(keys: list[Hashable], start: Callable[[], None]) -> None:
    """Start these jobs where there are none, and show how far they are; those that were stopped, at a button."""
    jobs = [hub.jobs.get(key) for key in keys]
    stopped = [job for job in jobs if job is not None and job.state in ("cancelled", "failed")]
    for error in (job.error for job in stopped if isinstance(job.error, ConfigError)):
        st.info(sentence(error), icon=":material/info:")
    if stopped:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.info(_("Stopped: what is there stays."), width=320)
            st.button(_("Go on"), key="go_on", icon=":material/play_arrow:", on_click=start)
    elif any(job is None for job in jobs):
        start()
    jobs = {key: hub.jobs[key] for key in keys if key in hub.jobs}
    if any(job.state == "running" for job in jobs.values()):
        watch(jobs)


def tell_progress(key: tuple, job: Job) -> str:
    if "way" in key:
        return _("Training anew for the trajectory: {done} of {total}").format(done=job.done, total=job.total)
    return _("Grid of {side}×{side} points: {done} of {total}").format(side=key[-1], done=job.done, total=job.total)


@st.fragment(run_every=POLL)
def watch(jobs: dict[Hashable, Job]) -> None:
    """Only this is drawn anew while something is measured: charts stay as they are until there is more to see."""
    use_language(st.session_state.language)  # a fragment runs by itself
    if any(job.state != "running" for job in jobs.values()):
        st.rerun()
    with st.container(horizontal=True, vertical_alignment="center"):
        for key, job in jobs.items():
            st.progress(job.done / max(1, job.total), text=tell_progress(key, job))
        st.button(_("Cancel"), key="cancel", icon=":material/stop:", on_click=cancel, args=(list(jobs.values()),))


def cancel(jobs: list[Job]) -> None:
    for job in jobs:
        hub.loop.call_soon_threadsafe(job.cancel)


# ---------------------------------------------------------------------------------------------------- showing


def show_slices(subject: Subject, plane: Plane, grids: list[np.ndarray]) -> None:
    """Both nets side by side, then in numbers, then in words."""
    ways = get_ways(subject) if wants_way(subject) else None
    steps = tuple(list_steps(subject))
    parts = [Slice(name, make_ticks(plane, len(grid)), grid, None if ways is None else ways[i].points / plane.units[i],
                   () if ways is None else steps)
             for i, (name, grid) in enumerate(zip(subject.names, grids, strict=True))]
    shapes, height = [measure_shape(part) for part in parts], find_height(parts)
    axes = ((_("First principal direction"), _("Second principal direction")) if plane.key == "pca" else
            (_("First random direction"), _("Second random direction")))
    solid, revision = get_choice("view") == "surface", f"{get_choice('view')} {plane.key} {plane.reach}"
    columns = make_columns("slices", len(parts))
    for i, (part, shape, column) in enumerate(zip(parts, shapes, columns, strict=True)):
        with column:
            st.markdown(f"**{part.name}**")
            figure = draw_surface(part, height, revision) if solid else draw_contours(part, height, axes, revision)
            show_chart(figure, f"landscape-{i + 1}", tell_shape(part.name, shape), list_points([part]))
    st.caption(tell_drawing(subject, parts, ways))
    show_table(parts, shapes)
    for part, shape in zip(parts, shapes, strict=True):
        for words in tell_limits(part, shape):
            st.markdown(words)
    if len(shapes) == 2:
        st.markdown(compare([part.name for part in parts], shapes))
    st.caption(tell_proof())


def tell_shape(name: str, shape: Shape) -> str:
    """A slice in a sentence."""
    if math.isnan(shape.lowest):
        return _("{net}: the loss is finite nowhere on this plane.").format(net=name)
    words = _("{net}: loss {centre} at the centre; from {lowest} at ({x}, {y}) to {highest}; hollows: {hollows}.").format(
        net=name, centre=write_loss(shape.centre), lowest=write_loss(shape.lowest), highest=write_loss(shape.highest),
        x=write_number(shape.place[0], 2), y=write_number(shape.place[1], 2), hollows=shape.hollows)
    if math.isnan(shape.bent):  # too many holes
        return words
    return join(words, _("{bent} % of the points curve downwards.").format(bent=f"{100 * shape.bent:.0f}"))


def tell_drawing(subject: Subject, parts: list[Slice], ways: list[Trajectory] | None) -> str:
    """What the charts show, and with which statistics."""
    words = [_("{side}×{side} points. Colours and heights: the loss on a log scale, the same for all nets. Star or "
               "diamond: the net itself. White cross: the lowest point, where it is another.").format(
        side=len(parts[0].ticks))]
    if has_norm(subject):
        words.append(_("BatchNorm normalises with its stored statistics.") if find_statistics(subject) == "stored" else
                     _("BatchNorm normalises with the statistics of the batch, here of all examples; the net’s own loss "
                       "is measured with stored ones."))
    words.append(_("Each net has its own principal directions; 1 is as far as its trajectory goes.")
                 if get_choice("plane") == "pca" else
                 _("Each filter of a direction is as long as the net’s filter; biases and BatchNorm’s γ and β stay."))
    if ways is not None:
        shares = " · ".join(f"{part.name} {write_share(way.explained)}" for part, way in zip(parts, ways, strict=True))
        words.append(_("White line: the trajectory of training, projected on the plane, from the circle at step 0 to the "
                       "net. Share of it that lies in the plane: {shares}. The rest leads out of the plane, so the loss "
                       "beneath the line is the plane’s, not the run’s.").format(shares=shares))
    return join(*words)


def write_share(share: float) -> str:
    if math.isnan(share):
        return "–"
    return (f"{100 * share:.1f}" if share >= 0.001 else "<\u00a00.1") + percent_sign()


def tell_limits(part: Slice, shape: Shape) -> list[str]:
    """What a chart cannot show."""
    words = []
    if shape.holes:
        words.append(_("{net}: the loss is not finite at {count} points, which are holes.").format(
            net=part.name, count=shape.holes))
    if shape.above:
        words.append(_("{net}: {count} of {all} points are above {limit} and drawn at {limit}; the highest is "
                       "{highest}.").format(net=part.name, count=shape.above, all=part.loss.size,
                                            limit=write_number(CEILING),
                                            highest=write_loss(shape.highest)))
    if shape.below:
        words.append(_("{net}: {count} of {all} points are below {limit} and drawn at {limit}; the lowest is "
                       "{lowest}.").format(net=part.name, count=shape.below, all=part.loss.size, limit=write_number(FLOOR),
                                           lowest=write_loss(shape.lowest)))
    if off := count_off(part):
        words.append(_("{net}: {count} of {all} points of the trajectory lie outside the range.").format(
            net=part.name, count=off, all=len(part.way)))
    return words


def show_table(parts: list[Slice], shapes: list[Shape]) -> None:
    """The slices in numbers."""
    heads = [_("Net"), _("Loss at the centre"), _("Lowest"), _("Highest"), _("Hollows"), _("Curving downwards")]
    lines = [" | ".join(heads), "|".join([":--", *["--:"] * 5])]
    for part, shape in zip(parts, shapes, strict=True):
        cells = [f"**{write_loss(shape.centre)}**", write_loss(shape.lowest), write_loss(shape.highest),
                 str(shape.hollows), "–" if math.isnan(shape.bent) else f"{100 * shape.bent:.0f}{percent_sign()}"]
        lines.append(" | ".join([part.name, *cells]))
    st.markdown("\n".join(f"| {line} |" for line in lines))
    st.caption(_("Hollow: a point lower than all eight around it. Curving downwards: the share of the points at which "
                 "the loss itself, not its logarithm, bends down in some direction; a convex slice has none. Both by "
                 "differences of neighbours on this grid."))


def compare(names: list[str], shapes: list[Shape]) -> str:
    """Which of two slices is the rougher one, by what has been counted."""
    (name, rough), (other, smooth) = sorted(zip(names, shapes, strict=True), key=lambda item: -item[1].bent)
    if math.isnan(rough.bent) or math.isnan(smooth.bent):
        return _("There is too little to compare.")
    if rough.hollows == smooth.hollows and rough.bent - smooth.bent <= ALIKE:
        return _("By hollows and curving, neither slice is much rougher than the other.")
    numbers = {"bent": f"{100 * rough.bent:.0f}", "less": f"{100 * smooth.bent:.0f}", "hollows": rough.hollows,
               "fewer": smooth.hollows}
    if rough.hollows < smooth.hollows:
        return _("The two counts disagree: **{name}** has more points that curve downwards, {bent} % against {less} %, and "
                 "fewer hollows, {hollows} against {fewer}.").format(name=name, **numbers)
    return _("In this slice **{name}** is the rougher one: {bent} % of its points curve downwards against {less} %; "
             "hollows: {hollows} against {fewer}.").format(name=name, **numbers)


def tell_proof() -> str:
    return _("A slice proves nothing: it is two directions out of many thousands, and one that looks convex may hide a "
             "landscape that is not. Which loss a step of training meets, it does not say.")


# ---------------------------------------------------------------------------------------------------- the lesson


def show_lesson() -> None:
    with st.expander(_("What am I looking at?"), icon=":material/school:"):
        st.markdown(_("Every point is a net: the trained weights θ plus x·d₁ plus y·d₂, and its loss on the same examples. "
                      "Nothing is trained there. Each random direction is scaled filter by filter, since a net with larger "
                      "weights would look flatter otherwise (Li et al. 2018)."))
        st.markdown(_("**What to look for.** Compare 20 layers with 56. At 20 either slice is one bowl, and the edges "
                      "are about equally high, though as a rule more of the plain net’s points curve downwards. At 56, "
                      "with stored statistics, the loss around the plain net climbs more than ten times as high as around "
                      "the residual net, and many more of its points curve downwards. With the statistics of the batch it "
                      "cannot climb as far, since each layer is normalised anew. Li et al. saw little difference at 20 "
                      "layers, and a chaotic surface at 56 without shortcuts."))
        st.markdown(_("**What not to conclude.** Another seed gives another plane. The plain net of 56 layers has hardly "
                      "learned, so its slice lies around another kind of place. And a smoother landscape is one of several "
                      "explanations of why residual nets train; paths, refinement and gradients that do not shatter are "
                      "others."))
