"""A lane of a race as a PyTorch script that stands alone: records in, the script's text out.

The script needs torch, numpy and scikit-learn, and not this package. It draws the same weights and batches and makes the
same operations in the same order as `lab`, so that it prints the same numbers to the bit on the same machine; tests run it
and compare. It holds what the run uses and no more, in the lesson's symbols, with comments in the session's language, in
under 120 lines.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import version
from typing import Any

from resnet_viz.records import (
    LIVE_FIELDS,
    WEIGHT_OPERATIONS,
    BlockPlan,
    Lane,
    NetConfig,
    Operation,
    RaceConfig,
    TrainConfig,
    check_operation,
    plan_blocks,
)
from resnet_viz.text import _

MAX_LINES = 120
MAX_WIDTH = 110  # characters of a line
ANY = 10_000  # the same, where so much was done by hand that there are too many lines otherwise
PROBE_EVERY = 10  # as in `experiments`


@dataclass(frozen=True)
class Run:
    """Lane `index` of a race until `steps`, then `operations` for evaluation; `recompute` BatchNorm's statistics after."""

    config: RaceConfig
    index: int
    steps: int
    operations: tuple[Operation, ...] = ()
    recompute: bool = False
    table_width: int = MAX_WIDTH  # of lines that list what was done by hand

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

    @cached_property
    def plans(self) -> list[BlockPlan]:
        return plan_blocks(self.net)

    @cached_property
    def changes(self) -> dict[int, dict[str, Any]]:
        """By step, the live settings that are others from there on."""
        found, before = {}, read_live(self.lane)
        for step in sorted({change.step for change in self.config.changes if 0 < change.step <= self.steps}):
            now = read_live(self.config.lane_at(self.index, step))
            if changed := {name: value for name, value in now.items() if value != before[name]}:
                found[step] = changed
            before = now
        return found

    @cached_property
    def settings(self) -> dict[int, dict[str, Any]]:
        """By step, the live changes of what the optimizer is set to."""
        found = {step: {name: value for name, value in changed.items() if name != "skip"}
                 for step, changed in self.changes.items()}
        return {step: changed for step, changed in found.items() if changed}

    @cached_property
    def edits(self) -> dict[int, list[Operation]]:
        """By step, the operations on the weights."""
        found: dict[int, list[Operation]] = {}
        for edit in self.config.edits:
            if edit.lane == self.index and edit.step <= self.steps:
                found.setdefault(edit.step, []).append(edit.operation)
        return found

    @cached_property
    def kinds(self) -> set[str]:
        """The operations that are made somewhere."""
        return {operation.kind for operation in (*itertools.chain(*self.edits.values()), *self.operations)}

    @cached_property
    def skips(self) -> set[bool]:
        """Whether the shortcuts are there, at one time or another."""
        skips = {self.net.residual} | {changed["skip"] for changed in self.changes.values() if "skip" in changed}
        return skips | ({False} if "cut-shortcut" in self.kinds else set())

    @cached_property
    def last(self) -> NetConfig:
        """The net as it ends, before the operations."""
        return self.config.lane_at(self.index, self.steps).net

    @property
    def ends_by_hand(self) -> bool:
        """Whether something was done after the last step."""
        return self.steps in self.changes or self.steps in self.edits

    @property
    def projects(self) -> bool:
        """Whether there are W_s, used or not."""
        return any(plan.shortcut == "projection" for plan in self.plans)

    @property
    def resizes(self) -> bool:
        """Whether a used shortcut has to change dimensions."""
        return True in self.skips and (self.projects or any(not plan.keeps_shape for plan in self.plans))

    @property
    def norms_shortcut(self) -> bool:
        """Whether BatchNorm follows on W_s."""
        return self.net.norm == "batch" and self.net.order == "post"

    @property
    def decays_apart(self) -> bool:
        """Whether the decay is not what the optimizer does by itself to all parameters."""
        train, ever = self.train, self.train.weight_decay != 0
        ever = ever or any(changed.get("weight_decay", 0) != 0 for changed in self.changes.values())
        own = train.decay == "own" or (train.decay == "coupled") == (train.optimizer == "sgd")
        return ever and not (own and train.decay_block is None and train.decay_bias)


