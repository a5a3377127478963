"""The lesson's equations with a block's own numbers in them."""

from __future__ import annotations

import math

import numpy as np

from resnet_viz.records import BlockView, NetConfig, Product
from resnet_viz.text import _

SHOWN = 3  # terms of a sum that are written out


def write_row(name: str, k: int, view: BlockView, net: NetConfig) -> str:
    """What a row of block `k` is called, in the lesson's symbols, for a chart."""
    ell, pre = 2 * k + 1, net.order == "pre" and "s" in view.rows
    same = np.array_equal(view.rows.get("s", np.nan), view.rows["a0"])
    total = f"z<sup>[{ell + 2}]</sup> + " + (f"a<sup>[{ell}]</sup>" if same else "s")
    return {
        "a0": f"a<sup>[{ell}]</sup>", "n0": f"BatchNorm(a<sup>[{ell}]</sup>)",
        "g0": f"g(BatchNorm(a<sup>[{ell}]</sup>))" if "n0" in view.rows else f"g(a<sup>[{ell}]</sup>)",
        "u1": f"u<sup>[{ell + 1}]</sup>", "z1": f"z<sup>[{ell + 1}]</sup>", "a1": f"a<sup>[{ell + 1}]</sup>",
        "u2": f"u<sup>[{ell + 2}]</sup>", "z2": f"z<sup>[{ell + 2}]</sup>", "s": "s", "sum": total,
        "a2": f"a<sup>[{ell + 2}]</sup>" + (f" = {total}" if pre else ""),
    }[name]


def write_number(value: float) -> str:
    """A number as LaTeX: three decimals, or a power of ten where these would say nothing."""
    value = float(value)
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else r"\mathrm{NaN}"
    if 0.01 <= abs(value) < 1000:
        return f"{value:.3f}"
    mantissa, exponent = f"{value:.2e}".split("e")
    return rf"{mantissa}\cdot 10^{{{int(exponent)}}}"


def in_brackets(value: float) -> str:
    """A number as a factor or a second summand, in brackets where it begins with a minus."""
    return f"({write_number(value)})" if value < 0 else write_number(value)


def write_equations(view: BlockView, net: NetConfig, k: int, unit: int) -> list[str]:
    """The equations of one unit of block `k`, line by line in the lesson's order, as LaTeX."""
    if net.order == "pre":
        return _write_pre(view, net, k, unit)
    ell = 2 * k + 1
    i, read = name_unit(view, unit), _reader(view, unit)
    lines = _write_layer(view.products[:1], "u1", "z1", ell + 1, i, rf"a^{{[{ell}]}}", read)
    lines.append(_write_g(rf"a^{{[{ell + 1}]}}_{{{i}}}", rf"z^{{[{ell + 1}]}}_{{{i}}}", read("z1"), read("a1"), net))
    lines += _write_layer(view.products[1:], "u2", "z2", ell + 2, i, rf"a^{{[{ell + 1}]}}", read)
    z = rf"z^{{[{ell + 2}]}}_{{{i}}}"
    if "s" not in view.rows:
        return [*lines, _write_g(rf"a^{{[{ell + 2}]}}_{{{i}}}", z, read("z2"), read("a2"), net)]
    shortcut, extra = _write_shortcut(view, ell, i, read)
    inside = rf"{write_number(read('z2'))} + {in_brackets(read('s'))}"
    return [*lines, *extra, rf"a^{{[{ell + 2}]}}_{{{i}}} = g\big({z} + {shortcut}\big) = g({inside}) "
            rf"= g({write_number(read('sum'))}) = {write_number(read('a2'))}"]


