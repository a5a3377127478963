"""The data sets are what `records.DATASETS` says of them, split fairly, standardised, and the same every time."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from resnet_viz.lab.datasets import GENERATORS, Data, load_data
from resnet_viz.records import DATASETS

NAMES = sorted(DATASETS)


def test_each_data_set_has_a_generator():
    """The table on the server and the generators on the workers name the same."""
    assert GENERATORS.keys() == DATASETS.keys()


@pytest.mark.parametrize("name", NAMES)
def test_shapes_are_those_of_the_records(name):
    """Sizes, shapes, types and classes."""
    data, spec = load_data(name), DATASETS[name]
    for x, y, count in ((data.x, data.y, spec.train), (data.test_x, data.test_y, spec.test)):
        assert x.shape == (count, *spec.shape) and x.dtype == torch.float32
        assert y.shape == (count,) and y.dtype == torch.int64
        assert sorted(set(y.tolist())) == list(range(spec.classes))


@pytest.mark.parametrize("name", NAMES)
def test_parts_are_disjoint_and_stratified(name):
    """No held-out example is in the training part, and each class has its share of both to within one example."""
    data, spec = load_data(name), DATASETS[name]
    train, test = ({row.tobytes() for row in part.numpy()} for part in (data.x, data.test_x))
    assert not train & test
    everywhere = torch.bincount(torch.cat([data.y, data.test_y]))
    expected = everywhere * spec.test / (spec.train + spec.test)
    assert (torch.bincount(data.test_y) - expected).abs().max() <= 1


@pytest.mark.parametrize("name", NAMES)
def test_training_part_is_standardised(name):
    """Mean 0 and variance 1 over all its numbers; the held-out part is scaled alike, so only nearly so."""
    data = load_data(name)
    assert data.x.double().mean().abs() < 1e-6
    assert data.x.double().std(unbiased=False) == pytest.approx(1, abs=1e-6)
    assert 0 < data.test_x.mean().abs() < 0.1 and data.test_x.std() == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("name", NAMES)
def test_made_again_is_the_same(name):
    """Made afresh, with other global seeds, to the bit; and the global generators are left alone."""
    first = load_data.__wrapped__(name)
    np.random.seed(7)
    torch.manual_seed(7)
    again = load_data.__wrapped__(name)
    after = np.random.random(), torch.rand(1)
    assert all(torch.equal(getattr(first, part), getattr(again, part)) for part in ("x", "y", "test_x", "test_y"))
    np.random.seed(7)
    assert after == (np.random.random(), torch.rand(1, generator=torch.Generator().manual_seed(7)))


@settings(deadline=None)
@given(st.integers(2, 200), st.integers(0, 2**31 - 1), st.integers(0, 1000), st.data())
def test_an_epoch_is_a_permutation_without_the_rest(count, seed, epoch, draw):
    """The batches of an epoch repeat no example and leave out only what does not fill a batch; x stays with its y."""
    size = draw.draw(st.integers(2, count))
    data = Data(torch.arange(count)[:, None], torch.arange(count), torch.empty(0), torch.empty(0))
    steps = count // size
    batches = [data.take_batch(seed, epoch * steps + k, size) for k in range(steps)]
    assert all(x.shape == (size, 1) and torch.equal(x[:, 0], y) for x, y in batches)
    assert len({i for _, y in batches for i in y.tolist()}) == steps * size


def test_epochs_and_seeds_are_shuffled_differently():
    """Another epoch and another seed give other batches; the same seed and step give the same."""
    data = load_data("digits")
    first = data.take_batch(0, 0, 128)[0]
    assert torch.equal(first, data.take_batch(0, 0, 128)[0])
    for seed, step in ((0, 1), (0, 1437 // 128), (1, 0)):
        assert not torch.equal(first, data.take_batch(seed, step, 128)[0])
