"""The commands that ask why it works: `credit`, `paths`, `gradients` and `landscape`, on a net as `operate` takes it;
`credit` also of torchvision's nets, on a picture.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import math
import sys
import time
from dataclasses import replace
from typing import Any

from resnet_viz.cli_effects import check_own, list_given, refuse
from resnet_viz.records import (
    BASELINES,
    CREDIT_METHODS,
    INITS,
    MAX_CLASSES,
    MAX_CREDIT_STEPS,
    N_,
    NORMS,
    PICTURE_KINDS,
    PRETRAINED,
    SHORTCUTS,
    ConfigError,
    NetConfig,
    Option,
    RaceConfig,
    State,
    check_baseline,
    check_pretrained,
    parse_field,
    read_samples,
)
from resnet_viz.text import _

MAX_GRID, MIN_RANGE = 101, 0.001
STATISTICS = ("stored", "batch")
ALL = "all"  # samples
BROUGHT = ("command", "json", "net", "picture", "weights", "method", "target", "credit_steps")  # of a picture
CLASSES = 1000  # of ImageNet


def add_why(commands: Any) -> list[argparse.ArgumentParser]:
    """The four parsers with the options of their own; all values stay text, for `records` to judge."""
    credit = commands.add_parser("credit", allow_abbrev=False,
                                 help=_("how much came through each block’s shortcut, how much through its branch"))
    credit.add_argument("--method", default=CREDIT_METHODS[0], metavar="METHOD", help=", ".join(CREDIT_METHODS))
    credit.add_argument("--baseline", default=BASELINES[0], metavar="BASELINE",
                        help=_("zero, mean, or the number of a held-out example"))
    credit.add_argument("--samples", default=ALL, metavar="SAMPLES",
                        help=_("all, class:K, or the number of a held-out example"))
    credit.add_argument("--target", metavar="CLASS",
                        help=_("the class whose logit is explained; by default the net’s choice"))
    credit.add_argument("--credit-steps", default="50", metavar="N", help=_("steps from the baseline to the example"))
    nets = _("instead, one of torchvision’s nets on a picture: {names}; --weights FILE, download (the default) or random")
    credit.add_argument("--net", metavar="NET", help=nets.format(names=", ".join(PRETRAINED)))
    credit.add_argument("--picture", metavar="FILE", help=_("the picture: {kinds}").format(kinds=", ".join(PICTURE_KINDS)))
    paths = commands.add_parser("paths", help=_("the paths of the unravelled net, and the gradient along them"),
                                allow_abbrev=False)
    paths.add_argument("--samples-per-length", default="20", metavar="N", help=_("paths drawn of each length"))
    gradients = commands.add_parser("gradients", help=_("gradients at the initial weights, and how they shatter"),
                                    allow_abbrev=False)
    gradients.add_argument("--seeds", default="10", metavar="N", help=_("random nets for the autocorrelation"))
    landscape = commands.add_parser("landscape", help=_("the loss on a random plane through the weights"),
                                    allow_abbrev=False)
    landscape.add_argument("--grid", default="11", metavar="N", help=_("points a side"))
    landscape.add_argument("--range", default="1", metavar="R", help=_("from −R to R along either direction"))
    landscape.add_argument("--statistics", default=STATISTICS[0], metavar="STATISTICS",
                           help=_("BatchNorm’s statistics: stored or batch"))
    return [credit, paths, gradients, landscape]


def read_whole(name: str, text: str, low: int, high: int) -> int:
    value = parse_field("steps", text)
    if not isinstance(value, int) or not low <= value <= high:
        raise ConfigError(name, value, N_("a whole number from {low} to {high}"), low=low, high=high)
    return value


def read_choice(text: str) -> str | int:
    """The number of an example, or a word."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else text


def check_why(options: argparse.Namespace, race: RaceConfig) -> None:
    """Raise for what cannot be used before anything is trained."""
    if options.command == "paths":
        read_whole("samples_per_length", options.samples_per_length, 1, 1000)
    elif options.command == "gradients":
        read_whole("seeds", options.seeds, 1, 100)
    elif options.command == "landscape":
        read_whole("grid", options.grid, 1, MAX_GRID)
        read_range(options.range)
        if options.statistics not in STATISTICS:
            raise ConfigError("statistics", options.statistics, N_("one of {allowed}"), allowed=tuple(STATISTICS))
    else:
        check_credit_options(options, race.data.classes)
        check_baseline(read_choice(options.baseline), race.data)
        read_samples(read_choice(options.samples), race.dataset)


def check_credit_options(options: argparse.Namespace, classes: int) -> None:
    read_whole("credit_steps", options.credit_steps, 1, MAX_CREDIT_STEPS)
    if options.method not in CREDIT_METHODS:
        raise ConfigError("method", options.method, N_("one of {allowed}"), allowed=tuple(CREDIT_METHODS))
    if options.target is not None:
        read_whole("target", options.target, 0, classes - 1)


def read_range(text: str) -> float:
    value = parse_field("lr", text)
    if not isinstance(value, float) or not MIN_RANGE <= value <= 10:
        raise ConfigError("range", value, N_("a number from {low} to {high}"), low=MIN_RANGE, high=10)
    return value


def measure_why(options: argparse.Namespace, race: RaceConfig, state: State | None) -> dict[str, Any]:
    """What the command prints of a net; `gradients` needs no trained one."""
    if options.command == "credit":
        from resnet_viz.lab.experiments.attribution import measure_credit

        target = None if options.target is None else int(options.target)
        result = measure_credit(state, options.method, read_choice(options.baseline), read_choice(options.samples), target,
                                int(options.credit_steps))
        return result.to_jsonable()
    if options.command == "paths":
        from resnet_viz.lab.experiments.why import measure_paths

        found = measure_paths(state, int(options.samples_per_length), race.seed).to_jsonable()
        return found | {"lengths": [int(count) for count in found["lengths"]]}
    return measure_gradients(race, options) if options.command == "gradients" else measure_landscape(state, options)


