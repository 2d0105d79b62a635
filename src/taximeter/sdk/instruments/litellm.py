"""`litellm`: completions, responses and embeddings, whole, streamed, asynchronous.

Its functions are patched in its own namespace. Where it calls a provider through that provider's client library, it
yields to that; where it speaks to the provider by itself, it is counted here, each call as one attempt.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from functools import lru_cache, wraps
from importlib import import_module
from inspect import signature
from typing import Any, Final

from taximeter.core.places import region_at
from taximeter.errors import UsageError
from taximeter.sdk.guard import GUARD
from taximeter.sdk.instruments.frameworks import CHAT, COMPLETIONS, EMBEDDINGS, RESPONSES, Watched

_FUNCTIONS: Final = {
    "completion": CHAT,
    "text_completion": COMPLETIONS,
    "responses": RESPONSES,
    "embedding": EMBEDDINGS,
}
"""Function → the path of OpenAI's protocol in whose shape it answers. Each has an asynchronous one with an `a`."""

_WATCHED: Final = "_taximeter_watched"

_UNKNOWN: Final = "litellm"
"""The provider of a model that the library knows none for."""

_MADE_UP: Final = ("mock_response", "mock_tool_calls", "mock_timeout")
"""Arguments with which the library makes an answer up, or a failure."""

_REGION: Final = re.compile(r"(?:^|/)(?:arn:aws[\w-]*:\w+:)?([a-z]{2}(?:-[a-z]+)+-\d)[/:]")

_FIRST: Final = {
    COMPLETIONS: ("prompt", "model"),
    RESPONSES: ("input", "model"),
    EMBEDDINGS: ("model", "input"),
    CHAT: ("model", "messages"),
}
"""What the first arguments of a function are, by its path."""


