"""LlamaIndex: every LLM and embedding, by an event handler of ours at the root of its instrumentation.

Models that call a provider through a client library that is instrumented are left to that.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final

from taximeter.extract import Reading, flavour_for
from taximeter.extract.payload import mapping
from taximeter.sdk.guard import GUARD
from taximeter.sdk.instruments.frameworks import CHAT, Watched

MOST_SPANS: Final = 10_000
"""Spans that are followed at a time; of one that never ends nothing is known anyway."""

_BEGINS: Final = ("LLMChatStartEvent", "LLMCompletionStartEvent")
_ENDS: Final = ("LLMChatEndEvent", "LLMCompletionEndEvent")


class _Spans:
    """The calls that are under way, by their span."""

    def __init__(self) -> None:
        self._watched: OrderedDict[Any, Watched] = OrderedDict()

    def take(self, event: Any) -> None:
        """One event of the instrumentation; most are of no interest."""
        kind = type(event).__name__
        if kind in _BEGINS:
            self._begin(event)
        elif kind in _ENDS:
            self._end(event)
        elif kind == "ExceptionEvent":
            self._fail(event)

    def _begin(self, event: Any) -> None:
        about: Mapping[str, Any] = event.model_dict
        prompt = getattr(event, "prompt", None) or [str(message.content) for message in event.messages]
        body = {"model": about.get("model"), "messages": prompt, "max_tokens": about.get("max_tokens")}
        provider = str(about.get("class_name") or "llama_index").lower().removesuffix("_llm")
        self._watched[event.span_id] = Watched(provider, CHAT, body)
        if len(self._watched) > MOST_SPANS:
            self._watched.popitem(last=False)

    def _end(self, event: Any) -> None:
        watched = self._watched.pop(event.span_id, None)
        if watched is not None and watched.over():
            reading = GUARD.run("answer", _reading, event.response)
            if reading is None:
                watched.answered(_payload, event.response)
            else:
                watched.read(reading)

    def _fail(self, event: Any) -> None:
        watched = self._watched.pop(event.span_id, None)
        if watched is not None and watched.over():
            watched.failed(event.exception)


def _reading(response: Any) -> Reading | None:
    """What the provider says of the usage in a dialect of its own, if it does: the framework keeps what it got."""
    told = _told(response)
    usage = told.get("usage")
    if told.get("type") in ("message", "message_delta"):  # whole, or the last event but one of a stream
        kind, path = "anthropic", "/v1/messages"
        told["type"] = "message"
    elif isinstance(usage, Mapping) and "inputTokens" in usage:
        kind, path = "bedrock", "/model/any/converse"
    elif isinstance(google := told.get("usage_metadata"), Mapping):
        kind, path = "gemini", "/v1beta/models/any:generateContent"
        told = {"usageMetadata": {_as_on_the_wire(name): count for name, count in google.items()}}
    else:
        return None
    flavour = flavour_for(kind, "POST", path)
    reading = None if flavour is None else flavour.read_answer(200, told)
    return reading if reading is not None and reading.usage.known else None


def _as_on_the_wire(name: str) -> str:
    first, *more = name.split("_")
    return first + "".join(word.capitalize() for word in more)


def _told(response: Any) -> dict[str, Any]:
    """What the provider answered, which the framework keeps in `raw`, as JSON would have it."""
    raw: Any = getattr(response, "raw", None)
    told = raw.model_dump() if hasattr(raw, "model_dump") else dict(raw) if isinstance(raw, Mapping) else {}
    if "usage" not in told and "usage" in mapping(told.get("metadata")):  # the last event of a stream of Bedrock's
        told = told["metadata"]
    usage: Any = told.get("usage")
    return {**told, "usage": usage.model_dump()} if hasattr(usage, "model_dump") else told


def _payload(response: Any) -> dict[str, Any]:
    """An answer in OpenAI's shape. Where no usage was told, what was written is taken from the framework: the
    last event of a stream has neither."""
    told = _told(response)
    written = getattr(response, "text", None) or str(getattr(response, "message", ""))
    choices = [{"message": {"content": written}, "finish_reason": "stop"}]
    return {"choices": choices, **told} if told.get("usage") else {**told, "choices": choices}


def _handler() -> Any:
    """An instance of our handler. Its class can be made only when there is LlamaIndex."""
    base: Any = import_module("llama_index.core.instrumentation.event_handlers").BaseEventHandler
    spans = _Spans()

    class TaximeterHandler(base):  # type: ignore[misc]
        @classmethod
        def class_name(cls) -> str:
            return "TaximeterHandler"

        def handle(self, event: Any, **_told: Any) -> None:
            GUARD.run("event", spans.take, event)

    return TaximeterHandler()


class _LlamaIndex:
    """Nothing is instrumented one by one here: the framework has one dispatcher for all."""

    def __init__(self) -> None:
        self._handler: Any = None

    def meters(self, client: object) -> bool:
        return any(cls.__name__ == "BaseLLM" for cls in type(client).__mro__)

    def patch_client(self, _client: Any) -> None:
        """A model reports to the one dispatcher, so all of them are metered."""
        self.patch_classes()

    def patch_classes(self) -> None:
        if self._handler is None:
            self._handler = _handler()
            _dispatcher().add_event_handler(self._handler)

    def restore_classes(self) -> None:
        if self._handler is not None:
            _dispatcher().event_handlers.remove(self._handler)
            self._handler = None


def _dispatcher() -> Any:
    return import_module("llama_index.core.instrumentation").get_dispatcher()


INSTRUMENTS: Final = (_LlamaIndex(),)
