"""What sentences on a page call things: by the labels of its widgets, never by the ids of links and records."""

from __future__ import annotations

import re

from resnet_viz import text
from resnet_viz.figures.architecture import name_net
from resnet_viz.records import ConfigError, Option, Words, read_architecture
from resnet_viz.sweeps import READY
from resnet_viz.text import _
from resnet_viz.ui.controls import label_fields, label_options

# Counted from 0 in links and records, from 1 on screen.
COUNTED = ("block", "cuts", "other", "decay_block", "delete", "index", "unit", "stage", "picture_stage", "path", "lane")


def sentence(error: ConfigError) -> str:
    """What is wrong, in the session's language, in the words that are on screen."""
    return text.sentence(error, PageWords())


class PageWords(Words):
    """Labels for ids; what is no id, such as nonsense in a link, stays as it is."""

    def name_field(self, field: str) -> str:
        labels = label_fields() | label_more()
        parts = re.split(r"[.\[]", field)
        return labels.get(field) or labels.get(parts[0]) or labels.get(parts[-1], field)

    name_key = name_field

    def name_option(self, field: str, value: str) -> str:
        if field in ("nets", "net", "look", "picture_net"):
            return name_net(value) if is_net(value) else value
        choices, own = label_choices(), field.rsplit(".", maxsplit=1)[-1]
        labels = label_options() | choices.get(own, {}) | choices.get(field, {})
        return labels.get(value, value)

    def point_at(self, option: Option) -> str:
        if isinstance(option.value, int):
            return self.write_number(option.field, option.value)
        spoken = {("shortcut", "identity"): _("identity shortcut"), ("shortcut", "projection"): "W_s"}
        label = re.sub(r"\s*[(（][^()（）]*[)）]$", "", self.name_option(option.field, option.value))
        return spoken.get((option.field, option.value), f"“{label}”")

    def write_number(self, field: str, value: float) -> str:
        return str(value + 1 if field in COUNTED else value)


def is_net(name: str) -> bool:
    try:
        return name == "own" or bool(read_architecture(name) or True)
    except ConfigError:
        return False


def label_more() -> dict[str, str]:
    """What the choices are called that are no settings of a race, nor of one page alone."""
    example, stage, method = _("Example"), _("Stage"), _("Method of the bars")
    target, seed = _("Credit for the class"), _("Seed of the draws")
    return {
        "first": label_fields()["compare"], "skips": label_fields()["skip"], "changes": _("Live changes"),
        "edits": _("Operations"), "operations": _("Operations"), "operation": _("Operation"), "block": _("Block"),
        "other": _("Other block"), "alpha": "α", "alpha_bias": _("α for b[l+2]"), "lanes": _("Nets"), "lane": _("Net"),
        "lambdas": _("Values of λ"), "kind": _("Nets"), "kinds": _("Net"), "net": _("Net"), "inits": _("Initial weights"),
        "norms": _("Normalisation"), "slope_depth": _("Layers"), "line_depth": _("Layers on the line"),
        "line_scale": _("Branch multiplied by"), "line_seeds": _("Seeds to average over"),
        "line_seed": _("Seed of the curve"),
        "paths.samples": _("Paths drawn per length"), "draw_seed": seed, "path": _("Path"), "delete": _("Block to delete"),
        "draws": _("Random draws"), "study": _("What is done to a block"), "part": _("Examples"), "view": _("View"),
        "plane": _("Directions"), "plane_seed": _("Seed of the directions"), "reach": _("Range ±"),
        "statistics": _("BatchNorm’s statistics"), "finest": _("Finest grid"), "landscape.way": _("Trajectory"),
        "trajectory": _("Trajectory"), "split": _("Examples"), "samples": _("Averaged over"), "method": method,
        "picture_method": method, "baseline": _("Baseline"), "target": target, "picture_target": target, "map": _("Map"),
        "picture_map": _("Map"), "window": _("Window, pixels a side"), "stage": stage, "picture_stage": stage,
        "credit_steps": _("Steps"), "index": example, "pixels": _("Drawing"), "picture": _("Picture"),
        "weights": _("Weights"), "picture_weights": _("Weights"), "picture_net": _("Net"), "unit": _("Unit"),
        "raw": _("Raw input x"), "case": _("What if …"), "w": "α · W", "b": "α · b", "gamma": "α · γ", "beta": "α · β",
        "a": _("Units of a[l]"), "z": _("Units of z[l+2]"), "n": "n", "f": "f", "p": "p", "s": "s",
        "maps": _("What is added"), "way": _("Net"), "vary": _("Settings that vary"), "axes": _("Settings that vary"),
        "seeds": _("Seeds"), "ready": _("Ready sweeps"), "x": _("Along"), "colour": _("In colour"), "chart": _("Chart"),
        "show": _("Shown"), "diverged": _("Outcome"), "code": _("Version of the code"), "nets": _("Nets"), "look": _("Net"),
        "step": _("Layer"), "size": _("Picture"), "classes": _("Classes"), "channels": _("Channels"),
        "config": _("Settings"), "base": _("Settings"), "train": _("Training"), "database": _("Database"),
    }


