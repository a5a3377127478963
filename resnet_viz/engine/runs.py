"""The runs that somebody holds: equal ones are one, and those that were equal until some step share it."""

from __future__ import annotations

from dataclasses import replace
from weakref import WeakValueDictionary

from resnet_viz.engine.cluster import Cluster
from resnet_viz.engine.run import KEPT_BYTES, Run, Share
from resnet_viz.records import RaceConfig

LIVE = Share(flight=2)
CROWDED = Share(seconds=0.06)  # where there are more lanes than workers, so that turns stay short
KEPT_ALL_BYTES = 800_000_000  # of kept states


class Runs:
    """All runs, by their histories: races of one lane. A run is there for as long as somebody holds it."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self._known: WeakValueDictionary[RaceConfig, Run] = WeakValueDictionary()

    def get(self, config: RaceConfig, lane: int, place: int | None = None) -> Run:
        """The run of a race's lane, whoever made it; else a new one, from the step on at which none is like it any more.

        `place` spreads the lanes of a race over the workers.
        """
        alone = config.take_lane(lane)
        history = replace(alone, steps=1, changes=tuple(sorted(alone.changes, key=lambda item: item.step)),
                          edits=tuple(sorted(alone.edits, key=lambda item: item.step)))
        run = self._known.get(history)
        if run is None:
            source, step = self._find_source(history)
            run = source.fork(history, step) if step > 0 else Run(history, self.cluster, place)
            self._known[history] = run
            for each in self._known.values():
                each.room = min(KEPT_BYTES, KEPT_ALL_BYTES // len(self._known))
        return run

    def _find_source(self, history: RaceConfig) -> tuple[Run | None, int]:
        """The run that has done the same the longest, and until when."""
        alike = [run for known, run in self._known.items()
                 if (known.lanes, known.dataset, known.seed) == (history.lanes, history.dataset, history.seed)]
        shared = {run: min(run.submitted, history.find_parting(run.config)) for run in alike}
        source = max(shared, key=shared.get, default=None)
        return source, shared.get(source, 0)

    def count_live(self) -> int:
        """How many train for somebody who takes no turns."""
        return sum(run.is_live for run in list(self._known.values()))

    def share(self) -> Share:
        """How much of the workers each of those may have now."""
        return LIVE if self.count_live() <= max(1, len(self.cluster.workers)) else CROWDED

    @property
    def bytes(self) -> int:
        return sum(run.bytes for run in list(self._known.values()))
