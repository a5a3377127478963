"""The sweep: a grid of runs, its cost beforehand, its points as they finish. The deeper plain net trains worse."""

from __future__ import annotations

import asyncio
from concurrent.futures import CancelledError, Future

import streamlit as st

from resnet_viz.engine.hub import hub
from resnet_viz.engine.sweep import RunProgress, Sweep
from resnet_viz.records import ConfigError
from resnet_viz.sweeps import READY, Estimate, SweepConfig
from resnet_viz.text import _, join, use_language, write_scientific
from resnet_viz.ui import grid, progress
from resnet_viz.ui.bar import show_share
from resnet_viz.ui.exporting_sweep import show_export_sweep
from resnet_viz.ui.glossary import show_words
from resnet_viz.ui.live import show_live
from resnet_viz.ui.metrics import MEASURES, take_number
from resnet_viz.ui.outcomes import describe_run
from resnet_viz.ui.results import KEY, find_roles, read_asked, show_notes, show_results, write_asked
from resnet_viz.ui.session import write_url
from resnet_viz.ui.words import sentence

PAGE = "sweep"
POLL = 0.5  # seconds between two looks
REDRAW_SECONDS = 1.5  # charts are drawn anew no more often
LOST = (TimeoutError, CancelledError, OSError)  # the workers do not answer


def show_page() -> None:
    """The whole page."""
    open_page()
    st.title(_("Sweep"), anchor=False)
    st.markdown(_("Many nets at once: a run at every point of a grid of settings, several seeds each. Does the deeper "
                  "plain net train worse? Start, and watch the points come in."))
    with st.sidebar:
        grid.show_grid()
    for error in st.session_state.get(KEY + "complaints", ()):
        st.error(sentence(error), icon=":material/link_off:")
    show_ready()
    if not st.session_state["vary"]:
        st.info(_("Choose a setting that varies."))
        return
    try:
        config = st.session_state[KEY + "config"] = grid.read_widgets()
    except ConfigError as error:
        st.error(sentence(error), icon=":material/error:")
        return
    sweep = find_sweep(config)
    show_others(sweep)
    st.markdown(f"**{grid.describe_grid(config)}**")
    bar, drawn = st.container(), None
    if sweep is not None:
        drawn = sweep.done if sweep.state == "running" else None  # before it is drawn: what comes meanwhile is drawn anew
        show_results(sweep)
    else:
        impossible = [run for run in config.list_runs() if run.race is None]
        show_notes(config, [RunProgress(run, state="impossible", error=run.error) for run in impossible])
    shared = write_url(grid.write_query(config) | write_asked(config) | ({PAGE: sweep.id} if sweep is not None else {}))
    with bar:
        show_bar(config, sweep, drawn, shared)
    show_words("held-out", "W_s")
    show_lesson()


# ---------------------------------------------------------------------------------------------------- what is open


def open_page() -> None:
    """On the page's first run: the grid, the sweep and the charts of the link. On coming back: what was there."""
    state = st.session_state
    if KEY + "config" not in state:
        query = st.query_params.to_dict()
        config, errors = grid.read_query(query)
        sweep = hub.find_sweep(query.get(PAGE, ""))
        if sweep is not None:
            config = sweep.config
        elif PAGE in query:
            state[KEY + "lost"] = True
        state[KEY + "config"], state[KEY + "id"] = config, query.get(PAGE, "")
        state[KEY + "asked"] = read_asked(config, query, errors)
        state[KEY + "complaints"] = errors
    came, state["page"] = state.get("page") != PAGE, PAGE
    if came or "vary" not in state:
        grid.write_widgets(state[KEY + "config"])


def find_sweep(config: SweepConfig) -> Sweep | None:
    """The session's sweep, if it is of this grid; else one of this grid that somebody has running."""
    sweep = hub.find_sweep(st.session_state[KEY + "id"])
    if sweep is None or sweep.config != config:
        sweep = next((other for other in hub.sweeps.copy().values()
                      if other.config == config and other.state == "running"), None)
    if sweep is not None:
        st.session_state[KEY + "id"] = sweep.id
    return sweep


def open_config(config: SweepConfig, sweep_id: str = "") -> None:
    """A callback: show this grid."""
    state = st.session_state
    state[KEY + "config"], state[KEY + "asked"], state[KEY + "complaints"] = config, {}, []
    state[KEY + "lost"] = False
    if sweep_id:
        state[KEY + "id"] = sweep_id
    grid.write_widgets(config)