def read_live(lane: Lane) -> dict[str, Any]:
    """The settings that may change in the middle of a run, of those that make a difference."""
    found = {name: getattr(lane.net if name == "skip" else lane.train, name) for name in LIVE_FIELDS}
    without = {"skip"} if lane.net.shortcut == "none" else set()
    without |= {"momentum"} if lane.train.optimizer == "adamw" else set()
    return {name: value for name, value in found.items() if name not in without}


def make_script(config: RaceConfig, lane: int = 0, steps: int | None = None, operations: Sequence[Operation] = (),
                recompute: bool = False) -> str:
    """The script of one lane: its first `steps` steps (all where None), with the live changes and edits made until then.

    Then `operations` for evaluation, as on the page of operations. Raises `ConfigError` where one does not apply.
    """
    steps = config.steps if steps is None else steps
    run = Run(config, lane, steps, tuple(operations), recompute and config.lanes[lane].net.norm == "batch")
    for operation in operations:
        check_operation(operation, run.last)
    text = write_script(run)
    forms = (text, text.replace("\n\n", "\n"), squeeze(text), squeeze(write_script(replace(run, table_width=ANY)), ANY))
    return next((form for form in forms if form.count("\n") < MAX_LINES), forms[-1])


def write_script(run: Run) -> str:
    parts = (write_head, write_data, write_net, write_weights, write_training, write_end)
    return "\n".join(line for part in parts for line in part(run)) + "\n"


def squeeze(text: str, width: int = MAX_WIDTH) -> str:
    """The same script with fewer lines: none blank, no comment on its own, "if a:" and its only statement in one."""
    lines = [line for line in text.split("\n") if line and not re.match(r' *(# (?![1-5]\. )|"""(?!ResNet|a\[l))', line)]
    depths = [len(line) - len(line.lstrip()) for line in lines]
    found: list[str] = []
    for i, line in enumerate(lines):
        before = lines[i - 1] if i else ""
        only = depths[i] > depths[i - 1] and (i + 1 == len(lines) or depths[i + 1] < depths[i])
        opens = before.endswith(":") and before.lstrip().startswith(("if ", "for ", "else:", "with "))
        if only and opens and found[-1] == before and len(before) + len(line.lstrip()) < width:
            found[-1] += " " + line.lstrip()
        else:
            found.append(line)
    return "\n".join(found) + "\n"


def note(code: str, comment: str) -> list[str]:
    """A line of code with its comment, which stands before it where a line cannot hold both."""
    line = f"{code}  # {comment}"
    if len(line) <= MAX_WIDTH - 8:  # the line may be indented
        return [line]
    return [f"{' ' * (len(code) - len(code.lstrip()))}# {comment}", code]


def indent(lines: Iterable[str], by: int = 4) -> list[str]:
    return [" " * by + line for line in lines]


def write_table(start: str, items: Iterable[str], end: str, width: int = MAX_WIDTH) -> list[str]:
    """Items between brackets, as many to a line as fit."""
    lines, line = [], start
    for item in items:
        if line not in (start, "    ") and len(line) + len(item) + len(end) > width:
            lines.append(line.rstrip())
            line = "    "
        line += item + ", "
    return [*lines, line.rstrip().rstrip(",") + end]


# ---------------------------------------------------------------------------------------------------- head and data


def name_net(run: Run) -> str:
    """The net in a few words."""
    kind = _("Residual net") if run.net.residual else _("Plain net")
    return f"{kind} · {_('{depth} layers').format(depth=run.net.depth)} · {run.config.dataset}"


