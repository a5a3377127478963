"""The page on dimensions, on an open engine: its lanes, its URL, PyTorch's words, and what is measured of W_s."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from resnet_viz.engine.hub import Hub
from resnet_viz.lab.nets import build_net
from resnet_viz.records import ConfigError, Lane, RaceConfig
from resnet_viz.ui.questions import (
    DIMENSION_BASES,
    Sizes,
    is_dimensions_race,
    make_dimensions_race,
    measure_convolution,
    read_dimensions_query,
    read_dimensions_race,
    read_sizes,
    write_dimensions_query,
    write_sizes,
)
from tests.pages import run_page, wait_for

TITLE = {"en": "Dimensions that do not match", "zh_CN": "维度不一致"}
SMALL = {"width": "8,16", "depth": "8", "steps": "20"}


def open_page(**query: str) -> AppTest:
    return run_page("dimensions", **query)


def find_race(engine: Hub, page: AppTest):
    return engine.find(page.session_state["run.dimensions"])


# ---------------------------------------------------------------------------------------------------- the race


@pytest.mark.parametrize("family", ["dense", "conv"])
def test_lanes_differ_in_the_shortcut_only(family: str) -> None:
    race = make_dimensions_race(DIMENSION_BASES[family])
    assert is_dimensions_race(race) and read_dimensions_race(race) == DIMENSION_BASES[family]
    assert len({lane.net.shortcut for lane in race.lanes}) == len(race.lanes) == 4
    assert len({replace(lane, net=replace(lane.net, shortcut="none")) for lane in race.lanes}) == 1
    assert not race.lanes[3].net.residual


@pytest.mark.parametrize("family", ["dense", "conv"])
def test_lanes_start_from_the_same_weights_where_they_share_them(family: str) -> None:
    race = make_dimensions_race(DIMENSION_BASES[family])
    starts = [build_net(lane.net, race.data, race.seed).state_dict() for lane in race.lanes]
    shared = set.intersection(*map(set, starts))
    assert not any("shortcut" in name for name in shared)
    assert sum(len(start) - len(shared) for start in starts) > 0
    for name in shared:
        assert all(np.array_equal(start[name], starts[0][name]) for start in starts)


@pytest.mark.parametrize("width", [(64,), (64, 64), (64, 32), (32, 64, 32)])
def test_widths_that_leave_nothing_to_pad_are_refused(width: tuple[int, ...]) -> None:
    settings = replace(DIMENSION_BASES["dense"], width=width)
    with pytest.raises(ConfigError, match="width"):
        make_dimensions_race(settings)


def test_a_race_of_another_page_is_not_ours() -> None:
    assert not is_dimensions_race(RaceConfig())
    assert not is_dimensions_race(RaceConfig(lanes=(Lane(),)))


@pytest.mark.parametrize("settings", [*DIMENSION_BASES.values(), replace(DIMENSION_BASES["conv"], depth=8, norm="none"),
                                      replace(DIMENSION_BASES["dense"], width=(8, 8, 16), seed=3)], ids=lambda s: s.family)
def test_url_holds_the_settings(settings) -> None:
    assert read_dimensions_query(write_dimensions_query(settings)) == (settings, [])


# ---------------------------------------------------------------------------------------------------- the page's numbers


@pytest.mark.parametrize("sizes", [Sizes(), Sizes(3, 5, True, 32, 5, 2, 2, "projection-all", 4)])
def test_url_holds_the_sizes(sizes: Sizes) -> None:
    assert read_sizes(write_sizes(sizes)) == (sizes, [])


@pytest.mark.parametrize(("name", "text"), [
    ("a", "0"), ("a", "1025"), ("z", "-1"), ("z", "1e2"), ("z", "９"), ("n", "nan"), ("f", ""), ("p", "99999999999999"),
    ("s", "0"), ("maps", "yes"), ("way", "zero-pad"), ("block", "x")])
def test_forged_sizes_are_told(name: str, text: str) -> None:
    sizes, errors = read_sizes({name: text, "z" if name == "a" else "a": "7"})
    assert [error.field for error in errors] == [name]
    assert sizes == replace(Sizes(), **{"z" if name == "a" else "a": 7})


@pytest.mark.parametrize("n", [1, 7, 8, 32])
@pytest.mark.parametrize("f", [1, 3, 5, 7])
@pytest.mark.parametrize("s", [1, 2, 3])
def test_convolution_is_torchs(n: int, f: int, s: int) -> None:
    """And with p = (f - 1)/2 and s = 1 it is n again."""
    import torch

    for p in range(4):
        size = measure_convolution(n, f, p, s)
        if n + 2 * p < f:
            assert size == 0
            continue
        answer = torch.nn.functional.conv2d(torch.zeros(1, 1, n, n), torch.zeros(1, 1, f, f), stride=s, padding=p)
        assert answer.shape[2] == size
    assert measure_convolution(n, f, (f - 1) // 2, 1) == n


# ---------------------------------------------------------------------------------------------------- the page


@pytest.mark.parametrize("language", ["en", "zh_CN"])
@pytest.mark.parametrize("family", ["dense", "conv"])
def test_page_runs_in_both_languages(engine: Hub, language: str, family: str) -> None:
    page = open_page(lang=language, family=family)
    assert [lane.net.family for lane in find_race(engine, page).config.lanes] == [family] * 4
    assert not page.error
    assert page.title[0].value == TITLE[language]
    assert "(128) must match the size of tensor b (256)" in page.code[0].value


def test_the_error_follows_its_numbers(engine: Hub) -> None:
    page = open_page(a="12", z="13")
    assert "tensor a (12)" in page.code[0].value and "tensor b (13)" in page.code[0].value
    assert any("**(12)** and **(13)**" in text.value for text in page.markdown)
    page.number_input(key="dims.z").set_value(12).run()
    assert "Error" not in page.code[0].value and page.success and page.query_params["z"] == "12"
    page.number_input(key="dims.z").set_value(1).run()
    assert "Error" not in page.code[0].value and page.warning and not page.success
    page = open_page(a="12", z="24", maps="1")
    assert "(1, 12, 8, 8)" in page.code[0].value and "dimension 3" in page.code[0].value
    assert any("the channels, the rows" in text.value for text in page.markdown)


def test_family_brings_its_own_settings(engine: Hub) -> None:
    page = open_page(seed="4", a="9")
    page.button_group(key="family").set_value("conv").run()
    race = find_race(engine, page)
    assert race.config == make_dimensions_race(replace(DIMENSION_BASES["conv"], seed=4)) and not page.exception
    assert page.query_params["family"] == "conv" and page.number_input(key="dims.a").value == 9
    again = open_page(run=race.id, a="10")
    assert find_race(engine, again) is race and again.number_input(key="dims.a").value == 10
    assert again.session_state["family"] == "conv"


def test_a_forged_url_is_told_and_the_rest_works(engine: Hub) -> None:
    page = open_page(family="purple", width="64,32", depth="8", a="9e9", way="none", block="-2", n="16",
                     shortcut="identity")
    assert len(page.error) == 5 and not page.exception
    net = find_race(engine, page).config.lanes[0].net
    assert (net.depth, net.width, net.shortcut) == (8, (128, 256), "projection")
    assert page.number_input(key="dims.n").value == 16 and page.number_input(key="dims.a").value == 128


def test_widths_that_do_not_grow_leave_the_race_as_it_was(engine: Hub) -> None:
    page = open_page(**SMALL)
    race, before = find_race(engine, page), find_race(engine, page).config
    page.text_input(key="width").set_value("16,8").run()
    assert page.error and race.config == before and not page.exception
    page.text_input(key="width").set_value("8,24").run()
    assert not page.error and race.config.lanes[0].net.width == (8, 24)


def test_w_s_is_measured_where_the_race_stands(engine: Hub) -> None:
    page = open_page(**SMALL)
    race = find_race(engine, page)
    page.button(key="play").click().run()
    wait_for(lambda: race.state == "finished")
    page.run()
    page.button(key="look").click().run()
    _, key, steps = page.session_state["dimensions.look"]
    wait_for(lambda: engine.jobs[key].state != "running")
    page.run()
    job = engine.jobs[key]
    assert job.state == "done" and not page.exception
    assert (steps[0], steps[-1]) == (0, 20) and len(job.results) == 2 * len(steps)
    views = [views[0] for views in job.results[::2]]
    assert views[0].drift == views[0].drift_start == views[-1].drift_start
    assert [metric.value for metric in page.metric] == [
        f"{value:.3f}" for value in (views[-1].drift_start, views[-1].drift, views[-1].target_norm)]
    verdict = "nearer to" if views[-1].drift < views[-1].drift_start else "farther from"
    assert any("W_s has moved by" in text.value and verdict in text.value for text in page.markdown)
    page.button_group(key="dims.way").set_value("projection-all").run()
    page.selectbox(key="dims.block").set_value(0).run()
    first = next(view for view in job.results[-1] if view.block == 0)
    assert page.metric[1].value == f"{first.drift:.3f}" and page.query_params["block"] == "0" and not page.exception
