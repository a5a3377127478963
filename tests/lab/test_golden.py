"""Golden bits: what each kind of net and of training comes to, to the last bit, so that no change of bits goes unnoticed.

Bits differ between processors, so the training runs in a process of its own in which what looks at the processor is pinned:
PyTorch's own kernels to those without vector extensions (ATEN_CPU_CAPABILITY), MKL's matrix products to the one path that
all processors have (MKL_CBWR: the only one that is promised on other than Intel's); oneDNN, whose blocks depend on the
processor's caches, is off. Other versions of PyTorch and other kinds of processors may round otherwise: there the
test is skipped, and says so. `python tests/lab/test_golden.py` prints the bits there are.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
STEPS = 21  # the last is measured in full, as the first and the eleventh
PINNED = {"ATEN_CPU_CAPABILITY": "default", "MKL_CBWR": "COMPATIBLE", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
GOLDEN = {  # by PyTorch's version
    "2.14.1": {
        "dense": "db2800d19065e39b",
        "dense-plain": "ba3d7c5e7999d4c2",
        "dense-zero-pad": "bf72a5c2fb55188f",
        "dense-projection": "e487bc7fb367cbb6",
        "dense-batch": "818e310239b25ae8",
        "dense-pre-tanh": "c45eb44c5a03593b",
        "conv": "7ed7e388b2ecb973",
        "conv-plain": "e64665e5688a9ae1",
        "conv-projection": "b6d0c130cd15563a",
        "conv-pre": "c65bf3d576b125c3",
        "conv-none": "19e8e893d9770039",
        "conv-tanh": "75b54b79b537e332",
        "adamw": "4ed0a0a9423fe79a",
        "no-momentum": "85901f8e473f9e6a",
        "coupled": "96f2b664ca0b7cf4",
        "decoupled": "09c410299e8196ad",
    },
}


def list_lanes() -> dict:
    from resnet_viz.records import Lane, NetConfig, TrainConfig

    conv = {"family": "conv", "depth": 8, "width": (4,), "shortcut": "zero-pad", "norm": "batch"}
    slow, adamw = TrainConfig(lr=0.01), TrainConfig("adamw", 0.002, weight_decay=0.01)
    return {
        "dense": Lane(NetConfig(depth=8)),
        "dense-plain": Lane(NetConfig(depth=8, skip=False)),
        "dense-zero-pad": Lane(NetConfig(shortcut="zero-pad", depth=8, width=(16, 24))),
        "dense-projection": Lane(NetConfig(shortcut="projection", depth=8, width=(24, 16))),
        "dense-batch": Lane(NetConfig(depth=8, norm="batch")),
        "dense-pre-tanh": Lane(NetConfig(depth=8, order="pre", activation="tanh", init="xavier"), slow),
        "conv": Lane(NetConfig(**conv)),
        "conv-plain": Lane(NetConfig(**conv | {"skip": False})),
        "conv-projection": Lane(NetConfig(**conv | {"shortcut": "projection-all"})),
        "conv-pre": Lane(NetConfig(**conv | {"order": "pre", "init": "zero-last"})),
        "conv-none": Lane(NetConfig(**conv | {"norm": "none"}), slow),
        "conv-tanh": Lane(NetConfig(**conv | {"activation": "tanh", "init": "xavier"})),
        "adamw": Lane(NetConfig(depth=8), adamw),
        "no-momentum": Lane(NetConfig(depth=8), TrainConfig(momentum=0.0)),
        "coupled": Lane(NetConfig(depth=8, init="he"), TrainConfig("adamw", 0.002, weight_decay=0.1, decay="coupled")),
        "decoupled": Lane(NetConfig(depth=8), TrainConfig(weight_decay=0.01, decay="decoupled", decay_bias=False)),
    }


def hash_run(lane) -> str:
    """The hash of all numbers that a run keeps: the state, what was measured on the way, and the ends."""
    from resnet_viz.lab.experiments import training

    state, frame = training.advance(training.make_state(lane, "digits", 0), STEPS)
    arrays = [state.weights, state.buffers, state.moments]
    arrays += [value for name, value in vars(frame).items() if name != "seconds" and isinstance(value, np.ndarray)]
    arrays.append(np.array([*training.finish_run(state).values()]))
    assert np.isfinite(state.weights).all() and len(frame.loss) == STEPS
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()[:16]


def test_the_bits_are_those_of_this_version_of_the_numbers() -> None:
    version = importlib.metadata.version("torch")
    if version not in GOLDEN or platform.machine() != "x86_64":
        known = ", ".join(GOLDEN)
        pytest.skip(f"golden bits are of PyTorch {known} on x86_64, and this is {version} on {platform.machine()}")
    done = subprocess.run([sys.executable, __file__], cwd=ROOT, env=os.environ | PINNED, capture_output=True, text=True,
                          timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    moved = [name for name in found if GOLDEN[version].get(name) != found[name]]
    assert not moved, f"the bits of {', '.join(moved)} moved: raise NUMBERS"
    assert found == GOLDEN[version]


if __name__ == "__main__":
    import torch

    torch.backends.mkldnn.enabled = False
    print(json.dumps({name: hash_run(lane) for name, lane in list_lanes().items()}, indent=4))
