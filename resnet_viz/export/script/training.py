"""The training of a script, what was done by hand meanwhile, and the end."""

from __future__ import annotations

from typing import Any

from resnet_viz.export.script.layout import Lines, Table
from resnet_viz.export.script.run import Run
from resnet_viz.records import PROBE_EVERY, WEIGHT_OPERATIONS, Operation
from resnet_viz.text import _


def write_optimizer(run: Run) -> Lines:
    """All parameters as one vector, and the optimizer that moves it."""
    train, apart = run.train, run.decays_apart
    momentum = f", momentum={train.momentum!r}" if train.optimizer == "sgd" else ""
    settings = f"lr={train.lr!r}{momentum}, weight_decay={0.0 if apart else train.weight_decay!r}"
    name = {"sgd": "SGD", "adamw": "AdamW"}[train.optimizer]
    stretched = "torch.full_like(p, decaying(name)).flatten()"
    return [
        "# 4. " + _("Training. All W and b lie in one vector, so that the optimizer moves them at once."),
        "parameters = list(net.parameters())",
        "weights = nn.Parameter(torch.cat([p.detach().flatten() for p in parameters]))",
        "for p, part in zip(parameters, weights.detach().split([p.numel() for p in parameters])):",
        ["p.data = part.view_as(p)  # " + _("each layer looks at its part of the vector")],
        f"optimizer = torch.optim.{name}([weights], {settings}, fused=True)",
        (apart or run.settings) and "settings = optimizer.param_groups[0]",
        apart and f'settings["decay"] = {train.weight_decay!r}  # λ',
        apart and f"decaying = lambda name: {write_rule(run)}",
        apart and f"decays = torch.cat([{stretched} for name, p in net.named_parameters()])  # "
        + _("1 for what decays, else 0"), "",
    ]


def write_rule(run: Run) -> str:
    """Whether the parameter `name` decays, as an expression."""
    rules = []
    if run.train.decay_block is not None:
        place = run.train.decay_block + 1 + run.post * (1 + run.batch)  # in the sequence
        rules += [f'name.startswith("{place}.")', '"_s." not in name']
    if not run.train.decay_bias:
        rules += ['not name.endswith("bias")']
    return " and ".join(rules) or "True"


# ---------------------------------------------------------------------------------------------------- by hand


def write_operate(run: Run) -> Lines:
    """The script's function that operates on a block's weights."""
    swaps, scales = "swap" in run.kinds, bool(run.kinds - {"swap", "lesion", "cut-shortcut"})
    if not swaps and not scales:
        return []
    words = _("Change weights of block k, counted from 0; alike what the optimizer remembers of them.")
    swap = ["for p, q in zip(blocks[k].parameters(), blocks[rest[0]].parameters()):",
            ["part(p)[:], part(q)[:] = part(q).clone(), part(p).clone()"]]
    scale = ["for p, factor in zip(getattr(blocks[k], kind).parameters(), rest):  # " + _("W and b, or γ and β"),
             ["part(p).mul_(factor)"]]
    inside, statistics = swap if swaps else scale, []
    if swaps and run.batch:
        statistics = ["for p, q in zip(blocks[k].buffers(), blocks[rest[0]].buffers()):",
                      ["p.data, q.data = q.data, p.data"]]
    if swaps and scales:
        inside = ['if kind == "swap":', swap, "else:", scale]
        statistics = statistics and ['if kind == "swap":', statistics]
    return ["def operate(kind, k, *rest):", [
                f'"""{words}"""',
                "memory = [m for m in optimizer.state[weights].values() if m is not None and m.dim()]",
                "for vector in [weights.detach(), *memory]:", [
                    "part = lambda p: vector[p.storage_offset():][:p.numel()]",
                    *inside],
                *statistics], ""]


def write_events(run: Run) -> Lines:
    """What was changed and operated on by hand."""
    skips = {0: run.net.skips} if len(set(run.net.skips)) > 1 and run.toggles else {}
    tables = {
        "CUTS" if run.cuts_singly else "SKIPS": {step: write_skips(run, now)
                                                 for step, now in (skips | run.toggles).items()},
        "SETTINGS": {step: write_settings(run, changed) for step, changed in run.settings.items()},
        "EDITS": {step: f"[{', '.join(map(write_operation, found))}]" for step, found in run.edits.items()},
    }
    lines = [Table(f"{name} = {{", [f"{step}: {what}" for step, what in found.items()], "}")
             for name, found in tables.items() if found]
    words = _("What was done by hand while the net trained, each just before its step.")
    return [f"# {words}", *lines, ""] if lines else []


def write_skips(run: Run, skips: tuple[bool, ...]) -> str:
    """Whether there are shortcuts from a step on; or, where they are cut one by one, the blocks that have none."""
    if not run.cuts_singly:
        return str(skips[0])
    return str([k for k, skip in enumerate(skips) if not skip]) if any(skips) else f"range({len(skips)})"


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


# ---------------------------------------------------------------------------------------------------- the loop


def write_evaluate(run: Run) -> Lines:
    return ["@torch.no_grad()",
            "def evaluate(x, y):", [
                run.batch and "net.eval()  # " + _("BatchNorm takes its running averages, not the batch’s"),
                "z = net(x)",
                run.batch and "net.train()",
                "return F.cross_entropy(z, y).item(), (z.argmax(1) == y).double().mean().item()"], ""]


