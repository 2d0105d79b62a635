"""Whatever is stored is spent: every new event is told to the limits, by whatever road it came."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Any, Final, Protocol

import msgspec

from taximeter.ingest.collector import Appended, Store
from taximeter.limits.amounts import Amounts, broke_off, nano_usd
from taximeter.limits.counters import CountersAway
from taximeter.limits.rules import Subject, subject_of_record
from taximeter.pricing.priceable import parse_instant

MOST_PENDING: Final = 200_000
"""Events that wait for counters that are away; beyond it the counters are filled from the store."""

_NOT_SPENT: Final = frozenset({"refused", "cached"})

_REFUSED: Final = "refused"


class KnowingStore(Store, Protocol):
    """A store that says what it has."""

    def known_ids(self, ids: Collection[str]) -> Collection[str]: ...


class Post(Protocol):
    """`LimitGuard.post`, at the present time. Raises CountersAway."""

    def __call__(self, event_id: str, subject: Subject, at_us: int, came_to: Amounts, *, seen: bool) -> None: ...


class PostingStore:
    """A store for the collector that tells `post` of every event that is new in it.

    While the counters are away events wait; `overflowed` says that some were dropped, and the counters have to be
    filled from the store.
    """

    def __init__(
        self, store: KnowingStore, post: Post, wanted: Callable[[], bool], let_go: Callable[[str], None]
    ) -> None:
        """`wanted`: whether there are limits at all; otherwise nothing is told. `let_go` is told of calls that did not
        leave, by their ids; it may raise CountersAway."""
        self._store = store
        self._post = post
        self._let_go = let_go
        self._wanted = wanted
        self._pending: deque[dict[str, Any]] = deque()
        self._posting = threading.Lock()
        self.overflowed = False

    def append(self, lines: Sequence[bytes], marks: Mapping[str, int]) -> Appended:
        """Store first, post then: a crash in between is made good from the store at the next start."""
        events = self._new_events(lines) if self._wanted() else []
        with self._posting:
            appended = self._store.append(lines, marks)
            rejected = set(map(id, appended.rejected))
            for line, event in events:
                if id(line) not in rejected:
                    self._pending.append(event)
            if len(self._pending) > MOST_PENDING:
                self._pending.clear()
                self.overflowed = True
        self.post_pending()
        return appended

    def fill_beside(self, fill: Callable[[], None]) -> None:
        """Tell what waits, then fill the counters from the store. Raises CountersAway and StoreError.

        Nothing is stored meanwhile: what is filled and then told would count twice.
        """
        with self._posting:
            self._tell_waiting()
            fill()

    def fill_instead(self, fill: Callable[[], None], let_go: Callable[[str], None]) -> None:
        """Fill the counters from the store, which has everything that waits: that is let go of, and told no more.

        Nothing is stored meanwhile, so that no event is both filled and told. Raises CountersAway and StoreError.
        """
        with self._posting:
            fill()
            for event in self._pending:
                let_go(event["event_id"])
            self._pending.clear()
            self.overflowed = False

    def marks(self) -> dict[str, int]:
        return self._store.marks()

    def forget_marks(self, names: Iterable[str]) -> None:
        self._store.forget_marks(names)

    def post_pending(self) -> None:
        """Tell what waits. One thread at a time: of two, each would drop an event that the other has not told."""
        with self._posting, suppress(CountersAway):
            self._tell_waiting()

    def _tell_waiting(self) -> None:
        while self._pending:
            self._tell(self._pending[0])
            self._pending.popleft()

    def _new_events(self, lines: Sequence[bytes]) -> list[tuple[bytes, dict[str, Any]]]:
        decoded = [(line, event) for line in lines if (event := _decoded(line)) is not None]
        known = set(self._store.known_ids([event["event_id"] for _, event in decoded])) if decoded else set()
        fresh = []
        for line, event in decoded:
            if event["event_id"] not in known:
                known.add(event["event_id"])
                fresh.append((line, event))
        return fresh

    def _tell(self, event: dict[str, Any]) -> None:
        if event.get("status") == _REFUSED:
            self._let_go(event["event_id"])
            return
        cost = event.get("cost_usd")
        amounts = Amounts(
            nano_usd(Decimal(cost)) if cost else 0, event.get("input_tokens") or 0, event.get("output_tokens") or 0
        )
        not_billed = bool(event.get("not_billed"))
        whole = not event.get("usage_estimated") and not broke_off(
            event.get("status"), event.get("http_status"), not_billed
        )
        seen = whole and (cost is not None or not_billed)
        at_us = parse_instant(event["started_at"])
        self._post(event["event_id"], subject_of_record(event), at_us, amounts, seen=seen)


def _decoded(line: bytes) -> dict[str, Any] | None:
    """The event in a line; None for one that neither spends nor holds. The store decides what else is wrong with it."""
    try:
        event = msgspec.json.decode(line)
        parse_instant(event["started_at"])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, KeyError, TypeError, ValueError):
        return None
    if event.get("status") in _NOT_SPENT and not _was_asked_for(event):
        return None
    return event if isinstance(event.get("event_id"), str) else None


def _was_asked_for(event: Mapping[str, Any]) -> bool:
    """Whether the server was asked about a call that its program then did not make: it may hold something, because
    its answer came too late, or the call was given up."""
    return event.get("status") == _REFUSED and event.get("source") == "sdk"
