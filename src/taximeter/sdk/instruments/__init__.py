"""Instruments: how the clients of each library are metered. One file a library, one line in `INSTRUMENTS` each.

An instrument names the classes of its library; the work is done by the family its clients belong to.
"""

from __future__ import annotations

import importlib.util
import sys
from typing import Any, Final, TypeVar

from taximeter.errors import UsageError
from taximeter.sdk.instruments import anthropic, openai
from taximeter.sdk.instruments.stainless import Instrument

C = TypeVar("C")

INSTRUMENTS: Final[tuple[Instrument, ...]] = (openai.INSTRUMENT, anthropic.INSTRUMENT)


def instrument(client: C) -> C:
    """Meter every call of this one client, and of what is made from it (`with_options`, `copy`, raw responses).

    Returns the same object. Doing it twice does no harm. Raises UsageError for a client we do not know.
    """
    for known in INSTRUMENTS:
        if known.meters(client):
            known.patch_client(client)
            return client
    raise UsageError(
        f"cannot instrument {type(client).__module__}.{type(client).__qualname__}",
        hint="known are the clients of " + ", ".join(known.library for known in INSTRUMENTS),
    )


def instrument_all() -> tuple[str, ...]:
    """Meter the clients of every library we know that is installed, those made already included.

    Returns the names of these libraries. Imports them; doing it twice does no harm.
    """
    return tuple(known.library for known in INSTRUMENTS if _installed(known.library) and known.patch_classes())


def uninstrument_all() -> None:
    """Undo `instrument_all`. Clients that were instrumented one by one stay so."""
    for known in INSTRUMENTS:
        known.restore_classes()


def _installed(library: str) -> bool:
    return library in sys.modules or importlib.util.find_spec(library) is not None


def installed_version(library: str) -> Any:
    """The version of an imported library, or None."""
    return getattr(sys.modules.get(library), "__version__", None)
