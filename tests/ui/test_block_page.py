"""The page of one block, on an open engine: verdicts, equations, cases, its URL."""

from __future__ import annotations

import re
import time
from dataclasses import replace

import pytest
from streamlit.testing.v1 import AppTest

from resnet_viz.engine.hub import Hub
from resnet_viz.lab.experiments.blocks import open_block
from resnet_viz.lab.experiments.training import make_state
from resnet_viz.records import ConfigError, Lane, NetConfig, Operation
from resnet_viz.ui import exporting
from resnet_viz.ui.canvas import BLANK, read_pixels, write_pixels
from resnet_viz.ui.opening import CASES, Opening, explain_cases, read_opening, write_opening
from resnet_viz.ui.views import block
from resnet_viz.ui.words import label_cases
from tests.pages import can_be_taken_home, run_page

IDENTITY = "The block is the identity"
CONSTANT = "The output is the same for every input"


def open_page(**query: str) -> AppTest:
    """The page on small twins, as soon as they are trained."""
    deadline = time.monotonic() + 60
    page = run_page("block", **{"depth": "8", "init": "xavier", "lr": "0.02", "at": "60", **query})
    while not page.number_input or not [n for n in page.number_input if n.key == "block.unit"]:
        assert not page.exception and time.monotonic() < deadline
        page.run()
    assert not page.exception
    return page


def read_tables(page: AppTest) -> list[str]:
    return [item.value for item in page.markdown if item.value.startswith("| ")]


@pytest.mark.parametrize("language", ["en", "zh_CN"])
def test_page_runs_in_both_languages(engine: Hub, language: str) -> None:
    page = open_page(lang=language)
    assert page.title[0].value == {"en": "One block", "zh_CN": "单个残差块"}[language]
    assert not page.error and len(read_tables(page)) == 3
    assert can_be_taken_home(page)


def test_what_is_taken_home_is_the_block_as_it_is_scaled(engine: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """The operations of both nets, and a script that has them."""
    taken, take = [], block.take_subject
    monkeypatch.setattr(block, "take_subject", lambda *args: taken.append(take(*args)) or taken[-1])
    open_page(block="1", w="0.5", b="0")
    net = taken[-1]
    assert [list(net.operations_of(i)) for i in (0, 1)] == [[Operation("scale", 1, 0.5, 0.0)]] * 2 and net.steps == 60
    assert exporting.write_script(net, 1) != exporting.write_script(replace(net, operations=()), 1)


@pytest.mark.parametrize(("net", "changed_by"), [
    ({"shortcut": "projection-all"}, "W_s"), ({"shortcut": "projection-all", "order": "pre"}, "W_s"),
    ({"activation": "tanh"}, "g"),
])
@pytest.mark.parametrize("seed", range(5))
def test_what_changes_a_block_without_a_branch_is_named(net: dict, changed_by: str, seed: int) -> None:
    """The branch is 0, and W_s or g keeps the block from being the identity; with W_s it is not g."""
    lane = Lane(NetConfig(**{"depth": 6, "width": (8,)} | net))
    view = open_block(make_state(lane, "digits", seed), 1, [Operation("zero-wb", 1)])
    good, words = block.judge(view, lane.net, 1)
    assert not good and f"the branch is 0, but {changed_by} changes" in words


def test_zeroed_the_residual_block_is_the_identity_and_the_plain_one_constant(engine: Hub) -> None:
    page = open_page()
    assert not page.success and all("largest difference" in item.value for item in page.warning)
    page.button(key="block.zero").click().run()
    assert not page.exception
    assert IDENTITY in page.success[0].value and CONSTANT in page.warning[0].value
    assert (page.query_params["w"], page.query_params["b"]) == (["0"], ["0"]) or page.query_params["w"] == "0"
    gradients = read_tables(page)[-1].splitlines()[-2:]
    assert re.search(r"\| 0 \| 0 \|", gradients[0]) and re.search(r"\| 0 \| (?!0 )", gradients[1])
    page.button(key="block.restore").click().run()
    assert not page.success


def test_bias_kept_is_not_the_identity(engine: Hub) -> None:
    page = open_page(w="0")
    assert not page.success and not page.exception
    assert page.slider(key="block.w").value == 0 and page.slider(key="block.b").value == 1
    page.slider(key="block.b").set_value(0.0).run()
    assert IDENTITY in page.success[0].value


def test_batchnorm_wants_gamma_and_beta(engine: Hub) -> None:
    page = open_page(norm="batch", w="0")
    assert not page.success
    page.button(key="block.zero_norm").click().run()
    assert IDENTITY in page.success[0].value and not page.exception


def test_a_forged_url_is_told_and_the_rest_works(engine: Hub) -> None:
    page = open_page(block="999", unit="abc", pixels="nonsense", w="nan", case="purple", raw="7", index="5")
    assert len(page.error) == 6 and not page.exception
    assert page.number_input(key="block.index").value == 6
    page.number_input(key="block.index").set_value(7).run()
    assert not page.error


def test_a_number_beyond_the_nets_is_told(engine: Hub) -> None:
    page = open_page(block="1", unit="64", index="360")
    assert len(page.error) == 2 and not page.exception


def test_drawn_pixels_are_in_the_url(engine: Hub) -> None:
    text = "0" * 24 + "g" * 16 + "0" * 24
    page = open_page(pixels=text)
    assert not page.error and page.query_params["pixels"] in (text, [text])
    assert not any("Label" in item.value for item in page.markdown)


def test_opening_is_its_url() -> None:
    opening = Opening(2, 5, 7, tuple(range(16)) * 4, 0.5, 0.25, 0.0, 0.75, True, "batch")
    assert read_opening(write_opening(opening)) == (opening, [])
    assert read_opening({}) == (Opening(), [])
    assert read_pixels(write_pixels(BLANK)) == BLANK


@pytest.mark.parametrize("text", [None, 5, "", "0" * 63, "h" * 64, "０" * 64])
def test_pixels_that_are_none_are_refused(text: object) -> None:
    with pytest.raises(ConfigError):
        read_pixels(text)


def test_operations_are_those_of_the_sliders() -> None:
    opening = Opening(block=1, w=0.5, gamma=0.0)
    assert opening.list_operations(NetConfig()) == [Operation("scale", 1, 0.5, 1.0)]
    assert opening.list_operations(NetConfig(norm="batch"))[1] == Operation("scale-norm", 1, 0.0, 1.0)
    assert Opening().list_operations(NetConfig(norm="batch")) == []


def test_every_case_has_words() -> None:
    assert set(CASES) == set(explain_cases()) == set(label_cases()) - {"free"}


def test_training_goes_on_from_the_operated_block(engine: Hub) -> None:
    page = open_page(w="0", b="0")
    known = set(engine.races)
    page.session_state["pages"] = {}
    page.button(key="block.resume").click().run()  # to a page that the test runner does not know
    [branch] = [engine.find(name) for name in set(engine.races) - known]
    assert [(edit.lane, edit.step, edit.operation.kind) for edit in branch.config.edits] == [
        (0, 60, "scale"), (1, 60, "scale")]
