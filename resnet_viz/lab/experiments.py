"""What the engine and the command line call: training, measuring and operating, composed."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from resnet_viz.lab import dimensions, glass, landscape, paths, probes, shattering, surgery, weights
from resnet_viz.lab.datasets import Data, load_data
from resnet_viz.lab.dimensions import add_unequal
from resnet_viz.lab.nets import Net
from resnet_viz.lab.train import Trainer, get_trainer, make_state, set_up_process
from resnet_viz.records import (
    CREDIT_METHODS,
    DATASETS,
    MAP_METHODS,
    N_,
    WEIGHT_OPERATIONS,
    AblationResult,
    Architecture,
    Autocorrelation,
    BlockEffect,
    BlockView,
    ConfigError,
    CreditResult,
    DataShape,
    Frame,
    Lane,
    NetConfig,
    Operation,
    OperationResult,
    PathsResult,
    PictureCredit,
    ProjectionView,
    RaceConfig,
    SlopeResult,
    Source,
    State,
    TrainConfig,
    Trajectory,
    check_baseline,
    check_credit,
    check_map,
    check_picture_map,
    check_source,
    check_view,
    list_targets,
    read_samples,
)

PROBE_EVERY = 10  # steps; the held-out set costs as much as a training step, so not at each
GRADIENT_BATCH = 128
SPLITS = ("train", "test")
STATISTICS = ("stored", "batch")  # of BatchNorm

__all__ = ["advance", "edit_state", "finish", "follow", "load_weights", "make_state", "measure", "measure_cumulative",
           "measure_each_block", "measure_operation", "measure_projections", "open_block", "save_weights",
           "add_unequal", "trace_architecture", "trace_net",
           "make_directions", "measure_autocorrelation", "measure_landscape_point", "measure_landscape_rows",
           "measure_each_path", "measure_paths", "measure_responses", "measure_slopes", "project_trajectory",
           "measure_ablation", "measure_credit", "measure_input_credit", "measure_picture", "measure_picture_blocks",
           "decode_picture", "fetch_weights", "list_picture_classes", "measure_brought_blocks", "measure_brought_picture"]


def advance(state: State, steps: int, lane: Lane | None = None) -> tuple[State, Frame]:
    """Train `steps` steps from `state`, which is not changed: the new state, and what was measured on the way.

    `lane`, where given, is the lane's configuration from this step on (a live change). Any slicing gives the same bits.
    Training stops before a step that starts from, or leads to, a number that is not finite; that step leaves no trace.
    """
    started = time.perf_counter()
    state, trainer = _load(state, lane)
    rows, looks, diverged = [], [], False
    for step in range(state.step, state.step + steps):
        statistics = trainer.buffers.clone()
        row, look = _pass(trainer, state.seed, step, step % PROBE_EVERY == 0)
        diverged = not _is_finite(trainer, row, look)
        if diverged:
            trainer.buffers.copy_(statistics)
            break
        rows.append(row)
        looks += look
        trainer.update()
    frame = _make_frame(state, rows, looks, time.perf_counter() - started, diverged)
    return trainer.save(state, len(rows)), frame


def follow(race: RaceConfig, watch: Callable[[Frame], None], size: int = 50) -> State:
    """Train a race of one lane, `size` steps at a time, with all that was changed and edited on the way and at its end.

    `watch` is called with what was measured on the way, frame by frame, until the last step or divergence. Any size gives
    the same bits.
    """
    state = make_state(race.lanes[0], race.dataset, race.seed)
    while state.step < race.steps:
        state = edit_state(state, race.edits_at(0, state.step))
        stop = min([race.steps, state.step + size, *race.stops_after(state.step)])
        state, frame = advance(state, stop - state.step, race.lane_at(0, state.step))
        watch(frame)
        if frame.diverged:
            return state
    return edit_state(dataclasses.replace(state, lane=race.lane_at(0, race.steps)), race.edits_at(0, race.steps))


def measure(state: State, lane: Lane | None = None) -> Frame:
    """Measure where a state stands, on its next batch, without training: a frame of one row and one probe."""
    state, trainer = _load(state, lane)
    row, look = _pass(trainer, state.seed, state.step, True)
    diverged = not _is_finite(trainer, row, look)
    return _make_frame(state, [] if diverged else [row], [] if diverged else look, 0.0, diverged)


def _load(state: State, lane: Lane | None) -> tuple[State, Trainer]:
    """The state under the lane's configuration, and a trainer holding a copy of it."""
    set_up_process()  # per thread, and a worker may run a task in any
    state = dataclasses.replace(state, lane=lane or state.lane)
    trainer = get_trainer(state.lane, state.dataset)
    trainer.load(state)
    return state, trainer


