"""Rows that stand for many calls: the usage and cost reports of providers.

A row becomes one event, so that tokens and amounts add up. `tags.aggregated` says that it is no single call, and
`units.requests` how many it stands for, or at least stands for when the report does not say (`aggregated_requests`).
Rates that depend on the size of a request are taken at the mean.

A bucket that is not over yet would grow after it was imported, and what is stored is never changed: it is left out. So
is one that is just over, to which its provider still adds.
Amounts of a bill are kept as `reported_cost_usd` of an event that costs nothing itself.
"""

from __future__ import annotations

from typing import Final

from taximeter.clock import rfc3339
from taximeter.ingest.imports.row import Options, Skipped

USAGE: Final = {"aggregated": "usage"}
BILL: Final = {"aggregated": "bill"}
"""What the tags of such events say."""

AT_LEAST: Final = {"aggregated_requests": "at least"}


HOUR_US: Final = 3_600_000_000
DAY_US: Final = 24 * HOUR_US


def check_is_over(end_us: int, options: Options, added_to_us: int = HOUR_US) -> None:
    """Raises Skipped for a bucket that may still grow; `added_to_us` is how long after its end it may."""
    grown_us = end_us + added_to_us
    if grown_us > options.now_us:
        raise Skipped(f"a bucket that may grow until {rfc3339(grown_us)[:16]}Z: import it again after that")
