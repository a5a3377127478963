"""Settings to and from the URL: whatever a link says, a race comes of it, and what is wrong is told."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from resnet_viz.lab.nets import build_net
from resnet_viz.records import DATASETS, FAMILIES, INITS, NORMS, ORDERS, Change, Lane, NetConfig, RaceConfig
from resnet_viz.ui.controls import label_fields
from resnet_viz.ui.difference import tell_difference
from resnet_viz.ui.settings import COMPARABLE, DEFAULTS, Settings, read_query, read_race, write_query

FIELDS = list(write_query(Settings())) + list(Settings.__dataclass_fields__)

valid_settings = st.builds(
    Settings,
    dataset=st.sampled_from(["digits", "spirals"]), seed=st.integers(0, 2**31 - 1), steps=st.integers(1, 100_000),
    depth=st.integers(1, 20).map(lambda n: 2 * n + 2), width=st.sampled_from([(64,), (3,), (32, 64)]),
    shortcut=st.sampled_from(["zero-pad", "projection", "projection-all"]), norm=st.sampled_from(NORMS),
    init=st.sampled_from(INITS), order=st.sampled_from(ORDERS), lr=st.floats(0, 100), momentum=st.floats(0, 0.999),
    weight_decay=st.floats(0, 10), batch_size=st.integers(2, 1024), skips=st.tuples(st.booleans(), st.booleans()),
    cuts=st.tuples(*2 * [st.sampled_from([(), (0,)])]),
    changes=st.lists(st.builds(Change, st.integers(0, 999), st.integers(0, 1), st.just("skip"), st.booleans())
                     | st.builds(Change, st.integers(0, 999), st.integers(0, 1), st.just("cuts"),
                                 st.sampled_from([(), (0,)])), max_size=3).map(tuple),
).filter(lambda s: len(s.width) <= (s.depth - 2) // 2)


@given(valid_settings)
@settings(max_examples=60, deadline=None)
def test_query_round_trip(chosen: Settings) -> None:
    """To the URL and back is the same race, to the last digit."""
    back, errors = read_query(write_query(chosen))
    assert not errors
    assert back == chosen


@given(valid_settings)
@settings(max_examples=60, deadline=None)
def test_race_round_trip(chosen: Settings) -> None:
    assert read_race(chosen.make_race()).make_race() == chosen.make_race()


@given(st.dictionaries(st.sampled_from(FIELDS), st.one_of(st.text(max_size=50), st.integers().map(str),
                                                          st.floats().map(str), st.sampled_from([*FAMILIES, "1e9"]))))
@settings(max_examples=300, deadline=None)
def test_any_query_gives_a_race(query: dict[str, str]) -> None:
    chosen, errors = read_query(query)
    chosen.make_race()
    assert all(len(str(error)) < 600 for error in errors)
    assert errors or not query or all(name in query or getattr(chosen, name) == getattr(DEFAULTS, name)
                                      or name in ("skips", "first") for name in FIELDS)


def test_cuts_are_in_the_url() -> None:
    """A lane and its blocks, counted from 0; an address typed by hand has spaces where the pluses were."""
    chosen = replace(DEFAULTS, cuts=((), (3, 4)), changes=(Change(167, 1, "cuts", (4, 7)), Change(170, 1, "cuts", ())))
    query = write_query(chosen)
    assert query == {"cuts": "1:3+4", "changes": "167.1.cuts.4+7,170.1.cuts."}
    assert read_query(query) == (chosen, [])
    assert read_query({name: text.replace("+", " ") for name, text in query.items()}) == (chosen, [])
    assert read_query({"cuts": "0:2,1:4+3"})[0].cuts == ((2,), (3, 4))
    for bad in ("2:1", "1", "1:x", "1:3,1:4", "1:3+3", "1:9", "1:-1", "3+4", "1:600"):
        chosen, errors = read_query({"cuts": bad})
        assert chosen == DEFAULTS and [error.field for error in errors] == ["cuts"], bad
    chosen, errors = read_query({"changes": "5.1.cuts.9"})
    assert chosen == DEFAULTS and "from 0 to 8" in str(errors[0])


def test_bad_values_keep_the_good_ones() -> None:
    chosen, errors = read_query({"depth": "21", "lr": "0.1", "width": "9" * 10_000, "norm": "batch"})
    assert [error.field for error in errors] == ["depth", "width"]
    assert (chosen.depth, chosen.lr, chosen.norm) == (20, 0.1, "batch")


def test_what_does_not_go_together_is_told() -> None:
    chosen, errors = read_query({"width": "64,128"})
    assert [error.field for error in errors] == ["shortcut"]
    assert chosen.width == (64,)


def test_compared_field_makes_the_lanes_differ() -> None:
    chosen, errors = read_query({"compare": "depth", "first": "8", "depth": "56"})
    assert not errors
    assert [lane.net.depth for lane in chosen.make_race().lanes] == [8, 56]
    assert all(lane.net.skip for lane in chosen.make_race().lanes)


def test_default_race_is_the_issue_s() -> None:
    """Digits, dense, depth 20, width 64, default init, no norm, SGD 0.05, momentum 0.9, batch 128; plain, residual."""
    race = DEFAULTS.make_race()
    assert race == RaceConfig("digits", 0, 2000, (Lane(NetConfig(skip=False)), Lane(NetConfig())))
    net, train = race.lanes[1].net, race.lanes[1].train
    assert (net.family, net.depth, net.width, net.norm, net.init) == ("dense", 20, (64,), "none", "default")
    assert (train.optimizer, train.lr, train.momentum, train.batch_size) == ("sgd", 0.05, 0.9, 128)


OTHER = {"family": "conv", "shortcut": "projection-all", "depth": 14, "width": (12,), "norm": "batch", "init": "zero-last",
         "order": "pre", "activation": "tanh", "optimizer": "adamw", "lr": 0.01, "momentum": 0.5, "batch_size": 32,
         "weight_decay": 0.1, "decay": "coupled", "decay_block": 1, "decay_bias": False}
BASES = [{"depth": 8, "width": (6,), "shortcut": "zero-pad"},
         {"depth": 8, "width": (6,), "shortcut": "zero-pad", "norm": "batch", "init": "zero-last"}]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("base", BASES, ids=["default", "zero-last"])
@pytest.mark.parametrize("name", COMPARABLE)
def test_what_two_lanes_share_is_what_is_said(name: str, base: dict, seed: int) -> None:
    """Whatever they differ in: the layers' initial weights are equal, and the batches, where the sentence says so."""
    chosen = Settings(**base, seed=seed)
    if name != "skip":
        other = OTHER[name] if OTHER[name] != getattr(chosen, name) else {"norm": "none", "init": "he"}[name]
        chosen = replace(chosen, compare=name, first=other, skips=(True, True))
    lanes = chosen.make_race().lanes
    told = tell_difference(lanes)
    weights = [[p for layer in build_net(lane.net, DATASETS["digits"], seed).weighted_layers() for p in layer.parameters()]
               for lane in lanes]
    same = [w.shape for w in weights[0]] == [w.shape for w in weights[1]] and all(map(torch.equal, *weights))
    assert same == lanes[0].net.starts_like(lanes[1].net)
    assert same == ("same initial weights" in told or "from the same weights" in told)
    assert ("same batches" in told) == (name != "batch_size")
    assert ("all that differs" in told) == (name == "skip")
    assert name == "skip" or label_fields()[name] in told


