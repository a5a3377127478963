"""The page on weight decay, on an open engine: its lanes, its URL, and what removing a block costs."""

from __future__ import annotations

from dataclasses import replace

import pytest
from streamlit.testing.v1 import AppTest

from resnet_viz.engine.hub import Hub
from resnet_viz.records import ConfigError, Lane, RaceConfig
from resnet_viz.ui.questions import DECAY_BASE, is_decay_race, make_decay_race, read_decay_race, read_lambdas
from tests.pages import run_page, wait_for


def open_page(**query: str) -> AppTest:
    return run_page("decay", **query)


def find_race(engine: Hub, page: AppTest):
    return engine.find(page.session_state["run.decay"])


@pytest.mark.parametrize("kind", ["both", "residual", "plain"])
def test_lanes_differ_in_decay_and_shortcuts_only(kind: str) -> None:
    race = make_decay_race(DECAY_BASE, (0.0, 0.01), kind)
    assert is_decay_race(race) and read_decay_race(race) == (DECAY_BASE, (0.0, 0.01), kind)
    assert len(race.lanes) == (4 if kind == "both" else 2)
    assert {lane.changed("skip", True).changed("weight_decay", 0.0) for lane in race.lanes} == {
        race.lanes[0].changed("skip", True).changed("weight_decay", 0.0)}
    assert not is_decay_race(RaceConfig(lanes=(Lane(), Lane(replace(Lane().net, depth=8)))))


@pytest.mark.parametrize("text", ["", "a", "1,2,3,4,5", "0,0.0", "-1", "nan", "11", "0;1"])
def test_bad_lambdas_are_told(text: str) -> None:
    with pytest.raises(ConfigError):
        read_lambdas(text)


@pytest.mark.parametrize("language", ["en", "zh_CN"])
def test_page_runs_in_both_languages(engine: Hub, language: str) -> None:
    page = open_page(lang=language)
    assert len(find_race(engine, page).config.lanes) == 8
    assert not page.error
    assert page.title[0].value == {"en": "Weight decay", "zh_CN": "权重衰减"}[language]


def test_url_is_the_race(engine: Hub) -> None:
    page = open_page(lambdas="0, 0.5", kind="residual", decay="decoupled", decay_block="2", decay_bias="0", depth="8")
    race = find_race(engine, page)
    assert [lane.train.weight_decay for lane in race.config.lanes] == [0.0, 0.5]
    train = race.config.lanes[0].train
    assert (train.decay, train.decay_block, train.decay_bias) == ("decoupled", 2, False)
    assert page.query_params["lambdas"] == "0, 0.5" and race.lanes[0].series.watched == 2
    page.selectbox(key="decay_block").set_value("all").run()
    assert race.config.lanes[0].train.decay_block is None and not page.exception
    again = open_page(run=race.id)
    assert find_race(engine, again) is race and again.text_input(key="lambdas").value == "0, 0.5"


def test_a_forged_url_is_told_and_the_rest_works(engine: Hub) -> None:
    page = open_page(lambdas="9e99", kind="purple", depth="8", decay_block="500")
    assert len(page.error) == 3 and not page.exception
    assert find_race(engine, page).config.lanes[0].net.depth == 8


def test_bad_lambdas_in_the_widget_leave_the_race_as_it_was(engine: Hub) -> None:
    page = open_page()
    race, before = find_race(engine, page), find_race(engine, page).config
    page.text_input(key="lambdas").set_value("0, x").run()
    assert page.error and race.config == before
    page.text_input(key="lambdas").set_value("0, 0.2").run()
    assert not page.error and len(race.config.lanes) == 4


def test_removing_each_block_is_measured(engine: Hub) -> None:
    page = open_page(lambdas="0", depth="8", steps="60")
    page.button(key="play").click().run()
    race = find_race(engine, page)
    wait_for(lambda: race.state == "finished")
    page.run()
    page.button(key="remove").click().run()
    wait_for(lambda: engine.jobs[page.session_state["removal"][2]].state != "running")
    page.run()
    job = engine.jobs[page.session_state["removal"][2]]
    assert job.state == "done" and job.results[2].shape == (2, 3)
    assert not page.exception
