"""(a) `advance` with all its measurements against the plainest loop with none; (b) a step against its matrix products."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator

import torch
from torch.nn import functional as F

from resnet_viz.lab.datasets import load_data
from resnet_viz.lab.experiments import training
from resnet_viz.lab.nets import build_net
from resnet_viz.lab.train import set_up_process
from resnet_viz.records import DATASETS, Lane, NetConfig

NETS = {
    "dense 20": (NetConfig(), 150),
    "dense 56": (NetConfig(depth=56), 60),
    "conv 20": (NetConfig(family="conv", shortcut="zero-pad", width=(8,), norm="batch"), 30),
}
ROUNDS = 7


def measure_all() -> Iterator[tuple[str, str]]:
    set_up_process()
    for name, (net, steps) in NETS.items():
        ratios = [time_plain(net, steps) / time_advance(net, steps) for _ in range(ROUNDS)]
        yield f"(a) {name}: advance, measuring, against the plainest loop, times", describe(ratios)
    for name in ("dense 20", "dense 56"):
        net, steps = NETS[name]
        ratios = [time_advance(net, steps) / time_products(net, steps) for _ in range(ROUNDS)]
        yield f"(b) {name}: a step against its matrix products, times as long", describe(ratios)


def describe(ratios: list[float]) -> str:
    return f"{statistics.median(ratios):.2f}  (min {min(ratios):.2f}, max {max(ratios):.2f}, {len(ratios)} pairs)"


def clock(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def time_advance(net: NetConfig, steps: int) -> float:
    """Seconds of `steps` steps in one slice, all measurements included."""
    state, _ = training.advance(training.make_state(Lane(net), "digits", 0), 2)
    return clock(lambda: training.advance(state, steps))


def time_plain(net: NetConfig, steps: int) -> float:
    """Seconds of the loop that a tutorial has: the same net, the same batches, SGD as PyTorch has it by default."""
    module, data = build_net(net, DATASETS["digits"], 0), load_data("digits")
    optimizer = torch.optim.SGD(module.parameters(), lr=0.05, momentum=0.9)

    def loop(count: int) -> None:
        for step in range(count):
            x, y = data.take_batch(0, step, 128)
            loss = F.cross_entropy(module(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    loop(2)
    return clock(lambda: loop(steps))


@torch.no_grad()
def time_products(net: NetConfig, steps: int) -> float:
    """Seconds of nothing but the matrix products of a dense net's steps: one forward and two backward per layer."""
    widths = [64, *([64] * (net.depth - 1)), 10]
    pairs = zip(widths, widths[1:], strict=False)
    layers = [(torch.randn(128, a), torch.randn(a, b), torch.randn(128, b)) for a, b in pairs]
    outs = [(torch.empty(128, w.shape[1]), torch.empty(w.shape[1], w.shape[0]), torch.empty(128, w.shape[0]))
            for _, w, _ in layers]

    def loop(count: int) -> None:
        for _ in range(count):
            for (a, w, d), (z, gw, ga) in zip(layers, outs, strict=True):
                torch.mm(a, w, out=z)
                torch.mm(d.t(), a, out=gw)
                torch.mm(d, w.t(), out=ga)

    loop(2)
    return clock(lambda: loop(steps))
