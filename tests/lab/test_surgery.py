"""Operations on trained nets: when a block is the identity and when not, and that nothing of an operation is left."""

import functools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from resnet_viz.lab import probes, surgery
from resnet_viz.lab.datasets import load_data
from resnet_viz.lab.experiments import training
from resnet_viz.lab.experiments.operations import edit_state, measure_cumulative, measure_each_block, measure_operation
from resnet_viz.lab.nets import Net, Trace, build_net
from resnet_viz.lab.surgery import operated
from resnet_viz.lab.train import get_trainer
from resnet_viz.records import (
    DATASETS,
    OPERATIONS,
    ConfigError,
    Lane,
    NetConfig,
    Operation,
    State,
    TrainConfig,
    check_operation,
    list_targets,
)

torch.set_num_threads(1)
DATA = DATASETS["digits"]
SEEDS = st.integers(0, 2**31 - 1)
NETS = {
    "residual": NetConfig(depth=8, width=(16,)),
    "plain": NetConfig(depth=8, width=(16,), skip=False),
    "cut": NetConfig(depth=8, width=(16,), cuts=(1,)),
    "pre": NetConfig(depth=8, width=(8,), norm="batch", order="pre"),
    "batch": NetConfig(depth=8, width=(16,), norm="batch"),
    "zero-pad": NetConfig(depth=10, width=(8, 16), shortcut="zero-pad"),
    "projection-plain": NetConfig(depth=10, width=(8, 16), shortcut="projection-all", skip=False),
    "conv": NetConfig("conv", "projection", 8, (4,), "batch"),
}
EACH_NET = pytest.mark.parametrize("name", NETS)


@st.composite
def draw_dense(draw: st.DrawFn) -> tuple[NetConfig, int]:
    """The lesson's net, of any width and depth, and one of its blocks."""
    blocks = draw(st.integers(1, 8))
    return NetConfig(depth=2 * blocks + 2, width=(draw(st.integers(1, 48)),)), draw(st.integers(0, blocks - 1))


@st.composite
def draw_operations(draw: st.DrawFn, net: NetConfig) -> list[Operation]:
    """Any list of operations that apply to the net."""
    blocks = st.integers(0, net.blocks - 1)
    made = st.builds(lambda kind, k, alpha, other: Operation(kind, k, alpha, other=other if kind == "swap" else None),
                     st.sampled_from(OPERATIONS), blocks, st.floats(0, 1), blocks)
    return draw(st.lists(made.filter(lambda operation: applies(operation, net)), max_size=6))


def applies(operation: Operation, net: NetConfig) -> bool:
    try:
        check_operation(operation, net)
    except ConfigError:
        return False
    return True


