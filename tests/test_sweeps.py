"""Grids of settings: what is in one, what a run is known by, what is refused, what it costs."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resnet_viz import sweeps
from resnet_viz.records import ConfigError, Lane, NetConfig, RaceConfig, State, TrainConfig, count_multiply_adds
from resnet_viz.sweeps import (
    MAX_RUNS,
    READY,
    SETTINGS,
    Axis,
    SweepConfig,
    estimate,
    hash_numbers,
    identify,
    list_settings,
    make_run,
    make_sweep,
    predict_seconds,
    read_settings,
    write_settings,
)

RUNS = st.builds(
    lambda net, train, dataset, seed, steps: RaceConfig(dataset, seed, steps, (Lane(net, train),)),
    st.one_of(
        st.builds(NetConfig, family=st.just("dense"), shortcut=st.sampled_from(("none", "zero-pad", "projection")),
                  depth=st.sampled_from((6, 8, 20)), width=st.sampled_from(((16,), (8, 16), (4, 8))),
                  norm=st.sampled_from(("none", "batch")), init=st.sampled_from(("default", "he")), skip=st.booleans()),
        st.builds(NetConfig, family=st.just("conv"), shortcut=st.sampled_from(("none", "zero-pad")),
                  depth=st.sampled_from((8, 14)), width=st.just((4,)), norm=st.just("batch"))),
    st.builds(TrainConfig, optimizer=st.sampled_from(("sgd", "adamw")), lr=st.floats(0, 1), weight_decay=st.floats(0, 1),
              batch_size=st.integers(2, 256), decay_block=st.sampled_from((None, 0, 1)), decay_bias=st.booleans()),
    st.just("digits"), st.integers(0, 2**31 - 1), st.integers(1, 1000))


# ---------------------------------------------------------------------------------------------------- grids


def test_a_grid_is_every_combination_the_last_axis_fastest() -> None:
    config = make_sweep({"family": "conv", "steps": 5}, {"depth": (8, 14), "seed": (0, 1, 2)})
    runs = config.list_runs()
    assert [run.place for run in runs] == [(8, 0), (8, 1), (8, 2), (14, 0), (14, 1), (14, 2)]
    for run in runs:
        assert (run.race.lanes[0].net.depth, run.race.seed, run.race.steps) == (*run.place, 5)
    net = runs[0].race.lanes[0].net
    assert (net.norm, net.shortcut, net.width) == ("batch", "zero-pad", (8,))  # what a family usually has


def test_a_grid_without_axes_is_one_run() -> None:
    assert [run.race for run in SweepConfig().list_runs()] == [make_run({})]


def test_a_family_in_an_axis_brings_its_usual_settings() -> None:
    runs = make_sweep({"steps": 5}, {"family": ("dense", "conv")}).list_runs()
    assert [run.race.lanes[0].net.norm for run in runs] == ["none", "batch"]


def test_impossible_combinations_are_named_and_the_rest_stays() -> None:
    runs = make_sweep({"steps": 5}, {"family": ("dense", "conv"), "depth": (8, 10)}).list_runs()
    assert [run.race is None for run in runs] == [False, False, False, True]
    assert runs[3].error.field == "depth" and "the nearest is 8" in str(runs[3].error)
    assert runs[3].settings["depth"] == 10


@given(RUNS)
def test_settings_written_and_read_are_the_same_run(race: RaceConfig) -> None:
    written = write_settings(race)
    assert set(written) == set(SETTINGS)
    assert make_run(read_settings(json.loads(json.dumps(written)))) == race
    assert make_run(list_settings(race)) == race


@given(RUNS)
def test_a_states_settings_are_its_runs(race: RaceConfig) -> None:
    state = State(race.lanes[0], race.dataset, race.seed, race.steps, *[np.zeros(0)] * 3)
    assert state.settings == list_settings(race)


@given(st.lists(st.sampled_from((6, 8, 10, 14)), min_size=1, unique=True),
       st.lists(st.floats(0, 1), min_size=1, max_size=4, unique=True), st.sampled_from((None, (64,), (16, 32))))
def test_a_sweep_written_and_read_is_the_same(depths: list, rates: list, width: tuple | None) -> None:
    config = make_sweep({"width": width or (8,), "shortcut": "projection"}, {"depth": depths, "lr": rates})
    assert SweepConfig.from_json(config.to_json()) == config


# ---------------------------------------------------------------------------------------------------- identity


@given(RUNS)
def test_one_run_has_one_identity_however_it_is_written(race: RaceConfig) -> None:
    train = race.lanes[0].train
    mixed = {name.replace("_", "-"): value for name, value in reversed(write_settings(race).items())}
    mixed["width"] = list(race.lanes[0].net.width)
    mixed["lr"] = int(train.lr) if train.lr.is_integer() else train.lr
    assert identify(make_run(read_settings(mixed)), "code") == identify(race, "code")


@given(RUNS, RUNS)
def test_identities_are_equal_where_the_runs_are(one: RaceConfig, other: RaceConfig) -> None:
    assert (identify(one, "code") == identify(other, "code")) == (one == other)


@settings(max_examples=20)
@given(RUNS)
def test_every_setting_and_the_code_are_in_the_identity(race: RaceConfig) -> None:
    others = [replace(race, seed=race.seed ^ 1), replace(race, steps=race.steps + 1),
              *(replace(race, lanes=(race.lanes[0].changed(name, value),))
                for name, value in (("lr", 2.0), ("momentum", 0.5), ("weight_decay", 2.0), ("cuts", (0,))))]
    known = {identify(race, "code"), identify(race, "other code"), *(identify(other, "code") for other in others)}
    assert len(known) == 2 + len(others)


def test_a_run_without_cuts_is_known_as_before_there_were_any() -> None:
    """Stored runs say nothing of cuts: that they were written down is no reason to train them again."""
    race = make_run({"depth": 8})
    old = write_settings(race)
    assert old.pop("cuts") == ""
    text = json.dumps(old, sort_keys=True)
    assert identify(race, "code") == hashlib.sha256(f"code\n{text}".encode()).hexdigest()
    assert make_run(read_settings(old)) == race


def test_the_version_of_the_numbers_is_raised_by_hand_and_by_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    """By nothing else: a comment edited in `lab` forgets no stored run."""
    known = {hash_numbers(), hash_numbers(libraries=("numpy",))}
    monkeypatch.setattr(sweeps, "NUMBERS", sweeps.NUMBERS + 1)
    known.add(hash_numbers())
    monkeypatch.setattr(sweeps, "PROBE_EVERY", 7)
    known.add(hash_numbers())
    assert len(known) == 4


# ---------------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(("make", "field", "says"), [
    (lambda: Axis("colour", ("red",)), "colour", "the settings are"),
    (lambda: Axis("depth", ()), "depth", "from 1 to 100 values"),
    (lambda: Axis("seed", tuple(range(101))), "seed", "101"),
    (lambda: Axis("depth", (8, 8)), "depth", "each value once"),
    (lambda: make_sweep({}, {"seed": range(50), "lr": [i / 99 for i in range(21)]}), "axes", f"at most {MAX_RUNS}"),
    (lambda: SweepConfig((), (Axis("depth", (8,)), Axis("depth", (10,)))), "depth", "one axis"),
    (lambda: make_sweep({"colour": "red"}, {}), "colour", "the settings are"),
    (lambda: make_sweep({}, {"depth": (9, 11)}), "depth", "the nearest is"),
    (lambda: make_sweep({}, {"depth": (8, "2o")}), "depth", "whole number"),
    (lambda: make_sweep({}, {"lr": (0.1, float("nan"))}), "lr", "a number from"),
    (lambda: make_sweep({}, {"shortcut": ("none", "zeropad")}), "shortcut", "zero-pad"),
    (lambda: make_sweep({}, {"width": (8, None)}), "width", "whole number"),
    (lambda: SweepConfig.from_json('{"axes": {"lr": [0.1, 1e400]}}'), "lr", "a number from"),
    (lambda: make_sweep({"family": "conv", "depth": 110, "steps": 100_000}, {"seed": range(60)}), "axes", "a smaller"),
    (lambda: SweepConfig.from_json("[]"), "config", "braces"),
    (lambda: SweepConfig.from_json("{"), "config", "valid JSON"),
    (lambda: SweepConfig.from_json('{"axis": {}}'), "axis", "axes, base"),
    (lambda: SweepConfig.from_json('{"axes": []}'), "axes", "braces"),
    (lambda: SweepConfig.from_json('{"axes": {"depth": 8}}'), "depth", "a list in brackets"),
    (lambda: SweepConfig.from_json('{"base": 3}'), "base", "braces"),
    (lambda: SweepConfig.from_json('{"axes": {"depth": [null, {}, [1]]}}'), "depth", "whole number"),
    (lambda: SweepConfig.from_json('{"base": {"width": {"a": 1}}}'), "width", "whole number"),
])
def test_what_cannot_be_is_told(make, field: str, says: str) -> None:
    with pytest.raises(ConfigError) as error:
        make()
    assert error.value.field == field and says in str(error.value)


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
                        st.sampled_from(("base", "axes", "depth", "width", "lr", "family", "seed")), inner, max_size=3),
                    max_leaves=8)


@given(JSON)
def test_no_json_breaks_it(content) -> None:
    """A grid, or a sentence: never another error."""
    try:
        config = SweepConfig.from_json(json.dumps(content))
    except ConfigError as error:
        assert len(str(error)) < 600
    else:
        assert SweepConfig.from_json(config.to_json()) == config


# ---------------------------------------------------------------------------------------------------- cost


def test_the_estimate_counts_what_is_left() -> None:
    config = make_sweep({"steps": 10}, {"depth": (4, 8), "seed": (0, 1), "family": ("dense", "conv")})
    races = [run.race for run in config.list_runs() if run.race is not None]
    whole = estimate(config, workers=2)
    assert (whole.runs, whole.known, whole.impossible) == (6, 0, 2)
    assert whole.multiply_adds == sum(10 * 3 * 128 * count_multiply_adds(race.lanes[0].net, race.data) for race in races)
    assert whole.core_seconds == pytest.approx(sum(map(predict_seconds, races)))
    assert whole.longest == max(map(predict_seconds, races))
    assert whole.seconds == max(whole.longest, whole.core_seconds / 2)
    rest = estimate(config, 2, known=races[:2])
    assert (rest.runs, rest.known) == (4, 2) and rest.core_seconds < whole.core_seconds
    assert estimate(config, 1, {"dense": 2.0, "conv": 2.0}).core_seconds == pytest.approx(2 * whole.core_seconds)
    assert estimate(config, known=races).seconds == 0


@given(RUNS)
def test_more_steps_and_deeper_nets_cost_more(race: RaceConfig) -> None:
    lane = race.lanes[0]
    deeper = replace(race, lanes=(replace(lane, net=replace(lane.net, depth=lane.net.depth + 6)),))
    assert predict_seconds(race) < predict_seconds(replace(race, steps=race.steps + 1))
    assert predict_seconds(race) < predict_seconds(deeper)


@pytest.mark.parametrize("name", READY)
def test_ready_sweeps_fit_into_a_lesson(name: str) -> None:
    """Two cores of the machine that the rates were measured on; no combination that cannot be."""
    cost = estimate(READY[name].config, workers=2)
    assert cost.impossible == 0
    assert cost.seconds < 120
