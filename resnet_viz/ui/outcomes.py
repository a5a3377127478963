"""What a sweep's runs came to, by their place on the charts, and what those numbers say in words."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from resnet_viz.engine.sweep import RunProgress
from resnet_viz.figures.sweep import Line, Measure, Scale, Spot, summarise
from resnet_viz.records import DATASETS, N_, ConfigError
from resnet_viz.sweeps import Run, RunResult, SweepConfig
from resnet_viz.text import _, percent_sign
from resnet_viz.ui.controls import label_fields
from resnet_viz.ui.grid import name_lines, name_value
from resnet_viz.ui.metrics import MEASURES, STATISTICS, label_measure, read_spots, take_number, uses_norm

KINDS = ("lines", "map")
NUMBERS = ("depth", "width", "lr", "momentum", "weight_decay", "batch_size", "steps")
AT_CHANCE = 0.95  # of ln C: a training loss of so much or more has learned next to nothing
LEARNED = 10.0  # %: a training error below this counts as trained
SLIGHT = 0.01  # of ln C, and of all examples: what differs by less in loss and in error is told as alike
MOST = 8  # values that one sentence lists

# ---------------------------------------------------------------------------------------------------- the charts' roles


@dataclass(frozen=True)
class Roles:
    """Which setting is the charts' x, which is in colour (a map: down), which has a chart per value; what is drawn, and

    with which of BatchNorm's statistics it is measured.
    """

    x: str
    colour: str | None
    panel: str | None
    kind: str
    measures: tuple[str, ...]
    statistics: str


def choose_roles(config: SweepConfig, x: str | None = None, colour: str | None = None, kind: str | None = None,
                 measures: tuple[str, ...] = (), statistics: str | None = None) -> Roles:
    """The roles asked for, the usual ones where none is. Raises `ConfigError` for what the grid does not have."""
    names = [axis.name for axis in config.axes if axis.name != "seed"]
    for field, value, allowed in (("x", x, names), ("colour", colour, names), ("chart", kind, KINDS),
                                  ("statistics", statistics, STATISTICS)):
        if value is not None and value not in allowed:
            raise ConfigError(field, value, N_("one of {allowed}"), allowed=tuple(allowed))
    for value in measures:
        if value not in MEASURES:
            raise ConfigError("show", value, N_("one of {allowed}"), allowed=tuple(MEASURES))
    along = x or min(names, key=lambda name: (name == colour, name != "depth", name not in NUMBERS))
    rest = sorted((name for name in names if name != along), key=lambda name: (name != "shortcut", name in NUMBERS))
    if colour in rest:
        rest = [colour, *(name for name in rest if name != colour)]
    if x is None and along not in NUMBERS and len(rest) == 2 and rest[0] == "shortcut" and colour is None:
        rest.reverse()  # a map of two kinds of choices, one for the plain nets and one for the residual ones
    colour, panel = [*rest, None, None][:2]
    usual = "map" if colour is not None and (along in NUMBERS) == (colour in NUMBERS) else "lines"
    shown = measures or (MEASURES if panel is None else MEASURES[:1])
    return Roles(along, colour, panel, (kind or usual) if colour is not None else "lines", shown,
                 statistics or STATISTICS[0])


# ---------------------------------------------------------------------------------------------------- by place


class Outcomes:
    """The runs of a sweep by (panel, colour, x). Where there is no such axis the value is None."""

    def __init__(self, config: SweepConfig, runs: Iterable[RunProgress], roles: Roles) -> None:
        self.config, self.roles = config, roles
        self.axes = {axis.name: axis.values for axis in config.axes}
        self.races = [run.race for run in config.list_runs() if run.race is not None]
        self.statistics = roles.statistics if uses_norm(self.races) else None
        self._runs: dict[tuple, list[RunProgress]] = {}
        for run in runs:
            place = dict(zip(self.axes, run.run.place, strict=True))
            key = tuple(place.get(name) for name in (roles.panel, roles.colour, roles.x))
            self._runs.setdefault(key, []).append(run)

    def values(self, role: str) -> tuple[Any, ...]:
        """The values of "x", "colour" or "panel"; numbers in their order."""
        values = self.axes.get(getattr(self.roles, role), (None,))
        return tuple(sorted(values)) if all(type(value) in (int, float) for value in values) else values

    def at(self, panel: Any, colour: Any, x: Any) -> list[RunProgress]:
        return self._runs.get((panel, colour, x), [])

    def name(self, role: str, value: Any) -> str:
        """What a value of the x axis is called in a sentence, or a line, or a chart; "" where there is no such axis."""
        setting = getattr(self.roles, role)
        if setting is None:
            return ""
        values = self.values(role)
        return name_lines(setting, values)[values.index(value)]

    def name_net(self, panel: Any, colour: Any) -> str:
        """What tells a line from the others."""
        names = [self.name("colour", colour), self.name("panel", panel)]
        return " · ".join(filter(None, names)) or _("The net")

    def measure(self, name: str, values: Iterable[Any] = ()) -> Measure:
        """What is drawn; chance is that of all data sets in the sweep, if it is the same."""
        names = self.axes.get("dataset", (dict(self.config.base).get("dataset", "digits"),))
        classes = {DATASETS[dataset].classes for dataset in names if dataset in DATASETS}
        error = name.endswith("error")
        count = classes.pop() if len(classes) == 1 else None
        chance = None if count is None else 100 * (1 - 1 / count) if error else math.log(count)
        return Measure(label_measure(name, self.statistics), error, chance)

    def scale(self, role: str) -> Scale:
        setting, values = getattr(self.roles, role), self.values(role)
        numbers = tuple(value[0] if isinstance(value, tuple) and len(value) == 1 else value for value in values)
        return Scale(label_fields()[setting], numbers, tuple(name_value(setting, value) for value in values))

    def lines(self, panel: Any, measure: str) -> list[Line]:
        """The lines of one chart, in the order of the x axis."""
        return [Line(self.name("colour", colour) or label_measure(measure), self._pick_colour(colour),
                     tuple(self.spots((panel, colour, x), measure) for x in self.values("x")))
                for colour in self.values("colour")]

    def _pick_colour(self, value: Any) -> int:
        """The house's colours: a plain net the first, a residual one the second."""
        values = self.values("colour")
        if self.roles.colour != "shortcut":
            return values.index(value) if value is not None else 1
        return 0 if value == "none" else 1 + [kind for kind in values if kind != "none"].index(value)

    def cells(self, panel: Any, measure: str) -> list[list[tuple[Spot, ...]]]:
        """The cells of a map, `[row][column]`."""
        return [[self.spots((panel, colour, x), measure) for x in self.values("x")] for colour in self.values("colour")]

    def spots(self, place: tuple[Any, Any, Any], measure: str) -> tuple[Spot, ...]:
        """The finished runs of a (panel, colour, x)."""
        return read_spots(self.at(*place), measure, self.statistics)

    def rows(self, measure: str) -> list[dict[str, Any]]:
        """One row per run that has a number, for a spreadsheet."""
        return [{**dict(zip(self.axes, map(_flatten, run.run.place), strict=True)),
                 measure: take_number(run.result, measure, self.statistics), "diverged": run.result.diverged}
                for runs in self._runs.values() for run in runs if run.result is not None]

    # ------------------------------------------------------------------------------------------------ in words

    def nets(self) -> list[tuple[Any, Any]]:
        """(panel, colour) of every line."""
        return list(itertools.product(self.values("panel"), self.values("colour")))

    def say(self) -> list[str]:
        """What the finished runs say, each sentence from the numbers that are shown."""
        found = []
        if self.scale("x").numeric:
            compared = [self._compare_ends(panel, colour) for panel, colour in self.nets()]
            found += [words for words in compared if words]
        found += [self._list_places(_("At chance (training loss at least 95 % of ln C in every seed): {places}."),
                                    self._is_at_chance),
                  self._list_places(_("Trained (training error below 10 % in every seed): {places}."), self._has_learned),
                  self._list_places(_("Diverged in every seed: {places}."), lambda runs: all(r.diverged for r in runs)),
                  self._list_places(_("Diverged in some seeds, which the means leave out: {places}."),
                                    lambda runs: any(r.diverged for r in runs) and not all(r.diverged for r in runs)),
                  self._compare_statistics()]
        return [words for words in found if words]

    def _results(self, panel: Any, colour: Any, x: Any) -> list[RunResult]:
        """What came of a place's runs, once each of its seeds has ended: nothing can be said of every seed before."""
        results = [run.result for run in self.at(panel, colour, x)]
        return [] if None in results else results

    def _compare_ends(self, panel: Any, colour: Any) -> str:
        """The largest x against the smallest: is the training loss higher, in every seed, by more than counts for nothing?

        Losses at chance may differ in the fourth digit in every seed, and neither net has learned anything.
        """
        known = [x for x in self.values("x") if any(not run.diverged for run in self._results(panel, colour, x))]
        if len(known) < 2:
            return ""
        places = {end: (panel, colour, x) for end, x in (("near", known[0]), ("far", known[-1]))}
        losses, errors = ({end: self.spots(place, measure) for end, place in places.items()}
                          for measure in ("train_loss", "train_error"))
        sets = {end: [spot.value for spot in spots if not spot.diverged and spot.value is not None]
                for end, spots in losses.items()}
        if not all(sets.values()):
            return ""
        results = [run for place in places.values() for run in self._results(*place) if not run.diverged]
        words = self._judge(sets, results, abs(summarise(errors["far"])[0] - summarise(errors["near"])[0]))
        numbers = {"high": self._write(losses["far"], "train_loss"), "low": self._write(losses["near"], "train_loss")}
        numbers |= {f"{end}_error": self._write(spots, "train_error") for end, spots in errors.items()}
        return words.format(net=self.name_net(panel, colour), far=self.name("x", known[-1]),
                            near=self.name("x", known[0]), **numbers)

    def _judge(self, losses: dict[str, list[float]], results: list[RunResult], room: float) -> str:
        """The sentence for the training losses of both ends; `room` lies between their training errors, in percent."""
        near, far = losses["near"], losses["far"]
        slight = SLIGHT * math.log(results[0].race.data.classes)
        if self._is_at_chance(results):
            return _("{net}: {far} and {near} are both at chance, and neither is the better: training loss {high} and "
                     "{low}; training error {far_error} and {near_error}.")
        if min(far) <= max(near) and max(far) >= min(near):
            return _("{net}: between {far} and {near} there is no clear difference in training loss, the seeds overlap: "
                     "{high} and {low}; training error {far_error} and {near_error}.")
        if abs(sum(far) / len(far) - sum(near) / len(near)) < slight and room < 100 * SLIGHT:
            return _("{net}: {far} and {near} end alike, with a difference too small to count: training loss {high} and "
                     "{low}; training error {far_error} and {near_error}.")
        if min(far) > max(near):
            return _("{net}: {far} end with a higher training loss than {near}, in every seed: {high} against {low}; "
                     "training error {far_error} against {near_error}.")
        return _("{net}: {far} end with a lower training loss than {near}, in every seed: {high} against {low}; "
                 "training error {far_error} against {near_error}.")

    def _compare_statistics(self) -> str:
        """Where BatchNorm's stored statistics and recomputed ones make the largest difference to the training error."""
        found = []
        for (panel, colour), x in itertools.product(self.nets(), self.values("x")):
            if self._results(panel, colour, x):
                spots = [read_spots(self.at(panel, colour, x), "train_error", kind) for kind in STATISTICS]
                gap = abs(summarise(spots[0])[0] - summarise(spots[1])[0])
                if gap > 100 * SLIGHT:
                    found.append((gap, panel, colour, x, spots))
        if not found:
            return ""
        _gap, panel, colour, x, (stored, recomputed) = max(found, key=lambda item: item[0])
        words = _("BatchNorm’s statistics matter most here: {net}, {place}, training error {stored} with the stored ones, "
                  "{recomputed} with recomputed ones.")
        return words.format(net=self.name_net(panel, colour), place=self.name("x", x),
                            stored=self._write(stored, "train_error"), recomputed=self._write(recomputed, "train_error"))

    def _write(self, spots: tuple[Spot, ...], measure: str) -> str:
        """Mean ± standard deviation."""
        mean, spread = summarise(spots)
        percent = self.measure(measure).percent
        places = 1 if percent else 4
        words = f"{mean:.{places}f}" + (f" ± {spread:.{places}f}" if math.isfinite(spread) else "")
        return words + (percent_sign() if percent else "")

    def _list_places(self, words: str, fits: Any) -> str:
        """A sentence with all places whose results fit; "" where none do."""
        found = []
        for panel, colour in self.nets():
            places = [x for x in self.values("x") if (runs := self._results(panel, colour, x)) and fits(runs)]
            if places:
                setting = label_fields()[self.roles.x]
                net = self.name_net(panel, colour)
                listed = _(", ").join(name_value(self.roles.x, x) for x in places[:MOST]) + (" …" if places[MOST:] else "")
                found.append(_("{net} ({setting}: {values})").format(net=net, setting=setting, values=listed))
        return words.format(places=_("; ").join(found)) if found else ""

    def _is_at_chance(self, runs: list[RunResult]) -> bool:
        return all(loss is not None and not run.diverged and loss >= AT_CHANCE * math.log(run.race.data.classes)
                   for run in runs for loss in [take_number(run, "train_loss", self.statistics)])

    def _has_learned(self, runs: list[RunResult]) -> bool:
        return all(error is not None and not run.diverged and error < LEARNED
                   for run in runs for error in [take_number(run, "train_error", self.statistics)])


def _flatten(value: Any) -> Any:
    return ",".join(map(str, value)) if isinstance(value, tuple) else value


def describe_run(config: SweepConfig, run: Run) -> str:
    """Where a run is on the grid, in the reader's language."""
    return _(", ").join(name_lines(axis.name, axis.values)[axis.values.index(value)]
                        for axis, value in zip(config.axes, run.place, strict=True))
