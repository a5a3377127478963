"""The runs that have been trained: browse, compare, race again, take home, delete."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Iterable
from typing import Any

import streamlit as st

from resnet_viz.engine.hub import hub
from resnet_viz.figures.runs import MOST, Curve, draw_curves
from resnet_viz.records import ConfigError, RaceConfig
from resnet_viz.store.export import write_csv, write_parquet
from resnet_viz.store.runs import Store
from resnet_viz.sweeps import SETTINGS, RunResult, hash_numbers, list_settings
from resnet_viz.text import _, write_number
from resnet_viz.ui.bar import show_share
from resnet_viz.ui.charts import show_chart
from resnet_viz.ui.controls import label_fields
from resnet_viz.ui.exporting import show_export_run
from resnet_viz.ui.grid import name_value
from resnet_viz.ui.metrics import label_measure, list_measures, style_table, take_shown, write_measure
from resnet_viz.ui.session import go_to, show_branch, write_url
from resnet_viz.ui.shelf import (
    KEY,
    find_differences,
    make_pair,
    make_twins,
    name_runs,
    read_filters,
    read_selection,
    show_filters,
    write_filters,
    write_selection,
)
from resnet_viz.ui.words import sentence

PAGE = "runs"
DELETE_VARIABLE = "RESNET_VIZ_DELETE"
LIMIT = 500  # rows on the page; what is exported has no limit
NUMERIC = ("depth", "lr", "seed", "steps", "momentum", "weight_decay", "batch_size")
FIRST = ("family", "depth", "shortcut", "norm", "init", "seed")  # columns before the numbers
COLUMNS = ("dataset", "width", "lr", "steps")  # always shown behind them


def show_page() -> None:
    """The whole page."""
    st.title(_("Runs"), anchor=False)
    st.markdown(_("Every run of every sweep is kept. Select some to compare them or to race them again; take home what the "
                  "filters leave."))
    try:
        show_store(hub.call(hub.open_store()))
    except ConfigError as error:
        st.error(sentence(error), icon=":material/database:")


def show_store(store: Store) -> None:
    """The runs of a database. Raises `ConfigError` where it cannot be read."""
    where = open_filters()
    with st.sidebar:
        try:
            where = st.session_state[KEY + "where"] = show_filters(where, name_codes(store))
        except ConfigError as error:
            st.error(sentence(error), icon=":material/error:")
    for error in st.session_state.get(KEY + "complaints", ()):
        st.error(sentence(error), icon=":material/link_off:")
    runs, count = store.browse(where, LIMIT), store.count(where)
    if not runs:
        show_nothing(store)
        write_url(write_filters(where))
        return
    st.markdown(_("{count} runs, the newest first.").format(count=f"{count:,}") if count <= LIMIT else
                _("The newest {shown} of {count} runs.").format(shown=LIMIT, count=f"{count:,}"))
    selected = show_table(runs)
    names = write_selection(run.identity for run in selected)
    shared = write_url(write_filters(where) | ({"selected": names} if names else {}))
    show_actions(store, where, selected, shared)
    if selected:
        show_comparison(store, selected)


def open_filters() -> dict[str, Any]:
    """The session's filters; on the page's first run the link's."""
    state = st.session_state
    if KEY + "where" not in state:
        query = st.query_params.to_dict()
        state[KEY + "where"], state[KEY + "complaints"] = read_filters(query)
        state[KEY + "selected"] = query.get("selected", "")
    came, state["page"] = state.get("page") != PAGE, PAGE
    if came:  # the widgets are set anew
        widgets = tuple(KEY + name for name in ("filter.", "more", "outcome", "code"))
        for name in [name for name in state if name.startswith(widgets)]:
            del state[name]
    return state[KEY + "where"]


def name_codes(store: Store) -> dict[str, str]:
    """The versions of the code that have made runs, and this server's."""
    this = find_this()
    names = {this: _("This version ({code})").format(code=this[:8])}
    return names | {run.code: run.code[:8] for run in store.browse(limit=LIMIT) if run.code != this}


@functools.cache
def find_this() -> str:
    return hash_numbers()


