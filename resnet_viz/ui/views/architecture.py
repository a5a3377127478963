"""Nets that everybody knows, layer by layer: drawn side by side, counted, and passed by a picture."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from resnet_viz.engine.hub import hub
from resnet_viz.figures.architecture import (
    MANY,
    MANY_STEPS,
    count_parts,
    draw_architectures,
    draw_pass,
    label_layer,
    list_rows,
    list_steps,
    name_net,
    write_count,
    write_page,
    write_shape,
)
from resnet_viz.records import (
    ARCHITECTURES,
    DATASETS,
    N_,
    Architecture,
    ConfigError,
    DataShape,
    Lane,
    NetConfig,
    check_budget,
    parse_field,
    read_architecture,
)
from resnet_viz.text import _, get_language, sentence
from resnet_viz.ui.bar import show_share
from resnet_viz.ui.charts import write_csv
from resnet_viz.ui.controls import label_options
from resnet_viz.ui.session import write_url

OWN = "own"
CIFAR = tuple(f"cifar{depth}{end}" for end in ("", "-plain") for depth in (20, 32, 44, 56, 110, 1202))
NETS = (*ARCHITECTURES[:7], "vgg19", *CIFAR, *(name for name in ARCHITECTURES[7:] if name != "vgg19"), OWN)
DEFAULT = ("vgg19", "plain34", "resnet34")
MOST = 3
INK = {"light": "#1B2430", "dark": "#E6EBF0"}  # the theme's textColor
# What one's own net may be, by its family: its picture, the shortcuts to choose from, and the sliders' bounds.
DATA = {"conv": DataShape((3, 32, 32), 10), "dense": DATASETS["digits"]}
SHORTCUTS = {"conv": ("zero-pad", "projection", "projection-all", "none"), "dense": ("identity", "projection-all", "none")}
BOUNDS = {"conv": {"depth": (8, 200, 6), "width": (1, 128, 1)}, "dense": {"depth": (4, 200, 2), "width": (1, 512, 1)}}
OWN_DEFAULT = {"conv": NetConfig("conv", "zero-pad", 20, (16,), "batch"), "dense": NetConfig()}
# He et al. 2015 (1512.03385): multiply-adds of table 1 and fig. 3, parameters of table 6.
PAPER = {"vgg19": 19.6e9, "plain18": 1.8e9, "resnet18": 1.8e9, "plain34": 3.6e9, "resnet34": 3.6e9, "resnet50": 3.8e9,
         "resnet101": 7.6e9, "resnet152": 11.3e9, "cifar20": 0.27e6, "cifar32": 0.46e6, "cifar44": 0.66e6,
         "cifar56": 0.85e6, "cifar110": 1.7e6, "cifar1202": 19.4e6}


def show_page() -> None:
    """The whole page."""
    if "architecture.nets" not in st.session_state:
        read_url(st.query_params.to_dict())
    st.title(_("Architectures"), anchor=False)
    st.markdown(_("Every layer of the nets of the paper, seen by a hook as a picture’s shape passed the real modules: "
                  "nothing here is typed by hand."))
    for error in st.session_state.pop("architecture.complaints", ()):
        st.error(sentence(error), icon=":material/link_off:")
    names = show_choice()
    own = show_own() if OWN in names else st.session_state["architecture.own"]
    shared = write_url(write_query(names, own))
    nets = [trace(name, own if name == OWN else None) for name in names]
    if not nets:
        st.info(_("Choose a net."))
        return
    show_figure(nets, shared)
    show_totals(nets)
    show_count(nets)
    show_pass(nets)
    show_layers(nets)
    show_lesson()


@st.cache_data(max_entries=128, show_spinner=False)
def trace(name: str, own: NetConfig | None) -> Architecture:
    """A net, layer by layer, from a worker."""
    if own is None:
        return hub.call(hub.demonstrate("trace_architecture", name))
    return hub.call(hub.demonstrate("trace_net", own, DATA[own.family], OWN))


# ---------------------------------------------------------------------------------------------------- the choice


def read_url(query: dict[str, str]) -> None:
    """The nets that the URL names, and one's own; what is wrong with them is told on the page."""
    names, own, errors = DEFAULT, OWN_DEFAULT["conv"], []
    try:
        names = read_names(query["nets"]) if "nets" in query else names
    except ConfigError as error:
        errors.append(error)
    try:
        own = read_own(query)
    except ConfigError as error:
        errors.append(error)
    st.session_state["architecture.nets"], st.session_state["architecture.own"] = list(names), own
    st.session_state["architecture.complaints"] = errors


