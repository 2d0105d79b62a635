"""The port of exporters: one place that is told what was spent."""

from __future__ import annotations

from typing import Protocol

import msgspec

from taximeter.errors import TaximeterError
from taximeter.exporters.series import Sums


class Parcel(msgspec.Struct, frozen=True, kw_only=True):
    """What is told at once: the amounts of one or more windows, by series of `labels`.

    `id` is the same whenever this parcel is sent. `at_us` stamps it: whole seconds, later than those of every earlier
    parcel of the exporter. `totals` is all that the exporter was told since `since_us`, this parcel included. `again`
    says that it may have been taken before. `feed` names what the amounts are of.
    """

    id: str
    at_us: int
    from_us: int
    to_us: int
    labels: list[str]
    amounts: Sums
    since_us: int
    totals: Sums
    again: bool = False
    feed: str = "spend"


class ExportError(TaximeterError):
    """A parcel did not get through. It is not known whether some of it was taken."""

    code = "export_failed"
    http_status = 502


class NotTakenError(ExportError):
    """Surely nothing of it was taken: what is told next may be another parcel."""


class Exporter(Protocol):
    """One place to tell. `tells_latencies`: parcels of the feed of latencies are for it too."""

    tells_latencies: bool

    def send(self, parcel: Parcel) -> None:
        """Tell it. Blocks, at most some seconds. Raises ExportError.

        A parcel that was not surely refused comes again as it is, after a crash too; it must not count twice.
        """
        ...