def write_head(run: Run) -> list[str]:
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "numpy", "scikit-learn"))
    loader = {"digits": "load_digits", "circles": "make_circles", "moons": "make_moons"}.get(run.config.dataset)
    conv = run.net.family == "conv"
    shapes = _("(channels in, channels out, stride) of each residual block") if conv else _(
        "(units in, units out) of each residual block")
    return [
        '"""ResNet Viz · ' + name_net(run), "",
        _("Trains the net as the lab did, and prints the same numbers: to the last bit on the same machine with"),
        _("{packages}. To run it: pip install torch numpy scikit-learn").format(packages=packages) + '"""',
        "import numpy as np", "import torch",
        *([f"from sklearn.datasets import {loader}"] if loader else []),
        "from sklearn.model_selection import train_test_split", "from torch import nn",
        "from torch.nn import functional as F", "",
        f"SEED, STEPS, BATCH = {run.config.seed}, {run.steps}, {run.train.batch_size}",
        *note("SHAPES = " + " + ".join(list_shapes(run)), shapes),
        "g = nn.ReLU()" if run.net.activation == "relu" else "g = nn.Tanh()",
        *note("torch.set_num_threads(1)", _("one thread adds in one order, so that the bits are the same each time")),
        *note("torch.set_flush_denormal(True)", _("numbers nearer to 0 than about 1e-38 become 0")), "",
    ]


def list_shapes(run: Run) -> list[str]:
    """The blocks' shapes, equal neighbours together: "[(8, 8, 1)] * 3"."""
    shapes = [plan.shape if run.net.family == "conv" else plan.shape[:2] for plan in run.plans]
    if len(set(shapes)) == len(shapes):
        return [str(shapes)]
    groups = ((shape, len(list(group))) for shape, group in itertools.groupby(shapes))
    return [f"[{shape}] * {count}" if count > 1 else f"[{shape}]" for shape, count in groups]


def write_data(run: Run) -> list[str]:
    data = run.config.data
    return [
        "# 1. " + _("The data: split once, then shifted and scaled so that the training part has mean 0 and variance 1."),
        *write_examples(run),
        f"x, test_x, y, test_y = train_test_split(x, y, test_size={data.test}, stratify=y, random_state=0)",
        "mean, scale = x.mean(), x.std()",
        "x, test_x = (torch.tensor((part - mean) / scale, dtype=torch.float32) for part in (x, test_x))",
        "y, test_y = (torch.tensor(part, dtype=torch.int64) for part in (y, test_y))", "",
    ]


def write_examples(run: Run) -> list[str]:
    """The lines that make x (N, features) or (N, C, H, W), and y (N,)."""
    data = run.config.data
    count = data.train + data.test
    if run.config.dataset == "digits":
        shape = ["x = x.reshape(-1, 1, 8, 8)"] if run.net.family == "conv" else []
        return ["x, y = load_digits(return_X_y=True)", *shape]
    if run.config.dataset == "circles":
        return [f"x, y = make_circles({count}, noise=0.08, factor=0.5, random_state=0)"]
    if run.config.dataset == "moons":
        return [f"x, y = make_moons({count}, noise=0.1, random_state=0)"]
    if run.config.dataset == "checkerboard":
        return [f"x = np.random.default_rng(0).uniform(-1, 1, ({count}, 2))",
                "y = np.floor(2 * x).sum(axis=1).astype(int) % 2"]
    return [
        "rng = np.random.default_rng(0)",
        f"y = np.arange({count}) % 2",
        f"radius = np.sqrt(rng.uniform(0.02, 1.0, {count}))",
        "angle = 3 * np.pi * radius + np.pi * y",
        "x = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)",
        "x = 1.5 * x + rng.normal(0, 0.03, x.shape)",
    ]


# ---------------------------------------------------------------------------------------------------- the net


def write_net(run: Run) -> list[str]:
    """The class of a block, and the net."""
    conv = run.net.family == "conv"
    return [
        "# 2. " + _("The net: a first layer, the blocks, a last layer."),
        "class Block(nn.Module):",
        f'    """{write_formula(run)}"""',
        *write_flags(run),
        f"    def __init__(self, inputs, outputs{', stride' if conv else ''}):",
        "        super().__init__()",
        *indent(write_layers(run), 8),
        "    def forward(self, a):  # a[l]",
        *indent(write_branch(run), 8),
        *indent(write_lesion(run), 8),
        *indent(write_shortcut(run), 8),
        f"        return {'out' if run.net.order == 'pre' else 'g(out)'}  # a[l+2]", "",
        *write_whole(run), "",
    ]


