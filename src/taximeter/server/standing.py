"""What a process says of itself: its status, its counts, its problems; and the picture that live watchers get."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, Protocol

from taximeter import __version__
from taximeter.clock import Clock, rfc3339
from taximeter.server.events_in import TakenIn
from taximeter.server.health import Counts
from taximeter.server.shapes import Status
from taximeter.spool import Spool
from taximeter.spool.sender import Sender
from taximeter.store.events import EventStore, parse_event_query, parse_query

LAST_CALLS: Final = 20
"""Of the last day, in one tick of the live stream."""


class CollectorStatus(Protocol):
    """The part of a collector's status (a dataclass) that is looked at here; all of it is shown."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def running(self) -> bool: ...
    @property
    def lag_bytes(self) -> int: ...
    @property
    def stored_events(self) -> int: ...

    @property
    def told_twice_events(self) -> int: ...
    @property
    def set_aside(self) -> Mapping[str, int]: ...
    @property
    def last_error(self) -> str | None: ...


class Collector(Protocol):
    @property
    def status(self) -> CollectorStatus: ...


class Otlp(Protocol):
    """Spans and log records by what became of them."""

    @property
    def counts(self) -> Mapping[str, int]: ...
    @property
    def held(self) -> int: ...


class JobStatus(Protocol):
    """How a job is (a dataclass); all of it is shown."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


class Jobs(Protocol):
    """The periodic work of a process, by name."""

    @property
    def status(self) -> Mapping[str, JobStatus]: ...


class Recorder(Protocol):
    """Records of the gateway by kind: those it wrote, and those it could not write."""

    @property
    def written(self) -> Mapping[str, int]: ...
    @property
    def lost(self) -> Mapping[str, int]: ...


class Limits(Protocol):
    """Calls by what limits decided about them, and whether what counts them is away."""

    @property
    def decided(self) -> Mapping[str, int]: ...
    @property
    def counters_away(self) -> str | None: ...


class Gateway(Protocol):
    """What a gateway counts: failures by reason, refusals by code."""

    @property
    def recorder(self) -> Recorder: ...
    @property
    def failures(self) -> Mapping[str, int]: ...
    @property
    def refused(self) -> Mapping[str, int]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a process is. None is what its role does not have."""

    role: str
    price_version: Callable[[], str]
    providers: Sequence[str]
    started_at_us: int
    data: Path
    clock: Clock
    spool: Spool
    taken_in: TakenIn
    metadata_problem: Callable[[], str | None] = lambda: None
    store: EventStore | None = None
    collector: Collector | None = None
    sender: Sender | None = None
    gateway: Gateway | None = None
    otlp: Otlp | None = None
    jobs: Jobs | None = None
    limits: Limits | None = None

    def problems(self) -> list[str]:
        """Why this process is not ready; empty when it is."""
        found = []
        if self.collector is not None:
            collector = self.collector.status
            if not collector.running:
                found.append("the collector does not run")
            if collector.last_error:
                found.append(f"the store does not take events: {collector.last_error}")
        metadata = self.metadata_problem()
        if metadata is not None:
            found.append(f"the metadata cannot be read: {metadata}")
        trouble = self.spool.health().problem
        return [*found, f"the spool cannot write: {trouble}"] if trouble else found

    def counts(self) -> Counts:
        collector = self.collector.status if self.collector else None
        gateway, spool = self.gateway, self.spool.health()
        return Counts(
            events_accepted=self.taken_in.accepted,
            events_duplicate=self.taken_in.duplicates,
            events_rejected=self.taken_in.rejected,
            otlp_spans=self.otlp.counts if self.otlp else {},
            otlp_held_spans=self.otlp.held if self.otlp else None,
            spool_losses=spool.losses,
            spool_waiting_lines=spool.waiting_lines,
            spool_waiting_bytes=spool.waiting_bytes,
            spool_refused=int(spool.problem is not None),
            set_aside=collector.set_aside if collector else {},
            collector_lag_bytes=collector.lag_bytes if collector else None,
            stored_events=collector.stored_events if collector else None,
            told_twice_events=collector.told_twice_events if collector else None,
            gateway_records=gateway.recorder.written if gateway else {},
            gateway_lost_records=gateway.recorder.lost if gateway else {},
            gateway_failures=gateway.failures if gateway else {},
            gateway_refusals=gateway.refused if gateway else {},
            admissions=self.limits.decided if self.limits else {},
            limit_counters_away=int(self.limits.counters_away is not None) if self.limits else None,
        )

    def status(self) -> Status:
        """Blocks: it asks the store and looks at every file."""
        spool, gateway, store = self.spool.health(), self.gateway, self.store
        return Status(
            version=__version__,
            role=self.role,
            price_version=self.price_version(),
            schema_version=store.schema_version if store else None,
            started_at=rfc3339(self.started_at_us),
            collector=asdict(self.collector.status) if self.collector else None,
            sender=asdict(self.sender.status) if self.sender else None,
            spool=asdict(spool),
            gateway={"failures": dict(gateway.failures), "refused": dict(gateway.refused)} if gateway else None,
            jobs={name: asdict(job) for name, job in self.jobs.status.items()} if self.jobs else {},
            losses=dict(spool.losses),
            unpriced_calls=unpriced_calls(store, self.clock) if store else None,
            storage_bytes=storage_bytes(self.data),
            providers=list(self.providers),
            problems=self.problems(),
        )


def unpriced_calls(store: EventStore, clock: Clock) -> int:
    """Calls of the last 30 days without a known cost."""
    answer = store.query(parse_query({"measures": ["unpriced_calls"], "from": "30d"}, clock.now_us()))
    return int(answer.totals["unpriced_calls"])


def storage_bytes(data: Path) -> int:
    """Bytes of everything in the data directory. Files may go while we look."""
    total = 0
    for file in data.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            total += file.stat().st_size if file.is_file() else 0
    return total


@dataclass(frozen=True, slots=True)
class LivePicture:
    """`{"at", "calls"}`: the last calls. Totals are asked for by those who show them, each at its own pace."""

    store: EventStore
    clock: Clock

    def __call__(self) -> Mapping[str, Any]:
        now_us = self.clock.now_us()
        page = self.store.events(parse_event_query({"limit": LAST_CALLS, "from": "1d"}, now_us))
        return {"at": rfc3339(now_us), "calls": page.events}
