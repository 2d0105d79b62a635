"""Ollama: lines of JSON, the last of which has the counts. It streams unless told not to, and asks for no key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from taximeter.simulator.asking import Ask, Block, Refusal, bad_request, optional_count, required_text, text_block
from taximeter.simulator.asking import text_in as text_of
from taximeter.simulator.dialects import Caching, Dialect, Piece, Route, grouped, route
from taximeter.simulator.dialects.openai_embeddings import vector
from taximeter.simulator.drafting import Draft
from taximeter.simulator.manners import Manners

CREATED: Final = "2026-01-01T00:00:00.000000Z"


def _error_body(refusal: Refusal, _request_id: str) -> bytes:
    return msgspec.json.encode({"error": refusal.message})


OLLAMA: Final = Manners(
    provider="ollama", error_body=_error_body, headers=lambda _request_id, _chance: [], needs_key=False
)


class OllamaChat(Dialect):
    manners = OLLAMA
    api = "ollama.chat"
    caching: Caching = "none"
    stream_type = b"application/x-ndjson"

    def ask(self, body: Mapping[str, Any]) -> Ask:
        return Ask(
            body=body,
            model=required_text(body, "model"),
            blocks=self._blocks(body),
            stream=body.get("stream") is not False,
            max_output_tokens=optional_count(body.get("options") or {}, "num_predict"),
        )

    def _blocks(self, body: Mapping[str, Any]) -> tuple[Block, ...]:
        messages = body.get("messages")
        if not isinstance(messages, list) or not messages:
            raise bad_request("messages are required", "messages")
        return tuple(text_block(text_of(part)) for part in (body.get("tools"), *messages) if part)

    def _says(self, text: str) -> dict[str, Any]:
        return {"message": {"role": "assistant", "content": text}}

    def whole(self, draft: Draft) -> bytes:
        return _line(draft, self._says(" ".join(draft.words)) | _end(draft))

    def streamed(self, draft: Draft, tokens_per_piece: int) -> Iterator[Piece]:
        written = 0
        for text, so_far in grouped(draft.words, tokens_per_piece):
            yield _line(draft, self._says(text) | {"done": False}), so_far
            written = so_far
        yield _line(draft, self._says("") | _end(draft)), written

    def stream_error(self) -> bytes:
        return _error_body(OLLAMA.refusal("server_error"), "") + b"\n"

    def broken_event(self) -> bytes:
        return b'{"model":"l\n'


class OllamaGenerate(OllamaChat):
    operation = "text_completion"
    api = "ollama.generate"

    def _blocks(self, body: Mapping[str, Any]) -> tuple[Block, ...]:
        parts = (body.get("system"), required_text(body, "prompt"))
        return tuple(text_block(part) for part in parts if part)

    def _says(self, text: str) -> dict[str, Any]:
        return {"response": text}


class OllamaEmbed(Dialect):
    manners = OLLAMA
    operation = "embeddings"
    api = "ollama.embed"

    def ask(self, body: Mapping[str, Any]) -> Ask:
        blocks = tuple(text_block(text) for text in _inputs(body))
        return Ask(body=body, model=required_text(body, "model"), blocks=blocks, max_output_tokens=0)

    def whole(self, draft: Draft) -> bytes:
        vectors = [vector(text, 64) for text in _inputs(draft.asked)]
        counts = {
            "total_duration": 14_143_917,
            "load_duration": 1_019_500,
            "prompt_eval_count": draft.usage.input_tokens,
        }
        return msgspec.json.encode({"model": draft.model, "embeddings": vectors, **counts})


def _inputs(body: Mapping[str, Any]) -> list[str]:
    asked = body.get("input")
    if not asked:
        raise bad_request("input is required", "input")
    return asked if isinstance(asked, list) else [asked]


def _line(draft: Draft, members: dict[str, Any]) -> bytes:
    return msgspec.json.encode({"model": draft.model, "created_at": CREATED, **members}) + b"\n"


def _end(draft: Draft) -> dict[str, Any]:
    return {
        "done": True,
        "done_reason": "length" if draft.reached_limit else "stop",
        "total_duration": 10_386_172_208,
        "load_duration": 8_078_850_750,
        "prompt_eval_count": draft.usage.input_tokens,
        "prompt_eval_duration": 175_861_000,
        "eval_count": draft.usage.output_tokens,
        "eval_duration": 2_127_200_000,
    }


ROUTES: Final[tuple[Route, ...]] = (
    route("/api/chat", OllamaChat()),
    route("/api/generate", OllamaGenerate()),
    route("/api/embed", OllamaEmbed()),
)
