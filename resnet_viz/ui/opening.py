"""What is open on the page of one block: which block and unit, what it is fed, how its weights are scaled. To and from
the URL; and the page's cases, each of which sets all of that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from resnet_viz.records import (
    DATASETS,
    N_,
    ConfigError,
    NetConfig,
    Operation,
    Source,
    State,
    check_source,
    check_view,
)
from resnet_viz.text import _
from resnet_viz.ui.canvas import read_pixels, write_pixels

ALPHAS = ("w", "b", "gamma", "beta")
CASES: dict[str, tuple[str, int, dict[str, float], bool]] = {  # nets of `subject.PRESETS`, block, alphas below 1, raw
    "lesson": ("twins", 1, {"w": 0.0, "b": 0.0}, False),
    "bias": ("twins", 1, {"w": 0.0}, False),
    "tanh": ("tanh", 1, {"w": 0.0, "b": 0.0}, False),
    "raw": ("twins", 0, {"w": 0.0, "b": 0.0}, True),
    "batch": ("batch", 1, {"w": 0.0}, False),
    "projection": ("projection", 3, {"w": 0.0, "b": 0.0}, False),
    "gradient": ("twins", 2, {"w": 0.0, "b": 0.0}, False),
}


@dataclass(frozen=True)
class Opening:
    """What is open. `w`, `b`, `gamma` and `beta` are the alphas of W[l+2], b[l+2] and of the BatchNorm behind."""

    block: int = 1
    unit: int = 0
    index: int = 0
    pixels: tuple[int, ...] | None = None
    w: float = 1.0
    b: float = 1.0
    gamma: float = 1.0
    beta: float = 1.0
    raw: bool = False
    case: str = "free"

    @property
    def source(self) -> Source:
        return Source(self.index, self.pixels)

    def list_operations(self, net: NetConfig) -> list[Operation]:
        """The operations that scale the block; what is at 1 is left alone."""
        found = []
        if (self.w, self.b) != (1, 1):
            found.append(Operation("scale", self.block, self.w, self.b))
        if net.norm == "batch" and (self.gamma, self.beta) != (1, 1):
            found.append(Operation("scale-norm", self.block, self.gamma, self.beta))
        return found


def take_case(opening: Opening, case: str) -> Opening:
    """The opening that a case asks for; what it is fed stays."""
    if case not in CASES:
        return replace(opening, case="free")
    _nets, block, alphas, raw = CASES[case]
    return replace(opening, block=block, unit=0, raw=raw, case=case, **(dict.fromkeys(ALPHAS, 1.0) | alphas))


def write_opening(opening: Opening) -> dict[str, str]:
    """The URL's parameters."""
    query = {"block": str(opening.block), "unit": str(opening.unit), "index": str(opening.index)}
    query |= {name: f"{getattr(opening, name):g}" for name in ALPHAS if getattr(opening, name) != 1}
    query |= {"raw": "1"} if opening.raw else {}
    query |= {"case": opening.case} if opening.case != "free" else {}
    return query | ({"pixels": write_pixels(opening.pixels)} if opening.pixels is not None else {})


def read_opening(query: Mapping[str, str]) -> tuple[Opening, list[ConfigError]]:
    """What a URL opens, and what is wrong with it; that is left at its default."""
    opening, errors = Opening(), []
    for name in ("block", "unit", "index", *ALPHAS, "raw", "case", "pixels"):
        if name in query:
            try:
                opening = replace(opening, **{name: read_part(name, query[name])})
            except ConfigError as error:
                errors.append(error)
    return opening, errors


def read_part(name: str, text: str) -> object:
    """One parameter. Raises `ConfigError`. Whether the nets have such a block is for `fit_opening`."""
    if name == "pixels":
        return read_pixels(text)
    if name == "case":
        if text not in CASES:
            raise ConfigError(name, text, N_("one of {allowed}"), allowed=tuple(CASES))
        return text
    if name == "raw":
        if text not in ("0", "1"):
            raise ConfigError(name, text, N_("true or false"))
        return text == "1"
    if name in ALPHAS:
        return read_alpha(name, text)
    if not (text.isascii() and text.isdigit() and len(text) < 7):
        raise ConfigError(name, text, N_("a whole number"))
    return int(text)


