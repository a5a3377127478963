"""The nets: what the lesson's formulas say of them must hold for any of them, mostly to the bit."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from resnet_viz.lab.nets import Block, IdentityShortcut, Net, Trace, ZeroPadShortcut, build_net
from resnet_viz.records import DataShape, NetConfig

torch.set_num_threads(1)
DATA = DataShape((1, 8, 8), 10)
BATCH = 5
SEEDS = st.integers(0, 2**31 - 1)

SHAPES = [
    ("dense", "identity", (8,)), ("dense", "zero-pad", (6, 9)), ("dense", "projection", (9, 6, 7)),
    ("dense", "projection-all", (8,)), ("conv", "zero-pad", (3,)), ("conv", "projection", (3,)),
    ("conv", "projection-all", (3,)),
]


@st.composite
def draw_nets(draw: st.DrawFn) -> NetConfig:
    """Any net with shortcuts: families, shortcuts, norms, inits, orders."""
    family, shortcut, width = draw(st.sampled_from(SHAPES))
    depth = 8 if family == "conv" else 2 * draw(st.integers(len(width), 6)) + 2
    norm, order = draw(st.sampled_from(["none", "batch"])), draw(st.sampled_from(["post", "pre"]))
    return NetConfig(family, shortcut, depth, width, norm, draw(st.sampled_from(["default", "he", "xavier"])), order)


def draw_input(seed: int) -> Tensor:
    return torch.randn(BATCH, *DATA.shape, generator=torch.Generator().manual_seed(seed))


def run(module: Net, x: Tensor) -> Trace:
    trace = Trace()
    module(x, trace)
    return trace


def read_branches(module: Net) -> dict[str, Tensor]:
    """All weights but those of the shortcuts."""
    return {name: value for name, value in module.state_dict().items() if ".shortcut." not in name}


# ---------------------------------------------------------------------------------------------------- twins


@settings(deadline=None, max_examples=40)
@given(draw_nets(), SEEDS)
def test_twins_start_from_the_same_weights(net, seed):
    """Plain and residual nets of one seed are equal but for the shortcuts; another seed gives other weights."""
    residual = read_branches(build_net(net, DATA, seed))
    plain = build_net(replace(net, shortcut="none"), DATA, seed)
    assert residual.keys() == plain.state_dict().keys()
    assert all(torch.equal(value, residual[name]) for name, value in plain.state_dict().items())
    assert not torch.equal(build_net(net, DATA, seed + 1).stem.layer.weight, plain.stem.layer.weight)


@settings(deadline=None, max_examples=40)
@given(draw_nets(), SEEDS)
def test_skip_off_is_the_plain_net(net, seed):
    """With the shortcuts cut, the same weights give the plain net's logits and activations to the bit."""
    cut = build_net(replace(net, skip=False), DATA, seed)
    plain = build_net(replace(net, shortcut="none"), DATA, seed + 1)
    plain.load_state_dict(read_branches(cut))
    x = draw_input(seed)
    ours, theirs = run(cut, x), run(plain, x)
    assert torch.equal(ours.logits, theirs.logits)
    assert all(torch.equal(a, b) for a, b in zip(ours.activations, theirs.activations, strict=True))
    assert ours.shortcuts == [None] * net.blocks
    with_skip = build_net(net, DATA, seed)
    assert not torch.equal(run(with_skip, x).logits, ours.logits)


# ---------------------------------------------------------------------------------------------------- blocks


@settings(deadline=None, max_examples=40)
@given(draw_nets(), SEEDS)
def test_out_is_branch_plus_shortcut(net, seed):
    """a[l+2] = g(F + s), and F + s with pre-activation, in every block and to the bit."""
    trace = run(build_net(net, DATA, seed), draw_input(seed))
    assert len(trace.activations) == net.depth - 1
    for k, (branch, shortcut) in enumerate(zip(trace.branches, trace.shortcuts, strict=True)):
        total = branch + shortcut
        assert torch.equal(trace.activations[2 * k + 2], total if net.order == "pre" else total.relu())
        assert shortcut.data_ptr() not in {a.data_ptr() for a in trace.activations}


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 6), st.integers(1, 32), SEEDS)
def test_dense_net_is_the_lessons_formulas(blocks, width, seed):
    """z = W a + b, a = g(z), and a[l+2] = g(z[l+2] + a[l]), written out."""
    module = build_net(NetConfig(depth=2 * blocks + 2, width=(width,)), DATA, seed)
    x = draw_input(seed)
    a = F.relu(x.flatten(1) @ module.stem.layer.weight.T + module.stem.layer.bias)
    for block in module.blocks:
        a1 = F.relu(a @ block.layer1.weight.T + block.layer1.bias)
        a = F.relu(a1 @ block.layer2.weight.T + block.layer2.bias + a)
    logits = a @ module.head.layer.weight.T + module.head.layer.bias
    torch.testing.assert_close(module(x), logits)


def test_identity_shortcut_returns_a_new_tensor():
    """Equal to what it was given, and not the same tensor: a hook must tell the two apart."""
    a = torch.randn(3, 4)
    s = IdentityShortcut()(a)
    assert torch.equal(s, a) and s.data_ptr() != a.data_ptr()


