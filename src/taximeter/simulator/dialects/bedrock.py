"""Bedrock's runtime: converse and invoke, whole and as AWS event streams.

Invoked models answer in the dialect of their vendor: Claude in Anthropic's, all others in Titan's.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final
from urllib.parse import unquote

import msgspec

from taximeter.simulator.asking import Ask, Block, Refusal, bad_request, optional_count, text_block, text_in
from taximeter.simulator.aws_messages import event_message, exception_message
from taximeter.simulator.dialects import Caching, Dialect, Piece, Route, grouped, model_route
from taximeter.simulator.dialects.anthropic_messages import AnthropicMessages
from taximeter.simulator.dialects.openai_embeddings import vector
from taximeter.simulator.drafting import Draft
from taximeter.simulator.manners import USUAL_REFUSALS, Headers, Manners, request_id_in
from taximeter.simulator.prompt_cache import FIVE_MINUTES_S, ONE_HOUR_S

_ERRORS: Final = {
    400: "ValidationException",
    401: "UnrecognizedClientException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    429: "ThrottlingException",
    500: "InternalServerException",
    503: "ServiceUnavailableException",
}
_METRICS: Final = "amazon-bedrock-invocationMetrics"


def _error_body(refusal: Refusal, _request_id: str) -> bytes:
    return msgspec.json.encode({"message": refusal.message})


def _error_headers(refusal: Refusal) -> Headers:
    return [(b"x-amzn-errortype", _ERRORS.get(refusal.status, "ValidationException").encode())]


BEDROCK: Final = Manners(
    provider="aws",
    refusals={**USUAL_REFUSALS, "rate_limit": (429, "", None, "Too many requests, please wait before trying again.")},
    error_body=_error_body,
    headers=request_id_in(b"x-amzn-requestid"),
    error_headers=_error_headers,
)


class _Bedrock(Dialect):
    """What its operations share: the model is in the path, and streams are binary."""

    manners = BEDROCK
    stream_type = b"application/vnd.amazon.eventstream"

    def __init__(self, model: str) -> None:
        self._model = unquote(model)

    def stream_error(self) -> bytes:
        return exception_message("modelStreamErrorException", {"message": "The model failed in the middle."})

    def broken_event(self) -> bytes:
        return b"\x00\x00\x00\x40 neither a length nor a checksum"


class Converse(_Bedrock):
    api = "bedrock.converse"
    caching: Caching = "marked"

    def ask(self, body: Mapping[str, Any]) -> Ask:
        thinking = (body.get("additionalModelRequestFields") or {}).get("thinking") or {}
        return Ask(
            body=body,
            model=self._model,
            blocks=_blocks(body),
            max_output_tokens=optional_count(body.get("inferenceConfig") or {}, "maxTokens"),
            reasons=thinking.get("type") == "enabled",
        )

    def whole(self, draft: Draft) -> bytes:
        content: list[dict[str, Any]] = [{"text": " ".join(draft.words)}]
        if draft.thoughts:
            content.insert(0, {"reasoningContent": {"reasoningText": {"text": " ".join(draft.thoughts)}}})
        message = {"role": "assistant", "content": content}
        return msgspec.json.encode(
            {"output": {"message": message}, "stopReason": _stop_reason(draft), **_usage_and_metrics(draft)}
        )


class ConverseStream(Converse):
    api = "bedrock.converse_stream"

    def ask(self, body: Mapping[str, Any]) -> Ask:
        return replace(super().ask(body), stream=True)

    def streamed(self, draft: Draft, tokens_per_piece: int) -> Iterator[Piece]:
        yield event_message("messageStart", {"role": "assistant"}), 0
        index = 0
        for text, so_far in grouped(draft.thoughts, tokens_per_piece):
            yield _delta(0, {"reasoningContent": {"text": text}}), so_far
            index = 1
        done = len(draft.thoughts)
        for text, so_far in grouped(draft.words, tokens_per_piece):
            yield _delta(index, {"text": text}), done + so_far
        yield (
            event_message("contentBlockStop", {"contentBlockIndex": index})
            + event_message("messageStop", {"stopReason": _stop_reason(draft)})
            + event_message("metadata", _usage_and_metrics(draft)),
            draft.usage.output_tokens or 0,
        )


class InvokeClaude(_Bedrock):
    """Anthropic's messages inside Bedrock's envelope."""

    api = "bedrock.invoke"
    caching: Caching = "marked"

    def __init__(self, model: str) -> None:
        super().__init__(model)
        self._messages = AnthropicMessages()

    def ask(self, body: Mapping[str, Any]) -> Ask:
        return replace(self._messages.ask({**body, "model": self._model}), stream=False)

    def response_id(self, number: str) -> str:
        return self._messages.response_id(number)

    def headers(self, draft: Draft) -> Headers:
        return _count_headers(draft)

    def whole(self, draft: Draft) -> bytes:
        return self._messages.whole(draft)


class InvokeClaudeStream(InvokeClaude):
    api = "bedrock.invoke_stream"

    def ask(self, body: Mapping[str, Any]) -> Ask:
        return replace(super().ask(body), stream=True)

    def streamed(self, draft: Draft, tokens_per_piece: int) -> Iterator[Piece]:
        for piece, done in self._messages.streamed(draft, tokens_per_piece):
            events = [msgspec.json.decode(line[6:]) for line in piece.split(b"\n") if line.startswith(b"data: ")]
            if events[-1]["type"] == "message_stop":
                events[-1][_METRICS] = _metrics(draft)
            yield b"".join(_chunk(event) for event in events), done


class InvokeTitan(_Bedrock):
    """Text by Titan; its counts are in the headers as well."""

    api = "bedrock.invoke"
    caching: Caching = "none"

    def ask(self, body: Mapping[str, Any]) -> Ask:
        text = body.get("inputText")
        if not isinstance(text, str):
            raise bad_request("Malformed input request: required key [inputText] not found")
        bound = optional_count(body.get("textGenerationConfig") or {}, "maxTokenCount")
        return Ask(body=body, model=self._model, blocks=(text_block(text),), max_output_tokens=bound)

    def headers(self, draft: Draft) -> Headers:
        return _count_headers(draft)

    def whole(self, draft: Draft) -> bytes:
        result = {
            "tokenCount": draft.usage.output_tokens,
            "outputText": " ".join(draft.words),
            "completionReason": "LENGTH" if draft.reached_limit else "FINISH",
        }
        return msgspec.json.encode({"inputTextTokenCount": draft.usage.input_tokens, "results": [result]})


class InvokeTitanStream(InvokeTitan):
    api = "bedrock.invoke_stream"

    def ask(self, body: Mapping[str, Any]) -> Ask:
        return replace(super().ask(body), stream=True)

    def streamed(self, draft: Draft, tokens_per_piece: int) -> Iterator[Piece]:
        for text, so_far in grouped(draft.words, tokens_per_piece):
            yield _chunk({"outputText": text, "index": 0, "completionReason": None}), so_far
        usage = draft.usage
        last = {
            "outputText": "",
            "index": 0,
            "totalOutputTextTokenCount": usage.output_tokens,
            "completionReason": "LENGTH" if draft.reached_limit else "FINISH",
            "inputTextTokenCount": usage.input_tokens,
            _METRICS: _metrics(draft),
        }
        yield _chunk(last), usage.output_tokens or 0


class InvokeTitanEmbed(InvokeTitan):
    operation = "embeddings"

    def ask(self, body: Mapping[str, Any]) -> Ask:
        return replace(super().ask(body), max_output_tokens=0)

    def whole(self, draft: Draft) -> bytes:
        text, size = draft.asked["inputText"], draft.asked.get("dimensions") or 64
        return msgspec.json.encode({"embedding": vector(text, size), "inputTextTokenCount": draft.usage.input_tokens})


def _blocks(body: Mapping[str, Any]) -> tuple[Block, ...]:
    """Tools, system and messages; a `cachePoint` marks what stands before it."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise bad_request("messages: required", "messages")
    parts = [*((body.get("toolConfig") or {}).get("tools") or []), *(body.get("system") or [])]
    for message in messages:
        parts += message.get("content") or []
    blocks: list[Block] = []
    for part in parts:
        point = part.get("cachePoint")
        if point is None:
            blocks.append(text_block(text_in(part)))
        elif blocks:
            seconds = ONE_HOUR_S if point.get("ttl") == "1h" else FIVE_MINUTES_S
            blocks[-1] = replace(blocks[-1], cache_seconds=seconds)
    return tuple(blocks)


