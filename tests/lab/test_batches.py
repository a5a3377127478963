"""Long measurements go in batches that fit into memory, with the same numbers, and can be stopped between two of them."""

from __future__ import annotations

import numpy as np
import pytest

from resnet_viz.lab import batches, credit
from resnet_viz.lab.datasets import load_data
from resnet_viz.lab.experiments import attribution, operations, planes, training, why
from resnet_viz.records import CREDIT_METHODS, Lane, NetConfig, State

CONV = Lane(NetConfig("conv", "zero-pad", 8, (4,), "batch"))


class StoppedError(Exception):
    """By the test."""


@pytest.fixture(scope="module")
def state() -> State:
    return training.make_state(CONV, "digits", 0)


@pytest.mark.parametrize("method", CREDIT_METHODS)
def test_batches_are_as_large_as_memory_allows(monkeypatch: pytest.MonkeyPatch, state: State, method: str) -> None:
    module, x = training.load_net(state), load_data("digits").test_x[:12]
    arguments = (credit.list_cuts(module), method, x, x.mean(0, keepdim=True).expand_as(x),
                 credit.choose_target(module, x, None), 5)
    whole, seen = credit.split_credit(module, *arguments), []
    each = batches.BYTES // batches.count_rows(module, x, 10**9)
    monkeypatch.setattr(batches, "BYTES", 7 * each)
    rows = batches.count_rows(module, x, 4096)
    module.register_forward_pre_hook(lambda _module, inputs: seen.append(len(inputs[0])))
    assert np.allclose(credit.split_credit(module, *arguments), whole, rtol=1e-4, atol=1e-6)
    assert 6 <= rows <= 7 and max(seen) <= rows + 1


def test_a_deeper_net_goes_in_smaller_batches(state: State) -> None:
    x = load_data("digits").test_x
    deep = training.load_net(training.make_state(Lane(NetConfig("conv", "zero-pad", 56, (16,), "batch")), "digits", 0))
    most = batches.BYTES // (4 * 55 * 3 * 256)
    assert 1 < batches.count_rows(deep, x, 4096) < most < 4096
    assert batches.count_rows(training.load_net(state), x, 16) == 16


@pytest.mark.parametrize("measure", [
    lambda state: attribution.measure_credit(state, "integrated-gradients", steps=1000),
    attribution.measure_ablation,
    lambda state: operations.measure_each_block(state, "lesion"),
    lambda state: operations.measure_cumulative(state, "lesion", 1000, 0),
    lambda state: why.measure_paths(state, 1000),
    lambda state: why.measure_slopes(state.lane.net, seeds=range(1000)),
    lambda state: why.measure_autocorrelation(2, True, seeds=1000),
    lambda state: planes.measure_landscape_rows(state, 0, [0.0] * 1000, [0.0], statistics="batch"),
])
def test_what_takes_long_can_be_stopped(state: State, measure) -> None:
    asked = []

    def ask() -> None:
        asked.append(1)
        if len(asked) == 3:
            raise StoppedError

    with batches.stoppable(ask), pytest.raises(StoppedError):
        measure(state)
    batches.check()  # of nobody