def write_flags(run: Run) -> list[str]:
    """What a block can be told to do without, where it can."""
    flags = {"skip": run.net.residual} if len(run.skips) > 1 else {}
    flags |= {"lesion": False} if "lesion" in run.kinds else {}
    return [f"    {', '.join(flags)} = {', '.join(map(str, flags.values()))}"] if flags else []


def write_formula(run: Run) -> str:
    """What a block computes."""
    shortcut = "a[l]"
    if run.resizes:
        shortcut = "[a[l]; 0]" if run.net.shortcut == "zero-pad" else "W_s a[l]"
    inner = f"F(a[l]) + {shortcut}" if True in run.skips else "F(a[l])"
    inner = inner if run.net.order == "pre" else f"g({inner})"
    where = _(", where F(a[l]) = {branch}")
    branch = "W[l+2] g(W[l+1] g(a[l]))" if run.net.order == "pre" else "W[l+2] g(W[l+1] a[l] + b[l+1]) + b[l+2]"
    if run.net.norm == "batch":
        branch = "W[l+2] g(N(W[l+1] g(N(a[l]))))" if run.net.order == "pre" else "N(W[l+2] g(N(W[l+1] a[l])))"
        where += _(" and N is BatchNorm")
    return f"a[l+2] = {inner}" + where.format(branch=branch)


def write_layers(run: Run) -> list[str]:
    """The layers of a block. Their order is that of the weights in memory."""
    net, conv, batch = run.net, run.net.family == "conv", run.net.norm == "batch"
    norm, bias = f"nn.BatchNorm{2 if conv else 1}d", ", bias=False" if batch else ""
    first = f"nn.Conv2d(inputs, outputs, 3, stride, padding=1{bias})" if conv else f"nn.Linear(inputs, outputs{bias})"
    second = f"nn.Conv2d(outputs, outputs, 3, padding=1{bias})" if conv else f"nn.Linear(outputs, outputs{bias})"
    lines = note(f"self.layer1 = {first}", "W[l+1]" if batch else "W[l+1], b[l+1]")
    lines += [f"self.norm1 = {norm}({'inputs' if net.order == 'pre' else 'outputs'})"] if batch else []
    lines += note(f"self.layer2 = {second}", "W[l+2]" if batch else "W[l+2], b[l+2]")
    lines += [f"self.norm2 = {norm}(outputs)"] if batch else []
    if run.projects:
        layer = "nn.Conv2d(inputs, outputs, 1, stride, bias=False)" if conv else "nn.Linear(inputs, outputs, bias=False)"
        only = "" if net.shortcut == "projection-all" else " if inputs != outputs else None"
        used = _("W_s, where shapes differ") if only else _("W_s, on every shortcut")
        used = used if True in run.skips else _("W_s, cut: it is there, but unused")
        lines += note(f"self.w_s = {layer}{only}", used)
        lines += [f"self.norm_s = {norm}(outputs){only}"] if run.norms_shortcut else []
    return lines


def write_branch(run: Run) -> list[str]:
    norm1, norm2 = ("self.norm1({})", "self.norm2({})") if run.net.norm == "batch" else ("{}", "{}")
    if run.net.order == "pre":
        z1 = norm2.format(f"self.layer1(g({norm1.format('a')}))")
        return [f"a1 = g({z1})  # a[l+1]", *note("out = self.layer2(a1)", _("F(a[l]), the branch"))]
    return [f"a1 = g({norm1.format('self.layer1(a)')})  # a[l+1] = g(z[l+1])",
            *note(f"out = {norm2.format('self.layer2(a1)')}", _("z[l+2] = F(a[l]), the branch"))]


