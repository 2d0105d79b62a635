"""The OData feed: what the protocol wants, the same sums as the store, and a real client that reads it."""

from __future__ import annotations

import asyncio
import base64
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from decimal import Decimal
from random import Random
from typing import Any, cast
from xml.etree import ElementTree

import httpx
import msgspec
import pytest
import uvicorn
from api_here import Keys
from export_rig import START_US, World
from fastapi import FastAPI
from odata.service import ODataService

from taximeter.clock import rfc3339
from taximeter.errors import QueryStoppedError, UsageError
from taximeter.exporters.days import DAY_US
from taximeter.exporters.odata import reading
from taximeter.exporters.odata.filters import DEEPEST, read_filter
from taximeter.exporters.odata.tables import DATE, MEASURES, MOMENT, MONEY, TABLES, TEXT
from taximeter.server.access import Access
from taximeter.server.api import build_api
from taximeter.server.parts import Parts
from taximeter.store.events import Query
from taximeter.store.events.instants import LATEST_US
from taximeter.store.events.port import Retention

ROOT = "http://127.0.0.1/odata/v1/"
TODAY, TOMORROW = rfc3339(START_US)[:10], rfc3339(START_US + DAY_US)[:10]
YESTERDAY = rfc3339(START_US - DAY_US)[:10]
BEARER = {"authorization": "Bearer read"}


def api_of(here: World, **given: Any) -> FastAPI:
    access = Access(Keys(), local_token="local", cookie="taximeter")
    others = dict.fromkeys(part.name for part in fields(Parts))
    return build_api(
        Parts(**cast(Any, {**others, "store": here.store, "access": access, "clock": here.clock, **given})), "1.0"
    )


def ask(here: World, url: str, headers: Any = BEARER, **options: str) -> httpx.Response:
    transport = httpx.ASGITransport(api_of(here))

    async def answered() -> httpx.Response:
        async with httpx.AsyncClient(transport=transport, base_url=ROOT, headers=headers) as client:
            return await client.get(url, params={f"${name}": value for name, value in options.items()} or None)

    return asyncio.run(answered())


def body(here: World, url: str, **options: str) -> dict[str, Any]:
    answer = ask(here, url, **options)
    assert answer.status_code == 200, answer.text
    assert answer.headers["odata-version"] == "4.0"
    found: dict[str, Any] = msgspec.json.decode(answer.content, type=dict[str, Any])
    return found


def rows(here: World, table: str, **options: str) -> list[dict[str, Any]]:
    """All rows, page by page."""
    found = body(here, table, **options)
    gathered: list[dict[str, Any]] = list(found["value"])
    while link := found.get("@odata.nextLink"):
        found = body(here, link)
        gathered += found["value"]
    return gathered


def error(here: World, url: str, **options: str) -> tuple[int, str]:
    answer = ask(here, url, **options)
    said = answer.json()["error"]
    assert set(said) == {"code", "message"}
    return answer.status_code, said["code"]


# ── documents ──────────────────────────────────────────────────────────────────────────────────────────────


def test_the_service_document_names_every_table(here: World) -> None:
    found = body(here, "")
    assert found["@odata.context"] == ROOT + "$metadata"
    assert [one["url"] for one in found["value"]] == list(TABLES)


def test_addresses_are_those_behind_which_people_reach_the_server(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "PAGE_ROWS", 1)
    for day in range(2):
        here.call(at_us=here.clock.at_us - day * DAY_US)
    transport = httpx.ASGITransport(api_of(here, public_url="https://spend.example.com/meter"))

    async def answered() -> httpx.Response:
        async with httpx.AsyncClient(transport=transport, base_url=ROOT, headers=BEARER) as client:
            return await client.get("daily_costs_by_team")

    found = asyncio.run(answered()).json()
    for name in ("@odata.context", "@odata.nextLink"):
        assert found[name].startswith("https://spend.example.com/meter/odata/v1/")


