"""Anthropic messages, and the free count of their tokens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from random import Random
from typing import Any, Final

import msgspec

from taximeter.clock import rfc3339
from taximeter.simulator.asking import (
    Ask,
    Block,
    Refusal,
    bad_request,
    optional_count,
    required_text,
    text_block,
    text_in,
)
from taximeter.simulator.dialects import Caching, Dialect, Piece, grouped, route
from taximeter.simulator.drafting import Draft
from taximeter.simulator.manners import Headers, Known, Manners
from taximeter.simulator.prompt_cache import FIVE_MINUTES_S, ONE_HOUR_S
from taximeter.simulator.rate_limits import Allowance

_REFUSALS: Final[dict[str, Known]] = {
    "rate_limit": (429, "rate_limit_error", None, "This request would exceed your organization's rate limit."),
    "server_error": (500, "api_error", None, "Internal server error"),
    "overloaded": (529, "overloaded_error", None, "Overloaded"),
    "bad_request": (400, "invalid_request_error", None, "The simulator was asked to refuse this request."),
    "unauthorized": (401, "authentication_error", None, "invalid x-api-key"),
    "no_key": (401, "authentication_error", None, "x-api-key header is required"),
    "not_found": (404, "not_found_error", None, "model: not found"),
    "no_path": (404, "not_found_error", None, "Not found"),
    "no_method": (405, "invalid_request_error", None, "Method Not Allowed"),
    "too_large": (413, "request_too_large", None, "Request exceeds the maximum size"),
}


def _error_body(refusal: Refusal, request_id: str) -> bytes:
    error = {"type": refusal.kind, "message": refusal.message}
    return msgspec.json.encode({"type": "error", "error": error, "request_id": request_id})


def _headers(request_id: str, _chance: Random) -> Headers:
    return [(b"request-id", request_id.encode()), (b"anthropic-organization-id", b"org-simulator")]


def _rate_headers(allowance: Allowance, now_us: int) -> Headers:
    full_again_us = now_us + int((allowance.limit - allowance.remaining) * 60_000_000 / allowance.limit)
    return [
        (b"anthropic-ratelimit-requests-limit", b"%d" % allowance.limit),
        (b"anthropic-ratelimit-requests-remaining", b"%d" % allowance.remaining),
        (b"anthropic-ratelimit-requests-reset", rfc3339(full_again_us).encode()),
    ]


ANTHROPIC: Final = Manners(
    provider="anthropic",
    refusals=_REFUSALS,
    error_body=_error_body,
    headers=_headers,
    rate_headers=_rate_headers,
)


class AnthropicMessages(Dialect):
    manners = ANTHROPIC
    caching: Caching = "marked"
    api = "anthropic.messages"

    def ask(self, body: Mapping[str, Any]) -> Ask:
        model = required_text(body, "model")
        max_tokens = optional_count(body, "max_tokens")
        if max_tokens is None:
            raise bad_request("max_tokens: Field required")
        return Ask(
            body=body,
            model=model,
            blocks=prompt_blocks(body),
            stream=body.get("stream") is True,
            max_output_tokens=max_tokens,
            reasons=(body.get("thinking") or {}).get("type") in ("enabled", "adaptive"),
            service_tier="standard",
        )

    def response_id(self, number: str) -> str:
        return "msg_" + number

    def whole(self, draft: Draft) -> bytes:
        content: list[dict[str, Any]] = [{"type": "text", "text": " ".join(draft.words)}]
        if draft.thoughts:
            content.insert(0, {"type": "thinking", "thinking": " ".join(draft.thoughts), "signature": "c2ltdWxhdG9y"})
        message = _message(draft, content, _usage_object(draft))
        message["stop_reason"] = _stop_reason(draft)
        return msgspec.json.encode(message)

    def streamed(self, draft: Draft, tokens_per_piece: int) -> Iterator[Piece]:
        start = _message(draft, [], {**_usage_object(draft), "output_tokens": 1})
        start["usage"].pop("output_tokens_details", None)
        yield _event("message_start", message=start) + _event("ping"), 0
        index = 0
        if draft.thoughts:
            yield from _thinking(draft, tokens_per_piece)
            index = 1
        done = len(draft.thoughts)
        yield _event("content_block_start", index=index, content_block={"type": "text", "text": ""}), done
        for text, so_far in grouped(draft.words, tokens_per_piece):
            yield _delta(index, "text_delta", text=text), done + so_far
        usage = _usage_object(draft)
        for start_only in ("cache_creation", "service_tier", "inference_geo"):
            usage.pop(start_only)
        yield (
            _event("content_block_stop", index=index)
            + _event("message_delta", delta={"stop_reason": _stop_reason(draft), "stop_sequence": None}, usage=usage)
            + _event("message_stop"),
            draft.usage.output_tokens or 0,
        )

    def stream_error(self) -> bytes:
        return b"event: error\ndata: " + _error_body(ANTHROPIC.refusal("overloaded"), "req_stream") + b"\n\n"


class AnthropicCountTokens(AnthropicMessages):
    """`POST /v1/messages/count_tokens`: answers at once and bills nothing."""

    operation = "count_tokens"
    api = "anthropic.count_tokens"
    caching: Caching = "none"

    def ask(self, body: Mapping[str, Any]) -> Ask:
        return Ask(body=body, model=required_text(body, "model"), blocks=prompt_blocks(body), max_output_tokens=0)

    def whole(self, draft: Draft) -> bytes:
        return msgspec.json.encode({"input_tokens": draft.usage.input_tokens})


def prompt_blocks(body: Mapping[str, Any]) -> tuple[Block, ...]:
    """Tools, system and messages in the order in which Anthropic caches them, with their marks."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise bad_request("messages: Field required")
    parts = [*(body.get("tools") or []), *_parts(body.get("system"))]
    for message in messages:
        if not isinstance(message, dict) or "content" not in message:
            raise bad_request("messages.0.content: Field required")
        parts += _parts(message["content"])
    return tuple(text_block(text_in(part), _lifetime(part)) for part in parts)


