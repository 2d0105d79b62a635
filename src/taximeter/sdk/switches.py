"""Arguments of `init` that are on or off, each with a variable of its name."""

from __future__ import annotations

from typing import Final

from taximeter import config

_OFF: Final = ("0", "false", "no", "off")


def switched_on(variable: str, argument: bool | None = None) -> bool:
    """Whether it is on: as the argument says, else `TAXIMETER_<variable>`, else it is."""
    if argument is not None:
        return argument
    return (config.variable(variable) or "1").lower() not in _OFF