def write_lesion(run: Run) -> list[str]:
    if "lesion" not in run.kinds:
        return []
    if run.last.residual:
        return ["if self.lesion:", *indent(note("out = torch.zeros_like(out)", _("the branch is dropped")))]
    return ["if self.lesion:", *indent(note("out = torch.zeros_like(out) + a", _("the whole block is dropped")))]


def write_shortcut(run: Run) -> list[str]:
    """Adding the shortcut to `out`."""
    if True not in run.skips:
        return []
    lines = []
    if run.resizes and run.net.shortcut == "zero-pad":
        pad = "F.pad(a, (0, out.shape[1] - a.shape[1]))"
        words = _("zeros for the new units")
        if run.net.family == "conv":
            pad = "F.pad(a[:, :, ::2, ::2], (0, 0, 0, 0, 0, out.shape[1] - a.shape[1]))"
            words = _("every second pixel, and zeros for the new channels")
        lines = ["if a.shape != out.shape:", *indent(note(f"a = {pad}", words))]
    elif run.resizes:
        projected = "self.norm_s(self.w_s(a))" if run.norms_shortcut else "self.w_s(a)"
        lines = [f"a = {projected}" + ("" if run.net.shortcut == "projection-all" else " if self.w_s is not None else a")]
    lines += note("out = out + a", _("the skip connection"))
    return ["if self.skip:", *indent(lines)] if len(run.skips) > 1 else lines


def write_whole(run: Run) -> list[str]:
    """The parts of the net, and the net."""
    net, data, conv, batch = run.net, run.config.data, run.net.family == "conv", run.net.norm == "batch"
    first, last, bias = net.stage_widths[0], net.stage_widths[-1], ", bias=False" if batch else ""
    stem = f"nn.Linear({data.features}, {first}{bias})"
    stem = f"nn.Conv2d({data.shape[0]}, {first}, 3, padding=1{bias})" if conv else stem
    norm = [f"nn.BatchNorm{2 if conv else 1}d({first if net.order == 'post' else last})"] if batch else []
    middle = [*norm, "g", "*blocks"] if net.order == "post" else ["*blocks", *norm, "g"]
    pool = ["nn.AdaptiveAvgPool2d(1)", "nn.Flatten()"] if conv else []
    words = _("the pooling takes the mean of each channel") if conv else _("x to z, a number per class")
    return [f"stem, head = {stem}, nn.Linear({last}, {data.classes})",
            "blocks = [Block(*shape) for shape in SHAPES]",
            *note(f"net = nn.Sequential({', '.join(['stem', *middle, *pool, 'head'])})", words)]


# ---------------------------------------------------------------------------------------------------- weights


def write_weights(run: Run) -> list[str]:
    """Drawing the initial weights."""
    net = run.net
    lines = ["# 3. " + _("The initial weights, drawn layer by layer from the seed."),
             "inner = [layer for block in blocks for layer in (block.layer1, block.layer2)]"]
    layers = "[stem, *inner, head]"
    if run.projects:
        only = "" if net.shortcut == "projection-all" else " if block.w_s is not None"
        lines += [*note(f"projections = [block.w_s for block in blocks{only}]",
                        _("drawn apart, so that nets with and without W_s start alike")),
                  f"for seed, layers in ((SEED, {layers}), (SEED + 2**32, projections)):",
                  "    generator = torch.Generator().manual_seed(seed)", "    for layer in layers:",
                  *indent(write_draw(net), 8)]
    else:
        lines += ["generator = torch.Generator().manual_seed(SEED)", f"for layer in {layers}:", *indent(write_draw(net))]
    if net.init == "zero-last":
        last = "norm2" if net.norm == "batch" and net.order == "post" else "layer2"
        lines += [f"for p in [p for block in blocks for p in block.{last}.parameters()]:",
                  *note("    nn.init.zeros_(p)", _("at the start every branch is 0"))]
    return [*lines, ""]


