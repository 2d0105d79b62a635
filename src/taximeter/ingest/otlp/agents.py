"""Coding agents: of the three signals they send, the log event of each call is the one that counts.

Their spans and metrics tell of the same calls and are left out of the money.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import chain, groupby
from operator import attrgetter
from typing import Any, Final

from taximeter.clock import rfc3339, to_unix_us
from taximeter.ingest.otlp.attributes import fill
from taximeter.ingest.otlp.calls import count, event_id_of, http_status, name_whom
from taximeter.ingest.otlp.emitters import UNKNOWN_PROVIDER, model_at, provider_of
from taximeter.ingest.otlp.span import Found, LogRecord, Origin, Span
from taximeter.ingest.wire import WireEvent

CALL_DETAILS: Final = "gen_ai.client.inference.operation.details"
"""The conventions' own log event of a call: what its span says, said again."""


@dataclass(frozen=True, slots=True)
class AgentEvent:
    """A log event that tells of one call. `kind`: only with this `event.kind`. `provider`: who was asked where the
    model's name does not tell."""

    agent: str
    provider: str | None = None
    kind: str | None = None
    failed: bool = False
    tool_input: bool = False
    """Whether `tool_token_count` is input that the rest of the input leaves out."""
    told_again: bool = False
    """Whether the same event comes once more for the answer's last piece, with how long that took and no counts."""


AGENT_EVENTS: Final[Mapping[str, AgentEvent]] = {
    "claude_code.api_request": AgentEvent("claude-code", "anthropic"),
    "claude_code.api_error": AgentEvent("claude-code", "anthropic", failed=True),
    "cowork.api_request": AgentEvent("claude-cowork", "anthropic"),
    "cowork.api_error": AgentEvent("claude-cowork", "anthropic", failed=True),
    "codex.sse_event": AgentEvent("codex", "openai", kind="response.completed", told_again=True),
    "gemini_cli.api_response": AgentEvent("gemini-cli", "google", tool_input=True),
    "gemini_cli.api_error": AgentEvent("gemini-cli", "google", failed=True),
    "qwen-code.api_response": AgentEvent("qwen-code"),
    "qwen-code.api_error": AgentEvent("qwen-code", failed=True),
}

EVENT_NAMES: Final[Mapping[str, str]] = {name: name for name in (*AGENT_EVENTS, CALL_DETAILS)}
"""Log events we know, by every name they come under."""

AGENT_SERVICES: Final = frozenset(
    {"claude-code", "codex_exec", "codex_tui", "codex-app-server", "codex_cli_rs", "codex desktop", "gemini-cli"}
    | {"qwen-code"}
)
"""Service names of coding agents, in lower case."""

AGENT_SCOPES: Final = ("com.anthropic.claude_code", "codex_", "gemini-cli", "qwen-code")
"""How their scopes' names begin, for those who renamed the service."""

AGENT_SPANS: Final = ("claude_code.",)
"""How their spans' names begin, whatever the scope."""


def is_agent(origin: Origin) -> bool:
    """Whether a coding agent sent this, whose log events count instead."""
    return _is_agents_own(str(origin.shared.get("service", "")), origin.scope_name)


def without_agents(spans: Iterable[Span]) -> list[Span]:
    """Spans but those of coding agents. Where they come from is asked once for all that follow each other."""
    by_origin = groupby(spans, attrgetter("origin"))
    others = chain.from_iterable(group for origin, group in by_origin if not is_agent(origin))
    return [span for span in others if not span.name.startswith(AGENT_SPANS)]


@lru_cache(maxsize=1024)
def _is_agents_own(service: str, scope_name: str) -> bool:
    return service.lower() in AGENT_SERVICES or scope_name.startswith(AGENT_SCOPES)


_COUNTS: Final = {
    "agent_input": "input",
    "agent_output": "output",
    "agent_total": "total",
    "agent_cache_read": "cache_read",
    "agent_cache_write": "cache_write",
    "agent_reasoning": "reasoning",
}
_NAMES: Final = {
    "agent_model": "response_model",
    "agent_session": "session_id",
    "agent_error": "error_type",
    "agent_status": "http_status",
}
_TAGS: Final = {
    "agent_organization": "organization",
    "agent_prompt_id": "prompt_id",
    "agent_purpose": "query_source",
    "agent_request_id": "provider_request_id",
}
_STANDARD_SPEEDS: Final = frozenset({"normal", "standard"})


def event_of_record(record: LogRecord) -> WireEvent | None:
    """The event of an agent's log record; None when it tells of no call, or not when."""
    kind = AGENT_EVENTS[record.name]
    found = record.found
    if kind.kind is not None and found.get("event_kind") != kind.kind:
        return None
    failed = kind.failed
    if kind.told_again and found.keys().isdisjoint(_COUNTS):
        failed = "agent_failed" in found
        if not failed or "agent_duration_ms" in found:
            return None
    ended_ns = _at_ns(record)
    if not ended_ns:
        return None
    identity = repr((record.name, ended_ns, record.span_id, sorted(found.items(), key=str))).encode()
    duration_ms = found.get("agent_duration_ms") or 0.0
    start_ns = max(ended_ns - int(duration_ms * 1e6), 0)
    _rename(found, kind)
    fill(found, record.origin.shared)
    tags: dict[str, Any] = {"otlp_emitter": kind.agent, "agent": kind.agent}
    tags |= {ours: found[name] for name, ours in _TAGS.items() if name in found}
    model = found.get("response_model")
    provider = _asked_of(kind, model)
    if "vertex" in found.get("agent_auth", ""):
        provider = "google-vertex"
    if model is not None:
        model = model_at(provider, model)
    speed = found.get("agent_speed")
    event = WireEvent(
        event_id=event_id_of(start_ns, identity),
        started_at=rfc3339(start_ns // 1000),
        source="otlp",
        status="error" if failed else "ok",
        provider=provider,
        request_model=model,
        response_model=None if failed else model,
        operation="chat",
        service_tier=None if speed in _STANDARD_SPEEDS else speed,
        duration_ms=round(duration_ms, 3),
        http_status=http_status(found.get("http_status")),
        error_type=found.get("error_type"),
        response_id=found.get("response_id"),
        attempt=min(max(found.get("agent_attempt", 1), 1), 1_000_000),
        trace_id=record.trace_id.hex() or None,
        span_id=record.span_id.hex() or None,
        tags=tags,
        reported_cost_usd=found.get("agent_cost"),
    )
    name_whom(event, found)
    if not failed:
        count(event, tags, found, kind.agent, model)
    return event


def _asked_of(kind: AgentEvent, model: str | None) -> str:
    """Claude Code asks clouds, and whoever speaks Anthropic's protocol; Codex likewise."""
    told = provider_of(None, None, model)
    return kind.provider if told == UNKNOWN_PROVIDER and kind.provider else told


def _rename(found: Found, kind: AgentEvent) -> None:
    """Their names as ours. A person's address says more than the id of an installation."""
    for theirs, ours in (*_COUNTS.items(), *_NAMES.items()):
        if theirs in found:
            found.setdefault(ours, found[theirs])
    if "agent_user" in found:
        found["user_id"] = found["agent_user"]
    if kind.tool_input and "input" in found:
        found["input"] += found.get("agent_tool", 0)


def _at_ns(record: LogRecord) -> int:
    """When the record was made: what it says itself, else the time of the log."""
    text: Any = record.found.get("event_at")
    try:
        return to_unix_us(datetime.fromisoformat(text)) * 1000 if text else record.at_ns
    except (ValueError, TypeError, OverflowError):
        return record.at_ns
