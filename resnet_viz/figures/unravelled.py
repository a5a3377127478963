"""A residual net of few blocks unravelled, as an SVG: one path on the net, all of them by length, and what they add up to.

The page lights it up path by path: parts that belong to path i carry `data-path="i"`, those of block k `data-block="k"`
and `data-way`; the classes `lit`, `now` and `on` say what is lit. `assets/unravelled.css` gives them their looks.
"""

from __future__ import annotations

from html import escape

import numpy as np

from resnet_viz.text import _, percent_sign

WIDTH = 720
LINE, TOP = 78, 0  # y of the line of branches, and of what pulls the shortcuts' arcs up
LEAD = 64  # of the line, before the first block and behind the last
STEP = 15  # from one path to the next that is equally long
BARS = 84  # height of the bars below
FAINTEST = 0.3  # opacity of the path with the smallest norm
SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def draw_unravelled(takes: np.ndarray, at: int, norms: np.ndarray, lacking: np.ndarray, colour: str) -> str:
    """Paths `takes` (P, K) bool, those up to `at` lit; `norms` and `lacking` (P,) as `measure_each_path` returns them."""
    middle = LINE + 60 + STEP * int(np.bincount(takes.sum(1)).max())
    height = middle + BARS + 110
    parts = [*_draw_net(takes[at], takes.all(0)), *_draw_lengths(takes, at, norms, middle),
             *_draw_sum(at, lacking, middle + 84)]
    return (f'<svg xmlns="http://www.w3.org/2000/svg" class="rv-unravelled" viewBox="0 0 {WIDTH} {height}" '
            f'style="--rv-colour:{colour}">{"".join(parts)}</svg>')


def _text(x: float, y: float, words: str, looks: str = "") -> str:
    return f'<text class="{looks}" x="{x:.1f}" y="{y:.1f}">{escape(words)}</text>'


def _rect(x: float, y: float, width: float, height: float, more: str = "") -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" {more}/>'


def _mark_path(looks: str, i: int, at: int) -> str:
    return f'class="{looks}{" lit" * (i <= at)}{" now" * (i == at)}" data-path="{i}"'


def _mark_way(looks: str, block: int, way: str, on: bool) -> str:
    return f'class="{looks}{" on" * on}" data-block="{block}" data-way="{way}"'


def _draw_net(take: np.ndarray, cut: np.ndarray) -> list[str]:
    """The chain of blocks: every way in grey, and over it in colour, those that are on. No path takes a cut shortcut."""
    pitch = (WIDTH - 2 * LEAD) / len(take)
    under, over, boxes = [], [], []
    for k, branch in enumerate(take.tolist()):
        x, end, centre = (LEAD + pitch * part for part in (k, k + 1, k + 0.5))
        ways = {"shortcut": f"M{x:.1f} {LINE}C{x:.1f} {TOP} {end:.1f} {TOP} {end:.1f} {LINE}",
                "branch": f"M{x:.1f} {LINE}H{end:.1f}"}
        if cut[k]:
            del ways["shortcut"]
        for way, line in ways.items():
            mark = _mark_way("rv-take", k, way, branch == (way == "branch"))
            under.append(f'<path class="rv-way" d="{line}"/>')
            over.append(f'<path {mark} style="--rv-turn:{k}" pathLength="1" d="{line}"/>')
        box = _rect(centre - 21, LINE - 15, 42, 30, 'rx="4"')
        label = _text(centre, LINE + 5, "F" + str(k + 1).translate(SUBSCRIPTS))
        boxes.append(f'<g {_mark_way("rv-box", k, "branch", branch)}>{box}{label}</g>')
        if not cut[k]:
            boxes.append(f'<circle class="rv-sum" cx="{end:.1f}" cy="{LINE}" r="9"/>'
                         f'<path class="rv-plus" d="M{end - 5:.1f} {LINE}h10m-5 -5v10"/>')
    ends = [f'<path class="rv-take on" d="M{x} {LINE}h20"/>' for x in (LEAD - 20, WIDTH - LEAD)]
    names = [_text(LEAD - 26, LINE + 5, "a[1]", "rv-end"),
             _text(WIDTH - LEAD + 26, LINE + 5, f"a[{2 * len(take) + 1}]", "rv-start")]
    return [*under, *ends, *over, *boxes, *names]


def _draw_lengths(takes: np.ndarray, at: int, norms: np.ndarray, bottom: int) -> list[str]:
    """A small sign for each path, a square for each branch on it, piled up by length; the fuller, the larger its norm."""
    blocks = takes.shape[1]
    pitch = WIDTH / (blocks + 1)
    cell = min(20.0, (pitch - 14) / blocks)
    parts, piled = [], [0] * (blocks + 1)
    for i, (take, strength) in enumerate(zip(takes, _grade(norms).tolist(), strict=True)):
        k = int(take.sum())
        piled[k] += 1
        left, y = pitch * (k + 0.5) - cell * blocks / 2, bottom - STEP * piled[k]
        frame = _rect(left - 3, y - 1, cell * blocks + 6, 15, 'rx="3" class="rv-frame"')
        squares = [_rect(left + cell * block + 1.5, y + 2, cell - 3, 9, 'rx="1.5"') for block in np.flatnonzero(take)]
        parts.append(f'<g {_mark_path("rv-path", i, at)} style="--rv-strength:{strength:.3f}">{frame}'
                     f'<path d="M{left:.1f} {y + 6.5}h{cell * blocks:.1f}"/>{"".join(squares)}</g>')
    for k, count in enumerate(piled):
        x = pitch * (k + 0.5)
        parts += [_text(x, bottom + 22, str(k)), _text(x, bottom - STEP * count - 8, f"× {count}")]
    return [*parts, _text(WIDTH / 2, bottom + 46, _("Length: branches on the way"))]


def _grade(norms: np.ndarray) -> np.ndarray:
    """Opacities from `FAINTEST` to 1, by the logarithm of the norms (P,); a path without any gradient is the faintest."""
    logs = np.log10(np.where(norms > 0, norms, np.nan))
    low, high = (np.nanmin(logs), np.nanmax(logs)) if np.isfinite(logs).any() else (0.0, 0.0)
    share = (logs - low) / (high - low) if high > low else np.zeros(len(norms))
    return FAINTEST + (1 - FAINTEST) * np.nan_to_num(share)


def _draw_sum(at: int, lacking: np.ndarray, top: int) -> list[str]:
    """A bar for each path: how far the sum up to it is from the whole gradient, as a share of that gradient's norm."""
    left, right, bottom = LEAD, WIDTH - 16, top + 12 + BARS
    pitch, high = (right - left) / len(lacking), max(1.0, float(lacking.max(initial=0)))
    parts = [_text(WIDTH / 2, top, _("What the sum of the lit paths lacks of the whole gradient"))]
    for share in (0, 1):
        y = bottom - BARS * share / high
        parts += [f'<path class="rv-way" d="M{left} {y:.1f}H{right}"/>',
                  _text(left - 8, y + 5, f"{100 * share}{percent_sign()}", "rv-end")]
    for i, value in enumerate(lacking.tolist()):
        tall = max(1.0, BARS * value / high)
        parts.append(_rect(left + pitch * (i + 0.15), bottom - tall, 0.7 * pitch, tall, _mark_path("rv-bar", i, at)))
    return parts


def make_picture(svg: str, css: str) -> str:
    """The SVG as a file of its own, on white, with its looks in it."""
    head, rest = svg.split(">", 1)
    return f'{head}><style>{css}</style><rect width="100%" height="100%" fill="#FFFFFF"/>{rest}'
