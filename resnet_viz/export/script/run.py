"""What a run needs of its script."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from resnet_viz.records import BlockPlan, Lane, NetConfig, Operation, RaceConfig, TrainConfig, plan_blocks


@dataclass(frozen=True)
class Run:
    """Lane `index` of a race until `steps`, then `operations` for evaluation; `recompute` BatchNorm's statistics after."""

    config: RaceConfig
    index: int
    steps: int
    operations: tuple[Operation, ...] = ()
    recompute: bool = False

    @cached_property
    def lane(self) -> Lane:
        """As it starts."""
        return self.config.lane_at(self.index, 0)

    @property
    def net(self) -> NetConfig:
        return self.lane.net

    @property
    def train(self) -> TrainConfig:
        return self.lane.train

    @property
    def conv(self) -> bool:
        return self.net.family == "conv"

    @property
    def batch(self) -> bool:
        """Whether there is BatchNorm."""
        return self.net.norm == "batch"

    @property
    def post(self) -> bool:
        """Whether g follows on the sum, and does not stand before each layer."""
        return self.net.order == "post"

    @cached_property
    def plans(self) -> list[BlockPlan]:
        return plan_blocks(self.net)

    @cached_property
    def toggles(self) -> dict[int, tuple[bool, ...]]:
        """By step, which blocks have their shortcut from there on, where live changes make these others."""
        found, before = {}, self.net.skips
        for step in self.change_steps:
            now = self.config.lane_at(self.index, step).net.skips
            if now != before:
                found[step] = now
            before = now
        return found

    @property
    def change_steps(self) -> list[int]:
        """The steps before which the race was changed live."""
        return sorted({change.step for change in self.config.changes if 0 < change.step <= self.steps})

    @cached_property
    def settings(self) -> dict[int, dict[str, Any]]:
        """By step, live changes of what the optimizer is set to."""
        return self.find_changes(["lr", *(["momentum"] if self.train.optimizer == "sgd" else []), "weight_decay"])

    def find_changes(self, names: list[str]) -> dict[int, dict[str, Any]]:
        """By step, those of the live settings that are others from there on."""
        found, before = {}, vars(self.net) | vars(self.train)
        for step in self.change_steps:
            lane = self.config.lane_at(self.index, step)
            now = vars(lane.net) | vars(lane.train)
            if changed := {name: now[name] for name in names if now[name] != before[name]}:
                found[step] = changed
            before = now
        return found

    @cached_property
    def edits(self) -> dict[int, list[Operation]]:
        """By step, the operations on the weights."""
        steps = sorted({edit.step for edit in self.config.edits if edit.lane == self.index and edit.step <= self.steps})
        return {step: self.config.edits_at(self.index, step) for step in steps}

    @cached_property
    def kinds(self) -> set[str]:
        """The operations that are made somewhere."""
        return {operation.kind for operation in (*itertools.chain(*self.edits.values()), *self.operations)}

    @cached_property
    def skips(self) -> set[bool]:
        """Whether shortcuts are there, of one block or another, at one time or another."""
        return set().union(self.net.skips, *self.toggles.values(), {False} if "cut-shortcut" in self.kinds else set())

    @cached_property
    def cuts_singly(self) -> bool:
        """Whether there is a time while it trains when some blocks have their shortcuts and others do not."""
        return any(len(set(skips)) > 1 for skips in (self.net.skips, *self.toggles.values()))

    @cached_property
    def lesions(self) -> dict[int, bool]:
        """The blocks whose branch is dropped at the end, and whether their shortcut stays; else the whole block goes."""
        blocks = sorted({item.block for item in self.operations if item.kind == "lesion"})
        return {k: self.last.has_shortcut(k) for k in blocks}

    @property
    def drops_both(self) -> bool:
        """Whether the branches of some blocks are dropped, and others as a whole."""
        return len(set(self.lesions.values())) > 1

    @cached_property
    def last(self) -> NetConfig:
        """The net as it ends, before the operations."""
        return self.config.lane_at(self.index, self.steps).net

    @property
    def ends_by_hand(self) -> bool:
        """Whether something was done after the last step."""
        return any(self.steps in found for found in (self.toggles, self.settings, self.edits))

    @property
    def projects(self) -> bool:
        """Whether there are W_s, used or not."""
        return any(plan.shortcut == "projection" for plan in self.plans)

    @property
    def resizes(self) -> bool:
        """Whether a used shortcut has to change dimensions."""
        return True in self.skips and (self.projects or any(not plan.keeps_shape for plan in self.plans))

    @property
    def decays_apart(self) -> bool:
        """Whether the decay is not what the optimizer does by itself to all parameters."""
        ever = any([self.train.weight_decay, *(changed.get("weight_decay") for changed in self.settings.values())])
        return ever and not self.train.decays_plainly
