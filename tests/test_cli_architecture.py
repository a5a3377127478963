"""`architecture`: the JSON it prints, and what it says of a name that there is not."""

from __future__ import annotations

import json

import pytest

from resnet_viz.cli import main


def test_architecture_prints_every_layer(capsys: pytest.CaptureFixture) -> None:
    assert main(["architecture", "--net", "resnet34", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["counted_layers"], result["parameters"], result["multiply_adds"]) == (34, 21_797_672, 3_663_761_408)
    assert all({"kind", "kernel", "stride", "output_shape", "parameters", "multiply_adds", "counted"} <= set(layer)
               and layer["output"] == layer["output_shape"] for layer in result["layers"])
    assert sum(layer["counted"] for layer in result["layers"]) == 34
    assert sum(layer["parameters"] for layer in result["layers"]) == result["parameters"]
    first = result["layers"][0]
    assert (first["kind"], first["kernel"], first["stride"], first["output_shape"]) == ("conv", 7, 2, [64, 112, 112])
    assert [block["shortcut"] for block in result["blocks"]].count("projection") == 3


def test_size_and_classes(capsys: pytest.CaptureFixture) -> None:
    assert main(["architecture", "--net", "cifar20", "--size", "64", "--classes", "100", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["parameters"] == 269_722 + 90 * 65 and result["multiply_adds"] == 4 * (40_551_040 - 640) + 6400
    assert result["layers"][-1]["output"] == [100]


def test_for_people_there_is_a_table(capsys: pytest.CaptureFixture) -> None:
    assert main(["architecture", "--net", "cifar8"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any("stem.layer" in line and "3x3" in line for line in lines) and any("zero-pad" in line for line in lines)


@pytest.mark.parametrize("arguments", [("--net", "resnet33"), ("--net", "cifar21"), ("--net", ""), ("--size", "7"),
                                       ("--size", "0"), ("--size", "big"), ("--classes", "-1"), ("--classes", "1e3")])
def test_bad_input_gets_a_sentence(capsys: pytest.CaptureFixture, arguments: tuple[str, ...]) -> None:
    assert main(["architecture", *arguments, "--json"]) == 2
    out, error = capsys.readouterr()
    assert out == "" and error.count("\n") == 1 and "Traceback" not in error
    if arguments[1] == "resnet33":
        assert "resnet34" in error and "vgg19" in error and "cifar" in error


def test_a_picture_may_be_as_small_as_the_net_can_take(capsys: pytest.CaptureFixture) -> None:
    """The CIFAR family has limits of its own, not those of the ImageNet nets."""
    assert main(["architecture", "--net", "cifar20", "--size", "28", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["input"] == [3, 28, 28]
    assert main(["architecture", "--net", "cifar20", "--size", "1", "--json"]) == 0
    for net in ("resnet34", "vgg19"):
        assert main(["architecture", "--net", net, "--size", "28"]) == 2
    assert "from 32 to 1024" in capsys.readouterr().err
