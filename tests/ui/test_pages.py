"""The race page run by Streamlit's own test runner, on an open engine."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from resnet_viz.engine.hub import Hub, hub
from resnet_viz.records import ConfigError
from resnet_viz.ui import session
from resnet_viz.ui.lesson import COMPARED, LAB
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


def read_subtitle(page: AppTest) -> str:
    (told,) = (item.value for item in page.markdown if "Press Play" in item.value)
    return told


def test_what_the_lanes_differ_in_is_said_as_the_settings_change(engine: Hub) -> None:
    page = open_page(depth="8")
    assert "all that differs is “+ a[l]”" in read_subtitle(page)
    asyncio.run_coroutine_threadsafe(find_race(engine, page).settle(), engine.loop).result(240)  # workers may be starting
    page.selectbox(key="compare").set_value("norm").run()
    assert "nothing differs" in read_subtitle(page)  # equal until one is changed
    told = read_subtitle(open_page(depth="8", compare="norm", first="batch"))
    assert "what differs: Normalisation, and with it their initial weights" in told


def read_code(page: AppTest) -> list[str]:
    return [item.value for item in page.code if "def " in item.value]  # links to share are code, too


def open_code(page: AppTest) -> AppTest:
    page.session_state["show_code"] = True
    return page.run()


def test_the_code_that_is_shown_is_the_code_that_trains(engine: Hub) -> None:
    """The lesson's own net trains by the chain rule written out: both are shown, and the test that compares them is named.
    Others train by the block itself."""
    page = open_page(depth="8")
    assert not read_code(page)  # before somebody asks, no browser loads what colours code
    block, rule = read_code(open_code(page))
    assert "def forward(self, a: Tensor" in block and block in (LAB / "nets.py").read_text(encoding="utf-8")
    source = (LAB / "dense.py").read_text(encoding="utf-8")
    assert all(line.strip() in source for line in rule.splitlines())
    assert rule.startswith("def run_forward") and "def add_shortcut_gradient" in rule
    file, test = COMPARED
    assert f"def {test}()" in (LAB.parents[1] / file).read_text(encoding="utf-8")
    assert [item for item in page.markdown if test in item.value and file in item.value]
    assert read_code(open_code(open_page(depth="8", norm="batch"))) == [block]


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
    assert [error.value for error in page.error if "Depth cannot be 21" in error.value]
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


def test_what_another_tab_changes_meanwhile_is_not_undone(engine: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between a page's look at the race and its own wish: it follows first, with all of its widgets."""
    page = open_page(depth="8")
    race, read = find_race(engine, page), session.read_widgets
    page.button(key="step").click().run()

    def read_late():
        monkeypatch.setattr(session, "read_widgets", read)
        for lane in (0, 1):
            engine.call(race.change(lane, "lr", 0.025))
        return read()

    monkeypatch.setattr(session, "read_widgets", read_late)
    page.run()
    assert [lane.train.lr for lane in race.lanes_now()] == [0.025, 0.025]
    assert session_revision(page) < race.revision  # so the board asks for another run
    page.run()
    assert page.number_input(key="lr").value == 0.025 and session_revision(page) == race.revision


def session_revision(page: AppTest) -> int:
    return page.session_state["seen.race"][1]


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


def test_what_a_link_plans_for_later_steps_stays_planned(engine: Hub) -> None:
    page = open_page(changes="120.1.skip.0")
    race = find_race(engine, page)
    assert [change.step for change in race.config.changes] == [120]
    page.toggle(key="skip.0").set_value(True).run()
    assert [change.step for change in race.config.changes] == [120] and race.config.lanes[0].net.skip
    page.number_input(key="depth").set_value(8).run()
    assert race.config.changes == ()  # of another net nothing is known of it


@pytest.mark.parametrize(("name", "first", "second"), [
    ("race", {"seed": "3", "compare": "lr", "first": "0.1"}, {"depth": "8", "norm": "batch"}),
    ("decay", {"lambdas": "0, 0.5", "kind": "plain"}, {"depth": "8"}),
    ("dimensions", {"a": "77", "depth": "20"}, {"z": "99"}),
    ("sweep", {"ready": "init-norm"}, {"vary": "lr", "lr": "0.1,0.2"}),
    ("runs", {"depth": "8"}, {"init": "he,xavier"}),
    ("architecture", {"nets": "resnet50,plain34", "look": "resnet50", "step": "3"}, {"nets": "cifar20"}),
])
def test_going_back_opens_a_page_as_its_address_says(engine: Hub, monkeypatch: pytest.MonkeyPatch, name: str,
                                                     first: dict[str, str], second: dict[str, str]) -> None:
    page = run_page(name, lang="en", **first)
    told = read_address(page)
    assert {*first.items()} <= {*told.items()}
    page.query_params.clear()
    monkeypatch.setattr(session, "is_history", lambda: True)
    for query in (second, first):
        page.query_params.clear()
        for key, value in (query | {"lang": "en"}).items():
            page.query_params[key] = value
        page.run()
        assert not page.exception and not page.error
    assert read_address(page) == told


def read_address(page: AppTest) -> dict[str, str]:
    query = {name: value for name, value in page.query_params.items() if name != "run"}
    return {name: value[0] if isinstance(value, list) else value for name, value in query.items()}


def test_without_shortcuts_no_toggle_says_there_are_any(engine: Hub) -> None:
    page = open_page(shortcut="none")
    assert [(toggle.value, toggle.disabled) for toggle in page.toggle if "Skip" in toggle.label] == [(False, True)] * 2
    page.selectbox(key="shortcut").set_value("identity").run()
    assert [page.toggle(key=f"skip.{i}").value for i in (0, 1)] == [False, True]
    assert find_race(engine, page).config.changes == ()


def test_without_an_engine_the_page_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "loop", None)
    page = AppTest.from_file(MAIN, default_timeout=60).run()
    assert "streamlit run app.py" in page.error[0].value


@pytest.mark.parametrize(("error", "words"), [
    (TimeoutError(), "did not answer in time"),
    (ValueError("secret"), "has been noted"),
    (ConfigError("depth", 3, "another"), "Depth cannot be 3"),
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