def read_names(text: str) -> tuple[str, ...]:
    """One to three names with commas between."""
    names = tuple(dict.fromkeys(text[:200].split(",")))
    if len(names) > MOST:
        raise ConfigError("nets", text, N_("at most {high} nets"), high=MOST)
    for name in names:
        if name != OWN:
            read_architecture(name)
    return names


def read_own(query: dict[str, str]) -> NetConfig:
    """One's own net, within the sliders' bounds."""
    family = query.get("family", "conv")
    if family not in BOUNDS:
        raise ConfigError("family", family, N_("one of {allowed}"), allowed=", ".join(BOUNDS))
    default = OWN_DEFAULT[family]
    depth, width = parse_field("depth", query.get("depth", str(default.depth))), query.get("width", str(default.width[0]))
    shortcut = query.get("shortcut", default.shortcut)
    if shortcut not in SHORTCUTS[family]:
        raise ConfigError("shortcut", shortcut, N_("one of {allowed}"), allowed=", ".join(SHORTCUTS[family]))
    net = NetConfig(family, shortcut, depth, (parse_width(width),), default.norm)
    for name, value in (("depth", net.depth), ("width", net.width[0])):
        low, high, _step = BOUNDS[family][name]
        if not low <= value <= high:
            raise ConfigError(name, value, N_("a whole number from {low} to {high}"), low=low, high=high)
    return net


def parse_width(text: str) -> Any:
    """One number; anything else stays text, for the check to refuse."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else text


def write_query(names: list[str], own: NetConfig) -> dict[str, str]:
    """The page's URL parameters: what is not the default."""
    query = {} if tuple(names) == DEFAULT else {"nets": ",".join(names)}
    if OWN in names:
        default = OWN_DEFAULT[own.family]
        values = {"depth": own.depth, "width": own.width[0], "shortcut": own.shortcut}
        usual = {"depth": default.depth, "width": default.width[0], "shortcut": default.shortcut}
        query |= {"family": own.family} if own.family != "conv" else {}
        query |= {name: str(value) for name, value in values.items() if value != usual[name]}
    return query


def show_choice() -> list[str]:
    """Up to three nets, from left to right; a CIFAR net that only a link can name is offered too."""
    chosen = st.session_state["architecture.nets"]
    options = [None, *NETS, *(name for name in chosen if name not in NETS)]
    names = []
    for i, column in enumerate(st.columns(MOST)):
        st.session_state.setdefault(f"arch.net{i}", chosen[i] if i < len(chosen) else None)
        label = _("Net {number}").format(number=i + 1)
        names.append(column.selectbox(label, options, format_func=lambda name: name_net(name) if name else "–",
                                      key=f"arch.net{i}"))
    st.session_state["architecture.nets"] = names = [name for name in dict.fromkeys(names) if name]
    return names


