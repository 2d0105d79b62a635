"""Cohere: chat in its second and first version, embeddings. What is billed is less than what the model really read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from taximeter.simulator.asking import Ask, Block, Refusal, bad_request, optional_count, required_text, text_block
from taximeter.simulator.asking import text_in as text_of
from taximeter.simulator.dialects import Caching, Dialect, Piece, Route, grouped, route
from taximeter.simulator.dialects.openai_embeddings import vector
from taximeter.simulator.drafting import Draft
from taximeter.simulator.manners import Manners, request_id_in

TEMPLATE_TOKENS: Final = 495
"""What Cohere's own template adds to every prompt: read by the model, not billed."""


def _error_body(refusal: Refusal, request_id: str) -> bytes:
    return msgspec.json.encode({"id": request_id, "message": refusal.message})


COHERE: Final = Manners(provider="cohere", error_body=_error_body, headers=request_id_in(b"x-debug-trace-id"))


class CohereChat(Dialect):
    manners = COHERE
    api = "cohere.v2.chat"
    caching: Caching = "none"

    def ask(self, body: Mapping[str, Any]) -> Ask:
        return Ask(
            body=body,
            model=required_text(body, "model"),
            blocks=self._blocks(body),
            stream=body.get("stream") is True,
            max_output_tokens=optional_count(body, "max_tokens"),
        )

    def _blocks(self, body: Mapping[str, Any]) -> tuple[Block, ...]:
        messages = body.get("messages")
        if not isinstance(messages, list) or not messages:
            raise bad_request("invalid request: message must be at least 1 token long", "messages")
        return tuple(text_block(text_of(part)) for part in (body.get("tools"), *messages) if part)

    def response_id(self, number: str) -> str:
        return number

    def whole(self, draft: Draft) -> bytes:
        message = {"role": "assistant", "content": [{"type": "text", "text": " ".join(draft.words)}]}
        return msgspec.json.encode(
            {"id": draft.number, "finish_reason": _finish(draft), "message": message, "usage": _usage_object(draft)}
        )

    def streamed(self, draft: Draft, tokens_per_piece: int) -> Iterator[Piece]:
        message = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
        yield _event("message-start", id=draft.number, delta={"message": message}), 0
        opened = {"message": {"content": {"type": "text", "text": ""}}}
        yield _event("content-start", index=0, delta=opened), 0
        for text, so_far in grouped(draft.words, tokens_per_piece):
            yield _event("content-delta", index=0, delta={"message": {"content": {"text": text}}}), so_far
        ending = {"finish_reason": _finish(draft), "usage": _usage_object(draft)}
        last = _event("content-end", index=0) + _event("message-end", delta=ending)
        yield last + b"data: [DONE]\n\n", draft.usage.output_tokens or 0

    def stream_error(self) -> bytes:
        return _event("message-end", delta={"finish_reason": "ERROR", "error": "internal server error"})


class CohereV1Chat(CohereChat):
    """One JSON object a line, each with the kind of its event."""

    api = "cohere.v1.chat"
    stream_type = b"application/stream+json"

    def _blocks(self, body: Mapping[str, Any]) -> tuple[Block, ...]:
        parts = (body.get("preamble"), *(body.get("chat_history") or ()), required_text(body, "message"))
        return tuple(text_block(text_of(part)) for part in parts if part)

    def whole(self, draft: Draft) -> bytes:
        return msgspec.json.encode(_v1_answer(draft))

    def streamed(self, draft: Draft, tokens_per_piece: int) -> Iterator[Piece]:
        yield _line("stream-start", is_finished=False, generation_id=draft.number), 0
        for text, so_far in grouped(draft.words, tokens_per_piece):
            yield _line("text-generation", is_finished=False, text=text), so_far
        ending = {"finish_reason": _finish(draft), "response": _v1_answer(draft)}
        yield _line("stream-end", is_finished=True, **ending), draft.usage.output_tokens or 0

    def stream_error(self) -> bytes:
        return _line("stream-end", is_finished=True, finish_reason="ERROR", error="internal server error")

    def broken_event(self) -> bytes:
        return b'{"event_type":"te\n'


class CohereEmbed(Dialect):
    manners = COHERE
    operation = "embeddings"
    api = "cohere.v2.embed"

    def ask(self, body: Mapping[str, Any]) -> Ask:
        texts = body.get("texts")
        if not isinstance(texts, list) or not texts:
            raise bad_request("invalid request: texts are required", "texts")
        blocks = tuple(text_block(text_of(text)) for text in texts)
        return Ask(body=body, model=required_text(body, "model"), blocks=blocks, max_output_tokens=0)

    def response_id(self, number: str) -> str:
        return number

    def whole(self, draft: Draft) -> bytes:
        texts = draft.asked["texts"]
        vectors = [vector(text, draft.asked.get("output_dimension") or 64) for text in texts]
        return msgspec.json.encode(
            {
                "id": draft.number,
                "texts": texts,
                "embeddings": {"float": vectors},
                "meta": {"api_version": {"version": "2"}, "billed_units": {"input_tokens": draft.usage.input_tokens}},
                "response_type": "embeddings_by_type",
            }
        )


def _finish(draft: Draft) -> str:
    return "MAX_TOKENS" if draft.reached_limit else "COMPLETE"


def _usage_object(draft: Draft) -> dict[str, Any]:
    read, written = draft.usage.input_tokens or 0, draft.usage.output_tokens or 0
    return {
        "billed_units": {"input_tokens": read, "output_tokens": written},
        "tokens": {"input_tokens": read + TEMPLATE_TOKENS, "output_tokens": written + 3},
        "cached_tokens": 0,
    }


def _v1_answer(draft: Draft) -> dict[str, Any]:
    return {
        "response_id": draft.number,
        "generation_id": draft.number,
        "text": " ".join(draft.words),
        "finish_reason": _finish(draft),
        "meta": {"api_version": {"version": "1"}, **_usage_object(draft)},
    }


def _event(kind: str, **members: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), msgspec.json.encode({"type": kind, **members}))


def _line(kind: str, **members: Any) -> bytes:
    return msgspec.json.encode({"event_type": kind, **members}) + b"\n"


ROUTES: Final[tuple[Route, ...]] = (
    route("/v2/chat", CohereChat()),
    route("/v1/chat", CohereV1Chat()),
    route("/v[12]/embed", CohereEmbed()),
)
