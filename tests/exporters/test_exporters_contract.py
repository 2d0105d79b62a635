"""Every exporter tells the store's sums to the last digit, through crashes and outages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any, Protocol
from uuid import uuid4

import duckdb
import pytest
from export_rig import World
from receivers import CloudWatchLogs, DatadogIntake, OtlpReceiver, WebhookReceiver, aws, listening
from shelves import Shelf, copied, new_bucket

from taximeter.config.exporting import FileSettings
from taximeter.exporters.feed import Feed, Grouping
from taximeter.exporters.filing import Filing, Place
from taximeter.exporters.port import Exporter, ExportError, NotTakenError, Parcel
from taximeter.exporters.registry import KINDS, open_exporters
from taximeter.exporters.shipping import Shipping
from taximeter.store.events import Query
from taximeter.store.events.instants import LATEST_US

pytestmark = pytest.mark.timeout(360)
LABELS = ("provider", "model", "feature")
TOLD = ("cost_usd", "retry_cost_usd", "calls", "failed_calls", "retries", "unpriced_calls", "input_tokens",
        "output_tokens")  # fmt: skip
"""Measures that every exporter tells."""


class Receiver(Protocol):
    def sums(self) -> dict[str, Decimal]: ...


class Crash(BaseException):
    """The process ends here."""


@dataclass
class Road:
    """What lies between this process and another place: trouble, one for each time it is taken; then none."""

    troubles: list[str] = field(default_factory=list)

    @contextmanager
    def taken(self) -> Iterator[None]:
        trouble = self.troubles.pop(0) if self.troubles else "none"
        if trouble == "unreachable":
            raise NotTakenError("nobody there")
        if trouble == "crash before":
            raise Crash
        yield
        if trouble == "crash after":
            raise Crash
        if trouble == "answer lost":
            raise ExportError("no answer")


@dataclass
class Troubled(Road):
    """An exporter with trouble on the way."""

    exporter: Exporter = field(kw_only=True)
    tells_latencies: bool = False

    def send(self, parcel: Parcel) -> None:
        with self.taken():
            self.exporter.send(parcel)


@dataclass
class TroubledPlace(Road):
    """A place of files with trouble on the way."""

    place: Place = field(kw_only=True)

    def put(self, name: str, file: Path) -> None:
        with self.taken():
            self.place.put(name, file)


@dataclass
class Lake:
    """The files of a bucket, added up as DuckDB reads them from a copy."""

    shelf: Shelf
    ending: str
    copy: Path

    def sums(self) -> dict[str, Decimal]:
        files = list(copied(self.shelf, self.copy / self.ending))
        assert {file.name for file in files} == {f"calls.{self.ending}"}, "one file a day, and nothing left behind"
        asked = f"""
            SELECT count(DISTINCT event_id) AS events, count(*) AS calls, sum(cost_usd) AS cost_usd,
                sum(cost_usd) FILTER (attempt > 1) AS retry_cost_usd, count(*) FILTER (attempt > 1) AS retries,
                count(*) FILTER (status = 'error') AS failed_calls,
                count(*) FILTER (cost_usd IS NULL) AS unpriced_calls,
                sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens
            FROM {READ[self.ending].format(files=f"{self.copy}/{self.ending}/*/calls.{self.ending}")}
        """
        with duckdb.connect() as connection:
            found = connection.execute(asked)
            names, row = [column[0] for column in found.description or ()], found.fetchone() or ()
        sums = {name: Decimal(value) for name, value in zip(names, row, strict=True)}
        assert sums.pop("events") == sums["calls"], "each event once"
        return sums


READ = {
    "parquet": "read_parquet('{files}')",
    "csv": "read_csv('{files}', types = {{'cost_usd': 'DECIMAL(18, 12)'}})",
}
"""How DuckDB reads files of an ending."""


def opened(kind: str, **settings: Any) -> Exporter:
    exporters, mistakes = open_exporters({"it": {"kind": kind, **settings}})
    assert mistakes == []
    return exporters["it"]


@contextmanager
def datadog() -> Iterator[tuple[Exporter, Receiver]]:
    intake = DatadogIntake()
    with listening(intake.take) as url:
        yield opened("datadog", api_key=DatadogIntake.KEY, url=url), intake


@contextmanager
def webhook() -> Iterator[tuple[Exporter, Receiver]]:
    receiver = WebhookReceiver()
    with listening(receiver.take) as url:
        yield opened("webhook", url=url), receiver


@contextmanager
def otlp() -> Iterator[tuple[Exporter, Receiver]]:
    receiver = OtlpReceiver()
    with listening(receiver.take) as url:
        yield opened("otlp", url=url + "/v1/metrics"), receiver


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with aws() as url:
        yield url


@contextmanager
def cloudwatch() -> Iterator[tuple[Exporter, Receiver]]:
    group = f"/taximeter/{uuid4()}"  # moto keeps what it has as long as this process lives
    with aws() as url:
        it = opened("cloudwatch", region="us-east-1", endpoint_url=url, log_group=group)
        yield it, CloudWatchLogs(url, group)


PLACES = {"datadog": datadog, "webhook": webhook, "otlp": otlp, "cloudwatch": cloudwatch}
Told = tuple[Exporter, Receiver]


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mapping[str, Told]]:
    """All kinds beside each other, as in one server: what is asked of the store is asked once for all of them."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with ExitStack() as opened_places:
        yield {name: opened_places.enter_context(open_place()) for name, open_place in PLACES.items()}


