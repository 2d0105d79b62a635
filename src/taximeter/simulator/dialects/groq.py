"""Groq: OpenAI's chat with times beside the usage, which a stream tells unasked in `x_groq`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

import msgspec

from taximeter.simulator.asking import Ask
from taximeter.simulator.dialects import Piece, Route, grouped, route
from taximeter.simulator.dialects.openai_chat import OpenAIChat, finish_reason
from taximeter.simulator.drafting import Draft
from taximeter.simulator.manners import Manners, request_id_in

GROQ: Final = Manners(provider="groq", headers=request_id_in(b"x-request-id"))


class GroqChat(OpenAIChat):
    manners = GROQ
    api = "groq.chat"

    def ask(self, body: Mapping[str, Any]) -> Ask:
        asked = super().ask(body)
        return replace(asked, reasons="gpt-oss" in asked.model or "qwen3" in asked.model, service_tier="on_demand")

    def whole(self, draft: Draft) -> bytes:
        answer = msgspec.json.decode(super().whole(draft))
        answer["choices"][0]["message"]["reasoning"] = " ".join(draft.thoughts) or None
        return msgspec.json.encode({**answer, "usage": _usage_object(draft), "x_groq": _mark(draft)})

    def streamed(self, draft: Draft, tokens_per_piece: int) -> Iterator[Piece]:
        opening = {"role": "assistant", "content": ""}
        yield _event(self._chunk(draft, opening, x_groq=_mark(draft))), 0
        for text, so_far in grouped(draft.thoughts, tokens_per_piece):
            yield _event(self._chunk(draft, {"reasoning": text, "channel": "analysis"})), so_far
        done = len(draft.thoughts)
        for text, so_far in grouped(draft.words, tokens_per_piece):
            yield _event(self._chunk(draft, {"content": text})), done + so_far
        used = _usage_object(draft)
        last = self._chunk(draft, {}, x_groq={**_mark(draft), "usage": used})
        last["choices"][0]["finish_reason"] = finish_reason(draft)
        if (draft.asked.get("stream_options") or {}).get("include_usage"):
            last["usage"] = used
        yield _event(last) + b"data: [DONE]\n\n", draft.usage.output_tokens or 0

    def _chunk(self, draft: Draft, delta: dict[str, Any], **further: Any) -> dict[str, Any]:
        return {
            "id": self.response_id(draft.number),
            "object": "chat.completion.chunk",
            "created": draft.created_s,
            "model": draft.model,
            "system_fingerprint": "fp_simulator",
            "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}],
            **further,
        }

    def stream_error(self) -> bytes:
        return b"event: error\n" + super().stream_error()


def _event(chunk: dict[str, Any]) -> bytes:
    return b"data: " + msgspec.json.encode(chunk) + b"\n\n"


def _mark(draft: Draft) -> dict[str, Any]:
    return {"id": "req_" + draft.number}


def _usage_object(draft: Draft) -> dict[str, Any]:
    usage = draft.usage
    read, written = usage.input_tokens or 0, usage.output_tokens or 0
    counted: dict[str, Any] = {
        "queue_time": 0.005,
        "prompt_tokens": read,
        "prompt_time": 0.01,
        "completion_tokens": written,
        "completion_time": 0.1,
        "total_tokens": read + written,
        "total_time": 0.11,
    }
    if usage.cache_read_tokens:
        counted["prompt_tokens_details"] = {"cached_tokens": usage.cache_read_tokens}
    if usage.reasoning_tokens:
        counted["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning_tokens}
    return counted


ROUTES: Final[tuple[Route, ...]] = (route("(?:/openai)?/v1/chat/completions", GroqChat()),)