def write_draw(net: NetConfig) -> list[str]:
    """Drawing W and b of one layer."""
    if net.init == "he":
        lines = note('nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)', "N(0, 2 / n_in)")
        bias = "nn.init.zeros_(layer.bias)"
    elif net.init == "xavier":
        lines = note("nn.init.xavier_normal_(layer.weight, generator=generator)", "N(0, 2 / (n_in + n_out))")
        bias = "nn.init.zeros_(layer.bias)"
    else:
        lines = [*note("bound = 1 / np.sqrt(layer.weight[0].numel())", _("1 / √n_in: PyTorch’s default")),
                 "nn.init.uniform_(layer.weight, -bound, bound, generator=generator)"]
        bias = "nn.init.uniform_(layer.bias, -bound, bound, generator=generator)"
    if net.norm == "none" and not net.shortcut.startswith("projection"):
        return [*lines, bias]
    return [*lines, "if layer.bias is not None:", f"    {bias}"]


# ---------------------------------------------------------------------------------------------------- training


def write_training(run: Run) -> list[str]:
    return ["# 4. " + _("Training. All W and b lie in one vector, so that the optimizer moves them at once."),
            *write_optimizer(run), *write_operate(run), *write_events(run), *write_evaluate(run), *write_loop(run)]


def write_optimizer(run: Run) -> list[str]:
    """All parameters as one vector, and the optimizer that moves it."""
    train, apart = run.train, run.decays_apart
    settings = f"lr={train.lr!r}" + (f", momentum={train.momentum!r}" if train.optimizer == "sgd" else "")
    settings += f", weight_decay={0.0 if apart else train.weight_decay!r}"
    name = {"sgd": "SGD", "adamw": "AdamW"}[train.optimizer]
    lines = ["parameters = list(net.parameters())",
             "weights = nn.Parameter(torch.cat([p.detach().flatten() for p in parameters]))",
             "for p, part in zip(parameters, weights.detach().split([p.numel() for p in parameters])):",
             *indent(note("p.data = part.view_as(p)", _("each layer looks at its part of the vector"))),
             f"optimizer = torch.optim.{name}([weights], {settings}, fused=True)"]
    if apart or run.settings:
        lines += ["settings = optimizer.param_groups[0]"]
    if apart:
        stretched = "torch.full_like(p, decaying(name)).flatten()"
        lines += [f'settings["decay"] = {train.weight_decay!r}  # λ',
                  f"decaying = lambda name: {write_rule(run.net, train)}",
                  *note(f"decays = torch.cat([{stretched} for name, p in net.named_parameters()])",
                        _("1 for what decays, else 0"))]
    return [*lines, ""]


def write_rule(net: NetConfig, train: TrainConfig) -> str:
    """Whether the parameter `name` decays, as an expression."""
    rules = []
    if train.decay_block is not None:
        place = train.decay_block + 1 + (net.order == "post") * (1 + (net.norm == "batch"))  # in the sequence
        rules += [f'name.startswith("{place}.")', '"_s." not in name']
    if not train.decay_bias:
        rules += ['not name.endswith("bias")']
    return " and ".join(rules) or "True"


def write_operate(run: Run) -> list[str]:
    """The script's function that operates on a block's weights."""
    swaps, scales = "swap" in run.kinds, bool(run.kinds - {"swap", "lesion", "cut-shortcut"})
    if not swaps and not scales:
        return []
    words = _("Change weights of block k, counted from 0; alike what the optimizer remembers of them.")
    lines = ["def operate(kind, k, *rest):", f'    """{words}"""',
             "    memory = [m for m in optimizer.state[weights].values() if m is not None and m.dim()]",
             "    for vector in [weights.detach(), *memory]:",
             "        part = lambda p: vector[p.storage_offset():][:p.numel()]"]
    swap = ["for p, q in zip(blocks[k].parameters(), blocks[rest[0]].parameters()):",
            "    part(p)[:], part(q)[:] = part(q).clone(), part(p).clone()"]
    scale = [*note("for p, factor in zip(getattr(blocks[k], kind).parameters(), rest):", _("W and b, or γ and β")),
             "    part(p).mul_(factor)"]
    statistics = ["for p, q in zip(blocks[k].buffers(), blocks[rest[0]].buffers()):", "    p.data, q.data = q.data, p.data"]
    statistics = statistics if swaps and run.net.norm == "batch" else []
    if swaps and scales:
        inside = ['if kind == "swap":', *indent(swap), "else:", *indent(scale)]
        statistics = statistics and ['if kind == "swap":', *indent(statistics)]
    else:
        inside = swap if swaps else scale
    return [*lines, *indent(inside, 8), *indent(statistics), ""]


