"""The page of gradients, on an open engine: its numbers are the lab's, nothing forged breaks it."""

from __future__ import annotations

import math

import pytest
from streamlit.testing.v1 import AppTest

from resnet_viz.engine.hub import Hub
from resnet_viz.lab.experiments import training
from resnet_viz.lab.experiments.why import measure_autocorrelation, measure_responses, measure_slopes
from resnet_viz.records import NetConfig
from resnet_viz.text import write_number
from resnet_viz.ui.views import gradients
from resnet_viz.ui.words import PageWords
from tests.pages import can_be_taken_home, find_nets, open_nets, read_texts, wait_for_jobs

SMALL = {"depth": "8", "at": "30", "slope_depth": "8", "line_depth": "3"}


def open_page(**query: str) -> AppTest:
    """The page once its nets are trained and measured."""
    page = open_nets("gradients", **query)
    wait_for_jobs()
    page.run()
    assert not page.exception
    return page


@pytest.mark.parametrize("language", ["en", "zh_CN"])
def test_page_runs_in_both_languages(engine: Hub, language: str) -> None:
    page = open_page(**SMALL | {"line_depth": "10"}, lang=language)
    text = read_texts(page)
    assert not page.error
    assert {"en": "It is shattered.", "zh_CN": "梯度破碎了。"}[language] in text  # the plain net of ten layers
    assert "−0.778" in text and "+0.166" in text and "−0.301" in text  # the theory
    assert can_be_taken_home(page)


def test_numbers_are_the_labs(engine: Hub) -> None:
    page = open_page(**SMALL)
    text = read_texts(page)
    for kind, norm, init in (("none", "none", "default"), ("identity", "none", "he"), ("identity", "batch", "xavier")):
        slope = measure_slopes(NetConfig(shortcut=kind, depth=8, norm=norm, init=init)).slope
        assert f"**{gradients.write_slope(slope)}**" in text
    smooth = measure_autocorrelation(3, False)
    assert f"Plain: autocorrelation at lag 1 is {smooth.mean[1]:.2f} ± {smooth.by_seed[:, 1].std():.2f}." in text
    for state in engine.call(find_nets(page).take_states(30)):
        responses, gradient = measure_responses(state), training.measure(state).gradient[0].astype(float)
        assert f"between {write_number(responses.min())} and {write_number(responses.max())}" in text
        slope = gradients.write_slope(math.log10(gradient[0] / gradient[-1]) / 3)
        first, last = (write_number(value, 2) for value in gradient[[0, -1]])
        assert f"{first} at the first layer, {last} at the last; slope {slope} per block." in text
    assert "at step 30" in text


def test_every_init_norm_and_shortcut(engine: Hub) -> None:
    """All 24 at once; a plain net whose branches end in zeros has no gradient, and it is said."""
    page = open_page(**SMALL | {"kinds": "none,identity,projection-all", "inits": "default,he,xavier,zero-last"})
    assert not page.error
    job = next(job for key, job in engine.jobs.items() if key[0] == "slopes" and len(key) == 25)
    assert job.state == "done" and all(result is not None for result in job.results)
    assert read_texts(page).count("| **no gradient** |") == 2


def test_address_is_the_choices(engine: Hub) -> None:
    page = open_page(**SMALL | {"kinds": "identity", "line_scale": "0.1", "line_seeds": "12", "line_seed": "11"})
    assert not page.error
    query = {name: page.query_params[name] for name in ("kinds", "line_scale", "line_seeds", "line_seed", "slope_depth")}
    assert query == {"kinds": "identity", "line_scale": "0.1", "line_seeds": "12", "line_seed": "11", "slope_depth": "8"}
    page.number_input(key="widget.line_seeds").set_value(10).run()
    assert page.query_params["line_seed"] == "9" and "line_seeds" not in page.query_params  # as many as there are


def test_nothing_chosen_is_told(engine: Hub) -> None:
    page = open_page(**SMALL)
    page.button_group(key="widget.inits").set_value([]).run()
    assert "Choose at least one net" in page.info[0].value and not page.exception


@pytest.mark.parametrize("query", [{"slope_depth": "7"}, {"slope_depth": "1000"}, {"slope_depth": "x"}, {"kinds": "magic"},
                                   {"inits": ""}, {"norms": "batch,layer"}, {"line_depth": "0"}, {"line_scale": "2"},
                                   {"line_seeds": "9"}, {"line_seed": "10"}, {"line_seed": "-1"},
                                   {"line_depth": "1" * 400}])
def test_a_forged_address_is_told(engine: Hub, query: dict[str, str]) -> None:
    """The sentence names the field and what it takes; the page is there."""
    page = open_page(**SMALL | query)
    errors = [error.value for error in page.error]  # told until something is chosen
    assert len(errors) == 1 and PageWords().name_field(next(iter(query))) in errors[0] and len(errors[0]) < 300
    page.number_input(key="widget.line_depth").set_value(4).run()
    assert not page.error and not page.exception
