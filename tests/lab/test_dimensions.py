"""Where dimensions change: zero padding is a fixed W_s = [I; 0], and W_s is measured against it."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from resnet_viz.lab.dimensions import add_unequal
from resnet_viz.lab.experiments.blocks import measure_projections
from resnet_viz.lab.experiments.training import advance, make_state
from resnet_viz.lab.nets import ZeroPadShortcut
from resnet_viz.lab.train import get_trainer
from resnet_viz.records import Lane, NetConfig

torch.set_num_threads(1)
SEEDS, WIDTHS = st.integers(0, 2**31 - 1), st.integers(1, 24)
CONV = Lane(NetConfig("conv", "projection", 8, (4,), "batch"))
DENSE = Lane(NetConfig(depth=8, width=(12, 16), shortcut="projection"))


def draw_input(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# ---------------------------------------------------------------------------------------------------- zero padding


@settings(deadline=None, max_examples=30)
@given(WIDTHS, WIDTHS, SEEDS)
def test_zero_padding_is_a_fixed_projection(inputs, added, seed):
    """W_s = [I; 0], exactly: every product is with 1 or 0."""
    a, w_s = draw_input(seed, 5, inputs), torch.eye(inputs + added, inputs)
    assert torch.equal(ZeroPadShortcut(inputs, inputs + added, 1)(a), F.linear(a, w_s))


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 8), st.integers(0, 8), st.integers(1, 9), st.sampled_from([1, 2]), SEEDS)
def test_zero_padding_of_pictures_is_a_fixed_1x1_convolution(inputs, added, size, stride, seed):
    """With the stride of the block, of odd sizes too: every second pixel, and zeros for the added channels."""
    a, w_s = draw_input(seed, 3, inputs, size, size), torch.eye(inputs + added, inputs)[:, :, None, None]
    assert torch.equal(ZeroPadShortcut(inputs, inputs + added, stride)(a), F.conv2d(a, w_s, stride=stride))


# ---------------------------------------------------------------------------------------------------- W_s


@pytest.mark.parametrize(("lane", "blocks"), [
    (DENSE, {2: (16, 12)}), (CONV, {1: (8, 4), 2: (16, 8)}),
    (Lane(NetConfig("conv", "projection-all", 8, (4,))), {0: (4, 4), 1: (8, 4), 2: (16, 8)}),
    (Lane(NetConfig(depth=8, width=(16, 9), shortcut="projection", skip=False)), {2: (9, 16)}),
    (Lane(NetConfig("conv", "zero-pad", 8, (4,))), {}), (Lane(), {}),
], ids=lambda value: str(value)[:60])
def test_every_learned_w_s_is_found(lane, blocks):
    """Where dimensions change, and with option C everywhere; also while shortcuts are cut. Nowhere else."""
    views = measure_projections(make_state(lane, "digits", 0))
    assert {view.block: view.matrix.shape for view in views} == blocks
    for view in views:
        assert view.target_norm == pytest.approx(min(view.matrix.shape) ** 0.5)
        assert view.matrix.dtype == np.float32 and view.drift == view.drift_start
        assert np.array_equal(view.matrix, view.matrix_start)


@pytest.mark.parametrize("lane", [DENSE, CONV], ids=["dense", "conv"])
def test_projection_is_measured_against_its_start(lane):
    """After training the start is still the seed's, and the drift is ‖W_s - [I; 0]‖_F."""
    start = make_state(lane, "digits", 5)
    state = advance(start, 20)[0]
    weights = state.weights.tobytes()
    for first, now in zip(measure_projections(start), measure_projections(state), strict=True):
        outputs, inputs = now.matrix.shape
        target = np.vstack([np.eye(inputs), np.zeros((outputs - inputs, inputs))])
        assert np.array_equal(now.matrix_start, first.matrix) and not np.array_equal(now.matrix, first.matrix)
        assert now.drift == pytest.approx(np.sqrt(((now.matrix - target) ** 2).sum()), rel=1e-5)
        assert now.drift_start == first.drift
        assert json.loads(json.dumps(now.to_jsonable()))["matrix"] == now.matrix.tolist()
    assert state.weights.tobytes() == weights


@settings(deadline=None, max_examples=20)
@given(SEEDS)
def test_matrix_is_what_the_net_multiplies_with(seed):
    """W_s of the module, and not a view of it: it stays when the net is filled with other weights."""
    (view,) = measure_projections(make_state(DENSE, "digits", seed))
    was = view.matrix.copy()
    block = get_trainer(DENSE, "digits").module.blocks[view.block]
    a = draw_input(seed, 3, 12)
    assert torch.equal(block.shortcut(a), F.linear(a, torch.from_numpy(view.matrix)))
    advance(make_state(DENSE, "digits", 1), 1)
    assert np.array_equal(view.matrix, was)


# ---------------------------------------------------------------------------------------------------- the error


def test_error_names_both_sizes():
    """128 against 256; of pictures PyTorch names the last axis first, the halved width."""
    assert all(word in add_unequal() for word in ("128", "256"))
    assert all(word in add_unequal(64, 128, conv=True) for word in ("(8)", "(4)"))


@settings(deadline=None, max_examples=30)
@given(WIDTHS, WIDTHS, st.integers(1, 4), st.booleans())
def test_error_is_there_where_dimensions_differ(inputs, outputs, batch, conv):
    """Nothing is said where the two can be added: equal, or one is 1 and PyTorch repeats it. A halved picture never can."""
    addable = not conv and (inputs == outputs or 1 in (inputs, outputs))
    assert (add_unequal(inputs, outputs, batch, conv) == "") is addable
