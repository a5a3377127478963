"""Stored runs: what is added is found, browsed, filtered, deleted; databases of any age are brought up to date.

Every test of the store runs on SQLite in a file and on a PostgreSQL server of its own (see `postgres` in conftest.py).
"""

from __future__ import annotations

import multiprocessing
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import alembic.command
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from resnet_viz.records import ConfigError, RaceConfig, UnknownFieldError
from resnet_viz.store import runs as runs_module
from resnet_viz.store.runs import MIGRATIONS, Store, StoreError, make_engine, migrate, read_url
from resnet_viz.store.tables import metadata
from resnet_viz.sweeps import RECOMPUTED, RunResult, identify, make_run, write_settings

CURVES = {"points": {"step": [0.0, 1.0], "loss": [2.3, None]}, "gradient": [0.5, 1e-12], "ratio": None}


def make_result(when: str = "2026-01-01T00:00:00.000+00:00", code: str = "c" * 64, loss: float | None = 0.1,
                **values) -> RunResult:
    race = make_run({"steps": 5} | values)
    return RunResult(identify(race, code), code, race, loss, 0.9, 0.2, 0.8, diverged=loss is None, taken=5, seconds=0.25,
                     finished=when, curves=CURVES)


@pytest.fixture
def store(database: str):
    with Store(database) as opened:
        yield opened


def take(run: RunResult) -> dict:
    return {name: getattr(run, name) for name in RunResult.__dataclass_fields__}


# ---------------------------------------------------------------------------------------------------- a run


def test_what_is_added_is_found_to_the_bit(store: Store) -> None:
    run = make_result(loss=0.1 + 0.2, lr=1 / 3, width=(16, 32), shortcut="projection", depth=8)
    assert store.add(run)
    found = store.find([run.identity, "unknown"], curves=True)
    assert take(found[run.identity]) == take(run) and len(found) == 1
    assert store.find([run.identity])[run.identity].curves == {}  # not asked for, not read


def test_what_diverged_has_no_number(store: Store) -> None:
    store.add(run := make_result(loss=None))
    found = store.find([run.identity])[run.identity]
    assert found.train_loss is None and found.diverged is True


def test_the_first_of_equal_runs_stays(store: Store) -> None:
    first, second = make_result(loss=0.1), make_result(loss=0.2)
    assert store.add(first) and not store.add(second)
    assert store.find([first.identity])[first.identity].train_loss == 0.1
    assert store.count() == 1


def test_deleted_is_gone(store: Store) -> None:
    results = [make_result(seed=seed) for seed in range(3)]
    for run in results:
        store.add(run)
    assert store.delete([results[0].identity, results[2].identity, "unknown"]) == 2
    assert [run.identity for run in store.browse()] == [results[1].identity]
    assert store.add(results[0])


def test_more_identities_than_one_question_takes(store: Store) -> None:
    results = [make_result(seed=seed) for seed in range(1200)]
    store.add(results[0])
    store.add(results[-1])
    assert len(store.find(run.identity for run in results)) == 2
    assert store.delete(run.identity for run in results) == 2


# ---------------------------------------------------------------------------------------------------- many


def test_browsing_is_newest_first_in_pages(store: Store) -> None:
    for seed in range(5):
        store.add(make_result(when=f"2026-01-0{5 - seed}T00:00:00.000+00:00", seed=seed))
    assert [run.race.seed for run in store.browse()] == [0, 1, 2, 3, 4]
    assert [run.race.seed for run in store.browse(limit=2, offset=2)] == [2, 3]
    assert store.browse(limit=None, offset=9) == [] and store.count() == 5


def add_some(store: Store) -> None:
    for values in ({"depth": 8}, {"depth": 20}, {"depth": 20, "shortcut": "none", "skip": False, "lr": 1},
                   {"depth": 20, "width": (32,), "decay_block": 3, "decay_bias": False, "loss": None},
                   {"depth": 8, "width": (16, 32), "shortcut": "projection", "optimizer": "adamw", "code": "d" * 64}):
        store.add(make_result(**values))


