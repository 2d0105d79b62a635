"""Every format: a sample in the shape of the real thing, and the events that come of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest
from import_rig import NOW_US, SAMPLES, came_from

from taximeter.core.cost import Cost
from taximeter.core.event import usage_of
from taximeter.core.usage import violations
from taximeter.ingest.imports import cursor, registry
from taximeter.ingest.imports.engine import outcomes
from taximeter.ingest.imports.row import Draft, LeftOut, Options, Row
from taximeter.ingest.wire import validate_batch
from taximeter.pricing import load_price_book
from taximeter.pricing.priceable import priceable_from_record

MINI = "gpt-4o-mini-2024-07-18"
MANY = {"aggregated": "usage"}
AT_LEAST = {"aggregated": "usage", "aggregated_requests": "at least"}
CONSOLE_BILL = {"aggregated": "bill", "workspace": "Default"}
AGENT = {"project": "shop", "git_branch": "main"}

OPENAI_DAY: dict[str, Any] = {
    "started_at": "2025-10-15T00:00:00.000000Z",
    "provider": "openai",
    "operation": "chat",
    "response_model": MINI,
    "user_id": "user-AAA",
    "input_tokens": 141201,
    "cache_read_tokens": 81920,
    "output_tokens": 9756,
    "units": {"requests": 470},
    "tags": {**MANY, "project_id": "proj_chat", "openai_key": "key_1"},
}
LITELLM_CALL: dict[str, Any] = {
    "started_at": "2026-06-01T10:00:00.250000Z",
    "status": "ok",
    "duration_ms": 2000.0,
    "time_to_first_token_ms": 500.0,
    "provider": "openai",
    "request_model": "gpt-4o",
    "response_model": "gpt-4o-2024-08-06",
    "response_id": "chatcmpl-9ZKMURhVYSi9D6r6PJ9vLcayIK0Vm",
    "user_id": "customer-7",
    "team": "core",
    "session_id": "sess-1",
    "input_tokens": 1600,
    "cache_read_tokens": 1024,
    "output_tokens": 10,
    "reasoning_tokens": 4,
    "reported_cost_usd": "0.00213",
}
LANGFUSE_CALL: dict[str, Any] = {
    "started_at": "2026-05-29T13:46:19.963000Z",
    "duration_ms": 1500.0,
    "provider": "openai",
    "request_model": "gpt-4o-mini",
    "input_tokens": 30,
    "output_tokens": 20,
    "reported_cost_usd": "0.0000165",
}

EXPECTED: dict[str, tuple[str, list[dict[str, Any]]]] = {
    "openai-usage.json": (
        "openai-usage",
        [
            {**OPENAI_DAY, "service_tier": "default"},
            {"response_model": "gpt-4.1-2025-04-14", "service_tier": "batch", "input_tokens": 5_000_000},
            {"operation": "embeddings", "input_tokens": 16000, "units": {"requests": 2}, "tags": MANY},
        ],
    ),
    "openai-activity.csv": ("openai-usage", [OPENAI_DAY]),
    "openai-costs.json": (
        "openai-usage",
        [
            {
                "operation": "bill",
                "request_model": MINI,
                "not_billed": True,
                "reported_cost_usd": "0.06",
                "tags": {"aggregated": "bill", "line_item": f"{MINI}, input", "project_id": "proj_chat"},
            }
        ],
    ),
    "openai-cost.csv": ("openai-usage", [{"operation": "bill", "not_billed": True, "reported_cost_usd": "0.0214"}]),
    "openai-cost-by-user.csv": (
        "openai-usage",
        [
            {"operation": "bill", "reported_cost_usd": "0.003835980000000000000000000000"},
            {"reported_cost_usd": "0.0125"},
        ],
    ),
    "anthropic-usage.json": (
        "anthropic-usage",
        [
            {
                "started_at": "2025-08-01T00:00:00.000000Z",
                "provider": "anthropic",
                "response_model": "claude-sonnet-4-20250514",
                "input_tokens": 3200,
                "cache_read_tokens": 200,
                "cache_write_5m_tokens": 500,
                "cache_write_1h_tokens": 1000,
                "output_tokens": 500,
                "units": {"requests": 1, "web_searches": 10},
                "tags": {**AT_LEAST, "workspace": "wrkspc_01Jw", "anthropic_key": "apikey_01Rj"},
            },
            {"service_tier": "batch", "input_tokens": 2_500_000, "units": {"requests": 3}, "tags": AT_LEAST},
        ],
    ),
    "anthropic-cost.json": (
        "anthropic-usage",
        [{"operation": "bill", "not_billed": True, "reported_cost_usd": "1.2378912"}],
    ),
    "anthropic-console.csv": (
        "anthropic-usage",
        [
            {
                "started_at": "2026-08-05T00:00:00.000000Z",
                "response_model": "claude-opus-4-5-20251101",
                "input_tokens": 46981 + 15969 + 300,
                "cache_read_tokens": 300,
                "cache_write_5m_tokens": 15969,
                "cache_write_1h_tokens": 0,
                "output_tokens": 16932,
                "units": {"requests": 1, "web_searches": 2},
                "tags": {**AT_LEAST, "workspace": "Default", "anthropic_key": "Closer, App"},
            }
        ],
    ),
    "anthropic-console-cost.csv": (
        "anthropic-usage",
        [
            {
                "started_at": "2026-08-15T00:00:00.000000Z",
                "operation": "bill",
                "provider": "anthropic",
                "request_model": "claude-haiku-4-5",
                "not_billed": True,
                "reported_cost_usd": "0.19",
                "tags": {
                    **CONSOLE_BILL,
                    "line_item": "Claude Haiku 4.5, input_no_cache",
                    "anthropic_key": "Closer, App",
                },
            },
            {
                "request_model": "claude-haiku-4-5",
                "reported_cost_usd": "0.03",
                "tags": {**CONSOLE_BILL, "line_item": "Claude Haiku 4.5, output", "anthropic_key": "Closer, App"},
            },
            {
                "request_model": None,
                "reported_cost_usd": "0.06",
                "tags": {**CONSOLE_BILL, "line_item": "web_search", "anthropic_key": "demo-key"},
            },
        ],
    ),
    "litellm.json": (
        "litellm",
        [
            LITELLM_CALL,
            {"provider": "anthropic", "input_tokens": 10012, "cache_read_tokens": 9000, "cache_write_5m_tokens": 1000},
            {"status": "error", "http_status": 429, "error_type": "RateLimitError", "not_billed": True},
            {"status": "cached", "operation": "embeddings", "input_tokens": 12, "not_billed": True},
        ],
    ),
    "litellm.csv": ("litellm", [LITELLM_CALL]),
    "langfuse.jsonl": (
        "langfuse",
        [
            {
                "provider": "anthropic",
                "trace_id": "0123456789abcdef0123456789abcdef",
                "span_id": "0123456789abcdef",
                "time_to_first_token_ms": 200.0,
                "user_id": "u-1",
                "session_id": "s-1",
                "feature": "support-chat",
                "environment": "prod",
                "prompt_version": "greet@3",
                "input_tokens": 10012,
                "cache_read_tokens": 9000,
                "cache_write_5m_tokens": 1000,
                "output_tokens": 200,
                "reported_cost_usd": "0.0101",
            },
            {"status": "error", "request_model": "gpt-4o", "not_billed": True},
        ],
    ),
    "langfuse.json": ("langfuse", [LANGFUSE_CALL]),
    "langfuse.csv": ("langfuse", [{**LANGFUSE_CALL, "feature": "chat", "user_id": "u-1", "session_id": "s-1"}]),
    "helicone.jsonl": (
        "helicone",
        [
            {
                "started_at": "2026-03-01T10:00:00.000000Z",
                "duration_ms": 2750.0,
                "time_to_first_token_ms": 180.0,
                "provider": "anthropic",
                "request_model": "claude-3-5-haiku-latest",
                "response_model": "claude-3-5-haiku-20241022",
                "user_id": "u-7",
                "feature": "triage",
                "environment": "prod",
                "input_tokens": 1300,
                "cache_read_tokens": 1000,
                "cache_write_5m_tokens": 100,
                "output_tokens": 10,
                "reported_cost_usd": "0.000388",
            },
            {"status": "error", "http_status": 429, "not_billed": True},
        ],
    ),
    "helicone.csv": (
        "helicone",
        [{"duration_ms": 2100.0, "user_id": "u-8", "team": "core", "input_tokens": 1500, "output_tokens": 450}],
    ),
    "otlp.jsonl": (
        "otlp",
        [
            {
                "trace_id": "0af7651916cd43dd8448eb211c80319c",
                "span_id": "b7ad6b7169203331",
                "service": "shop",
                "provider": "openai",
                "response_model": MINI,
                "input_tokens": 1500,
                "output_tokens": 450,
            }
        ],
    ),
    "claude-code.jsonl": (
        "claude-code",
        [
            {
                "started_at": "2026-02-03T09:00:04.100000Z",
                "response_model": "claude-opus-4-5-20251101",
                "service": "claude-code",
                "service_version": "2.0.76",
                "session_id": "c0ffee00-0000-4000-8000-000000000001",
                "input_tokens": 21302,
                "cache_read_tokens": 13368,
                "cache_write_5m_tokens": 924,
                "cache_write_1h_tokens": 7000,
                "output_tokens": 412,
                "tags": {"agent": "claude-code", **AGENT},
            },
            {
                "response_model": "claude-haiku-4-5-20251001",
                "input_tokens": 300,
                "output_tokens": 20,
                "tags": {"agent": "claude-code", **AGENT, "sidechain": "true"},
            },
        ],
    ),
    "codex.jsonl": (
        "codex",
        [
            {
                "request_model": "gpt-5-codex",
                "input_tokens": 5000,
                "cache_read_tokens": 3072,
                "output_tokens": 600,
                "reasoning_tokens": 448,
                "tags": {"agent": "codex", **AGENT},
            },
            {"request_model": "gpt-5-mini", "input_tokens": 6000, "cache_read_tokens": 5120, "output_tokens": 100},
            {"request_model": "gpt-5-mini", "input_tokens": 900, "cache_read_tokens": 0, "output_tokens": 50},
        ],
    ),
    "gemini-cli.jsonl": (
        "gemini-cli",
        [
            {
                "started_at": "2026-06-10T14:57:31.000000Z",
                "provider": "google",
                "response_model": "gemini-3-pro-preview",
                "service": "gemini-cli",
                "session_id": "f86f5318-f47b-4433-85f8-ec9d9a417f8e",
                "input_tokens": 9040,
                "cache_read_tokens": 8000,
                "output_tokens": 420,
                "reasoning_tokens": 300,
            },
            {"response_model": "gemini-2.5-flash", "input_tokens": 500, "output_tokens": 20},
        ],
    ),
    "gemini-cli.json": (
        "gemini-cli",
        [{"started_at": "2025-10-18T14:57:40.100000Z", "input_tokens": 6732, "output_tokens": 164}],
    ),
    "qwen-code.jsonl": (
        "gemini-cli",
        [
            {
                "started_at": "2026-07-01T09:00:07.500000Z",
                "response_model": "qwen3-coder-plus",
                "service": "qwen-code",
                "service_version": "0.9.0",
                "session_id": "b1c2",
                "input_tokens": 12000,
                "cache_read_tokens": 10000,
                "output_tokens": 400,
                "reasoning_tokens": 150,
            }
        ],
    ),
    "openrouter.csv": (
        "generic",
        [{"response_id": "gen-1", "input_tokens": 1500, "output_tokens": 450, "reported_cost_usd": "0.000495"}],
    ),
    "openrouter-activity.csv": (
        "openrouter",
        [
            {
                "response_id": "gen-1",
                "provider": "openrouter",
                "request_model": "openai/gpt-4o-mini",
                "user_id": "ann",
                "feature": "assistant",
                "input_tokens": 1500,
                "cache_read_tokens": 1024,
                "output_tokens": 450,
                "reasoning_tokens": 120,
                "duration_ms": 2300.0,
                "time_to_first_token_ms": 410.0,
                "reported_cost_usd": "0.0021",
                "tags": {"host": "OpenAI", "openrouter_key": "shop"},
            },
            {
                "response_id": "gen-2",
                "provider": "openrouter",
                "request_model": "deepseek/deepseek-r1-0528",
                "response_model": "deepseek/deepseek-r1-0528:free",
                "status": "cancelled",
                "reported_cost_usd": "0",
                "tags": {"host": "Chutes", "openrouter_key": "shop"},
            },
            {
                "response_id": "gen-3",
                "provider": "openrouter",
                "request_model": "anthropic/claude-4.5-sonnet-20250929",
                "reported_cost_usd": "0.0005",
                "tags": {"host": "Amazon Bedrock", "openrouter_key": "shop", "byok": "true"},
            },
        ],
    ),
    "openrouter-daily.json": (
        "openrouter",
        [
            {
                "started_at": "2026-08-24T00:00:00.000000Z",
                "provider": "openrouter",
                "request_model": "openai/gpt-4.1-2025-04-14",
                "input_tokens": 50,
                "output_tokens": 125,
                "reasoning_tokens": 25,
                "units": {"requests": 5},
                "tags": {**MANY, "host": "OpenAI"},
                "reported_cost_usd": "0.015",
            }
        ],
    ),
    "openrouter-daily.csv": (
        "openrouter",
        [
            {
                "started_at": "2026-05-12T00:00:00.000000Z",
                "provider": "openrouter",
                "request_model": "anthropic/claude-opus-4.7",
                "input_tokens": 70965665,
                "output_tokens": 3009973,
                "reasoning_tokens": 0,
                "units": {"requests": 4115},
                "tags": MANY,
                "reported_cost_usd": "430.07",
            }
        ],
    ),
    "litellm-daily.csv": (
        "generic",
        [
            {
                "started_at": "2026-08-03T00:00:00.000000Z",
                "provider": "openai",
                "user_id": "ann",
                "input_tokens": 120_000,
                "cache_read_tokens": 64_000,
                "output_tokens": 9_000,
                "units": {"requests": 41},
                "tags": MANY,
                "reported_cost_usd": "0.0186",
            }
        ],
    ),
    "cursor.csv": (
        "cursor",
        [
            {
                "started_at": "2026-08-01T10:00:00.000000Z",
                "provider": "anthropic",
                "user_id": "ann@shop.example",
                "input_tokens": 7200,
                "cache_read_tokens": 5000,
                "cache_write_5m_tokens": 1200,
                "output_tokens": 300,
                "tags": {"agent": "cursor", "kind": "Included"},
                "reported_cost_usd": None,
            },
            {"input_tokens": 6200, "cache_write_5m_tokens": 200, "reported_cost_usd": "0.12"},
            {"provider": "openai", "input_tokens": 100, "output_tokens": 10, "not_billed": True},
            {
                "provider": "anthropic",
                "request_model": "claude-4.5-sonnet-thinking",
                "response_model": "claude-sonnet-4-5",
                "service_tier": None,
                "input_tokens": 1_599_916,
                "cache_read_tokens": 1_529_932,
                "output_tokens": 14_842,
                "units": {"requests": 8},
                "tags": {**MANY, "aggregated_requests": "at least", "agent": "cursor", "kind": "Included"},
                "reported_cost_usd": "1.78",
            },
            {"provider": "cursor", "request_model": "auto", "units": {"requests": 2}, "reported_cost_usd": "0.10"},
        ],
    ),
    "taximeter.json": (
        "taximeter",
        [{"event_id": "0196f000-0000-7000-8000-000000000001", "source": "sdk", "user_id": "ann"}],
    ),
}

LEFT_OUT: dict[str, tuple[list[str], list[tuple[int, str]]]] = {
    "openai-usage.json": (
        ["vector_stores is no call", "nothing was used", "a bucket that may grow until 2036-01-02T01:00Z"],
        [(1, "input_tokens is no number: 'many'")],
    ),
    "openai-activity.csv": (["nothing was used"], []),
    "openai-cost-by-user.csv": (["nothing was spent"], []),
    "openai-costs.json": ([], [(1, "an amount in eur: only US dollars are taken")]),
    "litellm.json": (["call_mcp_tool is no call of a model"], []),
    "langfuse.jsonl": (["an observation of the type span is no call of a model"], []),
    "cursor.csv": (["nothing was used"], []),
    "openrouter-daily.json": (["a bucket that may grow until"], []),
    "openrouter-daily.csv": (["a bucket that may grow until"], []),
    "anthropic-console-cost.csv": (["nothing was spent"], [(5, "cost_usd is no number: 'banana'")]),
    "litellm-daily.csv": (["neither a model nor usage"], []),
    "gemini-cli.jsonl": ([], [(10, "input is no number: 'many'")]),
    "claude-code.jsonl": (["an answer that is not finished"], [(9, "no JSON object")]),
}


def as_told(record: Mapping[str, Any], expected: Mapping[str, Any]) -> dict[str, Any]:
    """What a record says of what is expected."""
    return {name: record.get(name) for name in expected}


@pytest.mark.parametrize("sample", EXPECTED)
def test_a_file_is_recognised_and_becomes_these_events(sample: str) -> None:
    form, expected = EXPECTED[sample]
    came = came_from(SAMPLES / sample)
    assert came.format == form
    assert [as_told(got, want) for got, want in zip(came.records, expected, strict=True)] == expected


@pytest.mark.parametrize("sample", EXPECTED)
def test_what_is_left_out_says_why(sample: str) -> None:
    skipped, wrong = LEFT_OUT.get(sample, ([], []))
    came = came_from(SAMPLES / sample)
    assert came.wrong == wrong
    assert [reason[: len(want)] for reason, want in zip(came.skipped, skipped, strict=True)] == skipped


@pytest.mark.parametrize("sample", EXPECTED)
def test_events_pass_the_check_of_every_event_and_read_again_are_the_same(sample: str) -> None:
    records = came_from(SAMPLES / sample).records
    assert came_from(SAMPLES / sample).records == records
    assert len({record["event_id"] for record in records}) == len(records)
    body = b"\n".join(json.dumps(record).encode() for record in records)
    assert validate_batch(body, "application/x-ndjson", NOW_US).rejected == []
    assert not any(violations(usage_of(record)) for record in records)


@pytest.mark.parametrize("sample", EXPECTED)
def test_no_prompt_goes_further(sample: str) -> None:
    assert "SECRET" not in json.dumps(came_from(SAMPLES / sample).records)


def test_a_session_of_gemini_cli_is_the_same_as_a_document_and_in_lines() -> None:
    document = json.loads((SAMPLES / "gemini-cli.json").read_text())
    messages = document.pop("messages")
    rows = [Row(place, values) for place, values in enumerate([document, *messages, {"$set": {"summary": "s"}}], 1)]
    found = list(outcomes(rows, registry.format_named("gemini-cli"), Options(NOW_US)))
    assert [one.record for one in found if isinstance(one, Draft)] == came_from(SAMPLES / "gemini-cli.json").records


TRACE = {"id": "t", "timestamp": "2026-05-29T13:46:19Z", "name": "chat", "totalCost": 0.1, "latency": 1.2}


@pytest.mark.parametrize(
    ("values", "advice"),
    [
        (TRACE, "a trace of Langfuse names no model: export its observations"),
        ({**TRACE, "observations": ["a", "b"]}, "a trace of Langfuse names no model: export its observations"),
        ({"type": "thread.started"}, "what `codex exec --json` prints names no model and no time: import its session"),
        ({"When": "x"}, "name it with --format, or its columns (When) with --map started_at=COLUMN"),
    ],
)
def test_a_file_of_no_known_format_comes_with_what_to_do(values: dict[str, Any], advice: str) -> None:
    assert registry.recognised([values]) is None
    assert registry.advice(Row(1, values)).startswith(advice)


def test_a_transcript_of_claude_code_is_known_before_its_first_answer() -> None:
    line = {"type": "user", "sessionId": "s", "uuid": "u", "timestamp": "2026-02-03T09:00:00Z"}
    form = registry.recognised([{**line, "message": {"role": "user", "content": "SECRET"}}])
    assert form is not None
    assert form.name == "claude-code"
    assert registry.recognised([{**line, "message": {"role": "user", "parts": []}}]) is None, "another agent's"


def test_there_is_a_sample_of_every_format() -> None:
    assert {form for form, _ in EXPECTED.values()} == set(registry.FORMATS)


# ── particulars ────────────────────────────────────────────────────────────────────────────────────────────────


def test_columns_of_a_table_can_be_named() -> None:
    columns = {
        "started_at": "When",
        "request_model": "Which model",
        "input_tokens": "Prompt Tokens",
        "output_tokens": "Completion Tokens",
        "user_id": "Who",
        "reported_cost_usd": "Paid",
    }
    came = came_from(SAMPLES / "generic.csv", columns)
    call = {"user_id": "ann", "provider": "openai", "input_tokens": 1500, "reported_cost_usd": "0.0005"}
    late = {"user_id": "bob", "started_at": "2026-01-05T11:00:00.000000Z", "input_tokens": 100}
    assert [as_told(got, want) for got, want in zip(came.records, [call, call, late], strict=True)] == [
        call,
        call,
        late,
    ]
    assert came.records[0]["event_id"] != came.records[1]["event_id"], "equal rows are two calls"
    assert came.wrong == [(4, "started_at is no instant: 'yesterday'"), (5, "neither tokens nor cost")]


def test_a_row_without_an_id_is_the_same_however_its_numbers_are_written() -> None:
    written: list[dict[str, Any]] = [
        {"timestamp": "2026-01-05 10:00:00", "model": "gpt-4o", "prompt_tokens": "1,500", "cost": "0.10"},
        {"timestamp": "2026-01-05T10:00:00.000Z", "model": "gpt-4o", "prompt_tokens": 1500, "cost": 0.1},
        {"timestamp": "2026-01-05T11:00:00+01:00", "model": "gpt-4o", "prompt_tokens": 1500.0, "cost": "$0,1000"},
        {"timestamp": 1767607200, "model": "gpt-4o", "prompt_tokens": "1500", "cost": 1e-1},
    ]
    found = [
        one for row in written for one in outcomes([Row(1, row)], registry.format_named("generic"), Options(NOW_US))
    ]
    assert len({one.record["event_id"] for one in found if isinstance(one, Draft)}) == 1
    assert all(isinstance(one, Draft) for one in found)


CURSORS_NAMES = {
    "claude-4.5-sonnet": ("claude-sonnet-4-5", None),
    "claude-4.5-opus-high-thinking": ("claude-opus-4-5", None),
    "claude-4.6-opus-max-thinking-fast": ("claude-opus-4-6", "fast"),
    "claude-4-sonnet-1m-thinking": ("claude-sonnet-4", None),
    "claude-3.7-sonnet-thinking": ("claude-3.7-sonnet", None),
    "claude-opus-4-7-thinking-high": ("claude-opus-4-7", None),
    "claude-fable-5-1-thinking-max": ("claude-fable-5-1", None),
    "gpt-5-high-fast": ("gpt-5", "priority"),
    "gpt-5-fast": ("gpt-5", "priority"),
    "gpt-5.1-codex-max": (None, None),
    "gpt-5.1-codex-max-high": ("gpt-5.1-codex-max", None),
    "gpt-5.3-codex-xhigh": ("gpt-5.3-codex", None),
    "gpt-5-mini": (None, None),
    "gemini-3-pro": ("gemini-3-pro-preview", None),
    "gemini-3.5-flash": (None, None),
    "grok-4-fast": (None, None),
    "grok-code-fast-1": (None, None),
    "us.anthropic.claude-opus-4-6-v1": (None, None),
    "o3": (None, None),
}


@pytest.mark.parametrize("name", CURSORS_NAMES)
def test_what_cursor_adds_to_the_names_of_models_is_told_apart(name: str) -> None:
    row = {"Date": "2026-08-01T10:00:00Z", "Model": name, "Kind": "Included", "Cost": "Included"}
    counts = {"Input (w/ Cache Write)": "0", "Input (w/o Cache Write)": "1000", "Output Tokens": "10"}
    event = cursor.event_of({**row, **counts}, Options(NOW_US))
    assert event.request_model == name
    assert (event.response_model, event.service_tier) == CURSORS_NAMES[name]


def test_a_row_of_cursor_with_more_than_a_call_can_read_is_not_charged_as_a_long_context() -> None:
    (record,) = [one for one in came_from(SAMPLES / "cursor.csv").records if one["input_tokens"] == 1_599_916]
    cost = load_price_book().price(priceable_from_record(record))
    assert isinstance(cost, Cost)
    # 14,237 at 3, 55,747 written at 3.75, 1,529,932 read at 0.3, 14,842 out at 15
    assert cost.total == Decimal("0.93337185")


def test_what_cursor_chooses_itself_costs_what_cursor_asks_for_it() -> None:
    (record,) = [one for one in came_from(SAMPLES / "cursor.csv").records if one["request_model"] == "auto"]
    cost = load_price_book().price(priceable_from_record(record))
    assert isinstance(cost, Cost)
    # 2,801 at 1.25, 343,040 read at 0.25, 2,076 out at 6: Cursor says 0.10
    assert cost.total == Decimal("0.10171725")


def test_what_is_free_at_openrouter_costs_nothing_whoever_served_it() -> None:
    records = came_from(SAMPLES / "openrouter-activity.csv").records
    costs = [load_price_book().price(priceable_from_record(record)) for record in records]
    assert all(isinstance(cost, Cost) for cost in costs)
    assert [cost.total == 0 for cost in costs if isinstance(cost, Cost)] == [False, True, False]


def test_the_same_calls_of_litellm_are_the_same_from_csv_and_json() -> None:
    csv, json_rows = (came_from(SAMPLES / f"litellm.{ending}").records for ending in ("csv", "json"))
    assert csv[0]["event_id"] == json_rows[0]["event_id"]


CLAUDE, GEMINI, REALTIME = "claude-sonnet-4-5", "gemini-2.5-pro", "gpt-4o-realtime-preview"


@pytest.mark.parametrize(
    ("model", "details", "expected"),
    [
        (
            CLAUDE,
            {"input": 10, "input_cache_read": 90, "input_cache_creation_1h": 20, "input_cache_creation_5m": 7},
            {"input_tokens": 127, "cache_read_tokens": 90, "cache_write_1h_tokens": 20, "cache_write_5m_tokens": 7},
        ),
        (
            GEMINI,
            {"input": 10, "cached_content_token_count": 90, "output": 5, "thoughts_token_count": 7, "total": 112},
            {"input_tokens": 100, "cache_read_tokens": 90, "output_tokens": 12, "reasoning_tokens": 7},
        ),
        (
            GEMINI,
            {"prompt_token_count": 100, "candidates_token_count": 5, "thoughts_token_count": 7, "total": 112},
            {"input_tokens": 100, "output_tokens": 12, "reasoning_tokens": 7},
        ),
        (
            GEMINI,
            {
                "promptTokenCount": 100,
                "cachedContentTokenCount": 90,
                "candidatesTokenCount": 5,
                "thoughtsTokenCount": 7,
                "totalTokenCount": 112,
            },
            {"input_tokens": 100, "cache_read_tokens": 90, "output_tokens": 12, "reasoning_tokens": 7},
        ),
        (
            "o3",
            {"input": 10, "input_cached_tokens": 90, "output": 3, "reasoning_tokens": 4, "total": 107},
            {"input_tokens": 100, "cache_read_tokens": 90, "output_tokens": 7, "reasoning_tokens": 4},
        ),
        (
            "gpt-5.1",
            {"input": 100, "output": 50, "output_reasoning_tokens": 30, "total": 150},
            {"input_tokens": 100, "output_tokens": 50, "reasoning_tokens": 30},
        ),
        (
            "gpt-5.1",
            {"input": 10, "input_cached_tokens": 90, "output": 50, "reasoning_tokens": 30, "total": 150},
            {"input_tokens": 100, "cache_read_tokens": 90, "output_tokens": 50, "reasoning_tokens": 30},
        ),
        (
            "gpt-5.1",
            {"input": 100, "input_cached_tokens": 90, "output": 50, "output_reasoning": 30, "total": 150},
            {"input_tokens": 100, "cache_read_tokens": 90, "output_tokens": 50, "reasoning_tokens": 30},
        ),
        (
            GEMINI,
            {
                "prompt_token_count": 100,
                "cached_content_token_count": 90,
                "candidates_token_count": 5,
                "thoughts_token_count": 7,
                "total_token_count": 112,
            },
            {"input_tokens": 100, "cache_read_tokens": 90, "output_tokens": 12, "reasoning_tokens": 7},
        ),
        (
            REALTIME,
            {
                "input_text_tokens": 10,
                "input_cached_text_tokens": 40,
                "input_audio_tokens": 5,
                "input_cached_audio_tokens": 50,
                "output_text_tokens": 3,
                "output_audio_tokens": 4,
            },
            {
                "input_tokens": 105,
                "cache_read_tokens": 90,
                "input_audio_tokens": 55,
                "cache_read_audio_tokens": 50,
                "output_tokens": 7,
                "output_audio_tokens": 4,
            },
        ),
    ],
    ids=[
        *("lifetimes", "thoughts", "Google's names", "Google's own counts", "reasoning"),
        *(
            "reasoning inside",
            "cache apart and reasoning inside",
            "both inside",
            "Google's own counts in Python",
            "audio",
        ),
    ],
)
def test_every_key_that_langfuse_has_a_price_for_is_counted(
    model: str, details: dict[str, int], expected: dict[str, int]
) -> None:
    row = {"id": "o", "traceId": "t", "type": "GENERATION", "startTime": "2026-05-29T13:46:19Z", "model": model}
    (found,) = outcomes([Row(1, {**row, "usageDetails": details})], registry.format_named("langfuse"), Options(NOW_US))
    assert isinstance(found, Draft)
    assert as_told(found.record, expected) == expected


def observation(kind: str, own: str, parent: str | None, tokens: int | None) -> dict[str, Any]:
    usage = {} if tokens is None else {"input": tokens, "output": 1}
    at = {"startTime": "2026-05-29T13:46:19Z", "traceId": "t", "model": "gpt-4o-mini"}
    return {**at, "id": own, "type": kind, "parentObservationId": parent, "usageDetails": usage}


@pytest.mark.parametrize(
    ("observations", "counted"),
    [
        ([observation("EVALUATOR", "a", None, 5), observation("SPAN", "b", "a", None)], [5]),
        ([observation("AGENT", "a", None, 9), observation("GENERATION", "b", "a", 9)], [9]),
        (
            [
                observation("GENERATION", "c", "b", 4),
                observation("SPAN", "b", "a", None),
                observation("AGENT", "a", None, 7),
                observation("TOOL", "d", "a", 3),
            ],
            [4, 3],
        ),
        ([observation("AGENT", "a", None, 9), observation("GENERATION", "b", "a", None)], [None, 9]),
        ([observation("TOOL", "a", None, None), observation("SPAN", "b", None, 2)], []),
        ([{name: value for name, value in observation("AGENT", "a", None, 9).items() if "parent" not in name}], []),
    ],
    ids=[
        "one that asked a model",
        "the sum of a call",
        "sums of many levels",
        "of calls that say nothing",
        "no usage, and a span",
        "nothing said of what lies where",
    ],
)
def test_an_observation_of_langfuse_with_usage_is_a_call_unless_it_sums_up_those_below_it(
    observations: list[dict[str, Any]], counted: list[int | None]
) -> None:
    rows = [Row(place, values) for place, values in enumerate(observations, 1)]
    found = list(outcomes(rows, registry.format_named("langfuse"), Options(NOW_US)))
    assert [one.record.get("input_tokens") for one in found if isinstance(one, Draft)] == counted
    assert len(found) == len(rows)
    assert not any(isinstance(one, LeftOut) and one.wrong for one in found)


LITELLM_WRITTEN = {
    "prompt_tokens_details": {
        "cached_tokens": 600,
        "cache_creation_tokens": 300,
        "cache_creation_token_details": {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 200},
    },
    "cache_creation_input_tokens": 300,
    "cache_read_input_tokens": 600,
    "server_tool_use": {"web_search_requests": 2},
}


@pytest.mark.parametrize(
    ("changed", "more", "expected"),
    [
        (
            {"model": CLAUDE, "custom_llm_provider": "anthropic"},
            LITELLM_WRITTEN,
            {
                "input_tokens": 1000,
                "cache_read_tokens": 600,
                "cache_write_5m_tokens": 100,
                "cache_write_1h_tokens": 200,
                "units": {"web_searches": 2},
            },
        ),
        (
            {"model": "gemini-2.5-flash-image", "custom_llm_provider": "gemini"},
            {
                "prompt_tokens_details": {"text_tokens": 742, "image_tokens": 258},
                "completion_tokens_details": {"text_tokens": 10, "image_tokens": 190},
            },
            {"input_image_tokens": 258, "output_image_tokens": 190, "output_tokens": 200},
        ),
        (
            {"model": "gpt-realtime", "custom_llm_provider": "openai", "call_type": "_arealtime"},
            {
                "prompt_tokens_details": {"text_tokens": 200, "audio_tokens": 800, "cached_tokens": 100},
                "completion_tokens_details": {"text_tokens": 10, "audio_tokens": 190},
            },
            {"input_audio_tokens": 800, "cache_read_tokens": 100, "output_audio_tokens": 190},
        ),
        (
            {"call_type": "aocr", "prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
            {"pages_processed": 10, "doc_size_bytes": 5},
            {"input_tokens": None, "output_tokens": None, "units": {"pages": 10}, "reported_cost_usd": "0.01"},
        ),
        (
            {"call_type": "atranscription", "prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
            {"type": "duration", "seconds": 12.5},
            {"input_tokens": None, "output_tokens": None, "units": {"audio_seconds": "12.5"}},
        ),
        (
            {"call_type": "aspeech", "prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
            {},
            {"input_tokens": None, "output_tokens": None, "units": None, "reported_cost_usd": "0.01"},
        ),
    ],
    ids=[
        "lifetimes of the cache, and searches",
        "pictures",
        "speech",
        "pages",
        "seconds",
        "what cost something without a count",
    ],
)
@pytest.mark.parametrize("name", ["usage_object", "additional_usage_values"])
def test_what_litellm_tells_beside_the_tokens_is_counted(
    name: str, changed: dict[str, Any], more: dict[str, Any], expected: dict[str, Any]
) -> None:
    row = {"request_id": "r", "call_type": "acompletion", "spend": 0.01, "startTime": "2026-06-01T10:00:00Z"}
    counts = {"prompt_tokens": 1000, "completion_tokens": 200, "total_tokens": 1200, "metadata": {name: more}}
    form = registry.format_named("litellm")
    (found,) = outcomes([Row(1, {**row, "model": "any", **counts, **changed})], form, Options(NOW_US))
    assert isinstance(found, Draft)
    assert as_told(found.record, expected) == expected


HELICONE_ROW = {
    "request_id": "r",
    "request_created_at": "2026-06-01T10:00:00.000Z",
    "response_status": 200,
    "provider": "OPENAI",
    "model": "gpt-4o",
    "prompt_tokens": 1000,
    "completion_tokens": 20,
    "cost": 0.0027,
    "cache_reference_id": "00000000-0000-0000-0000-000000000000",
}
UNSAID = {"prompt_tokens": None, "completion_tokens": None, "cost": None}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, {"status": "ok", "not_billed": None, "reported_cost_usd": "0.0027"}),
        (
            {"cache_reference_id": "0196f000-0000-4000-8000-000000000001"},
            {"status": "cached", "not_billed": True, "reported_cost_usd": None},
        ),
        ({"response_status": -3}, {"status": "cancelled", "not_billed": None, "output_tokens": 20}),
        ({**UNSAID, "response_status": -3}, {"status": "cancelled", "not_billed": True}),
        ({**UNSAID, "response_status": "-1"}, {"status": "error", "error_type": "timeout", "http_status": None}),
        ({**UNSAID, "response_status": -4}, {"status": "error", "error_type": "threat", "not_billed": True}),
    ],
)
def test_a_request_of_helicone_ended_as_its_own_numbers_say(changed: dict[str, Any], expected: dict[str, Any]) -> None:
    (found,) = helicone_outcomes({**HELICONE_ROW, **changed})
    assert isinstance(found, Draft)
    assert as_told(found.record, expected) == expected


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"status": 200}, {"status": "ok", "http_status": 200, "reported_cost_usd": "0.002700000"}),
        ({"status": "200", "cost": "2700000"}, {"http_status": 200, "reported_cost_usd": "0.002700000"}),
        ({"status": 429, "cost": 0}, {"status": "error", "http_status": 429, "reported_cost_usd": None}),
        ({"status": -3}, {"status": "cancelled", "http_status": None, "reported_cost_usd": "0.002700000"}),
    ],
)
def test_a_row_of_helicones_own_table_has_its_amount_in_billionths(
    changed: dict[str, Any], expected: dict[str, Any]
) -> None:
    row = {name: value for name, value in HELICONE_ROW.items() if name != "response_status"}
    (found,) = helicone_outcomes({**row, "cost": 2_700_000, "organization_id": "o", **changed})
    assert isinstance(found, Draft)
    assert as_told(found.record, expected) == expected


@pytest.mark.parametrize("pending", [0, -2, "-2"])
def test_a_request_of_helicone_without_an_answer_waits(pending: object) -> None:
    (found,) = helicone_outcomes({**HELICONE_ROW, "response_status": pending})
    assert isinstance(found, LeftOut)
    assert (found.wrong, found.reason[:33]) == (False, "a request that is not answered ye")


def helicone_outcomes(row: dict[str, Any]) -> list[Draft | LeftOut]:
    return list(outcomes([Row(1, row)], registry.format_named("helicone"), Options(NOW_US)))


OPENAI_SPOKEN = {
    "object": "organization.usage.completions.result",
    "num_model_requests": 4,
    "model": "gpt-realtime",
    "input_tokens": 1000,
    "input_cached_tokens": 600,
    "input_uncached_tokens": 400,
    "input_text_tokens": 100,
    "input_cached_text_tokens": 200,
    "input_audio_tokens": 300,
    "input_cached_audio_tokens": 400,
    "output_tokens": 50,
    "output_audio_tokens": 40,
}
OPENAI_SEARCHED = {
    "object": "organization.usage.web_searches.result",
    "num_model_requests": 2,
    "num_requests": 5,
    "model": "gpt-4o",
    "context_level": "high",
}
OPENAI_LOOKED_UP = {"object": "organization.usage.file_searches.result", "num_requests": 4, "vector_store_id": "vs_1"}


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (
            OPENAI_SPOKEN,
            {
                "input_tokens": 1000,
                "cache_read_tokens": 600,
                "input_audio_tokens": 700,
                "cache_read_audio_tokens": 400,
                "output_audio_tokens": 40,
                "usage_conflict": None,
            },
        ),
        (OPENAI_SEARCHED, {"operation": "web_search", "response_model": "gpt-4o", "units": {"web_searches": 5}}),
        (OPENAI_LOOKED_UP, {"operation": "file_search", "units": {"file_searches": 4}}),
    ],
    ids=["cached audio lies beside the other", "web searches", "file searches"],
)
def test_a_result_of_openai_is_counted_as_it_is_billed(result: dict[str, Any], expected: dict[str, Any]) -> None:
    (record,) = openai_records(result)
    assert as_told(record, expected) == expected


def test_searches_of_openai_that_differ_in_what_they_are_grouped_by_are_two() -> None:
    records = openai_records(OPENAI_SEARCHED, {**OPENAI_SEARCHED, "context_level": "low"})
    records += openai_records(OPENAI_LOOKED_UP, {**OPENAI_LOOKED_UP, "vector_store_id": "vs_2"})
    assert len({record["event_id"] for record in records}) == 4


OPENAI_TIMES = {
    "start_time": "1760486400",
    "end_time": "1760572800",
    "start_time_iso": "2025-10-15T00:00:00+00:00",
    "end_time_iso": "2025-10-16T00:00:00+00:00",
}


@pytest.mark.parametrize(
    ("kind", "used", "operation"),
    [
        ("completions", {"input_tokens": 9, "output_tokens": 1, "model": "gpt-4o", "batch": False}, "chat"),
        ("completions", {"input_tokens": 9, "output_tokens": 1, "model": "gpt-4o", "batch": True}, "chat"),
        ("embeddings", {"input_tokens": 9, "model": "text-embedding-3-small"}, "embeddings"),
        ("moderations", {"input_tokens": 9, "model": "omni-moderation-latest"}, "moderations"),
        ("images", {"images": 2, "size": "1024x1024", "source": "image.generation"}, "image_generation"),
        ("audio_speeches", {"characters": 45, "model": "tts-1"}, "text_to_speech"),
        ("audio_transcriptions", {"seconds": 20, "model": "whisper-1"}, "speech_to_text"),
        ("code_interpreter_sessions", {"num_sessions": 1}, "code_interpreter"),
    ],
)
def test_a_result_of_openai_is_the_same_in_a_page_of_its_api_and_in_a_csv(
    kind: str, used: dict[str, Any], operation: str
) -> None:
    result = {**used, "project_id": None, "num_model_requests": 3}
    (of_page,) = openai_records({**result, "object": f"organization.usage.{kind}.result"})
    cells = {name: "" if value is None else str(value) for name, value in result.items()}
    row = {**OPENAI_TIMES, **cells, "num_model_requests": "3.0"}
    form = registry.recognised([row])
    assert form is not None
    (of_csv,) = outcomes([Row(1, row)], form, Options(NOW_US))
    assert isinstance(of_csv, Draft)
    assert of_csv.record == of_page
    assert of_page["operation"] == operation


def test_a_csv_of_openai_of_a_time_in_which_nothing_was_used_is_known() -> None:
    form = registry.recognised([OPENAI_TIMES])
    assert form is not None
    (found,) = outcomes([Row(1, OPENAI_TIMES)], form, Options(NOW_US))
    assert (form.name, found) == ("openai-usage", LeftOut(1, "nothing was used", wrong=False))


OPENAI_SPENT = {"object": "organization.costs.result", "amount": {"value": 0.5, "currency": "usd"}}
NOON = 1_789_992_000
"""2026-09-21T12:00:00Z"""

OPENAI_USED = {"object": "organization.usage.completions.result", "input_tokens": 9, "num_model_requests": 1}


@pytest.mark.parametrize("name", ["user_id", "user_email", "api_source", "organization_id", "what_comes_next_year"])
@pytest.mark.parametrize("result", [OPENAI_SPENT, OPENAI_USED], ids=["a bill", "usage"])
def test_results_of_openai_that_differ_in_anything_they_are_grouped_by_are_two(
    name: str, result: dict[str, Any]
) -> None:
    records = openai_records(*({**result, name: value} for value in (None, "a", "b")))
    assert len({record["event_id"] for record in records}) == 3


def test_a_bill_of_openai_is_the_same_whether_its_names_stand_beside_its_ids_or_not() -> None:
    grouped = {**OPENAI_SPENT, "project_id": "proj_a", "user_id": "user-1", "line_item": "gpt-4o, input"}
    names = {"project_name": "Chat", "user_email": "ann@shop.example", "organization_id": "org-1", "quantity": 7}
    records = openai_records(grouped, {**grouped, **names, "organization_name": "Acme", "quantity_unit": "tokens"})
    assert len({record["event_id"] for record in records}) == 1


def openai_records(*results: dict[str, Any]) -> list[Mapping[str, Any]]:
    bucket = {"object": "bucket", "start_time": 1760486400, "end_time": 1760572800, "results": list(results)}
    found = list(outcomes([Row(1, bucket)], registry.format_named("openai-usage"), Options(NOW_US)))
    assert all(isinstance(one, Draft) for one in found), found
    return [one.record for one in found if isinstance(one, Draft)]


ANTHROPIC_GROUP = {"product": None, "model": "claude-sonnet-4-5", "speed": None, "service_tier": "standard"}
ANTHROPIC_COUNTS = {
    "uncached_input_tokens": 1500,
    "cache_creation": {"ephemeral_1h_input_tokens": 1000, "ephemeral_5m_input_tokens": 500},
    "cache_read_input_tokens": 200,
    "output_tokens": 500,
    "server_tool_use": {"web_search_requests": 2},
    "requests": 7,
    "total_tokens": 3700,
}
ANTHROPIC_DAY = {"starting_at": "2026-09-03T00:00:00Z", "ending_at": "2026-09-04T00:00:00Z"}
ANTHROPIC_ROW = {**ANTHROPIC_DAY, "group": ANTHROPIC_GROUP, "usage": ANTHROPIC_COUNTS}
ANTHROPIC_COST = {"amount": "123.45", "list_amount": "150", "currency": "USD", "requests": None}
CLAUDE_CODE_DAY = {
    "actor": {"type": "user_actor", "email_address": "ann@shop.example"},
    "core_metrics": {"num_sessions": 5},
    "customer_type": "api",
    "date": "2025-09-01T00:00:00Z",
    "organization_id": "org",
    "terminal_type": "vscode",
    "model_breakdown": [
        {
            "model": "claude-sonnet-4-20250514",
            "tokens": {"input": 100, "output": 35, "cache_read": 10, "cache_creation": 5},
            "estimated_cost": {"currency": "USD", "amount": 186},
        },
        {"model": "claude-3-5-haiku-20241022", "tokens": {"input": 0, "output": 0}, "estimated_cost": None},
    ],
}


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (
            ANTHROPIC_ROW,
            {
                "started_at": "2026-09-03T00:00:00.000000Z",
                "response_model": "claude-sonnet-4-5",
                "service_tier": "standard",
                "input_tokens": 3200,
                "cache_write_1h_tokens": 1000,
                "output_tokens": 500,
                "units": {"requests": 7, "web_searches": 2},
                "tags": MANY,
            },
        ),
        ({**ANTHROPIC_ROW, "group": {**ANTHROPIC_GROUP, "speed": "fast"}}, {"service_tier": "fast"}),
        (
            {**ANTHROPIC_DAY, "group": {**ANTHROPIC_GROUP, "cost_type": "tokens"}, "cost": ANTHROPIC_COST},
            {"operation": "bill", "not_billed": True, "reported_cost_usd": "1.2345"},
        ),
        (
            CLAUDE_CODE_DAY,
            {
                "started_at": "2025-09-01T00:00:00.000000Z",
                "user_id": "ann@shop.example",
                "response_model": "claude-sonnet-4-20250514",
                "input_tokens": 115,
                "cache_read_tokens": 10,
                "cache_write_5m_tokens": 5,
                "output_tokens": 35,
                "reported_cost_usd": "1.86",
                "tags": {**AT_LEAST, "agent": "claude-code", "terminal": "vscode", "customer_type": "api"},
            },
        ),
    ],
    ids=["analytics, usage", "fast", "analytics, cost", "Claude Code"],
)
def test_rows_of_other_reports_of_anthropic_are_usage_and_bills_too(
    row: dict[str, Any], expected: dict[str, Any]
) -> None:
    (record,) = anthropic_records(row)
    assert as_told(record, expected) == expected


CONSOLE_LINE = {
    "usage_date_utc": "2026-08-15",
    "model": "Claude Haiku 4.5",
    "workspace": "Default",
    "api_key": "demo-key",
    "usage_type": "message",
    "context_window": "≤ 200k",
    "token_type": "output",
    "cost_usd": "0.03",
    "list_price_usd": "0.03",
    "cost_type": "token",
    "inference_geo": "global",
    "speed": "",
    "api_key_id": "apikey_x",
    "api_key_status": "active",
}


def test_lines_of_cost_from_the_console_are_known_by_what_was_bought_and_not_by_the_state_of_its_key() -> None:
    grouped = ["model", "workspace", "usage_type", "context_window", "token_type", "cost_type", "speed", "api_key_id"]
    records = anthropic_records(CONSOLE_LINE, *({**CONSOLE_LINE, name: "another"} for name in grouped))
    assert len({record["event_id"] for record in records}) == 1 + len(grouped)
    same = [{**CONSOLE_LINE, "api_key_status": "archived"}, {**CONSOLE_LINE, "api_key": "renamed"}]
    assert len({record["event_id"] for record in anthropic_records(CONSOLE_LINE, *same)}) == 1


LAST_HOUR = {"starting_at": "2026-09-21T11:00:00Z", "ending_at": "2026-09-21T12:00:00Z"}


@pytest.mark.parametrize(
    ("values", "hours", "taken"),
    [
        ({**LAST_HOUR, "results": [{"uncached_input_tokens": 5}]}, 0.5, False),
        ({**LAST_HOUR, "results": [{"uncached_input_tokens": 5}]}, 1, True),
        ({**LAST_HOUR, "group": ANTHROPIC_GROUP, "usage": ANTHROPIC_COUNTS}, 5, False),
        ({**LAST_HOUR, "group": ANTHROPIC_GROUP, "usage": ANTHROPIC_COUNTS}, 24, True),
        ({"object": "bucket", "start_time": NOON - 3600, "end_time": NOON, "results": [OPENAI_USED]}, 0.5, False),
        ({"object": "bucket", "start_time": NOON - 3600, "end_time": NOON, "results": [OPENAI_USED]}, 1, True),
    ],
    ids=["just over", "an hour after", "analytics, hours after", "analytics, a day after", "OpenAI", "OpenAI, later"],
)
def test_a_bucket_is_taken_when_nothing_is_added_to_it_any_more(
    values: dict[str, Any], hours: float, taken: bool
) -> None:
    form = registry.recognised([values])
    assert form is not None
    (found,) = outcomes([Row(1, values)], form, Options(int((NOON + hours * 3600) * 1_000_000)))
    assert isinstance(found, Draft) is taken
    assert taken or (isinstance(found, LeftOut) and not found.wrong)


@pytest.mark.parametrize("name", ["product", "slack_channel_id", "rbac_group_id", "what_will_come_next_year"])
@pytest.mark.parametrize("measured", [{"usage": ANTHROPIC_COUNTS}, {"cost": ANTHROPIC_COST}], ids=["usage", "cost"])
def test_results_of_anthropic_that_differ_in_anything_they_are_grouped_by_are_two(
    name: str, measured: dict[str, Any]
) -> None:
    groups = [{**ANTHROPIC_GROUP, name: value} for value in (None, "a", "b")]
    flat = [{**ANTHROPIC_DAY, "group": group, **measured} for group in groups]
    bucket = {**ANTHROPIC_DAY, "results": [{**group, **counts} for group in groups for counts in measured.values()]}
    for records in (anthropic_records(*flat), anthropic_records(bucket)):
        assert len({record["event_id"] for record in records}) == 3


def anthropic_records(*rows: dict[str, Any]) -> list[Mapping[str, Any]]:
    form = registry.recognised(rows)
    assert form is not None
    assert form.name == "anthropic-usage"
    found = list(outcomes([Row(1, row) for row in rows], form, Options(NOW_US)))
    return [one.record for one in found if isinstance(one, Draft)]
