"""LangChain: every chat model and LLM, by a callback handler of ours.

`instrument_all` has LangChain add the handler to every run; `instrument(model)` adds it to one model. Models that call
a provider through a client library that is instrumented are left to that.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from contextvars import ContextVar
from importlib import import_module
from typing import Any, Final

from taximeter.extract.payload import mapping, text
from taximeter.sdk.guard import GUARD
from taximeter.sdk.instruments.frameworks import CHAT, Watched

_REGIONS: Final = ("location", "region_name", "region")
"""What models call the argument that says where they are served (Vertex AI, Bedrock)."""

_TIERS: Final = ("priority", "flex")
_LIFETIMES: Final = ("ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens")
"""What was written to Claude's cache by how long it is kept there; `cache_creation` is then 0."""

MOST_RUNS: Final = 10_000
"""Runs that are followed at a time; of one that never ends nothing is known anyway."""


class _Runs:
    """The runs that are under way."""

    def __init__(self) -> None:
        self._watched: OrderedDict[Any, Watched] = OrderedDict()

    def begin(self, run_id: Any, serialized: Any, prompt: Any, told: Mapping[str, Any]) -> None:
        metadata, parameters = told.get("metadata") or {}, told.get("invocation_params") or {}
        model = metadata.get("ls_model_name") or parameters.get("model") or parameters.get("model_name")
        provider = metadata.get("ls_provider") or parameters.get("_type") or "langchain"
        body = {"model": model, "messages": prompt, "max_tokens": metadata.get("ls_max_tokens")}
        self._watched[run_id] = Watched(str(provider), CHAT, body, region=_region(serialized))
        if len(self._watched) > MOST_RUNS:
            self._watched.popitem(last=False)

    def answered(self, run_id: Any, result: Any) -> None:
        watched = self._watched.pop(run_id, None)
        if watched is not None and watched.over():
            if GUARD.run("answer", _out_of_a_cache, result):
                watched.from_cache()
            watched.answered(_payload, result)

    def failed(self, run_id: Any, error: BaseException) -> None:
        watched = self._watched.pop(run_id, None)
        if watched is not None and watched.over():
            watched.failed(error)


def _region(serialized: Any) -> str | None:
    """Where a model says, in the arguments it was made with, that it is served."""
    made_with = mapping(mapping(serialized).get("kwargs"))
    return next((region for name in _REGIONS if (region := text(made_with.get(name)))), None)


def _out_of_a_cache(result: Any) -> bool:
    """LangChain says of what it had already that it cost nothing."""
    message = getattr(result.generations[0][0], "message", None)
    return (getattr(message, "usage_metadata", None) or {}).get("total_cost") == 0


def _payload(result: Any) -> dict[str, Any]:
    """An `LLMResult` in OpenAI's shape. LangChain's own counts contain what was read from and written to a cache."""
    generation = result.generations[0][0]
    message = getattr(generation, "message", None)
    about: Mapping[str, Any] = getattr(message, "response_metadata", None) or generation.generation_info or {}
    counts = getattr(message, "usage_metadata", None) or {}
    tier, read, written = _details(counts)
    lasting = {name: read[name] for name in _LIFETIMES if read.get(name)}
    usage = {
        "prompt_tokens": counts.get("input_tokens"),
        "completion_tokens": counts.get("output_tokens"),
        "total_tokens": counts.get("total_tokens"),
        "prompt_tokens_details": {
            "cached_tokens": read.get("cache_read"),
            "cache_write_tokens": sum(lasting.values()) or read.get("cache_creation"),
            "cache_creation": lasting,
            "audio_tokens": read.get("audio"),
        },
        "completion_tokens_details": {
            "reasoning_tokens": written.get("reasoning"),
            "audio_tokens": written.get("audio"),
        },
    }
    return {
        "id": about.get("id") or getattr(message, "id", None),
        "model": about.get("model_name") or about.get("model"),
        "choices": [{"message": {"content": generation.text}, "finish_reason": "stop"}],
        "service_tier": tier or about.get("service_tier") or mapping(about.get("usage")).get("service_tier"),
        "usage": usage if counts else (result.llm_output or {}).get("token_usage"),
    }


def _details(counts: Mapping[str, Any]) -> tuple[str | None, dict[str, Any], dict[str, Any]]:
    """The tier that an answer was served in, where its counts tell it, and details of its input and its output by
    their plain names: in a tier of OpenAI's they have its name before them (`flex_cache_read`)."""
    read, written = dict(counts.get("input_token_details") or {}), dict(counts.get("output_token_details") or {})
    tier = next((name for name in _TIERS if name in read or name in written), None)
    if tier is None:
        return None, read, written
    return tier, _named_plainly(tier, read), _named_plainly(tier, written)


def _named_plainly(tier: str, details: dict[str, Any]) -> dict[str, Any]:
    return {name.removeprefix(f"{tier}_"): count for name, count in details.items()}


def _handler() -> Any:
    """An instance of our handler. Its class can be made only when there is LangChain."""
    base: Any = import_module("langchain_core.callbacks.base").BaseCallbackHandler

    class TaximeterHandler(base):  # type: ignore[misc]
        run_inline = True
        """In the context of whoever runs the model: there the clients below are heard."""

        def __init__(self) -> None:
            self._runs = _Runs()

        def on_chat_model_start(self, serialized: Any, messages: Any, *, run_id: Any, **told: Any) -> None:
            prompt = [[message.text for message in each] for each in messages]
            GUARD.run("begin", self._runs.begin, run_id, serialized, prompt, told)

        def on_llm_start(self, serialized: Any, prompts: Any, *, run_id: Any, **told: Any) -> None:
            GUARD.run("begin", self._runs.begin, run_id, serialized, prompts, told)

        def on_llm_end(self, response: Any, *, run_id: Any, **_told: Any) -> None:
            GUARD.run("answer", self._runs.answered, run_id, response)

        def on_llm_error(self, error: BaseException, *, run_id: Any, **_told: Any) -> None:
            GUARD.run("failure", self._runs.failed, run_id, error)

    return TaximeterHandler()


class _LangChain:
    def __init__(self) -> None:
        self._everywhere: ContextVar[Any] | None = None
        self._one: Any = None

    def meters(self, client: object) -> bool:
        return any(cls.__name__ == "BaseLanguageModel" for cls in type(client).__mro__)

    def patch_client(self, client: Any) -> None:
        handlers = client.callbacks or []
        if not isinstance(handlers, list):
            handlers.add_handler(self._handler())  # a callback manager, which adds it once
        elif self._handler() not in handlers:
            client.callbacks = [*handlers, self._handler()]

    def patch_classes(self) -> None:
        if self._everywhere is None:
            self._everywhere = ContextVar("taximeter_langchain", default=self._handler())  # noqa: B039 - one for all
            context: Any = import_module("langchain_core.tracers.context")
            context.register_configure_hook(self._everywhere, True)

    def restore_classes(self) -> None:
        """LangChain offers no way to take a hook back, so ours is taken out of its list."""
        if self._everywhere is not None:
            hooks: Any = import_module("langchain_core.tracers.context")._configure_hooks
            hooks[:] = [hook for hook in hooks if hook[0] is not self._everywhere]
            self._everywhere = None

    def _handler(self) -> Any:
        if self._one is None:
            self._one = _handler()
        return self._one


INSTRUMENTS: Final = (_LangChain(),)
