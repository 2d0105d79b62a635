"""Limits in the whole product: three lines of a file, official clients, restarts, the API and the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx
import openai
import pytest
from standing import Standing, eventually

from taximeter.simulator.running import RunningSimulator

MONTHLY = """\
limits:
  - {name: monthly-tokens, scope: user, each: true,
     measure: total_tokens, limit: 100000, window: month}
"""
ASKED = [{"role": "user", "content": "Where is my parcel?"}]


def spend(standing: Standing, user: str, input_tokens: int, number: int) -> None:
    """Spending that came by another road."""
    from taximeter.clock import SystemClock, rfc3339
    from taximeter.core.ids import uuid7

    now_us = SystemClock().now_us()
    event = {
        "event_id": uuid7(now_us // 1000, number.to_bytes(10, "big")),
        "started_at": rfc3339(now_us),
        "provider": "openai",
        "request_model": "gpt-4o-mini",
        "status": "ok",
        "user_id": user,
        "input_tokens": input_tokens,
        "output_tokens": 0,
    }
    assert standing.post("/v1/events", event, "ingest").status_code == 202


def ask(client: openai.OpenAI, user: str, **more: Any) -> Any:
    return client.chat.completions.create(
        model="gpt-4o-mini",
        messages=ASKED,  # type: ignore[arg-type]
        max_tokens=100,
        extra_headers={"X-Taximeter-User": user},
        **more,
    )


@pytest.fixture(scope="module")
def limited(simulator: RunningSimulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    with Standing(tmp_path_factory.mktemp("limited"), simulator.url, MONTHLY) as running:
        yield running


def limits(standing: Standing) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {standing.key('read')}"}
    found: dict[str, Any] = httpx.get(standing.url + "/api/v1/limits", headers=headers).json()
    return found


def spent_by(standing: Standing, user: str) -> int:
    [limit] = [one for one in limits(standing)["limits"] if one["name"] == "monthly-tokens"]
    return next((int(one["spent"]) for one in limit["values"] if one["value"] == user), 0)


def test_three_lines_refuse_a_user_above_a_hundred_thousand_tokens_this_month(limited: Standing) -> None:
    client = limited.gpt()
    assert ask(client, "anna").usage.total_tokens > 0
    spend(limited, "anna", 99_950, 1)
    assert eventually(lambda: spent_by(limited, "anna"), lambda n: n > 99_000) > 99_000
    with pytest.raises(openai.RateLimitError) as refused:
        ask(client, "anna")
    assert "monthly-tokens" in str(refused.value)
    assert "for user anna" in str(refused.value)
    answer = refused.value.response
    assert (answer.status_code, answer.headers["x-should-retry"]) == (429, "false")
    assert int(answer.headers["retry-after"]) >= 1
    assert ask(client, "ben").usage.total_tokens > 0
    with pytest.raises(anthropic.RateLimitError) as also:
        limited.claude().messages.create(
            model="claude-of-the-test",
            max_tokens=100,
            messages=ASKED,  # type: ignore[arg-type]
            extra_headers={"X-Taximeter-User": "anna"},
        )
    assert also.value.body["error"]["type"] == "rate_limit_error"  # type: ignore[index]
    refusals = eventually(lambda: limited.events(status="refused", user_id="anna"), lambda found: len(found) == 2)
    assert [(one["error_type"], one["cost_usd"]) for one in refusals] == [("limit_exceeded", "0")] * 2


def test_a_limit_is_remembered_over_a_kill(limited: Standing) -> None:
    spend(limited, "greta", 99_990, 2)
    assert eventually(lambda: spent_by(limited, "greta"), bool) == 99_990
    limited.kill()
    limited.start()
    assert spent_by(limited, "greta") == 99_990
    with pytest.raises(openai.RateLimitError):
        ask(limited.gpt(), "greta")


def test_a_limit_set_over_the_api_is_in_force_at_once_and_knows_the_past(limited: Standing) -> None:
    spend(limited, "carl", 700, 3)
    assert eventually(lambda: spent_by(limited, "carl"), bool) == 700
    small = {"name": "carl", "scope": {"user": "carl"}, "measure": "total_tokens", "limit": 701, "window": "day"}
    made = limited.post("/api/v1/limits", small, "admin")
    assert made.status_code == 201, made.text
    assert (made.json()["version"], made.json()["provisioned"]) == (1, False)
    with pytest.raises(openai.RateLimitError, match="the limit 'carl'"):
        ask(limited.gpt(), "carl")
    listed = json.loads(limited.command("limits", "list", "--format", "json", "--data", str(limited.data)).stdout)
    assert {one["name"]: one["provisioned"] for one in listed["limits"]} == {"carl": False, "monthly-tokens": True}
    removed = limited.command("limits", "remove", "carl", "--data", str(limited.data))
    assert removed.returncode == 0, removed.stderr
    assert ask(limited.gpt(), "carl")
    shown = json.loads(limited.command("limits", "show", "carl", "--data", str(limited.data)).stdout)
    assert [one["version"] for one in shown["versions"]] == [2, 1]
    assert shown["versions"][0]["definition"] is None


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"scope": "global", "measure": "requests", "limit": 1}, "window"),
        ({"scope": "global", "measure": "requests", "limit": -1, "window": "day"}, "limit"),
        ({"scope": "planet", "measure": "requests", "limit": 1, "window": "day"}, "scope"),
        ({"scope": "global", "measure": "cost_eur", "limit": 1, "window": "day"}, "measure"),
    ],
)
def test_a_wrong_definition_is_refused_with_the_reason_and_not_stored(
    limited: Standing, wrong: dict[str, Any], told: str
) -> None:
    answer = limited.post("/api/v1/limits", {"name": "wrong", **wrong}, "admin")
    assert answer.status_code == 422
    assert answer.json()["error"]["field"] == told
    assert "wrong" not in [one["name"] for one in limits(limited)["limits"]]


def test_limits_of_the_file_cannot_be_changed_elsewhere(limited: Standing) -> None:
    mine = {"name": "monthly-tokens", "scope": "global", "measure": "requests", "limit": 1, "window": "day"}
    assert limited.post("/api/v1/limits", mine, "admin").status_code == 403
    said = limited.command("limits", "remove", "monthly-tokens", "--data", str(limited.data))
    assert (said.returncode, "configuration file" in said.stderr) == (1, True)


def test_simulating_tells_whom_a_limit_would_have_refused(limited: Standing) -> None:
    for number, user in enumerate(["dora", "dora", "dora", "emil"]):
        spend(limited, user, 400, 10 + number)
    eventually(lambda: spent_by(limited, "dora") + spent_by(limited, "emil"), lambda n: n == 1600)
    said = limited.command(
        "limits",
        "simulate",
        "--limit",
        "{name: s, scope: {user: [dora, emil]}, each: user, measure: input_tokens, limit: 900, window: day}",
        "--since",
        "1d",
        "--format",
        "json",
        "--data",
        str(limited.data),
    )
    assert said.returncode == 0, said.stderr
    found = json.loads(said.stdout)
    assert (found["concerned_calls"], found["refused_calls"]) == (4, 1)
    assert [(one["value"], one["calls"]) for one in found["refused_by_value"]] == [("dora", 1)]


def test_crossed_thresholds_are_told_once_a_window(limited: Standing) -> None:
    spend(limited, "fred", 85_000, 20)
    spend(limited, "fred", 1_000, 21)
    headers = {"Authorization": f"Bearer {limited.key('read')}"}

    def crossed() -> list[Any]:
        answer = httpx.get(limited.url + "/api/v1/limits/crossings", headers=headers).json()
        return [(one["name"], one["percent"]) for one in answer["crossings"] if one["value"] == "fred"]

    assert eventually(crossed, bool) == [("monthly-tokens", 80)]


def test_without_a_server_the_command_line_reads_the_directory(limited: Standing) -> None:
    spend(limited, "hugo", 500, 30)
    eventually(lambda: spent_by(limited, "hugo"), bool)
    assert limited.stop() == 0
    said = limited.command(
        "limits", "list", "--config", limited.config, "--data", str(limited.data), "--format", "json"
    )
    assert said.returncode == 0, said.stderr
    [limit] = [one for one in json.loads(said.stdout)["limits"] if one["name"] == "monthly-tokens"]
    limited.start()
    assert limit["provisioned"]
