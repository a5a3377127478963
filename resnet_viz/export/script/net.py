"""The net of a script, and its initial weights."""

from __future__ import annotations

from resnet_viz.export.script.layout import Lines, Table
from resnet_viz.export.script.run import Run
from resnet_viz.text import _


def write_block(run: Run) -> Lines:
    """The class of a block."""
    return [
        "# 2. " + _("The net: a first layer, the blocks, a last layer."),
        "class Block(nn.Module):", [
            f'"""{write_formula(run)}"""',
            *write_flags(run),
            f"def __init__(self, inputs, outputs{', stride' if run.conv else ''}):", [
                "super().__init__()",
                *write_layers(run)],
            "def forward(self, a):  # a[l]", [
                *write_branch(run),
                *write_lesion(run),
                *write_shortcut(run),
                f"return {'g(out)' if run.post else 'out'}  # a[l+2]"]], "",
    ]


def write_flags(run: Run) -> Lines:
    """What a block can be told to do without, where it can."""
    flags = {"skip": run.net.residual} if len(run.skips) > 1 else {}
    flags |= {"lesion": False} if "lesion" in run.kinds else {}
    return [f"{', '.join(flags)} = {', '.join(map(str, flags.values()))}"] if flags else []


def write_formula(run: Run) -> str:
    """What a block computes."""
    shortcut = "a[l]"
    if run.resizes:
        shortcut = "[a[l]; 0]" if run.net.shortcut == "zero-pad" else "W_s a[l]"
    inner = f"F(a[l]) + {shortcut}" if True in run.skips else "F(a[l])"
    inner = f"g({inner})" if run.post else inner
    where = _(", where F(a[l]) = {branch}")
    branch = "W[l+2] g(W[l+1] a[l] + b[l+1]) + b[l+2]" if run.post else "W[l+2] g(W[l+1] g(a[l]))"
    if run.batch:
        branch = "N(W[l+2] g(N(W[l+1] a[l])))" if run.post else "W[l+2] g(N(W[l+1] g(N(a[l]))))"
        where += _(" and N is BatchNorm")
    return f"a[l+2] = {inner}" + where.format(branch=branch)


def write_layer(run: Run, inputs: int | str, outputs: int | str, stride: str = "") -> str:
    bias = ", bias=False" if run.batch else ""
    return f"nn.{f'Conv2d({inputs}, {outputs}, 3{stride}, padding=1' if run.conv else f'Linear({inputs}, {outputs}'}{bias})"


def write_norm(run: Run, size: int | str) -> str:
    return f"nn.BatchNorm{2 if run.conv else 1}d({size})"


def write_layers(run: Run) -> Lines:
    """The layers of a block. Their order is that of the weights in memory."""
    lines = [
        f"self.layer1 = {write_layer(run, 'inputs', 'outputs', ', stride')}  # W[l+1]{'' if run.batch else ', b[l+1]'}",
        run.batch and f"self.norm1 = {write_norm(run, 'outputs' if run.post else 'inputs')}",
        f"self.layer2 = {write_layer(run, 'outputs', 'outputs')}  # W[l+2]{'' if run.batch else ', b[l+2]'}",
        run.batch and f"self.norm2 = {write_norm(run, 'outputs')}",
    ]
    if not run.projects:
        return lines
    layer = "nn.Conv2d(inputs, outputs, 1, stride, bias=False)" if run.conv else "nn.Linear(inputs, outputs, bias=False)"
    only = "" if run.net.shortcut == "projection-all" else " if inputs != outputs else None"
    used = _("W_s, where shapes differ") if only else _("W_s, on every shortcut")
    used = used if True in run.skips else _("W_s, cut: it is there, but unused")
    return [*lines, f"self.w_s = {layer}{only}  # {used}",
            run.batch and run.post and f"self.norm_s = {write_norm(run, 'outputs')}{only}"]


def write_branch(run: Run) -> Lines:
    norm1, norm2 = ("self.norm1({})", "self.norm2({})") if run.batch else ("{}", "{}")
    if run.post:
        return [f"a1 = g({norm1.format('self.layer1(a)')})  # a[l+1] = g(z[l+1])",
                f"out = {norm2.format('self.layer2(a1)')}  # " + _("z[l+2] = F(a[l]), the branch")]
    z1 = norm2.format(f"self.layer1(g({norm1.format('a')}))")
    return [f"a1 = g({z1})  # a[l+1]", "out = self.layer2(a1)  # " + _("F(a[l]), the branch")]


