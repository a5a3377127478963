"""What a measurement costs is known before it starts, and what is too much is refused with what could be done instead."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from resnet_viz.engine import budget
from resnet_viz.engine.budget import CostError, check_budget, check_training, estimate_seconds
from resnet_viz.engine.jobs import Call
from resnet_viz.records import CREDIT_METHODS, Lane, NetConfig, RaceConfig, State
from resnet_viz.text import sentence, use_language

SMALL, DEEP = NetConfig(depth=20), NetConfig("conv", "zero-pad", 1100, (8,), "batch")
CREDIT, PATHS = "experiments.attribution.measure_credit", "experiments.why.measure_paths"


def make_state(net: NetConfig) -> State:
    """One without weights: costs are known from the net's configuration."""
    none = np.zeros(0, np.float32)
    return State(Lane(net), "digits", 0, 0, none, none, none)


def test_what_the_pages_ask_of_their_presets_is_allowed() -> None:
    conv = make_state(NetConfig("conv", "zero-pad", 56, (8,), "batch"))
    for method in CREDIT_METHODS:
        check_budget([Call(CREDIT, conv, (method, "zero", "all", None, 50))])
    check_budget([Call(PATHS, conv, (20, 0))] * 2)
    check_budget([Call("experiments.operations.measure_each_block", conv, ("lesion", True))] * 2)
    ticks = [0.0] * 33
    check_budget([Call("experiments.planes.measure_landscape_rows", make_state(SMALL), (0, ticks, ticks))] * 2)


@pytest.mark.parametrize(("name", "arguments", "place"), [
    (CREDIT, ("conductance", "zero", "all", None, 1000), 4),
    (PATHS, (100, 0), 0),
])
def test_what_is_refused_is_allowed_as_is_offered(monkeypatch: pytest.MonkeyPatch, name: str, arguments: tuple,
                                                  place: int) -> None:
    state = make_state(NetConfig(depth=56))
    monkeypatch.setattr(budget, "MAX_SECONDS", estimate_seconds(Call(name, state, arguments)) / 3)
    with pytest.raises(CostError) as caught:
        check_budget([Call(name, state, arguments)])
    nearest = caught.value.params["nearest"]
    check_budget([Call(name, state, (*arguments[:place], nearest, *arguments[place + 1:]))])
    with pytest.raises(CostError):
        check_budget([Call(name, state, (*arguments[:place], nearest + 1, *arguments[place + 1:]))])


def test_a_net_that_is_too_deep_is_refused_and_one_that_is_not_is_offered() -> None:
    call = Call(CREDIT, make_state(DEEP), ("deep-lift", "zero", "all", None, 50))
    with pytest.raises(CostError) as caught:
        check_budget([call])
    depth = caught.value.params["nearest"]
    assert 56 < depth < DEEP.depth
    check_budget([replace(call, state=make_state(replace(DEEP, depth=depth)))])
    use_language("en")
    assert f"in a net of {depth} layers" in sentence(caught.value)
    use_language("zh_CN")
    assert f"{depth} 层" in sentence(caught.value)
    use_language("en")


def test_memory_is_part_of_the_budget() -> None:
    """Of all paths, one example's way through a deep net has to be held at once."""
    net = NetConfig("conv", "zero-pad", 602, (32,), "batch")
    with pytest.raises(CostError, match="memory"):
        check_budget([Call("experiments.why.measure_slopes", None, (net, "digits", (0,), 128))])


def test_training_once_more_has_a_budget() -> None:
    check_training(RaceConfig(), 2000)
    slow = RaceConfig(steps=100_000, lanes=(Lane(replace(DEEP, depth=302)),))
    with pytest.raises(CostError, match="step") as caught:
        check_training(slow, 100_000)
    check_training(slow, caught.value.params["nearest"])
