"""OpenAI streams tell their usage only when asked. We ask for clients that did not, and keep the answer to ourselves.

`ask` edits the request's bytes at one place and leaves the rest as it came. `UsageWithholder` takes the extra event,
the one with empty `choices` and a `usage` after a choice has finished, out of the stream. A host that sends such an
event unasked (Azure's model router) cannot be told apart once it was asked: its clients miss that event, too, unless
they ask for it or `ask_for_usage` is off. The `"usage":null` that asking puts into the other
events stays: taking it out would mean to rewrite every event, and the official clients read a missing usage and
null as the same.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from taximeter.extract import Flavour, RequestFacts

_ASKABLE: Final = frozenset({"openai.chat", "openai.completions"})
_OPTION: Final = b'"stream_options":{"include_usage":true}'
_TOKENS: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\],]', re.DOTALL)

_OPENING: Final = (b"{", b"[")
_CLOSING: Final = (b"}", b"]")

HELD_BYTES_MAX: Final = 256 * 1024
"""Longest unfinished event that is held back; a longer one is surely not the usage event."""

_EVENT_END: Final = re.compile(rb"\r\n\r\n|\n\n|\r\r|\n\r\n")
_LONGEST_END: Final = 3
"""Bytes of an event's end that can be in one chunk while the rest of it is in the next."""
_NO_CHOICES: Final = re.compile(rb'"choices"\s*:\s*\[\s*\]')
_SOME_CHOICE: Final = re.compile(rb'"choices"\s*:\s*\[\s*\{')


def can_ask(flavour: Flavour, facts: RequestFacts) -> bool:
    """Whether this is a stream that would not tell its usage."""
    return facts.stream and not facts.asks_for_stream_usage and flavour.name in _ASKABLE


def ask(body: bytes, payload: Mapping[str, Any]) -> bytes | None:
    """`body` (whose parsed form is `payload`) asking for usage; None when there is no place to put the question."""
    if "stream_options" not in payload:
        end = body.rfind(b"}")
        return None if end < 0 else body[:end] + b"," + _OPTION + body[end:]
    span = value_span(body, b'"stream_options"')
    if span is None:
        return None
    options = payload["stream_options"]
    asked = {**(options if isinstance(options, Mapping) else {}), "include_usage": True}
    return body[: span[0]] + json.dumps(asked).encode() + body[span[1] :]


def value_span(body: bytes, name: bytes) -> tuple[int, int] | None:
    """Where the value of the last top-level key `name` stands in a JSON object."""
    depth, at_key = 0, False
    start: int | None = None
    span: tuple[int, int] | None = None
    for token in _TOKENS.finditer(body):
        text = token.group()
        if text in _OPENING:
            depth += 1
            at_key = depth == 1
        elif text in _CLOSING or text == b",":
            depth -= text != b","
            at_key = depth == 1 and text == b","
            if start is not None and (at_key or depth == 0):
                span, start = (start, token.start()), None
        else:
            if at_key and text == name:
                start = body.index(b":", token.end()) + 1
            at_key = False
    return span


_FINISH: Final = re.compile(rb'"finish_reason"\s*:\s*[^n\s]')
_LONGEST_FINISH: Final = 32
"""Bytes of a finish reason that can be in one chunk while the rest of it is in the next."""


class UsageWithholder:
    """Takes the usage event out of a stream, in any chunking.

    Bytes are held only as long as they may still become that event: an event with a choice in it passes at once.
    """

    __slots__ = ("_end_of_out", "_finished", "_held", "_passed", "withheld")

    def __init__(self) -> None:
        self._held = b""
        self._passed: bytes | None = None  # the end of an event that is on its way, as long as it goes on
        self._finished = False  # whether a choice has; only then the extra event comes
        self._end_of_out = b""
        self.withheld = False

    def feed(self, chunk: bytes) -> bytes:
        """What of the stream so far may go on to the client."""
        data = self._held + chunk if self._held else chunk
        out = b""
        if self._passed is not None:
            out, data = self._rest_of_event(data)
            self._look_for_finish(out)
        if data:
            cut = last_event_end(data)
            whole, data = data[:cut], data[cut:]
            if _NO_CHOICES.search(whole) is None:
                self._look_for_finish(whole)
                out += whole
            else:
                out += self._without_usage(whole)
        if data and (_SOME_CHOICE.search(data) or len(data) > HELD_BYTES_MAX):
            self._passed = data[-_LONGEST_END:]
            self._look_for_finish(data)
            out, data = out + data, b""
        self._held = data
        return out

    def end(self) -> bytes:
        """What was still held when the stream ended."""
        held, self._held = self._held, b""
        return held if not (self._finished and _is_usage_event(held)) else b""

    def _look_for_finish(self, passed: bytes) -> None:
        if self._finished:
            return
        seen = self._end_of_out + passed
        self._finished = _FINISH.search(seen) is not None
        self._end_of_out = seen[-_LONGEST_FINISH:]

    def _rest_of_event(self, data: bytes) -> tuple[bytes, bytes]:
        """Data up to the end of an event that is already on its way."""
        seen = self._passed or b""
        found = _EVENT_END.search(seen + data)
        if found is None:
            self._passed = (seen + data)[-_LONGEST_END:]
            return data, b""
        self._passed = None
        cut = found.end() - len(seen)
        return data[:cut], data[cut:]

    def _without_usage(self, events: bytes) -> bytes:
        kept, start = [], 0
        for end in _EVENT_END.finditer(events):
            event = events[start : end.end()]
            start = end.end()
            if self._finished and _is_usage_event(event):
                self.withheld = True
            else:
                self._look_for_finish(event)
                kept.append(event)
        return b"".join(kept)


def last_event_end(data: bytes) -> int:
    if data.endswith(b"\n\n"):
        return len(data)
    cut = 0
    for found in _EVENT_END.finditer(data):
        cut = found.end()
    return cut


def _is_usage_event(event: bytes) -> bool:
    """Whether an event holds empty choices and a usage, and so exists only because it was asked for."""
    if _NO_CHOICES.search(event) is None:
        return False
    data = b"\n".join(line[5:] for line in event.splitlines() if line.startswith(b"data:"))
    try:
        payload = json.loads(data)
    except ValueError:
        return False
    return isinstance(payload, dict) and payload.get("choices") == [] and isinstance(payload.get("usage"), dict)
