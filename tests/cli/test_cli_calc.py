"""`taximeter calc`: on paper and on history, with a server and without one; the same answer on every face."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from running_server import Server, eventually, running, taximeter

from taximeter.core.ids import uuid7

ILLUSTRATIVE = Path(__file__).parents[2] / "examples" / "prices-illustrative.yaml"
EXAMPLE = ("--model", "gpt-4o", "--input-tokens", "1000", "--calls-per-day", "100000")
ASKED = {"model": "gpt-4o", "input_tokens": 1000, "calls_per_day": 100_000}
NOVEMBER = ("--from-history", "--since", "2026-11-01", "--until", "2026-11-08")
CALLS = [
    {
        "event_id": uuid7(1_793_600_000_000 + number, bytes(10)),
        "started_at": f"2026-11-02T06:13:{number:02d}Z",
        "provider": "openai",
        "request_model": "gpt-4o",
        "input_tokens": 1000,
        "output_tokens": 500,
        "status": "ok",
        "feature": ("chat", "search")[number % 2],
    }
    for number in range(6)
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """It has the illustrative prices in its configuration, and six calls."""
    data = tmp_path_factory.mktemp("calc") / "data"
    config = data.with_name("taximeter.yaml")
    config.write_text(f"prices: {{overrides: '{ILLUSTRATIVE}'}}")
    with running(data, "--config", str(config)) as server:
        with server.client(server.first_key("ingest")) as client:
            assert client.post("/v1/events", json=CALLS).json()["accepted"] == len(CALLS)
        question = {"measures": ["calls"], "from": "2026-11-01", "to": "2026-11-08"}
        with local(server) as client:
            eventually(lambda: client.post("/api/v1/query", json=question).json()["totals"]["calls"] == len(CALLS))
        yield server


def local(server: Server) -> httpx.Client:
    return server.client(server.local_token)


def calc(*arguments: str, data: Path) -> Any:
    done = taximeter("calc", *arguments, "--data", str(data), "--format", "json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def without_moment(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name not in ("at", "price_version")}


# ── on paper ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("output_tokens", "per_day", "per_month"), [("500", "1250", "37500"), ("1000", "2000", "60000")]
)
def test_the_worked_example_without_any_data(tmp_path: Path, output_tokens: str, per_day: str, per_month: str) -> None:
    nowhere = tmp_path / "nowhere"
    answer = calc(*EXAMPLE, "--output-tokens", output_tokens, "--prices", str(ILLUSTRATIVE), data=nowhere)
    cost = answer["models"][0]["cost"]
    assert (cost["per_day_usd"], cost["per_month_usd"]) == (per_day, per_month)
    assert not nowhere.exists()


def test_command_line_and_api_give_the_same_answer(server: Server, tmp_path: Path) -> None:
    arguments = (*EXAMPLE, "--output-tokens", "500", "--compare", "gpt-4o-mini,haiku-3.5", "--cached-share", "0.6")
    request = {**ASKED, "output_tokens": 500, "compare": ["gpt-4o-mini", "haiku-3.5"], "cached_share": "0.6"}
    alone = calc(*arguments, "--prices", str(ILLUSTRATIVE), data=tmp_path / "nowhere")
    asking = calc(*arguments, data=server.data)
    with local(server) as client:
        answered = client.post("/api/v1/calculator", json=request)
        from_text = client.post("/api/v1/calculator", json={**request, "prices": ILLUSTRATIVE.read_text()})
    assert answered.status_code == from_text.status_code == 200
    assert without_moment(answered.json()) == without_moment(asking) == without_moment(alone)
    assert without_moment(from_text.json()) == without_moment(alone)


def test_the_table_is_for_people(tmp_path: Path) -> None:
    arguments = (*EXAMPLE, "--output-tokens", "500", "--compare", "gpt-4o-mini", "--cached-share", "0")
    done = taximeter("calc", *arguments, "--prices", str(ILLUSTRATIVE), "--data", str(tmp_path / "nowhere"))
    assert done.returncode == 0
    assert "1,000 input + 500 output tokens, 100,000 calls a day" in done.stdout
    row = next(line for line in done.stdout.splitlines() if "openai/gpt-4o-mini" in line)
    assert re.findall(r"[-+]?\$?[\d,.]+%?", row.split("gpt-4o-mini")[1]) == [
        "128,000",
        "$0.000450",
        "$45.00",
        "$1,350.00",
        "$16,425.00",
        "-$36,150.00",
        "-96.4%",
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--input-tokens", "1", "--output-tokens", "1", "--calls-per-day", "1"), 2, "--model is needed"),
        (("--model", "gpt-4o", "--output-tokens", "1", "--calls-per-day", "1"), 2, "--input-tokens is needed"),
        ((*EXAMPLE, "--output-tokens", "-1"), 2, "output_tokens must be a whole number"),
        ((*EXAMPLE, "--output-tokens", "1", "--cached-share", "60"), 2, "cached_share must be between 0 and 1"),
        ((*EXAMPLE, "--output-tokens", "1", "--since", "1d"), 2, "--since does not go with this question"),
        (("--from-history", "--model", "gpt-4o", "--compare", "o3"), 2, "--compare does not go with this question"),
        ((*EXAMPLE, "--output-tokens", "1", "--compare", "gtp-4o"), 1, "similar names: gpt-4o"),
        ((*EXAMPLE, "--output-tokens", "1", "--prices", "/nowhere/at/all.yaml"), 2, "cannot be read"),
    ],
    ids=lambda value: str(value)[-40:],
)
def test_a_mistake_is_one_line(tmp_path: Path, arguments: tuple[str, ...], code: int, message: str) -> None:
    done = taximeter("calc", *arguments, "--data", str(tmp_path))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (code, "", 1)
    assert message in done.stderr


def test_a_wrong_price_file_is_told_with_its_lines(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("prices:\n  - {provider: openai, match: gpt-4o, rates: {inputs: '1'}}\n")
    done = taximeter("calc", *EXAMPLE, "--output-tokens", "1", "--prices", str(file), "--data", str(tmp_path))
    assert done.returncode == 2
    assert "mine.yaml: line 2" in done.stderr


def test_a_chosen_model_without_a_price_for_the_workload_is_a_no(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("prices:\n  - {provider: local, match: our-own, rates: {input: '1', output: '1'}}\n")
    own = ("--model", "our-own", "--input-tokens", "1", "--output-tokens", "1", "--calls-per-day", "1")
    done = taximeter("calc", *own, "--batch-share", "0.5", "--prices", str(file), "--data", str(tmp_path))
    assert done.returncode == 1
    assert "unpriced: no_price_for_tier" in done.stdout


# ── on history ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_history_with_a_server_over_the_api_and_on_the_command_line(server: Server) -> None:
    asking = calc(*NOVEMBER, "--where", "feature=chat", "--model", "gpt-4o-mini", data=server.data)
    request = {"filters": {"feature": "chat"}, "from": "2026-11-01", "to": "2026-11-08", "model": "gpt-4o-mini"}
    with local(server) as client:
        answered = client.post("/api/v1/what-if", json=request)
    assert answered.json() == asking
    assert asking["compared"] == {
        "calls": 3,
        "actual_cost_usd": "0.0375",
        "what_if_cost_usd": "0.00135",
        "difference_usd": "-0.03615",
        "difference_percent": "-96.4",
    }


def test_history_without_a_server(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    spool.mkdir()
    lines = "".join(json.dumps({**call, "source": "sdk", "attempt": 1}) + "\n" for call in CALLS)
    (spool / "app.1-000001.ndjson").write_text(lines)
    answer = calc(*NOVEMBER, "--service-tier", "batch", data=tmp_path)
    assert (answer["calls"], answer["compared"]["difference_percent"]) == (6, "-50")
    done = taximeter("calc", *NOVEMBER, "--model", "gpt-4o-mini", "--data", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "openai/gpt-4o" in done.stdout
    assert "assumed: every call is priced at its own time" in done.stderr


def test_history_of_nobody_says_so(tmp_path: Path) -> None:
    done = taximeter("calc", "--from-history", "--model", "gpt-4o", "--data", str(tmp_path / "nowhere"))
    assert done.returncode == 1
    assert "there is no data directory" in done.stderr


# ── over HTTP ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("path", "request_", "status", "code", "field"),
    [
        ("calculator", {**ASKED, "output_tokens": 1, "model": "gtp-4o"}, 422, "unknown_model", "model"),
        ("calculator", {**ASKED, "output_tokens": -1}, 422, "usage", "output_tokens"),
        ("calculator", ASKED, 422, "usage", "output_tokens"),
        ("calculator", {**ASKED, "output_tokens": 1, "nope": 1}, 422, "usage", "nope"),
        ("calculator", {**ASKED, "output_tokens": 1, "prices": "prices: 4"}, 422, "usage", "prices"),
        ("what-if", {"cached_share": "2"}, 422, "usage", "cached_share"),
        ("what-if", {"filters": {"nope": 1}}, 422, "usage", "filters"),
    ],
)
def test_a_mistake_over_http(
    server: Server, path: str, request_: dict[str, Any], status: int, code: str, field: str
) -> None:
    with local(server) as client:
        answer = client.post(f"/api/v1/{path}", json=request_)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["field"]) == (status, code, field)


def test_nobody_calculates_without_a_credential(server: Server) -> None:
    with server.client() as client, server.client(server.first_key("ingest")) as ingest:
        for path in ("calculator", "what-if"):
            assert client.post(f"/api/v1/{path}", json={}).status_code == 401
            assert ingest.post(f"/api/v1/{path}", json={**ASKED, "output_tokens": 1}).status_code in (403, 422)
        assert ingest.get("/api/v1/calculator/uses").status_code == 403


def test_the_calculator_reports_its_own_use_and_that_is_no_spend(server: Server) -> None:
    question = {"measures": ["calls", "cost_usd"], "from": "2020-01-01"}
    with local(server) as client:
        before = client.post("/api/v1/query", json=question).json()
        client.post("/api/v1/calculator", json={**ASKED, "output_tokens": 500, "compare": ["gpt-4o-mini"]})
        calc(*NOVEMBER, "--model", "gpt-4o-mini", "--prices", str(ILLUSTRATIVE), data=server.data)
        what_if, calculator = client.get("/api/v1/calculator/uses", params={"limit": 2}).json()["uses"]
        after = client.post("/api/v1/query", json=question).json()
    assert after == before
    assert {name: calculator[name] for name in ("kind", "asked_by", "calculated_monthly_cost", "comparison_delta")} == {
        "kind": "calculator",
        "asked_by": "local",
        "calculated_monthly_cost": "37500",
        "comparison_delta": {"openai/gpt-4o-mini": "-36150"},
    }
    assert calculator["user_selections"] == {**ASKED, "output_tokens": 500, "compare": ["gpt-4o-mini"]}
    assert (what_if["kind"], what_if["user_selections"]["own_prices"]) == ("what_if", True)
    assert "prices" not in what_if["user_selections"]
    assert what_if["comparison_delta"]["what_if"].startswith("-")
    assert what_if["number"] == calculator["number"] + 1
