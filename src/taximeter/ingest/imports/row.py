"""What a file holds, and what becomes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, TypeAlias

from taximeter.core.event import UsageEvent, as_record
from taximeter.core.ids import named_id

Values: TypeAlias = Mapping[str, Any]
"""A row by its columns or keys. From CSV every value is text."""

Record: TypeAlias = Mapping[str, Any]
"""A flat record of an event, as in `core.event.FIELDS`."""


class Row(NamedTuple):
    """`place` is the line in CSV and JSON lines, the number of the item in a JSON document; both from 1."""

    place: int
    values: Values


class LeftOut(NamedTuple):
    """A row of which no event is made. `wrong`: it should have been one; otherwise it is none by its nature."""

    place: int
    reason: str
    wrong: bool = True


class Draft(NamedTuple):
    """A record on its way to the store, and the row that it comes from."""

    place: int
    record: Record


Outcome: TypeAlias = Draft | LeftOut


class RowError(ValueError):
    """A row that cannot be an event; the message says why."""


class Skipped(RowError):  # noqa: N818 - not an error: the row is none of ours
    """A row that is no call by its nature; the message says what it is."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a reader may know besides the rows. `columns` maps our fields to names of columns."""

    now_us: int
    columns: Mapping[str, str] = field(default_factory=dict)


class Reader(Protocol):
    """Reads one file of a format, or all that an import has of it (`AcrossFiles`), row by row."""

    def read(self, row: Row) -> Iterable[Outcome]:
        """What a row leads to now. Raises RowError."""
        ...

    def finish(self) -> Iterable[Outcome]:
        """What was kept back until the end."""
        ...


class Format(Protocol):
    """A kind of file. `name` is what `--format` says, `title` what it is called in tables."""

    name: str
    title: str

    def recognises(self, values: Values) -> bool:
        """Whether a row looks like one of this format."""
        ...

    def reader(self, options: Options) -> Reader: ...


class AcrossFiles:
    """A format of which rows in different files of one import belong together: one reader reads them all, and finishes
    after the last."""


def draft(place: int, event: UsageEvent) -> Draft:
    return Draft(place, as_record(event))


def import_id(started_at_us: int, *identity: object) -> str:
    """The event id of a row: the same for the same row, whenever and from whatever file it is imported."""
    return named_id(started_at_us // 1_000, "\0".join(("import", *map(str, identity))).encode("utf-8", "replace"))


class PlainReader:
    """A reader for formats in which every row stands for itself."""

    def __init__(self, event_of: Callable[[Values, Options], UsageEvent], options: Options) -> None:
        self._event_of = event_of
        self._options = options

    def read(self, row: Row) -> Iterable[Outcome]:
        return (draft(row.place, self._event_of(row.values, self._options)),)

    def finish(self) -> Iterable[Outcome]:
        return ()
