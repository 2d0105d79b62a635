"""A ClickHouse for the tests: the server that `TAXIMETER_TEST_CLICKHOUSE` names, or its engine behind our own."""

from __future__ import annotations

import atexit
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from functools import cache
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from taximeter.store.events import ClickHouseEvents
from taximeter.store.events.clickhouse_client import ClickHouseClient, parse_address
from taximeter.store.events.rollups import LEVELS

REAL_SERVER = os.environ.get("TAXIMETER_TEST_CLICKHOUSE")
"""`clickhouse://USER:PASSWORD@HOST:PORT`, without a database: each store of the tests makes one of its own."""


@cache
def engine_url() -> str:
    """The engine behind our own server, started when it is needed first."""
    folder = tempfile.mkdtemp(prefix="taximeter-clickhouse-")
    program = [sys.executable, str(Path(__file__).with_name("clickhouse_engine.py")), folder]
    process = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdin is not None
    assert process.stdout is not None
    atexit.register(_end, process, folder)
    return f"clickhouse://127.0.0.1:{int(process.stdout.readline())}"


def _end(process: subprocess.Popen[bytes], folder: str) -> None:
    process.kill()  # its engine does not always end when it is asked to
    process.communicate()
    shutil.rmtree(folder, ignore_errors=True)


def faults(*wanted: dict[str, Any]) -> None:
    """See `clickhouse_engine`."""
    address = parse_address(engine_url())
    connection = HTTPConnection(address.host, address.port)
    connection.request("POST", "/faults", json.dumps(wanted))
    connection.getresponse().read()
    connection.close()


def database_of(folder: Path) -> str:
    """The name of a database that belongs to a folder."""
    return "t_" + hashlib.sha256(str(folder).encode()).hexdigest()[:20]


def url_of(folder: Path) -> str:
    return f"{REAL_SERVER or engine_url()}/{database_of(folder)}"


def open_clickhouse(folder: Path, **more: Any) -> ClickHouseEvents:
    return ClickHouseEvents(url_of(folder), writer=str(uuid.uuid4()), **more)


def client_of(store: ClickHouseEvents) -> ClickHouseClient:
    return store._client


def emptied(store: ClickHouseEvents) -> ClickHouseEvents:
    tables = ("events", "superseded_costs", "repricings", "marks", "rollup_dirty", "rollup_units", "deleted_users")
    for table in (*tables, "outcome_facts", "kept_from", *(level.table for level in LEVELS)):
        store._client.write(f"TRUNCATE TABLE {table}")
    return store
