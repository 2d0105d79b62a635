"""OpenAI chat completions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from taximeter.simulator.asking import Ask, Block, bad_request, optional_count, required_text, text_block, text_in
from taximeter.simulator.dialects import Dialect, Piece, grouped, route
from taximeter.simulator.drafting import Draft
from taximeter.simulator.manners import Manners
from taximeter.simulator.openai_models import reasons, served_tier, writes_are_reported

OPENAI: Final = Manners(provider="openai")


class OpenAIChat(Dialect):
    manners = OPENAI
    api = "openai.chat"

    def ask(self, body: Mapping[str, Any]) -> Ask:
        model = required_text(body, "model")
        messages = body.get("messages")
        if not isinstance(messages, list) or not messages:
            raise bad_request("Missing required parameter: 'messages'.", "messages")
        return Ask(
            body=body,
            model=model,
            blocks=_blocks(messages, body.get("tools")),
            stream=body.get("stream") is True,
            max_output_tokens=optional_count(body, "max_completion_tokens", "max_tokens"),
            reasons=reasons(model, body.get("reasoning_effort")),
            service_tier=served_tier(body.get("service_tier")),
            choices=optional_count(body, "n") or 1,
        )

    def response_id(self, number: str) -> str:
        return "chatcmpl-" + number

    def whole(self, draft: Draft) -> bytes:
        message: dict[str, Any] = {
            "role": "assistant",
            "content": " ".join(draft.words),
            "refusal": None,
            "annotations": [],
        }
        choices = [
            {"index": i, "message": message, "logprobs": None, "finish_reason": finish_reason(draft)}
            for i in range(draft.asked.get("n") or 1)
        ]
        return msgspec.json.encode(
            {
                "id": self.response_id(draft.number),
                "object": "chat.completion",
                "created": draft.created_s,
                "model": draft.model,
                "choices": choices,
                "usage": usage_object(draft),
                "service_tier": draft.service_tier,
                "system_fingerprint": "fp_simulator",
            }
        )

    def streamed(self, draft: Draft, tokens_per_piece: int) -> Iterator[Piece]:
        with_usage = bool((draft.asked.get("stream_options") or {}).get("include_usage"))
        head = _chunk_head(self.response_id(draft.number), draft)
        tail = b',"usage":null}\n\n' if with_usage else b"}\n\n"
        choices = range(draft.asked.get("n") or 1)
        done = len(draft.thoughts)
        for i in choices:
            delta = b'{"role":"assistant","content":"","refusal":null}'
            yield head + _choice(i, delta, b"null") + tail, done
        for text, _ in grouped(draft.words, tokens_per_piece):
            delta = b'{"content":' + msgspec.json.encode(text) + b"}"
            for i in choices:
                done += len(text.split())
                yield head + _choice(i, delta, b"null") + tail, done
        finish = b'"' + finish_reason(draft).encode() + b'"'
        closing = b"".join(head + _choice(i, b"{}", finish) + tail for i in choices)
        if with_usage:
            closing += head + b'[],"usage":' + msgspec.json.encode(usage_object(draft)) + b"}\n\n"
        yield closing + b"data: [DONE]\n\n", draft.usage.output_tokens or 0


def _blocks(messages: list[Any], tools: object) -> tuple[Block, ...]:
    texts = [text_in(tools)] if tools else []
    for message in messages:
        if not isinstance(message, dict) or "role" not in message:
            raise bad_request("Missing required parameter: 'messages[0].role'.", "messages")
        texts.append(text_in(message))
    return tuple(text_block(text) for text in texts)


def usage_object(draft: Draft) -> dict[str, Any]:
    usage = draft.usage
    prompt_details = {"cached_tokens": usage.cache_read_tokens or 0, "audio_tokens": 0}
    if writes_are_reported(draft.model):
        prompt_details["cache_write_tokens"] = usage.cache_write_5m_tokens or 0
    read, written = usage.input_tokens or 0, usage.output_tokens or 0
    return {
        "prompt_tokens": read,
        "completion_tokens": written,
        "total_tokens": read + written,
        "prompt_tokens_details": prompt_details,
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning_tokens or 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def finish_reason(draft: Draft) -> str:
    return "length" if draft.reached_limit else "stop"


def _chunk_head(response_id: str, draft: Draft) -> bytes:
    known = {
        "id": response_id,
        "object": "chat.completion.chunk",
        "created": draft.created_s,
        "model": draft.model,
        "service_tier": draft.service_tier,
        "system_fingerprint": "fp_simulator",
    }
    return b"data: " + msgspec.json.encode(known)[:-1] + b',"choices":'


def _choice(index: int, delta: bytes, finish: bytes) -> bytes:
    return b'[{"index":%d,"delta":%b,"logprobs":null,"finish_reason":%b}]' % (index, delta, finish)


ROUTES: Final = (route("/v1/chat/completions", OpenAIChat()),)