def show_nothing(store: Store) -> None:
    if store.count():
        st.info(_("No run passes these filters."), icon=":material/filter_alt_off:")
        return
    st.info(_("There are no runs yet: a sweep makes them."), icon=":material/inbox:")
    if st.button(_("Go to the sweep"), key=KEY + "sweep", icon=":material/grid_on:"):
        go_to("sweep")


# ---------------------------------------------------------------------------------------------------- the table


def show_table(runs: list[RunResult]) -> list[RunResult]:
    """A row per run; those that are selected."""
    identities = [run.identity for run in runs]
    kept = read_selection(st.session_state.get(KEY + "selected", ""), runs)
    shown = hashlib.sha256(",".join(identities).encode()).hexdigest()[:12]
    titles, measures = label_fields(), list_measures(run.race for run in runs)
    others = [name for name in list_columns(runs) if name not in FIRST]
    rows = [write_cells(run, FIRST) | {label_measure(*column): take_shown(run, *column) for column in measures}
            | {_("Diverged"): run.diverged} | write_cells(run, others)
            | {_("Seconds"): run.seconds, _("Finished"): run.finished[:19].replace("T", " "), _("Version"): run.code[:8]}
            for run in runs]
    formats = {_("Seconds"): st.column_config.NumberColumn(format="%.1f"),
               titles["seed"]: st.column_config.NumberColumn(format="%d")}
    event = st.dataframe(
        style_table(rows, measures, [titles["lr"]]), column_config=formats, hide_index=True, on_select="rerun",
        selection_mode="multi-row", placeholder="–",
        key=f"{KEY}table.{shown}", alt=_("A row per stored run: its settings, errors and losses. Rows can be selected."),
        selection_default={"selection": {"rows": [identities.index(identity) for identity in kept]}} if kept else None)
    chosen = [runs[row] for row in sorted(event["selection"]["rows"]) if row < len(runs)]
    st.session_state[KEY + "selected"] = write_selection(run.identity for run in chosen)
    return chosen


def write_cells(run: RunResult, names: Iterable[str]) -> dict[str, Any]:
    """Settings as a table shows them: what is a number stays one, to be sorted."""
    values, titles = list_settings(run.race), label_fields()
    return {titles[name]: values[name] if name in NUMERIC else name_value(name, values[name]) for name in names}


def list_columns(runs: list[RunResult]) -> list[str]:
    """The settings worth a column: the usual ones, and those in which these runs differ from the default."""
    usual = list_settings(RaceConfig(lanes=RaceConfig().lanes[1:]))
    return [name for name in SETTINGS
            if name in COLUMNS or any(list_settings(run.race)[name] != usual[name] for run in runs)]


# ---------------------------------------------------------------------------------------------------- what can be done


def show_actions(store: Store, where: dict[str, Any], selected: list[RunResult], shared: dict[str, str]) -> None:
    """Race again, delete, take home, share."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key=KEY + "actions"):
        asked = st.button(_("Open in the race"), key=KEY + "race", icon=":material/flag:",
                          disabled=len(selected) not in (1, 2),
                          help=_("One run: beside its twin, the same net without or with shortcuts. Two runs: beside each "
                                 "other, if they differ in one setting."))
        if may_delete():
            show_delete(store, selected)
        for name, write, mime in (("csv", write_csv, "text/csv"),
                                  ("parquet", write_parquet, "application/vnd.apache.parquet")):
            st.download_button(_("All filtered runs ({format})").format(format={"csv": "CSV", "parquet": "Parquet"}[name]),
                               lambda write=write: write(store.browse(where, limit=None)), f"resnet-viz-runs.{name}", mime,
                               key=KEY + name, icon=":material/download:", on_click="ignore")
        if len(selected) == 1:
            show_export_run(selected[0].race, name_runs(selected)[0])
        show_share(shared)
    if asked:
        open_race(selected)
    if not selected:
        st.caption(_("Select rows at their left edge."))
    if any(run.code != find_this() for run in selected):
        st.caption(_("Some of these runs were made by another version of the code: raced again, they may give other "
                     "numbers."))


def open_race(selected: list[RunResult]) -> None:
    """Show the race page with these runs as its lanes."""
    try:
        races = [run.race for run in selected]
        race = hub.call(hub.make(make_twins(races[0]) if len(races) == 1 else make_pair(*races)))
    except ConfigError as error:
        st.error(sentence(error), icon=":material/error:")
        return
    show_branch(race)


def may_delete() -> bool:
    """Only where whoever runs the server says so: the runs are everybody's, and a class would lose them by one click."""
    return os.environ.get(DELETE_VARIABLE) == "1"


