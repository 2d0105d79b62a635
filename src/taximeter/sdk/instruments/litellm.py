"""`litellm`: completions, responses and embeddings, whole, streamed, asynchronous.

Its functions are patched in its own namespace. Where it calls a provider through that provider's client library, it
yields to that; where it speaks to the provider by itself, it is counted here, each call as one attempt.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from functools import lru_cache, wraps
from importlib import import_module
from typing import Any, Final

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


def _begin(path: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Watched:
    asked = dict(kwargs)
    for name, value in zip(("model", "input" if path in (RESPONSES, EMBEDDINGS) else "messages"), args, strict=False):
        asked.setdefault(name, value)
    name, provider = _model_and_provider(asked)
    return Watched(provider, path, {**asked, "model": name}, reads_usage_chunks=True)


def _model_and_provider(asked: Mapping[str, Any]) -> tuple[str, str]:
    module, model = import_module("litellm"), str(asked.get("model"))
    try:
        found = module.get_llm_provider(
            model, custom_llm_provider=asked.get("custom_llm_provider"), api_base=asked.get("api_base")
        )
    except module.exceptions.BadRequestError:  # a model it does not know: the call will say so
        return model, "litellm"
    return found[0], found[1]


def _done(watched: Watched, result: Any) -> None:
    if not watched.over():
        return
    cls: Any = type(result)
    if hasattr(cls, "__next__") or hasattr(cls, "__anext__"):
        watched.begins_to_stream()
        setattr(result, _WATCHED, watched)
        result.__class__ = _followed(cls)
    else:
        watched.answered(_payload, result)


def _raised(watched: Watched, error: BaseException) -> None:
    if watched.over():
        watched.failed(error)


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
            GUARD.run("failure", _raised, watched, error)
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
            GUARD.run("failure", _raised, watched, error)
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
        GUARD.run("stream", _took, watched, chunk)
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
        GUARD.run("stream", _took, watched, chunk)
        return chunk

    def dropped(self: Any) -> None:
        GUARD.run("stream", getattr(self, _WATCHED).let_go)

    methods: dict[str, Any] = {"__del__": dropped, "__module__": cls.__module__, "__qualname__": cls.__qualname__}
    if issubclass(cls, Iterator):
        methods |= {"__iter__": following, "__next__": advance}
    if issubclass(cls, AsyncIterator):
        methods |= {"__aiter__": following, "__anext__": advance_async}
    return type(cls.__name__, (cls,), methods)


def _took(watched: Watched, chunk: Any) -> None:
    watched.took(_payload(chunk))


def _ended(watched: Watched, stream: Any) -> None:
    """The library keeps the chunks of the provider, which say what was used whether the caller asked for it or not."""
    GUARD.run("stream", _took_usage, watched, getattr(stream, "chunks", None))
    watched.exhausted()


def _took_usage(watched: Watched, chunks: Any) -> None:
    built = import_module("litellm").stream_chunk_builder(chunks) if chunks else None
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
