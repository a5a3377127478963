"""The runs that have been trained, in a database: SQLite in a file, or PostgreSQL by URL.

The address is that of RESNET_VIZ_DATABASE, or else a file in the app's folder `data`. The schema is brought up to date as
a store is opened. All methods may be called from any thread; none from an event loop, which they would hold up.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy.dialects import postgresql, sqlite

from resnet_viz.records import DECIMAL_FIELDS, FLAG_FIELDS, N_, WHOLE_FIELDS, ConfigError, UnknownFieldError
from resnet_viz.store.tables import runs
from resnet_viz.sweeps import (
    METRICS,
    SETTINGS,
    RunResult,
    make_run,
    read_settings,
    read_value,
    write_settings,
    write_value,
)

DATABASE_VARIABLE = "RESNET_VIZ_DATABASE"
DEFAULT_FILE = Path(__file__).parents[2] / "data" / "runs.sqlite"
MIGRATIONS = Path(__file__).parent / "migrations"
WAIT_SECONDS = 30  # for another process that writes to the same file
CONNECT_SECONDS = 10  # to a server
PART = 500  # identities in one question: SQLite takes 999 values
MIGRATION_LOCK = 0x7265736E  # of PostgreSQL's advisory locks
NUMBERS = (*METRICS, "diverged", "taken", "seconds", "finished")
INSERTS = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}

logger = logging.getLogger(__name__)
_opening = threading.Lock()  # Alembic's context is one per process


class StoreError(ConfigError):
    """The database cannot be opened, read or written. `value` never holds a password."""

    TEMPLATE = N_("The database {value} cannot be used: {takes}")


class Store:
    """An open database of runs."""

    def __init__(self, url: str | None = None) -> None:
        self.url = read_url(url or os.environ.get(DATABASE_VARIABLE) or f"sqlite:///{DEFAULT_FILE}")
        with self._told():
            self.engine = make_engine(self.url)
        with self._told(), _opening, self.engine.begin() as connection:
            migrate(connection)

    def close(self) -> None:
        self.engine.dispose()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def find(self, identities: Iterable[str], curves: bool = False) -> dict[str, RunResult]:
        """Those of these runs that are stored, by identity."""
        wanted, found = list(dict.fromkeys(identities)), {}
        for i in range(0, len(wanted), PART):
            chosen = runs.c.identity.in_(wanted[i : i + PART])
            found |= {run.identity: run for run in self._read(self._select(curves).where(chosen))}
        return found

    def add(self, run: RunResult) -> bool:
        """Store a run. False where it was there already: the one that is there stays."""
        row = {name: getattr(run, name) for name in ("identity", "code", *NUMBERS)}
        row |= {"config": write_settings(run.race), "curves": dict(run.curves)}
        insert = INSERTS[self.engine.dialect.name](runs).values(row).on_conflict_do_nothing(index_elements=["identity"])
        with self._told(), self.engine.begin() as connection:
            return connection.execute(insert.returning(runs.c.identity)).first() is not None

    def browse(self, where: Mapping[str, Any] | None = None, limit: int | None = 200, offset: int = 0,
               curves: bool = False) -> list[RunResult]:
        """Runs, the newest first. `where`: per setting the value wanted, or a list of those that will do."""
        chosen = self._select(curves).where(*read_filters(where or {}))
        return list(self._read(chosen.order_by(runs.c.finished.desc(), runs.c.identity).limit(limit).offset(offset)))

    def count(self, where: Mapping[str, Any] | None = None) -> int:
        with self._told(), self.engine.begin() as connection:
            return connection.scalar(sa.select(sa.func.count()).select_from(runs).where(*read_filters(where or {})))

    def delete(self, identities: Iterable[str]) -> int:
        """Delete these runs; how many were there."""
        wanted, gone = list(dict.fromkeys(identities)), 0
        with self._told(), self.engine.begin() as connection:
            for i in range(0, len(wanted), PART):
                gone += connection.execute(sa.delete(runs).where(runs.c.identity.in_(wanted[i : i + PART]))).rowcount
        return gone

    def _select(self, curves: bool) -> sa.Select:
        return sa.select(*(column for column in runs.c if curves or column is not runs.c.curves))

    def _read(self, select: sa.Select) -> Iterator[RunResult]:
        with self._told(), self.engine.begin() as connection:
            rows = connection.execute(select).mappings().all()
        for row in rows:
            numbers = {name: row[name] for name in NUMBERS}
            try:
                race = make_run(read_settings(row["config"]))
            except ConfigError as error:  # of a version with other settings
                logger.warning("Run %s is left out: %s", row["identity"], error)
                continue
            yield RunResult(row["identity"], row["code"], race, **numbers, curves=row.get("curves") or {})

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Whatever goes wrong in the database, told in one sentence."""
        try:
            yield
        except ConfigError:
            raise
        except (sa.exc.SQLAlchemyError, CommandError, OSError, ImportError, ValueError) as error:
            reason = " ".join(str(getattr(error, "orig", None) or error).split())
            name = self.url.set(query={}).render_as_string(hide_password=True)  # its options may hold a password too
            raise StoreError("database", name, "{reason}", reason=reason[:300]) from error