def draw_input(seed: int, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(5, *DATA.shape, generator=torch.Generator().manual_seed(seed))


def run_block(module: Net, k: int, x: Tensor) -> tuple[Tensor, Tensor]:
    """a[l] and a[l+2] of one block."""
    trace = Trace()
    module(x, trace)
    return trace.activations[2 * k], trace.activations[2 * k + 2]


def read_module(module: Net) -> list:
    """Every bit and flag of a module: weights, statistics, where a shortcut is, what is dropped, and the mode."""
    tensors = [tensor.detach().numpy().tobytes() for tensor in module.state_dict().values()]
    return tensors + [(id(b.shortcut), b.skip, b.lesion) for b in module.blocks] + [p.training for p in module.modules()]


@functools.cache
def train_net(name: str, steps: int = 60) -> State:
    lane = Lane(NETS[name], TrainConfig(batch_size=64))
    return training.advance(training.make_state(lane, "digits", 0), steps)[0]


# ---------------------------------------------------------------------------------------------------- the identity


@settings(deadline=None, max_examples=60)
@given(draw_dense(), SEEDS, st.floats(1e-3, 1e3))
def test_residual_block_without_w_and_b_is_the_identity(drawn, seed, scale):
    """a[l+2] = g(a[l]) = a[l], to the bit, for any width, depth, seed and input."""
    net, k = drawn
    with operated(build_net(net, DATA, seed), [Operation("zero-wb", k)]) as module:
        before, after = run_block(module, k, draw_input(seed, scale))
        assert torch.equal(after, before)
        assert surgery.measure_identity(module, draw_input(seed, scale), [k]) == (0.0, True)


@settings(deadline=None, max_examples=60)
@given(draw_dense(), SEEDS, st.floats(1e-3, 1e3))
def test_plain_block_without_w_and_b_is_constant(drawn, seed, scale):
    """a[l+2] = g(0) = 0 to the bit, whatever came in, so all examples get one answer (but for the order of sums)."""
    net, k = drawn
    module = build_net(NetConfig(depth=net.depth, width=net.width, skip=False), DATA, seed)
    with operated(module, [Operation("zero-wb", k)]):
        assert not run_block(module, k, draw_input(seed, scale))[1].any()
        logits = module(draw_input(seed, scale))
        torch.testing.assert_close(logits, logits[:1].expand_as(logits))


@settings(deadline=None, max_examples=30)
@given(draw_dense(), SEEDS)
def test_kept_bias_is_not_the_identity(drawn, seed):
    """Zeroing W alone leaves g(a[l] + b)."""
    net, k = drawn
    with operated(build_net(net, DATA, seed), [Operation("zero-w", k)]) as module:
        before, after = run_block(module, k, draw_input(seed))
        assert torch.equal(after, F.relu(before + module.blocks[k].layer2.bias))
        assert not torch.equal(after, before) or not (before + module.blocks[k].layer2.bias > 0).any()


@pytest.mark.parametrize("name", ["batch", "conv"])
def test_batch_norm_behind_w_must_be_zeroed_itself(name):
    """Zeroing W leaves γ(0 - μ)/√(σ² + ε) + β; zeroing γ and β gives the identity. There is no b: zero-wb is zero-w."""
    state = train_net(name)
    module, x = get_trainer(state.lane, "digits").module, draw_input(0)
    training.finish(state)  # loads the state
    module.eval()
    norm, k = module.blocks[0].norm2, 0
    left = norm.bias - norm.weight * norm.running_mean / torch.sqrt(norm.running_var + norm.eps)
    for kind in ("zero-w", "zero-wb"):
        with operated(module, [Operation(kind, k)]):
            before, after = run_block(module, k, x)
            torch.testing.assert_close(after, F.relu(before + left.view(-1, *[1] * (before.dim() - 2))))
            assert not torch.equal(after, before)
    with operated(module, [Operation("zero-norm", k)]):
        before, after = run_block(module, k, x)
        assert torch.equal(after, before)
    module.train()


def test_pre_activation_block_without_norm_is_the_identity():
    """There g stands in the branch, so a[l] may be negative too."""
    result = measure_operation(train_net("pre"), [Operation("zero-norm", 1)])
    assert result.is_identity and result.identity_gap == 0.0


def test_projection_block_leaves_w_s():
    """What is left is g(W_s a[l]), and where dimensions differ there is no gap to measure."""
    net = NetConfig(depth=6, width=(8, 16), shortcut="projection")
    with operated(build_net(net, DATA, 0), [Operation("zero-wb", 1)]) as module:
        before, after = run_block(module, 1, draw_input(0))
        assert torch.equal(after, F.relu(F.linear(before, module.blocks[1].shortcut[0].weight)))
        assert surgery.measure_identity(module, draw_input(0), [1]) == (None, False)
        assert surgery.measure_identity(module, draw_input(0), [0, 1]) == (None, False)


def test_zero_padding_block_leaves_a_and_zeros():
    with operated(build_net(NETS["zero-pad"], DATA, 0), [Operation("zero-wb", 2)]) as module:
        before, after = run_block(module, 2, draw_input(0))
        assert torch.equal(after, F.pad(before, (0, 8)))


@pytest.mark.parametrize("activation", [torch.tanh, F.leaky_relu])
def test_another_activation_is_not_the_identity(activation):
    """g(a[l]) = a[l] asks for a[l] ≥ 0 and a g that leaves such alone: not tanh, and not raw negative input."""
    a = draw_input(0).flatten(1)
    assert not torch.equal(F.relu(a), a) and torch.equal(F.relu(a.abs()), a.abs())
    assert not torch.equal(activation(a), a)


@settings(deadline=None, max_examples=30)
@given(draw_dense(), SEEDS)
def test_gradients_where_w_is_zero(drawn, seed):
    """At W[l+2] = 0 the gradient of W[l+1] is exactly 0, and that of W[l+2] is ∂L/∂z[l+2]ᵀ a[l+1]."""
    net, k = drawn
    with operated(build_net(net, DATA, seed), [Operation("zero-w", k)]) as module:
        trace, block = Trace(), module.blocks[k]
        loss = F.cross_entropy(module(draw_input(seed), trace), torch.arange(5))
        first, second = torch.autograd.grad(loss, [block.layer1.weight, block.layer2.weight], retain_graph=True)
        (dz,) = torch.autograd.grad(loss, trace.branches[k])
        assert not first.any()
        torch.testing.assert_close(second, dz.T @ trace.activations[2 * k + 1])


def test_gradient_of_a_zeroed_layer_is_not_zero():
    """Measured on a whole net: W[l+2] moves."""
    state = edit_state(train_net("residual", 20), [Operation("zero-wb", 1)])
    frame = training.measure(state)
    trainer = get_trainer(state.lane, "digits")
    first, second = (trainer.gradients[layer.weight] for layer in (trainer.module.blocks[1].layer1,
                                                                  trainer.module.blocks[1].layer2))
    assert len(frame) == 1 and not first.any() and second.abs().max() > 1e-4


# ---------------------------------------------------------------------------------------------------- nothing is left


@EACH_NET
def test_operated_restores_every_bit(name):
    """For any list of operations, with statistics recomputed inside or not, and when an exception is raised inside."""
    module, data = build_net(NETS[name], DATA, 0), load_data("digits")
    was = read_module(module)

    @settings(deadline=None, max_examples=25)
    @given(draw_operations(NETS[name]), st.booleans(), st.booleans())
    def check(operations, recompute, fails):
        try:
            with operated(module, operations):
                if recompute:
                    probes.recompute_statistics(module, data)
                module(data.x[:8])  # in training mode: moves running statistics
                if fails:
                    raise KeyError
        except KeyError:
            assert fails
        assert read_module(module) == was

    check()


@EACH_NET
def test_operated_changes_nothing_where_it_refuses(name):
    module = build_net(NETS[name], DATA, 0)
    was = read_module(module)
    with pytest.raises(ConfigError), operated(module, [Operation("scale", 0), Operation("zero-wb", 99)]):
        pass
    assert read_module(module) == was


@EACH_NET
def test_operations_never_change_the_state(name):
    """before == after; and training goes on from it as if nobody had looked."""
    state = train_net(name)
    was = [array.tobytes() for array in (state.weights, state.buffers, state.moments)]
    expected = training.advance(state, 3)[0]
    for kind in OPERATIONS:
        if kind != "swap" and list_targets(kind, NETS[name]):
            measure_operation(state, [Operation(kind, list_targets(kind, NETS[name])[-1])], recompute=True)
    edit_state(state, [Operation("zero-wb", 0), Operation("swap", 0, other=0)])
    assert [array.tobytes() for array in (state.weights, state.buffers, state.moments)] == was
    again = training.advance(state, 3)[0]
    assert np.array_equal(again.weights, expected.weights) and np.array_equal(again.buffers, expected.buffers)


@EACH_NET
def test_no_operation_changes_no_number(name):
    """An empty list, α = 1, and a block swapped twice or with itself: the same state and accuracies to the bit."""
    state = train_net(name)
    for operations in ([], [Operation("scale", 1, 1.0)], [Operation("swap", 1, other=1)],
                       [Operation("swap", 0, other=1)] * 2):
        if all(applies(operation, NETS[name]) for operation in operations):
            edited = edit_state(state, operations)
            assert all(getattr(edited, part).tobytes() == getattr(state, part).tobytes()
                       for part in ("weights", "buffers", "moments"))
            result = measure_operation(state, operations)
            assert result.before == result.after


# ---------------------------------------------------------------------------------------------------- single operations


@EACH_NET
def test_scale_to_zero_is_zero_wb(name):
    state = train_net(name)
    zeroed, scaled = (edit_state(state, [Operation(kind, 1, 0.0)]) for kind in ("zero-wb", "scale"))
    assert zeroed.weights.tobytes() == scaled.weights.tobytes() != state.weights.tobytes()


def test_scale_takes_two_factors():
    """α for W, and where given another for b."""
    state = train_net("residual")
    with operated(build_net(NETS["residual"], DATA, 0), [Operation("scale", 1, 0.5, 0.25)]) as module:
        same = build_net(NETS["residual"], DATA, 0).blocks[1].layer2
        assert torch.equal(module.blocks[1].layer2.weight, 0.5 * same.weight)
        assert torch.equal(module.blocks[1].layer2.bias, 0.25 * same.bias)
    kept = edit_state(state, [Operation("scale", 1, 0.0, 1.0)])
    assert kept.weights.tobytes() == edit_state(state, [Operation("zero-w", 1)]).weights.tobytes()


@pytest.mark.parametrize("name", ["residual", "batch", "pre"])
def test_swap_exchanges_two_blocks(name):
    """Weights and statistics: as if the modules had changed places."""
    state = train_net(name)
    module = get_trainer(state.lane, "digits").module
    training.finish(state)
    x = draw_input(0)
    module.eval()
    with operated(module, [Operation("swap", 0, other=2)]):
        swapped = module(x)
    first, second, third = module.blocks
    module.blocks = nn.ModuleList([third, second, first])
    assert torch.equal(module(x), swapped)
    module.blocks = nn.ModuleList([first, second, third])
    assert not torch.equal(module.train()(x), swapped)


@EACH_NET
def test_lesion_keeps_the_shortcut(name):
    """a[l+2] = g(s), or s with pre-activation; a block trained without one is dropped whole, a[l+2] = a[l]."""
    net = NETS[name]
    for k in list_targets("lesion", net):
        with operated(build_net(net, DATA, 0), [Operation("lesion", k)]) as module:
            module.eval()
            before, after = run_block(module, k, draw_input(0))
            left = module.blocks[k].shortcut(before) if net.has_shortcut(k) else before
            assert torch.equal(after, left if net.order == "pre" else F.relu(left))
            assert net.has_shortcut(k) or torch.equal(after, before)


@EACH_NET
def test_cut_shortcut_is_the_plain_block(name):
    """Cut everywhere, the net is that of `skip` off with the same weights; a plain net has nothing to cut."""
    net = NETS[name]
    if not net.residual:
        assert list_targets("cut-shortcut", net) == []
        return
    state = train_net(name)
    targets = list_targets("cut-shortcut", net)
    assert targets == [k for k in range(net.blocks) if k not in net.cuts]
    result = measure_operation(state, [Operation("cut-shortcut", k) for k in targets])
    lane = state.lane.changed("skip", False)
    assert result.after == training.finish(training.advance(state, 0, lane)[0])


def test_lesion_and_cut_leave_nothing():
    """Neither the branch nor the shortcut: zeros, in whatever order they are asked for."""
    both = [Operation("lesion", 1), Operation("cut-shortcut", 1)]
    for operations in (both, both[::-1]):
        with operated(build_net(NETS["residual"], DATA, 0), operations) as module:
            assert not run_block(module, 1, draw_input(0))[1].any()


def test_blocks_are_measured_where_some_have_no_shortcut():
    """The probe of a net with one shortcut cut: ratio and share are missing there, and nowhere else."""
    with operated(build_net(NETS["residual"], DATA, 0), [Operation("cut-shortcut", 1)]) as module, torch.no_grad():
        trace = Trace()
        module(draw_input(0), trace)
        ratio, share, cosine = probes.measure_blocks(trace)
    assert np.isnan(ratio).tolist() == np.isnan(share).tolist() == [False, True, False]
    assert not np.isnan(cosine).any()


@pytest.mark.parametrize(("name", "kind"), [("residual", "zero-wb"), ("zero-pad", "zero-wb"), ("batch", "zero-norm"),
                                            ("pre", "zero-norm"), ("conv", "zero-norm")])
def test_lesion_equals_a_dead_branch(name, kind):
    """In a residual net, dropping the branch and zeroing what ends it are the same: W and b, or γ and β."""
    state = train_net(name)
    assert np.array_equal(measure_each_block(state, kind), measure_each_block(state, "lesion"))


# ---------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(("field", "values"), [
    ("operation", {"kind": "amputate"}), ("operation", {"kind": None}), ("operation", {"kind": ["lesion"]}),
    ("block", {"block": -1}), ("block", {"block": 1.0}), ("block", {"block": True}), ("block", {"block": 10**30}),
    ("alpha", {"alpha": 1.1}), ("alpha", {"alpha": float("nan")}), ("alpha", {"alpha": "0.5"}),
    ("alpha_bias", {"alpha_bias": -0.1}), ("other", {"kind": "swap"}), ("other", {"other": 1}),
])
def test_bad_operation_is_refused_by_its_fields_name(field, values):
    with pytest.raises(ConfigError) as caught:
        Operation(**{"kind": "scale", "block": 0} | values)
    assert caught.value.field == field and len(str(caught.value)) < 300