def measure_gradients(race: RaceConfig, options: argparse.Namespace) -> dict[str, Any]:
    """The net's slopes beside the theory, those of every init, norm and shortcut that it can have, and autocorrelation.

    The autocorrelation is of random nets as deep, with BatchNorm, and with shortcuts if the net has any.
    """
    from resnet_viz.lab.experiments.why import measure_autocorrelation, measure_slopes

    net, table = race.lanes[0].net, []
    own = measure_slopes(net, race.dataset).to_jsonable()
    for init, norm, shortcut in itertools.product(INITS, NORMS, list_shortcuts(net)):
        found = measure_slopes(replace(net, init=init, norm=norm, shortcut=shortcut, skip=True, cuts=()), race.dataset)
        table.append({"init": init, "norm": norm, "shortcut": shortcut} | {
            name: found.to_jsonable()[name] for name in ("slope", "theory")})
    smooth = measure_autocorrelation(net.depth, net.residual, seeds=int(options.seeds))
    return own | {"table": table, "autocorrelation": smooth.to_jsonable()["mean"]}


def list_shortcuts(net: NetConfig) -> list[str]:
    """The shortcuts that a net of these widths can have; where all are equal some of them are the same."""
    found = []
    for shortcut in SHORTCUTS:
        with contextlib.suppress(ConfigError):
            found.append(replace(net, shortcut=shortcut).shortcut)
    return found


def measure_landscape(state: State, options: argparse.Namespace) -> dict[str, Any]:
    """The loss on the training part over a square grid about the net, and the net's own, which stands at the centre."""
    import numpy as np

    from resnet_viz.lab.experiments.planes import make_directions, measure_landscape_point, measure_landscape_rows

    started = time.perf_counter()
    side = int(options.grid)
    ticks = np.linspace(-1, 1, side) * read_range(options.range) if side > 1 else np.zeros(1)
    directions = make_directions(state, state.seed)
    loss = measure_landscape_rows(state, directions, ticks, ticks, "train", options.statistics)
    seconds = time.perf_counter() - started
    centre = measure_landscape_rows(state, directions, [0.0], [0.0], "train", options.statistics)[0, 0]
    net = measure_landscape_point(state, directions, 0.0, 0.0, "train", options.statistics)
    return {"loss": [[write_finite(value) for value in row] for row in loss.tolist()], "ticks": ticks.tolist(),
            "centre_loss": write_finite(float(centre)), "net_loss": write_finite(net), "seconds": seconds}


def write_finite(value: float) -> float | None:
    """JSON has no NaN and no infinity."""
    return value if math.isfinite(value) else None


# ---------------------------------------------------------------------------------------------------- a picture


def is_brought(options: argparse.Namespace) -> bool:
    """Whether torchvision's net and a picture are asked about, and not a net of ours."""
    return options.command == "credit" and (options.net is not None or options.picture is not None)


def measure_brought(options: argparse.Namespace) -> dict[str, Any]:
    """What `credit --net --picture` prints: the five likeliest classes, and the credit of each block, against black."""
    check_brought(options)
    from resnet_viz.lab.experiments.pictures import measure_picture, measure_picture_blocks
    from resnet_viz.lab.pictures import decode_picture

    picture = decode_picture(read_bytes(options.picture), options.picture)
    if picture.bits is not None:
        print(_("The picture has 16 bits for each value, and was read as {bits}-bit data: none of its values needs "
                "more.").format(bits=picture.bits), file=sys.stderr)
    model = load_model(options.net, options.weights or "download")
    if model.random:
        print(_("**Random weights.** Nobody trained this net: its answers and its maps say nothing about the "
                "picture.").replace("**", ""), file=sys.stderr)
    target = None if options.target is None else int(options.target)
    seen = measure_picture(model, picture.pixels, "grad-cam", target)
    found = measure_picture_blocks(model, picture.pixels, options.method, target, int(options.credit_steps))
    classes = [{"name": name, "probability": share} for name, share in seen.probabilities]
    return {"net": options.net, "random": model.random, "classes": classes, "target": seen.target,
            "target_name": seen.target_name, **found.to_jsonable()}


def check_brought(options: argparse.Namespace) -> None:
    """Raise for what is missing or has no meaning here, before anything is read."""
    check_pretrained(options.net)
    if options.picture is None:
        raise ConfigError("picture", None, N_("a picture, where net is given"))
    for name in sorted(list_given(options) - {*BROUGHT}):
        refuse(name, getattr(options, name), Option("picture", options.picture))
    check_own(options, None)
    named = options.weights in (None, "download", "random")  # else the file says how many there are, once it is read
    check_credit_options(options, CLASSES if named else MAX_CLASSES)


def read_bytes(path: str) -> bytes:
    """A picture's file; no more of it than is needed to see that it is too large."""
    from resnet_viz.lab.pictures import MAX_BYTES

    try:
        with open(path, "rb") as file:
            return file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError("picture", path, N_("a readable file ({reason})"), reason=reason) from None


def load_model(name: str, weights: str) -> Any:
    """torchvision's net with the weights of a file, downloaded ones (progress on stderr) or random ones."""
    from tqdm import tqdm

    from resnet_viz.lab.pretrained import load_pretrained

    if weights != "download":
        return load_pretrained(name, weights)
    with tqdm(unit="B", unit_scale=True, file=sys.stderr, delay=0.1) as bar:
        def tell(done: int, size: int | None) -> None:
            bar.total = size
            bar.update(done - bar.n)

        return load_pretrained(name, progress=tell)
