"""A sweep without a server: the same engine and the same store, for the command line and the bench."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from resnet_viz.engine.hub import Hub
from resnet_viz.engine.sweep import Sweep
from resnet_viz.sweeps import Estimate, SweepConfig

LOOK_SECONDS = 0.2


def run_sweep(config: SweepConfig, database: str | None = None, show_estimate: Callable[[Estimate], None] = lambda _: None,
              show_progress: Callable[[Sweep], None] = lambda _: None) -> Sweep:
    """Run a sweep to its end; `show_progress` is called some times a second, and once at the end.

    Raises `ConfigError` where the database cannot be used. What failed is told by the sweep's runs.
    """
    return asyncio.run(_run_sweep(config, database, show_estimate, show_progress))


async def _run_sweep(config: SweepConfig, database: str | None, show_estimate: Callable[[Estimate], None],
                     show_progress: Callable[[Sweep], None]) -> Sweep:
    hub = Hub()
    await hub.open_store(database)  # before the workers: what is wrong with it is told at once
    async with hub.open():
        show_estimate(await hub.estimate(config))
        sweep = await hub.start_sweep(config)
        while sweep.state == "running":
            show_progress(sweep)
            await asyncio.wait([sweep.task], timeout=LOOK_SECONDS)
        show_progress(sweep)
    return sweep
