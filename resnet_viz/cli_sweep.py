"""The command `sweep`: a grid of runs on the app's engine, kept in the app's store."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from resnet_viz.cli_effects import AXES, check_axes, check_settings
from resnet_viz.cli_options import flatten_race, parse_options, read_json
from resnet_viz.cli_words import sentence
from resnet_viz.records import N_, ConfigError, parse_field
from resnet_viz.sweeps import (
    METRICS,
    READY,
    SETTINGS,
    STORED,
    Estimate,
    SweepConfig,
    describe_place,
    list_settings,
    make_sweep,
    read_grid,
    read_settings,
)
from resnet_viz.text import _, write_number

if TYPE_CHECKING:
    from resnet_viz.engine.sweep import RunProgress, Sweep

MAX_SEEDS = 100


def read_sweep(options: argparse.Namespace) -> SweepConfig:
    """The sweep of a ready one, then of the file, then of the options. Raises `ConfigError`."""
    base, axes = {}, {}
    if options.ready is not None:
        if options.ready not in READY:
            raise ConfigError("ready", options.ready, N_("one of {allowed}"), allowed=tuple(READY))
        ready = READY[options.ready].config
        base, axes = dict(ready.base), {axis.name: axis.values for axis in ready.axes}
    if options.config is not None:
        base, axes = merge(base, axes, *read_file(read_json(options.config)))
    varied = {name.removeprefix(AXES): split_values(name.removeprefix(AXES), texts)
              for name, texts in vars(options).items() if name.startswith(AXES) and texts is not None}
    check_axes(options)
    config = make_sweep(*merge(base, axes, parse_options(options, SETTINGS), varied))
    check_settings(options, [run.race for run in config.list_runs() if run.race is not None])
    return config


def read_file(content: Any) -> tuple[dict[str, Any], dict[str, tuple]]:
    """Base and axes of a file: a grid, or settings as `train` takes them, or a race of one lane."""
    if isinstance(content, dict) and {"base", "axes"} & content.keys():
        return read_grid(content)
    if isinstance(content, dict) and "lanes" in content:
        values = flatten_race(content)
        for name in ("changes", "edits"):
            if values.pop(name):
                raise ConfigError(name, "", N_("nothing in a sweep: its runs are left alone"))
        return values, {}
    return read_settings(content), {}


def merge(base: dict, axes: dict, over: dict, varied: dict) -> tuple[dict, dict]:
    """What is given later goes first: a setting ends the axis of its name, and an axis the setting."""
    axes = {name: values for name, values in axes.items() if name not in over} | varied
    return {name: value for name, value in (base | over).items() if name not in axes}, axes


def split_values(name: str, texts: list[str]) -> tuple:
    """The values of an axis. One number for seeds is how many: 3 is 0, 1 and 2."""
    parts = [part.strip() for text in texts for part in text.split(";" if name == "width" else ",")]
    values = tuple(parse_field(name, part) for part in parts)
    if name == "seed" and len(values) == 1:
        if not isinstance(values[0], int) or not 1 <= values[0] <= MAX_SEEDS:
            raise ConfigError("seeds", values[0], N_("a whole number from {low} to {high}"), low=1, high=MAX_SEEDS)
        return tuple(range(values[0]))
    return values


def run_sweep(options: argparse.Namespace) -> dict[str, Any]:
    config = read_sweep(options)
    for run in config.list_runs():
        if run.error is not None:
            print(_("Left out, {place}: {reason}").format(place=describe_place(config, run), reason=sentence(run.error)),
                  file=sys.stderr)
    try:
        from resnet_viz.engine import headless

        sweep = headless.run_sweep(config, options.database, show_estimate, make_bar())
    except KeyboardInterrupt:
        print("\n" + _("Interrupted. What had finished is kept; the same command goes on with the rest."), file=sys.stderr)
        raise SystemExit(130) from None
    if sweep.error is not None:
        raise sweep.error
    if sweep.store_error is not None:
        print(sentence(sweep.store_error), file=sys.stderr)
    if options.json:
        return {"runs": [write_run(run) for run in sweep.runs], "seconds": sweep.seconds}
    return {describe_place(config, run.run): describe_run(run) for run in sweep.runs} | {"seconds": sweep.seconds}


def show_estimate(estimate: Estimate) -> None:
    words = _("{runs} runs to train, {known} known already: {adds} multiply-adds, about {seconds} s on {workers} workers")
    print(words.format(runs=estimate.runs, known=estimate.known, adds=write_number(estimate.multiply_adds, 2),
                       seconds=f"{estimate.seconds:.0f}", workers=estimate.workers), file=sys.stderr)


def make_bar() -> Callable[[Sweep], None]:
    """What draws the progress on stderr, and tells each run that failed or diverged, once."""
    from tqdm import tqdm

    bar, told = None, set()

    def show(sweep: Sweep) -> None:
        nonlocal bar
        bar = bar or tqdm(total=100, file=sys.stderr, bar_format="{l_bar}{bar}|{postfix}")
        for run in sweep.runs:
            if run.state in ("failed", "diverged") and id(run) not in told:
                told.add(id(run))
                place = describe_place(sweep.config, run.run)
                bar.write(_("Failed, {place}: {reason}").format(place=place, reason=sentence(run.error)) if run.error
                          else _("Diverged at step {step}, {place}").format(step=run.step, place=place), file=sys.stderr)
        bar.n, left = round(100 * sweep.fraction), sweep.seconds_left
        words = _("{done} of {runs} runs, {left} s left").format(done=sweep.done, runs=len(sweep.runs),
                                                                 left="?" if left is None else round(left))
        bar.set_postfix_str(words, refresh=words != bar.postfix)
        if sweep.state != "running":
            bar.close()

    return show


def write_run(run: RunProgress) -> dict[str, Any]:
    """One run of the output. Where there are no numbers, `error` says why."""
    result = run.result
    numbers = {name: getattr(result, name) if result is not None else None for name in METRICS}
    config = list_settings(run.run.race) if run.run.race is not None else dict(run.run.settings)
    found = {"config": config, **numbers, "diverged": run.state == "diverged", "reused": run.reused}
    return found | ({"error": sentence(run.error)} if run.error is not None else {})


def describe_run(run: RunProgress) -> str:
    """One run of the output for people. Without BatchNorm there is nothing to recompute."""
    if run.error is not None:
        return sentence(run.error)
    told = METRICS if run.run.race.lanes[0].net.norm == "batch" else STORED
    numbers = "  ".join(f"{name} {value:.4f}" for name in told if (value := getattr(run.result, name)) is not None)
    return f"{numbers}  {'diverged' if run.result.diverged else ''}  {'reused' if run.reused else ''}".rstrip()
