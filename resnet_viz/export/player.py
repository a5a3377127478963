"""A race as one HTML page that plays without a server: the board's own code, plotly.js, and the recording inside.

Both languages are in it, and both themes. It asks the network for nothing.
"""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from plotly.offline import get_plotlyjs

from resnet_viz.export.board import HTML, join_modules, read_style, words
from resnet_viz.records import Change, Edit, RaceConfig
from resnet_viz.text import LANGUAGES, _, call_in, write_number

CHARTS = ("loss", "accuracy", "layers", "blocks")
LIGHT = "color-scheme: light; --st-background-color: #ffffff; --st-text-color: #1b2430; --st-primary-color: #0b5cad;"
DARK = "color-scheme: dark; --st-background-color: #11161c; --st-text-color: #e6ebf0; --st-primary-color: #6cb6f5;"
STYLE = f"""
:root {{ {LIGHT} --st-font: system-ui, "Noto Sans SC", "PingFang SC", "Microsoft YaHei", sans-serif; }}
@media (prefers-color-scheme: dark) {{ :root {{ {DARK} }} }}
:root[data-theme=light] {{ {LIGHT} }}
:root[data-theme=dark] {{ {DARK} }}
body {{ margin: 0; background: var(--st-background-color); color: var(--st-text-color); font: 15px/1.55 var(--st-font); }}
main {{ max-width: 80rem; margin: 0 auto; padding: 1.25rem; }}
header {{ display: flex; flex-wrap: wrap; gap: .5rem 1.5rem; align-items: center; margin-bottom: 1.25rem; }}
header div {{ flex: 1 1 20rem; }}
h1 {{ font-size: 1.5rem; line-height: 1.25; margin: 0; }}
header p {{ margin: 0; }}
header nav {{ display: flex; gap: .5rem; }}
header button {{ padding: .35rem .75rem; border: 1px solid currentcolor; border-radius: 4px; background: transparent;
  color: inherit; font: inherit; cursor: pointer; }}
header button[aria-pressed=true] {{ background: var(--st-primary-color); border-color: var(--st-primary-color);
  color: var(--st-background-color); }}
header button:focus-visible {{ outline: 2px solid var(--st-primary-color); outline-offset: 2px; }}
@media print {{ header nav {{ display: none; }} }}
"""

Names = Callable[[], Sequence[str]]


def make_player(recording: Mapping[str, Any], names: Names, labels: Callable[[], Mapping[str, str]] = dict) -> str:
    """The page. `names` gives the lanes' names, `labels` those of settings and choices, in the language of the moment."""
    config = RaceConfig.from_json(json.dumps(recording["config"]))
    looks = {language: [{"name": name, "colour": i % 4, "dash": i >= 4}
                        for i, name in enumerate(call_in(language, names))] for language in LANGUAGES}
    texts = {language: call_in(language, write_words, config, labels) for language in LANGUAGES}
    done = sorted((*config.changes, *config.edits), key=lambda item: item.step)
    marks = [{"step": item.step, "words": {language: call_in(language, write_mark, item, names, labels)
                                           for language in LANGUAGES}} for item in done]
    film = {"recording": {**recording, "marks": marks}, "texts": texts, "looks": looks, "charts": CHARTS}
    return write_page(film)


def write_words(config: RaceConfig, labels: Callable[[], Mapping[str, str]]) -> dict[str, str]:
    """The board's words, with those that a recording needs in the place of the live ones."""
    dataset = labels().get(config.dataset, config.dataset)
    return words() | {
        "title": _("ResNet Viz: a recorded race"),
        "lead": _("{dataset}, random seed {seed}. Every number was computed as the nets trained; nothing here asks a "
                  "server.").format(dataset=dataset, seed=config.seed),
        "theme": _("Light or dark"),
        "board_label": _("Recorded race: the nets and their curves"),
        "transport": _("Player"),
        "play": _("Play"), "pause": _("Pause"),
        "step_back": _("One step back"), "step_forward": _("One step forward"),
        "speed_label": _("Speed"), "speed_auto": _("slow, then faster"),
        "measured_at": _("at step {step}"),
        "finished_note": "",
        "diverged": _("{lane} diverged at step {step}: {reason}."),
        "training_accuracy_help": _("The mean of the last five batches."),
        "held_out_accuracy_help": _("As it was measured last, every ten steps."),
    }


def write_mark(item: Change | Edit, names: Names, labels: Callable[[], Mapping[str, str]]) -> str:
    """What was done by hand, and where, in a few words."""
    what = item.operation.kind if isinstance(item, Edit) else item.name
    words = labels().get(what, what)
    if isinstance(item, Change):
        words = f"{words} = {write_change(item.value)}"
    return _("Step {step}, {net}: {what}").format(step=f"{item.step:,}", net=names()[item.lane], what=words)


def write_change(value: Any) -> str:
    """What a live setting was changed to; blocks as the chain counts them."""
    if isinstance(value, bool):
        return _("on") if value else _("off")
    if isinstance(value, tuple):
        return _(", ").join(str(block + 1) for block in value) or "–"
    return write_number(value)


def write_page(film: Mapping[str, Any]) -> str:
    """The page around a film, which stands in it as JSON: with no “<” left that could end the script."""
    content = json.dumps(film, ensure_ascii=False, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    first = film["texts"]["en"]
    languages = "".join(f'<button type="button" data-language="{name}" lang="{name.replace("_", "-")}">'
                        f"{html.escape(label)}</button>" for name, label in LANGUAGES.items())
    return "\n".join([
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n<link rel="icon" href="data:,">',
        f"<title>{html.escape(first['title'])}</title>\n<style>{STYLE}{read_style()}</style>",
        f"<script>{get_plotlyjs()}</script>\n</head>\n<body>\n<main>\n<header>",
        f'<div><h1 data-text="title">{html.escape(first["title"])}</h1><p data-text="lead"></p></div>',
        f'<nav>{languages}<button type="button" data-theme-switch data-text="theme"></button></nav>\n</header>',
        f'{HTML}\n</main>\n<script id="film" type="application/json">{content}</script>',
        f'<script type="module">{join_modules("film.js")}',
        'showFilm(document.querySelector(".rv-board"), JSON.parse(document.querySelector("#film").textContent));',
        "</script>\n</body>\n</html>\n"])
