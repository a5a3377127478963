"""The page of stored runs, with a database of its own: filters, selection, comparison, deletion, back to the race."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
from streamlit.testing.v1 import AppTest

from resnet_viz.engine.hub import Hub
from resnet_viz.engine.series import Series
from resnet_viz.lab.experiments import training
from resnet_viz.records import ConfigError, Lane, NetConfig, RaceConfig, TrainConfig
from resnet_viz.store.export import write_csv
from resnet_viz.store.runs import Store
from resnet_viz.sweeps import RunResult, identify, make_run, make_sweep
from resnet_viz.ui.metrics import style_table
from resnet_viz.ui.settings import read_race
from resnet_viz.ui.shelf import (
    find_differences,
    make_pair,
    make_twins,
    name_runs,
    read_filters,
    read_selection,
    write_filters,
    write_selection,
)
from resnet_viz.ui.views.runs import delete
from tests.pages import run_page

GRID = make_sweep({"steps": 3, "width": (8,)}, {"depth": (4, 6), "shortcut": ("none", "identity"), "seed": (0, 1)})
CURVES = {"points": {"step": [0.0, 1.0, 2.0], "loss": [2.3, 2.2, 2.1], "accuracy": [0.1, 0.1, 0.2]},
          "probes": {"step": [0.0], "loss": [2.3], "accuracy": [0.1]}}


def make_result(race: RaceConfig, code: str = "a" * 64, **parts) -> RunResult:
    numbers = {"train_loss": 2.0, "train_accuracy": 0.25, "test_loss": 2.1, "test_accuracy": 0.2, "diverged": False,
               "taken": race.steps, "seconds": 0.5, "finished": f"2026-01-01T00:00:{race.lanes[0].net.depth:02}.000",
               "curves": CURVES} | parts
    return RunResult(identify(race, code), code, race, **numbers)


RESULTS = [make_result(run.race) for run in GRID.list_runs()]


@pytest.fixture(scope="module", autouse=True)
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Set before the engine opens, which takes it."""
    url = f"sqlite:///{tmp_path_factory.mktemp('runs') / 'runs.sqlite'}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RESNET_VIZ_DATABASE", url)
        yield url


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    """The same eight runs for each test."""
    with Store(database) as opened:
        opened.delete(run.identity for run in opened.browse(limit=None))
        for result in RESULTS:
            opened.add(result)
        yield opened


def open_page(**query: str) -> AppTest:
    return run_page("runs", **query)


# ---------------------------------------------------------------------------------------------------- filters, selection


@pytest.mark.parametrize("query", [
    {"depth": "8,20", "norm": "batch"}, {"width": "16;32,64", "diverged": "1"}, {"seed": "0,3", "code": "0" * 64},
    {"decay_block": "all,0", "decay_bias": "1,0", "lr": "0.05"}, {},
])
def test_the_url_holds_the_filters(query: dict[str, str]) -> None:
    where, errors = read_filters(query)
    assert not errors and write_filters(where) == query


@pytest.mark.parametrize("query", [{"depth": "x"}, {"norm": "batch,sideways"}, {"diverged": "perhaps"}, {"code": "<b>"},
                                   {"seed": "-1"}, {"width": ""}])
def test_a_forged_filter_is_told_and_dropped(query: dict[str, str]) -> None:
    where, errors = read_filters(query | {"family": "dense"})
    assert [error.field for error in errors] == list(query) and where == {"family": ["dense"]}


def test_a_selection_is_named_by_the_first_characters() -> None:
    chosen = [RESULTS[1].identity, RESULTS[4].identity]
    assert read_selection(write_selection(chosen), RESULTS) == chosen
    assert read_selection("zz,,a,", RESULTS) == []


def test_runs_are_named_by_what_they_differ_in() -> None:
    assert find_differences([RESULTS[0], RESULTS[1]]) == ["seed"]
    assert name_runs([RESULTS[0], RESULTS[6]]) == ["Plain net · 4 layers", "Identity · 6 layers"]
    assert name_runs([RESULTS[1]]) == ["4 layers · Plain net · seed 1"]


# ---------------------------------------------------------------------------------------------------- back to the race


