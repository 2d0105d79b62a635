"""How long calls took, as histograms that only grow: counts by bucket, told like spend (see `feed`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import accumulate
from typing import Final

from taximeter.exporters.feed import Grouping
from taximeter.exporters.series import Sums, sums_of
from taximeter.store.events import EventStore, Query
from taximeter.store.events.durations import BOUNDS_MS, COUNTED, DURATION, FIRST_TOKEN, Timing

LATENCY_FEED: Final = "latencies"
LABELS: Final = ("provider", "model", "operation", "status")
WATCHED: Final = ("calls", "input_tokens", "output_tokens")
"""A change of these is a call that came or went."""

BOUNDS_SECONDS: Final = tuple(bound / 1000 for bound in BOUNDS_MS)

HISTOGRAMS: Final[Mapping[str, tuple[Timing, str]]] = {
    "taximeter_call_duration_seconds": (DURATION, "how long calls took, from the request to the end of the answer"),
    "taximeter_time_to_first_token_seconds": (
        FIRST_TOKEN,
        "how long streamed calls took from the request to the first part of the answer",
    ),
}


def _counted(store: EventStore, asked: Query) -> Sums:
    return sums_of(store.durations(asked), asked.group_by, COUNTED)


def latency_grouping(most_series: int) -> Grouping:
    return Grouping(LATENCY_FEED, LABELS, most_series, WATCHED, read=_counted, rank="calls")


def histogram(amounts: Mapping[str, Decimal], timing: Timing) -> tuple[list[int], float] | None:
    """The counts of the buckets, each by itself, and the sum in seconds; None where no call told its time."""
    counts = [max(int(amounts.get(name, 0)), 0) for name in timing.buckets]
    return (counts, float(amounts.get(timing.sum_us, 0)) / 1_000_000) if any(counts) else None


def cumulative(counts: list[int]) -> Iterator[tuple[str, float]]:
    """The buckets as Prometheus has them: each with all that are below it."""
    bounds = (*(str(bound) for bound in BOUNDS_SECONDS), "+Inf")
    return zip(bounds, map(float, accumulate(counts)), strict=True)
