"""What the live board and the player of a recording have in common: their code, their words, the nets as they draw them."""

from __future__ import annotations

import re
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from resnet_viz.records import OVERFLOWS, DataShape, NetConfig, count_multiply_adds, count_parameters, plan_blocks
from resnet_viz.text import _

FOLDER = Path(__file__).parents[2] / "assets" / "board"
IMPORT = re.compile(r'^import .* from "\./(.+)";$', re.MULTILINE)
UNJOINED = re.compile(rf"{IMPORT.pattern}\n|^export (?!default)", re.MULTILINE)
HTML = '<div class="rv-board" data-testid="board" role="figure"></div>'


def join_modules(entry: str) -> str:
    """A module of the board with all that it imports as one, each behind its own imports; no two may name a thing alike.

    For Streamlit, where a component's script has no address from which it could import its neighbours, and for a page
    that is one file.
    """
    modules, imports, wanted = {}, {}, [entry]
    while wanted:
        name = wanted.pop()
        if name not in modules:
            modules[name] = (FOLDER / name).read_text(encoding="utf-8")
            imports[name] = IMPORT.findall(modules[name])
            wanted += imports[name]
    return "".join(UNJOINED.sub("", modules[name]) for name in TopologicalSorter(imports).static_order())


def read_style() -> str:
    return (FOLDER / "board.css").read_text(encoding="utf-8")


def describe_net(net: NetConfig, data: DataShape) -> dict[str, Any]:
    """A net as the board draws it; all of it but `skip` stays while it trains."""
    plans = plan_blocks(net)
    layers = ["stem", *(f"block{k}.{i}" for k in range(1, net.blocks + 1) for i in (1, 2))]
    return {
        "depth": net.depth, "family": net.family, "norm": net.norm, "skip": net.residual, "layers": layers,
        "parameters": count_parameters(net, data), "multiply_adds": count_multiply_adds(net, data),
        "blocks": [{"shortcut": plan.shortcut, "stage": plan.stage, "in": str(plan.inputs), "out": str(plan.outputs)}
                   for plan in plans],
    }


def find_cuts(net: NetConfig) -> list[int] | None:
    """The blocks whose shortcut is cut; None where the whole net has none, so that there is nothing to cut or mend."""
    return list(net.cuts) if net.skip and net.shortcut != "none" else None


def words() -> dict[str, str]:
    """Every text the board shows, in the session's language; `{name}` is filled in the browser."""
    return _status_words() | _net_words() | _chart_words()


def _status_words() -> dict[str, str]:
    return {
        "sentence_end": _(". "),
        "board_label": _("Live race: the nets and their curves"),
        "state_ready": _("Ready"),
        "state_running": _("Running"),
        "state_paused": _("Paused"),
        "state_finished": _("Finished"),
        "state_diverged": _("Diverged"),
        "state_failed": _("Stopped by an error"),
        "step_of": _("Step {step} of {limit}"),
        "speed": _("{speed} steps/s"),
        "connection_silent": _("No word from the server; what stands here may be old."),
        "finished_note": _("The step limit has been reached: raise it to go on, or reset."),
        "connection_lost": _("Connection lost, reconnecting…"),
        "notice_blocked": _("No live numbers: their connection cannot be opened. If there is a proxy between you and the "
                            "server, it has to pass on WebSockets to the addresses under “feed/”, too. Trying again…"),
        "notice_wrong_token": _("The server refused this page the race’s numbers: it does not hold the key to this race. "
                                "Reload the page."),
        "notice_stranger": _("The server refused this page the race’s numbers, because it takes it for a page of another "
                             "site. Whoever set up the server finds both addresses in its log, and what to do in the "
                             "README, under “Behind a proxy”."),
        "notice_gone": _("This race is no longer on the server; it is being made anew."),
        "diverged": _(
            "{lane} diverged at step {step}: {reason}. The race is paused; go back to an earlier step or lower the "
            "learning rate."
        ),
        **{f"overflow_{name}": _(words) for name, words in OVERFLOWS.items()},
        "cuts_full": _("This race has as many live changes as it can: its shortcuts stay as they are. Reset it, or go back "
                       "to an earlier step."),
        "said_cut": _("{lane}: shortcut cut, block {blocks}, step {step}"),
        "said_mended": _("{lane}: shortcut mended, block {blocks}, step {step}"),
        "failed": _("The race stopped because of an error on the server. Reset it to start again."),
        "press_play": _("Press Play to start"),
        "nothing_yet": _("Nothing measured yet"),
        "summary_lane": _("{lane}: training accuracy {accuracy}, first layer’s gradient {gradient}"),
    }


