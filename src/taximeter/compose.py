"""The parts of a process, put together. Roles are selections of the same parts.

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
import os
import secrets
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal

from taximeter import __version__
from taximeter.clock import Clock, SystemClock, rfc3339
from taximeter.config import variable
from taximeter.config.settings import Settings
from taximeter.errors import ConfigurationError, Mistake
from taximeter.gateway import Gateway, GatewaySettings, Recorder
from taximeter.gateway import Provider as Upstream
from taximeter.ingest.collector import Collector
from taximeter.ingest.receive import Receiver
from taximeter.pricing import PriceBook, load_price_book, priceable_from_event
from taximeter.server.access import Access
from taximeter.server.answers import App
from taximeter.server.api import build_api
from taximeter.server.app import Faces, build_app
from taximeter.server.events_in import IngestFace, TakenIn
from taximeter.server.health import Counts
from taximeter.server.keydesk import KeyDesk
from taximeter.server.live import Live
from taximeter.server.page import Page
from taximeter.server.parts import Parts
from taximeter.server.running import address_of, listen, serve
from taximeter.server.shapes import NewKey, Status
from taximeter.server.signin import SignIn, SignInLinks
from taximeter.server.standing import LivePicture, storage_bytes, unpriced_calls
from taximeter.spool import Spool, SpoolLimits, SpoolReader
from taximeter.spool.sender import Sender
from taximeter.store.events import DuckDBEvents
from taximeter.store.metadata import Metadata
from taximeter.store.ownership import own

Role = Literal["all", "gateway", "collector"]

EVENTS_FILE: Final = "events.duckdb"
METADATA_FILE: Final = "metadata.sqlite"
SPOOL_DIRECTORY: Final = "spool"

SWITCH_INTERVAL_SECONDS: Final = 0.0005
"""How soon a busy thread (the collector) lets the event loop go on: it bounds what the gateway adds to a call."""

NOTE_USES_SECONDS: Final = 60.0
"""How often it is written down which keys were used."""

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

    store: DuckDBEvents
    collector: Collector
    live: Live


class Process:
    """One running taximeter. Everything it opens is closed by `closing`, in reverse."""

    def __init__(self, settings: Settings, data: Path, role: Role, closing: ExitStack) -> None:
        self.settings, self.data, self.role = settings, data, role
        self.clock: Clock = SystemClock()
        self._started_at = rfc3339(self.clock.now_us())
        self._ownership = closing.enter_context(own(data, pid=os.getpid()))
        self.prices = load_price_book(settings.prices.overrides)
        self.desk = closing.enter_context(_open_desk(data, settings, self.clock))
        self.spool = Spool(data / SPOOL_DIRECTORY, clock=self.clock, writer="server", limits=_spool_limits(settings))
        self.collecting = self._open_collecting(closing) if role != "gateway" else None
        self.sender = self._open_sender(closing) if role == "gateway" else None
        closing.callback(self.spool.close)
        self.gateway = self._open_gateway() if role != "collector" else None
        self.taken_in = TakenIn()
        self._links = SignInLinks(self.clock)
        self._local_token = secrets.token_urlsafe(32)
        self._url = ""

    def _open_collecting(self, closing: ExitStack) -> Collecting:
        timeout_seconds = self.settings.server.query_timeout_seconds
        store = DuckDBEvents(self.data / EVENTS_FILE, query_timeout_seconds=timeout_seconds)
        closing.callback(store.close)
        live = Live(LivePicture(store, self.clock))
        collector = _collector(self.data, self.prices, store, self.clock, lambda _stored: live.stored())
        closing.callback(drain, collector)
        return Collecting(store, collector, live)

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
        return Gateway(
            _upstreams(self.settings),
            None if self.settings.server.auth == "off" else self.desk.gateway_key,
            Recorder(self.spool, self.clock),
            lambda event: prices.price(priceable_from_event(event)),
            self.clock,
            _gateway_settings(self.settings),
        )

    # ── serving ────────────────────────────────────────────────────────────────────────────────────────────

    def serve(self, announce: Callable[[Announcement], None], before_end: Callable[[], None] = lambda: None) -> None:
        """Listen, announce, serve until a signal comes; then call `before_end` while everything still works.

        Raises UnavailableError when the port is taken.
        """
        sys.setswitchinterval(SWITCH_INTERVAL_SECONDS)
        listener = listen(self.settings.server.host, self.settings.server.port)
        url = address_of(listener)
        self._url = self.settings.server.public_url or url
        app = self._app(listener.getsockname()[1])
        told = Announcement(self._url, self._sign_in_url(), self.desk.first_keys(), sorted(self.settings.providers))
        self._ownership.announce(url, self._local_token)

        async def on_start() -> None:
            if self.collecting is not None:
                self.collecting.live.start()
                self.collecting.collector.start()
            if self.sender is not None:
                self.sender.start()
            self._noting = asyncio.create_task(self._note_key_uses())
            announce(told)

        def leave() -> None:
            before_end()
            if self.collecting is not None:
                self.collecting.live.hang_up()

        serve(app, listener, on_start=on_start, on_end=self._on_end, before_end=leave)

    async def _note_key_uses(self) -> None:
        while True:
            await asyncio.sleep(NOTE_USES_SECONDS)
            await asyncio.to_thread(self.desk.note_uses)

    async def _on_end(self) -> None:
        self._noting.cancel()
        if self.collecting is not None:
            await self.collecting.live.stop()
        if self.gateway is not None:
            await self.gateway.aclose()

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
            status=self.status,
            sign_in_url=self._sign_in_url,
        )
        return build_app(
            Faces(
                access=access,
                counts=self.counts,
                problems=self.problems,
                gateway=self.gateway,
                providers=sorted(self.settings.providers) if self.gateway else (),
                ingest=self._ingest(access, kept) if kept else None,
                api=build_api(parts, __version__),
                sign_in=self._sign_in(access) if kept else None,
                page=Page(access) if kept else None,
            )
        )

    def _ingest(self, access: Access, kept: Collecting) -> IngestFace:
        receiver = Receiver(self.spool, kept.store.known_ids, self.clock)
        return IngestFace(access, receiver, self.settings.server.ingest_limit_bytes, self.taken_in)

    def _sign_in(self, access: Access) -> SignIn:
        return SignIn(
            access=access,
            credentials=self.desk,
            links=self._links,
            open_session=self.desk.open_session,
            end_session=self.desk.end_session,
            session_seconds=self.desk.session_seconds,
            secure=self._url.startswith("https://"),
        )

    # ── standing ───────────────────────────────────────────────────────────────────────────────────────────

    def problems(self) -> list[str]:
        """Why this process is not ready; empty when it is."""
        found = []
        if self.collecting is not None:
            standing = self.collecting.collector.status
            if not standing.running:
                found.append("the collector does not run")
            if standing.last_error:
                found.append(f"the store does not take events: {standing.last_error}")
        trouble = self.spool.health().problem
        return [*found, f"the spool cannot write: {trouble}"] if trouble else found

    def counts(self) -> Counts:
        health, kept, gateway = self.spool.health(), self.collecting, self.gateway
        return Counts(
            events_accepted=self.taken_in.accepted,
            events_duplicate=self.taken_in.duplicates,
            events_rejected=self.taken_in.rejected,
            spool_losses=health.losses,
            set_aside=kept.collector.status.set_aside if kept else {},
            collector_lag_bytes=kept.collector.status.lag_bytes if kept else None,
            stored_events=kept.collector.status.stored_events if kept else None,
            gateway_records=gateway.recorder.written if gateway else {},
            gateway_lost_records=gateway.recorder.lost if gateway else {},
            gateway_failures=gateway.failures if gateway else {},
            gateway_refusals=gateway.refused if gateway else {},
        )

    def status(self) -> Status:
        kept, gateway, counts = self.collecting, self.gateway, self.counts()
        return Status(
            version=__version__,
            role=self.role,
            price_version=self.prices.version,
            schema_version=kept.store.schema_version if kept else None,
            started_at=self._started_at,
            collector=asdict(kept.collector.status) if kept else None,
            sender=asdict(self.sender.status) if self.sender else None,
            spool=asdict(self.spool.health()),
            gateway={"failures": dict(counts.gateway_failures), "refused": dict(counts.gateway_refusals)}
            if gateway
            else None,
            losses=dict(counts.spool_losses),
            unpriced_calls=unpriced_calls(kept.store, self.clock) if kept else None,
            storage_bytes=storage_bytes(self.data),
            providers=sorted(self.settings.providers),
            problems=self.problems(),
        )


@contextmanager
def running(settings: Settings, data: Path, role: Role) -> Iterator[Process]:
    """A process whose parts are open. Raises DirectoryInUseError, StoreError, ConfigurationError."""
    with ExitStack() as closing:
        yield Process(settings, data, role, closing)


# ── without a server ───────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Offline:
    """A data directory opened by a command: its store, and the collector that has to catch up first."""

    store: DuckDBEvents
    collector: Collector
    spool: SpoolReader

    def waiting_bytes(self) -> int:
        """Bytes in the spool that the store does not have."""
        return self.spool.unread_bytes(self.store.marks())


@contextmanager
def offline(settings: Settings, data: Path) -> Iterator[Offline]:
    """Own the directory for a moment. Raises DirectoryInUseError, StoreError."""
    clock = SystemClock()
    with ExitStack() as closing:
        closing.enter_context(own(data, pid=os.getpid(), brief=True))
        prices = load_price_book(settings.prices.overrides)
        store = DuckDBEvents(data / EVENTS_FILE)
        closing.callback(store.close)
        yield Offline(store, _collector(data, prices, store, clock), SpoolReader(data / SPOOL_DIRECTORY))


@contextmanager
def open_keys(data: Path) -> Iterator[KeyDesk]:
    """The keys of a directory no server is running on. Raises DirectoryInUseError, StoreError."""
    with own(data, pid=os.getpid(), brief=True), _open_desk(data, Settings(), SystemClock()) as desk:
        yield desk


@contextmanager
def _open_desk(data: Path, settings: Settings, clock: Clock) -> Iterator[KeyDesk]:
    metadata = Metadata(data / METADATA_FILE, clock=clock)
    try:
        yield KeyDesk(metadata, session_seconds=int(settings.server.session_hours * 3600))
    finally:
        metadata.close()


def drain(collector: Collector) -> None:
    """Stop the collector's thread and collect what is left. Raises StoreError; then the next start collects it."""
    collector.stop()
    while collector.step():
        pass


def _collector(
    data: Path, prices: PriceBook, store: DuckDBEvents, clock: Clock, on_stored: Callable[[int], None] | None = None
) -> Collector:
    spool = data / SPOOL_DIRECTORY
    spool.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Collector(SpoolReader(spool), prices, store, clock, on_stored=on_stored)


def _upstreams(settings: Settings) -> dict[str, Upstream]:
    return {
        name: Upstream(
            name=name,
            kind=provider.kind,
            base_url=provider.base_url,
            api_key=provider.api_key.get_secret_value() if provider.api_key else None,
            key_header=provider.key_header,
            ca_file=str(provider.ca_file) if provider.ca_file else None,
            ask_for_usage=provider.ask_for_usage,
        )
        for name, provider in settings.providers.items()
    }


def _gateway_settings(settings: Settings) -> GatewaySettings:
    return GatewaySettings(**settings.gateway.model_dump())


def _spool_limits(settings: Settings) -> SpoolLimits:
    return SpoolLimits(**settings.spool.model_dump())