@settings(deadline=None)
@given(st.integers(1, 9), st.integers(0, 9), SEEDS)
def test_zero_padding_is_a_fixed_w_s(inputs, added, seed):
    """Option A equals W_s = [I; 0]: as a matrix, and as a 1x1 convolution of stride 2."""
    w_s = torch.eye(inputs + added, inputs)
    dense = torch.randn(BATCH, inputs, generator=torch.Generator().manual_seed(seed))
    assert torch.equal(ZeroPadShortcut(inputs, inputs + added, 1)(dense), dense @ w_s.T)
    for size in (7, 8):
        pictures = torch.randn(BATCH, inputs, size, size, generator=torch.Generator().manual_seed(seed))
        fixed = F.conv2d(pictures, w_s[:, :, None, None], stride=2)
        assert torch.equal(ZeroPadShortcut(inputs, inputs + added, 2)(pictures), fixed)


# ---------------------------------------------------------------------------------------------------- W[l+2] = 0


def kill_branch(block: Block) -> None:
    """W[l+2] = 0 and b[l+2] = 0."""
    nn.init.zeros_(block.layer2.weight)
    nn.init.zeros_(block.layer2.bias)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 8), st.integers(1, 64), SEEDS, st.floats(1e-3, 1e3), st.data())
def test_dead_branch_leaves_the_identity(blocks, width, seed, scale, data):
    """With W[l+2] = b[l+2] = 0 a residual block gives a[l+2] = a[l] to the bit, for any input."""
    module = build_net(NetConfig(depth=2 * blocks + 2, width=(width,)), DATA, seed)
    k = data.draw(st.integers(0, blocks - 1))
    kill_branch(module.blocks[k])
    a = run(module, scale * draw_input(seed)).activations
    assert torch.equal(a[2 * k + 2], a[2 * k])


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 8), st.integers(1, 64), SEEDS, st.data())
def test_dead_branch_makes_the_plain_net_constant(blocks, width, seed, data):
    """The same surgery in the plain net gives a[l+2] = 0, and logits that do not depend on the input."""
    net = NetConfig(shortcut="none", depth=2 * blocks + 2, width=(width,))
    module, k = build_net(net, DATA, seed), data.draw(st.integers(0, blocks - 1))
    kill_branch(module.blocks[k])
    trace = run(module, draw_input(seed))
    assert not trace.activations[2 * k + 2].any()
    torch.testing.assert_close(trace.logits, trace.logits[:1].expand(BATCH, -1))


def test_dead_branch_wakes_up_again():
    """At W[l+2] = 0 the gradient of W[l+1] is exactly 0 and that of W[l+2] is not."""
    module = build_net(NetConfig(depth=8, width=(16,)), DATA, 0)
    kill_branch(module.blocks[1])
    F.cross_entropy(module(draw_input(0)), torch.arange(BATCH)).backward()
    assert not module.blocks[1].layer1.weight.grad.any()
    assert module.blocks[1].layer2.weight.grad.any()


@pytest.mark.parametrize(("norm", "order"), [("none", "post"), ("none", "pre"), ("batch", "post"), ("batch", "pre")])
def test_zero_last_starts_as_the_identity(norm, order):
    """With init "zero-last" every block of a new net gives back its input."""
    net = NetConfig(depth=8, width=(16,), norm=norm, init="zero-last", order=order)
    a = run(build_net(net, DATA, 0), draw_input(0)).activations
    assert all(torch.equal(a[2 * k + 2], a[2 * k]) for k in range(3))


# ---------------------------------------------------------------------------------------------------- order


ORDER = {
    "post": ["layer1", "norm1", "g1", "layer2", "norm2", "shortcut", "g2"],
    "pre": ["norm1", "g1", "layer1", "norm2", "g2", "layer2", "shortcut"],
}


@settings(deadline=None, max_examples=40)
@given(draw_nets())
def test_layers_run_in_the_papers_order(net):
    """He et al. 2015, figure 2, and 2016, figure 4e: with pre-activation no activation follows the sum."""
    module, ran = build_net(net, DATA, 0), []
    for part in module.blocks:
        for name, child in part.named_children():
            child.register_forward_hook(lambda child, args, out, name=name: ran.append(name))
    module(draw_input(0))
    assert ran == ORDER[net.order] * net.blocks


@settings(deadline=None, max_examples=30)
@given(draw_nets(), SEEDS)
def test_pre_activation_moves_the_stems_activation_to_the_head(net, seed):
    """Post: every a[l] passed a ReLU. Pre: stem and blocks end without one, and the head begins with one."""
    module = build_net(net, DATA, seed)
    trace = run(module, 10 * draw_input(seed))
    ends, last = trace.activations[::2], trace.activations[-1]
    if net.order == "post":
        assert all((a >= 0).all() for a in trace.activations)
        return
    assert all((a < 0).any() for a in ends) and all((a >= 0).all() for a in trace.activations[1::2])
    a = module.head.norm(last).relu()
    assert torch.equal(trace.logits, module.head.layer(a.mean((2, 3)) if a.dim() == 4 else a))


@settings(deadline=None, max_examples=40)
@given(draw_nets(), st.booleans())
def test_each_relu_is_used_once_and_never_in_place(net, skip):
    """One ReLU module for each hidden activation, called once, its input left as it was."""
    module, calls = build_net(replace(net, skip=skip), DATA, 0), []
    for part in module.modules():
        assert not getattr(part, "inplace", False)
        if isinstance(part, nn.ReLU):
            part.register_forward_hook(lambda part, args, out: calls.append((part, args[0], out)))
    module(draw_input(0))
    assert len(calls) == len({part for part, _, _ in calls}) == net.depth - 1
    assert all(before.data_ptr() != after.data_ptr() for _, before, after in calls)
