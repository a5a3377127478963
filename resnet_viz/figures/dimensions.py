"""Where dimensions change: the ways out as diagrams with real shapes and counts, and W_s beside [I; 0]."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from resnet_viz.figures.examples import finish_figure
from resnet_viz.records import DataShape, Layer, NetConfig, list_layers, plan_blocks
from resnet_viz.text import _

LINE = "#6B7785"
INK = "#000037"  # Streamlit puts its theme's text colour in the place of this one; elsewhere it is nearly black
SHORTCUTS = {"identity": ("#2A7FB8", "solid"), "zero-pad": ("#00865F", "dash"), "projection": ("#B0578D", "dot")}
MIDDLE, RIGHT = 2.75, 8.0  # where the layers stand, and the shortcut, in a picture 10 wide
BLOCK = 6.6  # height of one block with its title
SHORTCUT_BOX = (1.85, 3.9)  # its top and its bottom in a block
INSIDE = 11  # size of the letters in boxes, which hold them in a column of 264 pixels


def find_change(net: NetConfig) -> int:
    """The first block whose a[l] and a[l+2] have different dimensions. There is one where the stages' widths differ."""
    return next(k for k, plan in enumerate(plan_blocks(net)) if not plan.keeps_shape)


def list_parts(net: NetConfig, data: DataShape) -> list[dict[str, Any]]:
    """What a diagram shows, a row per layer and shortcut: of the last block of a stage and the first of the next.

    `shape` is what comes out, per example, and `parameters` are those of `records.list_layers`, BatchNorm's included.
    """
    layers = list(list_layers(net, data))
    named = {layer.name: layer for layer in layers}
    plans, change = plan_blocks(net), find_change(net)
    rows = []
    for k in (change - 1, change):
        before = named[f"block{k}.2" if k else "stem"].output
        first, second = named[f"block{k + 1}.1"], named[f"block{k + 1}.2"]
        learned: Layer | None = named.get(f"block{k + 1}.shortcut")
        common = {"block": k + 1, "input": write_shape(before)}
        for part, layer in (("W[l+1]", first), ("W[l+2]", second)):
            rows.append(common | {"part": part, "kernel": layer.kernel, "stride": layer.stride,
                                  "shape": write_shape(layer.output), "parameters": layer.parameters})
        rows.append(common | {"part": plans[k].shortcut, "kernel": 1, "stride": plans[k].stride,
                              "shape": write_shape(second.output), "parameters": learned.parameters if learned else 0})
    return rows


def write_shape(shape: tuple[int, ...]) -> str:
    """128, or 16×8×8: channels, rows, columns."""
    return "×".join(map(str, shape))


def draw_way(net: NetConfig, data: DataShape) -> go.Figure:
    """Two neighbouring blocks of a net from top to bottom, the second of which changes the dimensions."""
    figure, rows, plans = go.Figure(), list_parts(net, data), plan_blocks(net)
    for i, start in enumerate((0, 3)):
        first, second, shortcut = rows[start : start + 3]
        changes = not plans[first["block"] - 1].keeps_shape
        title = _("Block {number}: the dimensions change") if changes else _("Block {number}: the dimensions stay")
        _draw_block(figure, i * BLOCK, title.format(number=first["block"]), (first, second, shortcut), net)
    figure.update_xaxes(visible=False, range=[0, 10], fixedrange=True)
    figure.update_yaxes(visible=False, range=[2 * BLOCK - 0.2, -0.1], fixedrange=True)
    figure.update_layout(dragmode=False, showlegend=False)
    return finish_figure(figure, 540)


