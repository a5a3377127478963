"""Credit of blocks and places of the input, and what may be asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from resnet_viz.records.data import DATASETS, DataShape, Source, check_source
from resnet_viz.records.errors import N_, ConfigError, RuleError, check_choice, check_whole
from resnet_viz.records.nets import NetConfig
from resnet_viz.records.reading import make_jsonable

CREDIT_METHODS = ("conductance", "deep-lift", "integrated-gradients")
MAP_METHODS = ("integrated-gradients", "occlusion", "grad-cam")
BASELINES = ("zero", "mean")
MAX_CREDIT_STEPS = 1000
PRETRAINED = ("resnet18", "resnet34", "resnet50")
PICTURE_KINDS = {"PNG": ("png",), "JPEG": ("jpg", "jpeg"), "WebP": ("webp",), "AVIF": ("avif",), "GIF": ("gif",),
                 "BMP": ("bmp",)}  # what is read, and how such files end; the first picture of those that move
MAX_CLASSES = 22_000  # of a net of torchvision's kind; ImageNet as a whole has 21,841


@dataclass(frozen=True, eq=False)
class CreditResult:
    """What each block's shortcut and branch contributed to the target's logit: `shortcut` and `branch` (K,), input to
    output, in units of the logit, signed, summed over units and averaged over `samples` examples.

    Block by block their sum is `output_change`, logit(x) - logit(baseline), but for `completeness_error` (K,), |sum -
    output_change| / |output_change|: 0 where both are 0. `shortcut` is NaN where there is none. Never to be added across
    blocks. Dhamdhere et al. 2018 (1805.12233); Sundararajan et al. 2017 (1703.01365).

    In a mean errors of opposite signs cancel: `single_error` (samples,) is each example's own, at its worst block.
    """

    method: str
    samples: int
    shortcut: np.ndarray
    branch: np.ndarray
    output_change: float
    completeness_error: np.ndarray
    single_error: np.ndarray

    def to_jsonable(self) -> dict[str, Any]:
        """Lists and numbers; what is not finite becomes null. `blocks` is a list with one dict per block."""
        rows = zip(self.shortcut, self.branch, self.completeness_error, strict=True)
        blocks = [{"shortcut": float(s), "branch": float(b), "output_change": self.output_change,
                   "completeness_error": float(e)} for s, b, e in rows]
        single = {"mean": float(self.single_error.mean()), "worst": float(self.single_error.max())}
        return make_jsonable({"method": self.method, "samples": self.samples, "blocks": blocks,
                              "single_example_error": single})


def find_error(shortcut: np.ndarray, branch: np.ndarray, change: np.ndarray | float) -> np.ndarray:
    """|shortcut + branch - change| / |change|, the completeness error: 0 where both are 0. No shortcut is NaN."""
    gap = np.abs(np.nan_to_num(shortcut) + branch - change)
    return np.divide(gap, np.abs(change), out=np.where(gap == 0, 0.0, np.inf), where=np.asarray(change) != 0)


@dataclass(frozen=True, eq=False)
class AblationResult:
    """What each block's branch is really worth, alone: the whole net's number minus that without the branch, (K,) each.

    `logit` of the target's logit, averaged over the examples; `accuracy` of the share of them that is right, NaN for one
    drawn by hand. NaN where a plain net's block cannot be dropped: it changes dimensions.
    """

    logit: np.ndarray
    accuracy: np.ndarray

    def to_jsonable(self) -> dict[str, Any]:
        """Lists and numbers; what is not finite becomes null."""
        return make_jsonable(self)


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture that a person brought, as torchvision's nets see it: `pixels` (224, 224, 3) uint8, RGB. `bits` of a file's
    16 were taken for all, where its largest value leaves some empty; else None.
    """

    pixels: np.ndarray
    bits: int | None = None


@dataclass(frozen=True, eq=False)
class PictureCredit:
    """torchvision's ResNet on a picture: the likeliest classes, five at most, with their probabilities, and for class
    `target` the credit `map` (H, W) float32 of each pixel, summed over its colours. `random`: nobody trained these weights.
    """

    probabilities: tuple[tuple[str, float], ...]
    target: int
    target_name: str
    map: np.ndarray
    random: bool

    def to_jsonable(self) -> dict[str, Any]:
        """Lists and numbers; what is not finite becomes null."""
        return make_jsonable(self)


def check_credit(method: str, allowed: tuple[str, ...], target: int | None, classes: int, steps: int) -> None:
    """Raise `ConfigError` where there is no such method or class, or the number of steps is none."""
    check_choice("method", method, allowed)
    check_whole("steps", steps, 1, MAX_CREDIT_STEPS)
    if target is not None:
        check_whole("target", target, 0, classes - 1)


def check_baseline(baseline: str | int, data: DataShape) -> None:
    """Raise `ConfigError` for what is neither "zero", "mean" nor the index of a held-out example."""
    if isinstance(baseline, str):
        check_choice("baseline", baseline, BASELINES)
    else:
        check_whole("baseline", baseline, 0, data.test - 1)


def read_samples(samples: int | str | Source, dataset: str) -> Source | int | None:
    """Which examples are meant: one, all of a class (its number), or all of the held-out part (None)."""
    data = DATASETS[dataset]
    if isinstance(samples, str):
        kind, _, label = samples.partition(":")
        if samples == "all":
            return None
        if kind == "class" and label.isascii() and label.isdigit() and int(label[:9]) < data.classes:
            return int(label[:9])
        raise ConfigError("samples", samples, N_("all, a class from {first} to {last}, or the number of an example"),
                          first=0, last=data.classes - 1)
    if not isinstance(samples, Source):
        check_whole("samples", samples, 0, data.test - 1)
        return Source(samples)
    check_source(samples, dataset)
    return samples


def check_map(net: NetConfig, data: DataShape, method: str, window: int, stage: int) -> None:
    """Raise `ConfigError` where Grad-CAM has no picture to look at, or a window or a stage is none of the net's."""
    check_whole("window", window, 1, max(data.shape))
    if method == "grad-cam":
        if net.family != "conv":
            raise RuleError("method", method, N_("Grad-CAM needs a convolutional net: a dense one keeps no places."))
        check_whole("stage", stage, 0, len(net.stage_widths) - 1)


def check_pretrained(name: str) -> None:
    check_choice("net", name, PRETRAINED)


def check_picture_map(window: int, stage: int) -> None:
    check_whole("window", window, 1, 224)
    check_whole("stage", stage, 0, 3)
