"""Every call as a span, once: what a span says, and what crashes, outages and late batches change (nothing)."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from export_rig import START_US, World, record
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from receivers import SpanReceiver, attributes_of, listening

from taximeter.clock import rfc3339
from taximeter.compose.exporting import mistakes, open_exporting
from taximeter.compose.jobs import Jobs
from taximeter.config.exporting import SpanSettings
from taximeter.config.file import parse
from taximeter.errors import ConfigurationError
from taximeter.exporters import arrivals, spans
from taximeter.exporters.arrivals import OVERLAP_US
from taximeter.exporters.port import ExportError
from taximeter.exporters.tracing import Tracing
from taximeter.store.events import Query
from taximeter.store.events.instants import LATEST_US

EVENTS = int(os.environ.get("EXPORT_EVENTS", "2400"))
"""Of the run with crashes and outages; 10,000 and more when there is time for it."""

SECOND_US = 1_000_000
pytestmark = pytest.mark.timeout(600)
TOLD = ("calls", "cost_usd", "unpriced_calls", "input_tokens", "output_tokens")


def a_call(**given: Any) -> dict[str, Any]:
    return record(START_US, 1, **given)


# --- what a span says ------------------------------------------------------------------------------------------------


def test_a_call_is_a_client_span_with_the_names_of_the_conventions() -> None:
    made = spans.span(
        a_call(
            response_model="gpt-4o-2024-08-06",
            duration_ms=1234.5,
            time_to_first_token_ms=250.0,
            cache_read_tokens=400,
            cache_write_5m_tokens=30,
            cache_write_1h_tokens=7,
            reasoning_tokens=100,
            response_id="chatcmpl-1",
            session_id="s-1",
            tags={"plan": "pro"},
            cost={"input": "0.01", "output": "0.0025", "cache_read": "0", "cache_write": "0", "other": "0"},
        )
    )
    assert (made.name, made.kind) == ("chat gpt-4o", Span.SPAN_KIND_CLIENT)
    assert made.start_time_unix_nano == START_US * 1000
    assert made.end_time_unix_nano - made.start_time_unix_nano == 1_234_500_000
    assert made.status.code == Status.STATUS_CODE_UNSET
    said = attributes_of(made)
    expected = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.response.model": "gpt-4o-2024-08-06",
        "gen_ai.response.id": "chatcmpl-1",
        "gen_ai.conversation.id": "s-1",
        "gen_ai.usage.input_tokens": 1000,
        "gen_ai.usage.cache_read.input_tokens": 400,
        "gen_ai.usage.cache_creation.input_tokens": 37,
        "gen_ai.usage.output_tokens": 500,
        "gen_ai.usage.reasoning.output_tokens": 100,
        "gen_ai.request.stream": True,
        "gen_ai.response.time_to_first_chunk": 0.25,
        "user.id": "ann",
        "taximeter.feature": "chat",
        "taximeter.tags.plan": "pro",
        "taximeter.cost.usd": 0.0125,
        "taximeter.cost.decimal_usd": "0.0125",
        "taximeter.cost.input_usd": 0.01,
        "taximeter.cost.output_usd": 0.0025,
    }
    assert said | expected == said
    assert not [name for name in said if "error" in name or name.endswith("cache_write_usd")]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [("aws-bedrock", "aws.bedrock"), ("google", "gcp.gemini"), ("x-ai", "x_ai"), ("openai", "openai"), ("own", "own")],
)
def test_a_provider_has_the_name_of_the_conventions(ours: str, theirs: str) -> None:
    assert attributes_of(spans.span(a_call(provider=ours)))["gen_ai.provider.name"] == theirs


@pytest.mark.parametrize(
    ("given", "code", "error"),
    [
        ({"status": "error", "error_type": "rate_limit_error", "http_status": 429}, 2, "rate_limit_error"),
        ({"status": "interrupted"}, 2, "interrupted"),
        ({"status": "cancelled"}, 0, None),
        ({"status": "cached"}, 0, None),
    ],
)
def test_what_failed_is_an_error(given: dict[str, Any], code: int, error: str | None) -> None:
    made = spans.span(a_call(**given))
    assert (made.status.code, attributes_of(made).get("error.type")) == (code, error)


def test_an_unknown_cost_is_not_there_and_has_its_reason() -> None:
    said = attributes_of(spans.span(a_call(cost_usd=None, unpriced_reason="unknown_model")))
    costs = {name: value for name, value in said.items() if name.startswith("taximeter.cost.")}
    assert costs == {"taximeter.cost.unpriced_reason": "unknown_model"}


TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.mark.parametrize(
    ("given", "trace", "parent", "own"),
    [
        ({}, None, "", None),
        ({"trace_id": TRACE}, TRACE, "", None),
        ({"trace_id": TRACE, "span_id": PARENT}, TRACE, PARENT, None),
        ({"trace_id": TRACE, "span_id": PARENT, "source": "otlp"}, TRACE, "", PARENT),
        ({"trace_id": "0" * 32, "span_id": PARENT}, None, "", None),
        ({"trace_id": "nonsense"}, None, "", None),
    ],
)
def test_a_span_is_below_the_one_its_call_was_made_in(
    given: dict[str, Any], trace: str | None, parent: str, own: str | None
) -> None:
    call = a_call(**given)
    made = spans.span(call)
    derived = [hashlib.blake2b(call["event_id"].encode(), digest_size=size).hexdigest() for size in (16, 8)]
    assert made.trace_id.hex() == (trace or derived[0])
    assert made.parent_span_id.hex() == parent
    assert made.span_id.hex() == (own or derived[1])


def test_attempts_of_one_request_are_one_trace() -> None:
    first, second = (spans.span(record(START_US, number, request_id="r-1", attempt=number)) for number in (1, 2))
    assert first.trace_id == second.trace_id
    assert first.span_id != second.span_id


def test_the_spans_of_a_service_are_under_its_resource() -> None:
    calls = [
        record(START_US, 1, service="shop", service_version="1.2"),
        record(START_US, 2),
        record(START_US, 3, service="shop", service_version="1.2"),
    ]
    found = {
        attributes_of(one.resource)["service.name"]: (attributes_of(one.resource), len(one.scope_spans[0].spans))
        for one in spans.request(calls).resource_spans
    }
    prod = {"deployment.environment.name": "prod"}
    assert found == {
        "shop": ({"service.name": "shop", "service.version": "1.2", **prod}, 2),
        "taximeter": ({"service.name": "taximeter", **prod}, 1),
    }


# --- each call once --------------------------------------------------------------------------------------------------


class Crash(BaseException):
    """The process ends here."""


class Receiving:
    """A receiver of spans with trouble, one for each request; then none."""

    def __init__(self) -> None:
        self.receiver = SpanReceiver()
        self.troubles: list[str] = []

    def take(self, path: str, headers: Mapping[str, str], body: bytes) -> int:
        trouble = self.troubles.pop(0) if self.troubles else "none"
        if trouble == "away":
            return 503
        if trouble == "hangs up":
            return 0
        status = self.receiver.take(path, headers, body)
        return 0 if trouble == "answer lost" else status


@pytest.fixture
def there() -> Iterator[tuple[Receiving, str]]:
    receiving = Receiving()
    with listening(receiving.take) as url:
        yield receiving, url + "/v1/traces"


def tracing(here: World, url: str, **chosen: Any) -> Tracing:
    """As a process that has just started has it."""
    one = Tracing("it", SpanSettings(url=url, **chosen), here.store, here.metadata.exports, here.clock)
    one.begin()
    return one


def stored(here: World) -> dict[str, Decimal]:
    totals = here.store.query(Query(from_us=0, to_us=LATEST_US, measures=TOLD)).totals
    return {name: Decimal(totals[name]) for name in TOLD}


def turned(one: Tracing) -> str:
    try:
        one.turn()
    except (ExportError, Crash) as error:
        return type(error).__name__
    return "sent"


def test_every_call_is_one_span_through_three_crashes_and_two_outages(
    here: World, there: tuple[Receiving, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    receiving, url = there
    monkeypatch.setattr(arrivals, "PIECE", EVENTS // 20)
    one, chance = tracing(here, url), Random(3)
    plan = ["none", "crash", "away", "answer lost", "crash", "hangs up", "crash", "none"]
    for trouble in plan:
        here.traffic(chance, EVENTS // len(plan))
        here.clock.at_us += 60 * SECOND_US
        receiving.troubles = ["none", trouble if trouble != "crash" else "none"]
        if trouble == "crash":
            with monkeypatch.context() as patched:
                patched.setattr(arrivals.Arrivals, "_keep", crashing_at(2))
                assert turned(one) == "Crash"
            one = tracing(here, url)
        else:
            turned(one)
    here.clock.at_us += 60 * SECOND_US
    assert turned(one) == "sent"
    assert receiving.receiver.sums() == stored(here)
    assert len(receiving.receiver.spans) == EVENTS // len(plan) * len(plan)
    again = sum(receiving.receiver.came.values()) - len(receiving.receiver.spans)
    assert 0 < again <= 4 * arrivals.PIECE, "only what nobody could know to have been taken came again"


def crashing_at(number: int) -> Any:
    """A process that ends after it has told a piece and before it has kept that."""
    keep, kept = arrivals.Arrivals._keep, [0]

    def crashes(self: arrivals.Arrivals, *given: Any) -> None:
        kept[0] += 1
        if kept[0] == number:
            raise Crash
        keep(self, *given)

    return crashes


def test_only_what_comes_from_now_on_is_told(here: World, there: tuple[Receiving, str]) -> None:
    receiving, url = there
    here.call()
    here.clock.at_us += SECOND_US
    one = tracing(here, url)
    here.call()
    here.clock.at_us += SECOND_US
    one.turn()
    assert len(receiving.receiver.spans) == 1


def test_a_batch_that_is_seen_later_than_younger_ones_is_told_too(here: World, there: tuple[Receiving, str]) -> None:
    receiving, url = there
    one = tracing(here, url)
    here.clock.at_us += OVERLAP_US
    here.call()
    here.clock.at_us += SECOND_US
    one.turn()
    here.call(ingested_at=rfc3339(here.clock.at_us - OVERLAP_US + SECOND_US))
    for at in (one, tracing(here, url)):
        at.turn()
        here.clock.at_us += SECOND_US
    assert sorted(receiving.receiver.came.values()) == [1, 1]


def test_a_call_that_began_long_ago_is_told_when_it_comes(here: World, there: tuple[Receiving, str]) -> None:
    receiving, url = there
    one = tracing(here, url)
    here.call(at_us=here.clock.at_us - 90 * 86_400 * SECOND_US)
    here.clock.at_us += SECOND_US
    one.turn()
    assert len(receiving.receiver.spans) == 1


def test_days_of_an_outage_are_told_in_the_end(here: World, there: tuple[Receiving, str]) -> None:
    receiving, url = there
    one = tracing(here, url)
    receiving.troubles = ["away"] * 3
    for _ in range(3):
        here.traffic(Random(1), 100)
        here.clock.at_us += 86_400 * SECOND_US
        assert turned(one) == "ExportError"
    assert one.lag_seconds == 3 * 86_400
    assert turned(tracing(here, url)) == "sent"
    assert set(receiving.receiver.came.values()) == {1}
    assert receiving.receiver.sums() == stored(here)


def test_ids_are_kept_for_as_long_as_they_are_looked_at(here: World, there: tuple[Receiving, str]) -> None:
    _, url = there
    one, kept = tracing(here, url), here.metadata.exports
    for _ in range(3):
        here.call()
        here.clock.at_us += OVERLAP_US
        one.turn()
    here.clock.at_us += OVERLAP_US
    one.turn()
    one.turn()
    assert len(kept.unit_totals(one.name)) <= 1


def test_calls_that_are_spans_already_and_those_of_named_services_are_left_out(
    here: World, there: tuple[Receiving, str]
) -> None:
    receiving, url = there
    one = tracing(here, url, without_services=["shop"])
    for given in ({}, {"service": "other"}, {"service": "shop"}, {"source": "otlp"}, {"source": "import"}):
        here.call(**given)
    here.clock.at_us += SECOND_US
    one.turn()
    told = [(said["taximeter.source"]) for said in receiving.receiver.attributes()]
    assert told == ["api", "api"]
    assert receiving.receiver.scopes == {"taximeter.events"}


def test_what_a_receiver_refuses_by_itself_is_told_as_an_error_and_not_sent_again(here: World) -> None:
    partial = ExportTracePartialSuccess(rejected_spans=1, error_message="too old")
    refusing = ExportTraceServiceResponse(partial_success=partial).SerializeToString()
    with listening(lambda *_: 200, answer=refusing) as url:
        one = tracing(here, url)
        here.call()
        here.clock.at_us += SECOND_US
        with pytest.raises(ExportError, match="refused 1 spans: too old"):
            one.turn()
        one.turn()


def test_a_deleted_user_is_told_to_nobody(here: World, there: tuple[Receiving, str]) -> None:
    receiving, url = there
    one = tracing(here, url)
    here.call(user_id="bob")
    here.clock.at_us += SECOND_US
    here.store.delete_user("bob", here.clock.at_us)
    one.turn()
    assert receiving.receiver.spans == {}


def test_a_server_does_it_as_a_job(here: World, there: tuple[Receiving, str]) -> None:
    receiving, url = there
    settings = parse(f"exporters: {{spans: {{tempo: {{url: '{url}', headers: {{X-Scope: shop}}}}}}}}", {})
    jobs = Jobs(here.clock)
    kept, alerting = here.metadata.exports, here.metadata.alerting
    exporting = open_exporting(settings, here.store, kept, here.clock, jobs, list, alerting)
    event_id = here.call()
    here.clock.at_us += SECOND_US
    jobs._jobs["export spans tempo"].turn()
    assert jobs.status["export spans tempo"].last_error is None
    (said,) = receiving.receiver.attributes()
    assert said["taximeter.event_id"] == event_id
    readings = {metric.name: metric for one in exporting.collectors for metric in one.collect()}
    lags = {sample.labels["exporter"]: sample.value for sample in readings["taximeter_export_lag_seconds"].samples}
    assert lags == {"spans tempo": 0.0}


@pytest.mark.parametrize("wrong", ["{}", "{url: 'ftp://x'}", "{url: 'http://x', without_sources: [nowhere]}"])
def test_mistakes_are_told_by_their_place(wrong: str) -> None:
    try:
        found = [str(one) for one in mistakes(parse(f"exporters: {{spans: {{it: {wrong}}}}}", {}))]
    except ConfigurationError as error:
        found = [str(one) for one in error.mistakes]
    assert len(found) == 1
    assert "exporters.spans.it" in json.dumps(found)
