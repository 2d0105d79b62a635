"""The routes of findings, over HTTP, beside a real store and real detection: a user's loop on a new prompt version."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from stored_history import NOW, Clock, History

from taximeter.server.access import Access, Caller
from taximeter.server.api import build_api
from taximeter.server.parts import Parts


class Keys:
    """A key is named like its scope."""

    def key(self, secret: str) -> Caller | None:
        return Caller("key", secret, secret) if secret in ("read", "admin", "ingest") else None

    def session(self, _token: str) -> Caller | None:
        return None


class Server:
    """The routes, with the parts that these ones ask for."""

    def __init__(self, history: History, clock: Clock) -> None:
        others = dict.fromkeys(
            ("live", "keys", "status", "settings", "sign_in_url", "prices", "calculator_uses", "limits")
        )
        access = Access(Keys(), local_token="local", cookie="taximeter")
        self.detecting = history.detecting(clock)
        parts = Parts(**cast(Any, others), store=history.store, access=access, clock=clock, anomalies=self.detecting)
        self._app = build_api(parts, "1.0")

    def ask(self, path: str, key: str = "read", **body: Any) -> httpx.Response:
        return asyncio.run(self._ask(f"/api/v1{path}", {"authorization": f"Bearer {key}"}, body))

    async def _ask(self, path: str, headers: dict[str, str], body: dict[str, Any]) -> httpx.Response:
        transport = httpx.ASGITransport(self._app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=headers) as client:
            return await (client.post(path, json=body) if body else client.get(path))


@pytest.fixture(scope="module")
def server(usual_days: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    history = History(shutil.copytree(usual_days, tmp_path_factory.mktemp("findings") / "days"), seed=12)
    history.calls(NOW - 8, NOW, factor=8, user_id="u1", prompt_version="v2")
    made = Server(history, Clock(NOW + 0.1))
    made.detecting.turn()
    yield made
    history.close()


def the_finding(server: Server) -> dict[str, Any]:
    [found] = (server.ask("/findings?state=open")).json()["findings"]
    return cast(dict[str, Any], found)


def test_an_open_finding_says_what_was_seen_and_in_which_band_it_should_be(server: Server) -> None:
    found = the_finding(server)
    assert (found["kind"], found["severity"], found["ended_at"]) == ("volume_spike", "critical", None)
    seen = found["expectation"]
    assert seen["unit"] == "calls"
    assert seen["low"] < seen["expected"] < seen["high"] < seen["actual"]
    assert Decimal(found["excess_usd"]) > 0
    assert found["scope"]["feature"] == "chat"
    assert f"{seen['actual']:g} calls, expected {seen['expected']:g}" in found["summary"]


@pytest.mark.parametrize("path", ["/findings?state=open", "/findings/none", "/nothing"])
def test_no_answer_is_kept_by_a_browser_or_taken_for_a_page(server: Server, path: str) -> None:
    headers = server.ask(path).headers
    assert (headers["cache-control"], headers["x-content-type-options"]) == ("no-store", "nosniff")


def test_its_first_contributor_is_the_cause_then_who_is_behind_it(server: Server) -> None:
    first, *others = (the_finding(server))["contributors"]
    assert (first["dimension"], first["value"]) == ("cause", "volume")
    assert first["share"] > 0.8
    assert {("user_id", "u1"), ("prompt_version", "v2")} <= {(one["dimension"], one["value"]) for one in others}
    assert all(0 < one["share"] <= 1 and Decimal(one["change_usd"]) > 0 for one in others)


def test_its_evidence_sums_to_the_change_to_the_last_digit(server: Server) -> None:
    evidence = (the_finding(server))["evidence"]
    explained = evidence["explained"]
    change = Decimal(explained["actual_usd"]) - Decimal(explained["expected_usd"])
    assert sum(map(Decimal, explained["factors"].values())) == change
    assert evidence["ratio"] > 2.5
    assert evidence["confidence"].startswith("low")


def test_its_page_shows_the_calls_from_before_it_began(server: Server) -> None:
    found = the_finding(server)
    page = (server.ask(f"/findings/{found['finding_id']}")).json()
    assert page["finding"] == found
    assert page["interval"] == "minute"
    times = [point["time"] for point in page["series"]]
    assert times[0] < found["started_at"] < times[-1]
    assert max(point["calls"] for point in page["series"][-9:]) > 4 * max(
        point["calls"] for point in page["series"][:60]
    )


@pytest.mark.parametrize(
    ("path", "key", "body", "status", "code"),
    [
        ("/findings/nothing", "read", {}, 404, "not_found"),
        ("/findings?state=shut", "read", {}, 422, None),
        ("/findings?since=yesterdayish", "read", {}, 422, None),
        ("/findings", "ingest", {}, 403, None),
        ("/findings", "unknown", {}, 401, None),
        ("/findings/nothing/verdict", "read", {"verdict": "confirmed"}, 403, None),
        ("/findings/nothing/verdict", "admin", {"verdict": "confirmed"}, 404, "not_found"),
        ("/findings/nothing/verdict", "admin", {"verdict": "who knows"}, 422, None),
    ],
)
def test_what_is_wrong_is_refused(
    server: Server, path: str, key: str, body: dict[str, str], status: int, code: str | None
) -> None:
    answer = server.ask(path, key, **body)
    assert answer.status_code == status
    assert code in (None, answer.json()["error"]["code"])


def test_an_operator_says_that_it_was_trouble_and_it_stays_open(server: Server) -> None:
    found = the_finding(server)
    judged = (server.ask(f"/findings/{found['finding_id']}/verdict", "admin", verdict="confirmed")).json()
    assert (judged["verdict"], judged["verdict_by"], judged["ended_at"]) == ("confirmed", "key", None)
