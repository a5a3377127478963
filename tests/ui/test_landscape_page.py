"""The page of the loss landscape, on an open engine: grids that grow finer, their numbers, and the page's URL."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from resnet_viz.engine.hub import Hub
from resnet_viz.figures.landscape import Slice, measure_shape, write_loss
from resnet_viz.lab.experiments import training
from resnet_viz.lab.experiments.planes import measure_landscape_rows
from resnet_viz.ui.terrain import SIDES, list_blocks
from resnet_viz.ui.views.landscape import compare, tell_shape
from tests.pages import can_be_taken_home, open_nets, read_texts, wait_for_jobs

SMALL = {"depth": "8", "width": "16", "at": "30", "steps": "30", "finest": "9", "part": "test"}
CONV = {**SMALL, "family": "conv", "width": "3", "shortcut": "zero-pad", "norm": "batch", "at": "12", "steps": "12"}


def refine(engine: Hub, page: AppTest) -> AppTest:
    """Run the page until nothing is measured any more."""
    for _level in range(12):
        wait_for_jobs()
        page.run()
        assert not page.exception
        if all(job.state != "running" for job in engine.jobs.values()):
            break
    return page


def read_grid(page: AppTest, lane: int) -> list[list[str]]:
    """The losses of a chart's points, as the reader sees them."""
    figure = json.loads(page.get("plotly_chart")[lane].proto.spec)
    return figure["data"][0]["hovertext"]


# ---------------------------------------------------------------------------------------------------- grids


@given(st.integers(1, 64))
def test_blocks_of_all_grids_make_the_finest_one(points: int) -> None:
    """Each point is measured once, and no call has more than it may."""
    seen = np.zeros((SIDES[-1], SIDES[-1]), int)
    for side in SIDES:
        step = (SIDES[-1] - 1) // (side - 1)
        for rows, columns in list_blocks(side, points):
            assert 0 < len(rows) * len(columns) <= points
            seen[np.ix_(rows * step, columns * step)] += 1
        assert (seen[::step, ::step] == 1).all() and seen.sum() == side**2
    assert (seen == 1).all()


def test_grids_grow_finer_and_hold_the_nets_own_loss(engine: Hub) -> None:
    """Never a coarser one after a finer one; the centre is the net's own loss, the corners are the lab's."""
    page, shown = open_nets("landscape", **SMALL), []
    for _level in range(4):
        wait_for_jobs()
        shown += re.findall(r"\d+×\d+ points", read_texts(page.run()))
    refine(engine, page)
    assert shown == sorted(shown) and not page.error
    assert "9×9 points." in read_texts(page) and "White line: the trajectory" in read_texts(page)
    race = engine.find(page.session_state["subject"])
    ticks = np.linspace(-0.5, 0.5, 9)
    for lane, state in enumerate(engine.call(race.take_states(30))):
        loss = measure_landscape_rows(state, 0, ticks, ticks, "test")
        assert loss[4, 4] == pytest.approx(training.finish(state)["test_loss"], rel=1e-5)
        shown = read_grid(page, lane)
        assert shown[4][4] == f"Loss {write_loss(loss[4, 4])} at (0, 0)"
        assert shown[0][8] == f"Loss {write_loss(loss[0, 8])} at (0.5, -0.5)"
        assert shown[8][0] == f"Loss {write_loss(loss[8, 0])} at (-0.5, 0.5)"


def test_cancelled_it_keeps_what_is_there_and_goes_on_at_a_button(engine: Hub) -> None:
    """The last grid, which takes seconds, is stopped; the one before stays, until it goes on."""
    page = open_nets("landscape", **SMALL | {"depth": "20", "width": "128", "finest": "17", "plane_seed": "5"})
    for _level in range(4):
        if "9×9 points." in read_texts(page):
            break
        wait_for_jobs()
        page.run()
    running = [job for job in engine.jobs.values() if job.state == "running"]
    for job in running:
        engine.loop.call_soon_threadsafe(job.cancel)
    wait_for_jobs()
    page.run()
    assert running and {job.state for job in running} == {"cancelled"}
    assert "Stopped: what is there stays." in read_texts(page) and "9×9 points." in read_texts(page)
    assert not any(job.state == "running" for job in engine.jobs.values())
    page.button(key="go_on").click().run()
    refine(engine, page)
    assert "17×17 points." in read_texts(page)


