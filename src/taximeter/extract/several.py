"""Several calls in one answer: a file of batch results, a realtime session. Each is an item, the whole their sum."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final, Self, TypeAlias

from taximeter.core.usage import Usage
from taximeter.extract.counts import summed
from taximeter.extract.payload import Payload
from taximeter.extract.reading import NOTHING_READ, Reading, RequestFacts
from taximeter.extract.stream import OpenStream, StreamState

MOST_ITEMS: Final = 100_000
"""Items that are held for who asks at the end only; whoever takes them as they come has no such bound."""

MOST_MODELS: Final = 100
"""Models of one answer that are told apart; further ones count as the first."""

ReadLine: TypeAlias = Callable[[Payload], Reading | None]
"""The reading of one line, or None when it is not the result of a call."""


def together(items: Iterable[Reading]) -> Reading:
    """The readings of several calls as one, with them as its `items`. Nothing read when there are none."""
    kept = tuple(items)
    total = NOTHING_READ
    for item in kept:
        total = plus(total, item)
    return replace(total, items=kept)


def plus(total: Reading, item: Reading) -> Reading:
    """`total` and one more call; what they do not agree on is not known of the whole."""
    if total is NOTHING_READ:
        return replace(item, response_id=None, usage_id=None, error_type=None, items=(), output_characters=0)
    shares = _shares(total)
    for model, share in _shares(item).items():
        name = model if model in shares or len(shares) < MOST_MODELS else next(iter(shares))
        shares[name] = summed(shares[name], share)[0] if name in shares else share
    usage, odd = summed(total.usage, item.usage)
    costs = [cost for cost in (total.reported_cost_usd, item.reported_cost_usd) if cost is not None]
    return Reading(
        response_model=total.response_model or item.response_model,
        usage=usage,
        usage_conflict=total.usage_conflict or item.usage_conflict or odd,
        usage_estimated=total.usage_estimated or item.usage_estimated,
        by_model=tuple(shares.items()) if len(shares) > 1 else (),
        not_billed=total.not_billed and item.not_billed,
        service_tier=total.service_tier if total.service_tier == item.service_tier else None,
        region=total.region if total.region == item.region else None,
        reported_cost_usd=sum(costs[1:], costs[0]) if costs else None,
        finished=total.finished and item.finished,
    )


def _shares(reading: Reading) -> dict[str, Usage]:
    if reading.by_model:
        return dict(reading.by_model)
    return {reading.response_model or "": reading.usage} if reading.usage.known else {}


class SeveralCalls:
    """The part of a stream's state that gathers items."""

    def __init__(self) -> None:
        self._items: list[Reading] = []
        self._total = NOTHING_READ
        self.content_started = False

    def __copy__(self) -> Self:
        twin = object.__new__(type(self))
        vars(twin).update(vars(self))
        twin._items = list(self._items)
        return twin

    def add(self, item: Reading, *, counts: bool = True) -> None:
        """One more call. One that does not count is another model's and stays out of the sum."""
        if counts:
            self.content_started = False  # that of the next one has not
            self._total = plus(self._total, item)
        if len(self._items) < MOST_ITEMS:
            self._items.append(item)

    def take_items(self) -> tuple[Reading, ...]:
        """The items since they were last taken."""
        taken = tuple(self._items)
        self._items = []
        return taken

    def reading(self) -> Reading:
        """The sum of all, with the items that were not taken yet."""
        return replace(self._total, items=tuple(self._items))


class ResultLines(SeveralCalls):
    """A file of results, one a line. It has no end of its own."""

    finished = False

    def __init__(self, read_line: ReadLine) -> None:
        super().__init__()
        self._read_line = read_line

    def skim(self, _: bytes, /) -> bool:
        return False

    def take(self, event: Payload, /) -> None:
        item = self._read_line(event)
        if item is not None:
            self.add(item)


def result_lines(read_line: ReadLine) -> OpenStream:
    """Opens the stream of a file of results."""

    def open_stream(_: RequestFacts | None) -> StreamState:
        return ResultLines(read_line)

    return open_stream
