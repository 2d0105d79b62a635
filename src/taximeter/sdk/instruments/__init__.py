"""Instruments: how the clients of each library are metered. One file a library, one line in `LIBRARIES` each.

An instrument names the classes of its library; the work is done by the family its clients belong to. It is imported
when the first client of its library is instrumented, so that `import taximeter` stays small.

Which instrument yields to which is the column `layer`. A call that passes several of them is counted by the one
nearest to the wire, which sees every attempt: a framework (2) yields to what it calls, a client of many providers (1)
to the provider's own client (0). Two of the same layer never lie above one another.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from importlib import import_module
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from taximeter.errors import UsageError
from taximeter.sdk.context import FOLLOWING, follow_threads
from taximeter.sdk.instruments.importing import WHEN_IMPORTED, installed
from taximeter.sdk.switches import switched_on

C = TypeVar("C")


class Library(NamedTuple):
    """`module`: where its clients are defined, or below; `instruments`: our module with its `INSTRUMENTS`;
    `patched`: the modules whose import brings what is patched, not all of them in each version; `layer`: who yields
    to whom."""

    name: str
    module: str
    instruments: str
    patched: tuple[str, ...]
    layer: int = 0


_MISTRALAI: Final = tuple(f"mistralai.{package}.basesdk" for package in ("client", "azure.client", "gcp.client"))

LIBRARIES: Final = (
    Library("openai", "openai", "openai", ("openai",)),
    Library("anthropic", "anthropic", "anthropic", ("anthropic",)),
    Library("google-genai", "google.genai", "google_genai", ("google.genai._api_client",)),
    Library("boto3", "botocore", "botocore", ("botocore.client",)),
    Library("aiobotocore", "aiobotocore", "aiobotocore", ("aiobotocore.client",)),
    Library("mistralai", "mistralai", "mistralai", (*_MISTRALAI, "mistralai.basesdk")),
    Library("groq", "groq", "groq", ("groq",)),
    Library("cohere", "cohere", "cohere", ("cohere.core.http_client",)),
    Library("ollama", "ollama", "ollama", ("ollama._client",)),
    Library("litellm", "litellm", "litellm", ("litellm",), layer=1),
    Library("langchain", "langchain_core", "langchain", ("langchain_core.callbacks.manager",), layer=2),
    Library("llama-index", "llama_index.core", "llama_index", ("llama_index.core.instrumentation",), layer=2),
)


class Instrument(Protocol):
    """Meters the clients of a library, or of a part of it."""

    def meters(self, client: object) -> bool:
        """Whether `client` is one of its clients."""
        ...

    def patch_client(self, client: Any) -> None:
        """Meter this one client. Doing it twice does no harm."""
        ...

    def patch_classes(self) -> None:
        """Meter every client. Raises UsageError when the library has no longer the places that are patched."""
        ...

    def restore_classes(self) -> None:
        """Undo `patch_classes`."""
        ...


def instrument(client: C) -> C:
    """Meter every call of this one client, and of what is made from it (`with_options`, `copy`, raw responses).

    Returns the same object. Doing it twice does no harm. Raises UsageError for a client we do not know.
    """
    for cls in type(client).__mro__:
        for library in LIBRARIES:
            if not (cls.__module__ + ".").startswith(library.module + "."):
                continue
            known = next((one for one in _instruments_of(library) if one.meters(client)), None)
            if known is not None:
                known.patch_client(client)
                _follow_threads()
                return client
    raise UsageError(
        f"cannot instrument {type(client).__module__}.{type(client).__qualname__}",
        hint="known are the clients of " + ", ".join(library.name for library in LIBRARIES),
    )


def instrument_all() -> tuple[str, ...]:
    """Meter the clients of every library we know that is installed, those made already included.

    A library that nobody has imported yet is metered when somebody does; it is not imported for that. Returns the
    names of the libraries; doing it twice does no harm. Raises UsageError when a version of one that is imported has
    no longer the places we patch; of one that is imported later, that is logged.
    """
    found = tuple(library for library in LIBRARIES if installed(library.module))
    for library in found:
        for module in library.patched:
            WHEN_IMPORTED.wait(module, partial(_patch, library))
    _follow_threads()
    return tuple(library.name for library in found)


def _patch(library: Library) -> None:
    for one in _instruments_of(library):
        one.patch_classes()


def uninstrument_all() -> None:
    """Undo `instrument_all`, and what makes attributes follow threads. Clients that were instrumented one by one stay
    so."""
    FOLLOWING.end()
    WHEN_IMPORTED.forget()
    for library in LIBRARIES:
        for one in _instruments_of(library):
            one.restore_classes()


def _follow_threads() -> None:
    follow_threads(FOLLOWING.wanted if FOLLOWING.decided else switched_on("FOLLOW_THREADS"))


def _instruments_of(library: Library) -> Iterator[Instrument]:
    yield from import_module(f"taximeter.sdk.instruments.{library.instruments}").INSTRUMENTS
