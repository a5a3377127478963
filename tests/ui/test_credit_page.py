"""The page of credit, on an open engine: what it says of small twins, its choices, its URL, and what it refuses."""

from __future__ import annotations

import io
import re
import time

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from resnet_viz.engine.hub import Hub
from resnet_viz.records import DATASETS, AblationResult, CreditResult
from resnet_viz.ui.crediting import (
    ALL,
    READERS,
    Crediting,
    fit_crediting,
    join_ablations,
    join_credits,
    list_samples,
    read_crediting,
    write_crediting,
)
from tests.pages import can_be_taken_home, run_page

NETS = {"depth": "8", "init": "xavier", "lr": "0.02", "at": "60"}
POINTS = {**NETS, "dataset": "moons"}


def open_page(**query: str) -> AppTest:
    """The page on small twins, as soon as they are trained and what starts by itself is measured."""
    page = run_page("credit", 120, **{**NETS, **query})
    return wait(page, lambda: any(box.key == "credit.target" for box in page.selectbox))


def is_busy(page: AppTest) -> bool:
    return any(button.key and button.key.endswith(".cancel") for button in page.button)


def wait(page: AppTest, condition=lambda: True) -> AppTest:
    """Run the page until nothing is being measured and `condition` holds."""
    deadline = time.monotonic() + 240  # workers are nice: a busy machine leaves them little
    while is_busy(page) or not condition():
        assert not page.exception and time.monotonic() < deadline
        time.sleep(0.1)
        page.run()
    assert not page.exception
    return page


def read_errors(page: AppTest) -> list[tuple[str, str, float, float]]:
    """Net, method, ΔF and completeness error in per cent, of the page's table."""
    table = next(item.value for item in page.markdown if "| ΔF |" in item.value)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    return [(row[0], row[1], float(row[2]), float(row[4].strip("<\u00a0 %"))) for row in rows]


def read_text(page: AppTest) -> str:
    return "\n".join(item.value for item in (*page.markdown, *page.caption, *page.info))


def count_charts(page: AppTest) -> int:
    return len(page.get("plotly_chart"))


@pytest.mark.parametrize("language", ["en", "zh_CN"])
def test_page_runs_in_both_languages(engine: Hub, language: str) -> None:
    page = open_page(lang=language)
    assert page.title[0].value == {"en": "Credit", "zh_CN": "贡献归因"}[language]
    assert not page.error and count_charts(page) == 4  # the digit, two nets, the map
    assert len(read_errors(page)) == 6
    assert can_be_taken_home(page)


def test_what_it_says_of_completeness_is_so(engine: Hub) -> None:
    """DeepLift adds up, and ten times the steps make conductance's error several times smaller."""
    few = {(net, method): error for net, method, _change, error in read_errors(open_page())}
    many = {(net, method): error for net, method, _change, error in read_errors(open_page(credit_steps="500"))}
    for net in ("Plain net", "Residual net"):
        assert few[net, "DeepLift"] < 0.01
        assert many[net, "Conductance"] < few[net, "Conductance"] / 4


def test_plain_blocks_cannot_be_told_apart_by_credit(engine: Hub) -> None:
    page = open_page()
    change = next(change for net, _method, change, _error in read_errors(page) if net == "Plain net")
    text = read_text(page)
    assert "credit cannot tell these blocks apart" in text and f"{change:.2f}: credit" in text
    assert re.search(r"The shortcut has more credit than the branch in \d of 3 blocks", text)


def test_a_class_is_measured_when_asked_and_not_before(engine: Hub) -> None:
    page = open_page()
    page.segmented_control(key="credit.over").set_value("class").run()
    page.selectbox(key="credit.class").set_value(4).run()
    assert page.query_params["samples"] in ("class:4", ["class:4"]) and count_charts(page) == 2
    page.button(key="credit.measure").click().run()
    wait(page)
    assert count_charts(page) == 4
    assert re.search(r"The mean of \d\d examples", read_text(page))
    assert not [button for button in page.button if button.key == "credit.measure"]


def test_the_whole_held_out_set(engine: Hub) -> None:
    page = open_page(**POINTS, samples="all", credit_steps="5")
    page.button(key="credit.measure").click().run()
    wait(page)
    assert f"The mean of {DATASETS['moons'].test} examples" in read_text(page)


