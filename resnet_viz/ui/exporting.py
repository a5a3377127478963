"""Taking a run home: its config, script, weights, frames and report. One place, the same on every page that has nets.

Nothing is computed before it is asked for: the files are made when their button is pressed, and what a run has not
recorded is trained when somebody wants the whole run.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import streamlit as st

from resnet_viz.engine.hub import hub
from resnet_viz.engine.jobs import Job
from resnet_viz.engine.race import Race
from resnet_viz.engine.replay import LaneReplay
from resnet_viz.export.frames import make_table, write_csv, write_parquet
from resnet_viz.export.player import make_player
from resnet_viz.export.recording import make_recording
from resnet_viz.export.report import LaneReport, make_report
from resnet_viz.export.script import make_script
from resnet_viz.records import WEIGHT_OPERATIONS, Operation, RaceConfig, State, join_frames
from resnet_viz.text import _, call_in, get_language, use_language
from resnet_viz.ui.controls import label_fields, label_options
from resnet_viz.ui.progress import follow_job
from resnet_viz.ui.subject import Subject

WIDTH = 480  # pixels, so that the popover does not jump while its words change
PARQUET = "application/vnd.apache.parquet"


@dataclass(frozen=True, eq=False)
class Taken:
    """What is taken home: the lanes of `config`, after `steps` steps, and `operations` on each of them.

    `name` gives the lanes' names, in the language of the moment: a player speaks two. `states` brings the lanes' states,
    of which the weights are saved; None where the run is known by its config alone.
    """

    config: RaceConfig
    name: Callable[[], Sequence[str]]
    steps: int
    states: Callable[[], Sequence[State]] | None = None
    operations: Sequence[Sequence[Operation]] = ()
    recompute: bool = False

    @property
    def names(self) -> Sequence[str]:
        return self.name()

    def operations_of(self, lane: int) -> tuple[Operation, ...]:
        return tuple(self.operations[lane]) if self.operations else ()


def show_export(take: Callable[[], Taken], key: str = "export") -> None:
    """A button that opens what can be taken home. `take` says what that is, when a file is asked for."""
    with st.popover(_("Take it home"), icon=":material/download:", key=key), st.container(width=WIDTH):
        show_files(take, key)


@st.fragment
def show_files(take: Callable[[], Taken], key: str) -> None:
    use_language(st.session_state.language)  # a fragment may run by itself
    taken, lane = take(), 0
    names = taken.names
    if len(names) > 1:
        lane = st.selectbox(_("Net"), range(len(names)), format_func=names.__getitem__, key=f"{key}.lane")
    live = taken.states is not None
    if live:
        st.markdown(_("**This net**, as it stands when you press"))
    with st.container(horizontal=True, gap="small"):
        show_file(_("PyTorch script"), lambda: write_script(take(), lane), f"net{lane}.py", "text/x-python",
                  f"{key}.script",
                  _("Trains the net again without this app, to the same bits, in under 120 lines that can be read."))
        if live:
            show_weights(lambda: save_weights(take(), lane), lane, key)
        else:
            show_config(take, key)
    if live:
        st.markdown(_("**The whole run**"))
        show_config(take, key)
    show_whole(take, lane, key)


def show_config(take: Callable[[], Taken], key: str) -> None:
    def write() -> str:
        return take().config.to_json()  # as the race stands when the button is pressed

    show_file(_("Config (JSON)"), write, "race.json", "application/json", f"{key}.config",
              _("All that determines the numbers. “python -m resnet_viz export --config” reads it."))


def show_weights(make: Callable[[], bytes], lane: int, key: str) -> None:
    show_file(_("Weights"), make, f"net{lane}.safetensors", "application/octet-stream", f"{key}.weights",
              _("safetensors: names, shapes and numbers."))


def show_file(label: str, make: Callable[[], Any], name: str, mime: str, key: str, words: str | None = None) -> None:
    """A button that makes a file when it is pressed, in the session's language."""
    st.download_button(label, functools.partial(call_in, get_language(), make), f"resnet-viz-{name}", mime, key=key,
                       help=words, icon=":material/download:", on_click="ignore")


def show_whole(take: Callable[[], Taken], lane: int, key: str) -> None:
    """Report and frames: what is not recorded is trained for them."""
    now, (config, steps) = take(), st.session_state.get(f"{key}.prepared", (None, 0))
    asked = ("replay", config, steps)
    job = hub.jobs.get(asked) if config == now.config.until(steps) else None
    if job is None or job.state != "running":
        why = _("Report and frames hold every step. What a live race has not recorded is trained in the background, to the "
                "same bits.")
        label = _("Prepare report and frames")
        if now.states is None:
            why = _("Of a stored run there are the curves and the end. For its weights, report and frames it is trained "
                    "once more in the background, to the same bits.")
            label = _("Prepare weights, report and frames")
        st.caption(why)
        st.button(label, key=f"{key}.prepare", icon=":material/replay:", on_click=prepare, args=(take, key))
    if job is not None:
        taken = replace(now, config=config, steps=steps)
        follow_job(asked, f"{key}.replay", lambda job: show_replayed(taken, lane, job, key))


