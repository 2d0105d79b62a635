"""A running server, put together. Roles are selections of the same parts.

    all        everything in one process: the default
    gateway    admits, forwards and records calls, and ships the events to a collector elsewhere
    collector  takes events in, prices and stores them, answers queries, serves the page

Order of the start: own the directory, open what keeps (stores), then what fills it (spool, collector), then what is
seen from outside. The end is the reverse, so that nothing is accepted that could not be kept:
  1. stop accepting, let calls under way come to their end     (uvicorn, then the gateway's connections)
  2. seal the spool                                            a crash from here on loses nothing
  3. collect, or ship, what is in it                           otherwise the next start does
  4. close the stores, give the directory up
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import platform
import secrets
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, get_args

from taximeter import __version__
from taximeter.alerts.sources import Crossings, MeterHealth, Source
from taximeter.alerts.sources import Findings as OpenFindings
from taximeter.anomaly.finding import FindingKind
from taximeter.clock import Clock, SystemClock, rfc3339
from taximeter.compose.alerting import AlertingParts, differing_amounts, open_alerting
from taximeter.compose.charging import terms_of
from taximeter.compose.detecting import DETECT_SECONDS, Detecting
from taximeter.compose.exporting import DONE_ONCE as EXPORT
from taximeter.compose.exporting import Exporting, open_exporting
from taximeter.compose.exporting import mistakes as exporter_mistakes
from taximeter.compose.forgetting import LOOK_SECONDS, Forgetting, Knows
from taximeter.compose.garbage import LOOK_SECONDS as LOOK_FOR_GARBAGE_SECONDS
from taximeter.compose.garbage import collect_if_quiet, forget_what_stays
from taximeter.compose.gateway import gateway_settings, known_answers, upstreams
from taximeter.compose.jobs import WHILE_FIRST_QUESTIONS_SECONDS, Jobs
from taximeter.compose.keeping import SPOOL_DIRECTORY, collector_of, open_events
from taximeter.compose.keys import open_desk
from taximeter.compose.learnt import LEARNT_FILE, LearntFile
from taximeter.compose.limits import Limiting
from taximeter.compose.otlp import open_otlp
from taximeter.compose.repricing import TURN_SECONDS, Repricer
from taximeter.compose.sample import LOOK_SECONDS as LOOK_AT_SAMPLE_SECONDS
from taximeter.compose.sample import Sample
from taximeter.config import variable
from taximeter.config.effective import effective
from taximeter.config.file import Loaded
from taximeter.config.settings import EMBEDDED, Settings
from taximeter.core.cost import Cost, Unpriced
from taximeter.core.event import UsageEvent
from taximeter.core.ids import EventIds
from taximeter.errors import ConfigurationError, Mistake, StoreError
from taximeter.gateway import Gateway, Recorder
from taximeter.ingest.collector import Collector
from taximeter.ingest.imports.reports import rows_of_reports
from taximeter.ingest.receive import Receiver
from taximeter.pricing import priceable_from_event
from taximeter.pricing.current import open_prices
from taximeter.pricing.shelf import PRICES_DIRECTORY
from taximeter.server.access import Access
from taximeter.server.alert_links import AlertLinks
from taximeter.server.answers import App
from taximeter.server.api import build_api
from taximeter.server.app import Faces, build_app
from taximeter.server.events_in import IngestFace, TakenIn
from taximeter.server.hosts import name_in, only_for_hosts
from taximeter.server.live import Live
from taximeter.server.otlp_in import OtlpFace, OtlpIn
from taximeter.server.page import Page
from taximeter.server.parts import Parts
from taximeter.server.running import address_of, listen, serve
from taximeter.server.settings_shapes import SettingsAnswer, sections_told
from taximeter.server.shapes import NewKey
from taximeter.server.signin import SignIn, SignInLinks
from taximeter.server.standing import LivePicture, Standing
from taximeter.spool import Spool, SpoolLimits
from taximeter.spool.sender import Sender
from taximeter.store.events import EventStore
from taximeter.store.events.moving import Movable
from taximeter.store.events.port import Retention
from taximeter.store.events.rollups import EVENTS, HOURS, OUTCOMES, USER_DAYS
from taximeter.store.metadata import Lease
from taximeter.store.ownership import own

Role = Literal["all", "gateway", "collector"]

SWITCH_INTERVAL_SECONDS: Final = 0.0005
"""How soon a busy thread (the collector) lets the event loop go on: it bounds what the gateway adds to a call."""

RENEW_SECONDS: Final = 5.0
DONE_ONCE: Final = ("detection", "alerts", "delivery", "outbox", EXPORT)
"""How the names of those jobs begin that several servers on the same metadata must not do twice."""

RELOAD_PRICES_SECONDS: Final = 2.0
"""How soon a changed price file is taken up."""

DEAD_TOLD_US: Final = 24 * 3600 * 1_000_000
"""How long a notification that could not be delivered is a trouble of the meter."""

LATE_TOLD_US: Final = 15 * 60 * 1_000_000
"""How long a notification is tried before that is one."""

ROLL_UP_SECONDS: Final = 10.0
"""How soon hours that have ended, and those that late events changed, are added up."""

EXPIRE_SECONDS: Final = 3600.0
"""How often is looked for what is older than it is kept."""

ROLL_UP_GRACE_US: Final = 60_000_000

DRAIN_SECONDS: Final = 5.0
"""How long events are collected at the end, of which there may be many after an outage. Whoever ends a program, a
container's or a service's manager, kills it after ten seconds or more."""

SHIP_SECONDS: Final = 10.0
"""How long a gateway that ends waits for the collector to take what is left."""


@dataclass(frozen=True, slots=True)
class Announcement:
    """What the operator is told once the server listens. `new_keys` are those that the first start made."""

    url: str
    sign_in_url: str
    new_keys: Sequence[NewKey]
    providers: Sequence[str]


@dataclass(frozen=True, slots=True)
class Collecting:
    """What a process has that keeps events."""

    store: EventStore
    collector: Collector
    live: Live
    receiver: Receiver
    otlp: OtlpIn
    jobs: Jobs
    repricer: Repricer
    detecting: Detecting | None


class Process:
    """One running taximeter. Everything it opens is closed by `closing`, in reverse."""

    def __init__(self, loaded: Loaded, data: Path, role: Role, closing: ExitStack, clock: Clock) -> None:
        settings = loaded.settings
        self.loaded, self.settings, self.data, self.role = loaded, settings, data, role
        self.clock = clock
        self._started_at_us = self.clock.now_us()
        self._ownership = closing.enter_context(own(data, pid=os.getpid()))
        self.prices = open_prices(
            data / PRICES_DIRECTORY, settings.prices.overrides, self._started_at_us, settings.prices.prefer_reported
        )
        self.desk = closing.enter_context(open_desk(data, settings, self.clock))
        self.jobs = Jobs(self.clock)
        self.spool = Spool(data / SPOOL_DIRECTORY, clock=self.clock, writer="server", limits=_spool_limits(settings))
        self._events = self._open_store(closing) if role != "gateway" else None
        self.limiting = self._open_limiting()
        self.collecting = self._open_collecting(closing, self._events) if self._events is not None else None
        self.sender = self._open_sender(closing) if role == "gateway" else None
        closing.callback(self.spool.close)
        self.gateway = self._open_gateway() if role != "collector" else None
        self.standing = self._standing()
        self.alerting = self._open_alerting(self.collecting) if self.collecting is not None else None
        self.exporting = self._open_exporting(self.collecting) if self.collecting is not None else None
        self.sample = self._open_sample(closing) if self.collecting is not None else None
        self._links = SignInLinks(self.clock)
        self._lease: Lease | None = None
        self._local_token = secrets.token_urlsafe(32)
        self._url = ""

    def _open_store(self, closing: ExitStack) -> Movable:
        store = open_events(self.settings, self.data, self.clock)
        closing.callback(store.close)
        return store

    def _open_limiting(self) -> Limiting:
        settings, book = self.settings, self.desk.limits
        if self.role == "gateway" and settings.limits and settings.store.counters == "memory":
            needed = Mistake("store.counters", "limits of a gateway by itself need counters in Redis, shared by all")
            raise ConfigurationError("configuration", [needed])
        return Limiting(settings, book, lambda: self.prices.book, self.clock, self._events)

    def _open_collecting(self, closing: ExitStack, store: Movable) -> Collecting:
        live = Live(LivePicture(store, self.clock))
        into = self.limiting.posting(store)
        jobs = self.jobs
        detecting = self._open_detecting(store, jobs)

        def stored(_events: int) -> None:
            live.stored()
            if detecting is not None:
                detecting.stored()

        receiver = Receiver(self.spool, store.known_ids, self.clock)
        collector = collector_of(
            self.data, self.prices, store, self.clock, stored, into, hurried=lambda: receiver.is_busy
        )
        closing.callback(drain, collector, self.clock)
        jobs.give_way(lambda: collector.is_behind)
        otlp = open_otlp(self.data, receiver, store, self.clock)
        repricer = Repricer(store, lambda: self.prices.book, self.clock, EventIds(os.urandom))
        jobs.every("repricing", TURN_SECONDS, repricer.turn)
        jobs.every("roll-ups", ROLL_UP_SECONDS, lambda: self._roll_up(store), WHILE_FIRST_QUESTIONS_SECONDS)
        knowing: list[Knows] = [self.desk.findings, self.desk.limits, *([] if detecting is None else [detecting])]
        forgetting = Forgetting(store, self.clock, *knowing)
        jobs.every("forgetting", LOOK_SECONDS, forgetting.turn)
        if (kept := _retention(self.settings)).days:
            jobs.every("retention", EXPIRE_SECONDS, lambda: self._expire(store, kept), WHILE_FIRST_QUESTIONS_SECONDS)
        return Collecting(store, collector, live, receiver, otlp, jobs, repricer, detecting)

    def _open_detecting(self, store: EventStore, jobs: Jobs) -> Detecting | None:
        if not self.settings.anomalies.enabled:
            return None
        ids = EventIds(os.urandom)
        detecting = Detecting(
            store,
            self.desk.findings,
            self.settings.anomalies,
            self.clock,
            ids,
            alone=self.settings.store.events == EMBEDDED,
            file=LearntFile(self.data / LEARNT_FILE, self.settings.anomalies),
        )
        jobs.every("detection", DETECT_SECONDS, detecting.turn, WHILE_FIRST_QUESTIONS_SECONDS)
        return detecting

    def _open_alerting(self, kept: Collecting) -> AlertingParts:
        records = self.desk.alerting

        def health() -> MeterHealth:
            failing = {name: job.last_error for name, job in kept.jobs.status.items() if job.last_error is not None}
            return MeterHealth(
                problems=self.standing.problems(),
                losses=self.spool.health().losses,
                lag_bytes=kept.collector.status.lag_bytes,
                failing_jobs={name: error for name, error in failing.items() if name != "alerts"},
                dead_letters=records.dead_since(self.clock.now_us() - DEAD_TOLD_US),
                late_letters=records.late(self.clock.now_us() - LATE_TOLD_US),
            )

        differing = differing_amounts(kept.store, lambda: self.prices.book)
        limits = self.limiting.desk
        found: list[Source] = [Crossings(limits.latest_crossings, limits.whose), differing]
        if kept.detecting is not None:
            found.append(OpenFindings(self.desk.findings.open, get_args(FindingKind)))
        return open_alerting(
            self.settings,
            kept.store,
            self.desk,
            health,
            self.clock,
            kept.jobs,
            lambda: self._url,
            found,
            set_limit=self.limiting.desk.set,
        )

    def _open_exporting(self, kept: Collecting) -> Exporting:
        if wrong := exporter_mistakes(self.settings):
            raise ConfigurationError("configuration", wrong)
        desk = self.desk
        return open_exporting(
            self.settings, kept.store, desk.exports, self.clock, kept.jobs, self.limiting.desk.live, desk.alerting
        )

    def _open_sample(self, closing: ExitStack) -> Sample:
        sample = Sample(self.data, lambda: self.prices.book, self.clock)
        closing.callback(sample.close)
        self.jobs.every("sample", LOOK_AT_SAMPLE_SECONDS, sample.let_go)
        return sample

    def _expire(self, store: EventStore, kept: Retention) -> None:
        store.expire(kept, self.clock.now_us())

    def _roll_up(self, store: EventStore) -> None:
        """What has just ended waits a little, since its last events are still coming."""
        store.roll_up(self.clock.now_us() - ROLL_UP_GRACE_US)

    def _open_sender(self, closing: ExitStack) -> Sender:
        url = variable("URL")
        if url is None:
            needed = Mistake("TAXIMETER_URL", "the role 'gateway' needs the address of its collector")
            raise ConfigurationError("environment", [needed])
        sender = Sender(self.spool, url=url, key=variable("KEY"), clock=self.clock)
        closing.callback(sender.stop)
        closing.callback(sender.flush, SHIP_SECONDS)
        return sender

    def _open_gateway(self) -> Gateway:
        prices = self.prices

        def price(event: UsageEvent) -> Cost | Unpriced:
            return prices.price(priceable_from_event(event))

        return Gateway(
            upstreams(self.settings),
            None if self.settings.server.auth == "off" else self.desk.gateway_key,
            Recorder(self.spool, self.clock),
            price,
            self.clock,
            gateway_settings(self.settings),
            known_ids=self.collecting.store.known_ids if self.collecting else None,
            known_answers=known_answers(self.collecting.store, self.clock) if self.collecting else None,
            admission=self.limiting.calls(price),
        )

    def _standing(self) -> Standing:
        return Standing(
            role=self.role,
            price_version=lambda: self.prices.version,
            providers=sorted(self.settings.providers),
            started_at_us=self._started_at_us,
            data=self.data,
            clock=self.clock,
            spool=self.spool,
            taken_in=TakenIn(),
            metadata_problem=lambda: self.desk.problem,
            store=self.collecting.store if self.collecting else None,
            collector=self.collecting.collector if self.collecting else None,
            otlp=self.collecting.otlp if self.collecting else None,
            jobs=self.jobs,
            limits=self.limiting.desk,
            sender=self.sender,
            gateway=self.gateway,
        )

    # ── serving ────────────────────────────────────────────────────────────────────────────────────────────

    def serve(self, announce: Callable[[Announcement], None], before_end: Callable[[], None] = lambda: None) -> None:
        """Listen, announce, serve until a signal comes; then call `before_end` while everything still works.

        Raises UnavailableError when the port is taken.
        """
        sys.setswitchinterval(SWITCH_INTERVAL_SECONDS)
        forget_what_stays()
        listener = listen(self.settings.server.host, self.settings.server.port)
        url = address_of(listener)
        self._url = self.settings.server.public_url or url
        app = self._app(listener.getsockname()[1])
        told = Announcement(self._url, self._sign_in_url(), self.desk.first_keys(), sorted(self.settings.providers))
        self._ownership.announce(url, self._local_token)

        if self.collecting is not None:
            self.limiting.begin(self.data / SPOOL_DIRECTORY, self.collecting.collector)
            self._share(self.collecting)
        self.limiting.look_after(self.jobs)
        self.jobs.every("garbage", LOOK_FOR_GARBAGE_SECONDS, lambda: collect_if_quiet(self._open_calls()))

        async def on_start() -> None:
            if self.collecting is not None:
                self.collecting.live.start()
                self.collecting.collector.start()
                self._settling = asyncio.create_task(self.collecting.otlp.keep_settling())
            self.jobs.start()
            if self.sender is not None:
                self.sender.start()
            self._noting = asyncio.create_task(self.desk.keep_noting_uses())
            self._knowing_keys = asyncio.create_task(self.desk.keep_knowing_keys())
            self._watching_prices = asyncio.create_task(self._keep_prices())
            announce(told)

        def leave() -> None:
            with contextlib.suppress(OSError):  # a full disk keeps nobody from ending
                self._ownership.withdraw()
            before_end()
            if self.collecting is not None:
                self.collecting.live.hang_up()

        serve(app, listener, on_start=on_start, on_end=self._on_end, before_end=leave)

    def _open_calls(self) -> int:
        return 0 if self.gateway is None else self.gateway.open_calls

    def _share(self, kept: Collecting) -> None:
        """Of several servers on the same metadata one detects, alerts and exports: that which has the lease."""
        if self.settings.store.metadata == EMBEDDED:
            return
        lease = self._lease = self.desk.lease("alerting")

        exporting = self.exporting

        def renew() -> None:
            had_it = lease.held
            if lease.renew() and not had_it and kept.detecting is not None:
                kept.detecting.forget()
            if exporting is not None and not had_it:
                exporting.follow()

        renew()
        self.jobs.every("lease", RENEW_SECONDS, renew)
        self.jobs.once(DONE_ONCE, lambda: lease.held)

    def _give_back(self) -> None:
        """The next server need not wait until the lease has run out."""
        if self._lease is not None:
            with contextlib.suppress(StoreError):
                self._lease.release()

    async def _keep_prices(self) -> None:
        """Price files that change are taken up without a restart."""
        while True:
            await asyncio.sleep(RELOAD_PRICES_SECONDS)
            await asyncio.to_thread(self.prices.reload)

    async def _on_end(self) -> None:
        self._noting.cancel()
        self._knowing_keys.cancel()
        self._watching_prices.cancel()
        if self.collecting is not None:
            self._settling.cancel()
            self.collecting.repricer.stop()
            if self.collecting.detecting is not None:
                self.collecting.detecting.stop()
            await self.collecting.live.stop()
        await asyncio.to_thread(self.jobs.stop)
        if self.collecting is not None and self.collecting.detecting is not None:
            await asyncio.to_thread(self.collecting.detecting.close)
        await asyncio.to_thread(self._give_back)
        if self.gateway is not None:
            await self.gateway.aclose()
        await asyncio.to_thread(self.desk.note_uses)

    def _sign_in_url(self) -> str:
        return f"{self._url}/signin?token={self._links.issue()}"

    def _app(self, port: int) -> App:
        open_to_all = self.settings.server.auth == "off"
        access = Access(self.desk, local_token=self._local_token, cookie=f"taximeter-{port}", open_to_all=open_to_all)
        kept = self.collecting
        parts = Parts(
            store=kept.store if kept else None,
            live=kept.live if kept else None,
            keys=self.desk,
            access=access,
            clock=self.clock,
            status=self.standing.status,
            settings=self._told_settings,
            sign_in_url=self._sign_in_url,
            prices=lambda: self.prices.book,
            repricings=kept.repricer if kept else None,
            calculator_uses=self.desk.calculator_uses,
            alerting=self.alerting,
            anomalies=kept.detecting if kept else None,
            limits=self.limiting.desk,
            public_url=self.settings.server.public_url,
            terms=terms_of(self.settings.chargeback),
            reports_read=rows_of_reports,
            sample=self.sample,
        )
        app = build_app(
            Faces(
                access=access,
                counts=self.standing.counts,
                problems=self.standing.problems,
                gateway=self.gateway,
                providers=sorted(self.settings.providers) if self.gateway else (),
                ingest=self._ingest(access, kept) if kept else None,
                otlp=OtlpFace(access, kept.otlp, self.settings.server.ingest_limit_bytes) if kept else None,
                api=build_api(parts, __version__),
                alert_links=AlertLinks(parts, self.alerting.signer) if self.alerting else None,
                sign_in=SignIn(access, self.desk, self._links, self._url.startswith("https://")) if kept else None,
                page=Page(access) if kept else None,
                metrics=self.exporting.collectors if self.exporting else (),
            )
        )
        return only_for_hosts(app, self._own_hosts()) if open_to_all else app

    def _told_settings(self) -> SettingsAnswer:
        return SettingsAnswer(
            version=__version__,
            role=self.role,
            started_at=rfc3339(self._started_at_us),
            python_version=platform.python_version(),
            data_directory=str(self.data),
            config_file=None if self.loaded.path is None else str(self.loaded.path),
            sections=sections_told(effective(self.settings, self.loaded.origins)),
        )

    def _own_hosts(self) -> list[str]:
        server = self.settings.server
        return [server.host, name_in(server.public_url or "")]

    def _ingest(self, access: Access, kept: Collecting) -> IngestFace:
        return IngestFace(access, kept.receiver, self.settings.server.ingest_limit_bytes, self.standing.taken_in)


@contextmanager
def running(loaded: Loaded, data: Path, role: Role, clock: Clock | None = None) -> Iterator[Process]:
    """A process whose parts are open, on the machine's clock unless there is another one. Raises DirectoryInUseError,
    StoreError, ConfigurationError."""
    with ExitStack() as closing:
        closing.callback(gc.unfreeze)  # what is frozen outlives its libraries at the end, which complain of it
        yield Process(loaded, data, role, closing, clock or SystemClock())


def drain(collector: Collector, clock: Clock) -> None:
    """Stop the collector's thread and collect what is left, for as long as people wait for a program to end. Raises
    StoreError; then, and of what is left after that time, the next start collects it."""
    collector.stop()
    end = clock.monotonic() + DRAIN_SECONDS
    while clock.monotonic() < end and collector.step():
        pass


def _retention(settings: Settings) -> Retention:
    kept = settings.retention
    days = {
        EVENTS: kept.events_days,
        OUTCOMES: kept.outcomes_days,
        HOURS.name: kept.hourly_sums_days,
        USER_DAYS.name: kept.daily_user_sums_days,
    }
    return Retention({name: number for name, number in days.items() if number is not None})


def _spool_limits(settings: Settings) -> SpoolLimits:
    return SpoolLimits(**settings.spool.model_dump())