def test_what_is_said_of_plain_and_residual_nets() -> None:
    """“+ a[l]” only where that is all: not with W_s, not between nets of which both have shortcuts, or neither."""
    assert tell_difference(DEFAULTS.make_race().lanes).endswith("all that differs is “+ a[l]”.")
    assert "“+ a[l]”" not in tell_difference(replace(DEFAULTS, shortcut="projection-all").make_race().lanes)
    assert "nothing differs" in tell_difference(replace(DEFAULTS, skips=(True, True)).make_race().lanes)
    assert "nothing differs" in tell_difference(replace(DEFAULTS, shortcut="none").make_race().lanes)
    lanes, (plain, residual) = DEFAULTS.make_race().lanes, DEFAULTS.make_race().lanes
    assert "+ a[l]" not in tell_difference(lanes, (residual, residual))  # both have shortcuts now, and had not before
    assert "Learning rate" in tell_difference(lanes, (plain.changed("lr", 0.1), residual))
    assert tell_difference((plain, residual.changed("cuts", (3,)))).endswith("all that differs is “+ a[l]”.")
    assert tell_difference((residual, residual.changed("cuts", (3,)))).endswith("what differs: Cut shortcuts.")
    assert "nothing differs" in tell_difference((plain, plain.changed("cuts", (3,))))
    lanes = replace(DEFAULTS, compare="shortcut", first="none", skips=(True, True)).make_race().lanes
    assert tell_difference(lanes).endswith("all that differs is “+ a[l]”.")
