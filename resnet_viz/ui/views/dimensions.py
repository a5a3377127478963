"""Where a[l] and z[l+2] have different dimensions: the error, the ways out, a race between them, and what W_s becomes."""

from __future__ import annotations

import re
from dataclasses import fields, replace

import numpy as np
import streamlit as st

from resnet_viz.engine.jobs import Call
from resnet_viz.engine.race import Race
from resnet_viz.figures.dimensions import (
    draw_matrices,
    draw_way,
    find_change,
    list_matrix,
    list_parts,
    make_target,
    write_shape,
)
from resnet_viz.records import (
    DATASETS,
    ConfigError,
    DataShape,
    NetConfig,
    RaceConfig,
    count_parameters,
    list_layers,
    plan_blocks,
)
from resnet_viz.text import _, percent_sign
from resnet_viz.ui.bar import show_bar
from resnet_viz.ui.board import Look, show_board
from resnet_viz.ui.charts import make_columns, show_chart
from resnet_viz.ui.controls import label_options, read_widgets, show_groups, write_widgets
from resnet_viz.ui.glossary import show_words
from resnet_viz.ui.progress import ask
from resnet_viz.ui.projections import show_projections
from resnet_viz.ui.questions import (
    DIMENSION_BASES,
    SIZE_BOUNDS,
    Sizes,
    check_size,
    is_dimensions_race,
    make_dimensions_race,
    measure_convolution,
    name_way,
    read_dimensions_query,
    read_dimensions_race,
    read_sizes,
    write_dimensions_query,
    write_sizes,
)
from resnet_viz.ui.session import follow_config, open_race, seen_revision, write_from_race, write_url
from resnet_viz.ui.words import sentence

PAGE = "dimensions"
COLOURS = {"none": 0, "projection": 1, "zero-pad": 2, "projection-all": 3}  # of the board; the plain net's is its own
SIZE = 8  # pixels a side of `lab.dimensions.add_unequal`'s pictures


def show_page() -> None:
    """The whole page."""
    if "dimensions.sizes" not in st.session_state:
        sizes, st.session_state["dimensions.complaints"] = read_sizes(st.query_params.to_dict())
        st.session_state["dimensions.sizes"] = sizes
    race = open_race(PAGE, read_url, is_dimensions_race)
    write_from_race(PAGE, race, "dims.a", lambda: write_choices(race.config))
    st.title(_("Dimensions that do not match"), anchor=False)
    st.markdown(_("a[l+2] = g(z[l+2] + a[l]) adds number to number. Where a block makes its signal wider, there is no a[l] "
                  "of that size to add."))
    with st.sidebar:
        show_groups("shortcut", "family")
    for error in st.session_state.pop("dimensions.complaints", ()):
        st.error(sentence(error), icon=":material/link_off:")
    sizes = read_size_widgets()
    try:
        follow_config(PAGE, race, make_dimensions_race(read_widgets(DIMENSION_BASES[st.session_state.family])))
    except ConfigError as error:
        st.error(sentence(error), icon=":material/error:")
    own = write_sizes(replace(sizes, block=None) if sizes.block == find_change(race.config.lanes[0].net) else sizes)
    shared = write_url(write_dimensions_query(read_dimensions_race(race.config)) | own, race)
    show_mismatch(sizes)
    show_ways(race.config)
    show_padding(race.config)
    show_race(race, shared)
    show_projections(race, sizes)
    show_same(sizes, race.config)
    show_words("W_s", "stem", "held-out")
    show_lesson()


def write_choices(config: RaceConfig) -> None:
    """Set the widgets to what a race is, and to the sizes that are open."""
    write_widgets(read_dimensions_race(config))
    write_size_widgets(st.session_state["dimensions.sizes"])


def read_url() -> RaceConfig:
    """The race that the URL describes; what is wrong with it is told on the page."""
    settings, errors = read_dimensions_query(st.query_params.to_dict())
    st.session_state.setdefault("dimensions.complaints", []).extend(errors)
    return make_dimensions_race(settings)


def write_size_widgets(sizes: Sizes) -> None:
    for f in fields(Sizes):
        st.session_state[f"dims.{f.name}"] = getattr(sizes, f.name)


def read_size_widgets() -> Sizes:
    """What the page's own widgets say; what they cannot say is told, and stays as it was."""
    sizes = st.session_state["dimensions.sizes"]
    for f in fields(Sizes):
        value = st.session_state[f"dims.{f.name}"]
        try:
            check_size(f.name, value)
        except ConfigError as error:
            st.error(sentence(error), icon=":material/error:")
        else:
            sizes = replace(sizes, **{f.name: value})
    st.session_state["dimensions.sizes"] = sizes
    return sizes