def _pass(trainer: Trainer, seed: int, step: int, probe: bool) -> tuple[Tensor, list[tuple]]:
    """Forward and backward pass of one step, measured: the row (loss, accuracy, gradient (L)), and the probe, if any."""
    data = load_data(trainer.dataset)
    held_out = probes.measure_held_out(trainer.module, data) if probe else ()
    x, y = data.take_batch(seed, step, trainer.lane.train.batch_size)
    loss, trace = trainer.run_passes(x, y)
    with torch.no_grad():
        accuracy = (trace.logits.argmax(1) == y).float().mean()
        row = torch.cat([torch.stack([loss, accuracy]), probes.measure_gradients(trace)])
        if not probe:
            return row, []
        slopes = probes.measure_weight_gradients(trainer.module, trainer.gradients)
        norms = probes.measure_weight_norms(trainer.module)
        return row, [(step, *held_out, slopes, *probes.measure_blocks(trace), norms)]


def finish(state: State) -> dict[str, Any]:
    """Loss and accuracy on the whole training part and on the held-out part."""
    (_, trainer), data = _load(state, None), load_data(state.dataset)
    return _measure_whole(trainer.module, data)


def _measure_whole(module: Net, data: Data) -> dict[str, Any]:
    train, test = probes.measure_accuracy(module, data.x, data.y), probes.measure_held_out(module, data)
    return dict(zip(("train_loss", "train_accuracy", "test_loss", "test_accuracy"), train + test, strict=True))


def _is_finite(trainer: Trainer, row: Tensor, look: list[tuple]) -> bool:
    """Whether all is finite that a step measured and that its update would use."""
    held_out = [value for probe in look for value in probe[1:3]]
    return bool(row.isfinite().all()) and trainer.is_finite() and all(map(math.isfinite, held_out))


def _make_frame(state: State, rows: list[Tensor], looks: list[tuple], seconds: float, diverged: bool) -> Frame:
    depth, blocks = state.lane.net.depth, state.lane.net.blocks
    table = torch.stack(rows).numpy() if rows else np.zeros((0, depth + 1), np.float32)
    shapes = [(), (), (), (depth,), *[(blocks,)] * 4]
    columns = zip(*looks, strict=True) if looks else [[]] * len(shapes)
    step, *probe = [np.array(column, np.float32).reshape(-1, *s) for column, s in zip(columns, shapes, strict=True)]
    return Frame(state.step, table[:, 0], table[:, 1], table[:, 2:], step.astype(np.int64), *probe,
                 seconds=seconds, diverged=bool(diverged))


# ---------------------------------------------------------------------------------------------------- operations


def edit_state(state: State, operations: Iterable[Operation]) -> State:
    """A copy of the state with its weights changed, to train on from. Raises `ConfigError` for lesions and cuts.

    The optimizer's moments of these weights are changed alike: a zeroed weight is at rest, so that only its gradient
    can move it.
    """
    operations = tuple(operations)
    if not operations:
        return state
    for operation in operations:
        if operation.kind not in WEIGHT_OPERATIONS:
            raise ConfigError("operation", operation.kind, N_("one of {allowed}: a change of weights, to train on from"),
                              allowed=", ".join(WEIGHT_OPERATIONS))

    def edit(flat: np.ndarray) -> State:
        _, trainer = _load(dataclasses.replace(state, weights=flat), None)
        with surgery.operated(trainer.module, operations):
            return trainer.save(state, 0)

    return dataclasses.replace(edit(state.weights), moments=np.stack([edit(row).weights for row in state.moments]))


@contextlib.contextmanager
def _operate(state: State, operations: Iterable[Operation], recompute: bool) -> Iterator[Net]:
    """The state's net under operations; `recompute` re-estimates BatchNorm's running statistics after them."""
    _, trainer = _load(state, None)
    with surgery.operated(trainer.module, operations) as module:
        if recompute:
            surgery.recompute_statistics(module, load_data(state.dataset))
        yield module


