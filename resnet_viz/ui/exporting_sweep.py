"""Taking a sweep home: its grid, its results, a report with its charts, and any of its runs."""

from __future__ import annotations

import streamlit as st

from resnet_viz.engine.sweep import Sweep
from resnet_viz.export.report import (
    write_details,
    write_figure,
    write_list,
    write_page,
    write_paragraph,
    write_section,
    write_table,
    write_versions,
)
from resnet_viz.figures.report import finish
from resnet_viz.figures.sweep import draw_lines, draw_map
from resnet_viz.store.export import write_csv, write_parquet
from resnet_viz.sweeps import RunResult
from resnet_viz.text import _, use_language, write_number
from resnet_viz.ui import exporting
from resnet_viz.ui.controls import label_fields
from resnet_viz.ui.exporting import PARQUET, WIDTH, show_file, take_run
from resnet_viz.ui.grid import describe_grid
from resnet_viz.ui.outcomes import MEASURES, Outcomes, describe_run, label_measures, take_number
from resnet_viz.ui.results import describe_trouble, find_roles

KEY = "sweep.export"


def show_export_sweep(sweep: Sweep) -> None:
    """A button that opens what can be taken home of a sweep, as far as it is."""
    with st.popover(_("Take it home"), icon=":material/download:", key=KEY), st.container(width=WIDTH):
        show_files(sweep)


@st.fragment
def show_files(sweep: Sweep) -> None:
    use_language(st.session_state.language)  # a fragment may run by itself
    st.markdown(_("**The sweep**, as far as it is when you press"))
    roles = find_roles(sweep.config)
    with st.container(horizontal=True, gap="small"):
        show_file(_("Report (HTML)"), lambda: write_report(Outcomes(sweep.config, sweep.runs, roles), sweep), "sweep.html",
                  "text/html", f"{KEY}.report", _("The charts as they stand below, and every run in a table."))
        show_file(_("Results (CSV)"), lambda: write_csv(list_results(sweep)), "sweep.csv", "text/csv", f"{KEY}.csv")
        show_file(_("Results (Parquet)"), lambda: write_parquet(list_results(sweep)), "sweep.parquet", PARQUET,
                  f"{KEY}.parquet")
        show_file(_("Grid (JSON)"), sweep.config.to_json, "grid.json", "application/json", f"{KEY}.grid",
                  _("“python -m resnet_viz sweep --config” runs it."))
    runs = [run for run in sweep.runs if run.run.race is not None]
    if not runs:
        return
    st.markdown(_("**One of its runs**"))
    chosen = st.selectbox(_("Run"), range(len(runs)), key=f"{KEY}.run",
                          format_func=lambda i: describe_run(sweep.config, runs[i].run))
    run = runs[chosen].run
    exporting.show_files(lambda: take_run(run.race, describe_run(sweep.config, run)), f"{KEY}.one")


def list_results(sweep: Sweep) -> list[RunResult]:
    return [run.result for run in sweep.runs if run.result is not None]


def write_report(outcomes: Outcomes, sweep: Sweep) -> str:
    """The sweep as one HTML page."""
    config, said = sweep.config, outcomes.say()
    parts = [write_section(_("The grid"), write_paragraph(describe_grid(config)))]
    parts += [write_section(_("What these numbers say"), write_list(said))] if said else []
    parts.append(write_section(_("Results"), *(write_chart(outcomes, panel, measure) for measure in outcomes.roles.measures
                                               for panel in outcomes.values("panel"))))
    heads = [_("Run"), *(label_measures()[name] for name in MEASURES), _("Seconds")]
    rows = [[describe_run(config, run.run), *(write_measure(run.result, name) for name in MEASURES),
             f"{run.result.seconds:.1f}"] for run in sweep.runs if run.result is not None]
    trouble = [words for run in sweep.runs if (words := describe_trouble(config, run))]
    parts.append(write_section(_("The runs"), write_table(heads, rows, _("The runs")), write_list(trouble)))
    parts += [write_versions(), write_section(_("Run it again"), write_details(_("Grid (JSON)"), config.to_json()))]
    return write_page(" · ".join(["ResNet Viz", _("Sweep")]), parts)


def write_measure(result: RunResult, measure: str) -> str:
    value = take_number(result, measure)
    return "–" if value is None else f"{value:.1f} %" if measure.endswith("error") else write_number(value, 4)


def write_chart(outcomes: Outcomes, panel: object, measure: str) -> str:
    """One chart of the page, as the reader has arranged it."""
    what = outcomes.measure(measure)
    title = " · ".join(filter(None, [what.title, outcomes.name("panel", panel)]))
    if outcomes.roles.kind == "lines":
        figure = draw_lines(outcomes.lines(panel, measure), outcomes.scale("x"), what)
    else:
        figure = draw_map(outcomes.cells(panel, measure), outcomes.scale("x"), outcomes.scale("colour"), what)
    name = f"{measure}-{outcomes.values('panel').index(panel)}"
    words = _("Against: {setting}. Points are single runs, larger marks their mean over the seeds, with one standard "
              "deviation.") if outcomes.roles.kind == "lines" else _("Against: {setting}. Each cell is the mean over the "
                                                                     "seeds that did not diverge.")
    return write_figure(finish(figure, 380, "closest"), name, title, words.format(setting=label_fields()[outcomes.roles.x]))
