"""Gradients at the initial weights, their autocorrelation, and the responses of layers."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from resnet_viz.lab import probes, shattering
from resnet_viz.lab.datasets import load_data
from resnet_viz.lab.experiments.training import advance, make_state
from resnet_viz.lab.experiments.why import measure_autocorrelation, measure_responses, measure_slopes
from resnet_viz.lab.nets import Trace
from resnet_viz.lab.train import get_trainer
from resnet_viz.records import Lane, NetConfig, TrainConfig

torch.set_num_threads(1)
PLAIN = NetConfig(shortcut="none")


# ---------------------------------------------------------------------------------------------------- slopes


@pytest.mark.parametrize(("net", "tolerance"), [
    (replace(PLAIN, init="he"), 0.02), (replace(PLAIN, init="xavier"), 0.02), (PLAIN, 0.03),
    (replace(PLAIN, norm="batch", init="he"), 0.015), (NetConfig(), 0.02), (NetConfig(init="zero-last"), 0.025),
], ids=["he", "xavier", "default", "batch", "residual-default", "residual-zero-last"])
def test_slope_is_the_theory(net, tolerance):
    """SCIENCE, section 2. Branches of 0 leave one mask in all, g'(0) = 0: √(1/2) over nine blocks, -0.017 each."""
    result = measure_slopes(net, seeds=range(5))
    assert result.theory is not None
    assert result.slope == pytest.approx(result.theory, abs=tolerance)
    assert result.slope == pytest.approx(math.log10(result.gradient[0] / result.gradient[-1]) / net.blocks)
    assert result.gradient.shape == (19,) and result.slopes.shape == (5,)


@pytest.mark.parametrize(("net", "low", "high"), [
    (NetConfig(init="he"), 0.14, 0.2), (NetConfig(depth=32, norm="batch"), 0.05, 0.1), (NetConfig(depth=56, norm="batch"),
                                                                                     0.05, 0.09)],
    ids=["he", "batch-32", "batch-56"])
def test_slope_of_residual_nets(net, low, high):
    """SCIENCE, section 2, and claims: He without normalisation explodes; with BatchNorm the slope is small."""
    assert low < measure_slopes(net, seeds=range(5)).slope < high


def test_slope_with_shortcuts_and_batchnorm_is_not_constant():
    """Claim: steeper in shallower nets; in the plain net it is the same at any depth."""
    residual, plain = ([measure_slopes(replace(net, depth=depth, norm="batch")).slope for depth in (12, 20, 32, 56)]
                       for net in (NetConfig(), PLAIN))
    assert (np.diff(residual) < -0.01).all() and np.ptp(plain) < 0.02


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_a_flat_gradient_is_no_promise(seed):
    """Claim: plain nets with He's init keep their gradients and train worse with depth.

    Measured over three seeds, training accuracy: 0.99 at 22 layers and 0.33 to 0.54 at 52. SCIENCE: 0.66 and 0.20.
    """
    accuracies = []
    for depth in (22, 52):
        lane = Lane(NetConfig(shortcut="none", depth=depth, init="he"), TrainConfig(lr=0.005))
        assert abs(measure_slopes(lane.net, seeds=[seed]).slope) < 0.1
        accuracies.append(float(advance(make_state(lane, "digits", seed), 300)[1].accuracy[-20:].mean()))
    assert accuracies[0] > accuracies[1] + 0.2


def test_theory_is_sciences():
    """SCIENCE, section 2: log10 of 1/2, 1/6 and π/(π-1)."""
    found = [shattering.find_theory(replace(PLAIN, init=i)) for i in ("he", "xavier", "default")]
    assert np.allclose(found, [0, -0.301, -0.778], atol=1e-3)
    assert shattering.find_theory(replace(PLAIN, norm="batch")) == pytest.approx(0.166, abs=1e-3)
    for net in (NetConfig(init="he"), NetConfig("conv", "none", 20, (8,)), replace(PLAIN, width=(8, 12)),
                replace(PLAIN, activation="tanh"), NetConfig(norm="batch")):
        assert shattering.find_theory(net) is None


@pytest.mark.parametrize("norm", ["none", "batch"])
@pytest.mark.parametrize("init", ["default", "he", "xavier", "zero-last"])
@pytest.mark.parametrize("net", [NetConfig(depth=8), PLAIN, NetConfig("conv", "projection", 8, (4,)),
                                 NetConfig("conv", "zero-pad", 8, (4,), order="pre")],
                         ids=["residual", "plain", "conv", "pre"])
def test_every_net_has_a_slope(net, init, norm):
    """A number, but for a plain net whose branches are 0: no gradient, no slope."""
    result = measure_slopes(replace(net, norm=norm, init=init), seeds=[0])
    assert math.isfinite(result.slope) == (net.residual or init != "zero-last")


# ---------------------------------------------------------------------------------------------------- shattering


