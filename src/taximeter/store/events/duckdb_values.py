"""What DuckDB hands over as Python's only in part, made into what it hands over whole.

A moment with a zone needs a library of time zones to become Python's, and an interval becomes days, of which a month
has 30: the one is read as the moment in UTC, the other as DuckDB writes it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

_READ_AS: Final = {"TIMESTAMP WITH TIME ZONE": "TIMESTAMP", "INTERVAL": "VARCHAR"}
_NAMES_OR_KINDS: Final = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|\b(?:""" + "|".join(_READ_AS) + r")\b")
"""In the name of a type; what is quoted is the name of a part."""


def readable(statement: str, kinds: Sequence[str]) -> str:
    """The statement with each column as something that can be read; `kinds` are the types of its columns."""
    read_as = [_NAMES_OR_KINDS.sub(lambda found: _READ_AS.get(found[0], found[0]), kind) for kind in kinds]
    if read_as == list(kinds):
        return statement
    names = [f"column_{number}" for number in range(len(kinds))]
    columns = [
        name if kind == read else f"CAST({name} AS {read})"
        for name, kind, read in zip(names, kinds, read_as, strict=True)
    ]
    return f"SELECT {', '.join(columns)} FROM ({statement}) AS answer({', '.join(names)})"  # noqa: S608 - it was checked, and the types are the engine's