def test_methods_baselines_and_classes_are_other_questions(engine: Hub) -> None:
    page = open_page()
    before = {row[2] for row in read_errors(page)}
    page.selectbox(key="credit.base").set_value("mean").run()
    wait(page)
    mean = {row[2] for row in read_errors(page)}
    page.selectbox(key="credit.base").set_value("example").run()
    page.number_input(key="credit.baseline").set_value(5).run()
    wait(page)
    assert page.query_params["baseline"] in ("4", ["4"])
    example = {row[2] for row in read_errors(page)}
    page.selectbox(key="credit.target").set_value(0).run()
    wait(page)
    other = {row[2] for row in read_errors(page)}
    assert not before & mean and not mean & example and not example & other
    page.selectbox(key="credit.method").set_value("deep-lift").run()
    wait(page)
    assert {row[2] for row in read_errors(page)} == other and not page.error


def test_an_example_as_its_own_baseline_leaves_nothing_to_divide_up(engine: Hub) -> None:
    page = open_page(baseline="0")
    assert read_text(page).count("There is nothing to divide up") == 2
    assert not any("An error above" in item.value for item in page.info)


def test_maps(engine: Hub) -> None:
    page = open_page(map="occlusion")
    assert page.number_input(key="credit.window").value == 2 and count_charts(page) == 4
    page.segmented_control(key="credit.map").set_value("grad-cam").run()
    wait(page)
    assert any("keeps no places" in item.value for item in page.info) and count_charts(page) == 3
    page = open_page(**{**NETS, "family": "conv", "shortcut": "zero-pad", "width": "4", "norm": "batch", "at": "20"},
                     map="grad-cam", stage="2")
    assert page.segmented_control(key="credit.stage").value == 2 and count_charts(page) == 4 and not page.error


def test_points_in_a_plane(engine: Hub) -> None:
    page = open_page(**POINTS)
    assert not page.error and count_charts(page) == 4
    assert [box.key for box in page.segmented_control if box.key == "credit.kind"] == []
    assert list(page.selectbox(key="credit.target").options)[1:] == ["0", "1"]


def test_a_drawn_digit_is_measured(engine: Hub) -> None:
    page = open_page(pixels="0" * 24 + "g" * 16 + "0" * 24, target="3")
    assert not page.error and count_charts(page) == 4
    assert "Label" not in read_text(page)


def test_a_forged_url_is_told_and_the_rest_works(engine: Hub) -> None:
    forged = {"index": "-1", "pixels": "<script>", "target": "1e9", "samples": "class:²", "method": "magic",
              "baseline": "٣", "credit_steps": "0", "map": "../x", "window": "99", "stage": "3", "picture_net": "vgg19",
              "picture_weights": "/etc/passwd", "picture_map": "", "picture_stage": "4", "picture_method": "nan",
              "picture_target": "99999"}
    assert set(forged) == set(READERS)
    page = open_page(**forged)
    assert len(page.error) == len(forged) and count_charts(page) == 4
    page.number_input(key="credit.index").set_value(7).run()
    assert not wait(page).error and page.query_params["index"] in ("6", ["6"])


def test_what_other_data_do_not_have_is_told(engine: Hub) -> None:
    page = open_page(**POINTS, target="7", samples="class:5", baseline="512", pixels="0" * 64)
    assert len(page.error) == 4 and count_charts(page) == 4


def test_random_weights_say_so(engine: Hub) -> None:
    page = open_page()
    assert any("Random weights" in item.value for item in page.warning)
    page.segmented_control(key="credit.picture_weights").set_value("file").run()
    assert not any("Random weights" in item.value for item in page.warning) and not page.exception


# ---------------------------------------------------------------------------------------------------- a brought picture


def encode(kind: str = "PNG") -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)).save(out, kind)
    return out.getvalue()


def bring(page: AppTest, name: str, data: bytes, where: str = "picture") -> AppTest:
    page.file_uploader(key=f"credit.{where}-file").set_value((name, data, "application/octet-stream")).run()
    assert not page.exception
    return page


