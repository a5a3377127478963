"""A recording: a whole run of every lane, every row and every probe, to the bit, as one JSON object.

    {"format": "resnet-viz recording", "version": 1, "config": the race, "race": …, "marks": […], "lanes": [lane, …]}

A lane has `arrays` by the names of `Frame`: `shape`, and `data`, float32 in little-endian order, in base64. The step is the
first axis: of `loss`, `accuracy`, `gradient` each step from 0 on; of the others the steps in `probe_step`. The last row is
where training ended: measured, and not trained on. `net` is what the board draws of the net, `stages` what of it changes on
the way, and `marks` where its shortcuts were cut and mended: step, blocks cut, blocks mended. `overflow` says why a run
ended before its limit.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from resnet_viz.export.board import describe_net, find_cuts
from resnet_viz.records import Frame, RaceConfig, frames

FORMAT, VERSION = "resnet-viz recording", 1
ARRAYS = tuple(name for name in frames.ARRAYS if name != "probe_step")  # whole numbers


def make_recording(config: RaceConfig, runs: Sequence[Frame]) -> dict[str, Any]:
    """A recording of a race's lanes. `runs` are their frames from step 0 on, each lane's joined to one."""
    ends = [len(run) - 1 for run in runs]
    data = config.data
    race = {"id": "", "limit": config.steps, "recorded": max(ends), "chance": 1 / data.classes, "classes": data.classes,
            "lanes": [describe_net(lane.net, data) for lane in config.lanes]}
    lanes = [describe_run(config, i, run) for i, run in enumerate(runs)]
    return {"format": FORMAT, "version": VERSION, "config": json.loads(config.to_json()), "race": race, "lanes": lanes}


def describe_run(config: RaceConfig, lane: int, run: Frame) -> dict[str, Any]:
    steps = sorted({0, *(change.step for change in config.changes if change.lane == lane)})
    nets = [config.lane_at(lane, step).net for step in steps]
    stages = [{"step": step, "skip": net.residual, "cuts": find_cuts(net)} for step, net in zip(steps, nets, strict=True)]
    first = config.lanes[lane]
    return {"net": describe_net(first.net, config.data), "stages": stages, "marks": config.list_cuts(lane),
            "watched": first.train.decay_block, "overflow": run.overflow, "probe_step": run.probe_step.tolist(),
            "arrays": {name: write_array(getattr(run, name)) for name in ARRAYS}}


def write_array(values: np.ndarray) -> dict[str, Any]:
    return {"shape": list(values.shape), "data": base64.b64encode(np.ascontiguousarray(values, "<f4").tobytes()).decode()}


def read_array(array: dict[str, Any]) -> np.ndarray:
    """The array that `write_array` wrote: float32."""
    return np.frombuffer(base64.b64decode(array["data"]), "<f4").reshape(array["shape"])


def write_recording(recording: dict[str, Any]) -> bytes:
    """Compressed by gzip, the same bytes for the same run."""
    return gzip.compress(json.dumps(recording, separators=(",", ":"), allow_nan=False).encode(), mtime=0)
