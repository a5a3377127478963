"""Single blocks of a state's net: one of them opened, and every learned W_s."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from torch import Tensor

from resnet_viz.lab import dimensions, glass
from resnet_viz.lab.batches import count_rows
from resnet_viz.lab.datasets import Data, load_data
from resnet_viz.lab.experiments.operations import operate
from resnet_viz.lab.experiments.training import load_net, make_state
from resnet_viz.lab.nets import Net
from resnet_viz.records import (
    DATASETS,
    BlockEffect,
    BlockView,
    Operation,
    ProjectionView,
    Source,
    State,
    check_source,
    check_view,
)

GRADIENT_BATCH = 128  # examples, or as many as memory allows


def open_block(state: State, block: int, operations: Iterable[Operation] = (), source: Source = Source(), unit: int = 0,
               raw: bool = False) -> BlockView:
    """One block of a state's net under operations, fed `source`, and the held-out part; the state is not changed.

    `unit` is a flat index into the shape of a[l+2]. `raw` feeds block 0 the standardised input x, negative numbers and
    all, in the place of a[1]. Raises `ConfigError` where one of these does not fit the net.
    """
    data = load_data(state.dataset)
    check_source(source, state.dataset)
    check_view(state.lane.net, DATASETS[state.dataset], block, unit, raw)
    x, label = read_source(source, data)
    with operate(state, (), False) as module:
        before, _ = _look_through(module, block, data, raw)
    with operate(state, operations, False) as module:
        after, (scatter, against) = _look_through(module, block, data, raw)
        rows, logits = glass.run_block(module, block, x, raw)
        products = glass.list_products(module.blocks[block], rows, unit)
        batch = data.take_batch(state.seed, 0, count_rows(module, x, GRADIENT_BATCH))
        gradient = None if raw else glass.measure_gradient(module, block, *batch)
    probabilities = None if logits is None else logits[0].softmax(0).numpy()
    return BlockView({name: row[0].numpy() for name, row in rows.items()}, products, data.restore(x[0]), label,
                     probabilities, before, after, scatter, against, gradient)


def _look_through(module: Net, block: int, data: Data, raw: bool) -> tuple[BlockEffect, tuple]:
    """What a block does to the held-out part, and pairs of numbers before and behind it."""
    rows, logits = glass.run_block(module, block, data.test_x, raw)
    return glass.measure_effect(module.blocks[block], rows, logits, data.test_y), glass.draw_pairs(rows)


def read_source(source: Source, data: Data) -> tuple[Tensor, int | None]:
    """One example (1, *shape), and its class where it is known."""
    if source.pixels is None:
        return data.test_x[source.index : source.index + 1], int(data.test_y[source.index])
    return data.standardise(np.array(source.pixels, float).reshape(1, *data.x.shape[1:])), None


def measure_projections(state: State) -> list[ProjectionView]:
    """Every learned W_s of a state's net, input to output, beside the one that its seed began with."""
    start = make_state(state.lane, state.dataset, state.seed)
    now, then = (dimensions.read_projections(load_net(s)) for s in (state, start))
    return dimensions.compare_projections(now, then)