def write_loop(run: Run) -> Lines:
    watched = "*row, weights.grad @ weights.grad" + (", *(t.sum() for t in net.buffers())" if run.batch else "")
    restore = ["for t, kept in zip(net.buffers(), averages):", ["t.copy_(kept)"]] if run.batch else []
    return [
        'print("step,loss,accuracy,test_loss,test_accuracy")',
        f"for step in range({'STEPS + 1' if run.ends_by_hand else 'STEPS'}):", [
            *write_toggle(run),
            run.settings and "settings.update(SETTINGS.get(step, {}))",
            *(["for operation in EDITS.get(step, ()):", ["operate(*operation)"]] if run.edits else []),
            *(["if step == STEPS:", ["break"]] if run.ends_by_hand else []),
            f"test = evaluate(test_x, test_y) if step % {PROBE_EVERY} == 0 else ()",
            run.batch and "averages = [t.clone() for t in net.buffers()]  # " + _("BatchNorm’s, before this step"),
            "epoch, k = divmod(step, len(y) // BATCH)",
            "order = np.random.default_rng((SEED, epoch)).permutation(len(y))  # "
            + _("each epoch shows every example once, in another order"),
            "batch = torch.from_numpy(order[k * BATCH:(k + 1) * BATCH])",
            *write_passes(run),
            "weights.grad = torch.cat([gradient.flatten() for gradient in gradients])",
            "row = [loss.item(), (z.argmax(1) == y[batch]).float().mean().item(), *test]",
            f"if not np.isfinite([{watched}]).all():", [
                'print(f"# ' + _("diverged at step {step}") + '")',
                *restore,
                "break"],
            'print(step, *row, sep=",")',
            run.decays_apart and write_decay(run),
            "optimizer.step()  # " + _("one step down the slope")],
    ]


def write_toggle(run: Run) -> Lines:
    """Cutting and mending shortcuts before a step."""
    if not run.cuts_singly:
        return [run.toggles and "Block.skip = SKIPS.get(step, Block.skip)"]
    return ["for k, block in enumerate(blocks if step in CUTS else []):", [
        "block.skip = k not in CUTS[step]"]] if run.toggles else []


def write_passes(run: Run) -> Lines:
    """The forward and the backward pass: as `dense.HandWritten` makes them, or autograd from the loss on."""
    by_hand = run.net.by_hand
    loss = "-log_p.gather(1, y[batch][:, None]).mean()" if by_hand else "F.cross_entropy(z, y[batch])"
    arguments = "z, parameters, dz / BATCH" if by_hand else "loss, parameters"
    more = ", materialize_grads=True" if run.projects and False in run.skips else ""  # a W_s unused: its gradient is 0
    return [
        "z = net(x[batch])",
        by_hand and "log_p = torch.log_softmax(z.detach(), 1)  # " + _("p: the probability of each class"),
        f"loss = {loss}  # " + _("the mean of -log p, p of the right class"),
        by_hand and "dz = log_p.exp()  # " + _("∂loss/∂z is p / BATCH, and (p - 1) / BATCH for the right class"),
        by_hand and "dz[torch.arange(BATCH), y[batch]] -= 1",
        f"gradients = torch.autograd.grad({arguments}{more})  # " + _("the chain rule, back to every W and b"),
    ]


def write_decay(run: Run) -> str:
    if run.train.couples_decay:
        return 'weights.grad.addcmul_(weights.detach(), decays, value=settings["decay"])  # ' + _("the gradient, plus λ W")
    return 'weights.data.addcmul_(weights.data, decays, value=-settings["lr"] * settings["decay"])  # ' + _("W less lr λ W")


# ---------------------------------------------------------------------------------------------------- the end


def write_end(run: Run) -> Lines:
    """The final numbers, and those after the operations."""
    tell = 'print("# train_loss, train_accuracy, test_loss, test_accuracy:", *evaluate(x, y), *evaluate(test_x, test_y))'
    if not run.operations:
        return ["", tell]
    weights = [write_operation(item) for item in run.operations if item.kind in WEIGHT_OPERATIONS]
    lines = ["", tell, "# 5. " + _("The operations on the trained net, and what is left after them.")]
    if weights:
        lines += [Table("for operation in [", weights, "]:"), ["operate(*operation)"]]
    cut = sorted({item.block for item in run.operations if item.kind == "cut-shortcut"})
    dropped = [] if run.drops_both else list(run.lesions)
    if run.drops_both:
        ways = [f'{k}: "{"branch" if stays else "whole"}"' for k, stays in run.lesions.items()]
        lines += [Table("for k, way in {", ways, "}.items():"), ["blocks[k].lesion = way"]]
    for blocks, flag in ((dropped, "lesion = True"), (cut, "skip = False")):
        if blocks:
            lines += [Table("for k in [", [str(k) for k in blocks], "]:"), [f"blocks[k].{flag}"]]
    if run.recompute:
        lines += ['for norm in [part for part in net.modules() if hasattr(part, "running_mean")]:  # '
                  + _("BatchNorm’s averages, taken anew"),
                  ["norm.reset_running_stats()", "norm.momentum = None"],
                  "with torch.no_grad():", ["net(x)"]]
    return [*lines, tell]