def measure_operation(state: State, operations: Iterable[Operation], recompute: bool = False) -> OperationResult:
    """What operations do to the net of a state, which is not changed. Raises `ConfigError` where one does not apply."""
    before, operations, data = finish(state), tuple(operations), load_data(state.dataset)
    with _operate(state, operations, recompute) as module:
        after = _measure_whole(module, data)
        gap, same = surgery.measure_identity(module, data.test_x, [k for item in operations for k in item.blocks])
    return OperationResult(before, after, gap, same)


def measure_each_block(state: State, kind: str, recompute: bool = False) -> np.ndarray:
    """Accuracy on the training and the held-out part after operating on one block alone: (2, K), input to output.

    NaN where the operation does not apply to the block. Veit et al. 2016 (1605.06431), fig. 3.
    """
    data = load_data(state.dataset)
    result = np.full((2, state.lane.net.blocks), np.nan)
    for k in list_targets(kind, state.lane.net):
        with _operate(state, [Operation(kind, k)], recompute) as module:
            after = _measure_whole(module, data)
        result[:, k] = after["train_accuracy"], after["test_accuracy"]
    return result


def measure_cumulative(state: State, kind: str, draws: int, seed: int, recompute: bool = False) -> np.ndarray:
    """Held-out accuracy after operating on 0, 1, … K blocks: (K+1, draws), K of those that it applies to.

    Each draw is a random order of the blocks; its row k has the first k of them. Veit et al. 2016 (1605.06431), fig. 5a.
    """
    data, targets = load_data(state.dataset), list_targets(kind, state.lane.net)
    rng, result = np.random.default_rng(seed), np.zeros((len(targets) + 1, draws))
    for draw in range(draws):
        operations = [Operation(kind, int(k)) for k in rng.permutation(targets)]
        for count in range(len(targets) + 1):
            with _operate(state, operations[:count], recompute) as module:
                result[count, draw] = probes.measure_held_out(module, data)[1]
    return result


# ---------------------------------------------------------------------------------------------------- single blocks


def open_block(state: State, block: int, operations: Iterable[Operation] = (), source: Source = Source(), unit: int = 0,
               raw: bool = False) -> BlockView:
    """One block of a state's net under operations, fed `source`, and the held-out part; the state is not changed.

    `unit` is a flat index into the shape of a[l+2]. `raw` feeds block 0 the standardised input x, negative numbers and
    all, in the place of a[1]. Raises `ConfigError` where one of these does not fit the net.
    """
    data = load_data(state.dataset)
    check_source(source, state.dataset)
    check_view(state.lane.net, DATASETS[state.dataset], block, unit, raw)
    x, label = _read_source(source, data)
    with _operate(state, (), False) as module:
        before, _ = _look_through(module, block, data, raw)
    with _operate(state, operations, False) as module:
        after, (scatter, against) = _look_through(module, block, data, raw)
        rows, logits = glass.run_block(module, block, x, raw)
        products = glass.list_products(module.blocks[block], rows, unit)
        batch = data.take_batch(state.seed, 0, GRADIENT_BATCH)
        gradient = None if raw else glass.measure_gradient(module, block, *batch)
    probabilities = None if logits is None else logits[0].softmax(0).numpy()
    return BlockView({name: row[0].numpy() for name, row in rows.items()}, products, data.restore(x[0]), label,
                     probabilities, before, after, scatter, against, gradient)


def _look_through(module: Net, block: int, data: Data, raw: bool) -> tuple[BlockEffect, tuple]:
    """What a block does to the held-out part, and pairs of numbers before and behind it."""
    rows, logits = glass.run_block(module, block, data.test_x, raw)
    return glass.measure_effect(module.blocks[block], rows, logits, data.test_y), glass.draw_pairs(rows)


def _read_source(source: Source, data: Data) -> tuple[Tensor, int | None]:
    """One example (1, *shape), and its class where it is known."""
    if source.pixels is None:
        return data.test_x[source.index : source.index + 1], int(data.test_y[source.index])
    return data.standardise(np.array(source.pixels, float).reshape(1, *data.x.shape[1:])), None


