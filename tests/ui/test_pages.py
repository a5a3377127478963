"""The race page run by Streamlit's own test runner, on an open engine."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from resnet_viz.engine.hub import Hub, hub
from resnet_viz.records import ConfigError
from resnet_viz.ui.settings import Settings
from resnet_viz.ui.views import race
from tests.pages import run_page

MAIN = str(Path(__file__).parents[2] / "resnet_viz" / "ui" / "main.py")


def open_page(**query: str) -> AppTest:
    return run_page("race", **query)


def find_race(engine: Hub, page: AppTest):
    return engine.find(page.session_state["run.race"])


@pytest.mark.parametrize(("language", "label"), [("en", "Play"), ("zh_CN", "开始"), ("zh", "开始"), ("zh-Hans", "开始")])
def test_page_runs_in_both_languages(engine: Hub, language: str, label: str) -> None:
    """In the address a language may have any of its names."""
    page = open_page(lang=language)
    assert page.button(key="play").label == label
    assert not page.error


def test_url_is_the_race(engine: Hub) -> None:
    page = open_page(depth="8", seed="7", norm="batch")
    race = find_race(engine, page)
    assert (race.config.seed, race.config.lanes[1].net.depth, race.config.lanes[1].net.norm) == (7, 8, "batch")
    again = open_page(run=race.id)
    assert find_race(engine, again) is race
    assert again.number_input(key="depth").value == 8


def test_widget_beyond_its_bounds_is_refused_on_the_server(engine: Hub) -> None:
    """Bounds hold in the browser only: a forged value gets a sentence, and the race stays as it was."""
    page = open_page()
    race, before = find_race(engine, page), find_race(engine, page).config
    page.number_input(key="depth").set_value(21).run()
    assert [error.value for error in page.error if "depth cannot be 21" in error.value]
    page.text_input(key="width").set_value("1e9").run()
    assert page.error and not page.exception
    assert race.config == before


def test_structural_setting_starts_the_same_race_anew(engine: Hub) -> None:
    page = open_page()
    race = find_race(engine, page)
    page.number_input(key="depth").set_value(8).run()
    assert find_race(engine, page) is race
    assert [lane.net.depth for lane in race.config.lanes] == [8, 8]
    page.selectbox(key="family").set_value("conv").run()
    assert not page.exception and not page.error
    assert {lane.net.family for lane in race.config.lanes} == {"conv"}


@pytest.mark.parametrize("compare", ["depth", "width", "norm", "init", "order", "optimizer", "lr", "weight_decay",
                                     "shortcut", "batch_size", "family", "activation", "decay", "decay_block",
                                     "decay_bias"])
def test_lanes_can_differ_in_anything(engine: Hub, compare: str) -> None:
    page = open_page()
    page.selectbox(key="compare").set_value(compare).run()
    assert not page.exception and not page.error
    lanes = find_race(engine, page).config.lanes
    assert lanes[0] == lanes[1]  # equal until one is changed


def test_step_reset_and_live_change(engine: Hub) -> None:
    page = open_page()
    race = find_race(engine, page)
    page.button(key="step").click().run()
    assert race.step == 1 and race.state == "paused"
    page.toggle(key="skip.1").set_value(False).run()
    assert race.lanes_now()[1].net.skip is False and race.step == 1
    assert page.query_params["changes"] == "1.1.skip.0"
    page.button(key="reset").click().run()
    assert race.step == 0 and race.config.changes == ()
    assert page.toggle(key="skip.1").value is True
    page.button(key="new_seed").click().run()
    assert race.config.seed == 1 and race.step == 0


def test_without_an_engine_the_page_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "loop", None)
    page = AppTest.from_file(MAIN, default_timeout=60).run()
    assert "streamlit run app.py" in page.error[0].value


@pytest.mark.parametrize(("error", "words"), [
    (TimeoutError(), "did not answer in time"),
    (ValueError("secret"), "has been noted"),
    (ConfigError("depth", 3, "another"), "depth cannot be 3"),
])
def test_a_page_that_fails_says_so_in_a_sentence(engine: Hub, monkeypatch: pytest.MonkeyPatch, error: Exception,
                                                 words: str) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(race, "show_page", fail)
    page = AppTest.from_file(MAIN, default_timeout=60).run()
    assert [words in item.value for item in page.error] == [True] and not page.exception
    assert "secret" not in page.error[0].value


@pytest.mark.parametrize("page", ["sweep", "runs", "architecture"])
def test_pages_that_need_no_race_make_none(engine: Hub, page: str) -> None:
    before = set(engine.races)
    assert not run_page(page, 60).exception
    assert set(engine.races) == before


def test_visitors_of_the_same_nets_share_their_race(engine: Hub) -> None:
    config = Settings(depth=8, steps=10).make_race()
    first, second = (engine.call(engine.prepare(config, 0)) for _ in range(2))
    assert first is second