def test_principal_directions_hold_more_of_the_trajectory(engine: Hub) -> None:
    page = refine(engine, open_nets("landscape", **SMALL))
    shares = {}
    for plane in ("random", "pca"):
        page.button_group(key="widget.plane").set_value(plane).run()
        refine(engine, page)
        line = next(text for text in (item.value for item in page.caption) if "White line" in text)
        shares[plane] = [float(share) for share in re.findall(r"(\d+\.\d)\s%", line)] or [0.0, 0.0]
    assert "pca" in page.query_params["plane"]
    assert all(share > 50 for share in shares["pca"]) and max(shares["random"]) < min(shares["pca"])
    assert "own principal directions" in read_texts(page)


def test_no_trajectory_before_training(engine: Hub) -> None:
    page = refine(engine, open_nets("landscape", **SMALL | {"at": "0"}))
    assert "9×9 points." in read_texts(page) and "White line" not in read_texts(page)
    page.button_group(key="widget.plane").set_value("pca").run()
    assert "Principal directions need a trajectory" in read_texts(page) and not page.exception


# ---------------------------------------------------------------------------------------------------- the page


@pytest.mark.parametrize(("language", "words"), [
    ("en", ["Loss landscape", "BatchNorm normalises with the statistics of the batch", "A slice proves nothing"]),
    ("zh_CN", ["损失地形", "BatchNorm 用当前批次", "一个切面什么也证明不了"])])
def test_page_runs_in_both_languages(engine: Hub, language: str, words: list[str]) -> None:
    page = refine(engine, open_nets("landscape", **CONV, lang=language, statistics="batch", view="surface"))
    assert page.title[0].value == words[0] and not page.error
    assert all(word in read_texts(page) for word in words[1:])
    assert "batch" in page.query_params["statistics"]
    assert can_be_taken_home(page)


def test_a_forged_url_is_told_and_the_rest_works(engine: Hub) -> None:
    page = open_nets("landscape", **SMALL | {"finest": "1000", "reach": "-1", "plane": "<b>", "plane_seed": "1e99",
                                             "view": "", "way": "yes", "statistics": "none"})
    assert not page.exception
    assert len(page.error) == 7 and page.session_state["landscape.part"] == "test"
    page.button_group(key="widget.finest").set_value("9").run()
    assert not page.error and not page.exception


def test_nets_without_batchnorm_are_not_asked_for_its_statistics(engine: Hub) -> None:
    page = open_nets("landscape", **SMALL)
    assert not [group for group in page.button_group if group.key == "widget.statistics"]
    assert "BatchNorm normalises" not in read_texts(page)


def test_a_slice_of_many_holes_is_told_without_what_cannot_be_counted() -> None:
    ticks, loss = np.linspace(-1, 1, 9), np.full((9, 9), np.inf)
    loss[3:6, 3:6] = 1.0
    told = [tell_shape("net", measure_shape(Slice("net", ticks, part))) for part in (loss, np.ones((9, 9)))]
    assert told[0].endswith("hollows: 0.") and told[1].endswith("hollows: 0. 0 % of the points curve downwards.")


def test_slices_are_compared_by_what_is_counted() -> None:
    x, y = np.meshgrid(ticks := np.linspace(-1, 1, 9), ticks)
    bowl, saddle = (measure_shape(Slice("", ticks, loss)) for loss in (1 + x**2 + y**2, 3 + x**2 - y**2))
    waves = measure_shape(Slice("", ticks, 2 - np.cos(6 * x) * np.cos(6 * y)))
    holes = measure_shape(Slice("", ticks, x + np.nan))
    assert "neither slice" in compare(["a", "b"], [bowl, bowl])
    assert "**b** is the rougher one" in compare(["a", "b"], [bowl, waves])
    assert "disagree: **b**" in compare(["a", "b"], [bowl, saddle])
    assert "too little" in compare(["a", "b"], [bowl, holes]) and "too little" in compare(["a", "b"], [holes, bowl])