def read_url(text: str) -> sa.URL:
    """An address as SQLAlchemy takes it. Raises `ConfigError`."""
    try:
        url = sa.make_url(text)
    except (sa.exc.ArgumentError, ValueError):
        url = None
    if url is not None and "@" in (url.host or ""):  # the end of a password that has an @ of its own
        url = None
    if url is None or url.get_backend_name() not in (*INSERTS, "postgres"):
        shown = "…" if "@" in text or "?" in text else text  # there may be a password in it
        raise ConfigError("database", shown, N_("sqlite:///file or postgresql://user@host/name"))
    return url.set(drivername="postgresql+psycopg") if url.drivername in ("postgres", "postgresql") else url


def make_engine(url: sa.URL) -> sa.Engine:
    """An engine; a SQLite file's folder is made where there is none."""
    if url.get_backend_name() != "sqlite":
        return sa.create_engine(url, pool_pre_ping=True, connect_args={"connect_timeout": CONNECT_SECONDS})
    options = {"connect_args": {"timeout": WAIT_SECONDS}}
    if url.database not in (None, "", ":memory:"):
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    else:  # one connection, which all threads have in turn: each connection has a memory of its own
        options["connect_args"]["check_same_thread"] = False
        options |= {"poolclass": sa.QueuePool, "pool_size": 1, "max_overflow": 0}
    engine = sa.create_engine(url, **options)

    @sa.event.listens_for(engine, "connect")
    def leave_transactions_to_us(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # else Python commits before it changes a schema

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # waits for its turn, instead of failing halfway

    return engine


def migrate(connection: sa.Connection, revision: str = "head") -> None:
    """Bring the schema to a revision, in one transaction, while others who open the same database wait."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    command.upgrade(config, revision)


def read_filters(where: Mapping[str, Any]) -> list[sa.ColumnElement[bool]]:
    """Conditions on settings. Raises `ConfigError` for a name that there is not."""
    conditions = []
    for name, value in where.items():
        if name not in (*SETTINGS, "code", "diverged"):
            raise UnknownFieldError(name, value, (*SETTINGS, "code", "diverged"))
        values = value if isinstance(value, list) else [value]
        values = [write_value(read_value(name, item)) for item in values]
        known = [item for item in values if item is not None]
        for item in known:
            if type(item) is not find_type(name) or (type(item) is int and abs(item) >= 2**31):
                raise ConfigError(name, item, N_("a value of the kind that this setting has"))
        column = runs.c[name] if name in runs.c else find_setting(name)
        condition = column.in_(known)
        if None in values:
            condition |= runs.c.config[name].as_string().is_(None)
        conditions.append(condition)
    return conditions


def find_setting(name: str) -> sa.ColumnElement:
    """A setting within the stored config, as its type."""
    setting = runs.c.config[name]
    return {bool: setting.as_boolean, int: setting.as_integer, float: setting.as_float,
            str: setting.as_string}[find_type(name)]()


def find_type(name: str) -> type:
    """The type that a setting, or a column of the table, is stored as."""
    if name in ("skip", "diverged", *FLAG_FIELDS):
        return bool
    if name in WHOLE_FIELDS:
        return int
    return float if name in DECIMAL_FIELDS else str
