"""torchvision's ResNets on a picture that a person brings: what they see, where, and by which blocks.

A page names the net, which stays loaded on the worker; the command line has it loaded. torchvision takes a second to
import, so no worker imports this before a picture comes.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import torch

from resnet_viz.lab import credit, pretrained
from resnet_viz.lab.experiments.attribution import measure_split
from resnet_viz.lab.train import set_up_process
from resnet_viz.records import (
    CREDIT_METHODS,
    MAP_METHODS,
    ConfigError,
    CreditResult,
    PictureCredit,
    check_credit,
    check_picture_map,
)


def measure_picture(model: Any, picture: np.ndarray, method: str = "integrated-gradients", target: int | None = None,
                    steps: int = 20, window: int = 32, stage: int = 3) -> PictureCredit:
    """What a `pretrained.Pretrained` sees in a picture of `pictures.decode_picture`, and where; the baseline is black.

    `target` None is its likeliest class. Occlusion's windows overlap by half.
    """
    set_up_process()
    check_credit(method, MAP_METHODS, target, len(model.classes), steps)
    check_picture_map(window, stage)
    x, base = pretrained.prepare(picture), pretrained.prepare(np.zeros_like(picture))
    with torch.no_grad():
        likely = model.module(x)[0].softmax(0).topk(min(5, len(model.classes)))
    chosen = int(likely.indices[0]) if target is None else target
    found = credit.map_credit(model.module, method, x, base, torch.tensor([chosen]), steps, window, model.last_block(stage))
    plane = found[0] if method == "grad-cam" else found.sum(0)
    top = tuple((model.classes[i], p) for p, i in zip(likely.values.tolist(), likely.indices.tolist(), strict=True))
    return PictureCredit(top, chosen, model.classes[chosen], plane.numpy(), model.random)


def measure_picture_blocks(model: Any, picture: np.ndarray, method: str = "conductance", target: int | None = None,
                           steps: int = 20) -> CreditResult:
    """Credit of every block's shortcut and branch in a `pretrained.Pretrained`, on one picture; the baseline is black."""
    set_up_process()
    check_credit(method, CREDIT_METHODS, target, len(model.classes), steps)
    x, base = pretrained.prepare(picture), pretrained.prepare(np.zeros_like(picture))
    cuts = [credit.Cut(block.shortcut, block.branch) for block in model.blocks]
    chosen = credit.choose_target(model.module, x, target)
    return measure_split(model.module, cuts, method, x, base, chosen, steps)


def measure_brought_picture(picture: np.ndarray, name: str, weights: str = "random", label: str = "",
                            *options: Any) -> PictureCredit:
    """`measure_picture` of torchvision's net `name` with "random" weights, those to "download", or a file's, by its path.

    `label` is what errors call the file.
    """
    return measure_picture(_load_brought(name, weights, label), picture, *options)


def measure_brought_blocks(picture: np.ndarray, name: str, weights: str = "random", label: str = "",
                           *options: Any) -> CreditResult:
    """`measure_picture_blocks` of the same nets as `measure_brought_picture`."""
    return measure_picture_blocks(_load_brought(name, weights, label), picture, *options)


def read_classes(name: str, weights: str = "random", label: str = "") -> tuple[str, ...]:
    """The names of the classes of such a net; numbers where nobody knows them. The weights are looked at as a whole."""
    return _load_brought(name, weights, label).classes


def _load_brought(name: str, weights: str, label: str) -> Any:
    try:
        return _load_model(name, weights)
    except ConfigError as error:
        if error.field == "weights" and label:
            raise ConfigError("weights", label, error.takes, **error.params) from None
        raise


@functools.lru_cache(maxsize=2)
def _load_model(name: str, weights: str) -> Any:
    return pretrained.load_pretrained(name, weights)
