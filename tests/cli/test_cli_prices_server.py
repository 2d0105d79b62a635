"""`/api/v1/prices`: what a model costs, what a stored call rests on, and prices that change while the server runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from running_server import Server, answer_of, eventually, running, taximeter

from taximeter.core.ids import uuid7

EVENT: dict[str, Any] = {
    "event_id": uuid7(1780000000000, bytes(10)),
    "started_at": "2026-05-28T20:26:40Z",
    "provider": "anthropic",
    "request_model": "claude-sonnet-4-6",
    "input_tokens": 10_000,
    "cache_read_tokens": 8_000,
    "output_tokens": 100,
    "units": {"web_searches": 1},
    "team": "core",
    "status": "ok",
}

OTHER = EVENT | {"event_id": uuid7(1781000000000, bytes(10)), "started_at": "2026-06-09T10:13:20Z", "team": "legal"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data = tmp_path_factory.mktemp("prices") / "data"
    config = data.with_name("taximeter.yaml")
    config.write_text("{}")
    with running(data, "--config", str(config)) as server:
        with server.client(server.first_key("ingest")) as client:
            assert client.post("/v1/events", json=[EVENT, OTHER]).json()["accepted"] == 2
        yield server


def rates(server: Server, **asked: str) -> dict[str, str]:
    with server.client(server.local_token) as client:
        answer = client.get("/api/v1/prices", params=asked)
        assert answer.status_code == 200, answer.text
        (row,) = answer.json()["prices"]
    return {rate["rate"]: rate["usd"] for rate in row["rates"]}


def test_every_rate_of_a_model_at_a_time(server: Server) -> None:
    assert rates(server, model="gpt-4o", at="2024-06-01")["input"] == "5"
    assert rates(server, model="gpt-4o", at="2024-11-01", tier="batch")["output"] == "5"


def test_a_wrong_time_is_named(server: Server) -> None:
    with server.client(server.local_token) as client:
        answer = client.get("/api/v1/prices", params={"model": "gpt-4o", "at": "soon"})
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, "at")


def test_a_stored_call_explains_its_cost(server: Server) -> None:
    def told() -> dict[str, Any] | None:
        with server.client(server.local_token) as client:
            answer = client.get("/api/v1/prices/explain", params={"event_id": EVENT["event_id"]})
            found: dict[str, Any] = answer.json()
            return found if answer.status_code == 200 else None

    explained = eventually(told)
    assert explained is not None
    assert explained["cost_usd"] == explained["stored"]["cost_usd"] == "0.0199"
    assert [(line["name"], line["quantity"], line["amount_usd"]) for line in explained["lines"]] == [
        ("input", "2000", "0.006"),
        ("cache_read", "8000", "0.0024"),
        ("output", "100", "0.0015"),
        ("web_searches", "1", "0.01"),
    ]
    assert explained["cache_saving_usd"] == "0.0216"


def test_an_event_that_is_not_there_is_404(server: Server) -> None:
    with server.client(server.local_token) as client:
        answer = client.get("/api/v1/prices/explain", params={"event_id": uuid7(1, bytes(10))})
    assert answer.status_code == 404


def test_a_stored_call_is_priced_again_while_the_server_runs(server: Server) -> None:
    set_ = ["prices", "set", "claude-sonnet-4-6", "--provider", "anthropic", "--input", "1", "--output", "2"]
    assert taximeter(*set_, "--team", "legal", "--data", str(server.data)).returncode == 0
    assert eventually(lambda: rates(server, model="anthropic/claude-sonnet-4-6", team="legal")["input"] == "1")
    run = ("prices", "reprice", "--from", "2026-06-09", "--to", "2026-06-10", "--note", "contract 4711")
    told = answer_of(*run, "--dry-run", "--data", str(server.data))
    written = answer_of(*run, "--data", str(server.data))
    assert (told["state"], written["state"], written["asked_by"]) == ("done", "done", "this machine's user")
    assert written["outcome"] == told["outcome"]
    (row,) = written["outcome"]["by"]
    assert (row["day"], row["model"], row["old_cost_usd"]) == ("2026-06-09", "claude-sonnet-4-6", "0.0199")
    history = answer_of("prices", "history", str(OTHER["event_id"]), "--data", str(server.data))
    assert history["current"]["cost_usd"] == row["new_cost_usd"]
    assert [(old["cost_usd"], old["note"]) for old in history["superseded"]] == [("0.0199", "contract 4711")]
    printed = taximeter("prices", "history", str(OTHER["event_id"]), "--data", str(server.data)).stdout
    assert "contract 4711" in printed


def test_an_unpriced_call_is_priced_by_itself_when_its_price_comes(server: Server) -> None:
    late = OTHER | {"event_id": uuid7(1781000000001, bytes(10)), "provider": "acme", "request_model": "house-7b"}
    late |= {"units": {}, "team": "core"}
    with server.client(server.first_key("ingest")) as client:
        assert client.post("/v1/events", json=late).json()["accepted"] == 1
    data = ("--data", str(server.data))

    def rows() -> list[dict[str, Any]]:
        return list(answer_of("prices", "unpriced", *data)["rows"])

    assert eventually(lambda: [(row["model"], row["unpriced_tokens"]) for row in rows()] == [("house-7b", 10_100)])
    assert "house-7b" in taximeter("prices", "unpriced", *data).stdout
    set_ = ("prices", "set", "house-7b", "--provider", "acme", "--input", "1", "--output", "2")
    assert taximeter(*set_, *data).returncode == 0
    assert eventually(lambda: rows() == [])
    history = answer_of("prices", "history", str(late["event_id"]), *data)
    assert (history["current"]["cost_usd"], history["superseded"][0]["asked_by"]) == ("0.0102", "taximeter")
    caching = answer_of("prices", "caching", "--since", "2026-01-01", "--by", "model", *data)
    assert caching["totals"]["cache_hits"] == 3
    assert "claude-sonnet-4-6" in taximeter("prices", "caching", "--since", "2026-01-01", *data).stdout


def test_only_an_administrator_restates(server: Server) -> None:
    with server.client(server.first_key("ingest")) as client:
        assert client.post("/api/v1/prices/reprice", json={"from": "2026-05-28"}).status_code == 403
    with server.client(server.local_token) as client:
        wrong = client.post("/api/v1/prices/reprice", json={"from": "never"})
        assert (wrong.status_code, wrong.json()["error"]["field"]) == (422, "from")
        assert client.get("/api/v1/prices/repricings/none").status_code == 404
        runs = client.get("/api/v1/prices/repricings").json()["repricings"]
        assert {run["state"] for run in runs} <= {"waiting", "running", "done"}


def test_a_price_that_is_set_is_taken_up_by_the_running_server(server: Server) -> None:
    arguments = ["prices", "set", "gpt-4o", "--input", "2", "--output", "8", "--from", "2026-11-01"]
    done = taximeter(*arguments, "--data", str(server.data))
    assert done.returncode == 0, done.stderr
    assert eventually(lambda: rates(server, model="gpt-4o", at="2026-11-02")["input"] == "2")
    assert rates(server, model="gpt-4o", at="2026-10-31")["input"] == "2.5"
