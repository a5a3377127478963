"""Our own nets' weights to and from files: names, shapes and numbers, and nothing that could run when it is read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from safetensors.numpy import save
from torch import Tensor

from resnet_viz.lab.checkpoints import fill, match_names, read_metadata, read_state, refuse
from resnet_viz.lab.nets import Net
from resnet_viz.records import N_


def name_tensors(module: Net) -> dict[str, Tensor]:
    """Parameters and BatchNorm's running statistics by name, such as "blocks.0.layer2.weight"."""
    return {name: tensor for name, tensor in module.state_dict().items() if tensor.is_floating_point()}


def write_weights(module: Net, config: dict[str, Any]) -> bytes:
    """The file's content. `config` is kept beside the weights, as JSON."""
    tensors = {name: tensor.contiguous().numpy() for name, tensor in name_tensors(module).items()}
    return save(tensors, {"config": json.dumps(config)})


def read_weights(module: Net, path: str) -> None:
    """Fill a net from a file. Raises `ConfigError`, before anything is filled, where the file's net is another."""
    wanted = name_tensors(module)
    state = match_names(read_state(path), wanted)
    here, there = count_layers(wanted), count_layers(state)
    if there and there != here:
        takes = N_("weights of a net of {expected} layers, and the file’s has {found}")
        refuse(path, takes, expected=here, found=there)
    fill(module, state, path)


def read_config(path: str) -> str | None:
    """The JSON that a file keeps beside its weights, if it keeps any."""
    return read_metadata(path, "config")


def count_layers(names: Iterable[str]) -> int:
    """The depth of a net whose tensors have these names; 0 where it is none of ours."""
    layers = {found[0] for name in names if (found := re.match(r"blocks\.\d+\.layer\d+\.weight$", name))}
    return len(layers) + 2 if layers else 0
