"""A server whose metadata is on PostgreSQL, and commands on the same."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import psycopg
import pytest
from running_server import Server, answer_of, eventually, running

if TYPE_CHECKING:
    Postgres = Any
"""`tests/postgres_here.py` gives the fixtures."""

PASSWORD = "s3cret-of-the-database"
EVENT = {"provider": "openai", "request_model": "gpt-4o-mini", "input_tokens": 5, "output_tokens": 2}


def with_password(address: str) -> str:
    return address.replace("taximeter@", f"taximeter:{PASSWORD}@")


DONE_BY_ONE = {"alerts", "detection", "outbox", "exports", "exports by user", "exports of latencies"}
"""The jobs that one of several servers does for all."""


def sent(server: Server, key: str) -> httpx.Response:
    with server.client(key) as client:
        return client.post("/v1/events", json=EVENT)


def made(name: str, scope: str, data: Path, address: str) -> str:
    wanted = ("keys", "create", "--name", name, "--scope", scope, "--data", str(data))
    return str(answer_of(*wanted, TAXIMETER_STORE_METADATA=address)["key"])


def run(address: str, sql: str) -> None:
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(sql.encode())


def elsewhere(server: Server) -> set[str]:
    """The jobs that another server does."""
    with server.client(server.local_token) as client:
        jobs = client.get("/api/v1/status").json()["jobs"]
    return {name for name, job in jobs.items() if job["elsewhere"]}


@pytest.mark.timeout(300)
def test_a_server_goes_on_while_the_database_is_away(own_postgres: Postgres, tmp_path: Path) -> None:
    address = with_password(own_postgres.database())
    before = made("before", "ingest", tmp_path / "elsewhere", address)
    run(address, "INSERT INTO leases VALUES ('alerting', 'another server', 9000000000000000)")
    with running(tmp_path, TAXIMETER_STORE_METADATA=address) as server:
        assert "tm_" not in server.printed, "there are keys already"
        assert sent(server, before).status_code == 202

        assert eventually(lambda: elsewhere(server) == DONE_BY_ONE)
        run(address, "DELETE FROM leases")
        assert eventually(lambda: elsewhere(server) == set())

        own_postgres.stop()
        assert eventually(lambda: httpx.get(f"{server.url}/readyz").status_code == 503)
        ready = httpx.get(f"{server.url}/readyz")
        assert sent(server, before).status_code == 202
        unknown = sent(server, "tm_ingest_0000")
        assert (unknown.status_code, unknown.json()["error"]["code"]) == (503, "store_unavailable")
        called = httpx.post(server.url + "/openai/v1/embeddings", headers={"authorization": "Bearer tm_gateway_00"})
        assert (called.status_code, called.headers["retry-after"]) == (503, "1")
        page = httpx.get(server.url, cookies={f"taximeter-{httpx.URL(server.url).port}": "some-session"})
        assert page.status_code == 503

        own_postgres.start()
        assert eventually(lambda: httpx.get(f"{server.url}/readyz").status_code == 200)
        assert sent(server, made("later", "ingest", tmp_path / "elsewhere", address)).status_code == 202
        assert sent(server, "tm_ingest_0000").status_code == 401
        server.stop()
        assert server.process.stdout is not None
        said = "".join([server.printed, server.process.stdout.read(), ready.text, unknown.text, called.text, page.text])
    assert said.count("cannot do it now") > 2
    assert PASSWORD not in said
    assert not (tmp_path / "metadata.sqlite").exists()
