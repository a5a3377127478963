"""What a newcomer chooses in one click from the default race: it trains, or it is said beforehand that it will not.

`OUTCOMES` is what came of 2,000 steps over three seeds; LOG.md has the command. A choice that is new has to be measured.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from resnet_viz.engine.hub import Hub
from resnet_viz.lab.experiments.operations import follow
from resnet_viz.lab.experiments.training import finish
from resnet_viz.records import FAMILY_DEFAULTS
from resnet_viz.ui.controls import OPTIONS
from resnet_viz.ui.settings import DEFAULTS, Settings
from resnet_viz.ui.usual import RATED, find_rate
from tests.pages import run_page

LEARNS, GUESSES, DIVERGES, IMPOSSIBLE = "learns", "stays at chance", "diverges", "cannot be"
OUTCOMES = {  # of the plain and of the residual net
    ("dataset", "digits"): (GUESSES, LEARNS), ("dataset", "spirals"): (GUESSES, LEARNS),
    ("dataset", "circles"): (GUESSES, LEARNS), ("dataset", "moons"): (GUESSES, LEARNS),
    ("dataset", "checkerboard"): (GUESSES, LEARNS),
    ("family", "dense"): (GUESSES, LEARNS), ("family", "conv"): (LEARNS, LEARNS),
    ("shortcut", "none"): (GUESSES, GUESSES), ("shortcut", "identity"): (GUESSES, LEARNS),
    ("shortcut", "zero-pad"): (GUESSES, LEARNS), ("shortcut", "projection"): (GUESSES, LEARNS),
    ("shortcut", "projection-all"): (GUESSES, GUESSES),
    ("norm", "none"): (GUESSES, LEARNS), ("norm", "batch"): (LEARNS, LEARNS),
    ("init", "default"): (GUESSES, LEARNS), ("init", "he"): (LEARNS, DIVERGES), ("init", "xavier"): (LEARNS, LEARNS),
    ("init", "zero-last"): (GUESSES, LEARNS),
    ("order", "post"): (GUESSES, LEARNS), ("order", "pre"): (GUESSES, LEARNS),
    ("activation", "relu"): (GUESSES, LEARNS), ("activation", "tanh"): (GUESSES, LEARNS),
    ("optimizer", "sgd"): (GUESSES, LEARNS), ("optimizer", "adamw"): (LEARNS, LEARNS),
    ("decay", "own"): (GUESSES, LEARNS), ("decay", "coupled"): (GUESSES, LEARNS), ("decay", "decoupled"): (GUESSES, LEARNS),
}


def choose(name: str, value: str) -> Settings:
    """The default race after one click, with what goes with it."""
    chosen = replace(DEFAULTS, **{name: value}, **(FAMILY_DEFAULTS[value] if name == "family" else {}))
    return replace(chosen, lr=find_rate(*(getattr(chosen, field) for field in RATED)))


def train(chosen: Settings, lane: int, seed: int, steps: int = DEFAULTS.steps) -> str:
    """What becomes of a lane."""
    race, diverged = replace(chosen, seed=seed, steps=steps).make_race(), []
    state = follow(replace(race, lanes=(race.lanes[lane],)), lambda frame: diverged.append(frame.diverged))
    if any(diverged):
        return DIVERGES
    return LEARNS if finish(state)["train_accuracy"] > 0.9 else GUESSES


def test_every_single_click_has_been_measured() -> None:
    assert {(name, value) for name, values in OPTIONS.items() for value in values} == OUTCOMES.keys()
    for name, value in OUTCOMES:
        choose(name, value).make_race()


def test_what_is_chosen_takes_its_usual_rate_and_a_rate_that_was_chosen_stays(engine: Hub) -> None:
    page = run_page("race")
    for name, value, rate in (("optimizer", "adamw", 0.002), ("optimizer", "sgd", 0.05), ("init", "he", 0.01),
                              ("norm", "batch", 0.05), ("dataset", "spirals", 0.01)):
        page.selectbox(key=name).set_value(value).run()
        assert page.number_input(key="lr").value == rate
    page.number_input(key="lr").set_value(0.07).run()
    page.selectbox(key="dataset").set_value("moons").run()
    assert page.number_input(key="lr").value == 0.07 and not page.exception


def test_what_is_meant_to_diverge_is_said_beforehand(engine: Hub) -> None:
    page = run_page("race")
    assert not [caption for caption in page.caption if "meant to diverge" in caption.value]
    page.selectbox(key="init").set_value("he").run()
    assert [caption for caption in page.caption if "meant to diverge" in caption.value]
    page.selectbox(key="norm").set_value("batch").run()
    assert not [caption for caption in page.caption if "meant to diverge" in caption.value]


@pytest.mark.parametrize("seed", range(5))
def test_he_without_normalisation_diverges_within_some_dozens_of_steps(seed: int) -> None:
    assert train(choose("init", "he"), 1, seed, 60) == OUTCOMES["init", "he"][1]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "value", "lane"), [("dataset", "spirals", 1), ("init", "xavier", 0),
                                                     ("optimizer", "adamw", 1)])
def test_the_riskiest_choices_at_full_length(name: str, value: str, lane: int) -> None:
    assert train(choose(name, value), lane, 0) == OUTCOMES[name, value][lane]