def write_events(run: Run) -> list[str]:
    """What was changed and operated on by hand."""
    if not run.changes and not run.edits:
        return []
    lines = ["# " + _("What was done by hand while the net trained, each just before its step.")]
    skips = {step: changed["skip"] for step, changed in run.changes.items() if "skip" in changed}
    if skips:
        lines += write_table("SKIPS = {", (f"{step}: {skip}" for step, skip in skips.items()), "}", run.table_width)
    if run.settings:
        items = (f"{step}: {write_settings(run, changed)}" for step, changed in run.settings.items())
        lines += write_table("SETTINGS = {", items, "}", run.table_width)
    if run.edits:
        items = (f"{step}: [{', '.join(map(write_operation, found))}]" for step, found in sorted(run.edits.items()))
        lines += write_table("EDITS = {", items, "}", run.table_width)
    return [*lines, ""]


def write_hand(run: Run) -> list[str]:
    """The training loop's lines that follow what was done by hand."""
    lines = []
    if any("skip" in changed for changed in run.changes.values()):
        lines += ["Block.skip = SKIPS.get(step, Block.skip)"]
    if run.settings:
        lines += ["settings.update(SETTINGS.get(step, {}))"]
    if run.edits:
        lines += ["for operation in EDITS.get(step, ()):", "    operate(*operation)"]
    return [*lines, "if step == STEPS:", "    break"] if run.ends_by_hand else lines


def write_settings(run: Run, changed: dict[str, Any]) -> str:
    names = {"weight_decay": "decay"} if run.decays_apart else {}
    return "{" + ", ".join(f'"{names.get(name, name)}": {value!r}' for name, value in changed.items()) + "}"


def write_operation(operation: Operation) -> str:
    """An operation on weights as the arguments of the script's `operate`."""
    kind, k = operation.kind, operation.block
    if kind == "swap":
        return f'("swap", {k}, {operation.other})'
    alpha = alpha_bias = 0.0
    if kind.startswith("scale"):
        alpha, alpha_bias = operation.alpha, operation.alpha if operation.alpha_bias is None else operation.alpha_bias
    elif kind == "zero-w":
        alpha_bias = 1.0
    return f'("{"norm2" if kind.endswith("norm") else "layer2"}", {k}, {alpha!r}, {alpha_bias!r})'


def write_evaluate(run: Run) -> list[str]:
    batch = run.net.norm == "batch"
    return ["@torch.no_grad()", "def evaluate(x, y):",
            *(indent(note("net.eval()", _("BatchNorm takes its running averages, not the batch’s"))) if batch else []),
            "    z = net(x)",
            *(["    net.train()"] if batch else []),
            "    return F.cross_entropy(z, y).item(), (z.argmax(1) == y).double().mean().item()", ""]


