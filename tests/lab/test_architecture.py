"""Traced architectures: the paper's counts to the digit, the same numbers as our own arithmetic, and real shortcuts."""

from __future__ import annotations

import re

import pytest
import torch

from resnet_viz.lab.architecture import PlainBlock, trace_architecture, trace_module, trace_net
from resnet_viz.lab.nets import Net
from resnet_viz.records import (
    ARCHITECTURES,
    DATASETS,
    Architecture,
    ConfigError,
    DataShape,
    NetConfig,
    count_multiply_adds,
    count_parameters,
    list_layers,
)

# SCIENCE section 1: layers that count, parameters, multiply-adds.
REFERENCE = {
    "resnet18": (18, 11_689_512, 1_814_073_344), "resnet34": (34, 21_797_672, 3_663_761_408),
    "resnet50": (50, 25_557_032, 4_089_184_256), "vgg19": (19, 143_667_240, 19_632_062_464),
    "plain34": (34, 21_623_848, 3_644_493_824), "plain18": (18, 11_515_688, None),
    "cifar20": (20, 269_722, 40_551_040), "cifar32": (32, 464_154, 68_862_592), "cifar44": (44, 658_586, 97_174_144),
    "cifar56": (56, 853_018, 125_485_696), "cifar110": (110, 1_727_962, 252_887_680),
    "cifar1202": (1202, 19_421_274, None), "cifar56-plain": (56, 853_018, 125_485_696),
}


def count_shortcuts(net: Architecture) -> dict[str, int]:
    kinds = [block.shortcut for block in net.blocks]
    return {kind: kinds.count(kind) for kind in kinds}


@pytest.mark.parametrize("name", REFERENCE)
def test_totals_are_the_tables(name: str) -> None:
    layers, parameters, multiply_adds = REFERENCE[name]
    net = trace_architecture(name)
    assert (net.counted_layers, net.parameters) == (layers, parameters)
    assert multiply_adds in (None, net.multiply_adds)


@pytest.mark.parametrize("n", [1, 3, 9, 18])
def test_the_cifar_family_s_parameters_are_a_line_in_n(n: int) -> None:
    """97,216 n - 21,926, the same for the plain net; option B's two projections add 2,752."""
    depth, shape = 6 * n + 2, DataShape((3, 32, 32), 10)
    projected = trace_net(NetConfig("conv", "projection", depth, (16,), "batch"), shape)
    for name in (f"cifar{depth}", f"cifar{depth}-plain"):
        net = trace_architecture(name)
        assert (net.counted_layers, net.parameters) == (depth, 97_216 * n - 21_926)
        assert projected.parameters - net.parameters == 2752
    assert projected.counted_layers == depth and count_shortcuts(projected)["projection"] == 2


def test_what_counts_to_34_and_what_does_not() -> None:
    """36 convolutions and fc are 37; the three projections do not count, nor pooling, nor BatchNorm."""
    net = trace_architecture("resnet34")
    kinds = [layer.kind for layer in net.layers]
    assert {kind: kinds.count(kind) for kind in kinds} == {"conv": 36, "norm": 36, "pool": 2, "linear": 1}
    assert [layer.name for layer in net.layers if layer.kind == "conv" and not layer.counted] == [
        f"layer{stage}.0.downsample.0" for stage in (2, 3, 4)]
    assert not any(layer.counted for layer in net.layers if layer.kind in ("norm", "pool"))
    assert [len(stage) for stage in net.stages()] == [3, 4, 6, 3]
    assert count_shortcuts(net) == {"identity": 13, "projection": 3}
    pools = [(layer.kernel, layer.stride, layer.output) for layer in net.layers if layer.kind == "pool"]
    assert pools == [(3, 2, (64, 56, 56)), (7, 1, (512, 1, 1))]


