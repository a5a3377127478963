"""Which numbers of the input spoke for the class, in each net."""

from __future__ import annotations

import numpy as np
import streamlit as st

from resnet_viz.engine.jobs import Call, Job
from resnet_viz.figures.credit import draw_maps, draw_points, list_maps
from resnet_viz.records import DATASETS, BlockView
from resnet_viz.text import _, join
from resnet_viz.ui.charts import show_chart
from resnet_viz.ui.crediting import (
    KEY,
    MAX_WINDOW,
    STAGES,
    choose,
    get_asked,
    measure_soon,
    offer_again,
    on_widget,
    set_widget,
)
from resnet_viz.ui.progress import follow_job
from resnet_viz.ui.subject import Subject
from resnet_viz.ui.words import label_maps


def show_map(subject: Subject, view: BlockView) -> None:
    """The whole section; `view` has the example."""
    asked, data = get_asked(), DATASETS[subject.config.dataset]
    st.header(_("Where in the input"), anchor=False)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        choose(st.segmented_control, _("Map"), "map", label_maps(), required=True)
        if asked.map == "occlusion" and data.is_picture:
            st.number_input(_("Window, pixels a side"), 1, MAX_WINDOW, step=1, on_change=on_widget, args=("window",),
                            key=set_widget("window", asked.window), width=190)
        if asked.map == "grad-cam" and subject.net(0).family == "conv":
            stages = {k: str(k + 1) for k in range(STAGES)}
            choose(st.segmented_control, _("Stage"), "stage", stages, required=True)
    arguments = (asked.map, asked.source, asked.target, asked.baseline, asked.credit_steps, asked.window, asked.stage)
    key = subject.key("map", *arguments)
    calls = [Call("experiments.attribution.measure_input_credit", state, arguments) for state in subject.states]
    measure_soon(key, calls)
    offer_again(key, KEY + "map.again", calls)
    follow_job(key, KEY + "map", lambda job: show_found(subject, view, job))


def show_found(subject: Subject, view: BlockView, job: Job) -> None:
    """The maps that are there."""
    found = [(name, result) for name, result in zip(subject.names, job.results, strict=True) if result is not None]
    if not found:
        return
    names, maps = map(list, zip(*found, strict=True))
    figure = draw_maps(names, maps, view.picture) if maps[0].ndim == 3 else draw_points(names, maps)
    show_chart(figure, "input-credit", join(*(tell_map(*pair) for pair in found)), list_maps(names, maps))
    explain_map()


def tell_map(name: str, found: np.ndarray) -> str:
    """A map in words: the strongest number and the sum."""
    at = int(np.abs(found).argmax())
    where = _("row {row}, column {column}").format(row=at // found.shape[-1] + 1, column=at % found.shape[-1] + 1)
    where = where if found.ndim == 3 else f"x{'₁₂'[at]}"
    return _("{net}: the strongest credit is {value}, at {where}; the sum of all is {total}.").format(
        net=name, value=f"{found.flat[at]:z.3f}", where=where, total=f"{found.sum():z.2f}")


def explain_map() -> None:
    asked = get_asked()
    words = {
        "integrated-gradients": _("Blue spoke for the class, orange against it, measured from the baseline above; the sum "
                                  "is the change of the logit, but for the steps’ error."),
        "occlusion": _("The logit that is lost when a window is replaced by the baseline above. Not a sum of parts: "
                       "windows overlap by half."),
        "grad-cam": _("Where the last block of the stage has maps that raise the logit; only what is positive, laid over "
                      "the picture. Late stages are coarse: stage 3 has 2×2 places for 8×8 pixels."),
    }
    st.caption(join(words[asked.map], _("All nets have the same colours and one scale.")))
