"""The workers: an embedded Dask cluster of subprocesses, or the one at RESNET_VIZ_SCHEDULER.

Whatever dies is started again: a worker by its nanny, a nanny or the scheduler by `Cluster.watch`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import dask
import psutil
from distributed import Client
from distributed.comm import get_address_host_port
from distributed.deploy.spec import SpecCluster
from distributed.deploy.subprocess import SubprocessCluster

from resnet_viz.engine import guard
from resnet_viz.engine.recovery import MendingError
from resnet_viz.engine.turns import Turns
from resnet_viz.records import N_, ConfigError, read_frame

if TYPE_CHECKING:
    from resnet_viz.engine.run import Run

SCHEDULER_VARIABLE = "RESNET_VIZ_SCHEDULER"
WORKERS_VARIABLE = "RESNET_VIZ_WORKERS"
WATCH_SECONDS = 1.0
LOOK_SECONDS = 0.1  # between two looks whether the cluster is there again
OPEN_SECONDS = 60  # of starting all processes on a busy machine; then they are ended, and started again
CLOSE_SECONDS = 2.0
MAX_WORKERS = 1000
ROOT = Path(__file__).parents[2]

SETTINGS = {
    "distributed.worker.profile.enabled": False,  # a third of the speed (LOG.md)
    "distributed.scheduler.allowed-failures": 1,  # a measurement that ends its worker may do so twice, not everywhere
    "distributed.scheduler.worker-ttl": None,
    "distributed.admin.low-level-log-length": 100,  # of events, too: a scheduler keeps the last ones of every topic
    "distributed.admin.system-monitor.interval": "5s",
    "distributed.admin.large-graph-warning-threshold": "1GB",  # states go with their tasks
    "distributed.comm.timeouts.connect": "10s",
    "logging.distributed": "warning",
}

logger = logging.getLogger(__name__)


class ClusterError(ConfigError):
    """Somebody else's scheduler, which cannot be used."""

    TEMPLATE = N_("The scheduler {value} cannot be used: {takes}")