def test_blocks_span_their_layers() -> None:
    net = trace_architecture("resnet50")
    for block, path in zip(net.blocks, [f"layer{s}.{k}." for s, n in ((1, 3), (2, 4), (3, 6), (4, 3)) for k in range(n)],
                           strict=True):
        inside = net.layers[block.first : block.last + 1]
        assert all(layer.name.startswith(path) for layer in inside)
        assert sum(layer.counted for layer in inside) == 3
        assert (block.shortcut == "identity") == block.keeps_shape
    assert net.blocks[0].output == (256, 56, 56)


def test_shortcuts_of_the_cifar_family() -> None:
    assert count_shortcuts(trace_architecture("cifar56")) == {"identity": 25, "zero-pad": 2}
    assert count_shortcuts(trace_architecture("cifar56-plain")) == {"none": 27}
    assert count_shortcuts(trace_architecture("plain18")) == {"none": 8}


@torch.no_grad()
def test_a_plain_block_adds_nothing() -> None:
    """With a zeroed last BatchNorm a plain block's output is 0, whatever it is fed; the residual one hands it through."""
    x = torch.rand(2, 8, 4, 4)
    for kind, expected in ((PlainBlock, torch.zeros_like(x)), (PlainBlock.__base__, x)):
        block = kind(8, 8).eval()
        torch.nn.init.zeros_(block.bn2.weight)
        assert torch.equal(block(x), expected)


@pytest.mark.parametrize("net", [
    NetConfig(depth=8, width=(32,)), NetConfig(depth=10, width=(16, 64), shortcut="projection", norm="batch"),
    NetConfig("conv", "projection-all", 8, (4,), "batch"), NetConfig("conv", "projection", 14, (4,), order="pre"),
    NetConfig("conv", "projection", 8, (4,), "batch", skip=False),
    NetConfig("conv", "zero-pad", 20, (8,), "batch", order="pre"),
], ids=str)
def test_our_own_nets_are_as_the_arithmetic_says(net: NetConfig) -> None:
    """The traced modules against `records.list_layers`, which counts without any."""
    data = DATASETS["digits"]
    traced, listed = trace_net(net, data), list(list_layers(net, data))
    assert (traced.counted_layers, traced.parameters) == (net.depth, count_parameters(net, data))
    assert traced.multiply_adds == count_multiply_adds(net, data)

    def shapes(layers, kinds):
        return [(layer.kind, layer.kernel, layer.stride, layer.output) for layer in layers if layer.kind in kinds
                and (layer.counted or layer.kind == "pool")]

    kinds = ("conv", "linear", "pool")
    assert shapes(traced.layers, kinds) == shapes(listed, kinds)
    assert len(traced.blocks) == net.blocks


def test_hooks_are_gone_and_nothing_was_allocated() -> None:
    data = DataShape((3, 32, 32), 10)
    with torch.device("meta"):
        module = Net(NetConfig("conv", "zero-pad", 8, (4,)), data)
    first = trace_module(module, data.shape, "a")
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in module.modules())
    assert trace_module(module, data.shape, "a") == first
    assert {p.device.type for p in module.parameters()} == {"meta"}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_name_there_is_can_be_traced(name: str) -> None:
    depth = int(re.search(r"\d+", name)[0])
    net = trace_architecture(name, size=64, classes=7)
    assert net.counted_layers == depth and net.layers[-1].output == (7,) and net.input == (3, 64, 64)


@pytest.mark.parametrize("name", ["", "resnet33", "cifar", "cifar21", "cifar-20", "cifar20-", "cifar20-b", "cifar²0",
                                  "cifar1208", "cifar99999999", "RESNET34", None, 34, ["resnet34"]])
def test_other_names_are_refused(name: object) -> None:
    with pytest.raises(ConfigError):
        trace_architecture(name)


@pytest.mark.parametrize("options", [{"size": 31}, {"size": 5000}, {"size": "x"}, {"classes": -1}, {"classes": 10**6}])
def test_sizes_have_bounds(options: dict) -> None:
    with pytest.raises(ConfigError) as caught:
        trace_architecture("resnet18", **options)
    assert caught.value.field in options