def label_operations() -> dict[str, str]:
    return {"zero-w": _("Zero W"), "zero-wb": _("Zero W and b"), "zero-norm": _("Zero γ and β"),
            "lesion": _("Drop the branch"), "cut-shortcut": _("Cut the shortcut"), "scale": _("Scale W and b"),
            "scale-norm": _("Scale γ and β"), "swap": _("Swap")}


def label_methods() -> dict[str, str]:
    return {"conductance": _("Conductance"), "deep-lift": "DeepLift", "integrated-gradients": _("Integrated gradients")}


def label_maps() -> dict[str, str]:
    return {"integrated-gradients": _("Integrated gradients"), "occlusion": _("Occlusion"), "grad-cam": "Grad-CAM"}


def label_measures() -> dict[str, str]:
    return {"train_error": _("Training error"), "test_error": _("Held-out error"),
            "train_loss": _("Training loss"), "test_loss": _("Held-out loss")}


def label_cases() -> dict[str, str]:
    return {
        "free": _("Free choice"),
        "lesson": _("… W and b are 0? (the lesson)"),
        "bias": _("… W is 0, but b is kept?"),
        "tanh": _("… g is tanh?"),
        "raw": _("… the block is fed the raw input?"),
        "batch": _("… BatchNorm stands behind W?"),
        "projection": _("… the shortcut is a projection W_s?"),
        "gradient": _("… training goes on from W = b = 0?"),
    }


def label_choices() -> dict[str, dict[str, str]]:
    """What the choices of each field are called, beside those that `label_options` knows."""
    fields, operations, methods, maps = label_fields(), label_operations(), label_methods(), label_maps()
    train, test = _("Training set"), _("Held-out set")
    plain, residual = _("Plain net"), _("Residual net")
    return {
        "compare": fields, "vary": fields, "x": fields, "colour": fields, "changes": fields,
        "operation": operations, "operations": operations, "edits": operations, "study": operations,
        "method": methods | maps, "picture_method": methods, "map": maps, "picture_map": maps,
        "case": label_cases(), "show": label_measures(), "chart": {"lines": _("Curves"), "map": _("Map")},
        "kind": {"both": _("Both"), "residual": residual, "plain": plain},
        "kinds": {"none": _("Plain"), "identity": _("Residual"), "projection-all": _("Residual, W_s in each shortcut")},
        "norm": {"none": _("No normalisation")}, "norms": {"none": _("No normalisation")},
        "baseline": {"zero": _("Empty picture"), "mean": _("Mean of the training set")},
        "samples": {"one": _("This example"), "all": _("The whole held-out set")},
        "statistics": {"stale": _("As they were"), "recomputed": _("Recomputed"), "stored": _("Stored"),
                       "batch": _("Of the batch")},
        "plane": {"random": _("Random"), "pca": _("Principal (PCA)")},
        "part": {"train": train, "test": test, "train_accuracy": train, "test_accuracy": test},
        "split": {"train": train, "test": test}, "view": {"contours": _("Contours"), "surface": _("Surface")},
        "landscape.way": {"1": _("Shown"), "0": _("Not shown")},
        "ready": {name: _(ready.title) for name, ready in READY.items()},
        "picture_weights": {"random": _("Random"), "download": _("Download"), "file": _("A file")},
        "diverged": {"0": _("Finished"), "1": _("Diverged")},
    }
