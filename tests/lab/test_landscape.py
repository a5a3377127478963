"""The loss on a plane through the weights: the fast way gives what the plain double loop gives."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from resnet_viz.lab import landscape
from resnet_viz.lab.datasets import load_data
from resnet_viz.lab.experiments.planes import (
    make_directions,
    measure_landscape_point,
    measure_landscape_rows,
    project_trajectory,
)
from resnet_viz.lab.experiments.training import advance, finish, make_state
from resnet_viz.lab.nets import build_net
from resnet_viz.lab.train import get_trainer
from resnet_viz.records import DATASETS, ConfigError, Lane, NetConfig, State, TrainConfig

torch.set_num_threads(1)
SHAPES = [("dense", "identity", (16,)), ("dense", "none", (12, 8)), ("dense", "zero-pad", (8, 12)),
          ("dense", "projection", (12, 16, 12)), ("dense", "projection-all", (8,)), ("conv", "zero-pad", (3,)),
          ("conv", "projection", (3,)), ("conv", "projection-all", (3,))]
BATCH = NetConfig("conv", "projection", 8, (3,), "batch")


def train(net: NetConfig, seed: int = 0, steps: int = 4) -> State:
    return advance(make_state(Lane(net, TrainConfig(batch_size=64)), "digits", seed), steps)[0]


@st.composite
def draw_nets(draw: st.DrawFn) -> NetConfig:
    family, shortcut, width = draw(st.sampled_from(SHAPES))
    norm, order = draw(st.sampled_from(["none", "batch"])), draw(st.sampled_from(["post", "pre"]))
    activation = draw(st.sampled_from(["relu", "tanh"]))
    cuts = tuple(draw(st.sets(st.integers(0, 2))))
    return NetConfig(family, shortcut, 8, width, norm, "default", order, draw(st.booleans()), activation, cuts)


@settings(deadline=None, max_examples=60)
@given(draw_nets(), st.integers(0, 1000), st.integers(-8, 8), st.integers(-8, 8))
def test_fast_is_plain(net, seed, u, v):
    """Any net, any point: within 1e-4, and in fact 1e-5, of the module's own loss, and (0, 0) is the net's loss."""
    state, u, v = train(net), u / 8, v / 8
    grid = measure_landscape_rows(state, seed, [0, u], [0, v], "test")
    plain = [[measure_landscape_point(state, seed, a, b, "test") for a in (0, u)] for b in (0, v)]
    assert np.allclose(grid, plain, rtol=1e-5, atol=0)
    assert grid[0, 0] == pytest.approx(finish(state)["test_loss"], rel=1e-5)


@pytest.mark.parametrize("net", [NetConfig(), replace(BATCH, depth=20), replace(BATCH, depth=20, skip=False)])
def test_centre_is_the_nets_loss(net):
    state = train(net, steps=30)
    kept = [array.copy() for array in (state.weights, state.buffers)]
    grid = measure_landscape_rows(state, 0, np.linspace(-1, 1, 3), [0.0])
    assert grid[0, 1] == pytest.approx(finish(state)["train_loss"], rel=1e-5)
    assert abs(grid[0, 0] - grid[0, 1]) > 1e-3  # and the loss does move
    assert all(np.array_equal(a, b) for a, b in zip(kept, (state.weights, state.buffers), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("net", [NetConfig(depth=8, width=(32,)), NetConfig(depth=8, width=(24,), norm="batch")])
def test_fast_is_plain_where_the_loss_is_nearly_0(net, seed):
    """README (f): within 1e-4 relative. In single precision log(1 + x) of a small x is rounding: 3e-3 was measured."""
    lane = Lane(net, TrainConfig(optimizer="adamw", lr=0.002, batch_size=64))
    state = advance(make_state(lane, "digits", seed), 600)[0]
    ticks = [-0.5, 0.0, 0.01, 0.5]
    grid = measure_landscape_rows(state, seed, ticks, [0.0])
    plain = np.array([[measure_landscape_point(state, seed, u, 0.0) for u in ticks]])
    assert grid[0, 1] < 0.01
    assert np.abs(grid / plain - 1).max() < 1e-5


def test_rows_are_ys_and_columns_xs():
    state = train(NetConfig(depth=8, width=(16,)))
    directions = make_directions(state, 3)
    grid = measure_landscape_rows(state, directions, [-1, 0.5], [0.25])
    moved = replace_weights(state, state.weights - directions[0] + np.float32(0.25) * directions[1])
    assert grid.shape == (1, 2)
    assert grid[0, 0] == pytest.approx(finish(moved)["train_loss"], rel=1e-5)
    assert measure_landscape_rows(state, 3, [], [0.25]).shape == (1, 0)


def replace_weights(state: State, weights: np.ndarray) -> State:
    return State(state.lane, state.dataset, state.seed, state.step, weights, state.buffers, state.moments)


def test_batch_statistics_are_those_of_all_examples():
    state, data = train(BATCH), load_data("digits")
    module = build_net(BATCH, DATASETS["digits"]).train()
    torch.nn.utils.vector_to_parameters(torch.tensor(state.weights), module.parameters())
    with torch.no_grad():
        expected = F.cross_entropy(module(data.x), data.y).item()
    kept = state.buffers.copy()
    batch = measure_landscape_rows(state, 0, [0], [0], statistics="batch")[0, 0]
    assert batch == pytest.approx(expected, rel=1e-5) != pytest.approx(finish(state)["train_loss"], rel=1e-3)
    assert np.array_equal(kept, state.buffers)


def test_directions_that_move_the_norm_go_the_plain_way():
    state = train(BATCH)
    directions = np.random.default_rng(0).normal(0, 0.01, (2, len(state.weights))).astype(np.float32)
    moved = replace_weights(state, state.weights + directions[0] - directions[1])
    grid = measure_landscape_rows(state, directions, [1], [-1])
    assert grid[0, 0] == pytest.approx(finish(moved)["train_loss"], rel=1e-5)


def test_directions_that_move_biases():
    state = train(NetConfig(depth=8, width=(8, 12), shortcut="zero-pad"))
    directions = np.random.default_rng(0).normal(0, 0.1, (2, len(state.weights))).astype(np.float32)
    moved = replace_weights(state, state.weights + directions[0] - directions[1])
    grid = measure_landscape_rows(state, directions, [1], [-1])
    assert grid[0, 0] == pytest.approx(finish(moved)["train_loss"], rel=1e-5)


@pytest.mark.parametrize(("name", "value"), [("split", "all"), ("statistics", "none")])
def test_unknown_words_are_refused(name, value):
    with pytest.raises(ConfigError, match=name):
        measure_landscape_rows(train(NetConfig(depth=4, width=(4,))), 0, [0], [0], **{name: value})


# ---------------------------------------------------------------------------------------------------- directions


@settings(deadline=None, max_examples=20)
@given(draw_nets(), st.integers(0, 1000))
def test_each_filter_of_a_direction_is_as_long_as_its_weights(net, seed):
    """Li et al. 2018, section 4; biases and BatchNorm stay."""
    module = build_net(net, DATASETS["digits"], seed)
    sizes = [p.numel() for p in module.parameters()]
    first, second = torch.from_numpy(landscape.make_directions(module, seed))
    assert not torch.equal(first, second)
    for direction in (first, second):
        for parameter, part in zip(module.parameters(), direction.split(sizes), strict=True):
            if parameter.dim() == 1:
                assert not part.any()
            else:
                lengths = part.view(parameter.shape).flatten(1).norm(dim=1)
                assert torch.allclose(lengths, parameter.detach().flatten(1).norm(dim=1), rtol=1e-5)


def test_twins_have_the_same_directions():
    """At the same weights: a plain and a residual net, and the same seed."""
    plain, residual = (make_state(Lane(NetConfig(skip=skip)), "digits", 1) for skip in (False, True))
    assert np.array_equal(make_directions(plain, 5), make_directions(residual, 5))
    assert not np.array_equal(make_directions(plain, 5), make_directions(plain, 6))


# ---------------------------------------------------------------------------------------------------- trajectories


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1000), st.integers(3, 8))
def test_points_of_the_plane_are_found(seed, count):
    rng = np.random.default_rng(seed)
    directions, end = rng.normal(size=(2, 50)), rng.normal(size=50)
    points = np.vstack([rng.normal(size=(count, 2)), [0, 0]])
    found, share = landscape.project(list(end + points @ directions), directions)
    assert np.allclose(found, points) and share == pytest.approx(1)
    pca = landscape.find_principal_directions(list(end + points @ directions), np.zeros(50, bool))
    assert np.allclose(pca @ pca.T, np.eye(2), atol=1e-9)
    assert landscape.project(list(end + points @ directions), pca)[1] == pytest.approx(1)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1000))
def test_principal_directions_explain_most(seed):
    """No random plane explains more, and a plane explains from nothing to all."""
    rng = np.random.default_rng(seed)
    weights, plane = list(rng.normal(size=(6, 20))), rng.normal(size=(2, 20))
    best = landscape.project(weights, landscape.find_principal_directions(weights, np.zeros(20, bool)))[1]
    assert 0 <= landscape.project(weights, plane)[1] <= best <= 1


def test_trajectory_of_a_run():
    """Its last point is the centre; the loss at each is near the run's where most is explained; γ and β are left out."""
    states = [train(BATCH, steps=steps) for steps in (0, 4, 8, 12)]
    found = project_trajectory(states)
    assert found.points.shape == (4, 2) and not found.points[-1].any() and 0.5 < found.explained <= 1
    module = get_trainer(states[0].lane, "digits").module
    assert not found.directions[:, landscape.list_norms(module)].any()
    random = project_trajectory(states, make_directions(states[-1], 0))
    assert 0 <= random.explained < found.explained


def test_still_run_explains_nothing():
    state = make_state(Lane(NetConfig(depth=4, width=(4,))), "digits", 0)
    found = project_trajectory([state, state])
    assert not found.points.any() and np.isnan(found.explained)
