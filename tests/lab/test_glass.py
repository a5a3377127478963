"""One block opened: its rows are the lesson's formulas, its products are its rows, and it is the identity only where the
lesson says so."""

import functools
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from resnet_viz.lab import glass
from resnet_viz.lab.datasets import load_data
from resnet_viz.lab.experiments import training
from resnet_viz.lab.experiments.blocks import open_block
from resnet_viz.lab.experiments.operations import measure_operation
from resnet_viz.lab.nets import Trace
from resnet_viz.lab.train import get_trainer
from resnet_viz.records import (
    DATASETS,
    OPERATIONS,
    BlockView,
    ConfigError,
    Lane,
    NetConfig,
    Operation,
    Product,
    Source,
    State,
    TrainConfig,
    list_targets,
)

torch.set_num_threads(1)
ACTIVATIONS = {"relu": lambda z: np.maximum(z, 0), "tanh": np.tanh}
RESIDUAL = NetConfig(depth=8, width=(16,))
PLAIN = replace(RESIDUAL, skip=False)
BATCH = replace(RESIDUAL, norm="batch")
PROJECTION = NetConfig(depth=8, width=(12, 16), shortcut="projection")
WIDE = replace(RESIDUAL, width=(64,))  # as wide as the digits, so that x can be fed to block 0
SHAPES = [("dense", "identity", (16,)), ("dense", "zero-pad", (8, 12)), ("dense", "projection", (12, 16)),
          ("dense", "projection-all", (8,)), ("conv", "zero-pad", (3,)), ("conv", "projection", (3,))]
PIXELS = st.lists(st.integers(0, 16), min_size=64, max_size=64).map(tuple)


@st.composite
def draw_nets(draw: st.DrawFn) -> NetConfig:
    """Any net of depth 8: families, shortcuts, norms, orders, activations, residual or plain."""
    family, shortcut, width = draw(st.sampled_from(SHAPES))
    norm, order = draw(st.sampled_from(["none", "batch"])), draw(st.sampled_from(["post", "pre"]))
    activation = draw(st.sampled_from(list(ACTIVATIONS)))
    return NetConfig(family, shortcut, 8, width, norm, "default", order, draw(st.booleans()), activation)


@st.composite
def draw_views(draw: st.DrawFn) -> tuple[State, int, list[Operation], Source]:
    """A state, one of its blocks, at most one operation on it, and what it is fed."""
    net = draw(draw_nets())
    k = draw(st.integers(0, net.blocks - 1))
    kinds = [kind for kind in OPERATIONS if kind not in ("swap", "lesion") and k in list_targets(kind, net)]
    operations = [Operation(kind, k, 0.5) for kind in draw(st.lists(st.sampled_from(kinds), max_size=1))]
    source = draw(st.builds(Source, st.integers(0, 359)) | st.builds(Source, pixels=PIXELS))
    return train_net(net), k, operations, source


@functools.cache
def train_net(net: NetConfig, steps: int = 4, dataset: str = "digits") -> State:
    return training.advance(training.make_state(Lane(net, TrainConfig(batch_size=64)), dataset, 0), steps)[0]