def _write_pre(view: BlockView, net: NetConfig, k: int, unit: int) -> list[str]:
    """g stands before the layers, and nothing after the sum."""
    ell = 2 * k + 1
    i, read = name_unit(view, unit), _reader(view, unit)
    inside = rf"\mathrm{{BatchNorm}}(a^{{[{ell}]}})" if "n0" in view.rows else rf"a^{{[{ell}]}}"
    lines = [rf"h^{{[{ell}]}} = g\big({inside}\big)"]
    lines += _write_layer(view.products[:1], "u1", "z1", ell + 1, i, rf"h^{{[{ell}]}}", read)
    lines.append(_write_g(rf"a^{{[{ell + 1}]}}_{{{i}}}", rf"z^{{[{ell + 1}]}}_{{{i}}}", read("z1"), read("a1"), net))
    lines += _write_layer(view.products[1:], "u2", "z2", ell + 2, i, rf"a^{{[{ell + 1}]}}", read)
    left, z = rf"a^{{[{ell + 2}]}}_{{{i}}}", rf"z^{{[{ell + 2}]}}_{{{i}}}"
    if "s" not in view.rows:
        return [*lines, rf"{left} = {z} = {write_number(read('a2'))}"]
    shortcut, extra = _write_shortcut(view, ell, i, read)
    return [*lines, *extra, rf"{left} = {z} + {shortcut} = {write_number(read('z2'))} + {in_brackets(read('s'))} "
            rf"= {write_number(read('a2'))}"]


def _write_shortcut(view: BlockView, ell: int, i: str, read) -> tuple[str, list[str]]:
    """What is added, and a line that says what it is where that is not a[l] itself."""
    if np.array_equal(view.rows["s"], view.rows["a0"]):
        return rf"a^{{[{ell}]}}_{{{i}}}", []
    return f"s_{{{i}}}", [rf"s_{{{i}}} = \big(\mathrm{{shortcut}}(a^{{[{ell}]}})\big)_{{{i}}} = {write_number(read('s'))}"]


def _write_layer(products: tuple[Product, ...], u: str, z: str, ell: int, i: str, inputs: str, read) -> list[str]:
    """u = Σ W a + b, and the BatchNorm behind it where there is one. No line where a lesion drops the layer."""
    if not products:
        return []
    product = products[0]
    batch, row = product.gamma is not None, i.split(",", maxsplit=1)[0]  # a channel's places share its weights
    left = rf"{'u' if batch else 'z'}^{{[{ell}]}}_{{{i}}}"
    bias = "" if product.bias is None else rf" + b^{{[{ell}]}}_{{{row}}}"
    result = write_number(read(u if batch else z))
    lines = [rf"{left} = \sum_j W^{{[{ell}]}}_{{{row},j}}\,{inputs}_j{bias} = {write_sum(product)} = {result}"]
    if batch:
        numbers = rf"{write_number(product.gamma)}\cdot\frac{{{write_number(read(u))} - {in_brackets(product.mean)}}}" \
                  rf"{{\sqrt{{{write_number(product.variance)}}}}} + {in_brackets(product.beta)}"
        lines.append(rf"z^{{[{ell}]}}_{{{i}}} = \gamma\,\frac{{u - \mu}}{{\sqrt{{\sigma^2 + \varepsilon}}}} + \beta "
                     rf"= {numbers} = {write_number(read(z))}")
    return lines


def write_sum(product: Product) -> str:
    """The largest terms of a sum, how many more there are, and the bias."""
    order = np.argsort(-np.abs(product.weights * product.inputs), kind="stable")[:SHOWN]
    terms = [rf"{in_brackets(product.weights[j])}\cdot {in_brackets(product.inputs[j])}" for j in order]
    left = len(product.weights) - len(order)
    if left:
        more = _("{count} more").format(count=left)
        terms.append(rf"\dots\ (\text{{{more}}})")
    if product.bias is not None:
        terms.append(in_brackets(product.bias))
    return " + ".join(terms)


def _write_g(left: str, inside: str, z: float, a: float, net: NetConfig) -> str:
    g = r"\max(0,\,{})" if net.activation == "relu" else r"\tanh({})"
    return rf"{left} = g\big({inside}\big) = " + g.replace("{}", write_number(z)) + f" = {write_number(a)}"


def _reader(view: BlockView, unit: int):
    return lambda name: float(view.rows[name].flat[unit])


def name_unit(view: BlockView, unit: int) -> str:
    """The unit's index from 1: a number, or channel, row and column."""
    return ",".join(str(int(i) + 1) for i in np.unravel_index(unit, view.rows["a2"].shape))
