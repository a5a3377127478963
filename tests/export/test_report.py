"""The report: one page, in either language, with what it needs inside; every number on it is the run's."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from resnet_viz.export.report import LaneReport, make_report
from resnet_viz.export.script import make_script
from resnet_viz.figures.report import draw_blocks, draw_gradients, draw_heat, draw_learning, thin
from resnet_viz.lab.experiments import training
from resnet_viz.records import (
    Change,
    Edit,
    Lane,
    NetConfig,
    Operation,
    RaceConfig,
    TrainConfig,
    count_parameters,
    join_frames,
)
from resnet_viz.text import use_language, write_number

STEPS = 25
NET = NetConfig(depth=8, width=(12,))
RACE = RaceConfig(steps=STEPS, lanes=(Lane(replace(NET, skip=False)), Lane(NET)),
                  changes=(Change(9, 1, "lr", 0.02),))


@pytest.fixture(scope="module")
def lanes() -> list[LaneReport]:
    found = []
    for i, name in enumerate(("plain <script>", "residual")):
        state, frames = training.make_state(RACE.lanes[i], RACE.dataset, RACE.seed), []
        for stop in (9, STEPS):
            state, frame = training.advance(state, stop - state.step, RACE.lane_at(i, state.step))
            frames.append(frame)
        found.append(LaneReport(name, join_frames(frames), training.finish(state)))
    return found


class Reader(HTMLParser):
    """Tags that are open, and what would be fetched."""

    def __init__(self) -> None:
        super().__init__()
        self.open, self.fetched = [], []

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.fetched += [value for name, value in attrs if name in ("src", "href", "data")]
        if tag not in ("meta", "br", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("language", ["en", "zh_CN"])
def test_the_page_is_whole_and_in_the_readers_language(lanes: list[LaneReport], language: str) -> None:
    use_language(language)
    page = make_report(RACE, lanes, STEPS)
    script = make_script(RACE, 1, STEPS)
    use_language("en")
    reader = Reader()
    reader.feed(page)
    assert reader.open == [] and reader.fetched == []
    assert f'<html lang="{language.replace("_", "-")}">' in page
    heads = re.findall(r"<h2>(.*?)</h2>", page)
    assert len(heads) == 8 and all(bool(re.search("[\u4e00-\u9fff]", head)) == (language == "zh_CN") for head in heads)
    assert html.escape(script) in page and "plain <script>" not in page
    for lane, part in zip(RACE.lanes, lanes, strict=True):
        assert f"{count_parameters(lane.net, RACE.data):,}" in page
        sign = "%" if language == "zh_CN" else " %"
        assert f"{100 * part.ends['test_accuracy']:.2f}{sign}" in page and write_number(part.ends["train_loss"], 4) in page
    assert "lr = 0.02" in page


def report_on(race: RaceConfig) -> str:
    """A report on the first steps of a race, whatever was done in it."""
    frames = [training.advance(training.make_state(lane, race.dataset, race.seed), 3) for lane in race.lanes]
    lanes = [LaneReport(f"net {i}", frame, training.finish(state)) for i, (state, frame) in enumerate(frames)]
    return make_report(race, lanes, 3)


def test_what_was_done_by_hand_stands_in_its_order_and_no_further_than_the_run() -> None:
    edits = [Edit(2, 0, Operation("swap", 1, other=2)), Edit(2, 0, Operation("scale", 1, 0.5)),
             Edit(1, 0, Operation("zero-w", 0)), Edit(9, 0, Operation("zero-wb", 1))]
    page = report_on(RaceConfig(steps=3, lanes=(Lane(NET),), changes=(Change(9, 0, "lr", 0.7),), edits=tuple(edits)))
    rows = re.findall(r'<th scope="row">(\d)</th><td>net 0</td><td>(.*?)</td>', page)
    assert rows == [("1", "zero-w block=0"), ("2", "swap block=1 other=2"), ("2", "scale block=1 alpha=0.5")]


def test_the_statistics_are_named_where_there_are_any() -> None:
    assert "stored statistics in these numbers" in report_on(RaceConfig(lanes=(Lane(replace(NET, norm="batch")),)))
    assert "stored statistics" not in report_on(RaceConfig(lanes=(Lane(NET),)))


def test_the_same_batches_are_claimed_only_where_they_are() -> None:
    lanes = [Lane(NET, TrainConfig(batch_size=size)) for size in (32, 64)]
    assert "steps of 32 examples each, the same batches" in report_on(RaceConfig(lanes=(lanes[0], lanes[0])))
    assert "the same batches" not in report_on(RaceConfig(lanes=tuple(lanes)))


@pytest.mark.parametrize(("language", "told"), [("en", "residual: the last layer’s gradient is exactly 0"),
                                               ("zh_CN", "residual：末层的梯度恰为 0")])
def test_where_no_gradient_is_left_there_is_no_ratio(lanes: list[LaneReport], language: str, told: str) -> None:
    gone = replace(lanes[1], run=replace(lanes[1].run, gradient=lanes[1].run.gradient * 0))
    use_language(language)
    page = make_report(RACE, [lanes[0], gone], STEPS)
    use_language("en")
    words = "".join(re.findall(r"<p>.*?</p>", page))
    assert told in words and "nan" not in words


def test_figures_hold_the_runs_numbers(lanes: list[LaneReport]) -> None:
    runs, names = [part.run for part in lanes], [part.name for part in lanes]
    loss = draw_learning(runs, names, "loss")
    assert len(loss.data) == 4 and np.allclose(loss.data[2].y, runs[1].loss) and list(loss.data[3].x) == [0, 10, 20]
    gradients = draw_gradients(runs, names)
    assert np.allclose(gradients.data[3].y, runs[1].gradient[-1]) and gradients.layout.yaxis.type == "log"
    heat = draw_heat(runs[1]).data[0]
    assert np.allclose(heat.z, np.log10(runs[1].gradient).T)
    share = draw_blocks(runs, names, "share")
    assert [trace.name for trace in share.data] == ["residual, step 0", "residual, step 20"]  # the plain net has none
    assert np.allclose(share.data[1].y, 100 * runs[1].share[-1])


def test_long_curves_are_means_of_neighbours() -> None:
    steps, values = thin(np.arange(1001), np.arange(1001) * 2.0)
    assert len(steps) == 334 and steps[0] == 1.0 and values[0] == 2.0 and values[-1] == 1999.0


def test_a_run_that_diverged_at_once_has_a_report() -> None:
    race = RaceConfig(steps=3, lanes=(Lane(NetConfig(depth=4, width=(4,))),))
    state, frame = training.advance(training.make_state(race.lanes[0], "digits", 0), 0)
    page = make_report(race, [LaneReport("net", frame, training.finish(state))], 0)
    assert "<figure>" not in page and "net" in page