def close(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and bool(np.allclose(a, b, rtol=1e-5, atol=1e-5))


def normalise(u: np.ndarray, norm: torch.nn.Module) -> np.ndarray:
    """γ (u - μ)/√(σ² + ε) + β for u (D,) or (C, H, W), channel by channel."""
    parts = (norm.weight, norm.bias, norm.running_mean, norm.running_var)
    gamma, beta, mean, variance = (p.detach().numpy().reshape(-1, *[1] * (u.ndim - 1)) for p in parts)
    return gamma * (u - mean) / np.sqrt(variance + norm.eps) + beta


def add_up(product: Product) -> tuple[float, float]:
    """Σ weights · inputs + bias, and what BatchNorm makes of it."""
    u = float(np.dot(product.weights.astype(float), product.inputs)) + (product.bias or 0.0)
    if product.gamma is None:
        return u, u
    return u, product.gamma * (u - product.mean) / product.variance**0.5 + product.beta


# ---------------------------------------------------------------------------------------------------- rows


@settings(deadline=None, max_examples=30)
@given(draw_views())
def test_rows_are_the_formulas(drawn):
    """a1 = g(z1), sum = z2 + s, a2 = g(sum); with pre-activation g0 = g(n0), a1 = g(z1), a2 = z2 + s."""
    state, k, operations, source = drawn
    net, rows = state.lane.net, open_block(state, k, operations, source).rows
    g = ACTIVATIONS[net.activation]
    total = rows["z2"] + rows["s"] if "s" in rows else rows["z2"]
    assert close(rows["a1"], g(rows["z1"]))
    if net.order == "pre":
        assert close(rows["g0"], g(rows.get("n0", rows["a0"]))) and np.array_equal(rows["a2"], total)
    else:
        assert np.array_equal(rows.get("sum", rows["z2"]), total) and close(rows["a2"], g(total))
    assert all(row.dtype == np.float32 for row in rows.values())
    assert rows["a2"].shape == rows["z1"].shape == rows["z2"].shape


@settings(deadline=None, max_examples=30)
@given(draw_nets(), st.integers(0, 2))
def test_names_and_order_of_rows(net, k):
    """As the lesson goes: what the block does not have is left out."""
    batch, s = net.norm == "batch", net.residual
    if net.order == "pre":
        parts = [("a0", 1), ("n0", batch), ("g0", 1), ("u1", batch), ("z1", 1), ("a1", 1), ("z2", 1), ("s", s), ("a2", 1)]
    else:
        parts = [("a0", 1), ("u1", batch), ("z1", 1), ("a1", 1), ("u2", batch), ("z2", 1), ("s", s), ("sum", s), ("a2", 1)]
    assert list(open_block(train_net(net), k).rows) == [name for name, there in parts if there]


@settings(deadline=None, max_examples=30)
@given(draw_nets(), st.integers(0, 2))
def test_walk_is_the_net(net, k):
    """Step by step or by `Block.forward`: the same bits of a[l], a[l+1], F, s and a[l+2]."""
    state = train_net(net)
    module, x, trace = get_trainer(state.lane, "digits").module, load_data("digits").test_x, Trace()
    training.finish(state)  # loads the state
    rows, logits = glass.run_block(module, k, x)
    assert module.training
    with torch.no_grad():
        assert torch.equal(module.eval()(x, trace), logits)
    module.train()
    walked = [rows[name] for name in ("a0", "a1", "a2", "z2")] + ([rows["s"]] if net.residual else [])
    expected = [*trace.activations[2 * k : 2 * k + 3], trace.branches[k]]
    expected += [trace.shortcuts[k]] if net.residual else []
    assert all(torch.equal(a, b) for a, b in zip(walked, expected, strict=True))


@pytest.mark.parametrize("order", ["post", "pre"])
@pytest.mark.parametrize("family", ["dense", "conv"])
def test_u_becomes_z_by_the_norms_formula(family, order):
    """γ (u - μ)/√(σ² + ε) + β; with pre-activation the first norm stands before the layers, and none behind W[l+2]."""
    net = NetConfig(family, "projection", 8, (4,), "batch", order=order)
    state = train_net(net)
    for k in range(net.blocks):
        rows = open_block(state, k).rows
        block = get_trainer(state.lane, "digits").module.blocks[k]
        pairs = [("a0", block.norm1, "n0"), ("u1", block.norm2, "z1")] if order == "pre" else [
            ("u1", block.norm1, "z1"), ("u2", block.norm2, "z2")]
        assert all(close(normalise(rows[u], norm), rows[z]) for u, norm, z in pairs)


def test_lesion_leaves_the_branch_out():
    """z[l+2] = 0 and nothing is added up; a plain block gets a shortcut of its own in exchange."""
    for net in (RESIDUAL, PLAIN):
        view = open_block(train_net(net), 1, [Operation("lesion", 1)])
        assert view.products == () and not view.rows["z2"].any() and view.gradient == (0.0, 0.0)
        assert view.after.is_identity and np.array_equal(view.rows["a0"], view.rows["sum"])


# ---------------------------------------------------------------------------------------------------- one unit


@settings(deadline=None, max_examples=30)
@given(draw_views(), st.integers(0, 10**6))
def test_products_add_up_to_the_rows(drawn, where):
    """Σ_k W_ik a_k + b_i, normalised where there is a norm behind it, is the unit's number in either layer."""
    state, k, operations, source = drawn
    unit = where % open_block(state, k).rows["a2"].size
    view = open_block(state, k, operations, source, unit)
    assert len(view.products) == 2
    for product, (u, z) in zip(view.products, [("u1", "z1"), ("u2", "z2")], strict=True):
        found = add_up(product)
        assert np.isclose(found[0], view.rows.get(u, view.rows[z]).flat[unit], rtol=1e-5, atol=1e-5)
        assert np.isclose(found[1], view.rows[z].flat[unit], rtol=1e-4, atol=1e-5)
        assert product.weights.shape == product.inputs.shape and product.weights.dtype == np.float32


@pytest.mark.parametrize("unit", [0, 3, 5, 15, 16, 95])
def test_patch_of_a_convolution_with_stride_2(unit):
    """The block that halves the picture: 3x3 around every second pixel, with the padding's zeros at the edge."""
    view = open_block(train_net(NetConfig("conv", "projection", 8, (3,), "none")), 1, unit=unit)
    a, (channel, row, column) = view.rows["a0"], np.unravel_index(unit, view.rows["z1"].shape)
    assert a.shape == (3, 8, 8) and view.rows["z1"].shape == (6, 4, 4) and channel == unit // 16
    padded = np.pad(a, ((0, 0), (1, 1), (1, 1)))[:, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3]
    assert np.array_equal(view.products[0].inputs, padded.ravel())
    assert [len(product.weights) for product in view.products] == [27, 54]
    assert np.isclose(add_up(view.products[0])[1], view.rows["z1"].flat[unit], rtol=1e-5, atol=1e-5)


def test_products_show_the_weights_under_operations():
    """Zeroed where they are zeroed, and a copy: the weights come back, the view stays."""
    view = open_block(train_net(RESIDUAL), 1, [Operation("zero-w", 1)], unit=3)
    assert not view.products[1].weights.any() and view.products[0].weights.any() and view.products[1].bias != 0
    assert view.rows["z2"].flat[3] == np.float32(view.products[1].bias)


# ---------------------------------------------------------------------------------------------------- the identity


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 4), st.integers(1, 24), st.integers(0, 2**31 - 1), st.data())
def test_zeroed_residual_block_is_the_identity(blocks, width, seed, data):
    """W[l+2] = 0 and b[l+2] = 0: a[l+2] = a[l] in every number, of any net of the lesson's kind, and not before."""
    net, k = NetConfig(depth=2 * blocks + 2, width=(width,)), data.draw(st.integers(0, blocks - 1))
    view = open_block(training.make_state(Lane(net), "digits", seed), k, [Operation("zero-wb", k)])
    assert view.after.is_identity and view.after.is_shortcut
    assert view.after.gap == view.after.distance == view.after.shortcut_gap == 0.0
    assert np.array_equal(view.rows["a2"], view.rows["a0"]) and np.array_equal(*view.scatter.T)
    assert view.gradient[0] == 0.0


