"""On a server whose workers have no time at all every page is drawn, by any link, and finished when they have."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from distributed import Future

from resnet_viz.engine.hub import Hub, hub
from resnet_viz.records import RaceConfig
from resnet_viz.ui import progress
from tests.pages import open_nets, read_texts, run_page, wait_for

PAGES = ("race", "block", "operations", "decay", "credit", "dimensions", "architecture", "paths", "gradients", "landscape",
         "sweep", "runs")
LINK = {"at": "30", "depth": "6", "steps": "40"}  # of nets that are not there yet
LEFT_ALONE = "block", "operations", "credit", "paths"  # pages of nets, whose numbers a worker measures


class Hog:
    """All workers wait until `release`; nothing that they were asked for before has been left undone."""

    def __init__(self, engine: Hub, flag: Path) -> None:
        self.engine, self.flag = engine, flag
        flag.touch()
        path = str(flag)

        def wait_for_release() -> None:
            import os
            import time

            open(f"{path}-{os.getpid()}", "w").close()
            while os.path.exists(path):
                time.sleep(0.02)

        async def submit() -> list[Future]:
            client = engine.cluster.client
            return [client.submit(wait_for_release, pure=False, priority=100, workers=[worker])
                    for worker in await engine.cluster.list_workers()]

        self.held = engine.call(submit())
        wait_for(lambda: len(list(flag.parent.glob(f"{flag.name}-*"))) == len(self.held))

    def release(self) -> None:
        self.flag.unlink(missing_ok=True)
        self.engine.call(self._drain())

    async def _drain(self) -> None:
        await self.engine.cluster.client.gather(self.held)


@pytest.fixture
def hog(engine: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hog]:
    monkeypatch.setattr(progress, "PATIENCE", 0.0)
    held = Hog(engine, tmp_path / "hog")
    yield held
    held.release()
    for job in list(hub.jobs.values()):
        hub.loop.call_soon_threadsafe(job.cancel)


@pytest.mark.parametrize("link", [{}, LINK], ids=["default", "link"])
@pytest.mark.parametrize("name", PAGES)
def test_page_is_drawn_while_no_worker_has_time(hog: Hog, name: str, link: dict[str, str]) -> None:
    page = run_page(name, **link)
    assert all(not future.done() for future in hog.held)
    assert page.title and not page.exception
    assert not any("did not answer in time" in error.value for error in page.error)


@pytest.mark.parametrize("name", LEFT_ALONE)
def test_page_whose_nets_are_there_waits_behind_a_bar_and_is_whole_afterwards(
        engine: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    page = open_nets(name, **LINK)
    monkeypatch.setattr(progress, "PATIENCE", 0.0)
    for job in list(hub.jobs.values()):
        hub.loop.call_soon_threadsafe(job.cancel)
    engine.call(forget_jobs())
    held = Hog(engine, tmp_path / "hog")
    page.run()
    assert all(not future.done() for future in held.held) and page.title and not page.exception
    held.release()
    monkeypatch.setattr(progress, "PATIENCE", 25.0)
    page.run()
    assert not page.exception
    assert len(read_texts(page)) > 500


async def forget_jobs() -> None:
    hub.jobs.clear()


def test_a_reset_waits_for_nothing_that_is_in_flight(engine: Hub, tmp_path: Path) -> None:
    race = engine.call(engine.make(RaceConfig(steps=500)))
    race.watchers = 1
    engine.loop.call_soon_threadsafe(race.play)
    wait_for(lambda: race.step > 20)
    held = Hog(engine, tmp_path / "hog")
    engine.call(race.reset(RaceConfig(steps=50, seed=1)))
    assert race.step == 0 and race.config.seed == 1 and not any(future.done() for future in held.held)
    engine.call(race.change(1, "lr", 0.02))
    engine.call(race.rewind(0))
    assert race.step == 0 and not any(future.done() for future in held.held)
    held.release()
    engine.loop.call_soon_threadsafe(race.play)
    wait_for(lambda: race.state == "finished")
    assert len(race.lanes[0].series.points) == 50


def test_a_branch_is_there_before_its_states_are(engine: Hub, tmp_path: Path) -> None:
    race = engine.call(engine.make(RaceConfig(steps=300)))
    race.watchers = 1
    engine.loop.call_soon_threadsafe(race.play)
    wait_for(lambda: race.step > 20)
    engine.call(race.stop())
    step = race.step - 7  # none was kept there
    held = Hog(engine, tmp_path / "hog")
    branch = engine.call(engine.branch(race, step, []))
    assert branch.step == step and len(branch.lanes[1].series.points) == step
    engine.call(branch.change(0, "lr", 0.01))
    assert [change.step for change in branch.config.changes] == [step]  # not where training anew has come to
    assert not any(future.done() for future in held.held)
    held.release()