def show_ready() -> None:
    """The ready sweeps, and one's own; the question of what is chosen."""
    try:
        chosen = grid.name_grid(grid.read_widgets())
    except ConfigError:
        chosen = "own"
    names = {name: _(ready.title) for name, ready in READY.items()} | {"own": _("My own")}
    st.session_state[KEY + "ready"] = chosen

    def on_change() -> None:
        name = st.session_state[KEY + "ready"]
        open_config(grid.list_ready().get(name, grid.OWN))

    st.segmented_control(_("Ready sweeps"), list(names), format_func=names.get, key=KEY + "ready", required=True,
                         on_change=on_change)
    st.markdown(_(READY[chosen].question) if chosen in READY else
                _("A grid of one’s own. What varies, and what is the same in all runs, is set in the sidebar."))


def show_others(shown: Sweep | None) -> None:
    """Other sweeps that this server is running, to look at."""
    for sweep in [sweep for sweep in hub.sweeps.copy().values() if sweep.state == "running" and sweep is not shown]:
        with st.container(horizontal=True, vertical_alignment="center", key=f"{KEY}other.{sweep.id}"):
            st.markdown(_("Also running here: {grid} ({percent} %)").format(
                grid=grid.describe_grid(sweep.config), percent=round(100 * sweep.fraction)))
            st.button(_("Show it"), key=f"{KEY}show.{sweep.id}", on_click=open_config, args=(sweep.config, sweep.id),
                      type="tertiary")


# ---------------------------------------------------------------------------------------------------- start and stop


def show_bar(config: SweepConfig, sweep: Sweep | None, drawn: int | None, shared: dict[str, str]) -> None:
    """What it would cost, and Start; or how far it is, and Cancel. `drawn`: of a running sweep, the runs on the charts."""
    if st.session_state.get(KEY + "lost"):
        st.info(_("The sweep of this link is no longer in this server’s memory. What had finished is kept: start it again, "
                  "and only the rest is trained."), icon=":material/history:")
    estimate = None
    if drawn is not None:
        watch_sweep(sweep, drawn)
    elif sweep is None or sweep.state != "done" or any(run.state == "failed" for run in sweep.runs):
        estimate = find_estimate(config, sweep)
    if sweep is not None and drawn is None:
        show_end(sweep)
    if estimate is not None:
        show_estimate(estimate)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        if estimate is not None:
            st.button(_("Start") if estimate.runs else _("Show the results"), key=KEY + "start", type="primary",
                      icon=":material/play_arrow:", on_click=on_start, args=(config,), shortcut="P")
        show_share({name: value for name, value in shared.items() if name != PAGE})
        if sweep is not None:
            show_export_sweep(sweep)


def find_estimate(config: SweepConfig, sweep: Sweep | None) -> Estimate | None:
    """What it would cost; None until that is known. The workers may be busy: the page does not wait long for them."""
    key = (config, sweep and sweep.id, sweep and sweep.state)
    if st.session_state.get(KEY + "estimate", (None,))[0] != key:
        st.session_state[KEY + "estimate"] = key, asyncio.run_coroutine_threadsafe(hub.estimate(config), hub.loop)
    future = st.session_state[KEY + "estimate"][1]
    try:
        return future.result(progress.PATIENCE)
    except ConfigError as error:
        st.session_state.pop(KEY + "estimate")
        st.error(sentence(error), icon=":material/database:")
    except LOST:
        if future.done():
            st.session_state.pop(KEY + "estimate")
        watch_estimate(future)
    return None


@st.fragment(run_every=POLL)
def watch_estimate(future: Future) -> None:
    """Draw the page anew when there is an estimate."""
    use_language(st.session_state.language)  # a fragment runs by itself
    if future.done():
        st.rerun()
    st.markdown(_("Estimating the cost …"))


def show_estimate(estimate: Estimate) -> None:
    """What is to come, in numbers."""
    with st.container(horizontal=True, gap="large", key=KEY + "cost"):
        st.metric(_("Runs to train"), f"{estimate.runs:,}", width="content")
        st.metric(_("Known already"), f"{estimate.known:,}", width="content",
                  help=_("Trained before, here or by another server on the same database: they are not trained again."))
        st.metric(_("Impossible"), f"{estimate.impossible:,}", width="content",
                  help=_("Combinations that there is no net for; each is told below."))
        st.metric(_("Multiply-adds"), write_large(estimate.multiply_adds), width="content",
                  help=_("Of all steps of all runs to train: forward, and twice as many backward."))
        st.metric(_("Time, on {workers} workers").format(workers=estimate.workers), write_time(estimate.seconds),
                  width="content", help=_("About, and longer while races are live: they go first. A short measurement "
                                          "just now says how fast this machine is."))


def on_start(config: SweepConfig) -> None:
    state = st.session_state
    state[KEY + "lost"], state[KEY + "complaints"] = False, []
    try:
        state[KEY + "id"] = hub.call(hub.start_sweep(config)).id
    except ConfigError as error:
        state[KEY + "complaints"] = [error]
    except LOST:
        state.pop(KEY + "estimate", None)  # which is tried again, and tells


