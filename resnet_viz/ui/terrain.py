"""What is asked on the page of the landscape, to and from the URL, and the jobs that answer it, a finer grid each."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st

from resnet_viz.engine.hub import hub
from resnet_viz.engine.jobs import Call, Job
from resnet_viz.records import DATASETS, N_, ConfigError, Trajectory, count_multiply_adds, parse_field
from resnet_viz.ui.subject import Subject

SIDES = (3, 5, 9, 17, 33)  # points a side; each grid holds the one before
STATIONS = 13  # states of the way of training that are looked at
WAY_BYTES = 100_000_000  # of them, on the workers
CALL_WORK = 6e9  # multiply-adds of one call, so that live races get their turns: some tenths of a second
PREFIX, ERRORS = "landscape.", "landscape.complaints"
DEFAULTS = {"plane": "random", "plane_seed": 0, "reach": "0.5", "part": "train", "statistics": "stored", "finest": "17",
            "view": "contours", "way": "1"}
SETS = {"plane": ("random", "pca"), "reach": ("0.1", "0.25", "0.5", "1", "2"), "part": ("train", "test"),
        "statistics": ("stored", "batch"), "finest": ("9", "17", "33"), "view": ("contours", "surface"), "way": ("0", "1")}
SEEDS = (0, 10**6)


def read_url() -> list[ConfigError]:
    """On the page's first run in a session: take the link's choices. What is wrong with them, until a choice is made."""
    if ERRORS not in st.session_state:
        st.session_state[ERRORS] = read_choices(st.query_params.to_dict())
    return st.session_state[ERRORS]


def read_choices(query: Mapping[str, str]) -> list[ConfigError]:
    errors = []
    for name in DEFAULTS:
        try:
            if name in query:
                set_choice(name, read_choice(name, query[name]))
        except ConfigError as error:
            errors.append(error)
    return errors


def read_choice(name: str, text: str) -> str | int:
    """One parameter. Raises `ConfigError`."""
    if name in SETS:
        if text not in SETS[name]:
            raise ConfigError(PREFIX + name, text, N_("one of {allowed}"), allowed=tuple(SETS[name]))
        return text
    value, (low, high) = parse_field("steps", text), SEEDS
    if not isinstance(value, int) or not low <= value <= high:
        raise ConfigError(PREFIX + name, text, N_("a whole number from {low} to {high}"), low=low, high=high)
    return value


def get_choice(name: str) -> Any:
    return st.session_state.get(PREFIX + name, get_default(name))


def get_default(name: str) -> Any:
    """Along principal directions the whole trajectory is shown."""
    return "1" if name == "reach" and get_choice("plane") == "pca" else DEFAULTS[name]


def set_choice(name: str, value: Any) -> None:
    st.session_state[PREFIX + name] = value


def write_choices() -> dict[str, str]:
    """This page's parameters of the URL."""
    return {name: str(get_choice(name)) for name in DEFAULTS if get_choice(name) != get_default(name)}


def keep(name: str, widget: Callable, *args: Any, **kwargs: Any) -> None:
    """A widget whose value survives a visit to another page."""
    key = f"widget.{name}"
    st.session_state[key] = get_choice(name)

    def on_change() -> None:
        set_choice(name, st.session_state[key])
        st.session_state[ERRORS] = []
        if name == "plane":
            st.session_state.pop(PREFIX + "reach", None)

    widget(*args, key=key, on_change=on_change, **kwargs)


# ---------------------------------------------------------------------------------------------------- the plane


@dataclass(frozen=True, eq=False)
class Plane:
    """Each lane's `directions` as a worker takes them, how far the slice reaches, and a `key` that says which they are.

    `units` are what 1 stands for: along a lane's principal directions its trajectory's farthest point, along random ones 1.
    """

    key: Hashable
    directions: list[int | np.ndarray]
    reach: float
    units: list[float]


def find_plane(subject: Subject) -> Plane | None:
    """The plane that is asked for; None as long as principal directions are not known."""
    reach = float(get_choice("reach"))
    if get_choice("plane") == "random":
        seed = get_choice("plane_seed")
        return Plane(("random", seed), [seed] * len(subject.states), reach, [1.0] * len(subject.states))
    ways = get_ways(subject)
    if ways is None:
        return None
    units = [float(np.abs(way.points).max()) or 1.0 for way in ways]
    return Plane("pca", [way.directions * np.float32(unit) for way, unit in zip(ways, units, strict=True)], reach, units)