@pytest.mark.parametrize(("values", "kind"), [
    ({"shortcut": "none", "width": (8,)}, "identity"), ({"shortcut": "none", "width": (8, 16)}, "zero-pad"),
    ({"shortcut": "none", "width": (16, 8)}, "projection"), ({"shortcut": "projection-all"}, "projection-all"),
    ({"shortcut": "none", "family": "conv", "width": (4,), "depth": 8, "norm": "batch"}, "zero-pad"),
])
def test_twins_differ_in_their_shortcuts_only_and_one_is_the_run_to_the_bit(values: dict, kind: str) -> None:
    race = make_run({"depth": 8, "steps": 5} | values)
    twins = make_twins(race)
    plain, residual = twins.lanes
    assert (plain.net.residual, residual.net.residual, residual.net.shortcut) == (False, True, kind)
    assert plain.changed("skip", True) == residual and twins.steps == race.steps
    own = plain if race.lanes[0].net.shortcut == "none" else residual
    curves = []
    for lane in (race.lanes[0], own):
        series = Series()
        series.add(training.advance(training.make_state(lane, race.dataset, race.seed), 5)[1])
        curves.append(series.send()["points"])
    assert curves[0] == curves[1]
    assert read_race(twins).compare == "skip"


def test_a_pair_differs_in_one_setting() -> None:
    plain, residual = (make_run({"depth": 8, "shortcut": kind}) for kind in ("none", "projection"))
    pair = make_pair(plain, residual)
    assert [lane.net.residual for lane in pair.lanes] == [False, True] and read_race(pair).compare == "skip"
    deep = make_pair(make_run({"depth": 8}), make_run({"depth": 20}))
    assert (read_race(deep).compare, read_race(deep).first) == ("depth", 8)
    padded = make_pair(make_run({"shortcut": "zero-pad"}), make_run({"shortcut": "projection"}))
    assert [lane.net.shortcut for lane in padded.lanes] == ["zero-pad", "projection"]
    for a, b in (({}, {"seed": 1}), ({}, {}), ({"lr": 0.1}, {"depth": 8}), ({}, {"steps": 5}), ({}, {"dataset": "moons"})):
        with pytest.raises(ConfigError):
            make_pair(make_run(a), make_run(b))


# ---------------------------------------------------------------------------------------------------- the page


@pytest.mark.parametrize("language", ["en", "zh_CN"])
def test_page_shows_all_runs_in_both_languages(engine: Hub, store: Store, language: str) -> None:
    page = open_page(lang=language)
    assert page.title[0].value == {"en": "Runs", "zh_CN": "训练记录"}[language] and not page.error
    table = page.dataframe[0].value
    assert len(table) == 8
    title = {"en": "Training error", "zh_CN": "训练误差"}[language]
    assert set(table[title]) == {75.0}


def test_small_numbers_are_written_with_powers_of_ten_and_stay_numbers() -> None:
    row = {"Training loss": 1.5e-6, "Training error": 12.345, "Learning rate": 1e-5, "Held-out loss": None}
    columns = [("train_loss", None), ("train_error", None), ("test_loss", None)]
    table = style_table([row], columns, ["Learning rate"])
    cells = re.findall(r"<td[^>]*>(.*?)</td>", table.to_html())
    assert cells == ["1.5×10⁻⁶", "12.3 %", "1×10⁻⁵", "–"] and table.data["Training loss"].tolist() == [1.5e-6]


def test_filters_narrow_the_table_and_the_url(engine: Hub, store: Store) -> None:
    page = open_page(depth="6")
    assert len(page.dataframe[0].value) == 4
    page.multiselect(key="runs.filter.shortcut").set_value(["none"]).run()
    assert len(page.dataframe[0].value) == 2 and page.query_params["shortcut"] == "none"
    page.multiselect(key="runs.more").set_value(["seed"]).run()
    page.text_input(key="runs.filter.seed").set_value("1").run()
    assert page.dataframe[0].value["Seed"].tolist() == [1] and not page.exception
    page.text_input(key="runs.filter.seed").set_value("one").run()
    assert "Seed cannot be “one”" in page.error[0].value and not page.exception
    page.text_input(key="runs.filter.seed").set_value("7").run()
    assert not page.dataframe and "No run passes" in page.info[0].value