def show_own() -> NetConfig:
    """The sliders of one's own net."""
    own = st.session_state["architecture.own"]
    if "own.family" not in st.session_state:
        write_own(own)
    with st.container(border=True):
        st.markdown(f"**{_('My own net')}**")
        with st.container(horizontal=True, vertical_alignment="bottom"):
            families = {"conv": _("Convolutional"), "dense": _("Dense")}
            st.segmented_control(_("Family"), list(families), format_func=families.get, key="own.family", required=True,
                                 on_change=lambda: write_own(OWN_DEFAULT[st.session_state["own.family"]]))
            family = st.session_state["own.family"]
            st.selectbox(_("Shortcut"), SHORTCUTS[family], format_func=lambda kind: label_options()[kind],
                         key="own.shortcut", width=300)
        columns = st.columns(2)
        for column, (name, label) in zip(columns, (("depth", _("Depth")), ("width", _("Width"))), strict=True):
            low, high, step = BOUNDS[family][name]
            column.slider(label, low, high, step=step, key=f"own.{name}")
        own = follow_own(family)
    st.session_state["architecture.own"] = own
    return own


def follow_own(family: str) -> NetConfig:
    """The net that the sliders say, or the last that could be; and whether it could be trained here."""
    values = {name: str(st.session_state[f"own.{name}"]) for name in ("family", "depth", "width", "shortcut")}
    try:
        own = read_own(values)
    except ConfigError as error:
        st.error(sentence(error), icon=":material/error:")
        return st.session_state["architecture.own"]
    shape = write_shape(DATA[family].shape)
    try:
        check_budget(Lane(own), DATA[family])
        st.markdown(_("For pictures of {shape}. This net can be trained here.").format(shape=shape))
    except ConfigError:
        st.markdown(_("For pictures of {shape}. This net is too large to be trained here; drawing it costs nothing.")
                    .format(shape=shape))
    return own


def write_own(own: NetConfig) -> None:
    for name, value in (("family", own.family), ("depth", own.depth), ("width", own.width[0]), ("shortcut", own.shortcut)):
        st.session_state[f"own.{name}"] = value


# ---------------------------------------------------------------------------------------------------- the figure


def show_figure(nets: list[Architecture], shared: dict[str, str]) -> None:
    """The nets side by side; the camera takes the picture in the format that is chosen, and the HTML file is whole."""
    ink = INK["dark" if st.context.theme.type == "dark" else "light"]
    figure, formats = draw_architectures(nets, ink), {"png": "PNG", "svg": "SVG"}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.segmented_control(_("The camera takes"), list(formats), format_func=formats.get, key="arch.format",
                             default="png", required=True)
        st.download_button(_("The figure as a page (HTML)"), lambda: write_page(nets),
                           "resnet-viz-architecture.html", "text/html", key="arch.html", icon=":material/download:",
                           on_click="ignore")
        show_share(shared)
    dictionary = {"Download plot as a PNG": _("Download the picture"), "Download plot": _("Download the picture"),
                  "Reset axes": _("Show all"), "Zoom in": _("Zoom in"), "Zoom out": _("Zoom out"), "Pan": _("Move")}
    config = {
        "displaylogo": False, "displayModeBar": True, "scrollZoom": False,
        "modeBarButtons": [["zoomIn2d", "zoomOut2d", "pan2d", "resetScale2d", "toImage"]],
        "toImageButtonOptions": {"filename": "resnet-viz-architecture", "scale": 2,
                                 "format": st.session_state["arch.format"]},
        "locale": (locale := get_language().replace("_", "-")), "locales": {locale: {"dictionary": dictionary}},
    }
    alt = _("; ").join(_("{net}: {count} layers, {parameters} parameters, {multiply_adds} multiply-adds").format(
        net=name_net(net.name), count=net.counted_layers, parameters=f"{net.parameters:,}",
        multiply_adds=f"{net.multiply_adds:,}") for net in nets)
    st.plotly_chart(figure, key="architecture", alt=alt, config=config)
    st.caption(_("Rows of one colour have pictures of one size, which stands on the left. Grey boxes are pooling. Point at "
                 "a box or an arc for its shape, its parameters and its multiply-adds. In a net of more than {high} "
                 "layers equal blocks in a row are drawn once, with their number.").format(high=MANY))