def read_alpha(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise ConfigError(name, text, N_("a number from {low} to {high}"), low=0, high=1)
    return value


def fit_opening(opening: Opening, states: list[State]) -> tuple[Opening, list[ConfigError]]:
    """The opening as these nets can show it, and what they could not."""
    errors, dataset = [], states[0].dataset
    blocks = min(state.lane.net.blocks for state in states)
    if opening.block >= blocks:
        errors.append(ConfigError("block", opening.block, N_("a block of this net, from {low} to {high}"), low=0,
                                  high=blocks - 1))
        opening = replace(opening, block=0 if opening.raw else min(1, blocks - 1))
    try:
        check_source(opening.source, dataset)
    except ConfigError as error:
        errors.append(error)
        opening = replace(opening, index=0, pixels=None)
    for name, default in (("raw", False), ("unit", 0)):
        try:
            for state in states:
                unit = opening.unit if name == "unit" else 0
                check_view(state.lane.net, DATASETS[dataset], opening.block, unit, opening.raw)
        except ConfigError as error:
            errors.append(error)
            opening = replace(opening, **{name: default})
    return opening, errors


def can_be_raw(states: list[State]) -> bool:
    """Whether block 0 of all nets can be fed x itself."""
    try:
        for state in states:
            check_view(state.lane.net, DATASETS[state.dataset], 0, 0, True)
    except ConfigError:
        return False
    return True


def explain_cases() -> dict[str, str]:
    """What to see in each case, and why."""
    return {
        "lesson": _("With W[l+2] = 0 and b[l+2] = 0, z[l+2] is 0. The residual block gives g(0 + a[l]) = g(a[l]), and "
                    "since a[l] comes from a ReLU, none of it is negative: g(a[l]) = a[l]. All points lie on the diagonal. "
                    "The plain block gives g(0) = 0 for every input: all points lie on the axis, and the net can "
                    "only guess."),
        "bias": _("With W[l+2] = 0 alone, z[l+2] = b[l+2] is left. The residual block gives g(a[l] + b[l+2]): every "
                  "unit moved by its own constant, and cut off at 0. Not the identity. The plain block gives g(b[l+2]), "
                  "the same for every input. Set α of b to 0 too."),
        "tanh": _("The branch is 0 again, but tanh(a[l]) is not a[l]: it bends every number towards 0. The residual block "
                  "still lets each input through, on a curve flatter than the diagonal. The plain block gives "
                  "tanh(0) = 0."),
        "raw": _("Here the first block is fed x itself, standardised, in the place of a[l]. Some of x is negative, and "
                 "ReLU cuts that off: g(x) = x only where x ≥ 0. So the statement needs a[l] ≥ 0. Behind a ReLU this "
                 "always holds; on the raw input it does not."),
        "batch": _("Behind W[l+2] stands BatchNorm. With W[l+2] = 0, u is 0, but γ(0 − μ)/√(σ² + ε) + β is left: a "
                   "constant for each unit. So zeroing W does not make the block the identity. "
                   "Move γ and β to 0: then it is."),
        "projection": _("This block changes dimensions, so the shortcut is a learned W_s. With W[l+2] = b[l+2] = 0 "
                        "what is left is g(W_s a[l]): what comes in, mixed by W_s. It cannot equal a[l], which does not "
                        "even have as many numbers. The scatter shows a[l+2] against s = W_s a[l]."),
        "gradient": _("The gradient has to pass W[l+2] on its way to W[l+1]: at W[l+2] = 0 that of W[l+1] is exactly 0. "
                      "That of W[l+2] itself is not, in the residual net: one step of training, and the block wakes up. In "
                      "the plain net z[l+2] = 0 lies where ReLU’s slope is 0 (PyTorch takes g′(0) = 0), so both are 0 "
                      "and W[l+2] stays 0. Train on from here, and watch."),
    }