def show_delete(store: Store, selected: list[RunResult]) -> None:
    """Delete, after a second thought."""
    with st.popover(_("Delete"), icon=":material/delete:", disabled=not selected, key=KEY + "delete"):
        st.markdown(_("**{count} runs are deleted for good**, for all who use this database. A sweep that needs them "
                      "trains them again.").format(count=len(selected)))
        st.markdown("\n".join(f"- {name}" for name in name_runs(selected)[:20]))
        st.button(_("Delete for good"), key=KEY + "delete.yes", type="primary", on_click=delete,
                  args=(store, [run.identity for run in selected]))


def delete(store: Store, identities: list[str]) -> None:
    if not may_delete():
        return
    try:
        gone = store.delete(identities)
        st.session_state[KEY + "selected"] = ""
        st.toast(_("{count} runs were deleted.").format(count=gone))
    except ConfigError as error:
        st.session_state[KEY + "complaints"] = [error]


# ---------------------------------------------------------------------------------------------------- comparison


def show_comparison(store: Store, selected: list[RunResult]) -> None:
    """The selected runs' curves over each other, and the settings in which they differ."""
    st.header(_("The selected runs"), anchor=False)
    if len(selected) > MOST:
        st.caption(_("The first {count} of those selected.").format(count=MOST))
    runs = selected[:MOST]
    names = name_runs(runs)
    show_differences(runs, names)
    found = store.find([run.identity for run in runs], curves=True)
    charts = {"points.loss": _("Training loss"), "probes.loss": _("Held-out loss"),
              "points.accuracy": _("Training accuracy"), "probes.accuracy": _("Held-out accuracy")}
    for pair in (list(charts)[:2], list(charts)[2:]):
        for column, name in zip(st.columns(2, gap="large"), pair, strict=True):
            with column:
                show_curves(name, charts[name], [(label, found[run.identity])
                                                 for label, run in zip(names, runs, strict=True) if run.identity in found])
    st.caption(_("Training: on each batch, before its step; of many steps the mean of neighbours. Held-out: from time to "
                 "time, on all that is held out."))


def show_curves(name: str, title: str, runs: list[tuple[str, RunResult]]) -> None:
    part, column = name.split(".")
    curves = [Curve(label, run.curves.get(part, {}).get("step", []), run.curves.get(part, {}).get(column, []))
              for label, run in runs]
    rows = [{"run": curve.name, "step": step, column: value}
            for curve in curves for step, value in zip(curve.steps, curve.values, strict=True)]
    ends = [_("{net}: {value} at the end").format(net=curve.name, value=write_number(curve.values[-1]))
            for curve in curves if len(curve.values) and curve.values[-1] is not None]
    st.markdown(f"**{title}**")
    show_chart(draw_curves(curves, title, column == "accuracy"), f"runs-{part}-{column}",
               _(". ").join([title, _("; ").join(ends)]), rows)


def show_differences(runs: list[RunResult], names: list[str]) -> None:
    """A table: what differs, and what came out."""
    titles = label_fields()
    lines = [" | ".join(["", *names]), " | ".join(["---"] * (len(names) + 1))]
    for setting in find_differences(runs):
        values = [name_value(setting, list_settings(run.race)[setting]) for run in runs]
        lines.append(" | ".join([titles[setting], *values]))
    for measure, statistics in list_measures(run.race for run in runs):
        words = [write_measure(run, measure, statistics) for run in runs]
        lines.append(" | ".join([label_measure(measure, statistics), *words]))
    if any(run.diverged for run in runs):
        lines.append(" | ".join([_("Diverged at step"), *(str(run.taken) if run.diverged else "–" for run in runs)]))
    st.markdown("\n".join(f"| {line} |" for line in lines))
    if len(runs) > 1 and not find_differences(runs):
        st.caption(_("They differ in no setting: another version of the code made them."))