@pytest.mark.parametrize(("name", "operation", "field", "word"), [
    ("residual", Operation("zero-wb", 3), "block", "0 to 2"),
    ("residual", Operation("swap", 0, other=3), "other", "0 to 2"),
    ("residual", Operation("zero-norm", 0), "operation", "BatchNorm"),
    ("plain", Operation("cut-shortcut", 0), "operation", "plain"),
    ("cut", Operation("cut-shortcut", 1), "operation", "cut already"),
    ("projection-plain", Operation("lesion", 2), "operation", "8 → 16"),
    ("zero-pad", Operation("swap", 0, other=2), "other", "shape"),
    ("conv", Operation("swap", 0, other=1), "other", "shape"),
])
def test_what_does_not_apply_is_refused_in_words(name, operation, field, word):
    with pytest.raises(ConfigError) as caught:
        measure_operation(train_net(name, 0), [operation])
    assert caught.value.field == field and word in str(caught.value)


@pytest.mark.parametrize("kind", ["lesion", "cut-shortcut"])
def test_only_changes_of_weights_make_a_state(kind):
    with pytest.raises(ConfigError, match="change of weights"):
        edit_state(train_net("residual", 0), [Operation(kind, 0)])


# ---------------------------------------------------------------------------------------------------- on from there


def train_on(name: str, kind: str, steps: int) -> float:
    """The largest weight of what was zeroed in block 0, after training on."""
    state = training.advance(edit_state(train_net(name), [Operation(kind, 0)]), steps)[0]
    assert state.step == train_net(name).step + steps
    trainer = get_trainer(state.lane, "digits")
    trainer.load(state)
    block = trainer.module.blocks[0]
    return (block.norm2 if kind == "zero-norm" else block.layer2).weight.detach().abs().max().item()