def test_operated_block_is_measured_before_and_after():
    view = open_block(train_net(RESIDUAL, 60), 1, [Operation("zero-wb", 1)])
    whole = measure_operation(train_net(RESIDUAL, 60), [Operation("zero-wb", 1)])
    for effect, numbers in ((view.before, whole.before), (view.after, whole.after)):
        assert (effect.loss, effect.accuracy) == (numbers["test_loss"], numbers["test_accuracy"])
    assert not view.before.is_identity and min(view.before.distance, view.before.relative, view.before.gap) > 0
    assert view.after.gap == whole.identity_gap and view.after.relative == 0.0


def test_tanh_is_not_the_identity():
    """tanh bends every number: a[l+2] = tanh(a[l])."""
    view = open_block(train_net(replace(RESIDUAL, activation="tanh")), 1, [Operation("zero-wb", 1)])
    assert not view.after.is_identity and view.after.is_shortcut and view.after.gap > 0
    assert close(view.rows["a2"], np.tanh(view.rows["a0"]))


def test_raw_input_is_not_passed_on():
    """The identity needs a[l] ≥ 0: fed x itself, half of whose numbers are negative, the block returns g(x)."""
    view = open_block(train_net(WIDE), 0, [Operation("zero-wb", 0)], Source(5), raw=True)
    x = load_data("digits").test_x[5].flatten().numpy()
    assert np.array_equal(view.rows["a0"], x) and np.array_equal(view.rows["a2"], np.maximum(x, 0))
    assert not view.after.is_identity and view.after.is_shortcut and view.after.gap == -load_data("digits").test_x.min()
    assert view.probabilities is view.gradient is view.after.loss is view.after.accuracy is view.before.loss is None
    assert open_block(train_net(WIDE), 0, [Operation("zero-wb", 0)], Source(5)).after.is_identity


