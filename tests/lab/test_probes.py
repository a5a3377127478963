"""The probes: norms against finite differences, contributions against a loop, and the slopes that theory predicts."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resnet_viz.lab import probes
from resnet_viz.lab.datasets import load_data
from resnet_viz.lab.experiments import training
from resnet_viz.lab.nets import Net, Trace, build_net
from resnet_viz.records import DATASETS, Frame, Lane, NetConfig, TrainConfig

torch.set_num_threads(1)
DIGITS = DATASETS["digits"]


def measure(net: NetConfig, seed: int = 0, batch: int = 128) -> Frame:
    """The frame of a new net."""
    lane = Lane(net, TrainConfig(batch_size=batch))
    return training.measure(training.make_state(lane, "digits", seed))


def build_double(net: NetConfig, seed: int = 0, batch: int = 128) -> tuple[Net, Tensor, Tensor]:
    """The same new net and the batch that it is measured on, in double precision."""
    x, y = load_data("digits").take_batch(seed, 0, batch)
    return build_net(net, DIGITS, seed).double(), x.double(), y


# ---------------------------------------------------------------------------------------------------- gradient norms


def list_ends(module: Net) -> list[nn.Module]:
    """The modules whose outputs are the hidden activations a[l], input to output."""
    post = module.config.order == "post"
    return [module.stem] + [part for b in module.blocks for part in ((b.g1 if post else b.g2), b)]


@torch.no_grad()
def differentiate(module: Net, end: nn.Module, x: Tensor, y: Tensor, nudge: float = 1e-6) -> Tensor:
    """∂(summed loss)/∂a of one activation by central differences, number by number; knows nothing of gradients."""
    outputs = []
    with end.register_forward_hook(lambda part, args, out: outputs.append(out)):
        module(x)
    slope = torch.zeros_like(outputs[0])
    for i in range(slope.numel()):
        losses = []
        for sign in (nudge, -nudge):
            moved = outputs[0].clone()
            moved.view(-1)[i] += sign
            with end.register_forward_hook(lambda part, args, out, moved=moved: moved):
                losses.append(F.cross_entropy(module(x), y, reduction="sum"))
        slope.view(-1)[i] = (losses[0] - losses[1]) / (2 * nudge)
    return slope


@pytest.mark.parametrize("net", [
    NetConfig(depth=8, width=(6,), init="he"),
    NetConfig(shortcut="none", depth=8, width=(6,)),
    NetConfig(shortcut="zero-pad", depth=8, width=(4, 6)),
    NetConfig(shortcut="projection", depth=8, width=(6, 4), norm="batch"),
    NetConfig(depth=8, width=(6,), norm="batch", order="pre"),
    NetConfig("conv", "zero-pad", 8, (1,), norm="batch"),
    NetConfig("conv", "projection", 8, (1,), order="pre"),
], ids=lambda net: f"{net.family}-{net.shortcut}-{net.norm}-{net.order}")
def test_gradient_norms_are_finite_differences(net):
    """gradient[l] is ‖∂L/∂a[l]‖ per sample, its root mean square over the batch. Measured: within 4e-6."""
    module, x, y = build_double(net, batch=4)
    slopes = [differentiate(module, end, x, y) for end in list_ends(module)]
    expected = [slope.flatten(1).square().sum(1).mean().sqrt().item() for slope in slopes]
    assert min(expected) > 0
    np.testing.assert_allclose(measure(net, batch=4).gradient[0], expected, rtol=1e-4)


def norms_in_double(net: NetConfig, seed: int = 0) -> np.ndarray:
    """Gradient norms by autograd in double precision, where nothing underflows."""
    module, x, y = build_double(net, seed)
    trace = Trace()
    loss = F.cross_entropy(module(x, trace), y, reduction="sum")
    found = torch.autograd.grad(loss, trace.activations)
    return np.array([g.flatten(1).square().sum(1).mean().sqrt().item() for g in found])


@pytest.mark.parametrize("depth", [56, 80])
def test_vanishing_gradients_are_measured_not_zero(depth):
    """Norms of 1e-21 (56 layers) and 1e-30 (80), whose squares single precision does not hold. Measured: within 4e-7."""
    net = NetConfig(shortcut="none", depth=depth)
    exact = norms_in_double(net)
    assert 1e-32 < exact[0] < 1e-19
    np.testing.assert_allclose(measure(net).gradient[0], exact, rtol=1e-5)


def test_gradients_that_are_zero_in_training_are_measured_as_zero():
    """At 100 layers double precision says 1e-38; single precision, in which the net trains, has 0 there."""
    net = NetConfig(shortcut="none", depth=100)
    exact, measured = norms_in_double(net), measure(net).gradient[0]
    assert measured[0] == 0 and 0 < exact[0] < 1e-36
    np.testing.assert_allclose(measured[exact > 1e-34], exact[exact > 1e-34], rtol=1e-2)


def test_exploding_gradients_are_measured_not_infinite():
    """Norms whose squares overflow single precision: a loss of 1e20 is not one of infinite gradients."""
    trace = Trace(gradients=[torch.full((4, 8), 1e25), torch.full((4, 8), 1.0)], logits=torch.zeros(4, 10))
    norms = 2 * math.sqrt(4 * 8) * np.array([1e25, 1.0])
    np.testing.assert_allclose(probes.measure_gradients(trace), norms, rtol=1e-6)


def test_weight_gradients_are_relative_norms():
    """‖∂L/∂W‖/‖W‖ of each counted layer, and NaN where W is 0."""
    for net in (NetConfig(depth=8), NetConfig("conv", "projection", 8, (4,), "batch"),
                NetConfig(depth=8, init="zero-last")):
        module, x, y = build_double(net)
        F.cross_entropy(module(x), y).backward()
        expected = [(layer.weight.grad.norm() / layer.weight.norm()).item() if layer.weight.any() else math.nan
                    for layer in module.weighted_layers()]
        np.testing.assert_allclose(measure(net).weight_gradient[0], expected, rtol=1e-4)
        assert np.isnan(expected).sum() == (3 if net.init == "zero-last" else 0)


# ---------------------------------------------------------------------------------------------------- contributions


def contribute(before: Tensor, branch: Tensor, shortcut: Tensor | None, after: Tensor) -> tuple[float, float, float]:
    """ratio, share and cosine of one block, sample by sample."""
    rows = []
    for b in range(len(before)):
        f = branch[b].norm().item()
        s = math.nan if shortcut is None else shortcut[b].norm().item()
        cosine = math.nan
        if before[b].shape == after[b].shape:
            u, v = before[b].flatten(), after[b].flatten()
            cosine = (u @ v / (u.norm() * v.norm())).item()  # NaN where one is zero
        rows.append((f / s if s else math.nan, s / (s + f) if s + f else math.nan, cosine))
    return tuple(float(np.nanmean(column)) if not np.isnan(column).all() else math.nan
                 for column in np.array(rows).T)


def check_contributions(net: NetConfig) -> None:
    module, x, _ = build_double(net)
    trace = Trace()
    module(x, trace)
    a = trace.activations
    expected = np.array([contribute(a[2 * k], trace.branches[k], trace.shortcuts[k], a[2 * k + 2])
                         for k in range(net.blocks)])
    frame = measure(net)
    for got, column in zip((frame.ratio[0], frame.share[0], frame.cosine[0]), expected.T, strict=True):
        np.testing.assert_allclose(got, column, rtol=1e-4)
    assert net.residual == np.isfinite(frame.ratio).all() == np.isfinite(frame.share).all()


@pytest.mark.parametrize("net", [
    NetConfig(depth=10), NetConfig(depth=10, init="he", order="pre"), NetConfig(depth=10, skip=False),
    NetConfig(shortcut="none", depth=10, norm="batch"), NetConfig(shortcut="zero-pad", depth=12, width=(32, 64)),
    NetConfig(shortcut="projection", depth=12, width=(64, 32)), NetConfig("conv", "zero-pad", 14, (4,), "batch"),
    NetConfig("conv", "projection-all", 14, (4,), "batch", order="pre"),
], ids=lambda net: f"{net.family}-{net.shortcut}-{net.norm}-{net.order}-{net.skip}")
def test_contributions_are_a_loop_over_samples(net):
    """ratio ‖F‖/‖s‖, share ‖s‖/(‖s‖+‖F‖) and the cosine of a[l] and a[l+2], each averaged over the samples."""
    check_contributions(net)


def test_contributions_where_a_width_comes_back():
    """Stages of 8, 16 and 8: blocks of equal width that are not neighbours."""
    check_contributions(NetConfig(shortcut="projection", depth=14, width=(8, 16, 8)))


def test_what_is_zero_has_no_cosine():
    """Documented: NaN where all samples are zero, as ratio and share are."""
    nothing, something = torch.zeros(4, 8), torch.ones(4, 8)
    trace = Trace([nothing, something, something], [something], [nothing], logits=torch.zeros(4, 10))
    ratio, share, cosine = probes.measure_blocks(trace)
    assert share == [0.0]
    assert np.isnan([ratio, cosine]).all()


def test_held_out_numbers_are_those_of_evaluation_mode():
    """Loss and accuracy on all of the held-out part, BatchNorm with its running statistics."""
    lane, data = Lane(NetConfig("conv", "projection", 8, (4,), "batch"), TrainConfig(batch_size=64)), load_data("digits")
    state, _ = training.advance(training.make_state(lane, "digits", 0), 20)
    module = build_net(lane.net, DIGITS).eval()
    nn.utils.vector_to_parameters(torch.tensor(state.weights), module.parameters())
    running = [buffer for buffer in module.buffers() if buffer.is_floating_point()]
    for buffer, part in zip(running, torch.tensor(state.buffers).split([b.numel() for b in running]), strict=True):
        buffer.copy_(part.view_as(buffer))
    with torch.no_grad():
        logits = module(data.test_x)
    frame = training.measure(state)
    assert frame.test_loss[0] == pytest.approx(F.cross_entropy(logits, data.test_y).item(), rel=1e-5)
    assert frame.test_accuracy[0] == pytest.approx((logits.argmax(1) == data.test_y).double().mean().item())


# ---------------------------------------------------------------------------------------------------- slopes at init


PLAIN = NetConfig(shortcut="none", depth=20, width=(64,))
HALF, SIXTH, SHARE = math.log10(1 / 2), math.log10(1 / 6), math.log10(math.pi / (math.pi - 1))


def measure_slope(net: NetConfig, seeds: int, batch: int = 128) -> float:
    """log10 change of ‖∂L/∂a[l]‖ per block of two layers, walking from the output back to the input."""
    rows = np.log10([measure(net, seed, batch).gradient[0, ::2].astype(float) for seed in range(seeds)])
    return float((rows[:, 0] - rows[:, -1]).mean() / net.blocks)


@pytest.mark.parametrize(("net", "slope", "tolerance"), [
    (replace(PLAIN, init="he"), 0.0, 0.015),
    (replace(PLAIN, init="xavier"), HALF, 0.015),
    (PLAIN, SIXTH, 0.02),
    (replace(PLAIN, shortcut="identity"), 0.0, 0.015),
    (replace(PLAIN, shortcut="identity", init="he"), 0.168, 0.012),
], ids=["plain-he", "plain-xavier", "plain-default", "residual-default", "residual-he"])
def test_slope_at_init(net, slope, tolerance):
    """SCIENCE, section 2: ten seeds of 20 x 64, whose mean has a standard error of 0.005 (residual default: 0.001)."""
    assert measure_slope(net, seeds=10) == pytest.approx(slope, abs=tolerance)


@pytest.mark.parametrize("init", ["default", "he", "xavier"])
def test_slope_at_init_with_batch_norm(init):
    """Plain nets explode towards the input at any init. Theory is for large batches: 0.166 at 1024, 0.171 at 128."""
    assert measure_slope(replace(PLAIN, norm="batch", init=init), 10, batch=1024) == pytest.approx(SHARE, abs=0.004)


@pytest.mark.parametrize(("depth", "slope"), [(20, 0.119), (32, 0.089), (56, 0.061)])
def test_slope_at_init_of_residual_nets_with_batch_norm(depth, slope):
    """It falls with depth, as each block adds a smaller part of the sum: +0.05...0.09 at 32 to 56 layers."""
    assert measure_slope(NetConfig(depth=depth, norm="batch"), seeds=3) == pytest.approx(slope, abs=0.004)