def _draw_block(figure: go.Figure, top: float, title: str, parts: tuple[dict, ...], net: NetConfig) -> None:
    """One block, from `top` downwards: a[l], two layers, the sum with the shortcut, a[l+2]."""
    first, second, shortcut = parts
    colour, dash = SHORTCUTS[shortcut["part"]]
    _write(figure, 0.1, top + 0.25, f"<b>{title}</b>", "left", 13)
    _write(figure, MIDDLE, top + 0.95, f"a[l]: {first['input']}")
    for y, part, out in ((1.5, first, "a[l+1]"), (3.1, second, "z[l+2]")):
        words = f"{_describe_layer(part, net)}<br>→ {out}: {part['shape']}"
        _draw_box(figure, MIDDLE, top + y, 2.65, 1.3, LINE, "solid", words)
        _draw_arrow(figure, MIDDLE, top + y - 0.3, top + y)
    _draw_arrow(figure, MIDDLE, top + 4.4, top + 4.72)
    figure.add_shape(type="circle", x0=MIDDLE - 0.42, x1=MIDDLE + 0.42, y0=top + 4.72, y1=top + 5.38, line={"color": LINE})
    _write(figure, MIDDLE, top + 5.05, "<b>+</b>", size=16)
    _draw_shortcut(figure, top, colour, dash)
    _draw_box(figure, RIGHT, top + SHORTCUT_BOX[0], 1.95, SHORTCUT_BOX[1] - SHORTCUT_BOX[0], colour, dash,
              _describe_shortcut(shortcut, net))
    _write(figure, RIGHT - 0.15, top + 5.42, f"s: {shortcut['shape']}", "right")
    _draw_arrow(figure, MIDDLE, top + 5.38, top + 5.85)
    g = "" if net.order == "pre" else "g → "
    _write(figure, MIDDLE, top + 6.12, f"{g}a[l+2]: {second['shape']}")


def _describe_layer(part: dict, net: NetConfig) -> str:
    what = part["part"]
    if net.order == "pre":
        what = f"g · {what}"
    if net.family == "conv":
        what += f" · {part['kernel']}×{part['kernel']}"
        what += " · " + _("stride {stride}").format(stride=part["stride"]) if part["stride"] > 1 else ""
    else:
        inputs = part["input"] if part["part"] == "W[l+1]" else part["shape"]
        what += f" · {part['shape']}×{inputs}"
    return f"{what}<br>{count(part['parameters'])}"


def _describe_shortcut(part: dict, net: NetConfig) -> str:
    inputs, outputs = part["input"].split("×")[0], part["shape"].split("×")[0]
    stride = "<br>" + _("stride {stride}").format(stride=part["stride"]) if part["stride"] > 1 else ""
    name = {"identity": _("identity") + "<br>s = a[l]", "zero-pad": _("zero padding") + "<br>s = [a[l]; 0]" + stride,
            "projection": f"<b>W<sub>s</sub></b> · {outputs}×{inputs}<br>s = W<sub>s</sub> a[l]" + stride}
    return f"{name[part['part']]}<br>{count(part['parameters']).replace(' ', '<br>', 1)}"


def count(parameters: int) -> str:
    return _("{count} parameters").format(count=f"{parameters:,}")


def _draw_shortcut(figure: go.Figure, top: float, colour: str, dash: str) -> None:
    """From a[l] round the layers to the sum, open where its box stands."""
    line, y = {"color": colour, "width": 2.5, "dash": dash}, top + 5.05
    out = f"M {MIDDLE + 1.6} {top + 0.95} L {RIGHT} {top + 0.95} L {RIGHT} {top + SHORTCUT_BOX[0]}"
    figure.add_shape(type="path", path=out, line=line)
    figure.add_shape(type="path", path=f"M {RIGHT} {top + SHORTCUT_BOX[1]} L {RIGHT} {y} L {MIDDLE + 0.6} {y}", line=line)
    figure.add_annotation(x=MIDDLE + 0.42, y=y, ax=MIDDLE + 1.2, ay=y, axref="x", ayref="y", text="",
                          showarrow=True, arrowhead=2, arrowwidth=2, arrowcolor=colour)


def _draw_box(figure: go.Figure, x: float, y: float, half: float, height: float, colour: str, dash: str, text: str) -> None:
    figure.add_shape(type="rect", x0=x - half, x1=x + half, y0=y, y1=y + height, fillcolor="rgba(128,128,128,0.12)",
                     line={"color": colour, "width": 1.5, "dash": dash})
    _write(figure, x, y + height / 2, text, size=INSIDE)


def _draw_arrow(figure: go.Figure, x: float, y: float, end: float) -> None:
    figure.add_annotation(x=x, y=end, ax=x, ay=y, axref="x", ayref="y", text="", showarrow=True, arrowhead=2,
                          arrowwidth=1.5, arrowcolor=LINE)


