"""What two lanes have in common, and what they differ in, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from resnet_viz.records import Lane, plan_blocks
from resnet_viz.text import _
from resnet_viz.ui.controls import label_fields
from resnet_viz.ui.settings import COMPARABLE


def tell_difference(lanes: Sequence[Lane], now: Sequence[Lane] = ()) -> str:
    """What two lanes have in common and what not, as they start and, after live changes, `now`."""
    pairs = [(lanes[0], lanes[-1]), *([(now[0], now[-1])] if now else [])]
    names = [name for name in (*COMPARABLE, "cuts") if any(flatten(a)[name] != flatten(b)[name] for a, b in pairs)]
    same = lanes[0].net.starts_like(lanes[-1].net)
    summed = all(a.net.residual != b.net.residual for a, b in pairs)
    if set(names) <= {"skip", "shortcut", "cuts"} and summed and not has_projection([*lanes, *now]):
        return _("Two nets with the same initial weights see the same batches; all that differs is “+ a[l]”.")
    if not names:
        return _("Two nets with the same initial weights see the same batches; nothing differs.")
    if "batch_size" in names:
        told = _("Two nets start from the same weights; what differs: {names}.") if same else \
            _("Of two nets the initial weights differ, and so do: {names}.")
    else:
        told = _("Two nets with the same initial weights see the same batches; what differs: {names}.") if same else \
            _("Two nets see the same batches; what differs: {names}, and with it their initial weights.")
    return told.format(names=_(", ").join(label_fields()[name] for name in names))


def flatten(lane: Lane) -> dict[str, Any]:
    """The settings of a lane by their names; `skip` whether it has shortcuts at all, `cuts` those that it then lacks."""
    net = lane.net
    return asdict(net) | asdict(lane.train) | {"skip": net.residual, "cuts": net.cuts if net.residual else ()}


def has_projection(lanes: Sequence[Lane]) -> bool:
    """Whether one of the lanes has a W_s."""
    plans = [plan for lane in lanes if lane.net.residual for plan in plan_blocks(lane.net)]
    return any(plan.shortcut == "projection" for plan in plans)
