"""Taking a sweep home, on an open engine with a database of its own."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Iterator

import pyarrow.parquet
import pytest

from resnet_viz.engine.hub import Hub
from resnet_viz.store.export import write_csv, write_parquet
from resnet_viz.sweeps import make_sweep
from resnet_viz.text import use_language, write_number
from resnet_viz.ui import exporting_sweep
from resnet_viz.ui.metrics import take_number
from resnet_viz.ui.outcomes import Outcomes, choose_roles
from tests.pages import run_page, wait_for

CONFIG = make_sweep({"steps": 4, "width": (8,)}, {"depth": (4, 6), "shortcut": ("none", "identity"), "seed": (0, 1)})


@pytest.fixture(scope="module", autouse=True)
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Set before the engine opens, which takes it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RESNET_VIZ_DATABASE", f"sqlite:///{tmp_path_factory.mktemp('runs') / 'runs.sqlite'}")
        yield


@pytest.fixture(scope="module")
def sweep(engine: Hub):
    found = asyncio.run_coroutine_threadsafe(engine.start_sweep(CONFIG), engine.loop).result(240)  # workers are starting
    wait_for(lambda: found.state != "running")
    assert found.state == "done"
    return found


@pytest.mark.parametrize("language", ["en", "zh_CN"])
def test_the_report_has_every_chart_and_run(sweep, language: str) -> None:
    use_language(language)
    page = exporting_sweep.write_report(Outcomes(CONFIG, sweep.runs, choose_roles(CONFIG)), sweep)
    use_language("en")
    assert page.count("<figure>") == len(choose_roles(CONFIG).measures) and f'lang="{language.replace("_", "-")}"' in page
    for run in sweep.runs:
        assert write_number(take_number(run.result, "train_loss"), 4) in page


def test_results_are_the_sweeps(sweep) -> None:
    results = exporting_sweep.list_results(sweep)
    rows = list(csv.DictReader(io.StringIO(write_csv(results).decode())))
    assert len(rows) == 8 and pyarrow.parquet.read_table(io.BytesIO(write_parquet(results))).num_rows == 8


def test_the_page_offers_it(sweep) -> None:
    page = run_page("sweep", sweep=sweep.id)
    keys = {button.key for button in page.get("download_button")}
    assert {f"sweep.export.{name}" for name in ("report", "csv", "parquet", "grid", "one.script", "one.config")} <= keys


def test_a_run_is_trained_once_more_for_its_weights(engine: Hub, sweep) -> None:
    """Report, frames and weights of the chosen run, to the stored numbers."""
    page = run_page("sweep", sweep=sweep.id)
    page.selectbox(key="sweep.export.run").set_value(5).run()
    page.button(key="sweep.export.one.prepare").click().run()
    assert not page.exception
    run = sweep.runs[5]
    asked = ("replay", run.run.race, run.run.race.steps)
    wait_for(lambda: asked in engine.jobs and engine.jobs[asked].state != "running")
    page.run()
    keys = {button.key for button in page.get("download_button")}
    assert {f"sweep.export.one.{name}" for name in ("report", "csv", "parquet", "weights")} <= keys
    names = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")
    assert {name: getattr(run.result, name) for name in names} == engine.jobs[asked].results[0].ends