@pytest.mark.parametrize(("where", "count"), [
    ({}, 5),
    ({"depth": 20}, 3),
    ({"depth": [8, 20]}, 5),
    ({"depth": 20, "shortcut": "none"}, 1),
    ({"shortcut": ["none", "projection"]}, 2),
    ({"skip": True}, 4),
    ({"skip": False}, 1),
    ({"lr": 1}, 1),
    ({"lr": 0.05}, 4),
    ({"width": (64,)}, 3),
    ({"width": "16,32"}, 1),
    ({"width": [(32,), (16, 32)]}, 2),
    ({"decay_block": 3}, 1),
    ({"decay_block": None}, 4),
    ({"decay_block": [None, 3]}, 5),
    ({"decay_bias": False}, 1),
    ({"diverged": True}, 1),
    ({"diverged": False}, 4),
    ({"code": "d" * 64}, 1),
    ({"dataset": "digits", "steps": 5, "weight_decay": 0.0}, 5),
    ({"optimizer": "adamw", "depth": 20}, 0),
    ({"depth": []}, 0),
])
def test_filters(store: Store, where: dict, count: int) -> None:
    add_some(store)
    assert store.count(where) == len(store.browse(where)) == count


def test_a_filter_that_there_is_not_is_told(store: Store) -> None:
    with pytest.raises(UnknownFieldError, match="colour"):
        store.browse({"colour": "red"})


@pytest.mark.parametrize("value", ["x' OR 1=1 --", "%", "\0", "8\n", 10**30, [[8]], {"a": 1}])
def test_a_filter_of_no_sense_finds_nothing_or_is_told(store: Store, value) -> None:
    """Whatever a forged address asks for."""
    add_some(store)
    for name in ("shortcut", "depth", "lr", "width", "decay_bias", "diverged"):
        try:
            assert store.browse({name: value}) == []
        except ConfigError:
            continue


def test_a_run_of_another_version_does_not_break_the_rest(store: Store) -> None:
    store.add(make_result())
    store.add(other := make_result(seed=1))
    with store.engine.begin() as connection:
        table = metadata.tables["runs"]
        connection.execute(sa.update(table).where(table.c.identity == other.identity).values(config={"colour": "red"}))
    assert [run.race.seed for run in store.browse()] == [0]


# ---------------------------------------------------------------------------------------------------- two at once


def add_many(database: str, barrier, first: int, counts) -> None:
    """In a process of its own: open the store with the others, and add runs, half of which another adds too."""
    barrier.wait()
    with Store(database) as store:
        counts.put(sum(store.add(make_result(seed=seed)) for seed in range(first, first + 40)))


def test_servers_on_one_database_agree(database: str) -> None:
    """Three processes open a new database at once and add overlapping runs: every run is there once, none is lost."""
    context = multiprocessing.get_context("spawn")
    barrier, counts = context.Barrier(3), context.Queue()
    processes = [context.Process(target=add_many, args=(database, barrier, first, counts)) for first in (0, 20, 40)]
    for process in processes:
        process.start()
    assert sum(counts.get(timeout=60) for _ in processes) == 80
    for process in processes:
        process.join()
    with Store(database) as store:
        assert sorted(run.race.seed for run in store.browse()) == list(range(80))


def test_what_one_adds_the_other_finds_at_once(database: str) -> None:
    with Store(database) as one, Store(database) as other:
        one.add(run := make_result())
        assert run.identity in other.find([run.identity])
        other.delete([run.identity])
        assert one.count() == 0


# ---------------------------------------------------------------------------------------------------- the schema

REVISIONS = [script.revision for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions()][::-1]


def test_the_migrations_make_the_tables_of_the_code(store: Store) -> None:
    with store.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata) == []


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_database_of_any_age_is_brought_up_to_date_with_what_is_in_it(database: str, revision: str) -> None:
    engine = make_engine(read_url(database))
    with engine.begin() as connection:
        migrate(connection, revision)
    run = make_result()
    run = run if revision < "0003" else replace(run, **dict.fromkeys(RECOMPUTED, 0.5))
    insert_as_of(engine, revision, run)
    engine.dispose()
    with Store(database) as store:
        assert take(store.browse(curves=True)[0]) == take(run)
        with store.engine.connect() as connection:
            assert MigrationContext.configure(connection).get_current_revision() == REVISIONS[-1]


def insert_as_of(engine: sa.Engine, revision: str, run: RunResult) -> None:
    """A row as the code of a revision wrote it. Before 0003 nobody measured with recomputed statistics."""
    assert revision in ("0001", "0002", "0003"), "say here how a row of this revision looked"
    later = RECOMPUTED if revision < "0003" else ()
    row = {name: value for name, value in take(run).items() if name not in ("race", *later)}
    row |= {"config": write_settings(run.race)}
    with engine.begin() as connection:
        connection.execute(sa.insert(metadata.tables["runs"]).values(row))


