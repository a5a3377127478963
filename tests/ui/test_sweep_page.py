"""The page of sweeps: its grid in the URL, its words, and sweeps that run, on an open engine with its own database."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from resnet_viz.engine.hub import Hub
from resnet_viz.engine.sweep import RunProgress, Sweep
from resnet_viz.records import ConfigError
from resnet_viz.store.runs import Store, StoreError
from resnet_viz.sweeps import READY, RunResult, SweepConfig, make_sweep
from resnet_viz.ui import grid
from resnet_viz.ui.metrics import MEASURES, STATISTICS, take_number
from resnet_viz.ui.outcomes import Outcomes, choose_roles, describe_run
from resnet_viz.ui.views.sweep import write_large, write_time
from tests.pages import run_page, wait_for

SMALL = {"vary": "depth,shortcut", "depth": "4,6", "shortcut": "none,identity", "seeds": "2", "steps": "4", "width": "8"}


@pytest.fixture(scope="module", autouse=True)
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Set before the engine opens, which takes it."""
    path = tmp_path_factory.mktemp("runs") / "runs.sqlite"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RESNET_VIZ_DATABASE", f"sqlite:///{path}")
        yield path


def open_page(**query: str) -> AppTest:
    return settle(run_page("sweep", **query))


def settle(page: AppTest) -> AppTest:
    """Wait for the estimate, as a browser does."""
    while any("Estimating" in words.value or "正在估算" in words.value for words in page.markdown):
        time.sleep(0.2)
        page.run()
    assert not page.exception
    return page


def start(engine: Hub, page: AppTest) -> Sweep:
    page.button(key="sweep.start").click().run()
    assert not page.exception
    return engine.find_sweep(page.query_params["sweep"])


# ---------------------------------------------------------------------------------------------------- grids


@pytest.mark.parametrize("name", READY)
def test_a_ready_sweep_is_the_one_the_command_line_runs(name: str) -> None:
    config = grid.list_ready()[name]
    assert [run.race for run in config.list_runs()] == [run.race for run in READY[name].config.list_runs()]
    assert grid.write_query(config) == {"ready": name} and grid.read_query({"ready": name}) == (config, [])


@pytest.mark.parametrize(("base", "axes"), [
    ({"init": "he"}, {"lr": (0.01, 0.1)}),
    ({"family": "conv", "width": (4,)}, {"norm": ("none", "batch"), "depth": (8, 14)}),
    ({"shortcut": "projection"}, {"width": ((8,), (8, 16)), "decay_block": (None, 0), "decay_bias": (True, False)}),
    ({"shortcut": "zero-pad"}, {"family": ("dense", "conv"), "dataset": ("digits", "moons")}),
])
def test_the_url_holds_the_whole_grid(base: dict, axes: dict) -> None:
    config = grid.make_grid(*grid.read_grid(make_sweep(base, {**axes, "seed": (0, 1)})))
    read, errors = grid.read_query(grid.write_query(config))
    assert (read, errors) == (config, [])
    assert grid.make_grid(*grid.read_grid(config)) == config


@pytest.mark.parametrize(("query", "told"), [
    ({"ready": "<b>"}, "ready"), ({"vary": ""}, "vary"), ({"vary": "depth", "depth": "21"}, "depth"),
    ({"vary": "depth,lr,width,norm", "depth": "8", "lr": "1", "width": "8", "norm": "none"}, "vary"),
    ({"vary": "skip", "skip": "1"}, "skip"), ({"vary": "depth", "depth": "8,8"}, "depth"),
    ({"vary": "depth", "depth": "8", "seeds": "0"}, "seeds"), ({"vary": "depth", "depth": "8", "seeds": "9" * 99}, "seeds"),
    ({"vary": "depth", "depth": "8", "family": "purple"}, "family"), ({"vary": "lr", "lr": "nan"}, "lr"),
    ({"vary": "depth", "depth": "1202", "width": "1024"}, "depth"),
    ({"vary": "shortcut", "shortcut": "none,…"}, "shortcut"),
    ({"vary": "depth", "depth": "," * 400}, "depth"),
    ({"vary": "depth", "depth": "110", "family": "conv", "width": "16", "steps": "100000", "seeds": "20"}, "axes"),
])
def test_a_forged_grid_is_told_in_a_sentence(query: dict, told: str) -> None:
    config, errors = grid.read_query(query)
    assert isinstance(config, SweepConfig) and any(error.field == told for error in errors)
    assert len(errors) == 1 or not query["vary"]  # and what follows from it is not told too


