"""Who is to be thanked: each block's shortcut and branch, the same block's real ablation, and the places of the input."""

from __future__ import annotations

import base64
import io

import numpy as np
import plotly.graph_objects as go
from PIL import Image
from plotly.subplots import make_subplots

from resnet_viz.figures.looks import COLOURS, GREY, PATTERNS, finish_figure
from resnet_viz.records import AblationResult, CreditResult
from resnet_viz.text import _, write_numbers

SHORTCUT, BRANCH = "#00865F", "#9C5B8B"  # a contrast of 3 on white and on the dark theme
DIVERGING = [[0, "#D55E00"], [0.5, "#F4F4F4"], [1, "#0072B2"]]
SCALE = {"orientation": "h", "thickness": 10, "nticks": 5, "y": -0.02, "yanchor": "top", "len": 0.6}
MARKS = ("diamond", "cross")  # of second opinions
INK = "#3A3A3A"  # of a digit's outline: always on the map's own light ground
NOISE = 0.1  # where ΔF is smaller than this part of the largest credit, an error in per cent of ΔF says nothing
ROUNDING = 1e-4  # of logits in single precision
BITE = 99  # per cent of the pixels have a colour of their own; a few extreme ones would make all others pale


def is_constant(result: CreditResult) -> bool:
    """Whether the logit is the same for x and for the baseline, but for rounding: there is nothing to divide up."""
    return abs(result.output_change) < ROUNDING


def is_noise(result: CreditResult) -> bool:
    """Whether ΔF is so small beside the credits that a completeness error relative to it says nothing."""
    sizes = np.abs(np.concatenate([np.nan_to_num(result.shortcut), result.branch]))
    return abs(result.output_change) < NOISE * float(sizes.max())


def measure_gap(result: CreditResult) -> float:
    """The largest |credit(s) + credit(F) - ΔF| of any block, in units of the logit."""
    return float(np.abs(np.nan_to_num(result.shortcut) + result.branch - result.output_change).max())


def find_branches(result: CreditResult) -> np.ndarray:
    """The credit of the branches that have a shortcut beside them, (K,); all of them in a plain net. Else NaN."""
    cut = np.isnan(result.shortcut)
    return result.branch if cut.all() else np.where(cut, np.nan, result.branch)


def find_disagreements(branch: np.ndarray, ablation: np.ndarray) -> tuple[list[int], tuple[int, int, int] | None]:
    """Blocks whose credit and ablation have opposite signs; and the block whose rank differs most, with its rank by
    credit and by ablation (1: the largest), or None where the two order the blocks alike. Blocks are counted from 0.
    """
    known = np.flatnonzero(np.isfinite(branch) & np.isfinite(ablation))
    opposite = [int(k) for k in known if branch[k] * ablation[k] < 0 and min(abs(branch[k]), abs(ablation[k])) > ROUNDING]
    if len(known) < 2:
        return opposite, None
    ranks = [(-values[known]).argsort(kind="stable").argsort() + 1 for values in (branch, ablation)]
    most = int(np.abs(ranks[0] - ranks[1]).argmax())
    first, second = int(ranks[0][most]), int(ranks[1][most])
    return opposite, (int(known[most]), first, second) if first != second else None


def find_reach(results: list[CreditResult]) -> tuple[float, float]:
    """From the smallest to the largest credit of all nets, 0 between them: so that they can be compared by eye."""
    values = np.concatenate([[0.0], *[part for r in results for part in (r.shortcut, r.branch)]])
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    room = 0.06 * ((high - low) or 1)
    return low - room * (low < 0), high + room