def _parts(content: object) -> list[Any]:
    if not content:
        return []
    return content if isinstance(content, list) else [content]


def _lifetime(part: object) -> int:
    mark = part.get("cache_control") if isinstance(part, dict) else None
    if not mark:
        return 0
    return ONE_HOUR_S if mark.get("ttl") == "1h" else FIVE_MINUTES_S


def _thinking(draft: Draft, tokens_per_piece: int) -> Iterator[Piece]:
    opened = {"type": "thinking", "thinking": "", "signature": ""}
    yield _event("content_block_start", index=0, content_block=opened), 0
    for text, so_far in grouped(draft.thoughts, tokens_per_piece):
        yield _delta(0, "thinking_delta", thinking=text), so_far
    signed = _delta(0, "signature_delta", signature="c2ltdWxhdG9y")
    yield signed + _event("content_block_stop", index=0), len(draft.thoughts)


def _delta(index: int, kind: str, **members: str) -> bytes:
    return _event("content_block_delta", index=index, delta={"type": kind, **members})


def _event(kind: str, **members: Any) -> bytes:
    data = msgspec.json.encode({"type": kind, **members})
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), data)


def _stop_reason(draft: Draft) -> str:
    return "max_tokens" if draft.reached_limit else "end_turn"


def _message(draft: Draft, content: list[dict[str, Any]], usage: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": "msg_" + draft.number,
        "type": "message",
        "role": "assistant",
        "model": draft.model,
        "content": content,
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }


def _usage_object(draft: Draft) -> dict[str, Any]:
    usage = draft.usage
    read = usage.cache_read_tokens or 0
    short, long = usage.cache_write_5m_tokens or 0, usage.cache_write_1h_tokens or 0
    counted: dict[str, Any] = {
        "input_tokens": (usage.input_tokens or 0) - read - short - long,
        "cache_creation_input_tokens": short + long,
        "cache_read_input_tokens": read,
        "cache_creation": {"ephemeral_5m_input_tokens": short, "ephemeral_1h_input_tokens": long},
        "output_tokens": usage.output_tokens,
        "service_tier": draft.service_tier,
        "inference_geo": "not_available",
    }
    if usage.reasoning_tokens:
        counted["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
    return counted


ROUTES: Final = (
    route("/v1/messages", AnthropicMessages()),
    route("/v1/messages/count_tokens", AnthropicCountTokens()),
)
