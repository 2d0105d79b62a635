"""Settings. This package is the only reader of the environment; the base part needs only the standard library.

Every setting has a default; `TAXIMETER_*` variables override the file, arguments override both.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

PREFIX: Final = "TAXIMETER_"


def variable(name: str) -> str | None:
    """The environment's `TAXIMETER_<name>`, or None when it is unset or empty."""
    return os.environ.get(PREFIX + name) or None


def for_a_child(**more: str) -> dict[str, str]:
    """This process's environment with `TAXIMETER_<name>` added, for a process that it starts."""
    return {**os.environ, **{PREFIX + name: value for name, value in more.items()}}


def taken(name: str) -> str | None:
    """`TAXIMETER_<name>`, which this process then no longer has (nor its own children)."""
    return os.environ.pop(PREFIX + name, None)


def data_directory() -> Path:
    """`$TAXIMETER_DATA`, else `$XDG_DATA_HOME/taximeter`, else `~/.local/share/taximeter`."""
    named = variable("DATA")
    if named:
        return Path(named).expanduser()
    base = os.environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "taximeter"
