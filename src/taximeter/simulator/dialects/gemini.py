"""Google's Gemini API: contents generated whole, as server-sent events or as one array that grows; embeddings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final

import msgspec

from taximeter.simulator.asking import Ask, Block, Refusal, bad_request, optional_count, text_block, text_in
from taximeter.simulator.dialects import EVENT_STREAM, Caching, Dialect, Piece, Route, grouped, model_route
from taximeter.simulator.dialects.openai_embeddings import vector
from taximeter.simulator.drafting import Draft
from taximeter.simulator.manners import USUAL_REFUSALS, Manners

_STATUS_NAMES: Final = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}
_REASONING: Final = re.compile(r"gemini-(2\.5|[3-9])")


def google_error(refusal: Refusal, _request_id: str) -> bytes:
    name = _STATUS_NAMES.get(refusal.status, "UNKNOWN")
    return msgspec.json.encode({"error": {"code": refusal.status, "message": refusal.message, "status": name}})


GOOGLE: Final = Manners(
    provider="google",
    refusals={**USUAL_REFUSALS, "unauthorized": (400, "", None, "API key not valid. Please pass a valid API key.")},
    error_body=google_error,
    headers=lambda _request_id, chance: [(b"server-timing", b"gfet4t7; dur=%d" % chance.randint(20, 900))],
)


class _Gemini(Dialect):
    """What its operations share: the model is in the path."""

    manners = GOOGLE

    def __init__(self, model: str, manners: Manners = GOOGLE) -> None:
        self._model = model
        self.manners = manners

    def response_id(self, number: str) -> str | None:
        return number


class GenerateContent(_Gemini):
    api = "google.generateContent"

    def ask(self, body: Mapping[str, Any]) -> Ask:
        options = body.get("generationConfig") or {}
        return Ask(
            body=body,
            model=self._model,
            blocks=_blocks(body),
            max_output_tokens=optional_count(options, "maxOutputTokens"),
            reasons=_reasons(self._model, options),
            choices=optional_count(options, "candidateCount") or 1,
            service_tier="standard",
        )

    def whole(self, draft: Draft) -> bytes:
        text = " ".join(draft.words)
        count = (draft.asked.get("generationConfig") or {}).get("candidateCount") or 1
        candidates = [_candidate(i, text, _finish(draft)) for i in range(count)]
        return msgspec.json.encode(_chunk(draft, candidates, draft.usage.output_tokens or 0))


class StreamGenerateContent(GenerateContent):
    """The usage so far is in every chunk. Without `alt=sse` the chunks are the items of one JSON array."""

    def __init__(self, model: str, manners: Manners = GOOGLE, *, as_events: bool) -> None:
        super().__init__(model, manners)
        self._as_events = as_events
        self.stream_type = EVENT_STREAM if as_events else b"application/json; charset=UTF-8"

    def ask(self, body: Mapping[str, Any]) -> Ask:
        return replace(super().ask(body), stream=True)

    def streamed(self, draft: Draft, tokens_per_piece: int) -> Iterator[Piece]:
        chunks = list(_chunks(draft, tokens_per_piece))
        for number, (chunk, done) in enumerate(chunks):
            yield self._framed(chunk, first=number == 0, last=number == len(chunks) - 1), done

    def _framed(self, chunk: dict[str, Any], *, first: bool, last: bool) -> bytes:
        data = msgspec.json.encode(chunk)
        if self._as_events:
            return b"data: " + data + b"\r\n\r\n"
        return (b"[" if first else b",\r\n") + data + (b"]" if last else b"")

    def stream_error(self) -> bytes:
        error = google_error(self.manners.refusal("overloaded"), "")
        return b"data: " + error + b"\r\n\r\n" if self._as_events else b",\r\n" + error + b"]"

    def broken_event(self) -> bytes:
        return super().broken_event() if self._as_events else b',{"candidates'


class EmbedContent(_Gemini):
    """One content or a batch of them. The Gemini API does not say what an embedding used."""

    operation = "embeddings"
    api = "google.embedContent"

    def ask(self, body: Mapping[str, Any]) -> Ask:
        contents = [request.get("content") for request in body.get("requests") or [body]]
        if not all(contents):
            raise bad_request("content: required", "content")
        blocks = tuple(text_block(text_in(content)) for content in contents)
        return Ask(body=body, model=self._model, blocks=blocks, max_output_tokens=0)

    def response_id(self, _number: str) -> None:
        return None

    def whole(self, draft: Draft) -> bytes:
        requests = draft.asked.get("requests")
        embeddings = [
            {"values": vector(text_in(one.get("content")), one.get("outputDimensionality") or 64)}
            for one in requests or [draft.asked]
        ]
        return msgspec.json.encode({"embeddings": embeddings} if requests else {"embedding": embeddings[0]})


class CountTokens(_Gemini):
    operation = "count_tokens"
    api = "google.countTokens"
    caching: Caching = "none"

    def ask(self, body: Mapping[str, Any]) -> Ask:
        contents = body.get("generateContentRequest") or body
        return Ask(body=body, model=self._model, blocks=_blocks(contents), max_output_tokens=0)

    def whole(self, draft: Draft) -> bytes:
        total = draft.usage.input_tokens
        return msgspec.json.encode({"totalTokens": total, "promptTokensDetails": _as_text(total)})


def _blocks(body: Mapping[str, Any]) -> tuple[Block, ...]:
    contents = body.get("contents")
    if not isinstance(contents, list) or not contents:
        raise bad_request("contents is not specified", "contents")
    parts = [body.get("systemInstruction"), body.get("tools"), *contents]
    return tuple(text_block(text_in(part)) for part in parts if part)


def _reasons(model: str, options: Mapping[str, Any]) -> bool:
    thinking = options.get("thinkingConfig") or {}
    budget = thinking.get("thinkingBudget", thinking.get("thinking_budget"))  # Google's own client writes the latter
    return budget != 0 and _REASONING.search(model) is not None


def _chunks(draft: Draft, tokens_per_piece: int) -> Iterator[tuple[dict[str, Any], int]]:
    done = len(draft.thoughts)
    if done:
        yield _chunk(draft, [_candidate(0, "", None)], done), done
    for text, so_far in grouped(draft.words, tokens_per_piece):
        yield _chunk(draft, [_candidate(0, text, None)], done + so_far), done + so_far
    total = draft.usage.output_tokens or 0
    yield _chunk(draft, [_candidate(0, "", _finish(draft))], total), total


def _candidate(index: int, text: str, finish: str | None) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": [{"text": text}], "role": "model"}, "index": index}
    return candidate | ({"finishReason": finish} if finish else {})


def _finish(draft: Draft) -> str:
    return "MAX_TOKENS" if draft.reached_limit else "STOP"


def _chunk(draft: Draft, candidates: list[dict[str, Any]], output_tokens: int) -> dict[str, Any]:
    return {
        "candidates": candidates,
        "usageMetadata": _usage_object(draft, output_tokens),
        "modelVersion": draft.model,
        "responseId": draft.number,
    }


def _usage_object(draft: Draft, output_tokens: int) -> dict[str, Any]:
    """The usage after so many tokens of output, thoughts first. What is zero is left out."""
    usage = draft.usage_after(output_tokens)
    thoughts, cached, read = usage.reasoning_tokens or 0, usage.cache_read_tokens or 0, usage.input_tokens or 0
    counted: dict[str, Any] = {
        "promptTokenCount": read,
        "candidatesTokenCount": output_tokens - thoughts,
        "thoughtsTokenCount": thoughts,
        "cachedContentTokenCount": cached,
        "totalTokenCount": read + output_tokens,
        "promptTokensDetails": _as_text(read),
        "cacheTokensDetails": _as_text(cached),
        "serviceTier": draft.service_tier,
    }
    return {name: value for name, value in counted.items() if value}


def _as_text(tokens: int | None) -> list[dict[str, Any]]:
    return [{"modality": "TEXT", "tokenCount": tokens}] if tokens else []


def stream_at(match: re.Match[str], query: Mapping[str, str], manners: Manners) -> Dialect:
    return StreamGenerateContent(match["model"], manners, as_events=query.get("alt") == "sse")


_MODEL: Final = "/v1(?:beta|alpha)?/models/(?P<model>[^/:]+)"

ROUTES: Final[tuple[Route, ...]] = (
    model_route(f"{_MODEL}:generateContent", GOOGLE, GenerateContent),
    Route(GOOGLE, f"{_MODEL}:streamGenerateContent", partial(stream_at, manners=GOOGLE)),
    model_route(f"{_MODEL}:(?:embedContent|batchEmbedContents)", GOOGLE, EmbedContent),
    model_route(f"{_MODEL}:countTokens", GOOGLE, CountTokens),
)