def test_the_metadata_types_every_column_of_every_row(here: World) -> None:
    here.call()
    document = ElementTree.fromstring(ask(here, "$metadata").content)
    edm = "{http://docs.oasis-open.org/odata/ns/edm}"
    sets = {one.get("Name"): str(one.get("EntityType")).split(".")[1] for one in document.iter(edm + "EntitySet")}
    entities = {one.get("Name"): one for one in document.iter(edm + "EntityType")}
    assert list(sets) == list(TABLES)
    for table, entity in sets.items():
        described = [one.get("Name") for one in entities[entity].iter(edm + "Property")]
        (row,) = rows(here, str(table))
        assert list(row) == described


# ── rows ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("table", [name for name in TABLES if name != "events"])
def test_every_table_by_day_adds_up_to_the_store(here: World, table: str) -> None:
    here.traffic(Random(5), 300)
    asked = Query(from_us=0, to_us=LATEST_US, measures=tuple(MEASURES))
    stored = here.store.query(asked).totals
    found = _decimal_rows(here, table)
    for measure in MEASURES:
        assert sum((row[measure] or 0 for row in found), Decimal(0)) == Decimal(stored[measure]), measure


def _decimal_rows(here: World, table: str) -> list[dict[str, Any]]:
    accept = {**BEARER, "accept": "application/json;IEEE754Compatible=true"}
    found = ask(here, table, accept).json()["value"]
    return [{**row, **{name: None if row[name] is None else Decimal(row[name]) for name in MEASURES}} for row in found]


def test_what_is_not_set_is_the_empty_text_and_what_is_not_known_is_null(here: World) -> None:
    here.call(feature=None, cost_usd=None, unpriced_reason="unknown_model")
    (row,) = rows(here, "daily_costs_by_feature")
    assert (row["date"], row["feature"], row["cost_usd"], row["unpriced_calls"]) == (TODAY, "", None, 1)


def test_numbers_come_as_text_to_whom_floating_point_is_not_enough(here: World) -> None:
    here.call(cost_usd="0.000000000001")
    accept = {**BEARER, "accept": "application/json;IEEE754Compatible=true"}
    (row,) = ask(here, "daily_costs_by_team", accept).json()["value"]
    assert (row["cost_usd"], row["calls"]) == ("0.000000000001", "1")
    (row,) = body(here, "daily_costs_by_team")["value"]
    assert (row["cost_usd"], row["calls"]) == (1e-12, 1)


def test_pages_follow_each_other_and_lose_nothing(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "PAGE_ROWS", 3)
    monkeypatch.setattr(reading, "MOST_EVENTS", 4)
    here.traffic(Random(6), 30)
    ids = [row["event_id"] for row in rows(here, "events", select="event_id")]
    assert len(set(ids)) == len(ids) == 30
    first = body(here, "events", select="event_id")
    assert "@odata.nextLink" in first
    assert len(first["value"]) == 4
    by_day = rows(here, "daily_costs_by_user")
    assert [(row["date"], row["user_id"]) for row in by_day] == sorted((row["date"], row["user_id"]) for row in by_day)
    assert [row["event_id"] for row in rows(here, "events", select="event_id", skip="5", top="11")] == ids[5:16]