def test_a_brought_picture_is_looked_at(engine: Hub) -> None:
    page = bring(open_page(), "a.jpg", encode("JPEG"))
    assert not page.error and "What the net says" not in [item.value for item in page.subheader]
    page.button(key="credit.look").click().run()
    wait(page)
    assert "What the net says" in [item.value for item in page.subheader]
    assert "From random weights" in read_text(page)
    assert re.search(r"DeepLift: the shortcut has more credit than the branch in \d of 8 blocks", read_text(page))
    error = float(re.search(r"completeness error (\S+) % at most", read_text(page))[1])
    assert error < 1  # "DeepLift adds up here"
    assert count_charts(page) == 6


def test_what_is_no_picture_is_told(engine: Hub) -> None:
    page = open_page()
    for data in (b"", b"<svg/>", encode()[:300], b"\x89PNG\r\n\x1a\n" + bytes(64), bytes(11 * 2**20)):
        bring(page, "a.png", data)
        assert len(page.error) == 1 and "Picture cannot be “a.png”" in page.error[0].value
        assert not [button for button in page.button if button.key == "credit.look"]
    assert not bring(page, "a.png", encode()).error


# ---------------------------------------------------------------------------------------------------- without a page


def test_what_is_asked_is_its_url() -> None:
    asked = Crediting(3, tuple(range(16)) * 4, 2, "class:3", "deep-lift", 7, 20, "occlusion", 3, 1, "resnet50", "file",
                      "occlusion", 2, "conductance", 999)
    assert read_crediting(write_crediting(asked)) == (asked, [])
    assert write_crediting(Crediting()) == {} and read_crediting({}) == (Crediting(), [])


def test_a_choice_is_fitted_to_the_data() -> None:
    asked, errors = fit_crediting(Crediting(index=500, target=9), "digits")
    assert (asked.index, asked.target, len(errors)) == (0, 9, 1)


def test_the_whole_set_goes_class_by_class() -> None:
    assert list_samples(Crediting(samples=ALL), "moons") == ["class:0", "class:1"]
    assert list_samples(Crediting(index=4), "digits") == [Crediting(index=4).source]


def test_groups_are_joined_by_their_sizes() -> None:
    nan = np.full(2, np.nan)
    parts = [CreditResult("deep-lift", 1, nan, np.array([1.0, 3.0]), 2.0, np.array([0.5, 0.5]), np.array([0.5])),
             CreditResult("deep-lift", 3, nan, np.array([5.0, 3.0]), 4.0, np.array([0.25, 0.25]),
                          np.array([0.3, 0.9, 0.2]))]
    joined = join_credits(parts)
    assert joined.samples == 4 and joined.output_change == 3.5 and np.isnan(joined.shortcut).all()
    assert np.allclose(joined.branch, [4, 3]) and np.allclose(joined.completeness_error, [0.5 / 3.5, 0.5 / 3.5])
    assert joined.single_error.tolist() == [0.5, 0.3, 0.9, 0.2]
    ablations = [AblationResult(np.array([1.0]), np.array([0.0])), AblationResult(np.array([2.0]), np.array([1.0]))]
    together = join_ablations(ablations, [1, 3])
    assert together.logit == pytest.approx(1.75) and together.accuracy == pytest.approx(0.75)


ERRORS = """
import numpy as np
from types import SimpleNamespace
from resnet_viz.records import CreditResult
from resnet_viz.ui.splitting import show_completeness

def make(*single):
    parts = np.array([1.0]), np.array([2.97]), 4.0, np.array([0.0075])
    return CreditResult("conductance", len(single), *parts, np.array(single))

show_completeness(SimpleNamespace(names=["Residual net"]), [{"conductance": make(SINGLE)}])
"""


def test_errors_of_single_examples_stand_beside_that_of_their_mean() -> None:
    """Of one example its own; of a mean also theirs, which may be large where it is small."""
    one, several = (AppTest.from_string(ERRORS.replace("SINGLE", single)).run() for single in ("0.0075", "0.03, 0.2, 0.01"))
    assert not one.exception and not several.exception
    assert "| 0.75 % |" in one.markdown[-1].value and "Single examples" not in one.markdown[-1].value
    assert "| 0.75 % | 8 % | 20 % |" in several.markdown[-1].value
    assert "An error above 5 % is large" in several.info[0].value and not one.info