@pytest.mark.parametrize(("depth", "residual", "scale", "lag1"), [
    (1, False, 1.0, 0.92), (4, False, 1.0, 0.66), (10, False, 1.0, 0.05), (24, False, 1.0, -0.05),
    (50, True, 1.0, 0.58), (50, True, 0.1, 0.96),
])
def test_autocorrelation_at_lag_one(depth, residual, scale, lag1):
    """SCIENCE, section 2, ten seeds: a seed's standard deviation is 0.02 to 0.08, so the mean's is up to 0.025.

    Over 30 seeds .92/.72/.07/-.03, and .63 and .97 over 15: the nets behind SCIENCE's figures may differ a little.
    """
    found = measure_autocorrelation(depth, residual, branch_scale=scale, seeds=10)
    assert found.mean[1] == pytest.approx(lag1, abs=0.1)
    assert found.mean.shape == (32,) and found.by_seed.shape == (10, 32) and found.gradient.shape == (10, 256)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(-100, 100), min_size=16, max_size=64))
def test_autocorrelation_is_a_correlation(row):
    """1 at lag 0, within ±1; the mean does not count, nor does the scale; numpy's own, where it has one."""
    row = np.round(np.array(row), 3)
    found = shattering.correlate(row, 8)
    if np.ptp(row) == 0:
        return
    assert found[0] == pytest.approx(1) and (np.abs(found) <= 1 + 1e-12).all()
    assert np.allclose(found, shattering.correlate(3 * row + 7, 8), atol=1e-6)
    centred = row - row.mean()
    assert np.allclose(found, np.correlate(centred, centred, "full")[len(row) - 1 :][:8] / (centred**2).sum())


@pytest.mark.parametrize("residual", [False, True])
def test_gradient_of_a_line_is_that_of_its_function(residual):
    """Without BatchNorm and biases y = f(x) is a line on either side of 0: dy/dx has two values."""
    gradient = measure_autocorrelation(2, residual, batch_norm=False, branch_scale=0.5, seeds=1).gradient[0]
    assert np.ptp(gradient[:128]) < 1e-9 * abs(gradient[0]) and np.ptp(gradient[128:]) < 1e-9 * abs(gradient[-1])
    assert abs(gradient[0] - gradient[-1]) > 1e-3


# ---------------------------------------------------------------------------------------------------- responses


@pytest.mark.parametrize("order", ["post", "pre"])
@pytest.mark.parametrize("norm", ["none", "batch"])
def test_responses_are_those_before_sum_and_g(order, norm):
    """F of each block, and behind its first layer a number whose ReLU is a[l+1]; the state is not changed."""
    net = NetConfig("conv", "projection", 8, (4,), norm, order=order)
    state, _ = advance(make_state(Lane(net, TrainConfig(batch_size=64)), "digits", 0), 5)
    kept = state.weights.copy()
    found = measure_responses(state)
    module, trace, x = get_trainer(state.lane, "digits").module, Trace(), load_data("digits").test_x
    with probes.recomputed(module, load_data("digits")), torch.no_grad():
        module.eval()(x, trace)
        a, block = trace.activations[0], module.blocks[0]
        stem = module.stem.norm(module.stem.layer(x))
        z1 = block.layer1(block.g1(block.norm1(a))) if order == "pre" else block.layer1(a)
        z1 = (block.norm2 if order == "pre" else block.norm1)(z1)
        module.train()
    assert len(found) == 7
    assert np.allclose(found[2::2], [f.double().std(correction=0).item() for f in trace.branches], rtol=1e-5)
    assert np.allclose(found[:2], [stem.std(correction=0).item(), z1.std(correction=0).item()], rtol=1e-4)
    assert np.array_equal(kept, state.weights)


@pytest.mark.parametrize("seed", range(2))
def test_residual_responses_are_smaller(seed):
    """Claim (He et al. 2015, figure 7): in a trained residual net the branches respond less than plain layers do."""
    net = NetConfig("conv", "zero-pad", 20, (8,), "batch")
    means = []
    for skip in (True, False):
        state, _ = advance(make_state(Lane(replace(net, skip=skip)), "digits", seed), 60)
        means.append(measure_responses(state)[2::2].mean())
    assert means[0] < means[1]


@pytest.mark.parametrize("skip", [True, False])
def test_responses_behind_batchnorm_are_about_the_size_of_gamma(skip):
    """Claim: the root of the mean γ² and the variance of β, as far as the held-out part is like the training part."""
    state, _ = advance(make_state(Lane(NetConfig(depth=12, norm="batch", skip=skip)), "digits", 0), 100)
    found = measure_responses(state)
    module = get_trainer(state.lane, "digits").module
    norms = [module.stem.norm, *(norm for block in module.blocks for norm in (block.norm1, block.norm2))]
    expected = [(norm.weight.square().mean() + norm.bias.var(correction=0)).sqrt().item() for norm in norms]
    assert np.allclose(found, expected, rtol=0.15)
    assert np.allclose(expected, 1, atol=0.2)  # γ has hardly moved
