"""Which event a request is: ids that clients choose, and what becomes of one that is used again.

A client may name its call in `X-Taximeter-Event-Id`. Every request that comes here goes to the provider and is billed
by it, so a second one with the same id is another attempt of the same call, with an event of its own: its id is
`attempt_id(first, n)`, and the answer's `X-Taximeter-Event-Id` tells it. Client libraries count their attempts and say
so (`x-stainless-retry-count`, `amz-sdk-request`); an `Idempotency-Key` that comes again is one more attempt, too; the
largest number counts. Beyond `MOST_ATTEMPTS` each has an id of its own.

What is no UUID (`order-17`) becomes one, the same for the same key and text, so that two clients never share one.

Used ids are remembered by this process (`MOST_REMEMBERED_IDS`, the longest unused are forgotten first). What was used
before it started is looked up in the store, where there is one; a gateway without a store, and one that shares its
clients with other gateways, takes an id that only they have seen for a new one.
"""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from collections.abc import Callable, Collection
from typing import Final, ParamSpec, TypeVar

from taximeter.core.attribution import LONGEST_VALUE
from taximeter.core.ids import attempt_id, derived_id, parse_event_id, unix_ms_of
from taximeter.errors import TaximeterError
from taximeter.gateway.heads import RequestHead, text_of

P = ParamSpec("P")
T = TypeVar("T")

KnownIds = Callable[[Collection[str]], Collection[str]]
"""Those of these event ids that are stored. It blocks, and is called in a thread."""

MOST_ATTEMPTS: Final = 1000
MOST_REMEMBERED_IDS: Final = 65_536
MOST_STORED_ATTEMPTS: Final = 32
"""Attempts of one id that are looked for in the store."""
LONGEST_LOOKUP_SECONDS: Final = 0.25
"""A call does not wait longer for the store to say whether its id was used before the start."""

_REQUEST_IDS: Final = (b"idempotency-key", b"x-client-request-id", b"x-request-id", b"amz-sdk-invocation-id")
_AWS_ATTEMPT: Final = re.compile(rb"\battempt=(\d{1,9})\b")


class Identities:
    """Event ids of calls and, for those that clients chose, their attempts. `started_at_us` is when this process did.

    `known_ids` None leaves out the question for what was used before the start.
    """

    def __init__(self, new_event_id: Callable[[], str], started_at_us: int, known_ids: KnownIds | None = None) -> None:
        self._new_event_id = new_event_id
        self._started_at_ms = started_at_us // 1000
        self._known_ids = known_ids
        self._attempts: OrderedDict[str, int] = OrderedDict()

    async def look_up(self, head: RequestHead, key_id: str | None) -> None:
        """Learn from the store how often the id of a request was used before this process started."""
        given = head.ours.get(b"event-id")
        if given is None or self._known_ids is None:
            return
        first = named_event_id(text_of(given), key_id)
        made_at_ms = unix_ms_of(first)
        if first in self._attempts or (made_at_ms is not None and made_at_ms >= self._started_at_ms):
            return
        ids = [attempt_id(first, attempt) for attempt in range(1, MOST_STORED_ATTEMPTS + 1)]
        stored = await self.stored(ids)
        used = max((attempt for attempt, event_id in enumerate(ids, 1) if event_id in stored), default=0)
        if used == MOST_STORED_ATTEMPTS:  # nobody knows how many more
            used = MOST_ATTEMPTS
        if used:
            self._use(first, max(used, self._attempts.get(first, 0)))

    async def stored(self, ids: Collection[str]) -> Collection[str]:
        """Those of these ids that the store has; none when it does not answer, or not in time."""
        return () if self._known_ids is None else await in_time(self._known_ids, ids) or ()

    def of(self, head: RequestHead, key_id: str | None) -> tuple[str, int, str | None]:
        """Event id, attempt and request id of a request that is on its way."""
        attempt = counted_by_client(head)
        given = head.ours.get(b"event-id")
        if given is None:
            repeated = head.notes.get(b"idempotency-key")
            if repeated is not None:
                attempt = self._next(f"{key_id}\0{text_of(repeated)[:LONGEST_VALUE]}", attempt)
            return self._new_event_id(), attempt, request_id_of(head)
        text = text_of(given).strip()
        first = named_event_id(text, key_id)
        used_up = self._attempts.get(first, 0) >= MOST_ATTEMPTS
        attempt = self._next(first, attempt)
        event_id = self._new_event_id() if used_up else attempt_id(first, attempt)
        return event_id, attempt, _canonical(text) or text[:LONGEST_VALUE]

    def again(self, head: RequestHead, key_id: str | None, attempt: int) -> tuple[str, int]:
        """Event id and number of the attempt that the gateway itself makes after `attempt`."""
        event_id, counted, _ = self.of(head, key_id)
        return event_id, max(counted, attempt + 1)

    def _next(self, first: str, attempt: int) -> int:
        """The number of an attempt that its client counts as `attempt`, if it counts."""
        attempt = min(max(attempt, self._attempts.get(first, 0) + 1), MOST_ATTEMPTS)
        self._use(first, attempt)
        return attempt

    def _use(self, first: str, attempt: int) -> None:
        self._attempts[first] = attempt
        self._attempts.move_to_end(first)
        if len(self._attempts) > MOST_REMEMBERED_IDS:
            self._attempts.popitem(last=False)


async def in_time(ask: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
    """What the store says, asked in a thread; None when it does not answer, or not in time."""
    try:
        async with asyncio.timeout(LONGEST_LOOKUP_SECONDS):
            return await asyncio.to_thread(ask, *args, **kwargs)
    except (TimeoutError, TaximeterError):
        return None


def counted_by_client(head: RequestHead) -> int:
    """The attempt that a client's library says a request is, 1 when it does not count."""
    notes = head.notes
    retries = notes.get(b"x-stainless-retry-count", b"0")
    if retries != b"0" and retries.isdigit():
        return min(int(retries[:9]) + 1, MOST_ATTEMPTS)
    of_aws = notes.get(b"amz-sdk-request")
    found = None if of_aws is None else _AWS_ATTEMPT.search(of_aws)
    return 1 if found is None else max(min(int(found[1]), MOST_ATTEMPTS), 1)


def named_event_id(text: str, key_id: str | None) -> str:
    """The event id that a client means by `text`: itself when it is a UUID, else one made of it and its key."""
    return _canonical(text.strip()) or derived_id("named", key_id or "", text.strip())


def _canonical(text: str) -> str | None:
    try:
        return parse_event_id(text)
    except ValueError:
        return None


def request_id_of(head: RequestHead) -> str | None:
    """What the client itself calls its request."""
    for name in _REQUEST_IDS:
        value = head.note(name)
        if value:
            return value[:LONGEST_VALUE]
    return None
