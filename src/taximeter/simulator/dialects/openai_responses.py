"""OpenAI responses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any, Final

import msgspec

from taximeter.simulator.asking import Ask, Block, bad_request, optional_count, required_text, text_block, text_in
from taximeter.simulator.dialects import Dialect, Piece, grouped, route
from taximeter.simulator.dialects.openai_chat import OPENAI
from taximeter.simulator.drafting import Draft
from taximeter.simulator.openai_models import reasons, served_tier, writes_are_reported


class OpenAIResponses(Dialect):
    manners = OPENAI
    api = "openai.responses"

    def ask(self, body: Mapping[str, Any]) -> Ask:
        model = required_text(body, "model")
        effort = (body.get("reasoning") or {}).get("effort")
        return Ask(
            body=body,
            model=model,
            blocks=_blocks(body),
            stream=body.get("stream") is True,
            max_output_tokens=optional_count(body, "max_output_tokens"),
            reasons=reasons(model, effort),
            service_tier=served_tier(body.get("service_tier")),
        )

    def response_id(self, number: str) -> str:
        return "resp_" + number

    def whole(self, draft: Draft) -> bytes:
        return msgspec.json.encode(_finished(draft))

    def streamed(self, draft: Draft, tokens_per_piece: int) -> Iterator[Piece]:
        number = count()
        started = _response(draft, "in_progress")
        opening = _event(number, "response.created", response=started)
        opening += _event(number, "response.in_progress", response=started)
        yield opening, 0
        done = len(draft.thoughts)
        index = 0
        if draft.thoughts:
            thought = _thought(draft)
            added = _event(number, "response.output_item.added", output_index=0, item=thought)
            yield added + _event(number, "response.output_item.done", output_index=0, item=thought), done
            index = 1
        message = _message(draft, "in_progress")
        place = {"item_id": message["id"], "output_index": index, "content_index": 0}
        opened = {**message, "content": []}
        yield (
            _event(number, "response.output_item.added", output_index=index, item=opened)
            + _event(number, "response.content_part.added", **place, part=_text_part("")),
            done,
        )
        for text, so_far in grouped(draft.words, tokens_per_piece):
            yield _event(number, "response.output_text.delta", **place, delta=text, logprobs=[]), done + so_far
        yield _closing(number, draft, place), draft.usage.output_tokens or 0


def _closing(number: Iterator[int], draft: Draft, place: dict[str, Any]) -> bytes:
    text = " ".join(draft.words)
    final = _finished(draft)
    return b"".join(
        (
            _event(number, "response.output_text.done", **place, text=text, logprobs=[]),
            _event(number, "response.content_part.done", **place, part=_text_part(text)),
            _event(
                number,
                "response.output_item.done",
                output_index=place["output_index"],
                item=_message(draft, final["status"]),
            ),
            _event(number, f"response.{final['status']}", response=final),
        )
    )


def _event(number: Iterator[int], kind: str, **members: Any) -> bytes:
    data = msgspec.json.encode({"type": kind, "sequence_number": next(number), **members})
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), data)


def _blocks(body: Mapping[str, Any]) -> tuple[Block, ...]:
    asked = body.get("input")
    if not isinstance(asked, str | list) or not asked:
        raise bad_request("Missing required parameter: 'input'.", "input")
    parts = [body.get("tools"), body.get("instructions"), *(asked if isinstance(asked, list) else [asked])]
    return tuple(text_block(text_in(part)) for part in parts if part)


def _finished(draft: Draft) -> dict[str, Any]:
    response = _response(draft, "incomplete" if draft.reached_limit else "completed")
    if draft.reached_limit:
        response["incomplete_details"] = {"reason": "max_output_tokens"}
    thoughts = [_thought(draft)] if draft.thoughts else []
    response["output"] = [*thoughts, _message(draft, response["status"])]
    response["usage"] = _usage_object(draft)
    return response


def _response(draft: Draft, status: str) -> dict[str, Any]:
    body = draft.asked
    return {
        "id": "resp_" + draft.number,
        "object": "response",
        "created_at": draft.created_s,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "model": draft.model,
        "output": [],
        "parallel_tool_calls": True,
        "previous_response_id": body.get("previous_response_id"),
        "reasoning": body.get("reasoning") or {"effort": None, "summary": None},
        "service_tier": draft.service_tier,
        "store": body.get("store", True),
        "temperature": body.get("temperature", 1.0),
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": None,
        "user": None,
        "metadata": body.get("metadata") or {},
    }


def _thought(draft: Draft) -> dict[str, Any]:
    return {"id": "rs_" + draft.number, "type": "reasoning", "summary": []}


def _message(draft: Draft, status: str) -> dict[str, Any]:
    return {
        "id": "msg_" + draft.number,
        "type": "message",
        "status": status,
        "role": "assistant",
        "content": [_text_part(" ".join(draft.words))],
    }


def _text_part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _usage_object(draft: Draft) -> dict[str, Any]:
    usage = draft.usage
    details = {"cached_tokens": usage.cache_read_tokens or 0}
    if writes_are_reported(draft.model):
        details["cache_write_tokens"] = usage.cache_write_5m_tokens or 0
    read, written = usage.input_tokens or 0, usage.output_tokens or 0
    return {
        "input_tokens": read,
        "input_tokens_details": details,
        "output_tokens": written,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens or 0},
        "total_tokens": read + written,
    }


ROUTES: Final = (route("/v1/responses", OpenAIResponses()),)
