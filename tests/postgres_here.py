"""A PostgreSQL for the tests: Debian's own program in a directory and on a port of its own, gone with the session.

Every session of tests reads this file, so it imports what it needs where it needs it.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

NOBODY = "nobody"
"""Who runs it when we are root, as which it refuses to run."""


@dataclass
class Postgres:
    """A cluster whose server can be stopped and started again."""

    programs: Path
    directory: Path
    port: int
    numbers: Iterator[int] = field(default_factory=itertools.count)
    process: subprocess.Popen[bytes] | None = None
    template: str = ""
    shared: str = ""

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://taximeter@127.0.0.1:{self.port}/{database}"

    def empty(self, template: str = "template1") -> str:
        """The URL of a new database."""
        import psycopg

        name = f"test_{next(self.numbers)}"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())
        return self.url(name)

    def database(self) -> str:
        """The URL of a new database whose schema is up to date, which is sooner copied than made."""
        from taximeter.store.metadata import Metadata

        if not self.template:
            made = self.empty()
            Metadata(made).close()
            self.template = made.rpartition("/")[2]
        return self.empty(self.template)

    def emptied(self) -> str:
        """The URL of the one database that tests share which leave its schema alone; nothing is in it."""
        import psycopg

        from taximeter.store.metadata.tables import CHANGES, METADATA

        if not self.shared:
            self.shared = self.database()
        filled = ", ".join(table.name for table in METADATA.sorted_tables if table is not CHANGES)
        with psycopg.connect(self.shared, autocommit=True) as connection:
            connection.execute(f"TRUNCATE {filled} RESTART IDENTITY".encode())
            connection.execute("UPDATE changes SET number = 0")
        return self.shared

    def start(self) -> None:
        settings = {"port": self.port, "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off"}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        program = [self.programs / "postgres", "-D", self.directory, *options]
        self.process = subprocess.Popen(program, cwd=self.directory, stderr=subprocess.DEVNULL, **unprivileged())
        self._answers()

    def stop(self) -> None:
        """At once: whoever is connected is thrown out."""
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(timeout=60)

    def _answers(self) -> None:
        import psycopg

        end = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(self.url()).close()
            except psycopg.OperationalError:
                assert time.monotonic() < end, "PostgreSQL did not start"
                time.sleep(0.05)
            else:
                return


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """The one of this session, shared: whoever stops it starts it again."""
    with _running() as server:
        yield server


@pytest.fixture
def postgres_database(postgres_server: Postgres) -> str:
    """The URL of a database with the tables of metadata and nothing in them. Leave its schema alone."""
    return postgres_server.emptied()


@pytest.fixture
def own_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """One that a test may stop."""
    with _running() as server:
        yield server


@contextmanager
def _running() -> Iterator[Postgres]:
    with tempfile.TemporaryDirectory(prefix="taximeter-postgres-") as folder:
        server = _made(Path(folder) / "cluster")
        server.start()
        try:
            yield server
        finally:
            server.stop()


def _made(directory: Path) -> Postgres:
    programs = _programs()
    directory.parent.chmod(0o755)
    directory.mkdir()
    if os.geteuid() == 0:
        shutil.chown(directory, NOBODY)
    arguments = [
        "--username=taximeter",
        "--auth=trust",
        "--encoding=UTF8",
        "--no-locale",
        "--no-sync",
        "--no-instructions",
    ]
    command = [programs / "initdb", "-D", directory, *arguments]
    subprocess.run(command, check=True, cwd=directory, stdout=subprocess.DEVNULL, **unprivileged())
    return Postgres(programs, directory, _free_port())


def _programs() -> Path:
    here = shutil.which("initdb")
    found = [Path(here)] if here else sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("no PostgreSQL on this machine (scripts/ensure_programs.py installs it)")
    return found[-1].parent


def unprivileged() -> dict[str, Any]:
    return {"user": NOBODY, "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