def test_kept_bias_is_not_the_identity():
    """Zeroing W alone leaves g(a[l] + b)."""
    view = open_block(train_net(RESIDUAL), 1, [Operation("zero-w", 1)], unit=2)
    assert not view.after.is_identity and not view.after.is_shortcut and view.products[1].bias == view.rows["z2"][2] != 0
    assert np.array_equal(view.rows["a2"], np.maximum(view.rows["a0"] + view.rows["z2"], 0))


@pytest.mark.parametrize("kind", ["zero-wb", "zero-w"])
def test_zeroed_plain_block_is_constant(kind):
    """g(0), or g(b): the same for every example, before it is not; the answer is too."""
    views = [open_block(train_net(PLAIN), 1, [Operation(kind, 1)], Source(i)) for i in (0, 1)]
    assert views[0].after.is_constant and not views[0].before.is_constant
    assert views[0].after.shortcut_gap is None and not views[0].after.is_shortcut and not views[0].after.is_identity
    assert np.allclose(views[0].probabilities, views[1].probabilities, atol=1e-6)
    assert not open_block(train_net(RESIDUAL), 1, [Operation(kind, 1)]).after.is_constant


@pytest.mark.parametrize("net", [BATCH, NetConfig("conv", "zero-pad", 8, (3,), "batch")], ids=["dense", "conv"])
def test_batch_norm_must_be_zeroed_itself(net):
    """Zeroing W leaves γ(0 - μ)/√(σ² + ε) + β in every place; zeroing γ and β leaves the identity."""
    state = train_net(net)
    kept = open_block(state, 0, [Operation("zero-w", 0)], unit=3)
    product = kept.products[1]
    assert not kept.after.is_identity and not kept.rows["u2"].any()
    left = product.beta - product.gamma * product.mean / product.variance**0.5
    assert np.isclose(kept.rows["z2"].flat[3], left, atol=1e-6) and left != 0
    norm, channel = get_trainer(state.lane, "digits").module.blocks[0].norm2, 3 if net.family == "dense" else 0
    assert product.variance == (norm.running_var + norm.eps)[channel].item() > norm.running_var[channel].item()
    assert open_block(state, 0, [Operation("zero-norm", 0)]).after.is_identity


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_pre_activation_needs_no_more_than_w_and_b(norm):
    """No g behind the sum and no norm behind W[l+2]: the identity, of negative numbers too, with tanh as well."""
    net = replace(RESIDUAL, order="pre", norm=norm, activation="tanh")
    view = open_block(train_net(net), 1, [Operation("zero-wb", 1)])
    assert view.after.is_identity and (view.rows["a0"] < 0).any()


@pytest.mark.parametrize("net", [PROJECTION, replace(PROJECTION, activation="tanh"), replace(PROJECTION, order="pre"),
                                 NetConfig("conv", "projection", 8, (3,), "none")], ids=str)
def test_projection_block_leaves_w_s(net):
    """a[l+2] = g(W_s a[l]) to the bit, or W_s a[l] with pre-activation; dimensions differ, so no identity to speak of."""
    state, k = train_net(net), 2 if net.family == "dense" else 1
    view = open_block(state, k, [Operation("zero-wb", k)])
    assert view.after.is_shortcut and view.after.shortcut_gap == 0.0 < view.before.shortcut_gap
    assert view.after.distance is view.after.relative is view.after.gap is None and not view.after.is_identity
    w_s, a = get_trainer(state.lane, "digits").module.blocks[k].shortcut[0].weight.detach(), view.rows["a0"]
    a = torch.from_numpy(a)[None]
    left = F.linear(a, w_s) if net.family == "dense" else F.conv2d(a, w_s, stride=2)
    g = (lambda z: z) if net.order == "pre" else {"relu": torch.relu, "tanh": torch.tanh}[net.activation]
    assert np.array_equal(view.rows["a2"], g(left)[0].numpy())


# ---------------------------------------------------------------------------------------------------- the held-out part