@pytest.mark.parametrize(("name", "kind"), [("residual", "zero-wb"), ("zero-pad", "zero-wb"), ("batch", "zero-wb"),
                                            ("batch", "zero-norm"), ("conv", "zero-norm"), ("pre", "zero-wb")])
def test_training_wakes_a_zeroed_block_up(name, kind):
    """By its own gradient: the moments were put to rest with it."""
    assert train_on(name, kind, 0) == 0.0 < train_on(name, kind, 1)


@pytest.mark.parametrize(("name", "kind"), [("plain", "zero-wb"), ("projection-plain", "zero-wb"), ("pre", "zero-norm")])
def test_what_is_cut_off_by_the_activation_stays_dead(name, kind):
    """g'(0) = 0: in a plain block z[l+2] = 0, and in a pre-activation branch the norm that feeds g is 0, for all inputs."""
    assert train_on(name, kind, 10) == 0.0


def test_recomputed_statistics_are_those_of_the_training_part():
    """Of the stem, where the input is known: mean and variance of W x over the training part."""
    module, data = build_net(NETS["batch"], DATA, 0), load_data("digits")
    norm = module.stem.norm
    norm.running_mean.fill_(9.0)
    probes.recompute_statistics(module.eval(), data)
    z = module.stem.layer(data.x.flatten(1))
    torch.testing.assert_close(norm.running_mean, z.mean(0), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(norm.running_var, z.var(0), rtol=1e-4, atol=1e-5)
    assert norm.momentum == 0.1 and not module.training


def test_recomputing_changes_the_result_and_nothing_else():
    """Stale and recomputed statistics differ in `after` alone."""
    stale, fresh = (measure_operation(train_net("conv"), [Operation("lesion", 0)], again) for again in (False, True))
    assert stale.before == fresh.before and stale.after != fresh.after


# ---------------------------------------------------------------------------------------------------- whole nets


def test_each_block_alone():
    """Every column is the accuracy that the operation by itself gives; NaN where it does not apply."""
    state = train_net("projection-plain")
    result = measure_each_block(state, "lesion")
    assert result.shape == (2, 4) and np.isnan(result[:, 2]).all() and not np.isnan(result[:, [0, 1, 3]]).any()
    alone = measure_operation(state, [Operation("lesion", 1)]).after
    assert result[:, 1].tolist() == [alone["train_accuracy"], alone["test_accuracy"]]
    assert np.isnan(measure_each_block(state, "cut-shortcut")).all()


def test_cumulative():
    """0 blocks is the untouched net, all blocks are all in whatever order; the seed decides, and draws do not interfere."""
    state = train_net("residual")
    result = measure_cumulative(state, "lesion", 4, seed=1)
    assert result.shape == (4, 4)
    assert (result[0] == training.finish(state)["test_accuracy"]).all()
    whole = measure_operation(state, [Operation("lesion", k) for k in range(3)]).after["test_accuracy"]
    assert (result[-1] == whole).all()
    assert np.array_equal(measure_cumulative(state, "lesion", 2, seed=1), result[:, :2])
    assert measure_cumulative(train_net("plain"), "cut-shortcut", 2, 0).shape == (1, 2)


# ---------------------------------------------------------------------------------------------------- claims

RESIDUAL = Lane()
PLAIN = Lane(NetConfig(depth=6, skip=False))  # the plain net of the race, 20 deep, has learned nothing to lose


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_zeroed_block_costs_the_residual_net_little_and_the_plain_one_all(seed):
    """W and b of any one block zeroed, after 300 steps: residual loses little, plain all.

    Measured: at most 0.6 points of training and 1.1 of held-out accuracy; plain falls to 0.10.

    Plain is of depth 6, which PyTorch's default initial weights still train: 0.95 to 0.97 on the held-out part.
    """
    for lane in (RESIDUAL, PLAIN):
        state = training.advance(training.make_state(lane, "digits", seed), 300)[0]
        before = training.finish(state)
        assert before["train_accuracy"] > 0.98 and before["test_accuracy"] > 0.93
        train, test = measure_each_block(state, "zero-wb")
        if lane is RESIDUAL:
            assert (train >= before["train_accuracy"] - 0.03).all() and (test >= before["test_accuracy"] - 0.03).all()
        else:
            assert (train < 0.13).all() and (test < 0.13).all()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_middle_block_is_the_identity_and_plain_is_not(seed):
    """The default race's residual lane and a plain twin of depth 6, after 300 steps: exactly, over the held-out set."""
    residual, plain = (measure_operation(training.advance(training.make_state(lane, "digits", seed), 300)[0],
                                         [Operation("zero-wb", lane.net.blocks // 2)]) for lane in (RESIDUAL, PLAIN))
    assert residual.is_identity and residual.identity_gap == 0.0
    assert not plain.is_identity and plain.identity_gap > 1
