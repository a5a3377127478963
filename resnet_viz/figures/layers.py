"""The layers of whole nets in words and numbers: the table, how they are counted, and a page to take home."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from resnet_viz.figures.architecture import COLUMN, draw_architectures, label_kind, measure_side, name_net, write_shape
from resnet_viz.records import Architecture, Layer
from resnet_viz.text import _, get_language


def write_totals(net: Architecture) -> str:
    return _("{net}: {count} layers, {parameters} parameters, {multiply_adds} multiply-adds").format(
        net=name_net(net.name), count=net.counted_layers, parameters=f"{net.parameters:,}",
        multiply_adds=f"{net.multiply_adds:,}")


def label_columns() -> dict[str, str]:
    """The titles of the table of layers."""
    return {"net": _("Net"), "layer": _("Layer"), "kind": _("Kind"), "kernel": _("Kernel"), "stride": _("Stride"),
            "output": _("Output"), "parameters": _("Parameters"), "multiply_adds": _("Multiply-adds"),
            "counted": _("Counts")}


def list_rows(nets: list[Architecture]) -> list[dict[str, Any]]:
    """A row per layer of each net, also of those that are not drawn. What slides over no picture has no kernel."""
    return [{"net": name_net(net.name), "layer": layer.name, "kind": label_kind(layer.kind),
             "kernel": str(layer.kernel) if layer.kind in ("conv", "pool") else "",
             "stride": str(layer.stride) if layer.kind in ("conv", "pool") else "",
             "output": write_shape(layer.output), "parameters": layer.parameters,
             "multiply_adds": layer.multiply_adds, "counted": layer.counted} for net in nets for layer in net.layers]


# ---------------------------------------------------------------------------------------------------- counting


@dataclass(frozen=True)
class Part:
    """Layers in a row that count: `blocks` blocks of `each` layers, or where `blocks` is None, `each` single ones.

    `output` is the shape that the last hands on.
    """

    first: Layer
    blocks: int | None
    each: int
    output: tuple[int, ...]

    @property
    def layers(self) -> int:
        return self.each * (self.blocks or 1)


def count_parts(net: Architecture) -> list[Part]:
    """The layers that count, input to output: a part per stage of blocks, and one per run of equal layers outside."""
    stage_of = {i: s for s, stage in enumerate(net.stages()) for block in stage for i in range(block.first, block.last + 1)}
    counted = [(i, layer) for i, layer in enumerate(net.layers) if layer.counted]
    parts = []
    for (stage, *_same), group in itertools.groupby(
            counted, lambda item: (stage_of[item[0]],) if item[0] in stage_of
            else (None, item[1].kind, measure_side(item[1]))):
        layers = [layer for _i, layer in group]
        blocks = None if stage is None else len(net.stages()[stage])
        parts.append(Part(layers[0], blocks, len(layers) // (blocks or 1), layers[-1].output))
    return parts


def write_count(net: Architecture) -> str:
    """1 + 2·(3 + 4 + 6 + 3) + 1 = 34: singles, and layers per block times the blocks of each stage."""
    terms = []
    for each, group in itertools.groupby(count_parts(net), lambda part: part.each if part.blocks else None):
        parts = list(group)
        if each is None:
            terms += [str(part.each) for part in parts]
        else:
            inside = " + ".join(str(part.blocks) for part in parts)
            terms.append(f"{each}·({inside})" if len(parts) > 1 else f"{each}·{inside}")
    return f"{' + '.join(terms)} = {net.counted_layers}"


# ---------------------------------------------------------------------------------------------------- a page

PAGE = """<!doctype html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{names}</title>
<style>
body {{ margin: 1rem auto; max-width: 1200px; padding: 0 1rem; font-family: sans-serif; color: #1B2430; }}
.wide {{ overflow-x: auto; }}
.figure {{ min-width: {least}px; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
th, td {{ padding: 0.15rem 0.6rem; border-bottom: 1px solid #D5DBE1; text-align: right; }}
:is(th, td):nth-child(-n + 3) {{ text-align: left; }}
</style>
</head>
<body>
<main>
<h1>{names}</h1>
<div class="wide" tabindex="0"><div class="figure" role="figure" aria-label="{told}">{chart}</div></div>
<ul>{totals}</ul>
<h2>{every}</h2>
<div class="wide" tabindex="0"><table><thead><tr>{head}</tr></thead><tbody>
{body}
</tbody></table></div>
</main>
</body>
</html>
"""


def write_page(nets: list[Architecture]) -> bytes:
    """The figure and its table as a page of its own, in the session's language, plotly.js included: it needs no network."""
    figure = draw_architectures(nets).update_layout(template="plotly_white")
    chart = figure.to_html(full_html=False, include_plotlyjs=True, config={"displaylogo": False, "responsive": True})
    totals = [write_totals(net) for net in nets]
    return PAGE.format(
        language=get_language().replace("_", "-"), names=_(", ").join(name_net(net.name) for net in nets),
        least=COLUMN * len(nets), chart=chart, told=_("; ").join(totals), every=_("Every layer"),
        totals="".join(f"<li>{text}</li>" for text in totals),
        head="".join(f'<th scope="col">{title}</th>' for title in label_columns().values()),
        body="\n".join(_write_rows(nets))).encode()


def _write_rows(nets: list[Architecture]) -> Iterator[str]:
    for row in list_rows(nets):
        marked = row | {"parameters": f"{row['parameters']:,}", "multiply_adds": f"{row['multiply_adds']:,}",
                        "counted": "✓" if row["counted"] else ""}
        yield "<tr>" + "".join(f"<td>{value}</td>" for value in marked.values()) + "</tr>"
