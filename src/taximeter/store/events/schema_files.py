"""Schemas as numbered files of each engine, and which of them a store still needs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Final

from taximeter.errors import SchemaError

_FILE: Final = re.compile(r"(\d{4})_\w+\.sql")


@dataclass(frozen=True, slots=True)
class SchemaFile:
    number: int
    name: str
    sql: str


def files_in(engine: str) -> tuple[SchemaFile, ...]:
    """The files of an engine that this version of taximeter knows, in order."""
    folder = resources.files("taximeter.store.events") / engine
    named = [(match, entry) for entry in folder.iterdir() if (match := _FILE.fullmatch(entry.name))]
    files = [SchemaFile(int(match[1]), entry.name, entry.read_text("utf-8")) for match, entry in named]
    return tuple(sorted(files, key=lambda file: file.number))


def missing(applied: Sequence[int], files: Sequence[SchemaFile], where: str) -> Sequence[SchemaFile]:
    """The files that come after those that were applied (their numbers, in order).

    Raises SchemaError when a newer version applied more of them, or not all in between.
    """
    newest = files[-1].number
    if applied and applied[-1] > newest:
        raise SchemaError(
            f"{where} has schema {applied[-1]}, this version of taximeter knows schemas up to {newest}",
            hint="it was written by a newer version: upgrade taximeter, or use another data directory",
        )
    if list(applied) != [file.number for file in files[: len(applied)]]:
        raise damaged(where, f"schema steps {list(applied)} were applied, which is not an unbroken sequence")
    return files[len(applied) :]


def damaged(where: str, why: str) -> SchemaError:
    return SchemaError(
        f"{where} is not a whole store of events: {why}",
        hint="a migration was cut off, or the file is not ours: restore a backup, or move it away to begin anew",
    )