@settings(deadline=None, max_examples=20)
@given(draw_nets(), st.integers(0, 2))
def test_scatter_is_of_pairs(net, k):
    """(a[l], a[l+2]), or (s, a[l+2]) where dimensions differ, at most 1500, the same each time; nothing to draw without."""
    view, again = (open_block(train_net(net), k) for _ in range(2))
    same = view.rows["a0"].shape == view.rows["a2"].shape
    assert view.against == ("input" if same else "shortcut" if net.residual else None)
    if view.against is None:
        assert view.scatter is None
    else:
        assert view.scatter.shape == (1500, 2) and view.scatter.dtype == np.float32
        assert np.array_equal(view.scatter, again.scatter)
        assert net.order == "pre" or net.activation == "tanh" or (view.scatter[:, 1] >= 0).all()


def test_distance_is_an_average_over_the_held_out_part():
    state, x = train_net(RESIDUAL), load_data("digits").test_x
    view = open_block(state, 2)
    rows, _ = glass.run_block(get_trainer(state.lane, "digits").module, 2, x)
    before, after = (rows[name].numpy().astype(float) for name in ("a0", "a2"))
    lengths, norms = (np.linalg.norm(v, axis=1) for v in (after - before, before))
    assert np.isclose(view.before.distance, lengths.mean()) and np.isclose(view.before.relative, (lengths / norms).mean())
    assert np.isclose(view.before.gap, abs(after - before).max()) and view.before == view.after


def test_points_in_a_plane():
    """Their picture is the point itself, in the plane where it was drawn; a net two wide can be fed it raw."""
    state = train_net(replace(RESIDUAL, width=(2,)), dataset="moons")
    view, data = open_block(state, 0, source=Source(7), raw=True), load_data("moons")
    assert view.picture.shape == (2,) and view.label == int(data.test_y[7])
    assert np.allclose(data.standardise(view.picture.astype(float)), view.rows["a0"], atol=1e-3)


# ---------------------------------------------------------------------------------------------------- gradients


def test_gradient_where_w_is_zero():
    """The first layer's is exactly 0, the second's is not: the block can wake up. In the plain block both are 0."""
    residual, plain = (open_block(train_net(net), 1, [Operation("zero-wb", 1)]).gradient for net in (RESIDUAL, PLAIN))
    assert residual[0] == 0.0 and residual[1] > 1e-4 and plain == (0.0, 0.0)
    assert all(slope > 0 for slope in open_block(train_net(RESIDUAL), 1).gradient)


@pytest.mark.parametrize("net", [RESIDUAL, BATCH], ids=["none", "batch"])
def test_gradient_is_that_of_training(net):
    """On the first 128 examples that the seed draws, in training mode: what the trainer finds at step 0."""
    lane = Lane(net, TrainConfig(batch_size=128))
    state = training.make_state(lane, "digits", 3)
    trainer = get_trainer(lane, "digits")
    trainer.load(state)
    trainer.run_passes(*load_data("digits").take_batch(3, 0, 128))
    block = trainer.module.blocks[1]
    expected = [trainer.gradients[layer.weight].norm().item() for layer in (block.layer1, block.layer2)]
    assert np.allclose(open_block(state, 1).gradient, expected, rtol=1e-4)


# ---------------------------------------------------------------------------------------------------- what is fed


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 359))
def test_drawn_digit_is_seen_as_one_of_the_data_set(index):
    """The pixels of a held-out digit, drawn: the same rows to the bit; only nobody knows its class."""
    kept = open_block(train_net(RESIDUAL), 1, source=Source(index))
    pixels = tuple(int(pixel) for pixel in kept.picture.flat)
    drawn = open_block(train_net(RESIDUAL), 1, source=Source(pixels=pixels))
    assert np.array_equal(kept.picture, np.array(pixels, np.float32).reshape(1, 8, 8))
    assert all(np.array_equal(kept.rows[name], drawn.rows[name]) for name in kept.rows)
    assert np.array_equal(kept.picture, drawn.picture) and np.array_equal(kept.probabilities, drawn.probabilities)
    assert kept.label == int(load_data("digits").test_y[index]) and drawn.label is None


def test_probabilities_are_the_nets_answer():
    state = train_net(RESIDUAL, 60)
    views = [open_block(state, 0, source=Source(i)) for i in range(30)]
    assert all(np.isclose(view.probabilities.sum(), 1, atol=1e-5) and view.probabilities.shape == (10,) for view in views)
    training.finish(state)
    module = get_trainer(state.lane, "digits").module
    with torch.no_grad():
        expected = module(load_data("digits").test_x[:30]).argmax(1).tolist()
    assert [int(view.probabilities.argmax()) for view in views] == expected


# ---------------------------------------------------------------------------------------------------- nothing is left