def _stop_reason(draft: Draft) -> str:
    return "max_tokens" if draft.reached_limit else "end_turn"


def _delta(index: int, delta: dict[str, Any]) -> bytes:
    return event_message("contentBlockDelta", {"contentBlockIndex": index, "delta": delta})


def _chunk(event: Mapping[str, Any]) -> bytes:
    return event_message("chunk", {"bytes": base64.b64encode(msgspec.json.encode(event)).decode(), "p": "abcdef"})


def _uncached(draft: Draft) -> int:
    usage = draft.usage
    written = (usage.cache_write_5m_tokens or 0) + (usage.cache_write_1h_tokens or 0)
    return (usage.input_tokens or 0) - (usage.cache_read_tokens or 0) - written


def _usage_and_metrics(draft: Draft) -> dict[str, Any]:
    usage = draft.usage
    short, long = usage.cache_write_5m_tokens or 0, usage.cache_write_1h_tokens or 0
    used: dict[str, Any] = {
        "inputTokens": _uncached(draft),
        "outputTokens": usage.output_tokens,
        "totalTokens": (usage.input_tokens or 0) + (usage.output_tokens or 0),
        "cacheReadInputTokens": usage.cache_read_tokens or 0,
        "cacheWriteInputTokens": short + long,
    }
    details = [{"inputTokens": tokens, "ttl": ttl} for tokens, ttl in ((short, "5m"), (long, "1h")) if tokens]
    if details:
        used["cacheDetails"] = details
    return {"usage": used, "metrics": {"latencyMs": 100}}


