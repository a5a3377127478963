"""The page of operations, on an open engine: what is done, undone, shared and measured; and that the race never notices."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resnet_viz.engine.hub import Hub
from resnet_viz.lab.experiments import training
from resnet_viz.lab.experiments.operations import measure_operation
from resnet_viz.records import OPERATIONS, Operation, list_targets
from resnet_viz.ui.history import Done, History, read_history, write_history
from resnet_viz.ui.subject import PRESETS
from tests.pages import find_nets, open_nets, read_texts, run_page, train_nets, wait_for

OPERATION_TEXTS = st.builds(Operation, st.sampled_from(["zero-w", "lesion"]), st.integers(0, 50)) | st.builds(
    Operation, st.sampled_from(["scale", "scale-norm"]), st.integers(0, 50), st.floats(0, 1), st.none() | st.floats(0, 1)
) | st.builds(lambda a, b: Operation("swap", a, other=b), st.integers(0, 50), st.integers(0, 50))
CLICKS = st.lists(st.builds(Done, OPERATION_TEXTS, st.sampled_from([None, 0, 1])), min_size=1, max_size=4).map(tuple)


@given(st.lists(CLICKS, max_size=4))
def test_history_reads_back_from_the_url(clicks: list) -> None:
    history = History(tuple(clicks))
    assert read_history(write_history(history)) == (history, [])


@given(st.lists(CLICKS, min_size=1, max_size=4))
def test_undo_and_redo_are_inverse(clicks: list) -> None:
    history = History(tuple(clicks))
    assert history.undo().redo() == history
    assert history.undo().clicks == history.clicks[:-1]
    assert history.undo().do(clicks[0]).undone == ()


@given(st.text(max_size=60))
def test_any_text_is_read_or_told(text: str) -> None:
    history, errors = read_history(text)
    assert isinstance(history, History) and all(str(error) for error in errors)


@pytest.mark.parametrize("language", ["en", "zh_CN"])
def test_zeroing_a_block_breaks_the_plain_net_only(engine: Hub, language: str) -> None:
    """The first preset: both nets have learned; one click; the residual block is the identity, the plain net guesses."""
    page = open_nets("operations", lang=language)
    page.button(key="do.zero-wb").click().run()
    assert not page.exception and not page.error
    text = read_texts(page)
    assert {"en": "equals a[l] in every number", "zh_CN": "每个数都相等"}[language] in text
    assert {"en": "Accuracy fell to that of guessing", "zh_CN": "随机猜测"}[language] in text
    assert page.query_params["ops"] == "zero-wb:1"


def test_undo_redo_and_undo_all(engine: Hub) -> None:
    page = open_nets("operations")
    before = read_texts(page)
    page.button(key="do.lesion").click().run()
    page.button(key="do.zero-w").click().run()
    assert page.query_params["ops"] == "lesion:1;zero-w:1"
    page.button(key="undo").click().run()
    assert page.query_params["ops"] == "lesion:1"
    page.button(key="redo").click().run()
    assert page.query_params["ops"] == "lesion:1;zero-w:1"
    page.button(key="undo_all").click().run()
    assert "ops" not in page.query_params and read_texts(page) == before


def test_what_does_not_apply_to_a_net_is_told_and_the_other_is_operated_on(engine: Hub) -> None:
    page = open_nets("operations", ops="cut-shortcut:1")
    assert "A plain net has no shortcut to cut." in read_texts(page)
    assert "Nothing was done to this net" in read_texts(page) and not page.error


def test_a_block_whose_shortcut_is_cut_has_none_to_cut(engine: Hub) -> None:
    """The net is operated on as it was trained: dropped, such a block goes as a whole."""
    small = {"depth": "8", "at": "5", "skips": "1,1", "cuts": "1:1"}
    page = open_nets("operations", **small, ops="cut-shortcut:1")
    assert "Block 2 has no shortcut to cut: it has been cut already." in read_texts(page) and not page.error
    page = open_nets("operations", **small, ops="lesion:1")
    assert "equals a[l] in every number" in read_texts(page) and not page.exception


@pytest.mark.parametrize("query", [{"ops": "explode:1"}, {"ops": "zero-w"}, {"ops": "7!zero-w:1"}, {"ops": "scale:1:9"},
                                   {"study": "magic"}, {"statistics": "fresh"}, {"draws": "1000"}, {"draw_seed": "-1"},
                                   {"at": "-5"}])
def test_a_forged_url_is_told(engine: Hub, query: dict[str, str]) -> None:
    page = run_page("operations", **query)
    assert page.error or train_nets(page).error  # some are told once the nets are there
    assert not page.exception


def test_operations_never_leak_into_the_race(engine: Hub) -> None:
    """Kept states, config and what the race goes on to are those of a race that nobody touched."""
    page = open_nets("operations", at="90", depth="8")
    race = find_nets(page)
    config, kept = race.config, {(lane, step): (state, state.weights.copy()) for lane, run in enumerate(race.runs)
                                 for step, state in run.kept.items()}
    page.button(key="do.zero-wb").click().run()
    page.button(key="do.lesion").click().run()
    assert race.config == config and race.step == 90
    assert kept and all(np.array_equal(state.weights, weights) for state, weights in kept.values())
    engine.loop.call_soon_threadsafe(race.play, 30)
    wait_for(lambda: race.step == 120 and race.state == "paused" and 120 in race.runs[1].kept)
    untouched = training.advance(training.make_state(config.lanes[1], config.dataset, config.seed), 120)[0]
    assert np.array_equal(race.runs[1].kept[120].weights, untouched.weights)


def test_each_block_and_several_are_measured(engine: Hub) -> None:
    page = open_nets("operations")
    page.button(key="each").click().run()
    page.button(key="several").click().run()
    jobs = [job for key, job in engine.jobs.items() if key[2] in ("each", "cumulative")]
    wait_for(lambda: all(job.state == "done" for job in jobs))
    page.run()
    assert not page.exception and len(jobs) == 2
    each = next(job for key, job in engine.jobs.items() if key[2] == "each")
    state = engine.call(find_nets(page).take_states(600))[1]
    alone = measure_operation(state, [Operation("lesion", 3)])
    assert each.results[2 + 7 + 3].after == alone.after


def test_batch_norm_nets_are_measured_with_stale_and_with_recomputed_statistics(engine: Hub) -> None:
    """Four nets in the study: both as they are, and both with the statistics recomputed after the operation."""
    page = open_nets("operations", norm="batch", depth="6", at="20", statistics="recomputed", ops="lesion:0")
    assert page.query_params["statistics"] == "recomputed" and not page.error
    page.button(key="each").click().run()
    job = next(job for key, job in engine.jobs.items() if key[2] == "each" and len(job.calls) == 4 * 3)
    wait_for(lambda: job.state == "done")
    page.run()
    state = engine.call(find_nets(page).take_states(20))[1]
    stale, fresh = (measure_operation(state, [Operation("lesion", 0)], again) for again in (False, True))
    assert (job.results[4 + 2].after, job.results[4 + 6].after) == (stale.after, fresh.after) and not page.exception
    assert stale.after != fresh.after


def test_presets_are_races_with_blocks_to_operate_on() -> None:
    for settings, step in PRESETS.values():
        race = settings.make_race()
        assert 0 < step <= race.steps
        assert all(list_targets(kind, race.lanes[1].net) or kind in ("zero-norm", "scale-norm") for kind in OPERATIONS)
        assert replace(race.lanes[0], net=replace(race.lanes[0].net, skip=True)) == race.lanes[1]


def test_each_nets_picture_can_be_taken_home(engine: Hub) -> None:
    labels = [button.proto.label for button in open_nets("operations").get("download_button")]
    assert labels.count("Picture (SVG)") == 2 and "Numbers (CSV)" in labels


def test_statistics_that_are_still_what_they_began_as_are_told(engine: Hub) -> None:
    """Where a page evaluates with the stored ones, in the first steps; Paths measures with recomputed ones."""
    query = {"depth": "4", "width": "8", "norm": "batch", "at": "5"}
    told = "After 5 steps BatchNorm’s stored statistics are still 59 % what they began as"
    assert any(words.value.startswith(told) for words in open_nets("operations", **query).info)
    assert not any(words.value.startswith(told) for words in open_nets("paths", **query).info)
    assert not any("began as" in words.value for words in open_nets("operations", **query | {"at": "40"}).info)