@settings(deadline=None, max_examples=25)
@given(draw_views())
def test_opening_changes_nothing(drawn):
    """The state's bits, what it does, and how it trains on: as if nobody had looked. And all of it is JSON."""
    state, k, operations, source = drawn
    was = [getattr(state, part).tobytes() for part in ("weights", "buffers", "moments")]
    finished, expected = training.finish(state), training.advance(state, 1)[0]
    view = open_block(state, k, operations, source)
    assert [getattr(state, part).tobytes() for part in ("weights", "buffers", "moments")] == was
    again = training.advance(state, 1)[0]
    assert again.weights.tobytes() == expected.weights.tobytes() and again.buffers.tobytes() == expected.buffers.tobytes()
    assert training.finish(state) == finished
    read = json.loads(json.dumps(view.to_jsonable(), allow_nan=False))
    assert list(read["rows"]) == list(view.rows) and read["after"]["gap"] == view.after.gap
    assert len(read["products"]) == 2 and len(read["products"][0]["weights"]) == len(view.products[0].weights)


def test_view_does_not_change_afterwards():
    """It holds copies: another look at the same net leaves the first one alone."""
    def read(view: BlockView) -> str:
        return json.dumps(view.to_jsonable())

    view = open_block(train_net(RESIDUAL), 1)
    was = read(view)
    open_block(train_net(RESIDUAL), 1, [Operation("zero-wb", 1)])
    training.advance(train_net(RESIDUAL), 2)
    assert read(view) == was == read(open_block(train_net(RESIDUAL), 1))


# ---------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(("field", "values"), [
    ("index", {"index": -1}), ("index", {"index": 10**9}), ("index", {"index": True}), ("index", {"index": None}),
    ("pixels", {"pixels": ()}), ("pixels", {"pixels": (0,) * 63}), ("pixels", {"pixels": (17,) * 64}),
    ("pixels", {"pixels": (0.5,) * 64}), ("pixels", {"pixels": [0] * 64}), ("pixels", {"pixels": (True,) * 64}),
    ("pixels", {"pixels": (-1,) + (0,) * 63}), ("pixels", {"pixels": 7}),
])
def test_bad_source_is_refused(field, values):
    with pytest.raises(ConfigError) as caught:
        Source(**values)
    assert caught.value.field == field and len(str(caught.value)) < 200


@pytest.mark.parametrize(("net", "dataset", "arguments", "field", "word"), [
    (RESIDUAL, "digits", {"block": 3}, "block", "0 to 2"),
    (RESIDUAL, "digits", {"block": 0, "source": Source(400)}, "index", "0 to 359"),
    (RESIDUAL, "moons", {"block": 0, "source": Source(pixels=(0,) * 64)}, "pixels", "digits"),
    (RESIDUAL, "digits", {"block": 0, "unit": 16}, "unit", "0 to 15"),
    (NetConfig("conv", "zero-pad", 8, (3,)), "digits", {"block": 1, "unit": 96}, "unit", "0 to 95"),
    (RESIDUAL, "digits", {"block": 0, "raw": True}, "raw", "64"),
    (WIDE, "digits", {"block": 1, "raw": True}, "raw", "first block"),
    (WIDE, "digits", {"block": 0, "raw": 1}, "raw", "true or false"),
    (NetConfig("conv", "zero-pad", 8, (64,)), "digits", {"block": 0, "raw": True}, "raw", "dense"),
    (RESIDUAL, "digits", {"block": 0, "operations": [Operation("zero-norm", 0)]}, "operation", "BatchNorm"),
])
def test_what_does_not_fit_is_refused_in_words(net, dataset, arguments, field, word):
    with pytest.raises(ConfigError) as caught:
        open_block(train_net(net, 0, dataset), **arguments)
    assert caught.value.field == field and word in str(caught.value)


def test_net_that_is_not_finite_can_be_opened():
    """Whatever it has become, what is told of it is JSON, and nothing is claimed of it."""
    state = train_net(RESIDUAL)
    view = open_block(replace(state, weights=np.full_like(state.weights, np.nan)), 1, [Operation("zero-wb", 1)])
    assert not (view.after.is_identity or view.after.is_constant or view.after.is_shortcut)
    json.dumps(view.to_jsonable(), allow_nan=False)


def test_last_unit_and_example_are_there():
    assert len(open_block(train_net(RESIDUAL), 2, source=Source(DATASETS["digits"].test - 1), unit=15).products) == 2