def test_numbers_in_words() -> None:
    assert write_time(3.21) == "3.2 s" and write_time(75) == "75 s" and write_time(120) == "2 min"
    assert write_time(100) == "1.7 min" and write_time(7200) == "2.0 h"
    assert write_large(999) == "999" and write_large(2_500_000_000_000) == "2.5×10¹²"


# ---------------------------------------------------------------------------------------------------- what the numbers say


def make_runs(config: SweepConfig, losses: dict[tuple, float | None]) -> list[RunProgress]:
    """Finished runs with these training losses by their place without the seed; None: diverged; missing: not yet run."""
    found = []
    for run in config.list_runs():
        progress = RunProgress(run)
        if run.race is not None and run.place[:-1] in losses:
            loss, seed = losses[run.place[:-1]], run.place[-1]
            value = 9.0 if loss is None else loss + 0.001 * seed
            progress.result = RunResult("i", "c", run.race, value, max(0.0, 1 - value / 3), value, 0.5, loss is None, 3,
                                        1.0, "2026")
            progress.state = "diverged" if loss is None else "finished"
        found.append(progress)
    return found


DEPTHS = make_sweep({"steps": 10}, {"depth": (8, 20, 56), "shortcut": ("none", "identity"), "seed": (0, 1)})


def say(losses: dict[tuple, float | None], config: SweepConfig = DEPTHS) -> str:
    return "\n".join(Outcomes(config, make_runs(config, losses), choose_roles(config)).say())


def test_the_words_follow_the_numbers() -> None:
    worse = {(8, "none"): 0.1, (20, "none"): 0.3, (56, "none"): 1.5, (8, "identity"): 0.2, (56, "identity"): 0.1}
    told = say(worse)
    assert "Plain net: 56 layers end with a higher training loss than 8 layers, in every seed: 1.5005 ± 0.0007 " in told
    assert "training error 50.0 ± 0.0 % against 3.3 ± 0.0 %" in told or "against 3.4 ± 0.0 %" in told
    assert "Residual net: 56 layers end with a lower training loss than 8 layers" in told
    better = say(worse | {(56, "none"): 0.05})
    assert "Plain net: 56 layers end with a lower" in better and "higher" not in better
    assert "no clear difference" in say({(8, "none"): 0.1, (56, "none"): 0.1005})


def test_what_is_at_chance_or_hardly_differs_is_not_told_as_a_difference() -> None:
    """2.3025 against 2.3024 in every seed: neither net has learned anything. Nor is 0.011 worse than 0.003."""
    places = {(8, "none"): 2.3015, (56, "none"): 2.3035, (8, "identity"): 0.003, (56, "identity"): 0.011}
    told = say(places)
    assert "Plain net: 56 layers and 8 layers are both at chance" in told
    assert "Residual net: 56 layers and 8 layers end alike" in told
    assert "in every seed: " not in told
    assert "higher training loss" in say(places | {(8, "none"): 2.0})
    assert "higher training loss" in say(places | {(56, "identity"): 0.05})


NORMED = make_sweep({"family": "conv", "norm": "batch", "steps": 10},
                    {"depth": (8, 56), "shortcut": ("none", "zero-pad"), "seed": (0, 1)})


