"""What a call costs is what its model cost on that day; what is not known is not nothing."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from standing import Standing, eventually

from taximeter.clock import SystemClock, rfc3339
from taximeter.core.ids import uuid7

HELLO: list[Any] = [{"role": "user", "content": "hello"}]
JUNE_2024_MS = 1_718_452_800_000


def event(started_at_us: int, number: int, **more: Any) -> dict[str, Any]:
    return {
        "event_id": uuid7(started_at_us // 1000, number.to_bytes(10, "big")),
        "started_at": rfc3339(started_at_us),
        "provider": "openai",
        "request_model": "gpt-4o",
        "operation": "chat",
        "status": "ok",
        "input_tokens": 1000,
        "output_tokens": 500,
        **more,
    }


def cost_of(standing: Standing, event_id: str) -> tuple[Decimal | None, str | None]:
    (seen,) = eventually(lambda: standing.events(event_id=event_id), bool)
    cost = seen.get("cost_usd")
    return (None if cost is None else Decimal(cost)), seen.get("unpriced_reason")


def test_the_worked_example_then_and_now(standing: Standing) -> None:
    then, now = event(JUNE_2024_MS * 1000, 1), event(SystemClock().now_us(), 2)
    said = standing.post("/v1/events", [then, now], "ingest")
    assert (said.status_code, said.json()["accepted"]) == (202, 2)
    assert cost_of(standing, then["event_id"]) == (Decimal("0.0125"), None)
    assert cost_of(standing, now["event_id"]) == (Decimal("0.0075"), None)


def test_an_unknown_model_is_unpriced_and_counted_beside_the_total(standing: Standing) -> None:
    with standing.gpt() as gpt:
        answer = gpt.chat.completions.with_raw_response.create(
            model="acme-house-7b", messages=HELLO, extra_headers={"X-Taximeter-Feature": "unknown-model"}
        )
    assert "x-taximeter-cost-usd" not in answer.headers
    assert cost_of(standing, answer.headers["x-taximeter-event-id"]) == (None, "unknown_model")
    report = standing.report("model", "--where", "feature=unknown-model")
    (row,) = report["rows"]
    assert (row["model"], row["cost_usd"]) == ("acme-house-7b", None)
    assert report["coverage"]["unpriced_calls"] == 1


def test_a_priced_answer_says_what_it_cost(standing: Standing) -> None:
    with standing.gpt() as gpt:
        answer = gpt.chat.completions.with_raw_response.create(
            model="gpt-4o", messages=HELLO, extra_headers={"X-Simulator-Output-Tokens": "10"}
        )
    assert Decimal(answer.headers["x-taximeter-cost-usd"]) == Decimal("0.0001025")
    assert cost_of(standing, answer.headers["x-taximeter-event-id"]) == (Decimal("0.0001025"), None)
