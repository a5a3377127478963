"""The page of paths, on an open engine: its numbers are the lab's, its address is its choices, nothing forged breaks it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from streamlit.testing.v1 import AppTest

from resnet_viz.engine.hub import Hub
from resnet_viz.lab.experiments.operations import measure_operation
from resnet_viz.lab.experiments.why import measure_paths
from resnet_viz.records import Operation
from resnet_viz.ui import unravelled
from resnet_viz.ui.subject import PRESETS
from resnet_viz.ui.views.paths import FIRST, MAX_DRAWN
from resnet_viz.ui.words import PageWords
from tests.pages import can_be_taken_home, find_nets, open_nets, read_texts, wait_for_jobs

SMALL = {"depth": "8", "at": "30"}


def open_page(**query: str) -> AppTest:
    """The page once its nets are trained and measured."""
    page = open_nets("paths", **query)
    wait_for_jobs()
    page.run()
    assert not page.exception
    return page


@pytest.mark.parametrize("language", ["en", "zh_CN"])
def test_page_runs_in_both_languages(engine: Hub, language: str) -> None:
    page = open_page(**SMALL, lang=language)
    assert not page.error and not [info for info in page.info if info.icon != ":material/help:"]  # of nets at chance
    text = read_texts(page)
    assert {"en": "The sum of all path vectors **is** the gradient", "zh_CN": "**就是**梯度"}[language] in text
    assert "2³ = 8" in text
    assert can_be_taken_home(page)


def test_the_page_opens_with_nets_that_can_be_drawn() -> None:
    assert all(lane.net.blocks <= MAX_DRAWN for lane in PRESETS[FIRST][0].make_race().lanes)


def test_numbers_are_the_labs(engine: Hub) -> None:
    page = open_page(**SMALL, samples="5", draw_seed="3")
    states = engine.call(find_nets(page).take_states(30))
    text = read_texts(page)
    for state in states:
        result = measure_paths(state, 5, 3)
        assert f"**{result.effective_length:.2f}**" in text
    accuracy = measure_operation(states[1], [Operation("lesion", 0)])
    before, after = (100 * when["test_accuracy"] for when in (accuracy.before, accuracy.after))
    assert f"8 paths → 2² = 4. The half that took this block’s branch is gone. Held-out accuracy: {before:.1f} % → " \
           f"{after:.1f} %." in text
    assert "**Plain net**: 1 path → 0." in text


def test_address_is_the_choices(engine: Hub) -> None:
    page = open_page(**SMALL, path="3", delete="2")
    assert (page.query_params["path"], page.query_params["delete"]) == ("3", "2")
    assert page.number_input(key="widget.delete").value == 3  # people count from 1
    page.number_input(key="widget.samples").set_value(7).run()
    assert page.query_params["samples"] == "7" and page.query_params["depth"] == "8"
    page.number_input(key="widget.samples").set_value(20).run()
    assert "samples" not in page.query_params


@pytest.mark.parametrize("query", [{"path": "8"}, {"path": "-1"}, {"path": "x" * 500}, {"lane": "0"}, {"lane": "2"},
                                   {"samples": "0"}, {"samples": "1e9"}, {"draw_seed": "-1"}, {"delete": "3"},
                                   {"delete": "٣"}, {"delete": ""}])
def test_a_forged_address_is_told(engine: Hub, query: dict[str, str]) -> None:
    """The sentence names the field, its value and what it takes; the page is there."""
    page = open_page(**SMALL | query)
    errors = [error.value for error in page.error]  # told until something is chosen
    name = PageWords().name_field(f"paths.{next(iter(query))}")
    assert len(errors) == 1 and name in errors[0] and "whole number from" in errors[0]
    page.number_input(key="widget.samples").set_value(7).run()
    assert not page.error and not page.exception


def test_too_many_blocks_to_draw(engine: Hub) -> None:
    """It is said, the rest is there, and one click takes nets that can be drawn."""
    page = open_page(depth="16", at="5", path="3")
    assert any("Residual net has 7 blocks and 2⁷ = 128 paths, too many to draw" in info.value for info in page.info)
    assert "The sum of all path vectors **is** the gradient" in read_texts(page)
    page.button(key="few").click().run()
    race = find_nets(page).config
    assert race == replace(PRESETS[FIRST][0].make_race(), steps=race.steps)


def test_nets_without_shortcuts_have_one_path_each(engine: Hub) -> None:
    page = open_page(**SMALL, skips="0,0")
    assert any("Neither net has shortcuts" in info.value for info in page.info) and not page.error


def test_a_cut_block_halves_the_paths(engine: Hub) -> None:
    page = open_page(**SMALL, skips="0,1", cuts="1:0", delete="0")
    text = read_texts(page)
    assert "2² = 4 paths → 0. The shortcut of this block is cut" in text
    assert "The sum of all path vectors **is** the gradient" in text and not page.error and not page.exception


@pytest.mark.parametrize(("said", "path"), [(3, 3), (0, 0), (7, 7), (8, 5), (-1, 5), ("3", 5), (None, 5), (2.0, 5),
                                            (True, 5)])
def test_what_the_browser_says_is_judged(monkeypatch: pytest.MonkeyPatch, said: object, path: int) -> None:
    monkeypatch.setattr(unravelled.st, "session_state", {unravelled.KEY: {"path": said}})
    assert unravelled.take_path(8, 5) == path
