"""Pages without a browser: one engine for all of them, and every module finds it empty."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from resnet_viz.engine.hub import Hub, hub
from tests.conftest import SHARED, open_engine


@pytest.fixture(scope="module")
def engine() -> Iterator[Hub]:
    if hub.loop is None:
        SHARED.enter_context(open_engine())
    yield hub
    hub.call(empty(hub))


async def empty(engine: Hub) -> None:
    """What a server that ends leaves: no race, no measurement, no sweep, no database."""
    for race in list(engine.races.values()):
        await race.stop()
        await engine.drop(race)
    for job in engine.jobs.values():
        job.cancel()
    engine.jobs.clear()
    await engine._close_store()
