"""Files of a store by day, in a folder or an object store: written once, and anew as a whole when their day changed.

At each turn:

  1. Ask the store for the totals of all days. Those that are not the totals their file was made at are due: new calls,
     late ones, re-pricing and deletions show up here alike.
  2. Write a day into a file of this machine, and put that into its place under the name of the day: there it is the old
     file or the new one, never a part of one.
  3. Keep the totals of that day.

A crash before 3 leaves the day due, and the next turn puts the same file there again. The totals are older than what
was written: what came while a day was read makes it due once more.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from taximeter.clock import Clock, rfc3339
from taximeter.config.exporting import FileSettings
from taximeter.exporters import focus
from taximeter.exporters.days import DAY_US, Days, differing
from taximeter.exporters.forms import Columns, Form, Pages, write
from taximeter.exporters.series import MEASURED, Amounts
from taximeter.store.events import EventQuery, EventStore, parse_query
from taximeter.store.events.columnar_file import CALLS
from taximeter.store.events.query import MOST_EVENTS
from taximeter.store.metadata import ExportedUnit, Exports, Span

ENDINGS: Final = {Form.parquet: "parquet", Form.csv: "csv", Form.json: "ndjson"}


class Place(Protocol):
    """Where files go. Names have slashes between their parts."""

    def put(self, name: str, file: Path) -> None:
        """Have a copy of `file` there in place of what has the name, at once and as a whole.

        When this returns, it stays there. Blocks. Raises ExportError.
        """
        ...


class Kept(msgspec.Struct):
    """What the files are of, and how many were put. Other files of the same name are told anew, all of them."""

    about: list[str]
    files: int = 0


class Filing:
    """One export of files. `turn` raises ExportError and StoreError."""

    def __init__(
        self,
        name: str,
        settings: FileSettings,
        place: Place,
        store: EventStore,
        kept: Exports,
        clock: Clock,
        kept_days: int | None,
    ) -> None:
        self.name, self._settings, self._place = name, settings, place
        self._store, self._kept, self._clock = store, kept, clock
        self._days = Days(store, MEASURED, kept_days)
        self._form = Form(settings.format)

    @property
    def _key(self) -> str:
        return f"files {self.name}"

    @property
    def _about(self) -> list[str]:
        chosen = self._settings
        place = (chosen.to, chosen.endpoint_url or "", chosen.region or "")
        _, columns = CONTENTS[chosen.content]
        return [*place, chosen.content, chosen.format, chosen.billing_account, *chosen.labels, *columns]

    def turn(self) -> None:
        """Put the files of all days that are due, the oldest first."""
        told, known = self._read()
        oldest_us, found = self._days.found(self._days.oldest(self._clock.now_us()))
        for day_us in differing(known, oldest_us, found):
            self._put(day_us)
            told = self._keep(told, day_us, found.get(day_us, {}))
        if any(day < oldest_us for day in known):
            self._kept.forget(Span(self._key, to_us=oldest_us))

    def _read(self) -> tuple[str, dict[int, Amounts]]:
        """What is kept, and the totals of every day at which its file was made."""
        told = self._kept.state(self._key)
        if told is None or msgspec.json.decode(told, type=Kept).about != self._about:
            self._kept.forget(Span(self._key))
            began = msgspec.json.encode(Kept(self._about)).decode()
            self._kept.keep(self._key, began, told)
            return began, {}
        totals = self._kept.unit_totals(self._key)
        return told, {day: msgspec.json.decode(text, type=Amounts) for day, text in totals.items()}

    def _keep(self, told: str, day_us: int, totals: Amounts) -> str:
        before = msgspec.json.decode(told, type=Kept)
        after = msgspec.json.encode(Kept(before.about, before.files + 1)).decode()
        day = ExportedUnit(self._key, day_us, msgspec.json.encode(totals).decode(), "{}")
        self._kept.advance(self._key, after, told, [day])
        return after

    def _put(self, day_us: int) -> None:
        content = self._settings.content
        pages, columns = CONTENTS[content]
        with tempfile.TemporaryDirectory(prefix="taximeter-") as folder:
            file = Path(folder) / f"{content}.{ENDINGS[self._form]}"
            write(file, self._form, pages(self, day_us), columns)
            self._place.put(f"date={rfc3339(day_us)[:10]}/{file.name}", file)

    def _calls(self, day_us: int) -> Pages:
        return _pages(self._store, day_us)

    def _charges(self, day_us: int) -> Pages:
        def ask(question: Any) -> dict[str, Any]:
            return self._store.query(parse_query(question, self._clock.now_us())).as_dict()

        chosen = self._settings
        return focus.pages(ask, [day_us], chosen.billing_account, chosen.labels)


CONTENTS: Final[dict[str, tuple[Callable[[Filing, int], Pages], Columns]]] = {
    "calls": (Filing._calls, CALLS),
    "focus": (Filing._charges, focus.COLUMNS),
}
"""The rows of a day, and their columns. All files have the same: other ones, and all are put anew."""


def _pages(store: EventStore, day_us: int) -> Iterator[list[dict[str, Any]]]:
    """The calls of a day, the newest first."""
    cursor = None
    while True:
        page = store.events(EventQuery(from_us=day_us, to_us=day_us + DAY_US, limit=MOST_EVENTS, cursor=cursor))
        yield page.events
        cursor = page.next
        if cursor is None:
            return
