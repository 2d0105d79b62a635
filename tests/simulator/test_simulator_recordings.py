"""Recorded answers are replayed byte for byte, whatever way they are asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from taximeter.simulator.recordings import Recording, shipped
from taximeter.simulator.running import RunningSimulator
from taximeter.simulator.settings import Settings

CASES = Path(__file__).parents[1] / "payloads" / "provider-responses" / "cases"
SHIPPED = sorted(shipped(), key=lambda recording: recording.case_id)


@pytest.fixture(scope="module")
def simulator() -> Iterator[RunningSimulator]:
    with RunningSimulator(Settings(mode="replay")) as running:
        yield running


def posted(simulator: RunningSimulator, recording: Recording, headers: dict[str, str]) -> httpx.Response:
    key = {"x-api-key": "k"} if recording.provider == "anthropic" else {"Authorization": "Bearer k"}
    body = {"model": "m", **recording.request_body}
    return httpx.post(simulator.url + recording.request_path, headers={**key, **headers}, json=body)


@pytest.mark.parametrize("recording", SHIPPED, ids=lambda r: r.case_id)
def test_a_case_asked_for_by_name_is_sent_as_it_was_recorded(simulator: RunningSimulator, recording: Recording) -> None:
    answer = posted(simulator, recording, {"X-Simulator-Case": recording.case_id, "X-Ledger-Tag": recording.case_id})
    assert (answer.status_code, answer.content) == (recording.status, recording.body)
    assert answer.headers["content-type"] == recording.content_type
    rows: Any = simulator.ledger["rows"]
    mine = [row for row in rows if row["tag"] == recording.case_id]
    assert len(mine) == (1 if recording.billed else 0)
    for row in mine:
        assert row["input_tokens"] == (recording.expected["input_tokens_total"] or 0)
        assert row["output_tokens"] == (recording.expected["output_tokens_total"] or 0)


@pytest.mark.parametrize("recording", [r for r in SHIPPED if r.stream], ids=lambda r: r.case_id)
def test_the_events_of_a_stream_are_exactly_its_body(recording: Recording) -> None:
    assert b"".join(recording.events) == recording.body
    assert len(recording.events) > 1


@pytest.mark.parametrize("recording", SHIPPED, ids=lambda r: r.case_id)
def test_shipped_cases_are_the_test_material_with_its_attribution(recording: Recording) -> None:
    original = json.loads((CASES / f"{recording.case_id}.json").read_text())
    assert original["response"]["body"].encode() == recording.body
    assert original["source"]["kind"] == "constructed" or original["source"]["licence"] in ("MIT", "Apache-2.0")


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("/v1/responses", {"model": "gpt-5", "input": "x"}, "openai-responses-basic"),
        ("/v1/chat/completions", {"model": "gpt-5-mini"}, "openai-chat-reasoning-gpt5mini"),
        ("/v1/chat/completions", {"model": "gpt-4o", "stream": True}, "openai-chat-stream-usage"),
        ("/v1/messages", {"model": "claude-opus-5", "max_tokens": 9}, "anthropic-thinking-opus5"),
    ],
)
def test_without_a_name_the_model_and_the_way_of_asking_decide(
    simulator: RunningSimulator, path: str, body: dict[str, Any], expected: str
) -> None:
    asked = {"messages": [{"role": "user", "content": "x"}], **body}
    answer = httpx.post(simulator.url + path, headers={"Authorization": "Bearer k"}, json=asked)
    assert answer.content == json.loads((CASES / f"{expected}.json").read_text())["response"]["body"].encode()


def test_an_unknown_case_is_refused(simulator: RunningSimulator) -> None:
    answer = posted(simulator, SHIPPED[0], {"X-Simulator-Case": "nothing"})
    assert (answer.status_code, "nothing" in answer.text) == (400, True)
