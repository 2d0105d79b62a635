"""Windows of a feed to one exporter, each once.

1. Put the windows that wait together into a parcel, and keep it with the position. From here on its content and its
   stamp are fixed.
2. Send it. A crash or an answer that got lost leaves it kept: it is sent again as it was, and the exporter does not
   count it twice. Only what was surely refused is put together anew, with all that came meanwhile.
3. Keep the position behind it.
"""

from __future__ import annotations

import contextlib
from typing import Final

import msgspec

from taximeter.clock import Clock
from taximeter.exporters.feed import State, Window
from taximeter.exporters.port import Exporter, NotTakenError, Parcel
from taximeter.exporters.series import Sums, add
from taximeter.store.metadata import Exports, OvertakenError

MOST_WINDOWS: Final = 1000
"""Windows of one parcel."""

SECOND_US: Final = 1_000_000


class Position(msgspec.Struct):
    """How far an exporter is: the last window that it has, until when that is, and what it was told in all since
    `since_us`."""

    after: int
    since_us: int
    until_us: int = 0
    stamp_us: int = 0
    totals: Sums = {}
    under_way: Parcel | None = None
    until: int = 0
    """The last window of the parcel that is under way."""


class Shipping:
    """One exporter's way through the windows of the feed `feed`. `turn` raises ExportError and StoreError."""

    def __init__(self, name: str, exporter: Exporter, feed: str, kept: Exports, clock: Clock) -> None:
        self.name, self._exporter, self._feed, self._kept, self._clock = name, exporter, feed, kept, clock
        self._position: Position | None = None
        self._told: str | None = None
        """What is kept of it."""

    def begin(self, state: State) -> None:
        """A new exporter begins where the feed stands; what was there before is no news."""
        if self.follow() is None:
            with contextlib.suppress(OvertakenError):
                self._keep(Position(state.number, self._clock.now_us()))

    def follow(self) -> Position | None:
        """Take up what was kept, by another server perhaps."""
        self._told = self._kept.state(self._key)
        self._position = None if self._told is None else msgspec.json.decode(self._told, type=Position)
        return self._position

    @property
    def _key(self) -> str:
        return f"exporter {self.name}"

    @property
    def after(self) -> int:
        """The last window that it has."""
        return 0 if self._position is None else self._position.after

    def lag_seconds(self, number: int) -> float:
        """For how long changes have waited, when the feed is at the window `number`; 0 when none do."""
        position = self._position
        if position is None or position.after >= number:
            return 0.0
        told_until_us = max(position.until_us, position.since_us)
        return max(0.0, (self._clock.now_us() - told_until_us) / SECOND_US)

    def turn(self) -> None:
        """Send what waits."""
        position = self._position
        if position is None:
            return
        if position.under_way is None:
            position = self._put_together(position)
            if position.under_way is None:
                return
            self._send(position, position.under_way)
        else:
            self._send(position, msgspec.structs.replace(position.under_way, again=True))

    def _put_together(self, position: Position) -> Position:
        waiting = self._kept.windows(self._feed, position.after, MOST_WINDOWS)
        windows = [msgspec.json.decode(text, type=Window) for text in waiting]
        amounts: Sums = {}
        for window in windows:
            if not window.whole:
                for key, came in window.amounts.items():
                    add(amounts, key, came)
        if not windows:
            return position
        until = windows[-1].number
        if not amounts:
            return self._keep(msgspec.structs.replace(position, after=until, until_us=windows[-1].to_us))
        return self._keep(self._with_parcel(position, windows, amounts))

    def _with_parcel(self, position: Position, windows: list[Window], amounts: Sums) -> Position:
        totals = {key: dict(told) for key, told in position.totals.items()}
        for key, came in amounts.items():
            add(totals, key, came)
        now_us = self._clock.now_us() // SECOND_US * SECOND_US
        at_us = max(now_us, position.stamp_us + SECOND_US)
        until = windows[-1].number
        parcel = Parcel(
            id=f"{self.name}-{position.since_us}-{position.after + 1}-{until}",
            at_us=at_us,
            from_us=windows[0].from_us,
            to_us=windows[-1].to_us,
            labels=windows[-1].labels,
            amounts=amounts,
            since_us=position.since_us,
            totals=totals,
            feed=self._feed,
        )
        return msgspec.structs.replace(position, under_way=parcel, until=until, stamp_us=at_us)

    def _send(self, position: Position, parcel: Parcel) -> None:
        try:
            self._exporter.send(parcel)
        except NotTakenError:
            if not parcel.again:
                self._keep(msgspec.structs.replace(position, under_way=None))
            raise
        told = {"after": position.until, "until_us": parcel.to_us, "totals": parcel.totals}
        self._keep(msgspec.structs.replace(position, **told, under_way=None))

    def _keep(self, position: Position) -> Position:
        told = msgspec.json.encode(position).decode()
        try:
            self._kept.keep(self._key, told, self._told)
        except OvertakenError:
            self.follow()
            raise
        self._position, self._told = position, told
        return position
