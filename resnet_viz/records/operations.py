"""Operations on a net's blocks, and where they apply."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from resnet_viz.records.errors import N_, ConfigError, Option, RuleError, check_choice, check_number, check_whole
from resnet_viz.records.nets import MAX_DEPTH, NetConfig, plan_blocks

OPERATIONS = ("zero-w", "zero-wb", "zero-norm", "lesion", "cut-shortcut", "scale", "scale-norm", "swap")
WEIGHT_OPERATIONS = ("zero-w", "zero-wb", "zero-norm", "scale", "scale-norm", "swap")  # a net can train on after them


@dataclass(frozen=True)
class Operation:
    """One operation on one block of a trained net; W and b are W[l+2] and b[l+2], of the block's second layer.

    "zero-w" sets W = 0; "zero-wb" b too (behind BatchNorm there is no b: β took its place); "zero-norm" γ = β = 0 of
    the branch's second BatchNorm (which with pre-activation feeds g and not the sum: there "zero-w" is enough); "scale"
    takes `alpha` W and `alpha_bias` b (`alpha` b, where None), "scale-norm" γ and β likewise; "swap" exchanges all
    weights and statistics with block `other`. "lesion" drops the branch and keeps the shortcut; of a block that has been
    trained without one, as all of a plain net, it drops the whole; "cut-shortcut" keeps the branch (Veit et al. 2016,
    1605.06431). Blocks count from 0.
    """

    kind: str
    block: int
    alpha: float = 0.0
    alpha_bias: float | None = None
    other: int | None = None

    def __post_init__(self) -> None:
        check_choice("operation", self.kind, OPERATIONS)
        check_whole("block", self.block, 0, (MAX_DEPTH - 2) // 2 - 1)
        check_number("alpha", self.alpha, 0.0, 1.0)
        if self.alpha_bias is not None:
            check_number("alpha_bias", self.alpha_bias, 0.0, 1.0)
        if self.kind == "swap":
            check_whole("other", self.other, 0, (MAX_DEPTH - 2) // 2 - 1)
        elif self.other is not None:
            raise RuleError("other", self.other, N_("Only {swap} takes another block."), swap=Option("operation", "swap"))

    @property
    def blocks(self) -> tuple[int, ...]:
        """The blocks it works on: one, or two for swap."""
        return (self.block,) if self.other is None else (self.block, self.other)


def check_operation(operation: Operation, net: NetConfig) -> None:
    """Raise `ConfigError`, with the reason in words, where the operation does not apply to the net."""
    for name, k in zip(("block", "other"), operation.blocks, strict=False):
        if k >= net.blocks:
            raise ConfigError(name, k, N_("a block of this net, from {low} to {high}"), low=0, high=net.blocks - 1)
    plans = plan_blocks(net)
    plan, kind = plans[operation.block], operation.kind
    if kind in ("zero-norm", "scale-norm") and net.norm == "none":
        takes = N_("There is no BatchNorm, so {kind} has nothing to do: choose {other}.")
        other = Option("operation", {"zero-norm": "zero-wb", "scale-norm": "scale"}[kind])
        raise RuleError("operation", kind, takes, kind=Option("operation", kind), other=other)
    if kind == "cut-shortcut" and not net.residual:
        raise RuleError("operation", kind, N_("A plain net has no shortcut to cut."))
    if kind == "cut-shortcut" and not net.has_shortcut(operation.block):
        raise RuleError("operation", kind, N_("Block {block} has no shortcut to cut: it has been cut already."),
                        block=Option("block", operation.block))
    if kind == "lesion" and not net.has_shortcut(operation.block) and not plan.keeps_shape:
        takes = N_("Block {block} has no shortcut, and it changes dimensions ({inputs} → {outputs}): without it the net "
                   "would be torn in two.")
        raise RuleError("operation", kind, takes, block=Option("block", operation.block), inputs=plan.inputs,
                        outputs=plan.outputs)
    if kind == "swap" and plan.shape != plans[operation.other].shape:
        takes = N_("a block of the same shape as block {block} ({inputs} → {outputs})")
        raise ConfigError("other", operation.other, takes, block=Option("block", operation.block), inputs=plan.inputs,
                          outputs=plan.outputs)


def list_targets(kind: str, net: NetConfig) -> list[int]:
    """The blocks of a net, input to output, that a kind of operation applies to."""
    targets = []
    for operation in (Operation(kind, k, other=k if kind == "swap" else None) for k in range(net.blocks)):
        with contextlib.suppress(ConfigError):
            check_operation(operation, net)
            targets.append(operation.block)
    return targets