def test_errors_say_which_statistics_they_are_measured_with() -> None:
    """Both are offered, and where they differ most is told."""
    runs = make_runs(NORMED, {(8, "none"): 0.1, (56, "none"): 2.1, (8, "zero-pad"): 0.1, (56, "zero-pad"): 0.1})
    for run in runs:
        loss, accuracy = run.result.train_loss, run.result.train_accuracy
        loss, accuracy = (1.4, 0.52) if run.run.place[:2] == (56, "none") else (loss, accuracy)
        run.result = replace(run.result, train_accuracy_recomputed=accuracy, train_loss_recomputed=loss)
    stored, recomputed = (Outcomes(NORMED, runs, choose_roles(NORMED, statistics=kind)) for kind in STATISTICS)
    assert stored.measure("train_error").title == "Training error, stored statistics"
    assert recomputed.measure("train_error").title == "Training error, recomputed statistics"
    assert stored.lines(None, "train_error")[0].runs[1][0].value == pytest.approx(70)
    assert recomputed.lines(None, "train_error")[0].runs[1][0].value == pytest.approx(48)
    told = "BatchNorm’s statistics matter most here: Plain net, 56 layers, training error 70.0 ± 0.0 % with the stored ones"
    assert any(words.startswith(told) for words in stored.say())
    assert "training error 48.0 ± 0.0 % against" in recomputed.say()[0]
    without = Outcomes(DEPTHS, [], choose_roles(DEPTHS))
    assert without.measure("train_error").title == "Training error" and without.statistics is None


def test_chance_divergence_and_learning_are_told_apart() -> None:
    told = say({(8, "none"): 0.1, (20, "none"): 2.2, (56, "none"): 2.3, (20, "identity"): None})
    assert "At chance (training loss at least 95 % of ln C in every seed): Plain net (Depth: 20, 56)." in told
    assert "Trained (training error below 10 % in every seed): Plain net (Depth: 8)." in told
    assert "Diverged in every seed: Residual net (Depth: 20)." in told
    assert say({}) == ""


def test_nothing_is_said_of_every_seed_before_each_has_ended() -> None:
    runs = make_runs(DEPTHS, {(8, "none"): 0.1, (20, "none"): 2.3, (8, "identity"): None})
    for run in runs:
        if run.run.place[-1] == 1 and run.run.place[:-1] != (8, "none"):
            run.result = None
    assert Outcomes(DEPTHS, runs, choose_roles(DEPTHS)).say() == [
        "Trained (training error below 10 % in every seed): Plain net (Depth: 8)."]


def test_roles_are_depth_across_and_the_shortcut_in_colour() -> None:
    roles = choose_roles(DEPTHS)
    assert (roles.x, roles.colour, roles.panel, roles.kind) == ("depth", "shortcut", None, "lines")
    assert roles.measures == MEASURES
    assert choose_roles(grid.list_ready()["decay-depth"]).kind == "map"
    init_norm = choose_roles(grid.list_ready()["init-norm"])
    assert (init_norm.x, init_norm.colour, init_norm.panel, init_norm.kind) == ("init", "norm", "shortcut", "map")
    turned = choose_roles(DEPTHS, x="shortcut", colour="depth")
    assert (turned.x, turned.colour) == ("shortcut", "depth")
    assert choose_roles(make_sweep({}, {"lr": (0.1, 0.2), "seed": (0,)})).colour is None
    for wrong in ({"x": "width"}, {"colour": "seed"}, {"kind": "pie"}, {"measures": ("beauty",)},
                  {"statistics": "fresh"}):
        with pytest.raises(ConfigError):
            choose_roles(DEPTHS, **wrong)


def test_a_plain_net_has_the_first_colour_whatever_the_order() -> None:
    config = make_sweep({}, {"depth": (8, 20), "shortcut": ("identity", "none"), "seed": (0,)})
    lines = Outcomes(config, make_runs(config, {}), choose_roles(config)).lines(None, "train_loss")
    assert {line.name: line.colour for line in lines} == {"Plain net": 0, "Residual net": 1}