def show_totals(nets: list[Architecture]) -> None:
    st.header(_("In all"), anchor=False)
    for column, net in zip(st.columns(MOST), nets, strict=False):
        lines = [f"**{name_net(net.name)}**", _("{count} layers that count").format(count=f"{net.counted_layers:,}"),
                 _("{count} parameters").format(count=f"{net.parameters:,}"),
                 _("{count} multiply-adds").format(count=f"{net.multiply_adds:,}"), write_paper(net.name)]
        column.markdown("  \n".join(lines))
    if any(net.name in ("resnet50", "resnet101", "resnet152") for net in nets):
        st.caption(_("From 50 layers on torchvision’s ResNets halve the picture in a block’s 3×3 convolution, the paper’s "
                     "in the 1×1 before it: that is the difference."))


def write_paper(name: str) -> str:
    """The paper's own figure, where it has one."""
    value = PAPER.get(name.removesuffix("-plain"))
    if value is None:
        return ""
    if value >= 1e9:
        return _("The paper: {count} × 10⁹ multiply-adds").format(count=f"{value / 1e9:g}")
    return _("The paper: {count} million parameters").format(count=f"{value / 1e6:g}")


# ---------------------------------------------------------------------------------------------------- the count


def choose_net(nets: list[Architecture], key: str) -> Architecture:
    """One of the nets on the page, by default the last."""
    if st.session_state.get(key) not in range(len(nets)):
        st.session_state[key] = len(nets) - 1
    if len(nets) == 1:
        return nets[0]
    return nets[st.segmented_control(_("Net"), range(len(nets)), format_func=lambda i: name_net(nets[i].name), key=key,
                                     required=True)]


def show_count(nets: list[Architecture]) -> None:
    """What counts, stage by stage, and what does not."""
    st.header(_("How the layers are counted"), anchor=False)
    net = choose_net(nets, "arch.count")
    lines, total = [f"| {_('What counts')} | {_('Output')} | {_('Layers')} | {_('So far')} |", "|:--|--:|--:|--:|"], 0
    for part in count_parts(net):
        total += part.layers
        layers = str(part.each) if part.blocks is None else f"{part.blocks} × {part.each} = {part.layers}"
        what = f"{part.first.name} · {label_layer(part.first)}" if part.layers == 1 else (
            _("{count} layers, the first: {layer}").format(count=part.layers, layer=label_layer(part.first))
            if part.blocks is None else
            _("{blocks} blocks of {each} layers").format(blocks=part.blocks, each=part.each))
        lines.append(f"| {what} | {write_shape(part.output)} | {layers} | **{total}** |")
    st.markdown("\n".join(lines))
    st.markdown(f"**{write_count(net)}**")
    show_not_counted(net)


def show_not_counted(net: Architecture) -> None:
    """What is left out of the count, with its parameters."""
    groups = {
        _("Pooling: it has no parameters"): [layer for layer in net.layers if layer.kind == "pool"],
        _("BatchNorm: it belongs to its convolution"): [layer for layer in net.layers if layer.kind == "norm"],
        _("Projections W_s on shortcuts: they stand beside the layers, not between them"): [
            layer for layer in net.layers if not layer.counted and layer.kind in ("conv", "linear")],
    }
    lines = [f"| {_('What does not count')} | {_('How many')} | {_('Parameters')} |", "|:--|--:|--:|"]
    for name, layers in groups.items():
        lines.append(f"| {name} | {len(layers)} | {sum(layer.parameters for layer in layers):,} |")
    st.markdown("\n".join(lines))
    modules = sum(layer.kind in ("conv", "linear") for layer in net.layers)
    if modules != net.counted_layers:
        st.markdown(_("Who counts modules finds {modules} convolutions and fully connected layers. Without the {beside} "
                      "projections there are {count}.").format(modules=modules, beside=modules - net.counted_layers,
                                                               count=net.counted_layers))


