"""The records: counts of the paper, configurations that read back as they were written, and errors that help."""

import dataclasses
import json
import pickle
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from resnet_viz.lab.nets import build_net
from resnet_viz.records import (
    ACTIVATIONS,
    DATASETS,
    DECAYS,
    INITS,
    LIVE_FIELDS,
    NORMS,
    OPERATIONS,
    OPTIMIZERS,
    ORDERS,
    Change,
    ConfigError,
    DataShape,
    Edit,
    Lane,
    NetConfig,
    Operation,
    RaceConfig,
    TrainConfig,
    check_budget,
    count_multiply_adds,
    count_parameters,
    list_layers,
    parse_field,
    plan_blocks,
    read_blocks,
)

CIFAR = DataShape((3, 32, 32), 10)
PICTURES, POINTS = DataShape((1, 8, 8), 10), DataShape((2,), 2)
LONGEST_MESSAGE = 600
torch.set_num_threads(1)
RECORDS = (NetConfig, TrainConfig, Lane, Change, Edit, Operation, RaceConfig)
FIELDS = {kind: [f.name for f in dataclasses.fields(kind)] for kind in RECORDS}


def make_cifar_net(depth: int, shortcut: str = "zero-pad") -> NetConfig:
    return NetConfig("conv", shortcut, depth, (16,), "batch")


# ---------------------------------------------------------------------------------------------------- strategies