def write_loop(run: Run) -> list[str]:
    batch = run.net.norm == "batch"
    kept = [*note("averages = [t.clone() for t in net.buffers()]", _("BatchNorm’s, before this step"))] if batch else []
    restore = ["for t, kept in zip(net.buffers(), averages):", "    t.copy_(kept)"] if batch else []
    watched = "*row, weights.grad @ weights.grad" + (", *(t.sum() for t in net.buffers())" if batch else "")
    inside = [
        *write_hand(run),
        f"test = evaluate(test_x, test_y) if step % {PROBE_EVERY} == 0 else ()",
        *kept,
        "epoch, k = divmod(step, len(y) // BATCH)",
        *note("order = np.random.default_rng((SEED, epoch)).permutation(len(y))",
              _("each epoch shows every example once, in another order")),
        "batch = torch.from_numpy(order[k * BATCH:(k + 1) * BATCH])",
        *write_passes(run),
        "weights.grad = torch.cat([gradient.flatten() for gradient in gradients])",
        "row = [loss.item(), (z.argmax(1) == y[batch]).float().mean().item(), *test]",
        f"if not np.isfinite([{watched}]).all():",
        '    print(f"# ' + _("diverged at step {step}") + '")', *indent(restore), "    break",
        'print(step, *row, sep=",")',
        *write_decay(run),
        *note("optimizer.step()", _("one step down the slope")),
    ]
    steps = "STEPS + 1" if run.ends_by_hand else "STEPS"
    return ['print("step,loss,accuracy,test_loss,test_accuracy")', f"for step in range({steps}):", *indent(inside)]


def write_passes(run: Run) -> list[str]:
    """The forward and the backward pass: as `dense.HandWritten` makes them, or autograd from the loss on."""
    net = run.net
    more = ", materialize_grads=True" if run.projects and False in run.skips else ""  # a W_s unused: its gradient is 0
    words = _("the chain rule, back to every W and b")
    if (net.family, net.norm, net.order, net.activation) != ("dense", "none", "post", "relu"):
        return ["z = net(x[batch])",
                *note("loss = F.cross_entropy(z, y[batch])", _("the mean of -log p, p of the right class")),
                *note(f"gradients = torch.autograd.grad(loss, parameters{more})", words)]
    return ["z = net(x[batch])",
            *note("log_p = torch.log_softmax(z.detach(), 1)", _("p: the probability of each class")),
            *note("loss = -log_p.gather(1, y[batch][:, None]).mean()", _("the mean of -log p, p of the right class")),
            *note("dz = log_p.exp()", _("∂loss/∂z is p / BATCH, and (p - 1) / BATCH for the right class")),
            "dz[torch.arange(BATCH), y[batch]] -= 1",
            *note(f"gradients = torch.autograd.grad(z, parameters, dz / BATCH{more})", words)]


def write_decay(run: Run) -> list[str]:
    if not run.decays_apart:
        return []
    train = run.train
    if train.decay == "coupled" or (train.decay == "own" and train.optimizer == "sgd"):
        return note('weights.grad.addcmul_(weights.detach(), decays, value=settings["decay"])', _("the gradient, plus λ W"))
    return note('weights.data.addcmul_(weights.data, decays, value=-settings["lr"] * settings["decay"])',
                _("W less lr λ W"))


def write_end(run: Run) -> list[str]:
    """The final numbers, and those after the operations."""
    names = "train_loss, train_accuracy, test_loss, test_accuracy"
    tell = [f'print("# {names}:", *evaluate(x, y), *evaluate(test_x, test_y))']
    if not run.operations:
        return ["", *tell]
    weights = [write_operation(item) for item in run.operations if item.kind in WEIGHT_OPERATIONS]
    lines = ["", *tell, "# 5. " + _("The operations on the trained net, and what is left after them.")]
    if weights:
        lines += [*write_table("for operation in [", weights, "]:", run.table_width), "    operate(*operation)"]
    for kind, flag in (("lesion", "lesion = True"), ("cut-shortcut", "skip = False")):
        blocks = sorted({item.block for item in run.operations if item.kind == kind})
        if blocks:
            lines += [*write_table("for k in [", map(str, blocks), "]:", run.table_width), f"    blocks[k].{flag}"]
    if run.recompute:
        lines += [*note('for norm in [part for part in net.modules() if hasattr(part, "running_mean")]:',
                        _("BatchNorm’s averages, taken anew")),
                  "    norm.reset_running_stats()", "    norm.momentum = None", "with torch.no_grad():", "    net(x)"]
    return [*lines, *tell]