def measure_projections(state: State) -> list[ProjectionView]:
    """Every learned W_s of a state's net, input to output, beside the one that its seed began with."""
    start = make_state(state.lane, state.dataset, state.seed)
    now, then = (dimensions.read_projections(_load(s, None)[1].module) for s in (state, start))
    return dimensions.compare_projections(now, then)


# ---------------------------------------------------------------------------------------------------- weight files


def save_weights(state: State, config: dict[str, Any]) -> bytes:
    """A safetensors file of a state's weights and running statistics, by name; `config` goes with it as JSON."""
    return weights.write_weights(_load(state, None)[1].module, config)


def load_weights(path: str, lane: Lane, dataset: str, seed: int) -> State:
    """A state with the weights of a safetensors file. Raises `ConfigError` where they do not fit the lane's net."""
    state, trainer = _load(make_state(lane, dataset, seed), None)
    weights.read_weights(trainer.module, path)
    return trainer.save(state, 0)


# ---------------------------------------------------------------------------------------------------- architectures
# torchvision takes a second to import, and only these two want it.


def trace_architecture(name: str, size: int | None = None, classes: int | None = None) -> Architecture:
    """A net by its name, layer by layer, from its real modules."""
    from resnet_viz.lab import architecture

    return architecture.trace_architecture(name, size, classes)


def trace_net(net: NetConfig, data: DataShape, name: str = "own") -> Architecture:
    """One of our own nets, layer by layer, from its real modules."""
    from resnet_viz.lab import architecture

    return architecture.trace_net(net, data, name)


# ---------------------------------------------------------------------------------------------------- why it works


def measure_paths(state: State, samples_per_length: int = 20, seed: int = 0, count: int = 16) -> PathsResult:
    """Gradient by length of path on the first `count` held-out examples, in evaluation mode."""
    data = load_data(state.dataset)
    module = _load(state, None)[1].module
    return paths.measure_paths(module, data.test_x[:count], data.test_y[:count], samples_per_length, seed)


