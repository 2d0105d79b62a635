"""How long calls took: histograms that only grow, at `/metrics` and over OTLP."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from export_rig import World
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from receivers import OtlpReceiver, listening

from taximeter.exporters.days import DAY_US
from taximeter.exporters.feed import Feed
from taximeter.exporters.latencies import LABELS, LATENCY_FEED, latency_grouping
from taximeter.exporters.otlp import Otlp, OtlpSettings
from taximeter.exporters.prometheus import LatencyCollector
from taximeter.exporters.series import OTHER
from taximeter.exporters.shipping import Shipping
from taximeter.store.events import Query
from taximeter.store.events.instants import LATEST_US

CHAT_OK = {"provider": "openai", "model": "gpt-4o", "operation": "chat", "status": "ok"}
DURATION = "taximeter_call_duration_seconds"
FIRST_TOKEN = "taximeter_time_to_first_token_seconds"


def latencies(here: World, most: int = 50) -> Feed:
    kept = here.metadata.exports
    feed = Feed(latency_grouping(most), here.store, kept, here.clock, keep_windows=True)
    feed.begin()
    return feed


def registry_of(feed: Feed) -> CollectorRegistry:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(LatencyCollector(feed))
    return registry


def samples(feed: Feed) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    text = generate_openmetrics(registry_of(feed)).decode()  # type: ignore[no-untyped-call]
    found = (one for family in text_string_to_metric_families(text) for one in family.samples)  # type: ignore[no-untyped-call]
    return {(one.name, tuple(sorted(one.labels.items()))): one.value for one in found}


def of(feed: Feed, name: str, **labels: str) -> float:
    return samples(feed)[name, tuple(sorted({**CHAT_OK, **labels}.items()))]


def timed(here: World, chance: Random, calls: int) -> None:
    here.traffic(chance, calls, duration_ms=chance.choice((5.0, 700.5, 90_000.0)), time_to_first_token_ms=120.0)


def test_a_bucket_has_every_call_that_was_not_slower(here: World) -> None:
    for duration_ms in (9.5, 10.0, 10.5, 640.0, 81_920.0, 100_000.0):
        here.call(duration_ms=duration_ms)
    feed = latencies(here)
    feed.turn()
    counted = {le: of(feed, DURATION + "_bucket", le=le) for le in ("0.01", "0.02", "0.32", "0.64", "81.92", "+Inf")}
    assert counted == {"0.01": 2, "0.02": 3, "0.32": 3, "0.64": 4, "81.92": 5, "+Inf": 6}
    assert of(feed, DURATION + "_count") == 6
    assert of(feed, DURATION + "_sum") == pytest.approx(182.59)


def test_what_was_not_timed_has_no_histogram(here: World) -> None:
    here.call(duration_ms=None)
    here.call(request_model="o3", duration_ms=3.0, time_to_first_token_ms=None)
    feed = latencies(here)
    feed.turn()
    assert {(name, dict(labels)["model"]) for name, labels in samples(feed) if name.endswith("_count")} == {
        (DURATION + "_count", "o3")
    }


def test_counts_never_go_back_over_restarts_late_calls_and_deletions(here: World) -> None:
    chance, before = Random(11), dict[Any, float]()
    for turn in range(6):
        timed(here, chance, 40)
        if turn == 2:
            here.call(at_us=here.clock.at_us - 40 * DAY_US, duration_ms=15.0)
        if turn == 4:
            here.store.delete_user("user-1", here.clock.at_us + 1)
        feed = latencies(here)
        feed.turn()
        now = samples(feed)
        assert {name: now.get(name) for name in before if now.get(name, -1.0) < before[name]} == {}
        before = now
        here.clock.at_us += DAY_US // 2
    counted = sum(value for (name, _), value in before.items() if name == DURATION + "_count")
    stored = here.store.query(Query(from_us=0, to_us=LATEST_US, measures=("calls",))).totals["calls"]
    assert stored <= counted <= 241


def test_only_so_many_are_named_and_all_calls_are_counted(here: World) -> None:
    for number in range(8):
        here.call(request_model=f"model-{number}")
    feed = latencies(here, most=3)
    feed.turn()
    counts = {dict(labels)["model"]: value for (name, labels), value in samples(feed).items() if "_count" in name}
    assert len(counts) == 4
    assert counts[OTHER] == 5


@pytest.mark.skipif(shutil.which("promtool") is None, reason="no promtool (scripts/ensure_programs.py installs it)")
def test_the_histograms_pass_promtool(here: World) -> None:
    timed(here, Random(3), 50)
    feed = latencies(here)
    feed.turn()
    text = generate_latest(registry_of(feed)).decode()
    assert FIRST_TOKEN + "_bucket{" in text
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


# ── over OTLP ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def receiver() -> OtlpReceiver:
    return OtlpReceiver()


@pytest.fixture
def otlp(receiver: OtlpReceiver) -> Iterator[Otlp]:
    with listening(receiver.take) as url:
        yield Otlp(OtlpSettings(kind="otlp", url=url + "/v1/metrics"))


def test_otlp_gets_the_histograms_of_the_conventions_once_across_restarts(
    here: World, otlp: Otlp, receiver: OtlpReceiver
) -> None:
    latencies(here).turn()
    for turn in range(3):
        here.call(duration_ms=1500.0, time_to_first_token_ms=300.0)
        here.call(duration_ms=30.0, status="error", cost_usd="0")
        feed = latencies(here)
        way = Shipping("otel latencies", otlp, LATENCY_FEED, here.metadata.exports, here.clock)
        assert feed.state is not None
        way.begin(feed.state)
        feed.turn()
        way.turn()
        assert way.lag_seconds(feed.state.number) == 0, turn
        here.clock.at_us += 60_000_000
    ok = {"gen_ai.provider.name": "openai", "gen_ai.response.model": "gpt-4o", "gen_ai.operation.name": "chat"}
    duration, first = (
        receiver.histograms[f"gen_ai.client.operation.{name}", tuple(sorted({**ok, "status": "ok"}.items()))]
        for name in ("duration", "time_to_first_chunk")
    )
    assert list(duration.explicit_bounds) == [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24,
                                              20.48, 40.96, 81.92]  # fmt: skip
    assert (duration.count, duration.sum, duration.bucket_counts[8]) == (3, 4.5, 3)
    assert (first.count, first.bucket_counts[5]) == (3, 3)
    failed = {**ok, "status": "error", "error.type": "error"}
    (error,) = (point for (_, labels), point in receiver.histograms.items() if dict(labels) == failed)
    assert error.count == 3


def test_the_labels_are_those_that_the_manual_names() -> None:
    assert LABELS == ("provider", "model", "operation", "status")
