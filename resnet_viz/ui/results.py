"""The charts of a sweep, what they say, and its runs in a table; which setting stands where is the reader's choice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from resnet_viz.engine.sweep import RunProgress, Sweep
from resnet_viz.figures.sweep import draw_lines, draw_map
from resnet_viz.records import ConfigError
from resnet_viz.sweeps import SweepConfig
from resnet_viz.text import _
from resnet_viz.ui.charts import show_chart
from resnet_viz.ui.controls import label_fields
from resnet_viz.ui.grid import name_value
from resnet_viz.ui.metrics import MEASURES, STATISTICS, label_measure, list_measures, style_table, take_shown, uses_norm
from resnet_viz.ui.outcomes import KINDS, Outcomes, Roles, choose_roles, describe_run
from resnet_viz.ui.words import sentence

KEY = "sweep."
MOST_NOTES = 12  # sentences about single runs

# ---------------------------------------------------------------------------------------------------- which stands where


def read_asked(config: SweepConfig, query: dict[str, str], errors: list[ConfigError]) -> dict[str, Any]:
    """The charts' roles that a link asks for; what cannot be is added to `errors`."""
    asked: dict[str, Any] = {}
    for name, word in (("x", "x"), ("colour", "colour"), ("kind", "chart"), ("measures", "show"),
                       ("statistics", "statistics")):
        if word in query:
            value = tuple(query[word].split(",")) if name == "measures" else query[word]
            try:
                choose_roles(config, **{name: value})
                asked[name] = value
            except ConfigError as error:
                errors.append(error)
    return asked


def find_roles(config: SweepConfig) -> Roles:
    """The roles of the session, as far as this grid has them."""
    asked, kept = st.session_state[KEY + "asked"], {}
    for name, value in asked.items():
        try:
            choose_roles(config, **{name: value})
            kept[name] = value
        except ConfigError:
            continue
    if kept.get("colour") == kept.get("x"):
        kept.pop("colour", None)
    return choose_roles(config, **kept)


def write_asked(config: SweepConfig) -> dict[str, str]:
    """The charts' part of the URL: what is not usual."""
    roles, usual = find_roles(config), choose_roles(config)
    query, plain = ({"x": found.x, "colour": found.colour, "chart": found.kind, "show": ",".join(found.measures),
                     "statistics": found.statistics} for found in (roles, usual))
    return {name: value for name, value in query.items() if value is not None and value != plain[name]}


def ask(name: str, key: str) -> None:
    """A callback: take over a choice of the charts' widgets."""
    value = st.session_state[key]
    value = tuple(measure for measure in MEASURES if measure in value) if name == "measures" else value
    st.session_state[KEY + "asked"] = st.session_state[KEY + "asked"] | {name: value}


def choose(name: str, value: Any, widget: Callable, *args: Any, **kwargs: Any) -> None:
    key = f"{KEY}{name}"
    st.session_state[key] = list(value) if isinstance(value, tuple) else value
    widget(*args, key=key, on_change=ask, args=(name, key), **kwargs)


def show_results(sweep: Sweep) -> None:
    """The charts, what they say, and the runs."""
    roles = find_roles(sweep.config)
    show_roles(sweep.config, roles)
    outcomes = Outcomes(sweep.config, sweep.runs, roles)
    show_charts(outcomes)
    said = outcomes.say()
    if said:
        st.header(_("What these numbers say"), anchor=False)
        st.markdown("\n".join(f"- {words}" for words in said))
        if len(outcomes.axes.get("seed", ())) == 1:
            st.caption(_("Of one seed only: another may say otherwise."))
    show_notes(sweep.config, sweep.runs)
    show_runs(sweep)


def show_roles(config: SweepConfig, roles: Roles) -> None:
    """Which setting stands where, and what is drawn."""
    names = [axis.name for axis in config.axes if axis.name != "seed"]
    titles, kinds = label_fields(), {"lines": _("Lines"), "map": _("Heat map")}
    statistics = {"stored": _("Stored"), "recomputed": _("Recomputed")}
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium", key=KEY + "roles"):
        if len(names) > 1:
            choose("x", roles.x, st.selectbox, _("Along the axis"), names, format_func=titles.get, width=190)
            rest = [name for name in names if name != roles.x]
            choose("colour", roles.colour, st.selectbox, _("Down") if roles.kind == "map" else _("In colour"), rest,
                   format_func=titles.get, width=190)
            choose("kind", roles.kind, st.segmented_control, _("Chart"), KINDS, format_func=kinds.get, required=True)
        choose("measures", roles.measures, st.pills, _("What is drawn"), MEASURES, format_func=label_measure,
               selection_mode="multi")
        if uses_norm(run.race for run in config.list_runs() if run.race is not None):
            choose("statistics", roles.statistics, st.segmented_control, _("BatchNorm’s statistics"), STATISTICS,
                   format_func=statistics.get, required=True,
                   help=_("Stored: a running mean over the steps, as training leaves it. It lags behind the weights: where "
                          "these move fast, as in deep plain nets, errors may be much larger. Recomputed: of the whole "
                          "training part, at the last weights."))


