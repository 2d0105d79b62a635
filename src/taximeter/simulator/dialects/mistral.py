"""Mistral: OpenAI's chat; a stream tells its usage unasked, with the last word."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

import msgspec

from taximeter.simulator.asking import Ask, Refusal
from taximeter.simulator.dialects import Piece, Route, grouped, route
from taximeter.simulator.dialects.openai_chat import OpenAIChat, finish_reason
from taximeter.simulator.dialects.openai_embeddings import OpenAIEmbeddings
from taximeter.simulator.drafting import Draft
from taximeter.simulator.manners import Manners, request_id_in


def _error_body(refusal: Refusal, _request_id: str) -> bytes:
    if refusal.status == 401:
        return msgspec.json.encode({"detail": "Invalid API Key"})
    return msgspec.json.encode(
        {"object": "error", "message": refusal.message, "type": refusal.kind, "param": None, "code": refusal.code}
    )


MISTRAL: Final = Manners(provider="mistral", error_body=_error_body, headers=request_id_in(b"mistral-correlation-id"))


class MistralChat(OpenAIChat):
    manners = MISTRAL
    api = "mistral.chat"

    def ask(self, body: Mapping[str, Any]) -> Ask:
        return replace(super().ask(body), reasons=False, service_tier="standard")

    def response_id(self, number: str) -> str:
        return number

    def whole(self, draft: Draft) -> bytes:
        message = {"role": "assistant", "content": " ".join(draft.words), "tool_calls": None}
        choice = {"index": 0, "message": message, "finish_reason": finish_reason(draft)}
        return msgspec.json.encode(_answer(draft, "chat.completion", choice, _usage_object(draft)))

    def streamed(self, draft: Draft, tokens_per_piece: int) -> Iterator[Piece]:
        yield _event(draft, {"role": "assistant", "content": ""}), 0
        for text, so_far in grouped(draft.words, tokens_per_piece):
            yield _event(draft, {"content": text}), so_far
        last = _event(draft, {"content": ""}, finish_reason(draft), _usage_object(draft))
        yield last + b"data: [DONE]\n\n", draft.usage.output_tokens or 0


class MistralEmbeddings(OpenAIEmbeddings):
    manners = MISTRAL
    api = "mistral.embeddings"

    def response_id(self, number: str) -> str:
        return number

    def whole(self, draft: Draft) -> bytes:
        answer = msgspec.json.decode(super().whole(draft))
        return msgspec.json.encode({"id": draft.number, **answer, "usage": _usage_object(draft)})


def _event(draft: Draft, delta: dict[str, Any], finish: str | None = None, usage: object = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: " + msgspec.json.encode(_answer(draft, "chat.completion.chunk", choice, usage)) + b"\n\n"


def _answer(draft: Draft, kind: str, choice: dict[str, Any], usage: object) -> dict[str, Any]:
    answer = {"id": draft.number, "object": kind, "created": draft.created_s, "model": draft.model, "choices": [choice]}
    return answer if usage is None else {**answer, "usage": usage}


def _usage_object(draft: Draft) -> dict[str, Any]:
    read, written = draft.usage.input_tokens or 0, draft.usage.output_tokens or 0
    return {
        "prompt_tokens": read,
        "total_tokens": read + written,
        "completion_tokens": written,
        "prompt_tokens_details": {"cached_tokens": draft.usage.cache_read_tokens or 0},
        "service_tier": draft.service_tier,
    }


ROUTES: Final[tuple[Route, ...]] = (
    route("/v1/chat/completions", MistralChat()),
    route("/v1/embeddings", MistralEmbeddings()),
)
