"""Coding agents: the log event of each call counts, their spans do not."""

from __future__ import annotations

from typing import Any

import pytest
from otlp_spans import NOW_US, S, chat, counts, events_of_logs, log, log_request, spans

from taximeter.clock import rfc3339
from taximeter.ingest.otlp import json_form
from taximeter.ingest.otlp.agents import without_agents

CLAUDE: dict[str, Any] = {
    "event.name": "api_request",
    "event.timestamp": rfc3339(NOW_US),
    "event.sequence": "7",
    "session.id": "s1",
    "user.id": "installation",
    "user.email": "ada@example.com",
    "organization.id": "org1",
    "prompt.id": "p1",
    "model": "claude-sonnet-4-5",
    "input_tokens": "12",
    "output_tokens": "200",
    "cache_read_tokens": "9000",
    "cache_creation_tokens": "1000",
    "cost_usd": "0.0125",
    "duration_ms": "2500",
    "request_id": "req_1",
    "query_source": "main",
    "speed": "normal",
}
CODEX: dict[str, Any] = {
    "event.name": "codex.sse_event",
    "event.kind": "response.completed",
    "event.timestamp": rfc3339(NOW_US),
    "conversation.id": "c1",
    "user.email": "ada@example.com",
    "model": "gpt-5-codex",
    "input_token_count": "1000",
    "cached_token_count": "900",
    "output_token_count": "100",
    "reasoning_token_count": "80",
    "tool_token_count": "1100",
}
GEMINI: dict[str, Any] = {
    "event.name": "gemini_cli.api_response",
    "session.id": "s1",
    "user.email": "ada@example.com",
    "prompt_id": "p1",
    "model": "gemini-2.5-pro",
    "duration_ms": 1500,
    "input_token_count": 1000,
    "cached_content_token_count": 600,
    "output_token_count": 100,
    "thoughts_token_count": 250,
    "tool_token_count": 30,
    "total_token_count": 1380,
    "auth_type": "oauth-personal",
    "status_code": 200,
}


def test_claude_code() -> None:
    (found,) = events_of_logs(log(CLAUDE, body="claude_code.api_request", service="claude-code"))
    assert counts(found) == {
        "input_tokens": 10_012,
        "cache_read_tokens": 9_000,
        "cache_write_5m_tokens": 1_000,
        "output_tokens": 200,
    }
    assert found["started_at"] == rfc3339(NOW_US - 2_500_000)
    assert {name: found[name] for name in ("provider", "response_model", "operation", "status", "duration_ms")} == {
        "provider": "anthropic",
        "response_model": "claude-sonnet-4-5",
        "operation": "chat",
        "status": "ok",
        "duration_ms": 2_500,
    }
    assert (found["user_id"], found["session_id"], found["service"]) == ("ada@example.com", "s1", "claude-code")
    assert found["reported_cost_usd"] == "0.0125"
    assert found["tags"] == {
        "otlp_emitter": "claude-code",
        "otlp_input_rule": "1 larger than its whole",
        "otlp_cache_lifetime": "assumed",
        "agent": "claude-code",
        "organization": "org1",
        "prompt_id": "p1",
        "query_source": "main",
        "provider_request_id": "req_1",
    }
    assert "service_tier" not in found


def test_claude_code_with_little_cache_is_still_counted_apart() -> None:
    (found,) = events_of_logs(log({**CLAUDE, "input_tokens": "20000", "speed": "fast"}, body="claude_code.api_request"))
    assert (found["input_tokens"], found["service_tier"]) == (30_000, "fast")
    assert found["tags"]["otlp_input_rule"] == "3 claude-code/*"


PROFILE = "arn:aws:bedrock:us-east-2:123456789012:application-inference-profile/a1b2c3"


@pytest.mark.parametrize(
    ("model", "provider", "stored"),
    [
        ("claude-opus-4-6[1m]", "anthropic", "claude-opus-4-6[1m]"),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "aws-bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0"),
        ("bedrock/eu.anthropic.claude-sonnet-4-5-v1:0", "aws-bedrock", "eu.anthropic.claude-sonnet-4-5-v1:0"),
        ("au.anthropic.claude-sonnet-4-5-20250929-v1:0", "aws-bedrock", "au.anthropic.claude-sonnet-4-5-20250929-v1:0"),
        (PROFILE, "aws-bedrock", PROFILE),
        ("claude-sonnet-4-5@20250929", "google-vertex", "claude-sonnet-4-5@20250929"),
        ("kimi-k2.5", "moonshotai", "kimi-k2.5"),
        ("deepseek-chat", "deepseek", "deepseek-chat"),
        ("mystery", "anthropic", "mystery"),
    ],
)
def test_claude_code_asks_clouds_and_other_makers_too(model: str, provider: str, stored: str) -> None:
    (found,) = events_of_logs(log({**CLAUDE, "model": model}, body="claude_code.api_request", service="claude-code"))
    assert (found["provider"], found["request_model"], found["response_model"]) == (provider, stored, stored)
    assert found["input_tokens"] == 10_012


def test_cowork_tells_of_its_calls_as_claude_code_does() -> None:
    said = {**CLAUDE, "input_tokens": 20_000}
    (found,) = events_of_logs(log(said, body="cowork.api_request", service="cowork"))
    assert (found["input_tokens"], found["provider"], found["tags"]["agent"]) == (30_000, "anthropic", "claude-cowork")
    (failed,) = events_of_logs(log({**said, "event.name": "api_error"}, body="cowork.api_error", service="cowork"))
    assert (failed["status"], counts(failed)) == ("error", {})


