"""Exported scripts, run without this package: the same numbers to the bit, for each kind of net and of training."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from resnet_viz.export.script import MAX_LINES, make_script, write_script
from resnet_viz.export.script.layout import MAX_WIDTH, lay_out
from resnet_viz.export.script.run import Run
from resnet_viz.lab.experiments import training
from resnet_viz.lab.experiments.operations import edit_state, measure_operation
from resnet_viz.records import Change, ConfigError, Edit, Lane, NetConfig, Operation, RaceConfig, TrainConfig
from resnet_viz.text import use_language

STEPS = 12  # at 0 and 10 the held-out part is measured
# All scripts one after the other in one process, which is quicker than one each: importing torch takes seconds.
RUNNER = """
import contextlib, pathlib, runpy, sys
assert not any("resnet_viz" in name for name in sys.modules)
for path in sorted(pathlib.Path().glob("*.py")):
    with open(path.with_suffix(".out"), "w") as out, contextlib.redirect_stdout(out):
        runpy.run_path(str(path), run_name="__main__")
assert not any(name.startswith("resnet_viz") for name in sys.modules)
"""


@dataclass(frozen=True)
class Case:
    """A lane of a race, and the operations that follow on it."""

    race: RaceConfig
    lane: int = 0
    operations: tuple[Operation, ...] = ()
    recompute: bool = False


def case(net: NetConfig = NetConfig(depth=8), train: TrainConfig = TrainConfig(), operations: tuple = (),
         recompute: bool = False, **race) -> Case:
    lanes = race.pop("lanes", (Lane(net, train),))
    return Case(RaceConfig(steps=STEPS, lanes=lanes, **race), len(lanes) - 1, tuple(operations), recompute)


def dense(**values) -> NetConfig:
    return NetConfig(**{"depth": 8, "width": (24,)} | values)


def conv(**values) -> NetConfig:
    return NetConfig(**{"family": "conv", "depth": 8, "width": (4,), "norm": "batch", "shortcut": "zero-pad"} | values)


SKIP_OFF = (Change(5, 0, "skip", False), Change(7, 0, "lr", 0.02), Change(9, 0, "skip", True))
CUT = (Change(3, 0, "cuts", (0, 2)), Change(5, 0, "skip", False), Change(7, 0, "skip", True), Change(9, 0, "cuts", ()))
ADAMW = TrainConfig(optimizer="adamw", lr=0.002, weight_decay=0.01)
ZERO, ZERO_W = Operation("zero-wb", 1), Operation("zero-w", 1)
CASES = {
    **{f"dense-{shortcut}": case(dense(shortcut=shortcut, width=(24, 40) if shortcut != "identity" else (24,)))
       for shortcut in ("none", "identity", "zero-pad", "projection", "projection-all")},
    **{f"conv-{shortcut}": case(conv(shortcut=shortcut)) for shortcut in ("none", "zero-pad", "projection",
                                                                         "projection-all")},
    **{f"dense-{norm}-{order}-{act}": case(dense(norm=norm, order=order, activation=act, init="xavier"))
       for norm, order, act in itertools.product(("none", "batch"), ("post", "pre"), ("relu", "tanh"))},
    **{f"conv-{norm}-{order}": case(conv(norm=norm, order=order, shortcut="projection"), TrainConfig(lr=0.01))
       for norm, order in itertools.product(("none", "batch"), ("post", "pre"))},
    **{f"init-{init}-{net.family}-{net.norm}-{net.order}": case(net) for init in ("he", "xavier", "zero-last")
       for net in (dense(init=init), conv(init=init), conv(init=init, order="pre", shortcut="projection-all"))},
    **{f"data-{name}": case(dense(), dataset=name, seed=7) for name in ("spirals", "circles", "moons", "checkerboard")},
    "wide-projection": case(dense(width=(100, 600), shortcut="projection"), TrainConfig(batch_size=100)),
    "odd-batch": case(dense(norm="batch"), TrainConfig(batch_size=37)),
    "second-epoch": case(dense(), TrainConfig(batch_size=700), seed=3),
    "two-lanes": case(lanes=(Lane(dense(skip=False)), Lane(dense()))),
    "cut-projection": case(dense(skip=False, width=(24, 40), shortcut="projection")),
    "cut-conv": case(conv(skip=False, shortcut="projection")),
    "no-momentum": case(dense(), TrainConfig(momentum=0.0), changes=(Change(4, 0, "momentum", 0.9),)),
    "adamw": case(dense(), ADAMW, changes=(Change(4, 0, "momentum", 0.5), Change(6, 0, "weight_decay", 0.5))),
    "adamw-conv": case(conv(), ADAMW),
    "decay-sgd": case(dense(), TrainConfig(weight_decay=0.01)),
    "decay-decoupled": case(dense(), TrainConfig(weight_decay=0.01, decay="decoupled"), changes=SKIP_OFF),
    "decay-coupled-adamw": case(dense(), TrainConfig("adamw", 0.002, weight_decay=0.1, decay="coupled")),
    "decay-block": case(dense(shortcut="projection-all"), TrainConfig(weight_decay=0.5, decay_block=1),
                        changes=(Change(6, 0, "weight_decay", 0.0),)),
    "decay-no-bias": case(conv(), TrainConfig("adamw", 0.002, weight_decay=0.5, decay_bias=False)),
    "decay-block-no-bias": case(conv(), TrainConfig(weight_decay=0.5, decay_block=2, decay_bias=False)),
    "decay-later": case(dense(), TrainConfig(decay_bias=False), changes=(Change(3, 0, "weight_decay", 0.5),)),
    "skip-off": case(dense(), changes=SKIP_OFF),
    "skip-off-projection": case(dense(width=(24, 40), shortcut="projection"), changes=SKIP_OFF),
    "skip-off-conv": case(conv(shortcut="projection"), changes=SKIP_OFF),
    "skip-off-pre": case(conv(order="pre"), changes=SKIP_OFF),
    "skip-on": case(dense(skip=False), changes=(Change(5, 0, "skip", True),)),
    "skip-stays-on": case(dense(), changes=(Change(5, 0, "skip", True), Change(7, 0, "lr", 0.02))),
    "skip-stays-off": case(dense(skip=False), changes=(Change(5, 0, "skip", False),)),
    "skip-off-and-on-at-once": case(dense(), changes=(Change(5, 0, "skip", False), Change(5, 0, "skip", True))),
    "change-at-the-end": case(dense(), changes=(Change(STEPS, 0, "skip", False),)),
    "cuts": case(dense(cuts=(0, 2))),
    "cuts-all": case(dense(cuts=(0, 1, 2), shortcut="projection-all")),
    "cuts-later": case(dense(), changes=CUT),
    "cuts-projection": case(dense(shortcut="projection-all", cuts=(1,)), ADAMW, changes=CUT),
    "cuts-conv": case(conv(shortcut="projection", cuts=(2,)), TrainConfig(weight_decay=0.01), changes=CUT),
    "cuts-pre": case(conv(order="pre", norm="none", shortcut="projection-all"), TrainConfig(lr=0.01), changes=CUT),
    "cuts-of-a-plain-net": case(dense(skip=False, cuts=(1,)), changes=(Change(4, 0, "skip", True),)),
    "cuts-to-the-end": case(dense(norm="batch", order="pre"), changes=(Change(STEPS, 0, "cuts", (1,)),)),
    "operate-cuts": case(dense(cuts=(1,)), operations=(Operation("lesion", 0), Operation("lesion", 1),
                                                       Operation("cut-shortcut", 0), Operation("cut-shortcut", 2))),
    "operate-a-cut": case(dense(), changes=CUT[:1], operations=(Operation("lesion", 0),)),
    "edit-zero": case(dense(), edits=(Edit(5, 0, ZERO), Edit(8, 0, ZERO_W))),
    "edit-at-the-ends": case(dense(), edits=(Edit(0, 0, ZERO), Edit(STEPS, 0, Operation("zero-wb", 2)))),
    "edit-adamw": case(dense(), ADAMW, edits=(Edit(5, 0, Operation("scale", 1, 0.5, 1.0)),
                                              Edit(5, 0, Operation("scale", 2, 0.25)))),
    "edit-conv": case(conv(), edits=(Edit(4, 0, Operation("zero-norm", 1)), Edit(6, 0, Operation("scale-norm", 2, 0.5)))),
    "edit-swap": case(conv(depth=20), ADAMW, edits=(Edit(6, 0, Operation("swap", 1, other=2)),), changes=SKIP_OFF),
    "operate-lesion": case(dense(), operations=(Operation("lesion", 0), ZERO)),
    "operate-plain": case(dense(skip=False), operations=(Operation("lesion", 1), Operation("swap", 0, other=2))),
    "operate-toggled": case(dense(), operations=(Operation("lesion", 1),), changes=(Change(5, 0, "skip", False),)),
    "operate-pre": case(dense(order="pre", norm="batch"), operations=(Operation("lesion", 0),
                                                                               Operation("cut-shortcut", 2))),
    "operate-conv": case(conv(), operations=(Operation("lesion", 1), Operation("zero-norm", 2)), recompute=True),
    "everything": case(conv(depth=20, shortcut="projection", init="zero-last"),
                       TrainConfig(weight_decay=0.1, decay="decoupled", decay_block=1), changes=SKIP_OFF,
                       edits=(Edit(4, 0, Operation("swap", 1, other=2)), Edit(8, 0, Operation("scale-norm", 4, 0.3))),
                       operations=[Operation(kind, k) for kind in ("lesion", "cut-shortcut", "zero-w") for k in (1, 3)],
                       recompute=True),
    "diverging": case(dense(init="he", norm="batch"), TrainConfig(lr=100.0)),
    "diverging-dense": case(dense(init="he", activation="relu", depth=20), TrainConfig(lr=100.0)),
}


def follow(case: Case) -> tuple[list[list[float]], list[dict], int | None]:
    """What the lab has: rows of step, loss, accuracy and, where measured, those of the held-out part; the ends; and where

    it diverged."""
    race, i, rows = case.race, case.lane, []
    state = training.make_state(race.lanes[i], race.dataset, race.seed)
    while True:
        state = edit_state(state, race.edits_at(i, state.step))
        if state.step == race.steps:
            break
        stop = min([race.steps, *race.stops_after(state.step)])
        state, frame = training.advance(state, stop - state.step, race.lane_at(i, state.step))
        tests = {step: list(pair) for step, *pair in zip(frame.probe_step.tolist(), frame.test_loss.tolist(),
                                                         frame.test_accuracy.tolist(), strict=True)}
        rows += [[step, loss, accuracy, *tests.get(step, [])] for step, loss, accuracy in zip(
            itertools.count(frame.first), frame.loss.tolist(), frame.accuracy.tolist(), strict=False)]
        if frame.diverged:
            return rows, [training.finish(state)], state.step
    state = training.advance(state, 0, race.lane_at(i, state.step))[0]
    ends = [training.finish(state)]
    if case.operations:
        ends += [measure_operation(state, case.operations, case.recompute).after]
    return rows, ends, None


def read_numbers(text: str) -> tuple[list[list[float]], list[dict], int | None]:
    """The same of what a script printed; a step's held-out numbers rounded to single precision, as a frame has them."""
    rows, ends, diverged = [], [], None
    for line in text.splitlines()[1:]:
        if found := re.fullmatch(r"# diverged at step (\d+)", line):
            diverged = int(found[1])
        elif line.startswith("#"):
            ends += map(float, line.split(":")[1].split())
        else:
            step, loss, accuracy, *test = map(float, line.split(","))
            rows.append([int(step), loss, accuracy, *(float(np.float32(value)) for value in test)])
    names = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")
    return rows, [dict(zip(names, ends[k : k + 4], strict=True)) for k in range(0, len(ends), 4)], diverged