def write_lesion(run: Run) -> Lines:
    if not run.lesions:
        return []
    rest, words = ("", _("the branch is dropped")) if all(run.lesions.values()) else (
        " + a", _("the whole block is dropped"))
    if run.drops_both:
        rest, words = ' + (a if self.lesion == "whole" else 0)', _("the branch is dropped, or the whole block")
    return ["if self.lesion:", [f"out = torch.zeros_like(out){rest}  # {words}"]]


def write_shortcut(run: Run) -> Lines:
    """Adding the shortcut to `out`."""
    if True not in run.skips:
        return []
    lines = []
    if run.resizes and run.net.shortcut == "zero-pad":
        pad = "F.pad(a, (0, out.shape[1] - a.shape[1]))  # " + _("zeros for the new units")
        if run.conv:
            pad = ("F.pad(a[:, :, ::2, ::2], (0, 0, 0, 0, 0, out.shape[1] - a.shape[1]))  # "
                   + _("every second pixel, and zeros for the new channels"))
        lines = ["if a.shape != out.shape:", [f"a = {pad}"]]
    elif run.resizes:
        projected = "self.norm_s(self.w_s(a))" if run.batch and run.post else "self.w_s(a)"
        lines = [f"a = {projected}" + ("" if run.net.shortcut == "projection-all" else " if self.w_s is not None else a")]
    lines += ["out = out + a  # " + _("the skip connection")]
    return ["if self.skip:", lines] if len(run.skips) > 1 else lines


def write_net(run: Run) -> Lines:
    """The parts of the net, and the net."""
    data, first, last = run.config.data, run.net.stage_widths[0], run.net.stage_widths[-1]
    stem = write_layer(run, data.shape[0] if run.conv else data.features, first)
    norm = [write_norm(run, first if run.post else last)] if run.batch else []
    middle = [*norm, "g", "*blocks"] if run.post else ["*blocks", *norm, "g"]
    pool = ["nn.AdaptiveAvgPool2d(1)", "nn.Flatten()"] if run.conv else []
    words = _("the pooling takes the mean of each channel") if run.conv else _("x to z, a number per class")
    return [f"stem, head = {stem}, nn.Linear({last}, {data.classes})",
            "blocks = [Block(*shape) for shape in SHAPES]",
            f"net = nn.Sequential({', '.join(['stem', *middle, *pool, 'head'])})  # {words}", *write_cuts(run), ""]


def write_cuts(run: Run) -> Lines:
    """Cutting the shortcuts of some blocks, where they stay cut."""
    if len(set(run.net.skips)) == 1 or run.toggles:
        return []
    return [Table("for k in [", [str(k) for k in run.net.cuts], "]:"),
            ["blocks[k].skip = False  # " + _("this block’s shortcut is cut")]]


# ---------------------------------------------------------------------------------------------------- weights


def write_weights(run: Run) -> Lines:
    """Drawing the initial weights."""
    lines = ["# 3. " + _("The initial weights, drawn layer by layer from the seed."),
             "inner = [layer for block in blocks for layer in (block.layer1, block.layer2)]"]
    layers = "[stem, *inner, head]"
    if run.projects:
        only = "" if run.net.shortcut == "projection-all" else " if block.w_s is not None"
        lines += [f"projections = [block.w_s for block in blocks{only}]  # "
                  + _("drawn apart, so that nets with and without W_s start alike"),
                  f"for seed, layers in ((SEED, {layers}), (SEED + 2**32, projections)):", [
                      "generator = torch.Generator().manual_seed(seed)",
                      "for layer in layers:", write_draw(run)]]
    else:
        lines += ["generator = torch.Generator().manual_seed(SEED)", f"for layer in {layers}:", write_draw(run)]
    if run.net.init == "zero-last":
        last = "norm2" if run.batch and run.post else "layer2"
        lines += [f"for p in [p for block in blocks for p in block.{last}.parameters()]:",
                  ["nn.init.zeros_(p)  # " + _("at the start every branch is 0")]]
    return [*lines, ""]


def write_draw(run: Run) -> Lines:
    """Drawing W and b of one layer."""
    bias = "nn.init.zeros_(layer.bias)"
    if run.net.init == "he":
        lines = ['nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)  # N(0, 2 / n_in)']
    elif run.net.init == "xavier":
        lines = ["nn.init.xavier_normal_(layer.weight, generator=generator)  # N(0, 2 / (n_in + n_out))"]
    else:
        lines = ["bound = 1 / np.sqrt(layer.weight[0].numel())  # " + _("1 / √n_in: PyTorch’s default"),
                 "nn.init.uniform_(layer.weight, -bound, bound, generator=generator)"]
        bias = "nn.init.uniform_(layer.bias, -bound, bound, generator=generator)"
    if run.batch or run.net.shortcut.startswith("projection"):
        return [*lines, "if layer.bias is not None:", [bias]]
    return [*lines, bias]