def test_codex() -> None:
    (found,) = events_of_logs(log(CODEX, service="codex_exec"))
    assert counts(found) == {
        "input_tokens": 1_000,
        "cache_read_tokens": 900,
        "output_tokens": 100,
        "reasoning_tokens": 80,
    }
    assert (found["provider"], found["session_id"], found["user_id"]) == ("openai", "c1", "ada@example.com")
    assert events_of_logs(log({**CODEX, "event.kind": "response.created"})) == []


CODEX_COMPLETED = {name: value for name, value in CODEX.items() if not name.endswith("_token_count")}
"""What Codex tells of the end of an answer beside its counts: the same event without them, or with what went wrong."""


def test_codex_tells_of_the_end_of_an_answer_twice_and_of_its_counts_once() -> None:
    as_it_streams = log({**CODEX_COMPLETED, "duration_ms": "12"}, service="codex_cli_rs")
    (found,) = events_of_logs(as_it_streams, log(CODEX, service="codex_cli_rs"))
    assert found["input_tokens"] == 1_000


def test_a_stream_that_codex_lost_is_a_failed_call_without_usage() -> None:
    lost = {**CODEX_COMPLETED, "error.message": "stream closed before response.completed"}
    (found,) = events_of_logs(log(lost, service="codex_cli_rs"))
    assert (found["status"], found["request_model"], counts(found)) == ("error", "gpt-5-codex", {})
    assert "closed" not in str(found)
    assert events_of_logs(log({**lost, "duration_ms": "12"}, service="codex_cli_rs")) == []


def test_codex_writes_to_the_cache() -> None:
    (found,) = events_of_logs(log({**CODEX, "cached_token_count": "500", "cache_write_token_count": "300"}))
    assert counts(found) == {
        "input_tokens": 1_000,
        "cache_read_tokens": 500,
        "cache_write_5m_tokens": 300,
        "output_tokens": 100,
        "reasoning_tokens": 80,
    }


def test_gemini_cli() -> None:
    (found,) = events_of_logs(log(GEMINI, service="gemini-cli"))
    assert counts(found) == {
        "input_tokens": 1_030,
        "cache_read_tokens": 600,
        "output_tokens": 350,
        "reasoning_tokens": 250,
    }
    assert (found["provider"], found["http_status"]) == ("google", 200)
    (vertex,) = events_of_logs(log({**GEMINI, "auth_type": "vertex-ai"}))
    assert vertex["provider"] == "google-vertex"


def test_qwen_code_counts_thoughts_in_its_output() -> None:
    said = {
        "event.name": "qwen-code.api_response",
        "model": "qwen3-coder-plus",
        "session.id": "s1",
        "duration_ms": 1500,
        "input_token_count": 13_472,
        "cached_content_token_count": 0,
        "output_token_count": 101,
        "thoughts_token_count": 24,
        "tool_token_count": 0,
        "total_token_count": 13_573,
    }
    (found,) = events_of_logs(log(said, service="qwen-code"))
    assert counts(found) | {"cache_read_tokens": 0} == {
        "input_tokens": 13_472,
        "cache_read_tokens": 0,
        "output_tokens": 101,
        "reasoning_tokens": 24,
    }
    assert (found["provider"], found["response_model"], found["session_id"]) == ("unknown", "qwen3-coder-plus", "s1")
    (failed,) = events_of_logs(log({**said, "event.name": "qwen-code.api_error"}, service="qwen-code"))
    assert (failed["status"], counts(failed)) == ("error", {})
    (other,) = events_of_logs(log({**said, "model": "gpt-5"}, service="qwen-code"))
    assert other["provider"] == "openai"


def test_failed_calls_are_errors_without_usage() -> None:
    failed = {**CLAUDE, "event.name": "api_error", "status_code": "529", "attempt": "3"}
    (found,) = events_of_logs(log(failed, body="claude_code.api_error"))
    assert (found["status"], found["http_status"], found["attempt"], counts(found)) == ("error", 529, 3, {})


@pytest.mark.parametrize("said", [CLAUDE, CODEX, GEMINI])
def test_the_same_record_again_is_the_same_event_and_another_is_not(said: dict[str, Any]) -> None:
    body = "claude_code.api_request" if said is CLAUDE else ""
    first, again = (events_of_logs(log(said, body=body))[0] for _ in range(2))
    other = events_of_logs(log({**said, "event.sequence": "8"}, body=body))[0]
    assert first["event_id"] == again["event_id"] != other["event_id"]


def test_the_time_of_the_log_serves_when_the_record_names_none() -> None:
    (found,) = events_of_logs(log(GEMINI, at_us=NOW_US + 1_500_000))
    assert found["started_at"] == rfc3339(NOW_US)
    assert events_of_logs(log(GEMINI, at_us=0)) == []
    assert events_of_logs(log({**GEMINI, "event.timestamp": "yesterday"}, at_us=NOW_US))


def test_other_log_records_are_passed_over() -> None:
    arrived = json_form.decode(
        "logs", log_request(log({"event.name": "claude_code.tool_result"}), log({}, body="hello"))
    )
    assert (arrived.records, arrived.ignored, arrived.malformed) == ([], 2, 0)


@pytest.mark.parametrize(
    "span",
    [
        S(1, chat(5, 1), resource={"service.name": "claude-code"}),
        S(1, chat(5, 1), resource={"service.name": "Codex Desktop"}),
        S(1, chat(5, 1), scope="com.anthropic.claude_code.tracing"),
        S(1, chat(5, 1), name="claude_code.llm_request"),
        S(1, chat(5, 1), scope="qwen-code"),
    ],
)
def test_spans_of_agents_are_known_as_such(span: S) -> None:
    assert without_agents(spans(span)) == []


def test_other_spans_are_not() -> None:
    sent = spans(S(1, chat(5, 1), resource={"service.name": "shop"}))
    assert without_agents(sent) == sent