def find_statistics(subject: Subject) -> str:
    """BatchNorm's, or "stored" where there is none."""
    return get_choice("statistics") if has_norm(subject) else "stored"


def has_norm(subject: Subject) -> bool:
    return any(state.lane.net.norm == "batch" for state in subject.states)


# ---------------------------------------------------------------------------------------------------- the way


def list_steps(subject: Subject) -> list[int]:
    """At which steps the way of training is looked at: evenly from 0 to where the nets stand; fewer of large nets."""
    size = sum(state.weights.nbytes + state.moments.nbytes for state in subject.states)
    count = int(np.clip(WAY_BYTES // size, 3, STATIONS))
    return sorted({round(step) for step in np.linspace(0, subject.step, count)})


def make_way_key(subject: Subject) -> Hashable:
    return subject.key("way", "pca" if get_choice("plane") == "pca" else get_choice("plane_seed"))


def start_way(subject: Subject) -> Job:
    """Train the nets anew to see where they went."""
    directions = "pca" if get_choice("plane") == "pca" else get_choice("plane_seed")
    return hub.call(hub.trace(make_way_key(subject), subject.race, list_steps(subject), directions))


def get_ways(subject: Subject) -> list[Trajectory] | None:
    job = hub.jobs.get(make_way_key(subject))
    return job.results if job is not None and job.state == "done" else None


# ---------------------------------------------------------------------------------------------------- the losses


def make_level_key(subject: Subject, plane: Plane, side: int) -> Hashable:
    return subject.key("landscape", plane.key, plane.reach, get_choice("part"), find_statistics(subject), side)


def count_points(subject: Subject) -> int:
    """Points of the grid in one call."""
    data = DATASETS[subject.config.dataset]
    examples = data.train if get_choice("part") == "train" else data.test
    work = max(count_multiply_adds(state.lane.net, data) for state in subject.states) * examples
    return int(np.clip(CALL_WORK // work, 1, 64))


def list_blocks(side: int, points: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows and columns of the grid that are not in the one before, as blocks of at most `points` points."""
    every, odd, even = np.arange(side), np.arange(1, side, 2), np.arange(0, side, 2)
    for rows, columns in [(every, every)] if side == SIDES[0] else [(even, odd), (odd, every)]:
        across = np.array_split(columns, -(-len(columns) // points))
        together = max(1, points // len(columns))
        for at in range(0, len(rows), together):
            for part in across:
                yield rows[at : at + together], part


def start_level(subject: Subject, plane: Plane, side: int) -> Job:
    """Measure what one grid adds to the one before, in all nets."""
    ticks, calls = make_ticks(plane, side), []
    for rows, columns in list_blocks(side, count_points(subject)):
        for state, directions in zip(subject.states, plane.directions, strict=True):
            arguments = (directions, ticks[columns].tolist(), ticks[rows].tolist(), get_choice("part"),
                         find_statistics(subject))
            calls.append(Call("experiments.planes.measure_landscape_rows", state, arguments))
    return hub.call(hub.start(make_level_key(subject, plane, side), calls))


def make_ticks(plane: Plane, side: int) -> np.ndarray:
    return np.linspace(-1, 1, side) * plane.reach


def read_levels(subject: Subject, plane: Plane) -> list[np.ndarray]:
    """The finest grid of losses that there is of each net, up to the one that is asked for; empty where there is none."""
    grids: list[np.ndarray] = []
    for side in SIDES:
        job = hub.jobs.get(make_level_key(subject, plane, side))
        if side > int(get_choice("finest")) or job is None or job.state != "done":
            break
        job.calls.clear()  # with the states, which nobody wants any more
        finer = [np.full((side, side), np.nan) for _state in subject.states]
        for grid, coarse in zip(finer, grids, strict=False):
            grid[::2, ::2] = coarse
        results = iter(job.results)
        for rows, columns in list_blocks(side, count_points(subject)):
            for grid in finer:
                grid[np.ix_(rows, columns)] = next(results)
        grids = finer
    return grids


def next_side(grids: list[np.ndarray]) -> int | None:
    """The grid to measure next."""
    done, finest = len(grids[0]) if grids else 0, int(get_choice("finest"))
    return next((side for side in SIDES if done < side <= finest), None)
