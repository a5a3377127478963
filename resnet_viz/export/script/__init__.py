"""A lane of a race as a PyTorch script that stands alone: records in, the script's text out.

The script needs torch, numpy and scikit-learn, and not this package. It draws the same weights and batches and makes the
same operations in the same order as `lab`, so that it prints the same numbers to the bit on the same machine; tests run it
and compare. It holds what the run uses and no more, in the lesson's symbols, with comments in the session's language, in
under 120 lines.
"""

from __future__ import annotations

from collections.abc import Sequence

from resnet_viz.export.script import data, net, training
from resnet_viz.export.script.layout import Lines, lay_out
from resnet_viz.export.script.run import Run
from resnet_viz.records import Operation, RaceConfig, check_operation

MAX_LINES = 120
ANY = 10_000  # characters of a line, where so much was done by hand that there are too many lines otherwise


def make_script(config: RaceConfig, lane: int = 0, steps: int | None = None, operations: Sequence[Operation] = (),
                recompute: bool = False) -> str:
    """The script of one lane: its first `steps` steps (all where None), with the live changes and edits made until then.

    Then `operations` for evaluation, as on the page of operations. Raises `ConfigError` where one does not apply.
    """
    steps = config.steps if steps is None else steps
    run = Run(config, lane, steps, tuple(operations), recompute and config.lanes[lane].net.norm == "batch")
    for operation in operations:
        check_operation(operation, run.last)
    lines = write_script(run)
    whole = lay_out(lines)
    forms = (whole, [line for line in whole if line], lay_out(lines, True), lay_out(lines, True, ANY))
    return "\n".join(next((form for form in forms if len(form) < MAX_LINES), forms[-1])) + "\n"


def write_script(run: Run) -> Lines:
    """All lines, for `lay_out`."""
    parts = (data.write_head, data.write_data, net.write_block, net.write_net, net.write_weights,
             training.write_optimizer, training.write_operate, training.write_events, training.write_evaluate,
             training.write_loop, training.write_end)
    return [line for part in parts for line in part(run)]