def prepare(take: Callable[[], Taken], key: str) -> None:
    """Train what is to be taken once more; a race that has not begun has nothing to show."""
    taken = take()
    if taken.steps == 0:
        st.toast(_("Nothing has been trained yet: press Play first."))
        return
    st.session_state[f"{key}.prepared"] = config, steps = taken.config.until(taken.steps), taken.steps
    hub.call(hub.replay(config, steps))


def show_replayed(taken: Taken, lane: int, job: Job, key: str) -> None:
    if job.state != "done":
        return
    st.markdown(_("After {steps} steps:").format(steps=f"{taken.steps:,}"))
    with st.container(horizontal=True, gap="small"):
        show_file(_("Report (HTML)"), lambda: write_report(taken, job.results), "report.html", "text/html", f"{key}.report",
                  _("Figures, numbers, settings and scripts on one page that opens without a network."))
        show_file(_("Player (HTML)"), lambda: write_player(taken, job.results), "player.html", "text/html", f"{key}.player",
                  _("The whole run as a film, on one page that plays and scrubs without a server or a network."))
        for name, write, mime in (("csv", write_csv, "text/csv"), ("parquet", write_parquet, PARQUET)):
            label = _("Frames ({format})").format(format={"csv": "CSV", "parquet": "Parquet"}[name])
            show_file(label, lambda write=write: write(make_frames(taken, job.results)), f"frames.{name}", mime,
                      f"{key}.{name}", _("A row per step and net: loss, accuracy, the gradient of every layer."))
        if taken.states is None:
            show_weights(lambda: job.results[lane].weights, lane, key)


# ---------------------------------------------------------------------------------------------------- the files


def write_script(taken: Taken, lane: int) -> str:
    """Of a race that has not begun: the run that it is set to."""
    return make_script(taken.config, lane, taken.steps or None, taken.operations_of(lane), taken.recompute)


def save_weights(taken: Taken, lane: int) -> bytes:
    """The lane's weights, those operated on among them. A dropped branch or a cut shortcut is no weight."""
    state = taken.states()[lane]
    operations = [item for item in taken.operations_of(lane) if item.kind in WEIGHT_OPERATIONS]
    if operations:
        state = hub.call(hub.run("experiments.operations.edit_state", state, operations))
    return hub.call(hub.run("experiments.files.save_weights", state))


def make_frames(taken: Taken, replays: Sequence[LaneReplay]) -> Any:
    return make_table([replay.frame for replay in replays], taken.names)


def write_player(taken: Taken, replays: Sequence[LaneReplay]) -> str:
    runs = [replay.frame if replay.look is None else join_frames([replay.frame, replay.look]) for replay in replays]
    config = replace(taken.config.until(taken.steps), steps=taken.steps)
    return make_player(make_recording(config, runs), taken.name, lambda: label_fields() | label_options())


def write_report(taken: Taken, replays: Sequence[LaneReplay]) -> str:
    lanes = []
    for i, (name, replay) in enumerate(zip(taken.names, replays, strict=True)):
        operations, result = taken.operations_of(i), None
        if operations and taken.states is not None:
            arguments = (operations, taken.recompute and taken.config.lanes[i].net.norm == "batch")
            result = hub.call(hub.run("experiments.operations.measure_operation", taken.states()[i], *arguments))
        lanes.append(LaneReport(name, replay.frame, replay.ends, operations, taken.recompute, result))
    return make_report(replace(taken.config.until(taken.steps), steps=taken.steps), lanes, taken.steps,
                       label_fields() | label_options())


# ---------------------------------------------------------------------------------------------------- where it comes from


def take_race(race: Race, name: Callable[[], Sequence[str]]) -> Taken:
    """A live race as it stands."""
    step = race.step
    return Taken(race.config, name, step, lambda: hub.call(race.take_states(step)))


def show_export_race(race: Race, name: Callable[[], Sequence[str]], key: str = "export") -> None:
    """What can be taken home of a live race, at the step where it stands when a file is asked for."""
    show_export(lambda: take_race(race, name), key)


def take_subject(subject: Subject, operations: Sequence[Sequence[Operation]] = (), recompute: bool = False) -> Taken:
    """The nets that a page looks at, at their step, under what has been done to them."""
    return Taken(subject.config, subject.name, subject.step, lambda: subject.states, operations, recompute)


def take_run(config: RaceConfig, name: str = "") -> Taken:
    """One run of a sweep: a race of one lane, known by its config."""
    return Taken(config, lambda: [name or _("This net")], config.steps)


def show_export_run(config: RaceConfig, name: str = "", key: str = "export.run") -> None:
    """What can be taken home of one run of a sweep."""
    show_export(lambda: take_run(config, name), key)
