"""What a state's net owes its decision to: shortcuts and branches, places of the input, and the real ablation beside them.

captum takes a second to import, so no worker imports this before it is asked for a credit.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from resnet_viz.lab import credit
from resnet_viz.lab.datasets import load_data
from resnet_viz.lab.experiments.blocks import read_source
from resnet_viz.lab.experiments.operations import operate
from resnet_viz.lab.experiments.training import load_net
from resnet_viz.records import (
    CREDIT_METHODS,
    DATASETS,
    MAP_METHODS,
    AblationResult,
    CreditResult,
    Operation,
    Source,
    State,
    check_baseline,
    check_credit,
    check_map,
    find_error,
    list_targets,
    read_samples,
)


def measure_credit(state: State, method: str = "conductance", baseline: str | int = "zero",
                   samples: int | str | Source = "all", target: int | None = None, steps: int = 50) -> CreditResult:
    """What each block's shortcut and branch contributed to the target's logit, against a baseline.

    `samples` is the number of a held-out example, "class:K", "all", or a `Source`; `baseline` "zero" (an empty picture, or
    the origin), "mean" (of the training part) or the number of a held-out example; `target` a class, or None for the
    one that the net chooses for each example. `steps` is not for "deep-lift". Raises `ConfigError`.
    """
    check_credit(method, CREDIT_METHODS, target, DATASETS[state.dataset].classes, steps)
    module = load_net(state)
    x, _ = _take_samples(samples, state.dataset)
    base = _take_baseline(baseline, state.dataset).expand_as(x)
    chosen = credit.choose_target(module, x, target)
    return measure_split(module, credit.list_cuts(module), method, x, base, chosen, steps)


def measure_split(module: nn.Module, cuts: list[credit.Cut], method: str, x: Tensor, base: Tensor, target: Tensor,
                  steps: int) -> CreditResult:
    """The mean credit of every cut's shortcut and branch at x (N, *shape), against a baseline of the same shape."""
    each = credit.split_credit(module, cuts, method, x, base, target, steps).numpy()
    changes = (credit.read_logits(module, x, target) - credit.read_logits(module, base, target)).numpy()
    (shortcut, branch), change = each.mean(2), changes.mean()
    whole, single = (find_error(s, b, c) for s, b, c in ((shortcut, branch, change), (*each, changes)))
    return CreditResult(method, len(x), shortcut, branch, float(change), whole, single.max(0))


def _take_samples(samples: int | str | Source, dataset: str) -> tuple[Tensor, Tensor | None]:
    """Examples (N, *shape) and their classes (N,), None of a drawn one."""
    chosen, data = read_samples(samples, dataset), load_data(dataset)
    if isinstance(chosen, Source):
        x, label = read_source(chosen, data)
        return x, None if label is None else torch.tensor([label])
    index = torch.arange(len(data.test_y)) if chosen is None else (data.test_y == chosen).nonzero()[:, 0]
    return data.test_x[index], data.test_y[index]


def _take_baseline(baseline: str | int, dataset: str) -> Tensor:
    """(1, *shape), standardised: "zero" is 0 in the data's own units."""
    data = load_data(dataset)
    check_baseline(baseline, DATASETS[dataset])
    if baseline == "zero":
        return data.standardise(np.zeros((1, *data.x.shape[1:])))
    return data.x.mean(0, keepdim=True) if baseline == "mean" else data.test_x[baseline : baseline + 1]


def measure_ablation(state: State, samples: int | str | Source = "all", target: int | None = None) -> AblationResult:
    """What is lost when one block's branch is dropped (in a plain net the whole block), each alone; nothing is changed.

    `target` None is the class that the whole net chooses for each example. Beside `measure_credit`: a credit is a part
    of a sum, this is a difference of two nets, and they need not agree.
    """
    check_credit("conductance", CREDIT_METHODS, target, DATASETS[state.dataset].classes, 1)
    x, y = _take_samples(samples, state.dataset)
    result, chosen = np.full((2, state.lane.net.blocks), np.nan), None

    def look(operations: list[Operation]) -> np.ndarray:
        nonlocal chosen
        with operate(state, operations, False) as module:
            chosen = credit.choose_target(module, x, target) if chosen is None else chosen
            right = np.nan if y is None else (credit.choose_target(module, x, None) == y).double().mean().item()
            return np.array([credit.read_logits(module, x, chosen).mean().item(), right])

    whole = look([])
    for k in list_targets("lesion", state.lane.net):
        result[:, k] = whole - look([Operation("lesion", k)])
    return AblationResult(*result)


def measure_input_credit(state: State, method: str = "integrated-gradients", source: Source = Source(),
                         target: int | None = None, baseline: str | int = "zero", steps: int = 50, window: int = 2,
                         stage: int = 0) -> np.ndarray:
    """Credit of each number of one example for the target's logit: float32 of the example's shape; nothing is changed.

    `window` is the side of what "occlusion" hides, in pixels; "grad-cam" looks at the last block of `stage`, counted from
    0. For the rest see `measure_credit`. Raises `ConfigError`, for Grad-CAM in a dense net among others.
    """
    net, data = state.lane.net, DATASETS[state.dataset]
    check_credit(method, MAP_METHODS, target, data.classes, steps)
    check_map(net, data, method, window, stage)
    module = load_net(state)
    x, _ = _take_samples(source, state.dataset)
    last = [k for k, at in enumerate(net.block_stages()) if at == stage]
    layer = module.blocks[last[-1]] if method == "grad-cam" else None
    chosen = credit.choose_target(module, x, target)
    base = _take_baseline(baseline, state.dataset)
    return credit.map_credit(module, method, x, base, chosen, steps, window, layer).numpy()
