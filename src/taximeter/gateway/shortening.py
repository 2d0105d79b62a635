"""Ends a stream early as if the model had used up its allowance: in the words of its own protocol, with nothing torn.

Only whole events are handed on, so that what follows the last of them can be read. Each dialect follows along as far
as its last events have to repeat what came before, and writes those: open parts are closed, the reason is the one for
an allowance that is used up, and usage is what the call's event says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Protocol

import msgspec

from taximeter.core.usage import Usage
from taximeter.extract.sse import SseFraming
from taximeter.gateway.stream_usage import HELD_BYTES_MAX, last_event_end

Event = dict[str, Any]

_DONE: Final = b"[DONE]"
MARK: Final = {"taximeter": {"cut": "limit_reached"}}
"""Put into the last event, for those who look: clients pass over what they do not know."""


class Dialect(Protocol):
    """What of a stream has to be known to end it."""

    def take(self, event: Event) -> None:
        """An event that has been handed on."""
        ...

    def last_events(self, usage: Usage) -> Iterator[bytes]:
        """The events that end it, as they are sent; none when it cannot be ended (nothing has begun)."""
        ...


class Shortenable:
    """A stream on its way, in whole events."""

    __slots__ = ("_dialect", "_framing", "_held", "lost")

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._framing = SseFraming()
        self._held = b""
        self.lost = False
        """Whether it can no more be ended."""

    def feed(self, chunk: bytes) -> bytes:
        """What of the stream so far may go on: it ends where an event ends."""
        data = self._held + chunk
        cut = last_event_end(data)
        if cut == 0 and len(data) > HELD_BYTES_MAX:  # it goes on in pieces, and nobody knows any more where it ends
            cut, self.lost = len(data), True
        whole, self._held = data[:cut], data[cut:]
        return whole

    def follow(self, whole: bytes) -> bool:
        """Take in what has gone on. Always True; may raise for a stream that is not what it says."""
        for _, text in self._framing.feed(whole):
            event = None if text == _DONE else msgspec.json.decode(text)
            if isinstance(event, dict):
                self._dialect.take(event)
        return True

    def end(self) -> bytes:
        """What was held back, of a stream that ends by itself."""
        held, self._held = self._held, b""
        return held

    def shortened(self, usage: Usage) -> bytes:
        """What ends it here; empty when it cannot be ended so."""
        return b"" if self.lost else b"".join(self._dialect.last_events(usage))


def shortenable(flavour: str, tells_usage: bool) -> Shortenable | None:
    """A stream of this flavour; None for one that has no such end. `tells_usage`: its client asked for the usage."""
    make = _DIALECTS.get(flavour)
    return None if make is None else Shortenable(make(tells_usage))


def _data(event: Event) -> bytes:
    return b"data: " + msgspec.json.encode(event) + b"\n\n"


def _named(event: Event) -> bytes:
    return b"event: " + str(event["type"]).encode() + b"\n" + _data(event)


# ── OpenAI: chat and text completions ──────────────────────────────────────────────────────────────────────


class _Choices:
    """Chunks repeat the head of the first one; each choice ends with a reason of its own."""

    def __init__(self, tells_usage: bool, rest: Mapping[str, Any]) -> None:
        self._tells_usage = tells_usage
        self._rest = rest
        self._head: Event = {}
        self._open: dict[int, bool] = {}

    def take(self, event: Event) -> None:
        if not self._head:
            self._head = {key: value for key, value in event.items() if key not in ("choices", "usage", "obfuscation")}
        for choice in event.get("choices") or ():
            place = choice.get("index", 0)
            self._open[place] = self._open.get(place, True) and choice.get("finish_reason") is None

    def last_events(self, usage: Usage) -> Iterator[bytes]:
        if not self._open:
            return
        ending = [place for place, is_open in sorted(self._open.items()) if is_open]
        choices = [{"index": place, **self._rest, "finish_reason": "length"} for place in ending]
        yield _data({**self._head, "choices": choices, **MARK})
        if self._tells_usage:
            yield _data({**self._head, "choices": [], "usage": _chat_usage(usage)})
        yield b"data: " + _DONE + b"\n\n"


def _chat_usage(usage: Usage) -> Event:
    read, written = usage.input_tokens or 0, usage.output_tokens or 0
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


def _chat(tells_usage: bool) -> Dialect:
    return _Choices(tells_usage, {"delta": {}, "logprobs": None})


def _completions(tells_usage: bool) -> Dialect:
    return _Choices(tells_usage, {"text": "", "logprobs": None})


# ── Anthropic ──────────────────────────────────────────────────────────────────────────────────────────────


class _Message:
    """Blocks are opened and closed by their index; the reason and the usage come with the end of the message."""

    def __init__(self, _: bool) -> None:
        self._begun = False
        self._open: dict[int, None] = {}

    def take(self, event: Event) -> None:
        kind = event.get("type")
        if kind == "message_start":
            self._begun = True
        elif kind == "content_block_start":
            self._open[event["index"]] = None
        elif kind == "content_block_stop":
            self._open.pop(event["index"], None)

    def last_events(self, usage: Usage) -> Iterator[bytes]:
        if not self._begun:
            return
        for place in self._open:
            yield _named({"type": "content_block_stop", "index": place})
        ending = {"stop_reason": "max_tokens", "stop_sequence": None}
        yield _named({"type": "message_delta", "delta": ending, "usage": {"output_tokens": usage.output_tokens or 0}})
        yield _named({"type": "message_stop", **MARK})


# ── OpenAI: responses ──────────────────────────────────────────────────────────────────────────────────────


class _Response:
    """The last event repeats the whole response. Items are kept as they grow, and closed as incomplete."""

    def __init__(self, _: bool) -> None:
        self._response: Event = {}
        self._items: dict[int, Event] = {}
        self._done: dict[int, Event] = {}
        self._number = -1

    def take(self, event: Event) -> None:
        self._number = max(self._number, event.get("sequence_number", -1))
        kind, place = event.get("type"), event.get("output_index", 0)
        if kind in ("response.created", "response.in_progress"):
            self._response = event["response"]
        elif kind == "response.output_item.added":
            self._items[place] = event["item"]
        elif kind == "response.output_item.done":
            self._done[place] = event["item"]
        elif kind == "response.content_part.added":
            self._items[place].setdefault("content", []).append(event["part"])
        elif kind == "response.output_text.delta":
            part = self._items[place]["content"][event["content_index"]]
            part["text"] = part.get("text", "") + event["delta"]
        elif kind == "response.function_call_arguments.delta":
            item = self._items[place]
            item["arguments"] = item.get("arguments", "") + event["delta"]

    def last_events(self, usage: Usage) -> Iterator[bytes]:
        if not self._response:
            return
        ending = {place: item for place, item in self._items.items() if place not in self._done}
        for place, item in ending.items():
            yield from self._closed(place, item)
        output = [item for _, item in sorted({**self._done, **ending}.items())]
        told = {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
        response = {**self._response, **told, "output": output, "usage": _response_usage(usage)}
        yield self._numbered({"type": "response.incomplete", "response": response, **MARK})

    def _closed(self, place: int, item: Event) -> Iterator[bytes]:
        item["status"] = "incomplete"
        where = {"item_id": item.get("id"), "output_index": place}
        for index, part in enumerate(item.get("content") or ()):
            of_part = {**where, "content_index": index}
            if part.get("type") == "output_text":
                ended = {"type": "response.output_text.done", **of_part, "text": part["text"], "logprobs": []}
                yield self._numbered(ended)
            yield self._numbered({"type": "response.content_part.done", **of_part, "part": part})
        yield self._numbered({"type": "response.output_item.done", "output_index": place, "item": item})

    def _numbered(self, event: Event) -> bytes:
        self._number += 1
        return _named({**event, "sequence_number": self._number})


def _response_usage(usage: Usage) -> Event:
    read, written = usage.input_tokens or 0, usage.output_tokens or 0
    return {
        "input_tokens": read,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": written,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": read + written,
    }


_DIALECTS: Final[Mapping[str, Callable[[bool], Dialect]]] = {
    "openai.chat": _chat,
    "openai.completions": _completions,
    "openai.responses": _Response,
    "anthropic.messages": _Message,
}
