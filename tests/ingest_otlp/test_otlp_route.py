"""The route: who may, what is refused and how, and the real exporter against the real server."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import zstandard
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Tracer
from otlp_spans import S, as_json, as_protobuf, chat

from taximeter.errors import SpoolError, TaximeterError
from taximeter.ingest.otlp.receive import FORMS
from taximeter.server.access import Access, Caller
from taximeter.server.otlp_in import JSON, PROTOBUF, OtlpFace

LIMIT_BYTES = 20_000
BODY = as_json(S(1, chat(3, 1)))


class Keys:
    def key(self, secret: str) -> Caller | None:
        return Caller("key", secret, secret, f"id-{secret}", {"team": "core"}) if secret in ("ingest", "read") else None

    def session(self, _token: str) -> Caller | None:
        return None


class Remembering:
    """A receiver that keeps what it was given, or has trouble."""

    held = 0

    def __init__(self) -> None:
        self.taken: list[tuple[str, bytes, str, Any]] = []
        self.trouble: TaximeterError | None = None
        self.counts: dict[str, int] = {}

    async def receive(self, signal: str, body: bytes, content_type: str, **bound: Any) -> bytes:
        if self.trouble:
            raise self.trouble
        form = FORMS[content_type]
        form.decode(signal, body)  # type: ignore[arg-type]
        self.taken.append((signal, body, content_type, bound))
        return form.success("traces", 1, "why")

    def failure(self, content_type: str, code: int, message: str) -> bytes:
        return FORMS[content_type].failure(code, message)

    async def keep_settling(self) -> None: ...


class Door:
    def __init__(self) -> None:
        self.receiver = Remembering()
        access = Access(Keys(), local_token="local", cookie="c")
        self.app = OtlpFace(access, self.receiver, LIMIT_BYTES)

    def post(self, path: str = "/v1/traces", method: str = "POST", key: str = "ingest", **more: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            headers = {"authorization": f"Bearer {key}", "content-type": JSON, **more.pop("headers", {})}
            async with httpx.AsyncClient(transport=transport, base_url="http://x", headers=headers) as client:
                return await client.request(method, path, **more)

        return asyncio.run(ask())


@pytest.fixture
def door() -> Door:
    return Door()


@pytest.mark.parametrize("path", ["/v1/traces", "/v1/logs", "/v1/metrics"])
def test_a_request_is_handed_over_with_what_is_bound_to_the_key(door: Door, path: str) -> None:
    answer = door.post(path, content=b"{}", headers={"content-type": "application/json; charset=utf-8"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, JSON)
    bound = {"attributes": {"team": "core"}, "attributes_win": True, "api_key_id": "id-ingest"}
    assert door.receiver.taken == [(path.removeprefix("/v1/"), b"{}", JSON, bound)]


PACKED = [("gzip", gzip.compress), ("deflate", zlib.compress), ("zstd", zstandard.compress)]


@pytest.mark.parametrize(("encoding", "pack"), PACKED)
def test_packed_bodies_are_unpacked(door: Door, encoding: str, pack: Any) -> None:
    assert door.post(content=pack(BODY), headers={"content-encoding": encoding}).status_code == 200
    assert door.receiver.taken[0][1] == BODY


@pytest.mark.parametrize("named", ["application/x-protobuf", "application/protobuf"])
def test_protobuf_is_answered_in_protobuf(door: Door, named: str) -> None:
    answer = door.post(content=as_protobuf(S(1, chat(3, 1))), headers={"content-type": named})
    assert (answer.status_code, answer.headers["content-type"]) == (200, PROTOBUF)
    assert answer.content == FORMS[PROTOBUF].success("traces", 1, "why")


REFUSED: list[tuple[dict[str, Any], int, int]] = [
    ({"key": "nonsense"}, 401, 16),
    ({"key": "read"}, 403, 7),
    ({"method": "GET"}, 405, 12),
    ({"content": b"{"}, 400, 3),
    ({"content": BODY, "headers": {"content-type": "text/plain"}}, 400, 3),
    ({"content": BODY, "headers": {"content-encoding": "br"}}, 400, 3),
    ({"content": gzip.compress(BODY)[:-9], "headers": {"content-encoding": "gzip"}}, 400, 3),
    ({"content": zstandard.compress(BODY)[:-2], "headers": {"content-encoding": "zstd"}}, 400, 3),
    ({"content": BODY, "headers": {"content-encoding": "zstd"}}, 400, 3),
    ({"content": b" " * (LIMIT_BYTES + 1)}, 413, 8),
    ({"content": gzip.compress(b" " * 10_000_000), "headers": {"content-encoding": "gzip"}}, 413, 8),
    ({"content": zstandard.compress(b" " * 10_000_000), "headers": {"content-encoding": "zstd"}}, 413, 8),
]


@pytest.mark.parametrize(("request_", "status", "code"), REFUSED)
def test_refusals_are_statuses_in_json(door: Door, request_: dict[str, Any], status: int, code: int) -> None:
    answer = door.post(**request_)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["message"]
    assert not door.receiver.taken


def test_refusals_are_in_protobuf_where_that_was_sent(door: Door) -> None:
    answer = door.post(content=b"\x0a\xff", headers={"content-type": PROTOBUF})
    assert (answer.status_code, answer.headers["content-type"]) == (400, PROTOBUF)
    assert answer.content[:2] == b"\x08\x03"


def test_trouble_with_the_disk_says_when_to_come_again(door: Door) -> None:
    door.receiver.trouble = SpoolError("the disk is full", retry_after_seconds=7)
    answer = door.post(content=BODY)
    assert (answer.status_code, answer.headers["retry-after"], answer.json()["code"]) == (503, "7", 14)


# ── the real exporter, the real server ──────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """A taximeter that keeps events; its URL and its owner's token."""
    data = tmp_path_factory.mktemp("otlp") / "data"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TAXIMETER_")}
    command = [sys.executable, "-m", "taximeter", "up", "--data", str(data), "--port", "0", "--role", "collector"]
    with (data.parent / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    try:
        yield _announced(data / "owner.json", process)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(120)


def _announced(path: Path, process: Any) -> tuple[str, str]:
    for _ in range(9_000):
        owner = json.loads(path.read_text()) if path.exists() and path.read_text().strip() else {}
        if owner.get("url"):
            return owner["url"], owner["token"]
        assert process.poll() is None
        time.sleep(0.02)
    raise AssertionError("the server does not come up")


def stored(server: tuple[str, str], **filters: str) -> list[dict[str, Any]]:
    url, token = server
    for _ in range(6_000):
        headers = {"authorization": f"Bearer {token}"}
        answer = httpx.get(f"{url}/api/v1/events", params=filters, headers=headers, timeout=90)
        if answer.json()["events"]:
            break
        time.sleep(0.02)
    found: list[dict[str, Any]] = answer.json()["events"]
    return found


def work(tracer: Tracer) -> None:
    """An agent that asks a model twice."""
    with tracer.start_as_current_span("invoke_agent", attributes={"gen_ai.operation.name": "invoke_agent",
                                      "gen_ai.usage.input_tokens": 900, "gen_ai.usage.output_tokens": 120,
                                      "user.id": "u1", "gen_ai.agent.name": "planner"}):  # fmt: skip
        for numbers in ((400, 50), (500, 70)):
            with tracer.start_as_current_span("chat gpt-4o-mini", attributes=chat(*numbers)):
                pass


def test_spans_of_the_real_sdk_arrive_as_calls(server: tuple[str, str]) -> None:
    url, token = server
    headers = {"authorization": f"Bearer {token}"}
    exporter = OTLPSpanExporter(f"{url}/v1/traces", headers=headers, timeout=90)
    provider = TracerProvider(resource=Resource.create({"service.name": "shop"}), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    work(provider.get_tracer("opentelemetry.instrumentation.openai_v2"))
    assert provider.force_flush(90_000)
    provider.shutdown()

    found = stored(server, service="shop")
    assert sorted((one["input_tokens"], one["output_tokens"]) for one in found) == [(400, 50), (500, 70)]
    for one in found:
        assert (one["source"], one["provider"], one["user_id"], one["feature"]) == ("otlp", "openai", "u1", "planner")
        assert one["cost_usd"] is not None


def test_the_exporter_of_logs_is_content_too(server: tuple[str, str]) -> None:
    url, token = server
    exporter = OTLPLogExporter(f"{url}/v1/logs", headers={"authorization": f"Bearer {token}"}, timeout=90)
    assert exporter.export([]).name == "SUCCESS"
    exporter.shutdown()  # type: ignore[no-untyped-call]
