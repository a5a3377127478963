"""A report on a run as one HTML file that opens without a network: records in, HTML out.

plotly.js is written into it from the installed package. It is in the session's language, in the colours of the reader's
system, light or dark, and fit to be printed.
"""

from __future__ import annotations

import html
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

import plotly.graph_objects as go
from plotly.io import to_html
from plotly.offline import get_plotlyjs

from resnet_viz.export.script import make_script
from resnet_viz.figures import report as figures
from resnet_viz.records import (
    OVERFLOWS,
    Frame,
    Operation,
    OperationResult,
    RaceConfig,
    count_multiply_adds,
    count_parameters,
)
from resnet_viz.text import _, get_language, join, percent_sign, write_number

PACKAGES = ("torch", "numpy", "scikit-learn", "plotly", "streamlit")
STYLE = """
:root { color-scheme: light dark; --line: #d5dbe1; --soft: #f4f6f8; --link: #0b5cad; }
@media (prefers-color-scheme: dark) { :root { --line: #36414d; --soft: #1a212a; --link: #6cb6f5; } }
body { margin: 0; background: light-dark(#fff, #11161c); color: light-dark(#1b2430, #e6ebf0);
  font: 15px/1.55 system-ui, "Noto Sans SC", "PingFang SC", "Microsoft YaHei", sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.8rem; line-height: 1.25; margin: 0 0 .25rem; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .5rem; border-bottom: 1px solid var(--line); padding-bottom: .25rem; }
p { max-width: 46rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .9rem .3rem 0; border-bottom: 1px solid var(--line); text-align: right; vertical-align: top; }
th:first-child, td:first-child { text-align: left; }
figure { margin: 1rem 0 2rem; }
figcaption { font-weight: 600; }
figure p { margin: 0; font-size: .9rem; }
pre { background: var(--soft); padding: 1rem; overflow: auto; font-size: .8rem; line-height: 1.4; max-height: 40rem; }
summary { cursor: pointer; padding: .4rem 0; color: var(--link); }
.js-plotly-plot text { fill: currentColor !important; }
.js-plotly-plot .hoverlayer text { fill: #1b2430 !important; }
@media print { :root { color-scheme: light; } main { max-width: none; padding: 0; } details:not([open]) { display: none; }
  figure, table { break-inside: avoid; } h2 { break-after: avoid; } }
"""


@dataclass(frozen=True, eq=False)
class LaneReport:
    """One lane: its name, its whole run, loss and accuracy on either part at the end, and what operations then did."""

    name: str
    run: Frame
    ends: Mapping[str, float]
    operations: tuple[Operation, ...] = ()
    recompute: bool = False
    result: OperationResult | None = None


def make_report(config: RaceConfig, lanes: Sequence[LaneReport], steps: int,
                labels: Mapping[str, str] | None = None) -> str:
    """The report on the first `steps` steps of a race. `labels` are the names of settings and of choices."""
    config = config.until(steps)
    names, runs = [lane.name for lane in lanes], [lane.run for lane in lanes]
    labels = labels or {}
    dataset = labels.get(config.dataset, config.dataset)
    title = " · ".join(["ResNet Viz", dataset, _("step {step}").format(step=f"{steps:,}")])
    parts = [write_lead(config, steps, labels), write_results(config, lanes)]
    if any(len(run) for run in runs):
        parts += list(write_figures(runs, names, config))
    parts += [write_settings(config, names, labels), *write_hand(config, names), write_versions(),
              *write_files(config, lanes, steps)]
    return write_page(title, parts)


def write_page(title: str, parts: Iterable[str]) -> str:
    """A whole page."""
    language = get_language().replace("_", "-")
    return "\n".join([
        f'<!doctype html>\n<html lang="{language}">\n<head>\n<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{html.escape(title)}</title>\n<style>{STYLE}</style>",
        f"<script>{get_plotlyjs()}</script>\n</head>\n<body>\n<main>\n<h1>{html.escape(title)}</h1>", *parts,
        "</main>\n</body>\n</html>\n"])


def write_section(title: str, *parts: str) -> str:
    return f"<section>\n<h2>{html.escape(title)}</h2>\n" + "\n".join(parts) + "\n</section>"


def write_paragraph(text: str) -> str:
    return f"<p>{html.escape(text)}</p>"


def write_list(items: Iterable[str]) -> str:
    """Sentences, one under the other; Markdown's ** is dropped."""
    lines = "".join(f"<li>{html.escape(item.replace('**', ''))}</li>" for item in items)
    return f"<ul>{lines}</ul>" if lines else ""