def test_chance_is_that_of_the_data() -> None:
    one = make_sweep({"dataset": "moons"}, {"depth": (8, 20), "seed": (0,)})
    two = make_sweep({}, {"depth": (8, 20), "dataset": ("digits", "moons"), "seed": (0,)})
    assert Outcomes(one, [], choose_roles(one)).measure("test_error").chance == 50
    assert Outcomes(two, [], choose_roles(two)).measure("test_error").chance is None


# ---------------------------------------------------------------------------------------------------- the page


@pytest.mark.parametrize("language", ["en", "zh_CN"])
def test_page_opens_with_degradation_in_both_languages(engine: Hub, language: str) -> None:
    page = open_page(lang=language)
    assert page.title[0].value == {"en": "Sweep", "zh_CN": "参数扫描"}[language] and not page.error
    assert page.query_params["ready"] == "degradation" and page.metric[0].value == "24"


def test_a_sweep_is_run_shown_and_known_afterwards(engine: Hub, database: Path) -> None:
    page = open_page(**SMALL)
    assert [metric.value for metric in page.metric[:3]] == ["8", "0", "0"]
    sweep = start(engine, page)
    wait_for(lambda: sweep.state == "done")
    page.run()
    assert not page.exception and not page.error and not page.metric
    shown = page.dataframe[0].value
    assert len(shown) == 8 and set(shown["State"]) == {"finished"}
    errors = [take_number(run.result, "train_error") for run in sweep.runs]
    assert shown["Training error"].tolist() == pytest.approx(errors)
    assert any(words.value.startswith("- Plain net: ") for words in page.markdown)
    with Store(f"sqlite:///{database}") as store:
        assert store.count() == 8
    again = open_page(**SMALL | {"seeds": "3"})
    assert [metric.value for metric in again.metric[:3]] == ["4", "8", "0"]


def test_a_reload_finds_the_sweep(engine: Hub) -> None:
    page = open_page(**SMALL | {"depth": "4,8", "steps": "400", "width": "64"})
    sweep = start(engine, page)
    again = open_page(sweep=sweep.id)
    assert not again.error and again.query_params["depth"] == "4,8"
    assert again.text_input(key="axis.depth").value == "4, 8"
    page.button(key="sweep.cancel").click().run()
    wait_for(lambda: sweep.state == "cancelled")
    page.run()
    assert not page.exception and page.button(key="sweep.start")
    lost = open_page(**SMALL | {"sweep": "nothing"})
    assert "no longer in this server’s memory" in lost.info[0].value and not lost.exception


def test_impossible_combinations_are_told_and_the_rest_runs(engine: Hub) -> None:
    page = open_page(vary="family,depth", family="dense,conv", depth="4,8", seeds="1", steps="2", width="4",
                     shortcut="zero-pad")
    assert [metric.value for metric in page.metric[:3]] == ["3", "0", "1"]
    assert any(words.value.startswith("- Impossible, Convolutional, 4 layers, seed 0:") for words in page.markdown)
    sweep = start(engine, page)
    wait_for(lambda: sweep.state == "done")
    page.run()
    assert any("Impossible, Convolutional, 4 layers, seed 0: Depth cannot be 4" in words.value for words in page.markdown)
    assert sorted(page.dataframe[0].value["State"]) == ["finished", "finished", "finished", "impossible"]


def test_divergence_is_told(engine: Hub) -> None:
    page = open_page(vary="lr", lr="0.05,100", seeds="1", steps="30", init="he", depth="12")
    sweep = start(engine, page)
    wait_for(lambda: sweep.state == "done")
    page.run()
    told = "\n".join(words.value for words in page.markdown)
    lost = [run for run in sweep.runs if run.state == "diverged"]
    assert lost and all(f"Diverged at step {run.step}, {describe_run(sweep.config, run.run)}" in told for run in lost)
    assert "Diverged in every seed" in told