@pytest.fixture(scope="module")
def outputs(tmp_path_factory) -> dict[str, str]:
    """What each case's script printed, run in a folder of its own, isolated from this package."""
    folder = tmp_path_factory.mktemp("scripts")
    for name, item in CASES.items():
        script = make_script(item.race, item.lane, None, item.operations, item.recompute)
        (folder / f"{name}.py").write_text(script, encoding="utf-8")
    run_isolated([sys.executable, "-I", "-W", "error", "-c", RUNNER], folder)
    return {name: (folder / f"{name}.out").read_text() for name in CASES}


def run_isolated(command: list[str], folder: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=500, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize("name", CASES)
def test_numbers_are_the_same_to_the_bit(name: str, outputs: dict[str, str]) -> None:
    rows, ends, diverged = read_numbers(outputs[name])
    expected_rows, expected_ends, expected_diverged = follow(CASES[name])
    assert rows == expected_rows  # floats compared with ==: no tolerance
    assert diverged == expected_diverged
    assert np.array_equal([[*end.values()] for end in ends], [[*end.values()] for end in expected_ends], equal_nan=True)
    assert (diverged is not None) == name.startswith("diverging")


@pytest.mark.parametrize("language", ["en", "zh_CN"])
@pytest.mark.parametrize("name", CASES)
def test_scripts_are_short_and_stand_alone(name: str, language: str) -> None:
    item = CASES[name]
    use_language(language)
    try:
        script = make_script(item.race, item.lane, None, item.operations, item.recompute)
    finally:
        use_language("en")
    compile(script, name, "exec")
    assert script.count("\n") < MAX_LINES
    assert max(map(len, script.splitlines())) <= MAX_WIDTH
    imports = set(re.findall(r"^(?:from|import) (\w+)", script, re.M))
    assert imports <= {"math", "numpy", "torch", "sklearn"}


def test_a_script_by_itself(tmp_path: Path) -> None:
    """As a student runs it: one file, one process."""
    item = CASES["two-lanes"]
    (tmp_path / "net.py").write_text(make_script(item.race, item.lane), encoding="utf-8")
    out = run_isolated([sys.executable, "-I", "net.py"], tmp_path)
    rows, ends, _ = read_numbers(out)
    assert (rows, ends) == follow(item)[:2]


def test_a_script_of_the_beginning_is_that_of_the_whole() -> None:
    item = CASES["skip-off"]
    short = make_script(item.race, 0, 6)
    assert "STEPS, BATCH = 0, 6, 128" in short and "5: " in short and "7: " not in short


@pytest.mark.parametrize("language", ["en", "zh_CN"])
@pytest.mark.parametrize("net", [
    conv(depth=20, shortcut="projection", init="zero-last"),
    *(dense(depth=20, shortcut=shortcut, width=(8, 12), norm="batch", order=order, init="zero-last", cuts=(8,))
      for shortcut in ("projection", "projection-all") for order in ("post", "pre"))])
def test_many_changes_and_operations_still_fit(net: NetConfig, language: str) -> None:
    """As many as a race may have, on nets whose scripts are the longest."""
    use_language(language)
    names = ("cuts", "lr", "momentum", "weight_decay")
    changes = tuple(Change(10 * k + 1, 0, names[k % 4], 0.5 if k % 4 else tuple(range(k % 8))) for k in range(100))
    edits = tuple(Edit(10 * k + 1100, 0, Operation("swap", 1, other=2) if k % 2 else Operation("scale", 1, 0.12345, 0.5432))
                  for k in range(100))
    lane = Lane(net, TrainConfig("adamw", decay="decoupled", decay_block=1, decay_bias=False))
    operations = [Operation(kind, k) for kind in ("lesion", "cut-shortcut", "zero-w", "zero-norm") for k in range(9)]
    dataset = "digits" if net.family == "conv" else "spirals"
    race = RaceConfig(dataset, 0, edits[-1].step, (lane,), changes, edits)  # stands where it was operated on last
    script = make_script(race, 0, None, operations, True)
    use_language("en")
    compile(script, "many", "exec")
    assert script.count("\n") < MAX_LINES


@pytest.mark.parametrize("language", ["en", "zh_CN"])
def test_a_script_that_is_a_little_too_long_loses_its_blank_lines_only(language: str) -> None:
    use_language(language)
    race = RaceConfig(lanes=(Lane(conv(depth=20, shortcut="projection")),), changes=(Change(5, 0, "skip", False),),
                      edits=(Edit(7, 0, Operation("zero-norm", 1)),))
    run = Run(race, 0, race.steps, (Operation("zero-w", 1), Operation("lesion", 2)))
    long, script = lay_out(write_script(run)), make_script(race, 0, None, run.operations)
    use_language("en")
    assert len(long) >= MAX_LINES > script.count("\n")
    assert [line for line in script.split("\n") if line] == [line for line in long if line]


def test_what_does_not_apply_is_told() -> None:
    with pytest.raises(ConfigError, match="zero-norm has nothing to do"):
        make_script(RaceConfig(lanes=(Lane(dense()),)), operations=[Operation("zero-norm", 1)])