# ---------------------------------------------------------------------------------------------------- a picture passes


@st.cache_data(max_entries=1, show_spinner=False)
def take_digit() -> np.ndarray:
    """A digit of the data set, (8, 8) from 0 to 1."""
    picture = hub.call(hub.take_examples("digits", 1)).x[0, 0]
    low, high = float(picture.min()), float(picture.max())
    return (picture - low) / (high - low)


def show_pass(nets: list[Architecture]) -> None:
    st.header(_("A picture passes"), anchor=False)
    st.markdown(_("What each layer hands on: as high as its picture (drawn by the square root), as wide as its channels "
                  "(by the logarithm). Shapes only: these nets are not trained."))
    show_strip(nets)


@st.fragment
def show_strip(nets: list[Architecture]) -> None:
    """The strip, by hand with a slider or by itself."""
    net = choose_net(nets, "arch.pass")
    count = len(list_steps(net))
    if net.counted_layers > MANY_STEPS:
        st.caption(_("In a net of more than {high} layers the picture passes equal blocks in a row but once.")
                   .format(high=MANY_STEPS))
    st.session_state["arch.step"] = min(st.session_state.get("arch.step", 1), count)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.button(_("Play"), key="arch.play", icon=":material/play_arrow:", on_click=play)
        st.slider(_("Layer"), 0, count, key="arch.step", on_change=stop, width="stretch")
    plays = st.session_state.get("arch.playing", 0)
    # A key of its own for each time it plays: the browser then starts the animation anew.
    with st.container(key=f"arch-pass-{plays}"):
        st.html(draw_pass(net, st.session_state["arch.step"], take_digit(), bool(plays)))


def play() -> None:
    st.session_state["arch.playing"] = st.session_state["arch.plays"] = st.session_state.get("arch.plays", 0) + 1


def stop() -> None:
    st.session_state["arch.playing"] = 0


# ---------------------------------------------------------------------------------------------------- the table


def show_layers(nets: list[Architecture]) -> None:
    st.header(_("Every layer"), anchor=False)
    rows = list_rows(nets)
    titles = {"net": _("Net"), "layer": _("Layer"), "kind": _("Kind"), "kernel": _("Kernel"), "stride": _("Stride"),
              "output": _("Output"), "parameters": _("Parameters"), "multiply_adds": _("Multiply-adds"),
              "counted": _("Counts")}
    configured = {name: st.column_config.NumberColumn(title, format="localized")
                  if name in ("parameters", "multiply_adds") else title for name, title in titles.items()}
    st.dataframe([row | {"net": name_net(row["net"])} for row in rows], column_config=configured, hide_index=True,
                 height=400)
    st.download_button(_("Numbers (CSV)"), write_csv(rows), "resnet-viz-architecture.csv", "text/csv", key="arch.csv",
                       icon=":material/table:", type="tertiary", on_click="ignore")


def show_lesson() -> None:
    with st.expander(_("What am I looking at?"), icon=":material/school:"):
        st.markdown(_("Left to right in the picture that the page opens with: VGG-19, of the year before; a plain net of "
                      "34 layers, thinner and with less than a fifth of VGG’s multiply-adds; and the same net with a "
                      "shortcut round every two layers."))
        st.markdown(_("**What to look for.** plain-34 and ResNet-34 have the same boxes. Where a stage begins, the picture "
                      "is halved and the channels are doubled, so that nearly every layer costs the same. There "
                      "the shortcut must change dimensions, and is dotted: torchvision takes a 1×1 convolution W_s (option "
                      "B), the CIFAR nets pad with zeros (option A)."))
        st.markdown(_("**What not to conclude.** More layers are not more parameters: VGG-19 has 143.7 million, and 102.8 "
                      "million of them in one fully connected layer. And the depth in a net’s name is a convention of "
                      "counting, not a number of modules."))
