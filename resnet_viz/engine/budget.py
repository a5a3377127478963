"""What a measurement costs, and whether it may be made: known from its arguments, before anything is computed.

Costs are in passes of examples through a net; with the way back a pass is three. Rates are those of a slow core.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from resnet_viz.records import DATASETS, N_, ConfigError, DataShape, NetConfig, RaceConfig, Source, Words, sum_layers
from resnet_viz.sweeps import predict_seconds

if TYPE_CHECKING:
    from resnet_viz.engine.jobs import Call

SHORT_SECONDS = 1.0  # a call that takes longer leaves half of the workers to others
MAX_SECONDS = 900.0  # of one core, of one job
MAX_TRAINING = 3600.0  # the same, of training once more
MAX_BYTES = 1_000_000_000  # at once; what a task may have at all, whatever was expected, is in `tasks`
MULTIPLY_ADDS_PER_SECOND = {"dense": 20e9, "conv": 8e9}
LAYER_SECONDS = {"dense": 100e-6, "conv": 250e-6}  # of one layer in one pass, however few the examples
PICTURE_SECONDS = {"resnet18": 0.15, "resnet34": 0.3, "resnet50": 0.4}  # of one pass of one picture
PICTURE_BLOCKS = {"resnet18": 8, "resnet34": 16, "resnet50": 16}


class CostError(ConfigError):
    """A measurement that is beyond the budget."""

    TEMPLATE = N_("This measurement is too much for this server: {takes}.")

    def sentence(self, translate: Any = str, words: Words | None = None) -> str:
        instead = translate(self.params["instead"]).format(**self.params)
        takes = translate(self.takes).format(**self.params | {"instead": instead})
        return translate(self.TEMPLATE).format(takes=takes)


@dataclass(frozen=True)
class Work:
    """`examples` that pass through a net, in `batches`; `held` at once, on the way back too. In double, twice as much."""

    examples: float
    batches: float = 1.0
    held: int = 0
    double: bool = False


# ---------------------------------------------------------------------------------------------------- what is asked for
# Each takes the net, the data, and what the function in `lab` takes besides.


def finish(net: NetConfig, data: DataShape) -> Work:
    return Work(data.train + data.test, 2)


def operation(net: NetConfig, data: DataShape, operations: Sequence = (), recompute: bool = False) -> Work:
    return Work((3 + recompute) * data.train + 3 * data.test, 6 + recompute)


def each_block(net: NetConfig, data: DataShape, kind: str, recompute: bool = False) -> Work:
    return Work(net.blocks * ((1 + recompute) * data.train + data.test), (2 + recompute) * net.blocks)


def cumulative(net: NetConfig, data: DataShape, kind: str, draws: int, seed: int, recompute: bool = False) -> Work:
    times = draws * (net.blocks + 1)
    return Work(times * (recompute * data.train + data.test), (1 + recompute) * times)


def count_samples(samples: int | str | Source, data: DataShape) -> int:
    if not isinstance(samples, str):
        return 1
    return data.test if samples == "all" else -(-data.test // data.classes)


def credit(net: NetConfig, data: DataShape, method: str = "conductance", baseline: str | int = "zero",
           samples: int | str | Source = "all", target: int | None = None, steps: int = 50) -> Work:
    count = count_samples(samples, data)
    passes = {"conductance": 3 * (steps + 1), "deep-lift": 12 * net.blocks, "integrated-gradients": 3 * net.blocks * steps}
    batches = {"deep-lift": 6 * net.blocks, "integrated-gradients": 3 * net.blocks}.get(method, 3)
    return Work(count * passes[method], batches * math.ceil(count / 64), 1)


def ablation(net: NetConfig, data: DataShape, samples: int | str | Source = "all", target: int | None = None) -> Work:
    times = 2 * (net.blocks + 1)
    return Work(times * count_samples(samples, data), times)


def input_credit(net: NetConfig, data: DataShape, method: str = "integrated-gradients", source: Source = Source(),
                 target: int | None = None, baseline: str | int = "zero", steps: int = 50, window: int = 2,
                 stage: int = 0) -> Work:
    count = {"integrated-gradients": 3 * steps, "occlusion": data.features}.get(method, 3)
    return Work(count, count / 8)


def list_path_counts(shortcuts: int, samples: int) -> list[int]:
    return [min(samples, math.comb(shortcuts, k)) for k in range(shortcuts + 1)]


def length_of_paths(net: NetConfig, data: DataShape, samples_per_length: int = 20, seed: int = 0, count: int = 16) -> Work:
    shortcuts = sum(net.skips)
    paths = list_path_counts(shortcuts, samples_per_length)
    whole = 2**shortcuts if net.blocks <= 8 else 0
    return Work(3 * count * (sum(paths) + whole), 3 * (len(paths) + whole * count / 512), count, double=True)


def each_path(net: NetConfig, data: DataShape, takes: Any, count: int = 16) -> Work:
    return Work(3 * count * len(takes), 3 * max(1, len(takes) * count / 512), count, double=True)


def slopes(net: NetConfig, data: DataShape, dataset: str = "digits", seeds: Sequence[int] = (0, 1, 2),
           batch: int = 128) -> Work:
    return Work(3 * batch * len(seeds), 3 * len(seeds), batch)


def responses(net: NetConfig, data: DataShape) -> Work:
    return Work(data.test)


def landscape(net: NetConfig, data: DataShape, directions: Any, xs: Sequence[float], ys: Sequence[float],
              split: str = "train", statistics: str = "stored") -> Work:
    points = len(xs) * len(ys)
    return Work(points * (data.train if split == "train" else data.test), points)


def block(net: NetConfig, data: DataShape, *options: Any) -> Work:
    return Work(3 * data.test + 3 * 128, 6, 1)


WORK: dict[str, Callable[..., Work]] = {
    "experiments.training.finish": finish,
    "experiments.operations.measure_operation": operation,
    "experiments.operations.measure_each_block": each_block,
    "experiments.operations.measure_cumulative": cumulative,
    "experiments.attribution.measure_credit": credit,
    "experiments.attribution.measure_ablation": ablation,
    "experiments.attribution.measure_input_credit": input_credit,
    "experiments.why.measure_paths": length_of_paths,
    "experiments.why.measure_each_path": each_path,
    "experiments.why.measure_slopes": slopes,
    "experiments.why.measure_responses": responses,
    "experiments.planes.measure_landscape_rows": landscape,
    "experiments.blocks.open_block": block,
}
PICTURES = ("experiments.pictures.measure_brought_picture", "experiments.pictures.measure_brought_blocks")
# What is offered where it is too much: an argument, counted from 0, that costs in proportion; or a net of fewer layers.
DIALS = {
    "experiments.attribution.measure_credit": (4, N_("with {nearest} steps it could be done")),
    "experiments.attribution.measure_input_credit": (4, N_("with {nearest} steps it could be done")),
    "experiments.why.measure_paths": (0, N_("with {nearest} paths of each length it could be done")),
}
FEWER_LAYERS = N_("in a net of {nearest} layers it could be done")


# ---------------------------------------------------------------------------------------------------- the budget


def estimate_seconds(call: Call, depth: int | None = None) -> float:
    """What a call takes of one core; 0 where nothing is known of it."""
    return _estimate(call, depth)[0]


def _estimate(call: Call, depth: int | None = None) -> tuple[float, float]:
    """Seconds and bytes of a call, were its net's depth another."""
    name, state, arguments = call.name, call.state, call.arguments
    if name == "experiments.why.measure_autocorrelation":
        layers, seeds, points = arguments[0], arguments[4], arguments[5]
        return seeds * layers * (points * 12 * 200**2 / MULTIPLY_ADDS_PER_SECOND["dense"] + 1e-3), 0.0
    if name in PICTURES:
        return _estimate_picture(*arguments), 0.0
    if name not in WORK:
        return 0.0, 0.0
    if state is None:
        net, dataset, arguments = arguments[0], arguments[1], arguments[1:]
    else:
        net, dataset = state.lane.net, state.dataset
    net, data = net if depth is None else replace(net, depth=depth), DATASETS[dataset]
    work = WORK[name](net, data, *arguments)
    _, multiply_adds, outputs = sum_layers(net, data)
    seconds = work.examples * multiply_adds / MULTIPLY_ADDS_PER_SECOND[net.family]
    seconds += work.batches * net.depth * LAYER_SECONDS[net.family]
    return (1 + work.double) * seconds, (1 + work.double) * 12.0 * work.held * outputs