@st.fragment(run_every=POLL)
def watch_sweep(sweep: Sweep, drawn: int) -> None:
    """Progress and Cancel, by themselves; the page is drawn anew where runs have finished since `drawn`."""
    use_language(st.session_state.language)  # a fragment runs by itself
    finished = sweep.done
    if sweep.state != "running" or (finished != drawn and is_due(sweep)):
        st.rerun()
    with st.container(horizontal=True, vertical_alignment="center", key=KEY + "progress"):
        st.progress(min(1.0, sweep.fraction), text=describe_progress(sweep))
        st.button(_("Cancel"), key=KEY + "cancel", icon=":material/stop:", on_click=hub.loop.call_soon_threadsafe,
                  args=(sweep.cancel,))
    show_live(KEY + "live", describe_newest(sweep))


def is_due(sweep: Sweep) -> bool:
    """Whether the charts may be drawn anew: not too often, since each time they are mounted again."""
    last = st.session_state.get(KEY + "redrawn", ("", 0.0))
    if last[0] == sweep.id and sweep.seconds - last[1] < REDRAW_SECONDS:
        return False
    st.session_state[KEY + "redrawn"] = (sweep.id, sweep.seconds)
    return True


def describe_progress(sweep: Sweep) -> str:
    left = sweep.seconds_left
    words = _("{done} of {runs} runs; {left} left") if left is not None else _("{done} of {runs} runs")
    return words.format(done=sweep.done, runs=len(sweep.runs), left=write_time(left or 0))


def describe_newest(sweep: Sweep) -> str:
    """How many runs have finished, and what the newest came to: for who cannot see the charts."""
    done = [run for run in sweep.runs if run.result is not None]
    words = _("{done} of {runs} runs have finished.").format(done=len(done), runs=len(sweep.runs))
    if not done:
        return words
    run = max(done, key=lambda run: run.result.finished)
    statistics = find_roles(sweep.config).statistics
    errors = [take_number(run.result, measure, statistics) for measure in MEASURES[:2]]
    if run.result.diverged or None in errors:
        return join(words, _("The newest, {place}, diverged.").format(place=describe_run(sweep.config, run.run)))
    return join(words, _("The newest, {place}: training error {train} %, held-out error {test} %.").format(
        place=describe_run(sweep.config, run.run), train=f"{errors[0]:.1f}", test=f"{errors[1]:.1f}"))


def show_end(sweep: Sweep) -> None:
    """How it ended."""
    finished = sum(run.result is not None for run in sweep.runs)
    reused = sum(run.reused for run in sweep.runs)
    words = {"done": _("Done in {time}: {count} of {runs} runs, {known} of them known already."),
             "cancelled": _("Cancelled after {time}. {count} of {runs} runs had finished, {known} of them known already; "
                            "they are kept."),
             "failed": _("Stopped after {time}: {count} of {runs} runs had finished.")}
    show_live(KEY + "live", words[sweep.state].format(time=write_time(sweep.seconds), count=finished, runs=len(sweep.runs),
                                                      known=reused))
    for error in filter(None, (sweep.error, sweep.store_error)):
        st.error(sentence(error), icon=":material/error:")


# ---------------------------------------------------------------------------------------------------- words


def write_time(seconds: float) -> str:
    """Seconds as a person says them."""
    if seconds < 90:
        return _("{seconds} s").format(seconds=f"{seconds:.1f}" if seconds < 10 else round(seconds))
    if seconds < 5400:
        return _("{minutes} min").format(minutes=f"{seconds / 60:.1f}".removesuffix(".0"))
    return _("{hours} h").format(hours=f"{seconds / 3600:.1f}")


def write_large(count: int) -> str:
    """A large number, as a multiple of a power of ten."""
    if count < 10_000:
        return f"{count:,}"
    return write_scientific(count, 1)


def show_lesson() -> None:
    with st.expander(_("What am I looking at?"), icon=":material/school:"):
        st.markdown(_("**What to look for.** Degradation: with BatchNorm, the plain net’s *training* error rises with "
                      "depth, and the residual net’s does not. So it is not overfitting: the deeper plain net could copy "
                      "the shallower one and be as good, and training does not find that. Vanishing is another failure: "
                      "with PyTorch’s default initial weights and no normalisation, deep plain nets get no gradient and "
                      "stay at chance."))
        st.markdown(_("**What not to conclude.** Flat gradients are not enough: with He’s initial weights they neither "
                      "vanish nor explode, and deep plain nets still train worse. Nor do shortcuts mend everything: "
                      "without normalisation and with He’s initial weights a deep residual net diverges, with SGD at "
                      "the usual rates: one of 22 layers at 0.01 and above, though not at 0.001, nor with AdamW. And these "
                      "are small nets, a few hundred steps, few seeds: with more steps some of the gaps may close."))