def test_a_filter_that_lets_little_through_ends_a_page_and_goes_on(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MOST_SCANNED", 8)
    monkeypatch.setattr(reading, "MOST_EVENTS", 4)
    here.traffic(Random(6), 30)
    wanted = here.call(user_id="the one", at_us=START_US - 2 * DAY_US)
    asked = {"filter": "user_id eq 'the one'", "select": "event_id"}
    assert len(body(here, "events", **asked)["value"]) == 0
    assert rows(here, "events", **asked) == [{"event_id": wanted}]


def test_select_order_top_skip_and_count(here: World) -> None:
    for number, feature in enumerate(("c", "a", "b")):
        here.call(feature=feature, cost_usd=str(number + 1))
    found = body(
        here, "daily_costs_by_feature", select="feature,cost_usd", orderby="cost_usd desc", top="2", count="true"
    )
    assert found["@odata.context"] == ROOT + "$metadata#daily_costs_by_feature(feature,cost_usd)"
    assert found["@odata.count"] == 3
    assert [row["feature"] for row in found["value"]] == ["b", "a"]
    assert [row["feature"] for row in rows(here, "daily_costs_by_feature", skip="1")] == ["b", "c"]
    assert ask(here, "daily_costs_by_feature/$count").text == "3"
    assert ask(here, "events/$count", filter=f"started_at ge {TOMORROW}").text == "0"
    assert ask(here, "events/$count").text == "3"


@pytest.mark.parametrize(
    ("wanted", "features"),
    [
        (f"date ge {TODAY} and date lt {TOMORROW}", ["a", "b"]),
        (f"date gt {TODAY}", ["c"]),
        (f"{TODAY} lt date", ["c"]),
        (f"date eq {TODAY} and feature ne 'a'", ["b"]),
        (f"date gt {TOMORROW}", []),
        ("feature eq 'a' or cost_usd ge 3", ["a", "c"]),
        ("not (feature eq 'a') and calls eq 1", ["b", "c"]),
        ("feature in ('a','c')", ["a", "c"]),
        ("startswith(feature,'b') or endswith(feature,'c')", ["b", "c"]),
        ("contains(feature,'''')", []),
        ("cost_usd eq null", []),
        ("cost_usd ne null and cost_usd lt 2.5", ["a", "b"]),
    ],
)
def test_filters(here: World, wanted: str, features: list[str]) -> None:
    here.call(feature="a", cost_usd="1")
    here.call(feature="b", cost_usd="2")
    here.call(feature="c", cost_usd="3", at_us=START_US + DAY_US)
    assert [row["feature"] for row in rows(here, "daily_costs_by_feature", filter=wanted)] == features


COLUMNS = {"date": DATE, "feature": TEXT, "started_at": MOMENT, "cost_usd": MONEY}


def test_a_moment_is_the_same_in_every_zone() -> None:
    row = {"started_at": "2026-11-01T00:00:00.5Z"}
    for text in ("2026-11-01T00:00:00.500000Z", "2026-11-01T01:00:00.5+01:00"):
        assert read_filter(f"started_at eq {text}", COLUMNS).of(row)
    assert read_filter("started_at gt 2026-11-01", COLUMNS).of(row)


@pytest.mark.parametrize(
    "text",
    ["", "feature", "feature eq", "feature eq 'a", "feature eq 1", "date gt 'x'", "nothing eq 1", "(feature eq 'a'",
     "feature eq 'a') or (", "feature eq 'a' feature", "date gt 2026-13-01", "not feature", "feature in ()",
     "contains(cost_usd,'1')", "#", "not " * (DEEPEST + 2) + "true", "(" * (DEEPEST + 2),
     "contains(" * 800, "cost_usd eq 1e9999999999999999999"],
)  # fmt: skip
def test_what_is_no_filter_is_refused_with_words(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        read_filter(text, COLUMNS)
    assert "$filter" in refused.value.message


# ── refusals ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("url", "options", "refused"),
    [
        ("events", {"expand": "x"}, (501, "not_implemented")),
        ("events", {"apply": "x"}, (501, "not_implemented")),
        ("events", {"filter": "year(started_at) eq 2026"}, (501, "not_implemented")),
        ("events('x')", {}, (501, "not_implemented")),
        ("events/$count", {"filter": "feature eq 'a'"}, (501, "not_implemented")),
        ("nothing", {}, (404, "not_found")),
        ("events", {"filter": "nothing eq 1"}, (400, "usage")),
        ("events", {"select": "nothing"}, (400, "usage")),
        ("events", {"orderby": "cost_usd down"}, (400, "usage")),
        ("events", {"top": "-1"}, (400, "usage")),
        ("events", {"count": "yes"}, (400, "usage")),
        ("events", {"skiptoken": "nonsense"}, (400, "usage")),
        ("daily_costs_by_user", {"skiptoken": "nonsense"}, (400, "usage")),
        ("events", {"format": "atom"}, (415, "unsupported_format")),
    ],
)
def test_refusals_have_the_form_of_the_protocol(
    here: World, url: str, options: dict[str, str], refused: tuple[int, str]
) -> None:
    assert error(here, url, **options) == refused


def test_days_of_which_a_table_no_longer_has_the_sums_are_not_in_it(here: World) -> None:
    for days in (100, 1, 0):
        here.call(at_us=START_US - days * DAY_US)
    here.store.roll_up(LATEST_US)
    here.store.expire(Retention({"events": 7, "hours": 30}), START_US)
    assert [row["calls"] for row in rows(here, "daily_costs_by_team")] == [1, 1, 1]
    assert [row["date"] for row in rows(here, "daily_costs_by_feature")] == [YESTERDAY, TODAY]
    assert ask(here, "daily_costs_by_feature/$count").text == "2"


def test_as_many_events_are_counted_as_are_kept(here: World) -> None:
    for days in (100, 1, 0):
        here.call(at_us=START_US - days * DAY_US)
    here.store.roll_up(LATEST_US)
    here.store.expire(Retention({"events": 7}), START_US)
    assert len(rows(here, "events")) == 2
    assert ask(here, "events/$count").text == "2"
    assert body(here, "events", count="true")["@odata.count"] == 2


def test_too_many_rows_to_sort_are_told_and_not_cut(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MOST_SORTED", 5)
    here.traffic(Random(7), 10)
    assert error(here, "events", orderby="cost_usd") == (400, "usage")


@pytest.mark.parametrize("url", ["daily_costs_by_team", "daily_costs_by_team/$count", "events", "events/$count"])
def test_a_question_that_the_store_stopped_is_told_as_such(
    here: World, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: Any, **__: Any) -> Any:
        raise QueryStoppedError("the query was stopped: it took too long", hint="ask for less")

    for name in ("query", "events"):
        monkeypatch.setattr(here.store, name, stopped)
    assert error(here, url) == (504, "query_stopped")


@pytest.mark.parametrize(("user", "password"), [("anything", "read"), ("read", "")])
def test_a_key_comes_as_the_password_too(here: World, user: str, password: str) -> None:
    basic = base64.b64encode(f"{user}:{password}".encode()).decode()
    assert ask(here, "", {"authorization": f"Basic {basic}"}).status_code == 200


@pytest.mark.parametrize("authorization", ["", "Basic", "Basic !!!", "Basic " + base64.b64encode(b"a:b").decode()])
def test_without_a_key_a_name_and_password_are_asked_for(here: World, authorization: str) -> None:
    answer = ask(here, "", {"authorization": authorization})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Basic")
    assert ask(here, "events", {"authorization": "Bearer ingest"}).status_code == 403


# ── a client of the protocol ───────────────────────────────────────────────────────────────────────────────


@contextmanager
def served(here: World) -> Iterator[str]:
    """The feed on a port of this machine."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(api_of(here), lifespan="off", log_config=None))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/odata/v1/"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


@contextmanager
def reading_client(url: str) -> Iterator[ODataService]:
    """A client that made its classes from the metadata, with the key as its password."""
    service = ODataService(url, auth=("excel", "read"), reflect_entities=True, quiet_progress=True)
    try:
        yield service
    finally:
        service.default_context.connection.session.close()


def test_a_client_reads_the_metadata_the_rows_and_the_filters(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "PAGE_ROWS", 2)
    for number, feature in enumerate(("a", "b", "c")):
        here.call(feature=feature, cost_usd=str(number + 1), at_us=START_US + number * DAY_US)
    with served(here) as url, reading_client(url) as service:
        entity = service.entities["daily_costs_by_feature"]
        everything = list(service.query(entity).all())
        assert {(row.feature, row.cost_usd, row.calls) for row in everything} == {("a", 1, 1), ("b", 2, 1), ("c", 3, 1)}
        dear = service.query(entity).filter(entity.cost_usd >= 2).filter(entity.feature != "c")
        assert [row.feature for row in dear] == ["b"]
        newest = service.query(entity).order_by(entity.cost_usd.desc()).limit(1)
        assert [row.feature for row in newest] == ["c"]