def test_every_kind_keeps_the_contract() -> None:
    assert set(PLACES) == set(KINDS)


@dataclass
class Server:
    """What a process has of exports; another one may be opened over the same files."""

    here: World
    exporters: Mapping[str, Exporter]
    lakes: Mapping[str, TroubledPlace] = field(default_factory=dict)

    def __post_init__(self) -> None:
        here, kept = self.here, self.here.metadata.exports
        self.feed = Feed(Grouping("spend", LABELS, 50), here.store, kept, here.clock, keep_windows=True)
        self.ways = [Shipping(name, one, "spend", kept, here.clock) for name, one in self.exporters.items()]
        self.filings = [self._filing(ending, place) for ending, place in self.lakes.items()]
        state = self.feed.begin()
        for way in self.ways:
            way.begin(state)

    def turn(self) -> dict[str, str]:
        """One turn of all jobs; what became of each exporter's."""
        self.feed.turn()
        self.here.clock.at_us += 60_000_000
        turns = {way.name: way.turn for way in self.ways} | {one.name: one.turn for one in self.filings}
        return {name: _turned(turn) for name, turn in turns.items()}

    def _filing(self, ending: str, place: Place) -> Filing:
        settings = FileSettings.model_validate({"to": "s3://of/the-test", "format": ending})
        return Filing(ending, settings, place, self.here.store, self.here.metadata.exports, self.here.clock, None)


def _turned(turn: Callable[[], None]) -> str:
    try:
        turn()
    except ExportError as error:
        return type(error).__name__
    except Crash:
        return "crashed"
    return "sent"


def stored(here: World) -> dict[str, Decimal]:
    totals = here.store.query(Query(from_us=0, to_us=LATEST_US, measures=TOLD)).totals
    return {name: Decimal(amount) for name, amount in totals.items()}


def told(receiver: Receiver) -> dict[str, Decimal]:
    sums = receiver.sums()
    return {name: sums.get(name, Decimal(0)) for name in TOLD}


def close_to(receiver: Receiver) -> Callable[[dict[str, Decimal]], dict[str, Decimal]]:
    """OTLP has floating-point numbers for money: sums of them are right to the micro-dollar, all else exactly."""
    if not isinstance(receiver, OtlpReceiver):
        return lambda sums: sums
    return lambda sums: {name: round(amount, 9) for name, amount in sums.items()}


@pytest.mark.timeout(900)
def test_ten_thousand_events_three_crashes_two_outages(
    here: World, places: Mapping[str, Told], s3: str, tmp_path: Path
) -> None:
    troubled, chance = {name: Troubled(exporter=exporter) for name, (exporter, _) in places.items()}, Random(7)
    buckets = {ending: new_bucket(s3) for ending in READ}
    lakes = {ending: TroubledPlace(place=bucket.place) for ending, bucket in buckets.items()}
    server = Server(here, troubled, lakes)
    plan = ["none", "crash before", "unreachable", "none", "crash after", "answer lost", "crash after", "none"]
    for trouble in plan:
        here.traffic(chance, 10_000 // len(plan))
        for road in (*troubled.values(), *lakes.values()):
            road.troubles = [trouble]
        if "crashed" in server.turn().values():
            server = Server(here, troubled, lakes)
    assert server.turn() == dict.fromkeys((*places, *lakes), "sent")
    there = stored(here)
    assert there["calls"] == 10_000
    receivers = {name: receiver for name, (_, receiver) in places.items()}
    receivers |= {f"s3 {ending}": Lake(bucket, ending, tmp_path / "lake") for ending, bucket in buckets.items()}
    for name, receiver in receivers.items():
        rounded = close_to(receiver)
        assert rounded(told(receiver)) == rounded(there), name


def test_corrections_are_told_too(here: World, places: Mapping[str, Told]) -> None:
    server = Server(here, {name: exporter for name, (exporter, _) in places.items()})
    here.call(user_id="bob")
    here.call(user_id="ann")
    server.turn()
    here.store.delete_user("bob", here.clock.at_us + 1)
    server.turn()
    for name, (_, receiver) in places.items():
        assert told(receiver)["calls"] == 1, name
        assert told(receiver)["cost_usd"] == Decimal("0.0125"), name


def test_nothing_new_is_nothing_sent(here: World, places: Mapping[str, Told]) -> None:
    exporters = {name: exporter for name, (exporter, _) in places.items()}
    server = Server(here, exporters)
    here.call()
    server.turn()
    crashing = {name: Troubled(["crash before"], exporter=exporter) for name, exporter in exporters.items()}
    assert Server(here, crashing).turn() == dict.fromkeys(places, "sent")
