"""Weights in files of the safetensors format: names, shapes and numbers, and nothing that could run when it is read."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save
from torch import Tensor

from resnet_viz.lab.nets import Net
from resnet_viz.records import N_, ConfigError

PRECISIONS = ("F16", "F32", "F64")  # what is read; written is F32


def name_tensors(module: Net) -> dict[str, Tensor]:
    """Parameters and BatchNorm's running statistics by name, such as "blocks.0.layer2.weight"."""
    return {name: tensor for name, tensor in module.state_dict().items() if tensor.is_floating_point()}


def write_weights(module: Net, config: dict[str, Any]) -> bytes:
    """The file's content. `config` is kept beside the weights, as JSON."""
    tensors = {name: tensor.contiguous().numpy() for name, tensor in name_tensors(module).items()}
    return save(tensors, {"config": json.dumps(config)})


@torch.no_grad()
def read_weights(module: Net, path: str) -> None:
    """Fill a net from a file. Raises `ConfigError`, before anything is filled, where a name or a shape is another."""
    wanted = name_tensors(module)
    with open_weights(path) as file:
        found = sorted(file.keys())
        for name, tensor in wanted.items():
            check_tensor(name, tuple(tensor.shape), file.get_slice(name) if name in found else None, path)
        for name in found:
            if name not in wanted and not name.endswith(".num_batches_tracked"):
                takes = N_("weights of this net, which has no {name}, as the file has of shape {found}")
                shape = write_shape(file.get_slice(name).get_shape())
                raise ConfigError("weights", path, takes, name=repr(name)[1:-1][:60], found=shape)
        for name, tensor in wanted.items():
            tensor.copy_(torch.from_numpy(file.get_tensor(name)))


def read_config(path: str) -> str | None:
    """The JSON that a file keeps beside its weights, if it keeps any."""
    with open_weights(path) as file:
        return (file.metadata() or {}).get("config")


@contextlib.contextmanager
def open_weights(path: str) -> Iterator[Any]:
    try:
        with safe_open(path, framework="numpy") as file:
            yield file
    except (OSError, SafetensorError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise ConfigError("weights", path, N_("a readable safetensors file ({reason})"), reason=reason[:200]) from None


def check_tensor(name: str, shape: tuple[int, ...], part: Any, path: str) -> None:
    """Raise where a tensor of the net is not in the file, has another shape there, or is no floating-point one."""
    expected = write_shape(shape)
    if part is None:
        takes = N_("weights of this net: {name}, of shape {expected}, is not in the file")
        raise ConfigError("weights", path, takes, name=name, expected=expected)
    if (found := write_shape(part.get_shape())) != expected:
        takes = N_("weights of this net: {name} has shape {expected} here, and {found} in the file")
        raise ConfigError("weights", path, takes, name=name, expected=expected, found=found)
    if part.get_dtype() not in PRECISIONS:
        takes = N_("floating-point weights of one of {allowed}, but {name} is {found}")
        raise ConfigError("weights", path, takes, allowed=tuple(PRECISIONS), name=name, found=part.get_dtype())


def write_shape(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape)) or "()"