def test_widgets_make_the_grid(engine: Hub) -> None:
    page = open_page(**SMALL)
    page.multiselect(key="vary").set_value(["depth", "init"]).run()
    page.multiselect(key="axis.init").set_value(["he", "xavier"]).run()
    page.number_input(key="seeds").set_value(1).run()
    assert not page.exception and not page.error
    assert page.query_params["init"] == "he,xavier" and page.selectbox(key="shortcut").value == "identity"
    assert settle(page).metric[0].value == "4"
    page.selectbox(key="family").set_value("conv").run()
    assert page.selectbox(key="shortcut").value == "zero-pad" and not page.exception
    page.text_input(key="axis.depth").set_value("8, x").run()
    assert "Depth cannot be “x”" in page.error[0].value and not page.exception
    page.multiselect(key="vary").set_value([]).run()
    assert page.info[0].value == "Choose a setting that varies." and not page.error and not page.exception


def test_a_ready_sweep_is_chosen_and_changed(engine: Hub) -> None:
    page = open_page()
    page.button_group(key="sweep.ready").set_value("init-norm").run()
    assert page.query_params["ready"] == "init-norm" and settle(page).metric[0].value == "48"
    page.number_input(key="seeds").set_value(1).run()
    assert page.button_group(key="sweep.ready").value == "own" and page.query_params["vary"] == "init,norm,shortcut"


@pytest.mark.parametrize("query", [{"x": "colour"}, {"colour": "depth", "x": "depth"}, {"chart": "pie"}, {"show": "a,b"},
                                   {"vary": "depth", "depth": "x"}, {"sweep": "../../etc"}])
def test_a_forged_link_does_not_break_the_page(engine: Hub, query: dict) -> None:
    page = open_page(**SMALL | query)
    assert page.metric and not page.exception


def test_charts_can_be_turned(engine: Hub) -> None:
    page = open_page(**SMALL)
    sweep = start(engine, page)
    wait_for(lambda: sweep.state == "done")
    page.run()
    page.selectbox(key="sweep.x").set_value("shortcut").run()
    assert page.query_params["x"] == "shortcut" and page.selectbox(key="sweep.colour").value == "depth"
    page.button_group(key="sweep.kind").set_value("map").run()
    page.button_group(key="sweep.measures").set_value(["test_loss"]).run()
    assert not page.exception and page.query_params["chart"] == "map" and page.query_params["show"] == "test_loss"


def test_statistics_can_be_chosen_where_there_are_any(engine: Hub) -> None:
    """Both are in the table; a link holds the choice; a net without BatchNorm has none."""
    page = open_page(**SMALL | {"norm": "batch", "seeds": "1"})
    sweep = start(engine, page)
    wait_for(lambda: sweep.state == "done")
    page.run()
    assert {"Training error, stored statistics", "Training error, recomputed statistics"} <= set(page.dataframe[0].value)
    page.button_group(key="sweep.statistics").set_value("recomputed").run()
    assert not page.exception and page.query_params["statistics"] == "recomputed"
    assert any("statistics recomputed on the whole training part" in words.value for words in page.caption)
    page = open_page(**SMALL)
    start(engine, page)
    assert not any(group.key == "sweep.statistics" for group in page.button_group)


def test_a_broken_database_is_told(engine: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(url: str | None = None) -> Store:
        raise StoreError("database", "sqlite:////nowhere", "{reason}", reason="unable to open database file")

    monkeypatch.setattr(engine, "open_store", fail)
    page = open_page(**SMALL | {"seeds": "5"})
    assert "The database “sqlite:////nowhere” cannot be used" in page.error[0].value and not page.exception


def test_a_sweep_that_somebody_else_runs_can_be_watched(engine: Hub) -> None:
    page = open_page(**SMALL | {"steps": "300", "width": "64", "depth": "10,12"})
    sweep = start(engine, page)
    other = open_page(**SMALL)
    other.button(key=f"sweep.show.{sweep.id}").click().run()
    assert other.query_params["sweep"] == sweep.id and not other.exception
    engine.call(engine.cancel_sweep(sweep))
    assert replace(sweep.config) == sweep.config and sweep.state == "cancelled"
