"""The beginning of a script: what it is, what it imports, and its data."""

from __future__ import annotations

import itertools
from importlib.metadata import version

from resnet_viz.export.script.layout import Lines
from resnet_viz.export.script.run import Run
from resnet_viz.text import _


def write_head(run: Run) -> Lines:
    kind = _("Residual net") if run.net.residual else _("Plain net")
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "numpy", "scikit-learn"))
    loader = {"digits": "load_digits", "circles": "make_circles", "moons": "make_moons"}.get(run.config.dataset)
    shapes = _("(channels in, channels out, stride) of each residual block") if run.conv else _(
        "(units in, units out) of each residual block")
    return [
        f'"""ResNet Viz · {kind} · {_("{depth} layers").format(depth=run.net.depth)} · {run.config.dataset}', "",
        _("Trains the net as the lab did, and prints the same numbers: to the last bit on the same machine with"),
        _("{packages}. To run it: pip install torch numpy scikit-learn").format(packages=packages) + '"""',
        "import numpy as np", "import torch",
        loader and f"from sklearn.datasets import {loader}",
        "from sklearn.model_selection import train_test_split", "from torch import nn",
        "from torch.nn import functional as F", "",
        f"SEED, STEPS, BATCH = {run.config.seed}, {run.steps}, {run.train.batch_size}",
        f"SHAPES = {' + '.join(list_shapes(run))}  # {shapes}",
        "g = nn.ReLU()" if run.net.activation == "relu" else "g = nn.Tanh()",
        "torch.set_num_threads(1)  # " + _("one thread adds in one order, so that the bits are the same each time"),
        "torch.set_flush_denormal(True)  # " + _("numbers nearer to 0 than about 1e-38 become 0"), "",
    ]


def list_shapes(run: Run) -> list[str]:
    """The blocks' shapes, equal neighbours together: "[(8, 8, 1)] * 3"."""
    shapes = [plan.shape if run.conv else plan.shape[:2] for plan in run.plans]
    if len(set(shapes)) == len(shapes):
        return [str(shapes)]
    groups = ((shape, len(list(group))) for shape, group in itertools.groupby(shapes))
    return [f"[{shape}] * {count}" if count > 1 else f"[{shape}]" for shape, count in groups]


def write_data(run: Run) -> Lines:
    return [
        "# 1. " + _("The data: split once, then shifted and scaled so that the training part has mean 0 and variance 1."),
        *write_examples(run),
        f"x, test_x, y, test_y = train_test_split(x, y, test_size={run.config.data.test}, stratify=y, random_state=0)",
        "mean, scale = x.mean(), x.std()",
        "x, test_x = (torch.tensor((part - mean) / scale, dtype=torch.float32) for part in (x, test_x))",
        "y, test_y = (torch.tensor(part, dtype=torch.int64) for part in (y, test_y))", "",
    ]


def write_examples(run: Run) -> Lines:
    """The lines that make x (N, features) or (N, C, H, W), and y (N,)."""
    count = run.config.data.train + run.config.data.test
    return {
        "digits": ["x, y = load_digits(return_X_y=True)", run.conv and "x = x.reshape(-1, 1, 8, 8)"],
        "circles": [f"x, y = make_circles({count}, noise=0.08, factor=0.5, random_state=0)"],
        "moons": [f"x, y = make_moons({count}, noise=0.1, random_state=0)"],
        "checkerboard": [
            f"x = np.random.default_rng(0).uniform(-1, 1, ({count}, 2))",
            "y = np.floor(2 * x).sum(axis=1).astype(int) % 2",
        ],
        "spirals": [
            "rng = np.random.default_rng(0)",
            f"y = np.arange({count}) % 2",
            f"radius = np.sqrt(rng.uniform(0.02, 1.0, {count}))",
            "angle = 3 * np.pi * radius + np.pi * y",
            "x = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)",
            "x = 1.5 * x + rng.normal(0, 0.03, x.shape)",
        ],
    }[run.config.dataset]
