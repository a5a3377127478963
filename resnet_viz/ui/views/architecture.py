"""Nets that everybody knows, layer by layer: drawn side by side, counted, and passed by a picture."""

from __future__ import annotations

import streamlit as st

from resnet_viz.engine.jobs import Call
from resnet_viz.figures.architecture import COLUMN, MANY, draw_architectures, label_layer, name_net, write_shape
from resnet_viz.figures.layers import count_parts, label_columns, list_rows, write_count, write_page, write_totals
from resnet_viz.figures.passing import draw_pass, label_steps
from resnet_viz.records import Architecture, ConfigError, Examples, NetConfig
from resnet_viz.text import _, call_in, get_language, use_language
from resnet_viz.ui.bar import show_share
from resnet_viz.ui.charts import write_csv
from resnet_viz.ui.choosing import DATA, MOST, OWN, read_step, read_url, show_choice, show_own, write_query
from resnet_viz.ui.progress import Question, ask, ask_examples
from resnet_viz.ui.session import write_url
from resnet_viz.ui.words import sentence

INK = {"light": "#1B2430", "dark": "#E6EBF0"}  # the theme's textColor
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
    with st.sidebar:
        names = show_choice()
        own = show_own() if OWN in names else st.session_state["architecture.own"]
    if not names:
        st.info(_("Choose a net."))
        return
    shared = (query := write_query(names, own, st.session_state["architecture.look"])) | {"lang": get_language()}
    questions = [ask_net(name, own if name == OWN else None) for name in names]
    ask(questions, "architecture", lambda *jobs: show_nets([job.results[0] for job in jobs], shared, query))
    show_lesson()


def ask_net(name: str, own: NetConfig | None) -> Question:
    """A net, layer by layer, of a worker, which after a start of the server has to load PyTorch first."""
    call = (Call("architecture.trace_architecture", None, (name,)) if own is None
            else Call("architecture.trace_net", None, (own, DATA[own.family], OWN)))
    return ("architecture", name, own), [call]


def show_nets(nets: list[Architecture | None], shared: dict[str, str], query: dict[str, str]) -> None:
    """All nets side by side, and one of them in full."""
    if None in nets:
        return
    show_figure(nets, shared)
    show_totals(nets)
    st.header(_("One net, layer by layer"), anchor=False)
    net = choose_net(nets)
    show_count(net)
    show_pass(net, query)
    show_layers(net, nets)


# ---------------------------------------------------------------------------------------------------- the figure


def show_figure(nets: list[Architecture], shared: dict[str, str]) -> None:
    """The nets side by side; the camera takes the picture in the format that is chosen, and the HTML file is whole."""
    ink = INK["dark" if st.context.theme.type == "dark" else "light"]
    figure, formats, language = draw_architectures(nets, ink), {"png": "PNG", "svg": "SVG"}, get_language()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.session_state.setdefault("arch.format", "png")
        st.segmented_control(_("The camera saves"), list(formats), format_func=formats.get, key="arch.format",
                             required=True)
        st.download_button(_("The figure as a page (HTML)"), lambda: call_in(language, write_page, nets),
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
        "locale": (locale := language.replace("_", "-")), "locales": {locale: {"dictionary": dictionary}},
    }
    with st.container(key="arch-figure"):  # on a narrow screen wider than it, and scrolled
        st.plotly_chart(figure, key="architecture", alt=_("; ").join(map(write_totals, nets)), config=config)
    least = f"{COLUMN * len(nets)}px"
    st.html(f"<style>.st-key-arch-figure {{ overflow-x: auto }} .st-key-arch-figure > * {{ min-width: {least} }}</style>")
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


def choose_net(nets: list[Architecture]) -> Architecture:
    """The net to be looked at, by default the last."""
    names = [net.name for net in nets]
    look = st.session_state["architecture.look"]
    if st.session_state.get("arch.look") not in names:
        st.session_state["arch.look"] = look if look in names else names[-1]
    st.segmented_control(_("Net"), names, format_func=name_net, key="arch.look", required=True, on_change=look_at)
    return nets[names.index(st.session_state["arch.look"])]


def look_at() -> None:
    st.session_state["architecture.look"] = st.session_state["arch.look"]


