"""How large a batch may be, and where a long measurement can be stopped: between two batches it calls `check`."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

BYTES = 400_000_000  # of what one batch leaves behind for its way back
BYTES_PER_OUTPUT = 6  # a number in single precision, and half of the gradients still there

_thread = threading.local()


@contextlib.contextmanager
def stoppable(ask: Callable[[], None]) -> Iterator[None]:
    """Have `check` call `ask`, which raises where this thread's measurement is not to go on."""
    _thread.ask = ask
    try:
        yield
    finally:
        del _thread.ask


def check() -> None:
    if hasattr(_thread, "ask"):
        _thread.ask()


@torch.no_grad()
def count_rows(module: nn.Module, x: Tensor, most: int) -> int:
    """How many examples like the first of x (N, ...) may go through a net and back at once, by memory: from 1 to `most`."""
    outputs, training = 0, module.training

    def count(_part: nn.Module, _inputs: tuple, output: object) -> None:
        nonlocal outputs
        outputs += output.numel() * output.element_size() // 4 if isinstance(output, Tensor) else 0

    hooks = [part.register_forward_hook(count) for part in module.modules() if not any(part.children())]
    try:
        module.eval()(x[:1])
    finally:
        module.train(training)
        for hook in hooks:
            hook.remove()
    return max(1, min(most, BYTES // (BYTES_PER_OUTPUT * max(1, outputs))))