def _net_words() -> dict[str, str]:
    return {
        "layers": _("{count} layers"),
        "parameters": _("{count} parameters"),
        "multiply_adds": _("{count} multiply-adds per sample"),
        "training_accuracy": _("Training accuracy"),
        "held_out_accuracy": _("Held-out accuracy"),
        "training_accuracy_help": _("While it trains: the mean of the last five batches. At rest: of the batch that comes "
                                    "next, by the net as it stands."),
        "held_out_accuracy_help": _("While it trains: as it was measured last, every ten steps. At rest: by the net as it "
                                    "stands."),
        "before": _("before: {value}"),
        "chain_label": _("{lane}, from input to output"),
        "stem": _("stem").split("（")[0],  # beneath a box there is room for one word
        "head": _("head"),
        "channels": _("{width} channels"),
        "units": _("{width} units"),
        "block": _("Block {number}"),
        "block_layers": _("layers {first} and {second}"),
        "shape": _("Shape"),
        "gradient_norm": _("Gradient norm"),
        "ratio": _("r = ‖F‖ / ‖s‖"),
        "weight_norm": _("‖W[l+2]‖"),
        "share": _("Shortcut share"),
        "cosine": _("Cosine"),
        "close": _("Close"),
        "scale_title": _("Colour: gradient norm at the block’s output, per sample"),
        "key_share": _("Thickness: the shortcut’s share"),
        "key_zero_pad": _("Zero padding"),
        "key_projection": _("Projection Wₛ"),
        "key_click": _("Click a block for its numbers."),
        "key_cut": _("Click a block for its numbers, an arc (or press S) to cut or mend its shortcut."),
        "cut_label": _("Cut the shortcut of block {number}"),
        "cut_blocks": _("✂ block {blocks}"),
        "is_cut": _("Its shortcut is cut."),
    }


def _chart_words() -> dict[str, str]:
    return {
        "training_batch": _("Training batch"),
        "held_out_set": _("Held-out set"),
        "weight_norm_title": _("‖W[l+2]‖, the branch’s second layer"),
        "held_out_title": _("Accuracy"),
        "branch_ratio_title": _("r = ‖F‖ / ‖s‖"),
        "direction_title": _("Cosine of a[l] and a[l+2]"),
        "loss_title": _("Loss"),
        "accuracy_title": _("Accuracy"),
        "layers_title": _("Gradient, layer by layer"),
        "blocks_title": _("What the shortcut carries"),
        "axis_step": _("Step"),
        "mark_cut": _("✂ block {blocks}, step {step}"),
        "mark_mended": _("mended: block {blocks}, step {step}"),
        "axis_layer": _("Layer, from input to output"),
        "axis_block": _("Block, from input to output"),
        "mode_held_out": _("Held-out set"),
        "mode_training": _("Training batch"),
        "mode_linear": _("Linear"),
        "mode_log": _("Log"),
        "mode_activations": _("Activations"),
        "mode_weights": _("Weights"),
        "mode_ratio": _("r = ‖F‖ / ‖s‖"),
        "mode_share": _("Share"),
        "mode_cosine": _("Cosine"),
        "chance": _("chance {chance} %"),
        "gradient_note": _("{lane}: the first layer’s gradient is {ratio} times the last layer’s."),
        "weights_note": _("{lane}: the first layer’s ‖∂L/∂W‖ / ‖W‖ is {ratio} times the last one’s."),
        "weight_norm_note": _("Mean over the blocks, or of the one block that decays. Dashed: the plain net."),
        "ratio_note": _("F is the branch, s the shortcut: below 1, the shortcut carries more."),
        "share_note": _("‖s‖ / (‖s‖ + ‖F‖): at 100 %, the branch is 0. With an identity shortcut, and ReLU or "
                        "pre-activation, the block is then the identity."),
        "cosine_note": _("Between a block’s input and its output: at 1, the direction is unchanged."),
        "no_shortcuts": _("No lane has shortcuts."),
        "reset": _("{chart}: show all"),
        "download": _("{chart}: download the image"),
        "numbers": _("{chart}: download the numbers (CSV)"),
    }