def show_charts(outcomes: Outcomes) -> None:
    """A chart for each number drawn, and for each value of the third axis; two beside each other."""
    charts = [(panel, measure) for measure in outcomes.roles.measures for panel in outcomes.values("panel")]
    for i in range(0, len(charts), 2):
        for column, (panel, measure) in zip(st.columns(2, gap="large"), charts[i : i + 2], strict=False):
            with column:
                show_one(outcomes, panel, measure)
    st.caption(_("Dotted: guessing. Points are single runs, the larger marks their mean over the seeds, with one standard "
                 "deviation; × marks a run that diverged, which the mean leaves out.")
               if outcomes.roles.kind == "lines" else
               _("Each cell is the mean over the seeds that did not diverge. The darker, the worse; the darkest is "
                 "guessing."))
    if outcomes.statistics is not None:
        words = {"stored": _("BatchNorm normalises here with its stored statistics. Where the weights move fast these lag "
                             "behind, and the errors may be much larger than with recomputed ones."),
                 "recomputed": _("BatchNorm normalises here with statistics recomputed on the whole training part, at the "
                                 "last weights. Runs that were stored before these were measured have none.")}
        st.caption(words[outcomes.statistics])


def show_one(outcomes: Outcomes, panel: Any, measure: str) -> None:
    """One chart, of this value of the third axis."""
    what = outcomes.measure(measure)
    title = " · ".join(filter(None, [what.title, outcomes.name("panel", panel)]))
    st.markdown(f"**{title}**")
    if outcomes.roles.kind == "lines":
        lines = outcomes.lines(panel, measure)
        figure = draw_lines(lines, outcomes.scale("x"), what)
        count = sum(len(spots) for line in lines for spots in line.runs)
    else:
        cells = outcomes.cells(panel, measure)
        figure = draw_map(cells, outcomes.scale("x"), outcomes.scale("colour"), what)
        count = sum(len(spots) for row in cells for spots in row)
    alt = _("{title} against {setting}: {count} runs so far. What they say stands below the charts.").format(
        title=title, setting=label_fields()[outcomes.roles.x], count=count)
    key = f"sweep-{measure}-{outcomes.values('panel').index(panel)}"
    show_chart(figure, key, alt, outcomes.rows(measure))


# ---------------------------------------------------------------------------------------------------- runs


def show_notes(config: SweepConfig, runs: list[RunProgress]) -> None:
    """In words: each run that cannot be, that failed, or that diverged."""
    notes = [words for run in runs if (words := describe_trouble(config, run))]
    if notes:
        st.header(_("Runs that come to nothing"), anchor=False)
        st.markdown("\n".join(f"- {words}" for words in notes[:MOST_NOTES]))
        if len(notes) > MOST_NOTES:
            st.caption(_("And {count} more.").format(count=len(notes) - MOST_NOTES))


def describe_trouble(config: SweepConfig, run: RunProgress) -> str:
    place = describe_run(config, run.run)
    if run.error is not None:
        words = _("Impossible, {place}: {reason}") if run.state == "impossible" else _("Failed, {place}: {reason}")
        return words.format(place=place, reason=sentence(run.error))
    return _("Diverged at step {step}, {place}").format(step=run.step, place=place) if run.state == "diverged" else ""


def label_states() -> dict[str, str]:
    return {"waiting": _("waiting"), "running": _("running"), "finished": _("finished"), "diverged": _("diverged"),
            "failed": _("failed"), "impossible": _("impossible"), "cancelled": _("cancelled")}


def show_runs(sweep: Sweep) -> None:
    """All runs in a table."""
    st.header(_("The runs"), anchor=False)
    states, titles, rows = label_states(), label_fields(), []
    columns = list_measures(run.run.race for run in sweep.runs if run.run.race is not None)
    for run in sweep.runs:
        state = states[run.state] + (_(" (known already)") if run.reused else "")
        numbers = {label_measure(*column): take_shown(run.result, *column) if run.result else None for column in columns}
        rows.append({titles[axis.name]: name_value(axis.name, value)
                     for axis, value in zip(sweep.config.axes, run.run.place, strict=True)}
                    | {_("State"): state, _("Step"): run.step} | numbers
                    | {_("Seconds"): run.result.seconds if run.result else None,
                       _("Why"): sentence(run.error) if run.error else ""})
    formats = {_("Seconds"): st.column_config.NumberColumn(format="%.1f")}
    st.dataframe(style_table(rows, columns), column_config=formats, hide_index=True, key=KEY + "table", placeholder="–",
                 alt=_("A row per run: its place on the grid, its state, its errors and losses."))
