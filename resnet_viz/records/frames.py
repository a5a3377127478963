"""Where training stands, and what was measured of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np

from resnet_viz.records.errors import N_
from resnet_viz.records.races import Lane
from resnet_viz.records.reading import make_jsonable

PROBE_EVERY = 10  # steps; the held-out set costs as much as a training step, so not at each
OVERFLOWS = {  # what is no finite number any more; of several the first is told
    "weights": N_("the last update left a weight that is no finite number"),
    "loss": N_("the loss is no longer a finite number"),
    "gradient": N_("the loss is still finite, its gradient is not"),
    "square": N_("loss and gradient are still finite, but the gradient’s square ‖∂L/∂W‖² is beyond single precision, "
                 "3.4×10³⁸"),
    "statistics": N_("BatchNorm’s running statistics are no longer finite numbers"),
    "held_out": N_("the loss on the held-out set is no longer a finite number"),
}


@dataclass(frozen=True, eq=False)
class State:
    """Where one lane stands: all of it, so that `advance` is a pure function.

    `weights` (P,) are the parameters, flat, in the order of the net's definition; `buffers` (Q,) BatchNorm's running
    statistics; `moments` (M, P) the optimizer's: 1 row for SGD with momentum, 2 for AdamW. All float32. Batches are
    drawn from a generator that seed and step determine, so no generator's state need be kept.
    """

    lane: Lane
    dataset: str
    seed: int
    step: int
    weights: np.ndarray
    buffers: np.ndarray
    moments: np.ndarray

    @property
    def settings(self) -> dict[str, Any]:
        """The lane as it stands, data set, seed and steps, flat: what a file keeps beside the weights."""
        others = {"dataset": self.dataset, "seed": self.seed, "steps": max(self.step, 1)}  # a race has a step at least
        return asdict(self.lane.net) | asdict(self.lane.train) | others


@dataclass(frozen=True, eq=False)
class Frame:
    """What was measured in the steps `first … first + n - 1` of one lane. Arrays are float32; the step is the first axis.

    Of each step, on its training batch and before its update: `loss` (n,), `accuracy` (n,), and `gradient` (n, L) the
    norm ‖∂L/∂a[l]‖₂ per sample (root mean square over the batch) of every hidden activation, input to output.

    At the steps `probe_step` (m,), every PROBE_EVERY, of the state that the step starts from: `test_loss` and
    `test_accuracy` (m,) on the held-out set; on the step's batch `weight_gradient` (m, depth) ‖∂L/∂W‖/‖W‖ of each layer,
    and per block `ratio`, `share`, `cosine` (m, K): ‖F‖/‖s‖, ‖s‖/(‖s‖+‖F‖) and the cosine of a[l] and a[l+2], averaged
    over the samples, and `weight_norm` (m, K): the Frobenius norm ‖W[l+2]‖.
    NaN where there is nothing to measure: ratio and share where there is no shortcut, the cosine where dimensions
    differ.

    `overflow`, one of `OVERFLOWS`, says what was not finite in the step after these, which is not taken; None: nothing.
    """

    first: int
    loss: np.ndarray
    accuracy: np.ndarray
    gradient: np.ndarray
    probe_step: np.ndarray
    test_loss: np.ndarray
    test_accuracy: np.ndarray
    weight_gradient: np.ndarray
    ratio: np.ndarray
    share: np.ndarray
    cosine: np.ndarray
    weight_norm: np.ndarray
    seconds: float = 0.0
    overflow: str | None = None

    @property
    def diverged(self) -> bool:
        """Whether training had to stop here."""
        return self.overflow is not None

    def __len__(self) -> int:
        return len(self.loss)

    @property
    def stop(self) -> int:
        """The step after the last one."""
        return self.first + len(self)

    def cut(self, first: int, stop: int) -> Frame:
        """What was measured in the steps `first … stop - 1`, as far as they are here. No array is copied."""
        overflow = self.overflow if stop > self.stop else None  # that is what is wrong with the next step
        first = max(first, self.first)
        stop = max(first, min(stop, self.stop))
        rows, probes = slice(first - self.first, stop - self.first), slice(*np.searchsorted(self.probe_step, (first, stop)))
        arrays = {name: getattr(self, name)[rows if name in ROWS else probes] for name in ARRAYS}
        seconds = self.seconds * (stop - first) / max(1, len(self))
        return replace(self, first=first, **arrays, seconds=seconds, overflow=overflow)

    def to_message(self) -> dict[str, Any]:
        """Numbers, words and bytes: see `read_frame`."""
        arrays = {name: (array.dtype.str, array.shape, array.tobytes())
                  for name, array in ((name, getattr(self, name)) for name in ARRAYS)}
        return arrays | {"first": self.first, "seconds": self.seconds, "overflow": self.overflow}

    def to_jsonable(self) -> dict[str, Any]:
        """Lists and numbers; what is not finite becomes null."""
        return {f.name: make_jsonable(getattr(self, f.name)) for f in fields(self)} | {"diverged": self.diverged}


ROWS = ("loss", "accuracy", "gradient")  # a number or more of each step; of the other arrays, of each probe
ARRAYS = tuple(f.name for f in fields(Frame) if f.name not in ("first", "seconds", "overflow"))


def read_frame(message: dict[str, Any]) -> Frame:
    """A frame from what `Frame.to_message` makes of it."""
    arrays = {name: np.frombuffer(content, dtype).reshape(shape)
              for name, (dtype, shape, content) in ((name, message[name]) for name in ARRAYS)}
    return Frame(message["first"], **arrays, seconds=message["seconds"], overflow=message["overflow"])


def join_frames(frames: Sequence[Frame]) -> Frame:
    """One frame of frames that follow on each other."""
    joined = {name: np.concatenate([getattr(frame, name) for frame in frames]) for name in ARRAYS}
    return replace(frames[0], **joined, seconds=sum(frame.seconds for frame in frames), overflow=frames[-1].overflow)


@dataclass(frozen=True)
class OperationResult:
    """What operations did to a net, in evaluation mode.

    `before` and `after` hold train_accuracy, train_loss, test_accuracy and test_loss, of the whole training part and
    the held-out part. Over the held-out part and the blocks operated on, `identity_gap` is max |a[l+2] - a[l]|, None
    where dimensions differ, and `is_identity` whether a[l+2] equals a[l] in every number.
    """

    before: dict[str, float]
    after: dict[str, float]
    identity_gap: float | None
    is_identity: bool

    def to_jsonable(self) -> dict[str, Any]:
        """Numbers; what is not finite becomes null."""
        return {f.name: make_jsonable(getattr(self, f.name)) for f in fields(self)}


@dataclass(frozen=True, eq=False)
class Product:
    """What one unit of a layer adds up: u = Σ weights · inputs + bias, both (n,) float32; without BatchNorm z is u.

    With BatchNorm behind the layer z = gamma (u - mean)/√variance + beta, ε being in the variance; those four are None
    where there is none. A net with BatchNorm has no `bias`: None. Of a convolution n is 9 times the channels, in the
    order (channel, row, column), zeros of the padding included.
    """

    weights: np.ndarray
    inputs: np.ndarray
    bias: float | None
    gamma: float | None = None
    beta: float | None = None
    mean: float | None = None
    variance: float | None = None


@dataclass(frozen=True)
class BlockEffect:
    """What one block does to the held-out part, in evaluation mode, and loss and accuracy of the net with it.

    `distance` is ‖a[l+2] - a[l]‖₂, averaged over the examples, `relative` that over ‖a[l]‖₂ (of those that are not 0),
    `gap` max |a[l+2] - a[l]|, and `is_identity` whether all numbers are equal; None and False where dimensions differ.
    `is_constant`: all examples get the same a[l+2], to 1e-6. `shortcut_gap` is max |a[l+2] - g(s)| (max |a[l+2] - s|
    with pre-activation), and `is_shortcut` whether all numbers are equal; None and False where there is no shortcut.
    `loss` and `accuracy` are None where the net is not whole: its block 0 is fed the raw input.
    """

    distance: float | None
    relative: float | None
    gap: float | None
    is_identity: bool
    is_constant: bool
    shortcut_gap: float | None
    is_shortcut: bool
    loss: float | None
    accuracy: float | None


@dataclass(frozen=True, eq=False)
class BlockView:
    """One block of a net opened, under operations; only `before` is without them. All arrays are float32.

    Of one example: `rows`, every quantity on the way, (D,) or (C, H, W), by its name and in its order in
    `glass.walk_block`: a0 [n0 g0] [u1] z1 a1 [u2] z2 [s] [sum] a2; `products` of one unit in either layer, none where a
    lesion drops the branch; `picture` the example in the data's own units; `label` its class, None of a drawn one;
    `probabilities` (classes,), the softmax of the whole net's answer.

    Of the held-out part: `before` and `after`, and `scatter` (N, 2), N ≤ 1500 pairs of single numbers of a[l] (where
    `against` is "input") or s ("shortcut": dimensions differ) and a[l+2]; both None where there is neither.

    `gradient` is ‖∂L/∂W[l+1]‖ and ‖∂L/∂W[l+2]‖ in training mode, on the first 128 training examples that the seed draws.
    `probabilities` and `gradient` are None where block 0 is fed the raw input.
    """

    rows: dict[str, np.ndarray]
    products: tuple[Product, ...]
    picture: np.ndarray
    label: int | None
    probabilities: np.ndarray | None
    before: BlockEffect
    after: BlockEffect
    scatter: np.ndarray | None
    against: str | None
    gradient: tuple[float, float] | None

    def to_jsonable(self) -> dict[str, Any]:
        """Lists and numbers; what is not finite becomes null."""
        return make_jsonable(self)


@dataclass(frozen=True, eq=False)
class ProjectionView:
    """A learned W_s: `matrix` (outputs, inputs) float32 of block `block`, and `matrix_start` of the seed's initial weights.

    `drift` and `drift_start` are ‖W_s - [I; 0]‖_F of either, and `target_norm` is ‖[I; 0]‖_F: zero padding is [I; 0].
    """

    block: int
    matrix: np.ndarray
    matrix_start: np.ndarray
    drift: float
    drift_start: float
    target_norm: float

    def to_jsonable(self) -> dict[str, Any]:
        """Lists and numbers; what is not finite becomes null."""
        return make_jsonable(self)
