"""OTLP: spans of real instrumentations, as exporters send them, through the receiver until they are on disk.

The spans are those recorded in tests/ingest_otlp/recorded, with prompts and answers of the usual size put back, each
time with trace ids, span ids and answers of their own; in batches of 512, the exporters' default. What is measured is
the CPU time of decoding, deciding and writing: the receiver with a spool and its `fsync`, in a process of its own.
"""

from __future__ import annotations

import asyncio
import gc
import json
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from google.protobuf.json_format import ParseDict  # type: ignore[import-untyped]
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from bench.figures import Promise, Result, Row
from taximeter.clock import SystemClock
from taximeter.ingest.otlp.held_file import HeldFile
from taximeter.ingest.otlp.receive import OtlpReceiver
from taximeter.ingest.receive import Receiver
from taximeter.spool import Spool

BOUND_SPANS: Final = 15_000
"""Spans a CPU second."""

SPANS: Final = 20_000
BATCH_SPANS: Final = 512
WARM_UP_BATCHES: Final = 4
"""Taken in once more beforehand: what is measured is a server that has been up for a while."""

PROMPT_CHARACTERS: Final = 1_200
"""Of the question and of the answer, each an attribute of its span."""

RECORDED: Final = Path(__file__).parents[1] / "tests" / "ingest_otlp" / "recorded"


def result(spans: int) -> Result:
    """One row for each form."""
    batches = list(batches_of(spans, BATCH_SPANS))
    rows: dict[str, Row] = {}
    for name, content_type, bodies in (
        ("protobuf", "application/x-protobuf", [as_protobuf(batch) for batch in batches]),
        ("JSON", "application/json", [json.dumps(batch).encode() for batch in batches]),
    ):
        asyncio.run(_received(content_type, bodies[:WARM_UP_BATCHES]))
        gc.collect()
        gc.freeze()  # as the server does once it has started; what the batches were made of is the benchmark's own
        cpu_seconds, events = asyncio.run(_received(content_type, bodies))
        count = len(batches) * BATCH_SPANS
        rows[name] = {
            "spans a CPU second": count / cpu_seconds,
            "CPU µs a span": cpu_seconds / count * 1e6,
            "bytes a span": sum(map(len, bodies)) / count,
            "events": float(events),
        }
    promises = [
        Promise(f"OTLP as {name}", row["spans a CPU second"] or 0, BOUND_SPANS, "spans a CPU second", True)
        for name, row in rows.items()
    ]
    notes = [f"{len(batches)} batches of {BATCH_SPANS} spans; the spool and its fsync included, storing not"]
    return Result("otlp", "OTLP: spans of seven instrumentations until they are durable", rows, promises, notes)


async def _received(content_type: str, bodies: Sequence[bytes]) -> tuple[float, int]:
    """CPU seconds of this process, and events that came of it."""
    clock = SystemClock()
    with tempfile.TemporaryDirectory() as name:
        spool = Spool(Path(name) / "spool", clock=clock, writer="bench")
        events = Receiver(spool, lambda _: set(), clock)
        receiver = OtlpReceiver(events, HeldFile(Path(name) / "held"), clock, lambda _: set())
        started = time.process_time()
        for body in bodies:
            await receiver.receive("traces", body, content_type)
        used = time.process_time() - started
        spool.close()
        return used, receiver.counts["call"]


def as_protobuf(batch: dict[str, Any]) -> bytes:
    """A request in JSON form, in protobuf."""
    encoded: bytes = ParseDict(_with_base64(batch), ExportTraceServiceRequest()).SerializeToString()
    return encoded


def _with_base64(batch: dict[str, Any]) -> dict[str, Any]:
    from base64 import b64encode

    def mended(value: Any) -> Any:
        if isinstance(value, list):
            return [mended(one) for one in value]
        if not isinstance(value, dict):
            return value
        ids = ("traceId", "spanId", "parentSpanId")
        return {k: b64encode(bytes.fromhex(v)).decode() if k in ids else mended(v) for k, v in value.items()}

    whole: dict[str, Any] = mended(batch)
    return whole


# ── spans ───────────────────────────────────────────────────────────────────────────────────────────────────────


def batches_of(spans: int, batch_spans: int) -> Iterator[dict[str, Any]]:
    """At least so many spans, as requests of so many each."""
    chance = random.Random(7)
    waiting: list[dict[str, Any]] = []
    recordings = [json.loads(path.read_text()) for path in sorted(RECORDED.glob("*.json"))]
    made = 0
    while made < spans:
        waiting += _sent(chance.choice(recordings)["spans"], chance, made)
        while len(waiting) >= batch_spans:
            batch, waiting = waiting[:batch_spans], waiting[batch_spans:]
            made += batch_spans
            yield _request(batch)


def _request(spans: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One resource, its spans by scope, as an exporter groups them."""
    scopes: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for span in spans:
        scopes.setdefault(span["scope"], []).append(span["sent"])
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": [_attribute("service.name", "app")]},
                "scopeSpans": [
                    {"scope": {"name": name, "version": version}, "spans": sent}
                    for (name, version), sent in scopes.items()
                ],
            }
        ]
    }


def _sent(recorded: Sequence[dict[str, Any]], chance: random.Random, made: int) -> list[dict[str, Any]]:
    begun_ns = time.time_ns() - 3_600_000_000_000 + made * 1_000_000
    traces = {span["trace"]: f"{chance.getrandbits(128):032x}" for span in recorded}
    ids = {span["span"]: f"{chance.getrandbits(64):016x}" for span in recorded}
    return [
        {
            "scope": (span["scope"], span["version"]),
            "sent": {
                "traceId": traces[span["trace"]],
                "spanId": ids[span["span"]],
                **({"parentSpanId": ids[span["parent"]]} if span["parent"] in ids else {}),
                "name": span["name"],
                "kind": 3,
                "startTimeUnixNano": str(begun_ns + span["start_us"] * 1000),
                "endTimeUnixNano": str(begun_ns + span["end_us"] * 1000),
                "attributes": list(_attributes(span["attributes"], chance)),
                "status": {"code": 2} if span["failed"] else {},
            },
        }
        for span in recorded
    ]


def _attributes(recorded: dict[str, Any], chance: random.Random) -> Iterator[dict[str, Any]]:
    for name, value in recorded.items():
        own = f"chatcmpl-{chance.getrandbits(96):024x}" if name.endswith("response.id") else value
        yield _attribute(name, own)
    yield _attribute("gen_ai.input.messages", "q" * PROMPT_CHARACTERS)
    yield _attribute("gen_ai.output.messages", "a" * PROMPT_CHARACTERS)


def _attribute(name: str, value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"key": name, "value": {"boolValue": value}}
    if isinstance(value, int):
        return {"key": name, "value": {"intValue": str(value)}}
    if isinstance(value, float):
        return {"key": name, "value": {"doubleValue": value}}
    return {"key": name, "value": {"stringValue": value if isinstance(value, str) else json.dumps(value)}}