def _metrics(draft: Draft) -> dict[str, Any]:
    return {
        "inputTokenCount": _uncached(draft),
        "outputTokenCount": draft.usage.output_tokens,
        "invocationLatency": 200,
        "firstByteLatency": 100,
    }


def _count_headers(draft: Draft) -> Headers:
    """What a model invoked whole used, cache apart. An embedding says nothing of its output."""
    usage = draft.usage
    counts = {"input-token": _uncached(draft), "output-token": usage.output_tokens}
    if usage.cache_read_tokens or usage.cache_write_5m_tokens:
        counts["cache-read-input-token"] = usage.cache_read_tokens or 0
        counts["cache-write-input-token"] = usage.cache_write_5m_tokens or 0
    return [(b"x-amzn-bedrock-%b-count" % name.encode(), b"%d" % tokens) for name, tokens in counts.items() if tokens]


def _invoked(model: str) -> Dialect:
    if "claude" in model:
        return InvokeClaude(model)
    return InvokeTitanEmbed(model) if "embed" in model else InvokeTitan(model)


def _invoked_as_stream(model: str) -> Dialect:
    return InvokeClaudeStream(model) if "claude" in model else InvokeTitanStream(model)


_MODEL: Final = "/model/(?P<model>.+)"

ROUTES: Final[tuple[Route, ...]] = (
    model_route(f"{_MODEL}/converse", BEDROCK, Converse),
    model_route(f"{_MODEL}/converse-stream", BEDROCK, ConverseStream),
    model_route(f"{_MODEL}/invoke", BEDROCK, _invoked),
    model_route(f"{_MODEL}/invoke-with-response-stream", BEDROCK, _invoked_as_stream),
)
