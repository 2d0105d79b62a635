"""Google's OpenAI-compatible endpoint, at the Gemini API and at Vertex AI."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from taximeter.extract import openai
from taximeter.extract.flavour import Flavour, route
from taximeter.extract.payload import Payload, count, mapping
from taximeter.extract.reading import Reading, RequestFacts
from taximeter.extract.stream import StreamState


def _with_thoughts(answer: Payload) -> Payload:
    """The answer with its thoughts in `completion_tokens`: this endpoint leaves them out, only the total has them."""
    usage = mapping(answer.get("usage"))
    read, total = count(usage.get("prompt_tokens")), count(usage.get("total_tokens"))
    if read is None or total is None or total - read <= (count(usage.get("completion_tokens")) or 0):
        return answer
    return {**answer, "usage": {**usage, "completion_tokens": total - read}}


def read_compatible_answer(status: int, payload: object) -> Reading:
    return openai.read_chat_answer(status, _with_thoughts(payload) if isinstance(payload, Mapping) else payload)


class CompatibleStream(openai.ChatStream):
    """OpenAI's chunks as Google writes them."""

    def take(self, event: Payload, /) -> None:
        super().take(_with_thoughts(event))


def _compatible_stream(request: RequestFacts | None) -> StreamState:
    return CompatibleStream(request)


COMPATIBLE: Final = Flavour(
    name="gemini.openai_chat",
    operation="chat",
    read_request=openai.read_chat_request,
    read_body=read_compatible_answer,
    open_stream=_compatible_stream,
)

ROUTES: Final = (
    route("POST", "v1beta/openai/chat/completions", COMPATIBLE),
    route("POST", "endpoints/[^/]+/chat/completions", COMPATIBLE),
)
"""Paths that are Google's whoever the provider is said to be."""
