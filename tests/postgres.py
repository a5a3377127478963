"""A PostgreSQL server that the tests start: Debian's package `postgresql`, run by an unprivileged user in a new folder."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

USERS = ("postgres", "nobody")  # whom a server started by root runs as: it refuses root itself


def find_programs() -> Path | None:
    """The folder of `initdb` and `postgres`, of the newest version there is."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    found = [folder for folder in folders if (folder / "initdb").exists() and (folder / "postgres").exists()]
    if not found and (program := shutil.which("initdb")):
        found = [Path(program).resolve().parent]
    return found[0] if found else None


@dataclass
class Postgres:
    """A running server, reached by a socket in `folder`; no port of the machine is taken."""

    process: subprocess.Popen
    folder: Path

    def address(self, name: str = "postgres") -> str:
        return f"postgresql://tests@/{name}?host={self.folder}"

    def make_database(self, name: str) -> str:
        import psycopg

        with psycopg.connect(self.address(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.address(name)


@contextlib.contextmanager
def run_postgres(programs: Path) -> Iterator[Postgres]:
    """A new server, gone at the end."""
    with tempfile.TemporaryDirectory(prefix="pg") as name:  # short: a socket's path has at most 107 characters
        folder, user = Path(name), {}
        if os.geteuid() == 0:
            account = next(pwd.getpwnam(known) for known in USERS if known in {entry.pw_name for entry in pwd.getpwall()})
            os.chown(folder, account.pw_uid, account.pw_gid)
            user = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        make = [programs / "initdb", "-D", folder / "data", "-U", "tests", "-A", "trust", "-E", "UTF8", "--no-locale", "-N"]
        subprocess.run(make, check=True, stdout=subprocess.DEVNULL, cwd=folder, **user)
        serve = [programs / "postgres", "-D", folder / "data", "-k", folder, "-h", "", "-F"]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(serve, stdout=log, stderr=log, cwd=folder, **user)
        try:
            wait_ready(server := Postgres(process, folder))
            yield server
        finally:
            process.send_signal(signal.SIGINT)  # ends it with all its connections
            process.wait(30)


def wait_ready(server: Postgres, seconds: float = 60) -> None:
    import psycopg

    began = time.monotonic()
    while True:
        try:
            return psycopg.connect(server.address(), connect_timeout=5).close()
        except psycopg.OperationalError:
            log = (server.folder / "log").read_text(errors="replace")
            assert server.process.poll() is None and time.monotonic() - began < seconds, f"PostgreSQL did not start: {log}"
            time.sleep(0.05)