def _estimate_picture(name: str, weights: str, label: str, method: str, target: int | None, steps: int,
                      *more: Any) -> float:
    blocks = PICTURE_BLOCKS[name]
    windows = (224 // (max(2, more[0]) // 2)) ** 2 if more else blocks * steps * 3
    passes = {"conductance": 3 * steps, "deep-lift": 12 * blocks, "grad-cam": 3, "occlusion": windows,
              "integrated-gradients": 3 * steps if more else blocks * steps * 3}
    return PICTURE_SECONDS[name] * passes[method]


def check_budget(calls: Sequence[Call]) -> None:
    """Raise `CostError` where these are more than one job may be; it names what could be done instead."""
    costs = [_estimate(call) for call in calls]
    seconds, size = sum(cost[0] for cost in costs), max((cost[1] for cost in costs), default=0.0)
    if seconds <= MAX_SECONDS and size <= MAX_BYTES:
        return
    worst = calls[max(range(len(calls)), key=lambda i: costs[i][size > MAX_BYTES])]
    instead, nearest = _find_nearest(calls, worst)
    if size > MAX_BYTES:
        takes = N_("it would need some {cost} MB of memory at once, and {limit} can be had; {instead}")
        cost, limit = size / 1e6, MAX_BYTES / 1e6
    else:
        takes = N_("it would take some {cost} seconds of one core, and {limit} can be had; {instead}")
        cost, limit = seconds, MAX_SECONDS
    raise CostError("measurement", worst.name, takes, cost=f"{cost:,.0f}", limit=f"{limit:,.0f}", instead=instead,
                    nearest=nearest)


def _find_nearest(calls: Sequence[Call], worst: Call) -> tuple[str, int]:
    """What could be done instead: untranslated words, and their number."""
    def fits(others: Sequence[Call], depth: int | None = None) -> bool:
        costs = [_estimate(call, depth) for call in others]
        return sum(cost[0] for cost in costs) <= MAX_SECONDS and all(cost[1] <= MAX_BYTES for cost in costs)

    def turn(value: int) -> list[Call]:
        return [replace(call, arguments=(*call.arguments[:place], value, *call.arguments[place + 1:]))
                if call.name == worst.name else call for call in calls]

    place, words = DIALS.get(worst.name, (None, ""))
    if place is not None and len(worst.arguments) > place:
        nearest = _find_largest(range(1, worst.arguments[place]), lambda value: fits(turn(value)))
        if nearest is not None:
            return words, nearest
    net = worst.arguments[0] if worst.state is None else worst.state.lane.net
    assert isinstance(net, NetConfig), "what has no net costs no more than its page allows"
    unit = 2 if net.family == "dense" else 6
    depths = range(max(2 + unit, 2 + 2 * len(net.width)), net.depth, unit)
    return FEWER_LAYERS, _find_largest(depths, lambda depth: fits([worst], depth) and fits(calls, depth)) or depths.start


def _find_largest(values: range, fits: Callable[[int], bool]) -> int | None:
    """Of values whose cost grows, the largest that fits; None where none does."""
    count = bisect.bisect_left(values, True, key=lambda value: not fits(value))
    return values[count - 1] if count else None


def check_training(config: RaceConfig, steps: int) -> None:
    """Raise `CostError` where it takes too long to train a race's lanes so far once more."""
    each = sum(predict_seconds(RaceConfig(config.dataset, steps=1, lanes=(lane,))) for lane in config.lanes)
    if each * steps > MAX_TRAINING:
        takes = N_("it would take some {cost} seconds of one core, and {limit} can be had; {instead}")
        raise CostError("steps", steps, takes, cost=f"{each * steps:,.0f}", limit=f"{MAX_TRAINING:,.0f}",
                        instead=N_("at step {nearest} it could be done"), nearest=int(MAX_TRAINING / each))
