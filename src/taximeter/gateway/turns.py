"""The calls inside one websocket: each response is one, begun when it starts and ended when it tells its usage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from taximeter.extract import Flavour, Reading, RequestFacts, StreamReader
from taximeter.gateway.tap import decode_json


class Turns:
    """Reads the messages of the provider. Nothing is raised whatever comes.

    A flavour of `several` calls finds them itself; of another one, each answer to its end is a call, as is an error.
    """

    def __init__(self, flavour: Flavour, model: str | None) -> None:
        self._flavour = flavour
        self._reader: StreamReader | None = None
        self.facts: RequestFacts = flavour.read_request({"model": model} if model else {})

    def asked(self, message: str | bytes) -> None:
        """A message of the client: its first ones may say what the address did not."""
        if self._reader is not None and self._flavour.several:
            return
        said = _read(message)
        if said is None:
            return
        inner = said.get("response")
        facts = self._flavour.read_request(inner if isinstance(inner, Mapping) else said)
        if facts.model is not None:
            self.facts = replace(facts, stream=True)

    def told(self, message: str | bytes) -> tuple[Reading, ...]:
        """A message of the provider; the calls that it ends."""
        event = _read(message)
        if event is None:
            return ()
        reader = self._reader
        if reader is None:
            reader = self._reader = self._flavour.stream(self.facts, decode=decode_json)
        reader.feed_event(event)
        if self._flavour.several:
            return reader.take_items()
        if not reader.finished and event.get("type") != "error":
            return ()
        self._reader = None
        return (reader.reading(),)

    @property
    def content_started(self) -> bool:
        """Whether the first content of the call under way was seen."""
        return self._reader is not None and self._reader.content_started

    def under_way(self) -> Reading | None:
        """What is known of a call that has begun and not ended; None when there is none."""
        if self._reader is None:
            return None
        told = self._reader.reading()
        if told.finished and not self.content_started:
            return None
        begun = told.response_id or told.response_model or told.usage.known
        if not (self._flavour.several or self.content_started or begun):
            return None  # what came is news between two calls
        # Of a session, `told` is the sum of the calls before.
        known = Reading() if self._flavour.several else told
        return replace(
            known, response_model=told.response_model, output_characters=told.output_characters, finished=False
        )


def _read(message: str | bytes) -> dict[str, Any] | None:
    try:
        event = decode_json(message.encode() if isinstance(message, str) else message)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) else None