def show_size(name: str, label: str) -> None:
    low, high = SIZE_BOUNDS[name]
    st.number_input(label, min_value=low, max_value=high, step=1, key=f"dims.{name}")


# ---------------------------------------------------------------------------------------------------- the error


def show_mismatch(sizes: Sizes) -> None:
    st.header(_("The error"), anchor=False)
    kinds = {False: _("Vectors (dense)"), True: _("Pictures (convolutional)")}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        show_size("a", _("Channels of a[l]") if sizes.maps else _("Units of a[l]"))
        show_size("z", _("Channels of z[l+2]") if sizes.maps else _("Units of z[l+2]"))
        st.segmented_control(_("What is added"), list(kinds), format_func=kinds.get, key="dims.maps", required=True)
    call = Call("dimensions.add_unequal", None, (sizes.a, sizes.z, 1, sizes.maps))
    ask([(("unequal", sizes.a, sizes.z, sizes.maps), [call])], "unequal", lambda job: tell_sum(sizes, job.results[0]))


def tell_sum(sizes: Sizes, words: str | None) -> None:
    """What PyTorch says to the sum; its `words` are empty where it adds the two."""
    if words is None:
        return
    shapes = [(1, sizes.a, *[SIZE] * 2 * sizes.maps), (1, sizes.z, *[SIZE // 2] * 2 * sizes.maps)]
    answer = f"RuntimeError: {words}" if words else f"shape {tuple(np.broadcast_shapes(*shapes))}"
    st.code(f">>> a, z = torch.zeros{shapes[0]}, torch.zeros{shapes[1]}\n>>> a + z\n{answer}", language=None,
            wrap_lines=True)
    if words:
        st.markdown("\n".join(f"- {line}" for line in explain_error(words, shapes)))
    elif sizes.a == sizes.z:
        st.success(_("Both have size {count}: the sum works, and the shortcut can be the "
                     "identity.").format(count=sizes.a),
                   icon=":material/check_circle:")
    else:
        st.warning(_("No error, and no shortcut either: PyTorch repeats the one number until there are enough "
                     "(broadcasting). Every unit is given the same number."), icon=":material/warning:")


def explain_error(words: str, shapes: list[tuple[int, ...]]) -> list[str]:
    """Each part of PyTorch's sentence, as it names them. Empty where a future PyTorch says it otherwise."""
    found = re.search(r"tensor a \((\d+)\).*tensor b \((\d+)\).*non-singleton dimension (\d+)", words)
    if not found:
        return []
    first, second, axis = map(int, found.groups())
    names = (_("the example in the batch"), _("the channels"), _("the rows"), _("the columns"))
    names = names if len(shapes[0]) == 4 else (names[0], _("the units"))
    lines = [
        _("**tensor a** is a[l], of shape {shape}.").format(shape=shapes[0]),
        _("**tensor b** is z[l+2], of shape {shape}.").format(shape=shapes[1]),
        _("**({first})** and **({second})** are their sizes along dimension {axis}. Number is added to number, so the two "
          "must be equal.").format(first=first, second=second, axis=axis),
        _("**dimension {axis}**: dimensions are counted from 0. {names}.").format(
            axis=axis, names=_(", ").join(f"{i} = {name}" for i, name in enumerate(names))),
        _("**non-singleton**: a dimension of size 1 would be repeated to fit. This one has more."),
    ]
    others = [names[i] for i in range(1, axis) if shapes[0][i] != shapes[1][i] and 1 not in (shapes[0][i], shapes[1][i])]
    if others:
        lines.append(_("PyTorch compares from the last dimension on and tells of the first that does not fit. These do not "
                       "fit either: {names}.").format(names=_(", ").join(others)))
    return lines


# ---------------------------------------------------------------------------------------------------- the ways out


def on_family() -> None:
    """The new family with the settings that it learns with in seconds, from the same seed."""
    base = DIMENSION_BASES[st.session_state.family]
    write_widgets(replace(base, seed=st.session_state.seed))


def show_ways(config: RaceConfig) -> None:
    st.header(_("The ways out"), anchor=False)
    st.markdown(_("A matrix W_s on the shortcut makes a[l] fit: a[l+2] = g(z[l+2] + W_s a[l]). It can be learned, or fixed "
                  "to pad a[l] with zeros, which costs no parameters. These are two neighbouring blocks of the nets below, "
                  "with their real shapes and parameters."))
    options = label_options()
    st.segmented_control(_("Family"), list(DIMENSION_BASES), format_func=options.get, key="family", required=True,
                         on_change=on_family)
    nets = [lane.net for lane in config.lanes if lane.net.residual]
    for column, net in zip(make_columns("ways", len(nets), "medium"), nets, strict=True):
        with column:
            show_way(net, config.data)
    if nets[0].norm == "batch":
        st.caption(_("The parameters of BatchNorm behind a layer are counted with it. It takes the place of b."))
    show_totals(config)
    if nets[0].family == "conv":
        st.markdown(_("He et al. 2015 (1512.03385, section 4.1) trained a 34-layer net on ImageNet with each: A 25.03 %, "
                      "B 24.52 %, C 24.19 % top-1 error, and the plain net 28.54 %. The three are close: projections are "
                      "not essential against degradation. In a deeper net they can do harm: He et al. 2016 (1603.05027) "
                      "got 12.22 % with a 1×1 convolution on every shortcut of 110 layers on CIFAR-10, and 6.61 % with "
                      "identities. These are their numbers, not the ones of the race below."))


def show_way(net: NetConfig, data: DataShape) -> None:
    st.markdown(f"**{name_way(net.shortcut, net.family)}**")
    rows, k = list_parts(net, data), find_change(net)
    shortcut = rows[-1]
    alt = _("Block {number} with {way}: a[l] has shape {before}, a[l+2] {after}; its shortcut has {count} parameters")
    alt = alt.format(
        number=k + 1, way=name_way(net.shortcut, net.family), before=shortcut["input"], after=shortcut["shape"],
        count=f"{shortcut['parameters']:,}")
    show_chart(draw_way(net, data), f"way.{net.shortcut}", alt, rows)


def show_totals(config: RaceConfig) -> None:
    """Parameters of the whole nets."""
    counts = [count_parameters(lane.net, config.data) for lane in config.lanes]
    least = min(counts)
    lines = ["| {} | {} | {} |".format(_("Whole net"), _("Parameters"), _("Extra")), "|:--|--:|--:|"]
    for lane, total in zip(config.lanes, counts, strict=True):
        more = f"+{total - least:,} ({100 * (total - least) / least:.1f}{percent_sign()})" if total > least else "–"
        lines.append(f"| {name_way(lane.net.shortcut, lane.net.family)} | {total:,} | {more} |")
    st.markdown("\n".join(lines))


# ---------------------------------------------------------------------------------------------------- zero padding


def show_padding(config: RaceConfig) -> None:
    """Zero padding as a matrix: an example in small numbers, and [I; 0] of this net's size."""
    st.header(_("Zero padding is a W_s that is not learned"), anchor=False)
    a, w = np.array([0.7, 1.9]), make_target(4, 2).astype(float)
    product, padded = w @ a, np.concatenate([a, np.zeros(2)])
    words, picture = st.columns([3, 2], gap="large")
    with words:
        st.markdown(_("Ones on the diagonal, zeros below: [I; 0] times a[l] is a[l] with zeros behind it."))
        st.latex(rf"[I;0]\,a={write_matrix(w)}{write_matrix(a[:, None])}={write_matrix(product[:, None])}=[a;0]")
        same = np.array_equal(product, padded)
        st.markdown(_("The product and the padded vector are equal in every number.") if same
                    else _("The product and the padded vector differ."))
        st.markdown(_("So zero padding is W_s = [I; 0], fixed: every product is with 1 or with 0. In a convolutional net "
                      "it is that matrix as a 1×1 convolution with the block’s stride. In the added units a[l+2] is what "
                      "the branch alone puts there."))
    plan = plan_blocks(config.lanes[0].net)[find_change(config.lanes[0].net)]
    with picture:
        target = make_target(plan.outputs, plan.inputs)
        title = _("[I; 0], {outputs}×{inputs}").format(outputs=plan.outputs, inputs=plan.inputs)
        show_chart(draw_matrices([title], [target], 1.0, 330), "padding", _("{title}: {count} ones, the rest zeros").format(
            title=title, count=int(target.sum())), list_matrix({"I0": target}))


def write_matrix(matrix: np.ndarray) -> str:
    rows = r" \\ ".join(" & ".join(f"{value:g}" for value in row) for row in matrix)
    return rf"\begin{{bmatrix}}{rows}\end{{bmatrix}}"


# ---------------------------------------------------------------------------------------------------- the race


def show_race(race: Race, shared: dict[str, str]) -> None:
    st.header(_("The ways in a race"), anchor=False)
    st.markdown(_("The same stem, layers and head to begin with, and the same batches; the nets differ in their shortcuts "
                  "only. A gap that another seed turns round is noise: press New seed and compare."))
    show_bar(race, shared, lambda: [name_way(lane.net.shortcut, lane.net.family) for lane in race.config.lanes])
    looks = [Look(name_way(lane.net.shortcut, lane.net.family), COLOURS[lane.net.shortcut]) for lane in race.config.lanes]
    show_board("dimensions.board", race, seen_revision(PAGE), looks)


# ---------------------------------------------------------------------------------------------------- convolutions


def show_same(sizes: Sizes, config: RaceConfig) -> None:
    """The size behind a convolution, to try out, and the sizes in the net."""
    st.header(_("“Same” convolutions: why shapes agree inside a stage"), anchor=False)
    st.markdown(_("A picture of n×n pixels, padded with p pixels of zeros on each side, leaves a filter of f×f with stride "
                  "s as ⌊(n + 2p − f)/s⌋ + 1 pixels a side. With s = 1 and p = (f − 1)/2 that is n again: n + 2p − f + 1 = "
                  "n."))
    with st.container(horizontal=True):
        show_size("n", _("Pixels n"))
        show_size("f", _("Filter f"))
        show_size("p", _("Padding p"))
        show_size("s", _("Stride s"))
    n, f, p, s = sizes.n, sizes.f, sizes.p, sizes.s
    size = measure_convolution(n, f, p, s)
    if size == 0:
        st.warning(_("The filter is larger than the padded picture: {padded} < {f}.").format(padded=n + 2 * p, f=f))
    else:
        st.latex(rf"\left\lfloor\frac{{{n}+2\cdot{p}-{f}}}{{{s}}}\right\rfloor+1={size}")
        st.markdown(judge_size(sizes, size))
    show_stages(config)


def judge_size(sizes: Sizes, size: int) -> str:
    if size == sizes.n:
        return _("Equal to n: a “same” convolution. Its output can be added to its input, if it has as many "
                 "channels.")
    if sizes.s == 1 and sizes.f % 2 == 0:
        return _("Not n, and no p would do it: (f − 1)/2 is no whole number for an even f.")
    if sizes.s == 1:
        return _("Not n: for that take p = (f − 1)/2 = {p}.").format(p=(sizes.f - 1) // 2)
    if size > sizes.n:
        return _("Not n: the padding adds more than filter and stride take.")
    return _("Not n. With a stride the picture shrinks: that is where the shortcut needs the stride too.")


def show_stages(config: RaceConfig) -> None:
    """The real shapes of a convolutional net, a row per stage."""
    own = config.lanes[0].net.family == "conv"
    base = make_dimensions_race(DIMENSION_BASES["conv"])
    net, data = (config.lanes[0].net, config.data) if own else (base.lanes[0].net, DATASETS["digits"])
    layers = {layer.name: layer for layer in list_layers(net, data)}
    stages = net.block_stages()
    st.markdown(_("The convolutional net of this page, layer by layer: inside a stage all shapes agree."))
    titles = (_("Stage"), _("Blocks"), _("Kernel"), _("First stride"), _("Shape of every a and z"))
    lines = ["| {} | {} | {} | {} | {} |".format(*titles), "|--:|:--|:--|--:|:--|"]
    for stage in sorted(set(stages)):
        blocks = [k + 1 for k, at in enumerate(stages) if at == stage]
        inside = [layers[f"block{k}.{i}"] for k in blocks for i in (1, 2)]
        shapes = _(", ").join(sorted({write_shape(layer.output) for layer in inside}))
        f, stride = inside[0].kernel, inside[0].stride
        lines.append(f"| {stage + 1} | {blocks[0]}–{blocks[-1]} | {f}×{f} | {stride} | {shapes} |")
    st.markdown("\n".join(lines))


def show_lesson() -> None:
    with st.expander(_("What am I looking at?"), icon=":material/school:"):
        st.markdown(_("Inside a stage a[l] and z[l+2] have equal dimensions, and the shortcut is the identity: nothing to "
                      "learn, nothing in the way. Between two stages the net gets wider, a convolutional one also halves "
                      "the picture, and a[l] must be made to fit."))
        st.markdown(_("**What to look for.** With the settings that the page opens with, all three ways learn, and sooner "
                      "than the plain net. Zero padding does it without a parameter more. W_s everywhere takes the "
                      "identity away also where it would fit: 12 layers stand that; 20 without BatchNorm, with "
                      "PyTorch’s default initial weights and SGD, do not, and stay at chance like the plain net."))
        st.markdown(_("**What not to conclude.** One run says nothing about which way is the better: with these settings "
                      "the gaps between the three are as small as those between seeds. A W_s can do what zero padding "
                      "does, but nothing draws it there: look at the number. Behind W_s a net with BatchNorm normalises "
                      "once more; the heat map shows W_s alone."))