def write_table(heads: Sequence[str], rows: Iterable[Sequence[Any]], label: str) -> str:
    """A table; the first cell of a row is its head."""
    lines = ["<tr>" + "".join(f'<th scope="col">{html.escape(head)}</th>' for head in heads) + "</tr>"]
    for first, *rest in rows:
        cells = "".join(f"<td>{html.escape(str(cell))}</td>" for cell in rest)
        lines.append(f'<tr><th scope="row">{html.escape(str(first))}</th>{cells}</tr>')
    name = html.escape(label, quote=True)
    return f'<div class="scroll" tabindex="0" role="region" aria-label="{name}"><table>{"".join(lines)}</table></div>'


def write_figure(figure: go.Figure, name: str, title: str, words: str) -> str:
    """A figure with its title and, in words, what it shows. `name` is its id on the page."""
    drawn = to_html(figure, full_html=False, include_plotlyjs=False, div_id=name,
                    config={"displayModeBar": False, "responsive": True})
    alt = html.escape(_(". ").join([title, words]), quote=True)
    return (f'<figure>\n<figcaption>{html.escape(title)}</figcaption>\n{write_paragraph(words)}\n'
            f'<div role="img" aria-label="{alt}">{drawn}</div>\n</figure>')


# ---------------------------------------------------------------------------------------------------- the parts


def write_lead(config: RaceConfig, steps: int, labels: Mapping[str, str]) -> str:
    sizes = {lane.train.batch_size for lane in config.lanes}
    told = _("Trained on “{dataset}” from seed {seed}: {steps} steps, in batches of a size that is not the same for every "
             "net.")
    if len(sizes) == 1:
        told = _("Trained on “{dataset}” from seed {seed}: {steps} steps of {batch} examples each, the same batches for "
                 "every net.")
    told = told.format(dataset=labels.get(config.dataset, config.dataset), seed=config.seed, steps=f"{steps:,}",
                       batch=config.lanes[0].train.batch_size)
    return write_paragraph(join(told, _(
        "Every number below was measured in that run; the scripts at the end give the same numbers again, to the last bit "
        "on the same machine.")))


def write_results(config: RaceConfig, lanes: Sequence[LaneReport]) -> str:
    """The numbers: a row per net, and a second where operations were made."""
    heads = [_("Net"), _("Parameters"), _("Multiply-adds"), _("Training loss"), _("Training accuracy"), _("Held-out loss"),
             _("Held-out accuracy")]
    rows = []
    for lane, part in zip(config.lanes, lanes, strict=True):
        costs = [f"{count(lane.net, config.data):,}" for count in (count_parameters, count_multiply_adds)]
        rows.append([part.name, *costs, *write_numbers(part.ends)])
        if part.result is not None and part.operations:
            rows.append([_("{net}, after the operations").format(net=part.name), *costs, *write_numbers(part.result.after)])
    notes = [_("{net} diverged at step {step}: {reason}. Its numbers are those before.").format(
        net=part.name, step=part.run.first + len(part.run), reason=_(OVERFLOWS[part.run.overflow]))
        for part in lanes if part.run.diverged]
    notes += [_("{net}, operations: {operations}.").format(
        net=part.name, operations=_("; ").join(map(name_operation, part.operations))) for part in lanes if part.operations]
    if any(lane.net.norm == "batch" for lane in config.lanes):
        notes.append(_("BatchNorm normalises with its stored statistics in these numbers, unless an operation had them "
                       "recomputed."))
    return write_section(_("What came out"), write_table(heads, rows, _("What came out")), *map(write_paragraph, notes))


def write_numbers(ends: Mapping[str, float]) -> list[str]:
    return [f"{100 * ends[name]:.2f}{percent_sign()}" if name.endswith("accuracy") else write_number(ends[name], 4)
            for name in ("train_loss", "train_accuracy", "test_loss", "test_accuracy")]


def name_operation(operation: Operation) -> str:
    """An operation in a few words, with its kind as the settings have it."""
    names = ("alpha", "alpha_bias") if operation.kind.startswith("scale") else ("other",)
    values = [f"{name}={getattr(operation, name):g}" for name in names if getattr(operation, name) is not None]
    return " ".join([f"{operation.kind} block={operation.block}", *values])