def draw_credit(result: CreditResult, opinions: dict[str, CreditResult], reach: tuple[float, float],
                ablation: AblationResult | None = None) -> go.Figure:
    """Signed bars for each block's shortcut and branch; marks on them: what other methods say (`opinions` by their
    names). Below, where there is one: what the logit and the accuracy lose without the block's branch, with a ≠ where the
    branch's credit has the opposite sign.
    """
    rows = 1 if ablation is None else 2 if np.isnan(ablation.accuracy).all() else 3
    figure = make_subplots(rows, 1, shared_xaxes=True, vertical_spacing=0.06, row_heights=[0.5, 0.28, 0.22][:rows])
    plain = bool(np.isnan(result.shortcut).all())
    blocks = np.arange(1, len(result.branch) + 1)
    sides = _list_parts(plain)
    hover = _("Block {number}").format(number="%{customdata}") + ": %{y:.3f}<extra>%{fullData.name}</extra>"
    for name, field, colour, side in sides:
        pattern = {"shape": "" if field == "shortcut" else "/", "fgcolor": "#FFFFFF", "bgcolor": colour, "solidity": 0.15}
        figure.add_bar(x=blocks + side, y=getattr(result, field), width=0.38, name=name, row=1, col=1, customdata=blocks,
                       marker={"color": colour, "pattern": pattern}, hovertemplate=hover)
    for mark, (name, other) in zip(MARKS, opinions.items(), strict=False):
        x = np.concatenate([blocks + side for *_rest, side in sides])
        y = np.concatenate([getattr(other, field) for _name, field, *_rest in sides])
        look = {"symbol": mark, "size": 8, "color": "#FFFFFF", "line": {"width": 1.5, "color": "#000000"}}
        figure.add_scatter(x=x, y=y, mode="markers", name=name, row=1, col=1, hovertemplate="%{y:.3f}", marker=look)
    if ablation is not None:
        _add_ablation(figure, blocks, ablation, rows, find_disagreements(find_branches(result), ablation.logit)[0])
    for row in range(1, rows + 1):
        figure.add_hline(y=0, line={"color": GREY, "width": 1}, row=row, col=1)
    figure.update_xaxes(dtick=1 if len(blocks) <= 12 else max(1, len(blocks) // 8), range=[0.4, len(blocks) + 0.6])
    figure.update_xaxes(title=_("Block, from input to output"), row=rows, col=1)
    figure.update_yaxes(title=_("Credit, logits"), range=list(reach), row=1, col=1)
    figure.update_layout(barmode="overlay", legend={"orientation": "h", "yref": "container", "y": 0.0, "yanchor": "bottom"})
    return finish_figure(figure, (0, 370, 510, 640)[rows]).update_layout(margin={"t": 30, "b": 100})


def _list_parts(plain: bool) -> list[tuple[str, str, str, float]]:
    """Name, field, colour and place beside the block's number; a plain net has no shortcut."""
    branch = (_("Block") if plain else _("Branch"), "branch", BRANCH, 0.0 if plain else 0.2)
    return [branch] if plain else [(_("Shortcut"), "shortcut", SHORTCUT, -0.2), branch]


def _add_ablation(figure: go.Figure, blocks: np.ndarray, ablation: AblationResult, rows: int, opposite: list[int]) -> None:
    """Bars of what is lost, one row for the logit and one for the accuracy in percentage points."""
    lost = [(_("Logit lost"), ablation.logit, "%{y:.3f}"),
            (_("Accuracy lost, points"), 100 * ablation.accuracy, "%{y:.1f}")]
    for row, (name, values, shown) in enumerate(lost[: rows - 1], start=2):
        figure.add_bar(x=blocks, y=values, width=0.5, row=row, col=1, showlegend=False, name=name,
                       marker={"color": GREY, "pattern": {"shape": "x", "fgcolor": "#FFFFFF", "bgcolor": GREY,
                                                          "solidity": 0.12}}, hovertemplate=shown)
        figure.update_yaxes(title=name, row=row, col=1)
    for k in opposite:
        figure.add_annotation(x=blocks[k], y=ablation.logit[k], text="≠", showarrow=False, row=2, col=1, font={"size": 16},
                              yshift=10 if ablation.logit[k] > 0 else -10)


def list_credits(names: list[str], results: list[dict[str, CreditResult]],
                 ablations: list[AblationResult | None]) -> list[dict[str, object]]:
    """A row per net, method and block; `results` of each net by method."""
    return [{"net": name, "method": method, "block": k + 1, "shortcut": float(result.shortcut[k]),
             "branch": float(result.branch[k]), "output_change": result.output_change,
             "completeness_error": float(result.completeness_error[k]),
             "logit_lost": None if ablation is None else float(ablation.logit[k]),
             "accuracy_lost": None if ablation is None else float(ablation.accuracy[k])}
            for name, by_method, ablation in zip(names, results, ablations, strict=True)
            for method, result in by_method.items() for k in range(len(result.branch))]


# ---------------------------------------------------------------------------------------------------- the input


def draw_maps(names: list[str], maps: list[np.ndarray], picture: np.ndarray) -> go.Figure:
    """The digit (1, H, W), and each net's credit of its pixels (1, H, W) with the digit's outline; blue is for the class,
    orange against it, all on one scale.
    """
    figure = make_subplots(1, 1 + len(maps), subplot_titles=[_("The input"), *names], horizontal_spacing=0.03)
    limit = max(1e-9, *(float(np.abs(found).max()) for found in maps))
    figure.add_heatmap(z=picture[0], zmin=0, zmax=16, colorscale="Greys", showscale=False, row=1, col=1,
                       hovertemplate="%{z:.0f}<extra></extra>")
    for i, found in enumerate(maps, start=2):
        figure.add_heatmap(z=found[0], zmin=-limit, zmax=limit, colorscale=DIVERGING, showscale=i == 2, row=1, col=i,
                           colorbar=SCALE, hovertemplate="%{z:.4f}<extra></extra>")
        figure.add_contour(z=picture[0], contours={"start": 8, "end": 8, "coloring": "lines"}, showscale=False, row=1,
                           col=i, hoverinfo="skip", line={"width": 2}, colorscale=[[0, INK], [1, INK]])
    return _finish_pictures(figure, 1 + len(maps), 330)


def _finish_pictures(figure: go.Figure, count: int, height: int) -> go.Figure:
    for i in range(1, count + 1):
        figure.update_xaxes(visible=False, constrain="domain", row=1, col=i)
        figure.update_yaxes(visible=False, autorange="reversed", scaleanchor=f"x{i if i > 1 else ''}", constrain="domain",
                            constraintoward="top", row=1, col=i)
    return finish_figure(figure, height).update_layout(margin={"t": 56, "b": 40})


def draw_points(names: list[str], maps: list[np.ndarray]) -> go.Figure:
    """Each net's credit of the two numbers of a point."""
    figure = go.Figure()
    for name, found, colour, shape in zip(names, maps, COLOURS, PATTERNS, strict=False):
        pattern = {"shape": shape, "fgcolor": "#FFFFFF", "bgcolor": colour, "solidity": 0.15}
        figure.add_bar(x=["x₁", "x₂"], y=found.ravel(), name=name, marker={"color": colour, "pattern": pattern},
                       hovertemplate="%{y:.3f}")
    figure.update_yaxes(title=_("Credit, logits"), zeroline=True)
    figure.update_layout(legend={"orientation": "h", "yref": "container", "y": 0.0, "yanchor": "bottom"})
    return finish_figure(figure, 320).update_layout(margin={"t": 30, "b": 60})


def list_maps(names: list[str], maps: list[np.ndarray]) -> list[dict[str, object]]:
    """A row per net and number of the input, counted row by row."""
    return [{"net": name, "number": i, "credit": float(value)}
            for name, found in zip(names, maps, strict=True) for i, value in enumerate(found.flat)]


def draw_brought(picture: np.ndarray, found: np.ndarray | None) -> go.Figure:
    """A picture (H, W, 3) uint8; beside it, where there is one, its map (H, W) over the picture in grey. The scale ends at
    the 99th percentile of |credit|.
    """
    if found is None:
        figure = make_subplots(1, 1)
        figure.add_trace(go.Image(source=_encode(picture), hoverinfo="skip"), row=1, col=1)
        return _finish_pictures(figure, 1, 300)
    figure = make_subplots(1, 2, subplot_titles=[_("The picture"), _("Where the credit is")], horizontal_spacing=0.03)
    limit = max(1e-12, float(np.percentile(np.abs(found), BITE)))
    grey = np.repeat((picture @ (0.299, 0.587, 0.114)).astype(np.uint8)[..., None], 3, axis=2)
    for i, pixels in enumerate((picture, grey), start=1):
        figure.add_trace(go.Image(source=_encode(pixels), hoverinfo="skip"), row=1, col=i)
    figure.add_heatmap(z=found, zmin=-limit, zmax=limit, colorscale=DIVERGING, opacity=0.65, row=1, col=2,
                       colorbar=SCALE, hovertemplate="%{text}<extra></extra>",
                       text=[write_numbers(row) for row in found])
    return _finish_pictures(figure, 2, 380)


def _encode(pixels: np.ndarray) -> str:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode()
