"""The chain rule by hand equals autograd: in double precision nearly to the last bit, so that no term can be missing."""

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from resnet_viz.lab.dense import HandWritten
from resnet_viz.lab.nets import Net, Trace, build_net
from resnet_viz.records import DataShape, NetConfig

torch.set_num_threads(1)
DATA = DataShape((1, 8, 8), 10)
INITS = ("default", "he", "xavier", "zero-last")
SHAPES = [
    ("identity", (64,)), ("identity", (1,)), ("none", (16,)), ("none", (128, 256)), ("zero-pad", (128, 256)),
    ("zero-pad", (8, 16, 24)), ("projection", (128, 256)), ("projection", (24, 8, 16)), ("projection-all", (16,)),
    ("projection-all", (128, 256)),
]


@st.composite
def draw_dense_nets(draw: st.DrawFn) -> NetConfig:
    """Any net that is written out by hand, any of its shortcuts cut."""
    shortcut, width = draw(st.sampled_from(SHAPES))
    blocks = draw(st.integers(len(width), 9))
    cuts = tuple(draw(st.sets(st.integers(0, blocks - 1))))
    return NetConfig("dense", shortcut, 2 * blocks + 2, width, init=draw(st.sampled_from(INITS)), skip=draw(st.booleans()),
                     cuts=cuts)


def draw_batch(seed: int, batch: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(batch, *DATA.shape, generator=generator)
    return x, torch.randint(DATA.classes, (batch,), generator=generator)


def compare(module: Net, hand: HandWritten, written: dict[Tensor, Tensor], x: Tensor, y: Tensor) -> Iterator[float]:
    """Relative errors ‖hand - autograd‖ / ‖autograd‖ of the loss and of everything in the trace and the gradients."""
    trace = Trace()
    loss = F.cross_entropy(module(x, trace), y)
    parameters = list(module.parameters())
    found = torch.autograd.grad(loss, parameters + trace.activations, allow_unused=True)
    gradients = [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, found, strict=False)]
    hand_loss, by_hand = hand.run(x, y)
    ours = [hand_loss, by_hand.logits, *by_hand.activations, *written.values(), *by_hand.gradients]
    theirs = [loss, trace.logits, *trace.activations, *gradients, *found[len(parameters):]]
    assert [s is None for s in by_hand.shortcuts] == [s is None for s in trace.shortcuts]
    for k in [k for k, block in enumerate(module.blocks) if block.skip]:  # the branches without have a test of their own
        ours += [by_hand.branches[k], by_hand.shortcuts[k]]
        theirs += [trace.branches[k], trace.shortcuts[k]]
    for a, b in zip(ours, theirs, strict=True):
        assert a.shape == b.shape
        yield 0.0 if torch.equal(a, b) else ((a - b).norm() / b.norm()).item()


def make_hand_written(net: NetConfig, seed: int, batch: int) -> tuple[Net, HandWritten, dict[Tensor, Tensor]]:
    """A net, its chain rule, and where its gradients go, in torch's default precision."""
    module = build_net(net, DATA, seed)
    gradients = {p: torch.zeros_like(p) for p in module.parameters()}
    return module, HandWritten(module, gradients, batch), gradients


@pytest.fixture
def in_double() -> Iterator[None]:
    """Everything made in the test is in double precision."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.usefixtures("in_double")
def test_hand_written_equals_autograd():
    """Two batches one after the other, so that nothing of the first may be left. Measured: below 2e-14."""

    @settings(deadline=None, max_examples=40)
    @given(draw_dense_nets(), st.integers(0, 2**31 - 1), st.integers(1, 24))
    def check(net, seed, batch):
        assert net.by_hand
        module, hand, written = make_hand_written(net, seed, batch)
        for k in (0, 1):
            assert max(compare(module, hand, written, *draw_batch(seed + k, batch))) < 1e-12

    check()


@pytest.mark.parametrize(("shortcut", "width"), SHAPES, ids=str)
@pytest.mark.parametrize("more", [{}, {"skip": False}, {"cuts": (0, 3, 4)}], ids=str)
def test_hand_written_equals_autograd_in_single_precision(shortcut, width, more):
    """As it is used: float32, batches of 128. Measured: below 5e-6, sums being taken in another order."""
    module, hand, written = make_hand_written(NetConfig("dense", shortcut, 20, width, **more), 0, 128)
    assert max(compare(module, hand, written, *draw_batch(0, 128))) < 1e-4


def test_hand_written_is_not_used_elsewhere():
    """Convolutions, BatchNorm and pre-activation are autograd's."""
    for net in (NetConfig("conv", "zero-pad"), NetConfig(norm="batch"), NetConfig(order="pre")):
        assert not net.by_hand


def test_branches_of_a_plain_net_are_in_the_trace():
    """Trace.branches holds F whether or not something is added to it."""
    module, hand, _ = make_hand_written(NetConfig(skip=False), 0, 128)
    x, y = draw_batch(0, 128)
    by_hand, trace = hand.trace, Trace()
    for branch in by_hand.branches:
        branch.fill_(torch.nan)  # whatever memory held
    hand.run(x, y)
    module(x, trace)
    for ours, theirs in zip(by_hand.branches, trace.branches, strict=True):
        torch.testing.assert_close(ours, theirs)