def measure_each_path(state: State, takes: np.ndarray, count: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """Single paths, and how their sum becomes the gradient, on the same examples: see `paths.measure_each_path`."""
    data = load_data(state.dataset)
    return paths.measure_each_path(_load(state, None)[1].module, data.test_x[:count], data.test_y[:count], takes)


def measure_slopes(net: NetConfig, dataset: str = "digits", seeds: Sequence[int] = (0, 1, 2),
                   batch: int = 128) -> SlopeResult:
    """Gradient norms at the initial weights, in training mode on each seed's first batch of `batch` examples."""
    lane, rows = Lane(net, TrainConfig(batch_size=batch)), []
    for seed in seeds:
        found = measure(make_state(lane, dataset, seed)).gradient.astype(float)
        rows.append(found[0] if len(found) else np.full(net.depth - 1, np.nan))
    slopes = np.array([shattering.measure_slope(row, net.blocks) for row in rows])
    with np.errstate(divide="ignore"):
        gradient = np.exp(np.log(np.stack(rows)).mean(0))
    return SlopeResult(gradient, float(slopes.mean()), slopes, shattering.find_theory(net))


def measure_autocorrelation(depth: int, residual: bool, batch_norm: bool = True, branch_scale: float = 1.0,
                            seeds: int = 10, points: int = 256) -> Autocorrelation:
    """Whether gradients shatter, of random nets y = f(x): see `shattering.measure_autocorrelation`."""
    set_up_process()
    return shattering.measure_autocorrelation(depth, residual, batch_norm, branch_scale, seeds, points)


def measure_responses(state: State) -> np.ndarray:
    """The standard deviation of each layer's output on the held-out part: (depth - 1,), input to output."""
    return shattering.measure_responses(_load(state, None)[1].module, load_data(state.dataset).test_x)


def make_directions(state: State, seed: int) -> np.ndarray:
    """Two random filter-normalised directions of a state's weights: (2, P) float32."""
    return landscape.make_directions(_load(state, None)[1].module, seed)


def _prepare_landscape(state: State, directions: np.ndarray | int, split: str,
                       statistics: str) -> tuple[Net, np.ndarray, Tensor, Tensor]:
    for name, value, allowed in (("split", split, SPLITS), ("statistics", statistics, STATISTICS)):
        if value not in allowed:
            raise ConfigError(name, value, N_("one of {allowed}"), allowed=", ".join(allowed))
    module, data = _load(state, None)[1].module, load_data(state.dataset)
    plane = landscape.make_directions(module, directions) if isinstance(directions, int) else directions
    return module, plane, *((data.x, data.y) if split == "train" else (data.test_x, data.test_y))


def measure_landscape_rows(state: State, directions: np.ndarray | int, xs: Sequence[float], ys: Sequence[float],
                           split: str = "train", statistics: str = "stored") -> np.ndarray:
    """The loss at θ + xs[j]·d1 + ys[i]·d2, on the "train" or "test" part: (len(ys), len(xs)) float64.

    `directions` (2, P), or a seed of random ones; `statistics`: BatchNorm's "stored" ones, or those of the "batch".
    """
    module, plane, x, y = _prepare_landscape(state, directions, split, statistics)
    return landscape.measure_rows(module, plane, xs, ys, x, y, statistics)


def measure_landscape_point(state: State, directions: np.ndarray | int, u: float, v: float, split: str = "train",
                            statistics: str = "stored") -> float:
    """The loss at θ + u·d1 + v·d2 by the module itself: the plain way, to check the fast one by."""
    module, plane, x, y = _prepare_landscape(state, directions, split, statistics)
    return float(landscape.measure_rows_plainly(module, plane, [u], [v], x, y, statistics)[0, 0])


def project_trajectory(states: Sequence[State], directions: np.ndarray | int | str = "pca") -> Trajectory:
    """The weights of a run's states on the plane of `directions` (2, P) about the last; "pca" finds the principal ones.

    A whole number is the seed of random ones, of the last state. Principal directions leave γ and β out, as random ones
    do, so that the landscape on their plane is the fast one. Raises `ConfigError` where the run has diverged.
    """
    flats = [state.weights for state in states]
    if not all(np.isfinite(flat).all() for flat in flats):
        raise ConfigError("trajectory", "NaN", N_("a run whose weights are finite, and this one has diverged"))
    if isinstance(directions, str):
        still = landscape.list_norms(_load(states[-1], None)[1].module)
        directions = landscape.find_principal_directions(flats, still)
    elif isinstance(directions, int):
        directions = make_directions(states[-1], directions)
    points, explained = landscape.project(flats, directions)
    return Trajectory(points, np.asarray(directions, float), explained)


# ---------------------------------------------------------------------------------------------------- credit
# captum and torchvision take a second to import, and only these want them.


def measure_credit(state: State, method: str = "conductance", baseline: str | int = "zero",
                   samples: int | str | Source = "all", target: int | None = None, steps: int = 50) -> CreditResult:
    """What each block's shortcut and branch contributed to the target's logit, against a baseline.

    `samples` is the number of a held-out example, "class:K", "all", or a `Source`; `baseline` "zero" (an empty picture, or
    the origin), "mean" (of the training part) or the number of a held-out example; `target` a class, or None for the
    one that the net chooses for each example. `steps` is not for "deep-lift". Raises `ConfigError`.
    """
    from resnet_viz.lab import credit

    check_credit(method, CREDIT_METHODS, target, DATASETS[state.dataset].classes, steps)
    module = _load(state, None)[1].module
    x, _ = _take_samples(samples, state.dataset)
    base = _take_baseline(baseline, state.dataset).expand_as(x)
    chosen = credit.choose_target(module, x, target)
    return _split(credit, module, credit.list_cuts(module), method, x, base, chosen, steps)


def _split(credit: Any, module: Any, cuts: list, method: str, x: Tensor, base: Tensor, target: Tensor,
           steps: int) -> CreditResult:
    shortcut, branch = credit.split_credit(module, cuts, method, x, base, target, steps).numpy()
    change = (credit.read_logits(module, x, target) - credit.read_logits(module, base, target)).mean().item()
    gap = np.abs(np.nan_to_num(shortcut) + branch - change)
    error = np.divide(gap, abs(change), out=np.where(gap == 0, 0.0, np.inf), where=change != 0)
    return CreditResult(method, len(x), shortcut, branch, change, error)


def _take_samples(samples: int | str | Source, dataset: str) -> tuple[Tensor, Tensor | None]:
    """Examples (N, *shape) and their classes (N,), None of a drawn one."""
    chosen, data = read_samples(samples, dataset), load_data(dataset)
    if isinstance(chosen, Source):
        x, label = _read_source(chosen, data)
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
    from resnet_viz.lab import credit

    check_credit("conductance", CREDIT_METHODS, target, DATASETS[state.dataset].classes, 1)
    x, y = _take_samples(samples, state.dataset)
    result, chosen = np.full((2, state.lane.net.blocks), np.nan), None

    def look(operations: list[Operation]) -> np.ndarray:
        nonlocal chosen
        with _operate(state, operations, False) as module:
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
    from resnet_viz.lab import credit

    net, data = state.lane.net, DATASETS[state.dataset]
    check_credit(method, MAP_METHODS, target, data.classes, steps)
    check_map(net, data, method, window, stage)
    module = _load(state, None)[1].module
    x, _ = _take_samples(source, state.dataset)
    last = [k for k, at in enumerate(net.block_stages()) if at == stage]
    layer = module.blocks[last[-1]] if method == "grad-cam" else None
    chosen = credit.choose_target(module, x, target)
    base = _take_baseline(baseline, state.dataset)
    return credit.map_credit(module, method, x, base, chosen, steps, window, layer).numpy()


def measure_picture(model: Any, picture: np.ndarray, method: str = "integrated-gradients", target: int | None = None,
                    steps: int = 20, window: int = 32, stage: int = 3) -> PictureCredit:
    """What a `pretrained.Pretrained` sees in a picture of `pretrained.decode_picture`, and where; the baseline is black.

    `target` None is its likeliest class. Occlusion's windows overlap by half.
    """
    from resnet_viz.lab import credit, pretrained

    set_up_process()
    check_credit(method, MAP_METHODS, target, len(model.classes), steps)
    check_picture_map(window, stage)
    x, base = pretrained.prepare(picture), pretrained.prepare(np.zeros_like(picture))
    with torch.no_grad():
        likely = model.module(x)[0].softmax(0).topk(5)
    chosen = int(likely.indices[0]) if target is None else target
    found = credit.map_credit(model.module, method, x, base, torch.tensor([chosen]), steps, window, model.last_block(stage))
    plane = found[0] if method == "grad-cam" else found.sum(0)
    top = tuple((model.classes[i], p) for p, i in zip(likely.values.tolist(), likely.indices.tolist(), strict=True))
    return PictureCredit(top, chosen, model.classes[chosen], plane.numpy(), model.random)


def measure_picture_blocks(model: Any, picture: np.ndarray, method: str = "conductance", target: int | None = None,
                           steps: int = 20) -> CreditResult:
    """Credit of every block's shortcut and branch in a `pretrained.Pretrained`, on one picture; the baseline is black."""
    from resnet_viz.lab import credit, pretrained

    set_up_process()
    check_credit(method, CREDIT_METHODS, target, len(model.classes), steps)
    x, base = pretrained.prepare(picture), pretrained.prepare(np.zeros_like(picture))
    cuts = [credit.Cut(block.shortcut, block.branch) for block in model.blocks]
    chosen = credit.choose_target(model.module, x, target)
    return _split(credit, model.module, cuts, method, x, base, chosen, steps)


# ---------------------------------------------------------------------------------------------------- brought pictures
# What a page asks for: the loaded net stays on the worker.


def decode_picture(data: bytes, name: str = "") -> np.ndarray:
    """See `pretrained.decode_picture`."""
    from resnet_viz.lab import pretrained

    return pretrained.decode_picture(data, name)


def list_picture_classes() -> tuple[str, ...]:
    """The names of ImageNet's 1000 classes."""
    from resnet_viz.lab import pretrained

    return pretrained.list_classes()


def fetch_weights(name: str, note: str) -> str:
    """See `pretrained.fetch_weights`."""
    from resnet_viz.lab import pretrained

    return pretrained.fetch_weights(name, note)


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


def _load_brought(name: str, weights: str, label: str) -> Any:
    try:
        return _load_model(name, weights)
    except ConfigError as error:
        if error.field == "weights" and label:
            raise ConfigError("weights", label, error.takes, **error.params) from None
        raise


@functools.lru_cache(maxsize=2)
def _load_model(name: str, weights: str) -> Any:
    from resnet_viz.lab import pretrained

    return pretrained.load_pretrained(name, weights)