def _write(figure: go.Figure, x: float, y: float, text: str, anchor: str = "center", size: int = 12) -> None:
    figure.add_annotation(x=x, y=y, text=text, showarrow=False, xanchor=anchor, font={"size": size, "color": INK})


# ---------------------------------------------------------------------------------------------------- W_s


def make_target(outputs: int, inputs: int) -> np.ndarray:
    """[I; 0] (outputs, inputs): the W_s that zero padding is."""
    return np.eye(outputs, inputs, dtype=np.float32)


def find_limit(matrices: list[np.ndarray]) -> float:
    """Where a colour scale for learned matrices ends: their largest number in size, and no more than 1."""
    return float(min(1.0, max(np.abs(matrix).max(initial=0.0) for matrix in matrices) or 1.0))


def draw_matrices(titles: list[str], matrices: list[np.ndarray], limit: float, height: int = 420) -> go.Figure:
    """Heat maps of equal shape (outputs, inputs) side by side, on one colour scale from -limit to limit."""
    figure = make_subplots(1, len(matrices), subplot_titles=titles, horizontal_spacing=0.06, shared_yaxes=True)
    for i, (title, matrix) in enumerate(zip(titles, matrices, strict=True), start=1):
        outputs, inputs = matrix.shape
        figure.add_heatmap(z=matrix, x=np.arange(1, inputs + 1), y=np.arange(1, outputs + 1), coloraxis="coloraxis",
                           name=title, hovertemplate="W<sub>s</sub>[%{y}, %{x}] = %{z:.4f}<extra></extra>", row=1, col=i)
    figure.update_annotations(font={"size": 13, "color": INK}, yshift=5)
    outputs, inputs = matrices[0].shape
    figure.update_xaxes(title={"text": _("into: a[l]"), "standoff": 4}, nticks=4, range=[0.5, inputs + 0.5])
    figure.update_yaxes(range=[outputs + 0.5, 0.5])
    for update in (figure.update_xaxes, figure.update_yaxes):
        update(showline=True, mirror=True, linecolor=LINE, showgrid=False)
    figure.update_yaxes(title=_("out of: s"), col=1)
    bar = {"orientation": "h", "y": 0, "yref": "container", "yanchor": "bottom", "thickness": 12, "len": 0.9,
           "nticks": 4, "tickangle": 0, "tickformat": ".2~g"}
    figure.update_layout(coloraxis={"colorscale": "RdBu_r", "cmid": 0, "cmin": -limit, "cmax": limit, "colorbar": bar})
    return finish_figure(figure, height).update_layout(margin={"t": 50, "b": 100})


def list_matrix(matrices: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    """A row per number, counted from 1, a column per matrix."""
    outputs, inputs = next(iter(matrices.values())).shape
    return [{"row": i + 1, "column": j + 1} | {name: float(matrix[i, j]) for name, matrix in matrices.items()}
            for i in range(outputs) for j in range(inputs)]


def draw_drift(steps: list[int], drift: list[float]) -> go.Figure:
    """‖W_s − [I; 0]‖ against the step, and a line where it began."""
    figure = go.Figure()
    figure.add_hline(y=drift[0], line={"dash": "dot", "width": 1, "color": LINE})
    figure.add_scatter(x=steps, y=drift, mode="lines+markers", name="‖W_s − [I; 0]‖",
                       line={"color": SHORTCUTS["projection"][0]}, marker={"size": 8},
                       hovertemplate=_("Step {step}: {value}").format(step="%{x}", value="%{y:.4f}") + "<extra></extra>")
    low, high = min(drift), max(drift)
    room = max(high - low, 0.01 * high, 1e-6) * 0.15
    figure.update_xaxes(title=_("Step"), range=[-0.03 * steps[-1], 1.03 * steps[-1]])
    figure.update_yaxes(title="‖W<sub>s</sub> − [I; 0]‖", range=[low - room, high + room], automargin=True)
    return finish_figure(figure, 260)


def list_drift(steps: list[int], drift: list[float]) -> list[dict[str, float]]:
    return [{"step": step, "drift": value} for step, value in zip(steps, drift, strict=True)]