def test_every_step_has_its_way_back(database: str) -> None:
    engine = make_engine(read_url(database))
    with engine.begin() as connection:
        migrate(connection)
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", str(MIGRATIONS))
        config.set_main_option("path_separator", "os")
        alembic.command.downgrade(config, "base")
        assert set(sa.inspect(connection).get_table_names()) <= {"alembic_version"}
        migrate(connection)
    engine.dispose()


def test_a_database_of_a_later_version_is_refused(database: str) -> None:
    with Store(database) as store, store.engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match="9999"):
        Store(database)


# ---------------------------------------------------------------------------------------------------- bad addresses


@pytest.mark.parametrize("address", ["", "runs.sqlite", "mysql://u:secret@host/name", "http://u:secret@host", "sqlite",
                                     "postgresql://u:secret@host:port/x", "://", "oracle+secret://u:secret@x",
                                     "postgresql://u:my@secret@host/x", "mysql://host/x?password=secret"])
def test_an_address_of_no_database_is_told_without_its_password(address: str) -> None:
    with pytest.raises(ConfigError) as error:
        read_url(address)
    assert error.value.field == "database" and "secret" not in str(error.value)
    assert "sqlite:///file or postgresql://user@host/name" in str(error.value)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
@pytest.mark.parametrize("login", ["user:secret@127.0.0.1:1/name", "user@127.0.0.1:1/name?password=secret"])
def test_a_server_that_is_not_there_is_told_without_its_password(scheme: str, login: str) -> None:
    with pytest.raises(StoreError) as error:
        Store(f"{scheme}://{login}")
    assert "secret" not in str(error.value) and "127.0.0.1" in str(error.value) and "refused" in str(error.value)


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("Not a database, and long enough to have a header of its own. " * 20)
    for bad in (path, tmp_path, path / "below.sqlite"):
        with pytest.raises(StoreError, match="cannot be used"):
            Store(f"sqlite:///{bad}")
    assert path.read_text().startswith("Not a database")


def test_options_of_an_address_that_cannot_be_are_told(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="could not convert"):
        Store(f"sqlite:///{tmp_path}/runs.sqlite?timeout=soon")


def test_a_row_that_is_broken_is_told(tmp_path: Path) -> None:
    with Store(f"sqlite:///{tmp_path}/runs.sqlite") as store:
        store.add(make_result())
        with sqlite3.connect(tmp_path / "runs.sqlite") as connection:
            connection.execute("UPDATE runs SET config = '{'")
        with pytest.raises(StoreError, match="cannot be used"):
            store.browse()


def test_a_folder_is_made_for_the_file(tmp_path: Path) -> None:
    with Store(f"sqlite:///{tmp_path}/new/deep/runs.sqlite") as store:
        assert store.count() == 0


def test_a_table_that_is_no_runs_is_told(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "other.sqlite") as connection:
        connection.execute("CREATE TABLE runs (something TEXT)")
    with pytest.raises(StoreError, match="already exists"):
        Store(f"sqlite:///{tmp_path}/other.sqlite")


def test_the_address_is_the_environments_or_a_file_of_the_app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESNET_VIZ_DATABASE", f"sqlite:///{tmp_path}/named.sqlite")
    Store().close()
    assert (tmp_path / "named.sqlite").exists()
    monkeypatch.delenv("RESNET_VIZ_DATABASE")
    monkeypatch.setattr(runs_module, "DEFAULT_FILE", tmp_path / "data" / "runs.sqlite")
    Store().close()
    assert (tmp_path / "data" / "runs.sqlite").exists()


def test_runs_in_memory_are_a_store_too() -> None:
    with Store("sqlite://") as store:
        assert store.add(make_result()) and store.count() == 1
        with ThreadPoolExecutor(4) as pool:  # the memory is the same in all threads
            assert list(pool.map(lambda _: store.count(), range(20))) == [1] * 20


def test_a_race_of_the_defaults_is_stored_as_it_is(store: Store) -> None:
    """What the store gives back can be opened in the race: it is the same race of one lane."""
    store.add(run := make_result())
    assert RaceConfig.from_json(store.browse()[0].race.to_json()) == run.race
