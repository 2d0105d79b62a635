"""Instruments: how the clients of each library are metered. One file a library, one line in `INSTRUMENTS` each.

An instrument names the classes of its library; the work is done by the family its clients belong to. It is imported
when the first client of its library is instrumented, so that `import taximeter` stays small.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, TypeVar, cast

from taximeter.errors import UsageError
from taximeter.sdk.context import FOLLOWING, follow_threads
from taximeter.sdk.switches import switched_on

if TYPE_CHECKING:
    from taximeter.sdk.instruments.stainless import Instrument

C = TypeVar("C")

INSTRUMENTS: Final = {
    "openai": "taximeter.sdk.instruments.openai",
    "anthropic": "taximeter.sdk.instruments.anthropic",
}
"""Library → the module with its `INSTRUMENT`."""


def instrument(client: C) -> C:
    """Meter every call of this one client, and of what is made from it (`with_options`, `copy`, raw responses).

    Returns the same object. Doing it twice does no harm. Raises UsageError for a client we do not know.
    """
    for cls in type(client).__mro__:
        library = cls.__module__.partition(".")[0]
        if library in INSTRUMENTS and (known := _instrument_of(library)).meters(client):
            known.patch_client(client)
            _follow_threads()
            return client
    raise UsageError(
        f"cannot instrument {type(client).__module__}.{type(client).__qualname__}",
        hint="known are the clients of " + ", ".join(INSTRUMENTS),
    )


def instrument_all() -> tuple[str, ...]:
    """Meter the clients of every library we know that is installed, those made already included.

    Returns the names of these libraries. Imports them; doing it twice does no harm. Raises UsageError when a version
    of one of them has no longer the places we patch.
    """
    found = tuple(library for library in INSTRUMENTS if _installed(library))
    for library in found:
        _instrument_of(library).patch_classes()
    _follow_threads()
    return found


def uninstrument_all() -> None:
    """Undo `instrument_all`, and what makes attributes follow threads. Clients that were instrumented one by one stay
    so."""
    FOLLOWING.end()
    for library in INSTRUMENTS:
        _instrument_of(library).restore_classes()


def _follow_threads() -> None:
    follow_threads(FOLLOWING.wanted if FOLLOWING.decided else switched_on("FOLLOW_THREADS"))


def _instrument_of(library: str) -> Instrument:
    return cast("Instrument", import_module(INSTRUMENTS[library]).INSTRUMENT)


def _installed(library: str) -> bool:
    return library in sys.modules or find_spec(library) is not None