def _begin(path: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Watched | None:
    asked = dict(kwargs)
    for name, value in zip(_FIRST[path], args, strict=False):
        asked.setdefault(name, value)
    if any(asked.get(name) for name in _MADE_UP):
        return None
    name, provider = _model_and_provider(asked)
    region = GUARD.run("region", _region, provider, asked)
    return Watched(provider, path, {**asked, "model": name}, region=region, reads_usage_chunks=True)


def _model_and_provider(asked: Mapping[str, Any]) -> tuple[str, str]:
    module, model = import_module("litellm"), str(asked.get("model"))
    try:
        found = module.get_llm_provider(
            model, custom_llm_provider=asked.get("custom_llm_provider"), api_base=asked.get("api_base")
        )
    except module.exceptions.BadRequestError:  # a model it does not know: the call will say so
        return model, _UNKNOWN
    return found[0], found[1]


def _region(provider: str, asked: Mapping[str, Any]) -> str | None:
    """Where a call will be served: by its address, its arguments or its model, else what the library falls back on."""
    named = region_at(str(asked.get("api_base") or asked.get("base_url") or ""))
    if named is not None:
        return named
    if provider.startswith("vertex_ai"):
        given = (
            asked.get("vertex_location") or asked.get("vertex_ai_location") or import_module("litellm").vertex_location
        )
        return str(given or _secret("VERTEXAI_LOCATION", "VERTEX_LOCATION") or "us-central1")
    if provider.startswith("bedrock"):
        given = asked.get("aws_region_name") or _region_of(str(asked.get("model")))
        return str(given or _secret("AWS_REGION_NAME", "AWS_REGION", "AWS_DEFAULT_REGION") or "us-west-2")
    return None


def _region_of(model: str) -> str | None:
    """The region in the name of a model at Bedrock: `bedrock/eu-central-1/...`, or an ARN."""
    found = _REGION.search(model)
    return None if found is None else found[1]


def _secret(*names: str) -> str | None:
    """A setting as the library finds it, in the environment or in a secret manager."""
    get_secret: Any = import_module("litellm.secret_managers.main").get_secret_str
    return next((value for name in names if (value := get_secret(name))), None)


def _done(watched: Watched, result: Any) -> None:
    if not watched.over():
        return
    if GUARD.run("answer", _out_of_a_cache, result):
        watched.from_cache()
    cls: Any = type(result)
    if hasattr(cls, "__next__") or hasattr(cls, "__anext__"):
        watched.begins_to_stream()
        setattr(result, _WATCHED, watched)
        result.__class__ = _followed(cls)
    else:
        watched.answered(_payload, result)


def _out_of_a_cache(result: Any) -> bool:
    """The library names the key under which it found an answer; a stream has a provider of its own then. Of embeddings
    of which it had a part it says the same, and how long it took to get the others."""
    hidden = getattr(result, "_hidden_params", None) or {}
    if hidden.get("cache_key") or getattr(result, "custom_llm_provider", None) == "cached_response":
        return True
    return bool(hidden.get("cache_hit")) and getattr(result, "_response_ms", None) is None


def _raised(watched: Watched, error: BaseException, function: Any, args: Any, kwargs: Any) -> None:
    if watched.over() and not _never_left(watched, error, function, args, kwargs):
        watched.failed(error)


def _never_left(watched: Watched, error: BaseException, function: Any, args: Any, kwargs: Any) -> bool:
    """Whether the library refused to make this call: its arguments do not fit, or it knows nobody to ask."""
    kind = type(error).__name__
    if kind == "UnsupportedParamsError" or (kind == "BadRequestError" and watched.provider == _UNKNOWN):
        return True
    if not isinstance(error, TypeError):
        return False
    try:
        signature(function).bind(*args, **kwargs)
    except TypeError:
        return True
    return False


def _payload(result: Any) -> dict[str, Any]:
    """An answer of the library in OpenAI's shape. What was written to a cache has a name of its own there."""
    told: dict[str, Any] = result.model_dump()
    usage = told.get("usage") or {}
    details = usage.get("prompt_tokens_details") or {}
    written = usage.get("cache_creation_input_tokens") or details.get("cache_creation_tokens")
    if written:
        told["usage"] = {**usage, "prompt_tokens_details": {**details, "cache_write_tokens": written}}
    return told


def _wrapped(original: Callable[..., Any], path: str) -> Callable[..., Any]:
    @wraps(original)
    def function(*args: Any, **kwargs: Any) -> Any:
        watched = GUARD.run("begin", _begin, path, args, kwargs)
        if watched is None:
            return original(*args, **kwargs)
        try:
            result = original(*args, **kwargs)
        except BaseException as error:
            GUARD.run("failure", _raised, watched, error, original, args, kwargs)
            raise
        GUARD.run("answer", _done, watched, result)
        return result

    return function


def _wrapped_async(original: Callable[..., Any], path: str) -> Callable[..., Any]:
    @wraps(original)
    async def function(*args: Any, **kwargs: Any) -> Any:
        watched = GUARD.run("begin", _begin, path, args, kwargs)
        if watched is None:
            return await original(*args, **kwargs)
        try:
            result = await original(*args, **kwargs)
        except BaseException as error:
            GUARD.run("failure", _raised, watched, error, original, args, kwargs)
            raise
        GUARD.run("answer", _done, watched, result)
        return result

    return function


# ── streams ─────────────────────────────────────────────────────────────────────────────────────────────────


@lru_cache(maxsize=8)
def _followed(cls: Any) -> type:
    """A class like `cls`, the library's stream, that tells a call of the chunks it hands out."""

    def following(self: Any) -> Any:
        return self

    def advance(self: Any) -> Any:
        watched: Watched = getattr(self, _WATCHED)
        try:
            chunk = cls.__next__(self)
        except StopIteration:
            GUARD.run("stream", _ended, watched, self)
            raise
        except BaseException as error:
            GUARD.run("stream", watched.failed, error)
            raise
        GUARD.run("stream", _took, watched, self, chunk)
        return chunk

    async def advance_async(self: Any) -> Any:
        watched: Watched = getattr(self, _WATCHED)
        try:
            chunk = await cls.__anext__(self)
        except StopAsyncIteration:
            GUARD.run("stream", _ended, watched, self)
            raise
        except BaseException as error:
            GUARD.run("stream", watched.failed, error)
            raise
        GUARD.run("stream", _took, watched, self, chunk)
        return chunk

    def dropped(self: Any) -> None:
        GUARD.run("stream", getattr(self, _WATCHED).let_go)

    methods: dict[str, Any] = {"__del__": dropped, "__module__": cls.__module__, "__qualname__": cls.__qualname__}
    if issubclass(cls, Iterator):
        methods |= {"__iter__": following, "__next__": advance}
    if issubclass(cls, AsyncIterator):
        methods |= {"__aiter__": following, "__anext__": advance_async}
    return type(cls.__name__, (cls,), methods)


def _took(watched: Watched, stream: Any, chunk: Any) -> None:
    told = _payload(chunk)
    if told.get("usage") and not _tell_usage(_chunks(stream)):
        told["usage"] = None
    watched.took(told)


def _chunks(stream: Any) -> Any:
    """What the provider sent. A stream of text is made of one of messages, which has it."""
    chunks = getattr(stream, "chunks", None)
    return getattr(getattr(stream, "completion_stream", None), "chunks", None) if chunks is None else chunks


def _tell_usage(chunks: Any) -> bool:
    """Whether the provider said what was used. Where it did not, the library counts by itself, by some tokenizer."""
    return chunks is None or any(getattr(chunk, "usage", None) is not None for chunk in chunks)


def _ended(watched: Watched, stream: Any) -> None:
    """The library keeps the chunks of the provider, which say what was used whether the caller asked for it or not."""
    GUARD.run("stream", _took_usage, watched, _chunks(stream))
    watched.exhausted()


def _took_usage(watched: Watched, chunks: Any) -> None:
    built = import_module("litellm").stream_chunk_builder(chunks) if chunks and _tell_usage(chunks) else None
    if built is not None:
        watched.took({"choices": [], "usage": _payload(built).get("usage")})


class _LiteLLM:
    """The functions of the library; it has no clients to instrument one by one but its router, which calls them."""

    def __init__(self) -> None:
        self._originals: dict[str, Any] = {}

    def meters(self, client: object) -> bool:
        return any(cls.__name__ == "Router" for cls in type(client).__mro__)

    def patch_client(self, _client: Any) -> None:
        """A router calls the functions of the library, so they are patched, for everybody."""
        self.patch_classes()

    def patch_classes(self) -> None:
        if self._originals:
            return
        module: Any = import_module("litellm")
        missing = [name for name in ("completion", "acompletion") if not callable(getattr(module, name, None))]
        if missing:
            raise UsageError(f"this version of litellm is not supported: no {', '.join(missing)}")
        for name, path in _FUNCTIONS.items():
            self._patch(module, name, _wrapped, path)
            self._patch(module, "a" + name, _wrapped_async, path)

    def _patch(self, module: Any, name: str, wrap: Callable[[Any, str], Any], path: str) -> None:
        original = getattr(module, name, None)
        if original is not None:
            self._originals[name] = original
            setattr(module, name, wrap(original, path))

    def restore_classes(self) -> None:
        while self._originals:
            name, original = self._originals.popitem()
            setattr(import_module("litellm"), name, original)


INSTRUMENTS: Final = (_LiteLLM(),)
