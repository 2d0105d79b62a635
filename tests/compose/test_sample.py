"""The sample history over HTTP, beside a store without a single call of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, cast
from unittest.mock import Mock

import httpx
import pytest

from taximeter.alerts.sources import MeterHealth
from taximeter.clock import SystemClock
from taximeter.compose.alerting import open_alerting
from taximeter.compose.jobs import Jobs
from taximeter.compose.limits import Limiting
from taximeter.compose.sample import KEPT_SECONDS, RULES, SAMPLE_DIRECTORY, STALE_SECONDS, Sample
from taximeter.config.settings import Settings
from taximeter.errors import OnlyASampleError, UnavailableError
from taximeter.pricing import PriceBook, load_price_book
from taximeter.server.access import Access, Caller
from taximeter.server.api import build_api
from taximeter.server.parts import Parts
from taximeter.server.routes.dependencies import SAMPLE
from taximeter.simulator.traffic import story
from taximeter.simulator.traffic.product import GOALS
from taximeter.store.events import DuckDBEvents
from taximeter.store.metadata import Metadata

MONTH: Final = {"from": "30d", "timezone": "UTC"}


class Credentials:
    """A key is named like its scope."""

    def key(self, secret: str) -> Caller | None:
        return Caller("key", secret, secret) if secret in ("read", "admin", "ingest") else None

    def session(self, _token: str) -> Caller | None:
        return None


class Server:
    """The routes over an empty store, with a sample."""

    def __init__(self, data: Path, prices: PriceBook, closing: ExitStack) -> None:
        clock = SystemClock()
        self.store = DuckDBEvents(data / "events.duckdb")
        closing.callback(self.store.close)
        self.metadata = Metadata(data / "metadata.sqlite")
        closing.callback(self.metadata.close)
        self.sample = Sample(data, lambda: prices, clock)
        closing.callback(self.sample.close)
        settings = Settings()
        others = dict.fromkeys(("live", "keys", "status", "settings", "sign_in_url"))
        parts = Parts(
            **cast(Any, others),
            store=self.store,
            access=Access(Credentials(), local_token="local", cookie="taximeter"),
            clock=clock,
            prices=lambda: prices,
            calculator_uses=self.metadata.calculator_uses,
            limits=Limiting(settings, self.metadata.limits, lambda: prices, clock, self.store).desk,
            alerting=open_alerting(settings, self.store, self.metadata, MeterHealth, clock, Jobs(clock), lambda: ""),
            sample=self.sample,
        )
        self.app = build_api(parts, "1.0")

    def ask(
        self, method: str, path: str, body: Any = None, key: str = "read", *, sample: bool = True
    ) -> httpx.Response:
        return asyncio.run(self._ask(method, f"/api/v1{path}", body, key, {SAMPLE: "1"} if sample else {}))

    async def _ask(self, method: str, path: str, body: Any, key: str, params: dict[str, str]) -> httpx.Response:
        headers = {"authorization": f"Bearer {key}"}
        url = httpx.URL(path)
        transport = httpx.ASGITransport(self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=headers) as client:
            return await client.request(method, url.copy_merge_params(params), json=body)

    def query(self, sample: bool = True, /, **question: Any) -> dict[str, Any]:
        answer = self.ask("POST", "/query", {"measures": ["calls", "cost_usd"], **MONTH, **question}, sample=sample)
        assert answer.status_code == 200, answer.text
        return cast(dict[str, Any], answer.json())


@pytest.fixture(scope="module")
def prices(tmp_path_factory: pytest.TempPathFactory) -> PriceBook:
    settings = Settings().prices
    return load_price_book(settings.overrides, tmp_path_factory.mktemp("prices"), settings.prefer_reported)


@pytest.fixture(scope="module")
def server(prices: PriceBook, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with ExitStack() as closing:
        yield Server(tmp_path_factory.mktemp("empty"), prices, closing)


@pytest.mark.parametrize("by", ["feature", "team", "user_id", "model", "provider"])
def test_a_question_is_answered_and_its_rows_add_up_to_its_total(server: Server, by: str) -> None:
    answer = server.query(group_by=[by], limit=5)
    assert answer["totals"]["calls"] > 10_000
    assert sum(row["calls"] for row in answer["rows"]) == answer["totals"]["calls"]
    assert sum(Decimal(row["cost_usd"]) for row in answer["rows"]) == Decimal(answer["totals"]["cost_usd"]) > 0


def test_what_its_calls_led_to_is_set_against_their_cost(server: Server) -> None:
    answer = server.ask("GET", "/questions/outcomes?from=30d&group_by=feature").json()
    reached = {row["feature"]: row for row in answer["rows"] if row["outcome"] is not None}
    assert reached.keys() == {name for name, goal in GOALS.items() if goal is not None}
    assert Decimal(reached["smart-reply"]["margin_usd"]) > 0
    assert reached["translate-article"]["value_usd"] is None


def test_a_call_costs_what_its_price_book_says(server: Server) -> None:
    [call, *_] = server.ask("GET", "/events?status=ok&feature=coding-agent&limit=1").json()["events"]
    explained = server.ask("GET", f"/prices/explain?event_id={call['event_id']}").json()
    assert explained["stored"]["cost_usd"] == explained["cost_usd"]
    assert Decimal(explained["cost_usd"]) > 0


def test_some_calls_have_no_price_and_say_so(server: Server) -> None:
    totals = server.query(measures=["calls", "unpriced_calls", "errors"])["totals"]
    assert 0 < totals["unpriced_calls"] < totals["calls"] / 10
    assert totals["errors"] > 0


def test_why_finds_who_looped_yesterday(server: Server) -> None:
    users = server.query(group_by=["user_id"], limit=1, order_by="-cost_usd", **{"from": "24h"})["rows"]
    assert users[0]["user_id"] == story.LOOPING_USER
    answer = server.ask("POST", "/why", {"from": "24h"})
    assert story.LOOPING_USER in answer.text


@pytest.mark.parametrize(("rule", "least", "most"), [(RULES[0], 1, 1), (RULES[1], 1, 2), (RULES[2], 1, 6)])
def test_a_rule_says_when_it_would_have_fired(server: Server, rule: Any, least: int, most: int) -> None:
    told = server.ask("POST", "/rules/preview", {"rule": dict(rule), "since": "30d"}).json()
    assert least <= told["count"] <= most


def test_a_limit_says_what_it_would_have_refused(server: Server) -> None:
    limit = {
        "name": "tried",
        "scope": {"user_id": story.LOOPING_USER},
        "measure": "cost_usd",
        "limit": "1",
        "window": "day",
    }
    told = server.ask("POST", "/limits/simulate", {"limit": limit, "since": "7d"})
    assert told.status_code == 200, told.text
    assert told.json()["refused_calls"] > 0


def test_it_has_rules_limits_and_an_incident_to_look_at(server: Server) -> None:
    assert {one["name"] for one in server.ask("GET", "/rules").json()["rules"]} == {rule["name"] for rule in RULES}
    assert len(server.ask("GET", "/limits").json()["limits"]) == 2
    [incident, *_] = server.ask("GET", "/alerts").json()["incidents"]
    assert server.ask("GET", f"/alerts/{incident['incident_id']}").json()["notifications"] == []


ONLY_QUESTIONS: Final = {
    ("POST", "/api/v1/query"),
    ("POST", "/api/v1/query/sql"),
    ("POST", "/api/v1/sql"),
    ("POST", "/api/v1/why"),
    ("POST", "/api/v1/chargeback"),
    ("POST", "/api/v1/reconcile"),
    ("POST", "/api/v1/forecast"),
    ("POST", "/api/v1/calculator"),
    ("POST", "/api/v1/what-if"),
    ("POST", "/api/v1/prices/unpriced"),
    ("POST", "/api/v1/prices/caching"),
    ("POST", "/api/v1/prices/differences"),
    ("POST", "/api/v1/limits/simulate"),
    ("POST", "/api/v1/rules/preview"),
    ("POST", "/api/v1/rules/backtest"),
}
"""What is no plain read by its method, and yet changes nothing."""
OF_THE_SERVER: Final = {("POST", "/v1/events"), ("POST", "/v1/traces"), ("POST", "/v1/logs")}
"""Described with the API, and served before it."""


def writing() -> list[tuple[str, str]]:
    paths = build_api(None, "1.0").openapi()["paths"]
    every = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    return sorted({one for one in every if one[0] != "GET"} - ONLY_QUESTIONS - OF_THE_SERVER)


@pytest.mark.parametrize(("method", "path"), writing())
def test_what_writes_is_refused_in_the_sample(server: Server, method: str, path: str) -> None:
    there = path.removeprefix("/api/v1").replace("{", "").replace("}", "")
    answer = server.ask(method, there, {} if method == "POST" else None, "admin")
    assert (answer.status_code, answer.json()["error"]["code"]) == (OnlyASampleError.http_status, "only_a_sample")
    assert "leave the sample" in answer.json()["error"]["hint"]


def test_nothing_of_it_is_among_ones_own(server: Server) -> None:
    calculated = server.ask("POST", "/calculator", CALCULATION)
    assert calculated.status_code == 200, calculated.text
    assert server.query(False)["totals"]["calls"] == 0
    for path, name in OWN_LISTS:
        assert server.ask("GET", path, sample=False).json()[name] == [], path
    assert server.ask("GET", "/calculator/uses").json()["uses"] != []


CALCULATION: Final = {"model": "gpt-4o", "calls_per_day": 10, "input_tokens": 100, "output_tokens": 10}
OWN_LISTS: Final = (
    ("/events", "events"),
    ("/rules", "rules"),
    ("/limits", "limits"),
    ("/alerts?state=all", "incidents"),
    ("/calculator/uses", "uses"),
)


def test_a_stranger_gets_nothing_made(prices: PriceBook, tmp_path: Path) -> None:
    with ExitStack() as closing:
        server = Server(tmp_path, prices, closing)
        assert server.ask("GET", "/events", key="stranger").status_code == 401
        assert not (tmp_path / SAMPLE_DIRECTORY).exists()


def test_the_sample_has_no_live_stream(server: Server) -> None:
    assert server.ask("GET", "/live").status_code == 503


# ── how long it is there ──────────────────────────────────────────────────────


@pytest.fixture
def few_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(story, "CALLS_PER_DAY", 20)


class Moving:
    """The machine's time, and a stop watch that is moved by hand."""

    seconds = 0.0

    def now_us(self) -> int:
        return SystemClock().now_us()

    def monotonic(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Moving:
    return Moving()


@pytest.fixture
def sample(tmp_path: Path, prices: PriceBook, clock: Moving, few_calls: None) -> Iterator[Sample]:
    made = Sample(tmp_path, lambda: prices, clock)
    yield made
    made.close()


def test_those_who_ask_together_get_the_same_one(sample: Sample) -> None:
    with ThreadPoolExecutor(4) as asking:
        made = list(asking.map(lambda _: sample(), range(4)))
    assert all(one is made[0] for one in made)


def test_it_is_let_go_of_when_nobody_asks(sample: Sample, clock: Moving, tmp_path: Path) -> None:
    made = sample()
    clock.seconds += KEPT_SECONDS - 1
    sample.let_go()
    assert sample() is made
    clock.seconds += KEPT_SECONDS + 1
    sample.let_go()
    assert not (tmp_path / SAMPLE_DIRECTORY).exists()
    assert sample() is not made


def test_it_is_made_anew_when_it_is_old_although_somebody_asks(sample: Sample, clock: Moving) -> None:
    made = sample()
    for _ in range(5):
        clock.seconds += STALE_SECONDS / 4
        again = sample()
        sample.let_go()
    assert again is made
    assert sample() is not made


def test_the_end_leaves_nothing_behind(sample: Sample, tmp_path: Path) -> None:
    sample()
    sample.close()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UnavailableError):
        sample()


def test_what_a_dead_server_left_is_deleted(prices: PriceBook, tmp_path: Path) -> None:
    (tmp_path / SAMPLE_DIRECTORY).mkdir()
    Sample(tmp_path, lambda: prices, Mock())
    assert list(tmp_path.iterdir()) == []