def show_count(net: Architecture) -> None:
    """What counts, stage by stage, and what does not."""
    st.subheader(_("How the layers are counted"), anchor=False)
    titles = (_("What counts"), _("Output"), _("Layers"), _("So far"))
    lines, total = ["| {} | {} | {} | {} |".format(*titles), "|:--|--:|--:|--:|"], 0
    for part in count_parts(net):
        total += part.layers
        product = f"{part.blocks} × {part.each} = {part.layers}".replace(" ", "\u00a0")  # not broken on a phone
        layers = str(part.each) if part.blocks is None else product
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
    lines = ["| {} | {} | {} |".format(_("What does not count"), _("How many"), _("Parameters")), "|:--|--:|--:|"]
    for name, layers in groups.items():
        lines.append(f"| {name} | {len(layers)} | {sum(layer.parameters for layer in layers):,} |")
    st.markdown("\n".join(lines))
    modules = sum(layer.kind in ("conv", "linear") for layer in net.layers)
    if modules != net.counted_layers:
        st.markdown(_("Who counts modules finds {modules} convolutions and fully connected layers. Without the {beside} "
                      "projections there are {count}.").format(modules=modules, beside=modules - net.counted_layers,
                                                               count=net.counted_layers))


# ---------------------------------------------------------------------------------------------------- a picture passes


def show_pass(net: Architecture, query: dict[str, str]) -> None:
    st.subheader(_("A picture passes"), anchor=False)
    st.markdown(_("What each layer hands on: as high as its picture (drawn by the square root), as wide as its channels "
                  "(by the logarithm). Shapes only: these nets are not trained."))
    if net.counted_layers > MANY:
        st.caption(_("In a net of more than {high} layers the picture passes equal blocks in a row but once.")
                   .format(high=MANY))
    show_strip(net, query)


@st.fragment
def show_strip(net: Architecture, query: dict[str, str]) -> None:
    """The strip, by hand with a slider or by itself."""
    use_language(st.session_state.language)  # a fragment runs by itself
    labels = label_steps(net)
    choose_step(len(labels) - 1)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.button(_("Play"), key="arch.play", icon=":material/play_arrow:", on_click=play, args=(len(labels) - 1,))
        plays = st.session_state.get("arch.playing", 0)
        if plays:  # a slider would stand at the end from the first layer on
            st.button(_("Choose a layer"), key="arch.choose", icon=":material/tune:", on_click=stop)
        else:
            st.select_slider(_("Layer"), range(len(labels)), format_func=labels.__getitem__, key="arch.step",
                             width="stretch")
    step = st.session_state["arch.step"]
    write_url(query | ({"step": str(step)} if step != 1 else {}))
    ask([ask_examples("digits", 1)], "arch.digit", lambda job: show_digit(net, step, plays, *job.results))


def show_digit(net: Architecture, step: int, plays: int, examples: Examples | None) -> None:
    """The first digit of the data set, its numbers from 0 to 1, on its way through."""
    if examples is None:
        return
    picture = examples.x[0, 0]
    low, high = float(picture.min()), float(picture.max())
    # A key of its own for each time it plays: the browser then starts the animation anew.
    with st.container(key=f"arch-pass-{plays}"):
        st.html(draw_pass(net, step, (picture - low) / (high - low), bool(plays)))


def choose_step(steps: int) -> None:
    """How far the picture is: as the URL says, and no further than this net goes."""
    asked = st.session_state.pop("architecture.step", None)
    try:
        step = st.session_state.get("arch.step", 1) if asked is None else read_step(asked, steps)
    except ConfigError as error:
        st.error(sentence(error), icon=":material/link_off:")
        step = 1
    st.session_state["arch.step"] = min(step, steps)


def play(steps: int) -> None:
    """Light up the whole way; the slider stands at its end."""
    st.session_state["arch.playing"] = st.session_state["arch.plays"] = st.session_state.get("arch.plays", 0) + 1
    st.session_state["arch.step"] = steps


def stop() -> None:
    st.session_state["arch.playing"] = 0


# ---------------------------------------------------------------------------------------------------- the table


def show_layers(net: Architecture, nets: list[Architecture]) -> None:
    """The net's table; the file has all nets'."""
    st.subheader(_("Every layer"), anchor=False)
    rows, titles = list_rows([net]), label_columns()
    configured = {name: st.column_config.NumberColumn(title, format="localized")
                  if name in ("parameters", "multiply_adds") else title for name, title in titles.items()}
    st.dataframe(rows, column_config=configured | {"net": None}, hide_index=True, height=400)
    st.download_button(_("Numbers (CSV)"), write_csv(list_rows(nets)), "resnet-viz-architecture.csv", "text/csv",
                       key="arch.csv", icon=":material/table:", type="tertiary", on_click="ignore")


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