@st.composite
def draw_nets(draw: st.DrawFn, max_blocks: int = 5, max_width: int = 12) -> NetConfig:
    """Any valid net of a few blocks."""
    family = draw(st.sampled_from(["dense", "conv"]))
    width = st.integers(1, max_width)
    if family == "conv":
        depth, widths = 6 * draw(st.integers(1, 2)) + 2, (draw(width),)
        shortcut = draw(st.sampled_from(["none", "zero-pad", "projection", "projection-all"]))
    else:
        blocks = draw(st.integers(1, max_blocks))
        depth, widths = 2 * blocks + 2, tuple(draw(st.lists(width, min_size=1, max_size=min(4, blocks))))
        allowed = ["none", "projection", "projection-all"]
        allowed += ["zero-pad"] if list(widths) == sorted(widths) else []
        allowed += ["identity"] if len(set(widths)) == 1 else []
        shortcut = draw(st.sampled_from(allowed))
    return NetConfig(family, shortcut, depth, widths, draw(st.sampled_from(NORMS)), draw(st.sampled_from(INITS)),
                     draw(st.sampled_from(ORDERS)), draw(st.booleans()), draw(st.sampled_from(ACTIVATIONS)),
                     tuple(draw(st.sets(st.integers(0, (depth - 2) // 2 - 1)))))


LIVE_VALUES = {"skip": st.booleans(), "cuts": st.sampled_from([(), (0,), [0]]), "lr": st.floats(0, 100),
               "momentum": st.floats(0, 0.999), "weight_decay": st.floats(0, 10)}
TRAINS = st.builds(TrainConfig, st.sampled_from(OPTIMIZERS), st.floats(0, 100), st.floats(0, 0.999), st.floats(0, 10),
                   st.integers(2, 1024), st.sampled_from(DECAYS), st.none() | st.just(0), st.booleans())


OPERATIONS_ON_THE_FIRST = st.builds(Operation, st.sampled_from(["zero-w", "zero-wb", "scale"]), st.just(0),
                                    st.floats(0, 1), st.none() | st.floats(0, 1))


@st.composite
def draw_races(draw: st.DrawFn) -> RaceConfig:
    lanes = tuple(draw(st.lists(st.builds(Lane, draw_nets(), TRAINS), min_size=1, max_size=4)))
    pictures = any(lane.net.family == "conv" for lane in lanes)
    dataset = "digits" if pictures else draw(st.sampled_from(sorted(DATASETS)))
    names = draw(st.lists(st.sampled_from(LIVE_FIELDS), max_size=4))
    changes = tuple(Change(draw(st.integers(0, 10**6)), draw(st.integers(0, len(lanes) - 1)), name,
                           draw(LIVE_VALUES[name])) for name in names)
    edits = tuple(Edit(draw(st.integers(0, 10**6)), draw(st.integers(0, len(lanes) - 1)), operation)
                  for operation in draw(st.lists(OPERATIONS_ON_THE_FIRST, max_size=3)))
    return RaceConfig(dataset, draw(st.integers(0, 2**31 - 1)), draw(st.integers(1, 100_000)), lanes, changes, edits)


SCALARS = st.none() | st.booleans() | st.integers() | st.integers(-(10**200), 10**200) | st.floats() | st.text(max_size=80)
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=20), inner,
                                                                                        max_size=4), max_leaves=12)


def draw_object(kind: type, /, **known: st.SearchStrategy) -> st.SearchStrategy:
    """JSON objects with some fields of a record, each holding what it may hold, or anything."""
    fields = {name: known.get(name, st.nothing()) | JSON for name in FIELDS[kind]}
    return st.fixed_dictionaries({}, optional=fields)


NET_OBJECTS = draw_object(NetConfig, depth=st.integers(-10, 1300), shortcut=st.sampled_from(["none", "projection"]),
                          width=st.text("0123456789, ", max_size=9) | st.lists(st.integers(), max_size=5))
LANE_OBJECTS = draw_object(Lane, net=NET_OBJECTS, train=draw_object(TrainConfig, lr=st.integers()))
CHANGE_OBJECTS = st.fixed_dictionaries({"step": st.integers() | JSON, "lane": st.integers(-1, 4) | JSON,
                                        "name": st.sampled_from(LIVE_FIELDS) | JSON, "value": JSON})
EDIT_OBJECTS = st.fixed_dictionaries({"step": st.integers() | JSON, "lane": st.integers(-1, 8) | JSON,
                                      "operation": draw_object(Operation, kind=st.sampled_from(OPERATIONS)) | JSON})
CHANGE_LISTS = st.lists(SCALARS | CHANGE_OBJECTS, max_size=3)
RACE_OBJECTS = st.builds(lambda race, changes: {**race, **changes},
                         draw_object(RaceConfig, lanes=st.lists(LANE_OBJECTS, max_size=5)),
                         st.fixed_dictionaries({"changes": SCALARS | CHANGE_LISTS,
                                                "edits": SCALARS | st.lists(SCALARS | EDIT_OBJECTS, max_size=3)}))


def read_or_refuse(text: str) -> ConfigError | None:
    """The error with which `from_json` refuses a text, or None; any other exception fails the test."""
    try:
        assert isinstance(RaceConfig.from_json(text), RaceConfig)
    except ConfigError as error:
        assert 0 < len(str(error)) < LONGEST_MESSAGE
        return error
    return None


# ---------------------------------------------------------------------------------------------------- reference


@pytest.mark.parametrize(("depth", "parameters", "multiply_adds"), [
    (20, 269_722, 40_551_040), (32, 464_154, 68_862_592), (44, 658_586, 97_174_144), (56, 853_018, 125_485_696),
    (110, 1_727_962, 252_887_680), (1202, 19_421_274, None),
])
def test_counts_of_the_cifar_nets_are_the_papers(depth, parameters, multiply_adds):
    """He et al. 2015, option A: parameters, the formula, multiply-adds; the same for the plain net; B adds 2,752."""
    net = make_cifar_net(depth)
    assert count_parameters(net, CIFAR) == parameters == 97_216 * (depth - 2) // 6 - 21_926
    assert multiply_adds in (count_multiply_adds(net, CIFAR), None)
    for plain in (make_cifar_net(depth, "none"), replace(net, skip=False)):
        assert count_parameters(plain, CIFAR) == parameters
        assert count_multiply_adds(plain, CIFAR) == count_multiply_adds(net, CIFAR)
    assert count_parameters(make_cifar_net(depth, "projection"), CIFAR) == parameters + 2_752


def test_dense_counts_by_hand():
    """64 -> 128, one block 128 -> 128, one block 128 -> 256 with W_s of 256x128, head: the lesson's dimensions."""
    layers = [64 * 128 + 128, *[128 * 128 + 128] * 2, 128 * 256 + 256, 256 * 256 + 256, 256 * 10 + 10]
    net = NetConfig(shortcut="zero-pad", depth=6, width=(128, 256))
    assert count_parameters(net, PICTURES) == sum(layers)
    assert count_parameters(replace(net, shortcut="projection"), PICTURES) == sum(layers) + 256 * 128


# ---------------------------------------------------------------------------------------------------- law: the table


@settings(deadline=None, max_examples=60)
@given(draw_nets(), st.booleans())
def test_layer_table_is_the_real_net(net, pictures):
    """Shapes, kernels, strides, parameters and multiply-adds of the table are those of the module as it runs."""
    data = PICTURES if pictures or net.family == "conv" else POINTS
    table = [layer for layer in list_layers(net, data) if layer.kind != "pool"]
    module, ran = build_net(net, data, seed=0), []
    for part in module.modules():
        if isinstance(part, nn.Linear | nn.Conv2d):
            part.register_forward_hook(lambda part, args, out: ran.append((part, out)))
    logits = module(torch.randn(3, *data.shape))

    assert [layer.output for layer in table] == [tuple(out.shape[1:]) for _, out in ran]
    for layer, (part, out) in zip(table, ran, strict=True):
        assert layer.kind == ("conv" if isinstance(part, nn.Conv2d) else "linear")
        if layer.kind == "conv":
            assert ((layer.kernel,) * 2, (layer.stride,) * 2) == (part.kernel_size, part.stride)
        assert layer.multiply_adds == part.weight.numel() * out[0, 0].numel()

    used = torch.autograd.grad(logits.sum(), list(module.parameters()), allow_unused=True)
    trained = sum(p.numel() for p, g in zip(module.parameters(), used, strict=True) if g is not None)
    assert count_parameters(net, data) == trained
    assert sum(layer.counted for layer in table) == net.depth == len(module.weighted_layers())
    assert len(plan_blocks(net)) == net.blocks == len(module.blocks)


# ---------------------------------------------------------------------------------------------------- law: JSON


@settings(deadline=None, max_examples=100)
@given(draw_races())
def test_race_reads_back_from_json(race):
    """from_json(to_json(race)) is the race, and its text is JSON of the strict kind."""
    json.loads(race.to_json(), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert RaceConfig.from_json(race.to_json()) == race


def test_width_reads_as_number_text_or_list():
    """64, "64", "128,256" and [128, 256] are the widths they look like."""
    texts = {"64": (64,), '"64"': (64,), '"128, 256"': (128, 256), "[128, 256]": (128, 256)}
    for text, width in texts.items():
        race = RaceConfig.from_json('{"lanes": [{"net": {"shortcut": "projection", "width": %s}}]}' % text)
        assert race.lanes[0].net.width == width


@settings(deadline=None, max_examples=200)
@given(RACE_OBJECTS)
def test_any_object_is_read_or_refused(value):
    """Objects of the right fields with anything in them, NaN and Infinity included."""
    read_or_refuse(json.dumps(value))


@settings(deadline=None, max_examples=200)
@given(JSON)
def test_any_json_is_read_or_refused(value):
    """JSON of any shape; what is not an object is always refused."""
    assert read_or_refuse(json.dumps(value)) is not None or isinstance(value, dict)


@settings(deadline=None, max_examples=200)
@given(st.text() | st.text('{}[]",:0123456789eE+-.aNIfinty\\') | st.builds(lambda s, n: s * n, st.text(max_size=3),
                                                                         st.integers(0, 200_000)))
def test_any_text_is_read_or_refused(text):
    """Text of any kind and length."""
    read_or_refuse(text)


@pytest.mark.parametrize("field", ["dataset", "seed", "steps", "lanes", "changes"])
@pytest.mark.parametrize("value", ["1e999", "-1e999", "NaN", "-Infinity", "9" * 4000, "9" * 10_000, '"' + "x" * 10**6 + '"',
                                   "[" + "[]," * 10**5 + "[]]", "[" * 10**5, "null", "{}", "-1", "1.5"])
def test_absurd_values_are_refused(field, value):
    """No size of number, text or list gets through, or past `ConfigError`."""
    assert read_or_refuse('{"%s": %s}' % (field, value)) is not None


@pytest.mark.parametrize("name", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_json_is_refused_as_a_whole(name):
    """Python's parser takes these, JSON does not: refused as text, whatever the field would have said."""
    error = read_or_refuse('{"seed": %s}' % name)
    assert error.field == "config" and f"{name} is not JSON" in str(error)


ANYTHING = SCALARS | st.just(10**5000) | st.lists(SCALARS, max_size=5).map(tuple) | st.dictionaries(st.text(), SCALARS)


@settings(deadline=None, max_examples=300)
@given(st.sampled_from([(kind, name) for kind in (NetConfig, TrainConfig) for name in FIELDS[kind]]), ANYTHING)
def test_construction_takes_or_refuses_any_value(where, value):
    """The constructors too raise nothing but `ConfigError`."""
    kind, name = where
    try:
        kind(**{name: value})
    except ConfigError as error:
        assert len(str(error)) < LONGEST_MESSAGE


BAD = {
    NetConfig: {
        "family": ["Dense", "", None, 1, ["dense"]], "shortcut": ["skip", True, None], "norm": ["layer", 0],
        "init": ["zero", {}], "order": ["none", 1.5], "skip": [1, 0, "true", None],
        "depth": [0, 2, 3, 21, 1203, 1204, -6, 20.0, "20", None, True, float("nan"), 10**400],
        "cuts": [(9,), (-1,), (1.0,), (True,), ("1",), 3, None, "3", (3, 3), (10**400,)],
        "width": [(), (0,), (-1,), (1025,), (64.0,), ("64",), (True,), (1, 2, 3, 4, 5), 64, None, (10**400,)],
    },
    TrainConfig: {
        "optimizer": ["SGD", None], "lr": [-1e-9, 101, float("inf"), float("nan"), "0.1", True, None, 10**400],
        "momentum": [1.0, -0.1, float("nan")], "weight_decay": [-1, 11, float("inf")],
        "batch_size": [0, 1, 1025, 32.0, True, "32"],
    },
    RaceConfig: {"dataset": ["mnist", None, 3], "seed": [-1, 2**31, 0.0, True], "steps": [0, 100_001, -1, 1.5]},
}


@pytest.mark.parametrize(("kind", "field", "value"), [(kind, field, value) for kind, bad in BAD.items()
                                                     for field, values in bad.items() for value in values], ids=str)
def test_bad_value_is_refused_by_its_fields_name(kind, field, value):
    """The error names the field and repeats the value, in a short sentence."""
    with pytest.raises(ConfigError) as caught:
        kind(**{field: value})
    assert caught.value.field == field
    assert str(caught.value).startswith(f"{field} cannot be ") and len(str(caught.value)) < LONGEST_MESSAGE


def test_combinations_that_cannot_be():
    """Dimensions that do not fit, data that do not fit, and lanes that are not there."""
    for field, make in {
        "shortcut": [lambda: NetConfig(width=(64, 128)), lambda: NetConfig("conv", "identity"),
                     lambda: NetConfig(shortcut="zero-pad", width=(64, 32))],
        "width": [lambda: NetConfig("conv", "none", width=(16, 32)), lambda: NetConfig(depth=4, width=(8, 8)),
                  lambda: NetConfig("conv", "none", width=(257,))],
        "family": [lambda: RaceConfig("moons", lanes=(Lane(NetConfig("conv", "none")),))],
        "batch_size": [lambda: check_budget(Lane(), replace(PICTURES, train=127))],
        "lanes": [lambda: RaceConfig(lanes=()), lambda: RaceConfig(lanes=(Lane(),) * 9)],
        "changes": [lambda: RaceConfig(changes=(Change(1, 0, "lr", 0.1),) * 101)],
        "changes.lane": [lambda: RaceConfig(changes=(Change(1, 2, "lr", 0.1),)), lambda: Change(1, 8, "lr", 0.1)],
        "edits": [lambda: RaceConfig(edits=(Edit(1, 0, Operation("zero-w", 0)),) * 101)],
        "edits.lane": [lambda: RaceConfig(edits=(Edit(1, 2, Operation("zero-w", 0)),))],
        "edits.operation": [lambda: Edit(1, 0, Operation("lesion", 0))],
        "block": [lambda: RaceConfig(edits=(Edit(1, 0, Operation("zero-w", 9)),))],
        "decay_block": [lambda: Lane(NetConfig(), TrainConfig(decay_block=9)), lambda: TrainConfig(decay_block=-1)],
        "changes.step": [lambda: Change(-1, 0, "lr", 0.1)], "changes.name": [lambda: Change(1, 0, "depth", 8)],
        "cuts": [lambda: NetConfig(depth=8, cuts=(3,)), lambda: Change(1, 0, "cuts", (600,)),
                 lambda: Change(1, 0, "cuts", True), lambda: RaceConfig(changes=(Change(1, 1, "cuts", (9,)),))],
        "skip": [lambda: Change(1, 0, "skip", 1)], "lr": [lambda: Change(1, 0, "lr", -1)],
    }.items():
        for refused in make:
            with pytest.raises(ConfigError) as caught:
                refused()
            assert caught.value.field == field


@settings(deadline=None)
@given(st.sampled_from(["dense", "conv"]), st.integers(-5000, 5000))
def test_depth_error_names_the_nearest_allowed(family, depth):
    """Any whole number is a depth, or is told the nearest that is."""
    unit = 2 if family == "dense" else 6
    allowed = range(2 + unit, 1203, unit)
    try:
        NetConfig(family, "none", depth)
        assert depth in allowed
    except ConfigError as error:
        nearest = error.params["nearest"]
        assert depth not in allowed and nearest in allowed
        assert abs(nearest - depth) == min(abs(d - depth) for d in allowed)
        assert f"the nearest is {nearest}" in str(error)


def test_changes_apply_in_the_order_of_their_steps():
    """Whatever their order in a file, the later step wins."""
    changes = (Change(20, 0, "lr", 0.2), Change(10, 0, "lr", 0.1))
    for order in (changes, changes[::-1]):
        race = RaceConfig(lanes=(Lane(),), changes=order)
        assert [race.lane_at(0, step).train.lr for step in (9, 10, 19, 20)] == [0.05, 0.1, 0.1, 0.2]


def test_unknown_field_is_refused_with_the_known_ones():
    """A misspelt field is not ignored."""
    error = read_or_refuse('{"lanes": [{"net": {"dept": 20}}]}')
    assert error.field == "net.dept" and "depth" in str(error)


# ---------------------------------------------------------------------------------------------------- law: the budget


@pytest.mark.parametrize(("net", "train"), [
    (NetConfig(depth=1000, width=(1000,)), TrainConfig()),  # parameters
    (NetConfig("conv", "none", 1202, (16,)), TrainConfig(batch_size=16)),  # parameters, 19 million
    (NetConfig("conv", "none", 200, (16,)), TrainConfig(batch_size=1024)),  # multiply-adds
    (NetConfig("conv", "none", 56, (32,)), TrainConfig(batch_size=1024)),
])
def test_budget_refuses_before_anything_is_allocated(net, train):
    """Refused by arithmetic, in milliseconds; the sentence says what is needed and what the limit is."""
    started = time.perf_counter()
    with pytest.raises(ConfigError, match="and at most"):
        RaceConfig(lanes=(Lane(net, train),))
    assert time.perf_counter() - started < 0.5  # measured: 0.004 s


def test_records_need_no_torch():
    """The server validates, counts and refuses without importing torch."""
    code = ("import sys; from resnet_viz.records import *\n"
            "try: RaceConfig(lanes=(Lane(NetConfig(depth=1000, width=(1000,))),))\n"
            "except ConfigError: sys.exit('torch' in sys.modules)\n"
            "sys.exit(2)")
    assert subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": ":".join(sys.path)}, check=False).returncode == 0


# ---------------------------------------------------------------------------------------------------- law: changes


def test_lane_at_applies_changes_from_their_step_on():
    """A change holds from its step on, for its lane only, until the next of the same name."""
    race = RaceConfig(changes=(Change(10, 1, "lr", 0.1), Change(20, 1, "skip", False), Change(30, 1, "lr", 0.2)))
    assert [race.lane_at(1, s).train.lr for s in (0, 9, 10, 29, 30, 999)] == [0.05, 0.05, 0.1, 0.1, 0.2, 0.2]
    assert [race.lane_at(1, s).net.skip for s in (19, 20, 999)] == [True, False, False]
    assert race.lane_at(0, 999) == race.lanes[0]


def test_cuts_are_a_set_in_the_order_of_the_blocks():
    """However they are written: equal nets, and equal changes, are equal records; a file says them in a list."""
    net = NetConfig(cuts=(4, 3))
    assert net == NetConfig(cuts=[3, 4]) and hash(net) == hash(NetConfig(cuts=(3, 4))) and net.cuts == (3, 4)
    assert Change(1, 0, "cuts", [4, 3]) == Change(1, 0, "cuts", (3, 4))
    race = RaceConfig(lanes=(Lane(net),), changes=(Change(10, 0, "cuts", (4,)),))
    assert RaceConfig.from_json(race.to_json()) == race
    assert read_blocks("4, 3") == (4, 3) and read_blocks("") == () and parse_field("cuts", "7") == (7,)
    assert [race.lane_at(0, step).net.cuts for step in (0, 9, 10)] == [(3, 4), (3, 4), (4,)]


def test_what_was_cut_and_mended_on_the_way_is_listed() -> None:
    changes = (Change(20, 1, "cuts", (3,)), Change(10, 1, "cuts", (3, 4)), Change(15, 1, "lr", 0.1),
               Change(10, 0, "cuts", (1,)), Change(30, 1, "cuts", (3,)), Change(40, 1, "cuts", (5,)))
    race = RaceConfig(lanes=(Lane(), Lane(NetConfig(cuts=(4,)))), changes=changes)
    assert race.list_cuts(0) == [(10, (1,), ())]
    assert race.list_cuts(1) == [(10, (3,), ()), (20, (), (4,)), (40, (5,), (3,))]


def test_a_shortcut_is_there_where_nothing_cuts_it():
    """Neither the block's cut, nor the whole net's toggle, nor the kind of shortcut."""
    net = NetConfig(depth=8, shortcut="projection-all", cuts=(1,))
    assert net.skips == (True, False, True) and net.residual
    for plain in (replace(net, cuts=(0, 1, 2)), replace(net, skip=False), replace(net, shortcut="none")):
        assert plain.skips == (False,) * 3 and not plain.residual
    whole = replace(net, cuts=())
    assert count_parameters(net, PICTURES) == count_parameters(whole, PICTURES) - 64 * 64


def test_a_config_of_before_there_were_cuts_reads_as_before():
    race = json.loads(RaceConfig().to_json())
    for lane in race["lanes"]:
        del lane["net"]["cuts"]
    assert RaceConfig.from_json(json.dumps(race)) == RaceConfig()


# ---------------------------------------------------------------------------------------------------- known defects


@pytest.mark.parametrize("missing", FIELDS[Change])
def test_change_with_a_field_missing_is_refused(missing):
    """No field of a change has a default, so each must be asked for by name."""
    change = {"step": 1, "lane": 0, "name": "lr", "value": 0.1}
    del change[missing]
    assert read_or_refuse(json.dumps({"changes": [change]})) is not None


def test_long_unknown_field_is_refused_shortly():
    """The name of an unknown field is as untrusted as its value."""
    assert read_or_refuse(json.dumps({"x" * 10_000: 1})) is not None


def test_nesting_of_any_depth_is_refused():
    """Also the depths that the parser still takes, and only `str` does not."""
    for depth in range(500, 1100):
        assert read_or_refuse('{"seed": %s%s}' % ("[" * depth, "]" * depth)) is not None


def test_every_message_can_be_sent():
    """A message is UTF-8, whatever the text it repeats."""
    read_or_refuse('{"dataset": "\\ud800"}').sentence().encode()


def test_error_is_one_line_and_shows_no_link_or_picture_of_a_url():
    """Pages show errors as Markdown, and a URL is somebody else's text."""
    for value in ("![x](http://host/x.png)", "[x][y]\n\n[y]: http://host", ["[x](http://host)"]):
        assert "](" not in str(error := ConfigError("depth", value, "a number")) and len(str(error).splitlines()) == 1
    assert "“8”" in str(ConfigError("depth", "8", "a number"))


def test_error_says_the_same_in_another_process():
    """An error crosses processes by pickle and keeps its sentence."""
    with pytest.raises(ConfigError) as caught:
        NetConfig(family="x")
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_nearest_depth_of_a_hugely_negative_one():
    """The nearest to a negative depth is the smallest, however negative."""
    with pytest.raises(ConfigError, match="the nearest is 4"):
        NetConfig(depth=-(10**9))