class Cluster:
    """A connected client, kept alive. Use as `async with open_cluster() as cluster`."""

    def __init__(self) -> None:
        self._client: Client | None = None
        self.embedded: SpecCluster | None = None
        self.generation = 0  # grows when all futures were lost
        self.turns = Turns(lambda: self.size)
        self.workers: list[str] = []  # addresses of those there are, as of a second ago
        self.runs: WeakValueDictionary[str, Run] = WeakValueDictionary()  # whose frames come, by their ids

    @property
    def client(self) -> Client:
        """Raises `MendingError` as long as there is none: see `ready`."""
        if self._client is None:
            raise MendingError("cluster", "", "")
        return self._client

    @property
    def is_ready(self) -> bool:
        return self._client is not None and self._client.status == "running"

    async def ready(self, seconds: float | None = None) -> Client:
        """The client, as soon as it can be used. Raises `MendingError` after `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                while not self.is_ready:
                    await asyncio.sleep(LOOK_SECONDS)
        except TimeoutError:
            raise MendingError("cluster", "", "") from None
        return self.client

    async def open(self) -> None:
        if address := os.environ.get(SCHEDULER_VARIABLE):
            await self.join(address)
        else:
            self.embedded = SubprocessCluster(
                n_workers=count_workers(),
                threads_per_worker=1,
                dashboard_address=None,
                scheduler_kwargs={"dashboard": False, "preload": [guard.__name__]},
                worker_kwargs={"preload": ["resnet_viz.engine.tasks"], "preload_nanny": [guard.__name__],
                               "dashboard": False, "memory_limit": 0},
                asynchronous=True,
            )  # known before it has started: where it never does, its processes are ended
            await self.embedded
            await self._connect(self.embedded)
        self.workers = await self.list_workers()
        self.generation += 1

    async def join(self, address: str) -> None:
        """Connect to somebody else's scheduler. Raises `ClusterError` where it does not answer, or lacks this package."""
        try:
            get_address_host_port(address, strict=True)  # a client of no address at all complains as it is thrown away
            await self._connect(address)
            await self.client.run_on_scheduler(find_processes, None)  # anything of ours: it opens what it is sent
        except ModuleNotFoundError as error:
            await self.close()
            raise ClusterError("scheduler", address, N_("its PYTHONPATH lacks the app’s folder ({reason})"),
                               reason=str(error)) from error
        except (OSError, ValueError) as error:
            raise ClusterError("scheduler", address, "{reason}", reason=str(error)) from error
        if not await self.list_workers():
            logger.warning("The scheduler %s has no workers yet: whatever there is to do waits for them", address)

    async def _connect(self, to: SpecCluster | str) -> None:
        """Have a client, and its topic: the scheduler forgets that with the client."""
        with dask.config.set(SETTINGS):
            self._client = await Client(to, asynchronous=True, name="resnet_viz")
        self._client.subscribe_topic(self._client.id, self._hand_on)

    def _hand_on(self, event: tuple[float, dict[str, Any]]) -> None:
        """What a worker has measured, to its run; Dask's own events of this topic are of no use here."""
        _time, message = event
        if (run := self.runs.get(message.get("run", ""))) is not None:
            run.record(read_frame(message))

    async def close(self) -> None:
        """End the workers and the scheduler; of an address, only the connection. What does not end is killed."""
        processes, client, embedded = find_processes(self.embedded), self._client, self.embedded
        self._client, self.embedded, self.workers = None, None, []  # nobody is to submit to what is being closed
        for part in (client, embedded):
            if part is not None:
                with contextlib.suppress(Exception):
                    await asyncio.wait_for(part.close(), CLOSE_SECONDS)
        if client is not None:
            cancel_futures(client)  # where closing took too long, who waits for one would do so for ever
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

    async def watch(self) -> None:
        """Start again what has died, until cancelled."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            try:
                await self.mend()
                before, self.workers = self.workers, await self.list_workers()
                if before and not set(before) & set(self.workers):
                    self.give_up_futures()
            except Exception:
                logger.exception("The cluster could not be mended; trying again")

    @property
    def size(self) -> int:
        """How many workers there are, or will be in a moment; at least one."""
        return max(1, len(self.workers), len(self.embedded.worker_spec) if self.embedded is not None else 0)

    def give_up_futures(self) -> None:
        """What is in flight after all workers have gone at once: Dask never runs again what was to be near one of them."""
        logger.warning("All workers have ended: what they had is made again")
        cancel_futures(self.client)
        self.generation += 1

    async def list_workers(self) -> list[str]:
        return list((await self.client.scheduler.identity(n_workers=-1))["workers"])

    async def mend(self) -> None:
        lost = self._client is None or self._client.status == "closed"
        if lost or (self.embedded is not None and has_ended(self.embedded.scheduler)):
            logger.warning("The scheduler has ended: starting a new cluster, or connecting again")
            await self.close()
            async with asyncio.timeout(OPEN_SECONDS):
                await self.open()
        if self.embedded is None:
            return
        dead = [name for name, worker in self.embedded.workers.items() if has_ended(worker)]
        for name in dead:
            logger.warning("Worker %s has ended: starting it again", name)
            del self.embedded.workers[name]
        if dead:
            self.embedded.scale(len(self.embedded.worker_spec))


def cancel_futures(client: Client) -> None:
    """Let all who wait for this client's futures know that they will not come."""
    for future in list(client.futures.values()):
        future.cancel()


def find_processes(embedded: SpecCluster | None) -> list[psutil.Process]:
    """The processes of an embedded cluster with all their children."""
    found = []
    for part in [embedded.scheduler, *embedded.workers.values()] if embedded is not None else []:
        if getattr(part, "process", None) is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                process = psutil.Process(part.process.pid)
                found += [*process.children(recursive=True), process]
    return found


def has_ended(part: object) -> bool:
    process = getattr(part, "process", None)
    return process is not None and process.returncode is not None


def count_workers() -> int:
    """One worker per core, unless RESNET_VIZ_WORKERS says otherwise. Raises `ConfigError`."""
    text = os.environ.get(WORKERS_VARIABLE) or str(len(os.sched_getaffinity(0)))
    if not (text.isascii() and text.isdigit() and len(text) < 9 and 1 <= int(text) <= MAX_WORKERS):
        raise ConfigError(WORKERS_VARIABLE, text, N_("a whole number from {low} to {high}"), low=1, high=MAX_WORKERS)
    return int(text)


def prepare_environment() -> None:
    """What subprocesses inherit: the settings, whose they are, one thread per library, and where this package is."""
    os.environ[guard.APP_VARIABLE] = str(os.getpid())
    for name, value in SETTINGS.items():
        os.environ["DASK_" + name.upper().replace(".", "__").replace("-", "_")] = str(value)
    paths = [str(ROOT), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(paths))
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")


@contextlib.asynccontextmanager
async def open_cluster() -> AsyncIterator[Cluster]:
    """A cluster, open and watched; closed at the end, whatever happens."""
    prepare_environment()
    cluster = Cluster()
    await cluster.open()
    watcher = asyncio.create_task(cluster.watch())
    try:
        yield cluster
    finally:
        watcher.cancel()
        await asyncio.gather(watcher, return_exceptions=True)
        await cluster.close()