def write_figures(runs: Sequence[Frame], names: Sequence[str], config: RaceConfig) -> Iterable[str]:
    told = [(run, name) for run, name in zip(runs, names, strict=True) if len(run)]
    runs, names = [run for run, _name in told], [name for _run, name in told]
    chance = 1 / config.data.classes
    ends = _("; ").join(_("{net}: {first} at first, {last} at last").format(
        net=name, first=write_number(run.loss[0]), last=write_number(run.loss[-1])) for run, name in told)
    scores = _("; ").join(_("{name}: {words}").format(name=name, words=f"{100 * run.test_accuracy[-1]:.1f}{percent_sign()}")
                          for run, name in told)
    ratios = _("; ").join(compare_gradients(run, name) for run, name in told)
    yield write_section(
        _("Learning"),
        write_figure(figures.draw_learning(runs, names, "loss"), "loss", _("Loss"),
                     _("On each training batch before its step, and every tenth step on all that is held out. {ends}.")
                     .format(ends=ends)),
        write_figure(figures.draw_learning(runs, names, "accuracy", chance), "accuracy", _("Accuracy"),
                     _("Dotted: guessing. Held out, last measured: {scores}.").format(scores=scores)))
    yield write_section(
        _("Gradients"),
        write_figure(figures.draw_gradients(runs, names), "gradients", _("Gradient, layer by layer"),
                     _("Per example, at the first step (dotted) and at the last. {ratios}.").format(ratios=ratios)),
        *(write_figure(figures.draw_heat(run), f"heat{i}", _("Gradient at every step · {net}").format(net=name),
                       _("A row per layer, from the input at the bottom; bright is large, gaps are 0.")) for i, (run, name)
          in enumerate(told)))
    blocks = []
    if any(lane.net.residual for lane in config.lanes):
        blocks.append(write_figure(
            figures.draw_blocks(runs, names, "share"), "share", _("What the shortcut carries"),
            _("‖s‖ / (‖s‖ + ‖F‖) of each block: at 100 % the branch is 0. With an identity shortcut, and ReLU or "
              "pre-activation, the block is then the identity. Dotted: at first.")))
    blocks.append(write_figure(figures.draw_blocks(runs, names, "weight_norm"), "weights",
                               _("‖W[l+2]‖, the branch’s second layer"), _("Of each block. Dotted: at first.")))
    yield write_section(_("Blocks"), *blocks)


def compare_gradients(run: Frame, name: str) -> str:
    """The gradient of the first layer against the last one's, at the last step."""
    first, last = float(run.gradient[-1][0]), float(run.gradient[-1][-1])
    if last == 0:  # as where every example has got a probability of exactly 1
        return _("{net}: the last layer’s gradient is exactly 0").format(net=name)
    told = _("{net}: the first layer’s gradient is {ratio} times the last layer’s")
    return told.format(net=name, ratio=write_number(first / last, 2))


def write_settings(config: RaceConfig, names: Sequence[str], labels: Mapping[str, str]) -> str:
    """Every setting of every net; what they differ in first."""
    flat = [{**asdict(lane.net), **asdict(lane.train)} for lane in config.lanes]
    order = sorted(flat[0], key=lambda name: len({str(values[name]) for values in flat}) == 1)
    flat = [values | {"dataset": config.dataset, "seed": config.seed} for values in flat]
    rows = [[labels.get(name, name), *(write_choice(values[name], labels) for values in flat)]
            for name in (*order, "dataset", "seed")]
    return write_section(_("Settings"), write_paragraph(_("What the nets differ in stands first.")),
                         write_table([_("Setting"), *names], rows, _("Settings")))


def write_choice(value: Any, labels: Mapping[str, str]) -> str:
    return labels.get(value, value) if isinstance(value, str) else write_value(value)


def write_value(value: Any) -> str:
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "–"
    return "–" if value is None else write_number(value, 6) if isinstance(value, float) else str(value)


def write_hand(config: RaceConfig, names: Sequence[str]) -> list[str]:
    """What was done by hand on the way, a row each; nothing where nothing was."""
    rows = [(item.step, names[item.lane], f"{item.name} = {write_value(item.value)}") for item in config.changes]
    rows += [(item.step, names[item.lane], name_operation(item.operation)) for item in config.edits]
    if not rows:
        return []
    rows.sort(key=lambda row: row[0])  # of one step in the order in which they were done
    title = _("Done by hand while the nets trained")
    return [write_section(title, write_table([_("Before step"), _("Net"), _("What")], rows, title))]


def write_versions() -> str:
    """What the numbers depend on, beside the settings."""
    found = [("Python", platform.python_version()), *((name, version(name)) for name in PACKAGES),
             (_("Machine"), f"{platform.system()} {platform.machine()}")]
    return write_section(_("Versions"), write_table([_("What"), _("Version")], found, _("Versions")))


def write_files(config: RaceConfig, lanes: Sequence[LaneReport], steps: int) -> list[str]:
    """The config and the scripts, to be copied from the page."""
    title = _("The race as JSON: python -m resnet_viz export --config FILE.json reads it")
    parts = [write_details(title, config.to_json())]
    for i, lane in enumerate(lanes):
        script = make_script(config, i, steps, lane.operations, lane.recompute)
        parts.append(write_details(_("PyTorch script · {net}").format(net=lane.name), script))
    return [write_section(_("Run it again"), *parts)]


def write_details(title: str, text: str) -> str:
    name = html.escape(title, quote=True)
    return (f'<details><summary>{name}</summary><pre tabindex="0" role="region" aria-label="{name}">{html.escape(text)}'
            "</pre></details>")
