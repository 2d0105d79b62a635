"""LiteLLM's own database: the same calls as its exported files, and nothing of what was said in them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from taximeter.errors import ConfigurationError, NotFoundError, UnavailableError
from taximeter.ingest.imports.files import RowFile
from taximeter.ingest.imports.registry import FORMATS
from taximeter.ingest.imports.row import Draft, LeftOut, Options, Row, Skipped
from taximeter.ingest.imports.spend_table import SpendTable

if TYPE_CHECKING:
    Postgres = Any
"""`tests/postgres_here.py` gives the fixtures."""

SAMPLE = Path(__file__).parent / "samples" / "litellm.json"
SECRET = "s3cret-of-the-database"

CREATE = """
CREATE TABLE "LiteLLM_SpendLogs" (
    "request_id" TEXT PRIMARY KEY, "call_type" TEXT, "api_key" TEXT,
    "spend" DOUBLE PRECISION, "total_tokens" INTEGER,
    "prompt_tokens" INTEGER, "completion_tokens" INTEGER,
    "startTime" TIMESTAMP(3) NOT NULL, "endTime" TIMESTAMP(3), "completionStartTime" TIMESTAMP(3),
    "model" TEXT, "model_id" TEXT, "model_group" TEXT, "custom_llm_provider" TEXT,
    "api_base" TEXT, "user" TEXT, "end_user" TEXT, "team_id" TEXT, "organization_id" TEXT, "session_id" TEXT,
    "status" TEXT, "cache_hit" TEXT, "cache_key" TEXT, "request_tags" JSONB, "metadata" JSONB,
    "requester_ip_address" TEXT, "messages" JSONB, "response" JSONB, "proxy_server_request" JSONB
)
"""
"""The columns of its schema, all but their defaults; prompts and answers are the last three."""


def filled(address: str, rows: list[dict[str, Any]]) -> None:
    said = {"messages": [{"content": SECRET}], "response": {"content": SECRET}}
    written = json.dumps([{**row, **said} for row in rows])
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(CREATE.encode())
        columns = connection.execute(
            "SELECT string_agg(quote_ident(attname), ', ') FROM pg_attribute "
            "WHERE attrelid = to_regclass('\"LiteLLM_SpendLogs\"') AND attnum > 0"
        ).fetchall()[0][0]
        insert = f'INSERT INTO "LiteLLM_SpendLogs" ({columns}) SELECT {columns} FROM jsonb_populate_recordset'
        connection.execute(f'{insert}(NULL::"LiteLLM_SpendLogs", %s::jsonb)'.encode(), [written])


def records(rows: Iterable[Row | LeftOut]) -> list[dict[str, Any]]:
    """What the rows become, in their order."""
    reader = FORMATS["litellm"].reader(Options(2 * 10**15, {}))
    found = []
    for row in rows:
        assert isinstance(row, Row)
        with suppress(Skipped):
            found += [dict(outcome.record) for outcome in reader.read(row) if isinstance(outcome, Draft)]
    return found


def by_id(found: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {record["event_id"]: record for record in found}


def test_a_row_of_the_database_is_the_same_call_as_in_a_file(postgres_server: Postgres) -> None:
    address = postgres_server.empty()
    filled(address, json.loads(SAMPLE.read_text()))
    with RowFile(SAMPLE) as file, SpendTable(address) as table:
        from_file, from_table = records(file.rows()), records(table.rows())
        assert table.read == table.size == len(json.loads(SAMPLE.read_text()))
    assert by_id(from_table) == by_id(from_file)
    assert len(by_id(from_table)) == len(from_file) > 0


def test_prompts_and_answers_stay_where_they_are(postgres_server: Postgres) -> None:
    address = postgres_server.empty()
    filled(address, json.loads(SAMPLE.read_text()))
    with SpendTable(address) as table:
        assert SECRET not in repr(list(table.rows()))


def test_a_database_without_the_table_says_so(postgres_server: Postgres) -> None:
    with pytest.raises(NotFoundError, match="has no table LiteLLM_SpendLogs"):
        SpendTable(postgres_server.empty())


@pytest.mark.parametrize(
    ("address", "error"),
    [
        (f"postgresql://reader:{SECRET}@127.0.0.1:1/litellm", UnavailableError),
        (f"postgresql://reader:{SECRET}@127.0.0.1:port/litellm?nonsense=1", ConfigurationError),
    ],
)
def test_a_password_is_never_told(address: str, error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        SpendTable(address)
    assert SECRET not in str(caught.value)