def test_outcome_and_version_are_filters(engine: Hub, store: Store) -> None:
    store.add(make_result(make_run({"depth": 50, "steps": 9}), "b" * 64, diverged=True, train_loss=None,
                          train_accuracy=None))
    page = open_page()
    assert len(page.dataframe[0].value) == 9
    page.button_group(key="runs.outcome").set_value("diverged").run()
    assert page.dataframe[0].value["Diverged"].tolist() == [True] and page.query_params["diverged"] == "1"
    page.button_group(key="runs.outcome").set_value("all").run()
    page.selectbox(key="runs.code").set_value("b" * 64).run()
    assert page.dataframe[0].value["Depth"].tolist() == [50] and page.query_params["code"] == "b" * 64


def test_a_link_selects_runs_and_compares_them(engine: Hub, store: Store) -> None:
    page = open_page(selected=write_selection(run.identity for run in (RESULTS[0], RESULTS[2])))
    assert not page.exception and not page.error
    table = next(words.value for words in page.markdown if words.value.startswith("| "))
    assert "| Shortcut | Plain net | Identity |" in table.replace("Identity | Plain net", "Plain net | Identity")
    assert "Training loss" in table and not page.button(key="runs.race").disabled


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_one_run_or_two_can_be_raced(engine: Hub, store: Store, count: int) -> None:
    page = open_page(selected=write_selection(run.identity for run in RESULTS[:count]))
    assert page.button(key="runs.race").disabled == (count not in (1, 2))


def test_two_runs_that_cannot_be_raced_are_told(engine: Hub, store: Store) -> None:
    page = open_page(selected=write_selection(run.identity for run in RESULTS[:2]))  # they differ in the seed
    page.button(key="runs.race").click().run()
    assert "they differ in “Seed”" in page.error[0].value and not page.exception


def test_nobody_deletes_unless_the_server_says_so(engine: Hub, store: Store) -> None:
    page = open_page(selected=write_selection([RESULTS[3].identity]))
    assert not [button for button in page.button if "delete" in button.key] and "delete" not in page.markdown[0].value
    delete(store, [RESULTS[3].identity])
    assert store.count() == 8


def test_deletion_asks_again(engine: Hub, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESNET_VIZ_DELETE", "1")
    page = open_page(selected=write_selection([RESULTS[3].identity]))
    page.button(key="runs.delete.yes").click().run()
    assert store.count() == 7 and not store.find([RESULTS[3].identity])
    assert len(page.dataframe[0].value) == 7 and not page.exception


def test_export_has_a_row_per_run_and_a_column_per_setting() -> None:
    rows = list(csv.DictReader(io.StringIO(write_csv(RESULTS).decode())))
    assert len(rows) == 8 and {"depth", "shortcut", "train_loss", "code", "identity"} <= rows[0].keys()


def test_no_runs_and_a_broken_database_are_told(engine: Hub, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.delete(run.identity for run in RESULTS)
    page = open_page()
    assert "There are no runs yet" in page.info[0].value
    broken = Store("sqlite://")  # every connection has an empty database of its own: no table
    with broken.engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE runs")

    async def find(url: str | None = None) -> Store:
        return broken

    monkeypatch.setattr(engine, "open_store", find)
    page = open_page()
    assert "cannot be used" in page.error[0].value and not page.exception


@pytest.mark.parametrize("query", [{"selected": "x" * 999}, {"depth": "9e9"}, {"diverged": "2"}, {"code": "…"}])
def test_a_forged_link_does_not_break_the_page(engine: Hub, store: Store, query: dict[str, str]) -> None:
    page = open_page(**query)
    assert len(page.dataframe[0].value) == 8


def test_lanes_keep_how_they_were_trained() -> None:
    race = RaceConfig(steps=7, lanes=(Lane(NetConfig(depth=8), TrainConfig(lr=0.2, weight_decay=0.01)),))
    assert all(lane.train == race.lanes[0].train for lane in make_twins(race).lanes)
    assert replace(make_twins(race), lanes=race.lanes) == race
