"""One call that several roads tell of counts once.

The gateway, the SDK and other people's instrumentations (OTLP) may all see the same call. With one event id between
them (the SDK tells our gateway its own) the store keeps one. Otherwise they are matched here, by what travelled with
the call: the provider's id of its answer, or the span it was made in. The first that is stored counts; what comes
later by another road is left out. `docs/roads.md` is the rule for users.

What is remembered is bounded. What may have been stored before this process began, or has been forgotten, is asked of
the store; so the order of arrival and restarts change nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from datetime import datetime
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

from msgspec import json

from taximeter.clock import to_unix_us
from taximeter.core.ids import LONGEST_CHANCE_ID, usage_event_id

ROADS: Final = frozenset({"gateway", "sdk", "otlp"})
"""What can tell of the same call. Events of the API and of imports are taken as they are."""

FOLDS_ITSELF: Final = "otlp"
"""The road on which two events with the same answer are one call: a span and the one around it."""

WINDOW_SECONDS: Final = 86_400
"""How far apart the beginnings of two tellings of a call may lie, where the store is asked."""

MOST_REMEMBERED: Final = 300_000
"""Keys kept in memory: about 50 MB when full."""

SKEW_SECONDS: Final = 60
"""How far the clocks of senders may be from ours."""

Record: TypeAlias = Mapping[str, Any]
Key: TypeAlias = tuple[str, ...]
Mark: TypeAlias = bytes
"""What a key is remembered by, in a third of its memory."""


class Telling(NamedTuple):
    """Who told of a call. The id of the event is empty where it makes no difference: such tellings are shared.

    `fetched`: it tells what was fetched later of a call that was answered without usage, under the id of its answer.
    """

    road: str
    event_id: str
    has_answer: bool
    went_well: bool
    has_usage: bool
    fetched: bool


class Stored(Protocol):
    """What the store knows of calls; it may block, and raise StoreError."""

    def roads(self, since_us: int, until_us: int) -> set[str]:
        """The roads of all calls that began in a time."""
        ...

    def tellings(self, keys: Sequence[Key], roads: Set[str], since_us: int, until_us: int) -> dict[Key, list[Telling]]:
        """Of each key the calls that have it, came by one of the roads and began in a time."""
        ...


def keys_of(record: Record) -> list[Key]:
    """What a call can be recognised by: its answer, its span."""
    keys: list[Key] = []
    answer = record.get("response_id")
    if answer is not None and len(answer) > LONGEST_CHANCE_ID:
        keys.append(("answer", answer))
    trace, span = record.get("trace_id"), record.get("span_id")
    if trace and span:
        keys.append(("span", trace, span))
    return keys


def mark_of(key: Key) -> Mark:
    return blake2b(json.encode(key), digest_size=16).digest()


def telling_of(record: Record) -> Telling:
    road, has_answer = record.get("source") or "", record.get("response_id") is not None
    went_well = record.get("status") in (None, "ok", "cached")
    has_usage = record.get("input_tokens") is not None or record.get("output_tokens") is not None
    if road == FOLDS_ITSELF:
        return Telling(FOLDS_ITSELF, record["event_id"], has_answer, went_well, has_usage, False)
    return _shared_telling(road, has_answer, went_well, has_usage, _is_fetched(record))


def _is_fetched(record: Record) -> bool:
    event_id, answer = record["event_id"], record.get("response_id")
    if answer is None or event_id[_VERSION_AT : _VERSION_AT + 1] != "5":
        return False
    return bool(event_id == usage_event_id(record.get("provider") or "", answer))


_VERSION_AT: Final = 14
"""Where a UUID says of which version it is."""


@lru_cache
def _shared_telling(road: str, has_answer: bool, went_well: bool, has_usage: bool, fetched: bool) -> Telling:
    return Telling(road, "", has_answer, went_well, has_usage, fetched)


def others_of(road: str) -> Set[str]:
    """The roads whose tellings may be of the same call as one by this road."""
    return ROADS if road == FOLDS_ITSELF else ROADS - {road}


def same_call(key: Key, one: Telling, other: Telling) -> bool:
    """Whether two tellings with a key in common are of one call.

    A span may hold several attempts of a call: it proves something only when not both know their answer, and when
    both went well or neither did. An answer that is fetched later is not the one that said that it will be. Usage that
    a stream told is the same when it is fetched: also on one road, where another process of it fetched.
    """
    told_and_fetched = one.fetched != other.fetched and one.has_usage and other.has_usage
    if one.road == other.road and (one.road != FOLDS_ITSELF or one.event_id == other.event_id):
        return key[0] == "answer" and told_and_fetched
    if key[0] == "answer":
        return one.fetched == other.fetched or told_and_fetched
    return not (one.has_answer and other.has_answer) and one.went_well == other.went_well


class Roads:
    """Which events are tellings of calls that count already. `stored` None leaves out what was before this process."""

    def __init__(self, now_us: int, stored: Stored | None = None, most: int = MOST_REMEMBERED) -> None:
        self._half = most // 2
        self._stored = stored
        self._young: dict[Mark, Telling] = {}
        self._old: dict[Mark, Telling] = {}
        self._young_since_us = self._old_since_us = now_us + SKEW_SECONDS * 1_000_000
        self._in_use: set[str] | None = None
        self.told_twice = 0

    def alone_among(self, roads: Set[str], now_us: int) -> Set[str]:
        """Those of some roads, all in use from now on, for which nothing needs to be asked of the store: there is no
        other road beside them."""
        if self._in_use is None:
            since_us = now_us - 7 * WINDOW_SECONDS * 1_000_000
            self._in_use = self._stored.roads(since_us, now_us) & ROADS if self._stored is not None else set()
        self._in_use |= roads
        return roads - {FOLDS_ITSELF} if len(self._in_use) == 1 else frozenset()

    def told_before(self, records: Sequence[Record], now_us: int) -> set[int]:
        """The places of those records that tell of calls which count already; the others count from now on.

        Raises StoreError when it has to ask and cannot; then nothing is remembered of these.
        """
        candidates = [(place, one) for place, one in enumerate(records) if one.get("source") in ROADS]
        older = self._asked(candidates, now_us)
        found: set[int] = set()
        for place, record in candidates:
            telling, keys = telling_of(record), {mark_of(key): key for key in keys_of(record)}
            if any(self._counts(mark, key, telling, older) for mark, key in keys.items()):
                found.add(place)
            else:
                self._remember(keys, telling, now_us)
        self.told_twice += len(found)
        return found

    def _counts(self, mark: Mark, key: Key, telling: Telling, older: Mapping[Key, Sequence[Telling]]) -> bool:
        recent = self._young.get(mark) or self._old.get(mark)
        if recent is not None and same_call(key, recent, telling):
            return True
        return any(same_call(key, one, telling) for one in older.get(key, ()))

    def _asked(self, candidates: Sequence[tuple[int, Record]], now_us: int) -> Mapping[Key, Sequence[Telling]]:
        """What the store knows of those whose other telling may not be in memory."""
        if not candidates:
            return {}
        asked: dict[Key, int] = {}
        others: set[str] = set()
        alone = self.alone_among({record["source"] for _, record in candidates}, now_us)
        for _, record in candidates:
            road, fetched = record["source"], _is_fetched(record)
            if road in alone and not fetched:
                continue
            began_us = _began_us(record)
            if began_us is None:
                continue
            # What is fetched began when it was fetched: the stream that told it may be older than all that is known.
            if began_us < self._old_since_us or (fetched and not self._remembers(record)):
                asked |= dict.fromkeys(keys_of(record), began_us)
                others |= others_of(road)
                if fetched:
                    others.add(road)
        if not asked or self._stored is None:
            return {}
        window_us = WINDOW_SECONDS * 1_000_000
        moments_us = asked.values()
        return self._stored.tellings(list(asked), others, min(moments_us) - window_us, max(moments_us) + window_us)

    def _remembers(self, record: Record) -> bool:
        marks = map(mark_of, keys_of(record))
        return any(mark in self._young or mark in self._old for mark in marks)

    def _remember(self, marks: Iterable[Mark], telling: Telling, now_us: int) -> None:
        for mark in marks:
            if mark not in self._young and mark not in self._old:
                self._young[mark] = telling
        if len(self._young) >= self._half:
            self._old, self._old_since_us = self._young, self._young_since_us
            self._young, self._young_since_us = {}, now_us + SKEW_SECONDS * 1_000_000


def _began_us(record: Record) -> int | None:
    try:
        return to_unix_us(datetime.fromisoformat(record["started_at"]))
    except (KeyError, ValueError, TypeError):
        return None
