"""Every recorded answer, through a real gateway, gives the expected usage, and the client gets the very bytes."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from gateway_rig import KEY, KEYS, MemoryLog, Play, Rig, Stage, running, stream, whole

from taximeter.clock import SystemClock
from taximeter.gateway import Gateway, Provider, Recorder
from taximeter.gateway.client import Message
from taximeter.gateway.upstream import Answer, Headers, Origin, Outgoing

CASES_FOLDER = Path(__file__).parents[1] / "payloads" / "provider-responses" / "cases"
APIS = {"openai.chat", "openai.responses", "openai.embeddings", "openai.completions", "anthropic.messages"}
PROVIDERS = {"openai", "azure", "anthropic"}

COUNTS = {
    "input_tokens_total": "input_tokens",
    "output_tokens_total": "output_tokens",
    "cache_read": "cache_read_tokens",
    "cache_write_1h": "cache_write_1h_tokens",
    "reasoning": "reasoning_tokens",
    "audio_in": "input_audio_tokens",
    "audio_out": "output_audio_tokens",
    "image_in": "input_image_tokens",
}
WHOLES = ("input_tokens_total", "output_tokens_total")


def loaded(path: Path) -> dict[str, Any]:
    case: dict[str, Any] = json.loads(path.read_text())
    return case


CASES = [
    case
    for case in map(loaded, sorted(CASES_FOLDER.glob("*.json")))
    if case["api"] in APIS and case["provider"] in PROVIDERS and case["request"]["host"] != "localhost"
]
STREAMS = [case for case in CASES if case["stream"]]


def case_id(case: dict[str, Any]) -> str:
    return str(case["id"])


def path_of(case: dict[str, Any]) -> str:
    """Azure's own paths are served by a provider whose base URL is the bare host."""
    return f"/{case['provider']}{case['request']['path']}"


def azure(port: int) -> list[Provider]:
    return [Provider("azure", "openai", f"http://127.0.0.1:{port}", "az-key")]


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    with running(more_providers=azure) as running_rig:
        yield running_rig


def played(case: dict[str, Any], piece_bytes: int) -> Play:
    response = case["response"]
    body = response["body"].encode()
    content_type = response["headers"]["content-type"]
    if case["stream"] and response["status"] == 200:
        return stream(split(body, piece_bytes))
    return whole(body, response["status"], content_type)


def split(body: bytes, piece_bytes: int) -> list[bytes]:
    return [body[start : start + piece_bytes] for start in range(0, len(body), piece_bytes)]


def for_client(case: dict[str, Any]) -> bytes:
    """The answer's bytes as the client must get them: without a usage event that only the gateway asked for."""
    body: bytes = case["response"]["body"].encode()
    asked = ((case["request"]["body"] or {}).get("stream_options") or {}).get("include_usage") is True
    if asked or not case["stream"] or case["api"] not in ("openai.chat", "openai.completions"):
        return body
    events = body.split(b"\n\n")
    return b"\n\n".join(event for event in events if not (b'"choices":[]' in event and b'"usage":{' in event))


def differences(event: dict[str, Any], case: dict[str, Any]) -> list[str]:
    """Where an event is not what the case expects."""
    expected, wrong = case["expected"], []
    accept = expected.get("accept", {})
    for key, name in COUNTS.items():
        right = accept.get(key, [expected[key]])
        seen = None if event.get("usage_estimated") else event.get(name)
        if key not in WHOLES:
            seen, right = seen or 0, [count or 0 for count in right]
        if seen not in right:
            wrong.append(f"{name}: {seen} instead of {right}")
    model = event.get("response_model") or event.get("request_model")
    if model != expected["model"]:
        wrong.append(f"model: {model} instead of {expected['model']}")
    failed = "error" in expected
    if (event["status"] == "error") != failed:
        wrong.append(f"status: {event['status']}")
    if event["http_status"] != case["response"]["status"]:
        wrong.append(f"http_status: {event['http_status']}")
    return wrong


def ask(rig: Rig, case: dict[str, Any]) -> tuple[bytes, dict[str, Any]]:
    already = len(rig.log.of(None))
    reply = rig.ask(path_of(case), case["request"]["body"] or {})
    assert reply.complete
    assert reply.status == case["response"]["status"]
    event = rig.log.wait_for(already + 1)[-1]
    assert reply.headers["x-taximeter-event-id"] == event["event_id"]
    return reply.body, event


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_in_one_piece(rig: Rig, case: dict[str, Any]) -> None:
    rig.plays(played(case, 1 << 20))
    body, event = ask(rig, case)
    assert body == for_client(case)
    assert differences(event, case) == []


@pytest.mark.parametrize("case", STREAMS, ids=case_id)
def test_in_small_pieces_over_a_real_connection(rig: Rig, case: dict[str, Any]) -> None:
    rig.plays(played(case, 61))
    body, event = ask(rig, case)
    assert body == for_client(case)
    assert differences(event, case) == []


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
@pytest.mark.parametrize("case_name", ["openai-chat-flex", "anthropic-cache-write-1h", "anthropic-stream-basic"])
def test_packed_answers_are_read_and_passed_as_they_are(rig: Rig, case_name: str, encoding: str) -> None:
    case = next(case for case in CASES if case["id"] == case_name)
    plain = case["response"]["body"].encode()
    packed = gzip.compress(plain) if encoding == "gzip" else zlib.compress(plain)
    if case["stream"]:
        rig.plays(stream(split(packed, 50), headers=[("content-encoding", encoding)]))
    else:
        rig.plays(whole(packed, content_encoding=encoding))
    body, event = ask(rig, case)
    assert body == packed
    assert differences(event, case) == []


# ── at every byte, without the sockets in between ────────────────────────────────────────────────────────────


class PiecedAnswer(Answer):
    """An answer whose chunks are exactly the given pieces."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = list(reversed(pieces))

    @property
    def status(self) -> int:
        return 200

    @property
    def headers(self) -> Headers:
        return [(b"content-type", b"text/event-stream")]

    @property
    def framed(self) -> bool:
        return True

    def ended(self) -> bool:
        return not self._pieces

    async def chunk(self) -> bytes:
        return self._pieces.pop()

    def close(self) -> None:
        self._pieces = []


class PiecedUpstream:
    """Answers every request with the same pieces."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = pieces

    async def send(self, origin: Origin, request: Outgoing) -> Answer:
        return PiecedAnswer(self._pieces)

    async def aclose(self) -> None:
        pass


def through_gateway(case: dict[str, Any], pieces: Sequence[bytes]) -> tuple[bytes, dict[str, Any], bool]:
    """What the client got, the event, and whether the event was written before the last bytes left."""
    log, clock, body = MemoryLog(), SystemClock(), bytearray()
    providers = {name: Provider(name, "openai", "http://up", "sk") for name in ("openai", "azure")}
    providers["anthropic"] = Provider("anthropic", "anthropic", "http://up", "sk")
    gateway = Gateway(providers, KEYS.get, Recorder(log, clock), None, clock, upstream=PiecedUpstream(pieces))
    recorded_before_the_end: list[bool] = []

    async def call() -> None:
        asked = [{"type": "http.request", "body": json.dumps(case["request"]["body"]).encode()}]

        async def receive() -> Message:
            if not asked:
                await asyncio.Event().wait()
            return asked.pop()

        async def send(message: Message) -> None:
            if message["type"] == "http.response.body":
                body.extend(message["body"])
                if not message["more_body"]:
                    recorded_before_the_end.append(len(log.of(None)) == 1)

        path, _, query = path_of(case).partition("?")
        scope = {"type": "http", "method": "POST", "raw_path": path.encode(), "query_string": query.encode()}
        scope["headers"] = [(b"authorization", f"Bearer {KEY}".encode())]
        await gateway(scope, receive, send)

    asyncio.run(call())
    return bytes(body), log.of(None)[0], recorded_before_the_end == [True]


@pytest.mark.parametrize("case", STREAMS, ids=case_id)
def test_split_at_every_byte(case: dict[str, Any]) -> None:
    whole_body = case["response"]["body"].encode()
    body, event, recorded_first = through_gateway(case, split(whole_body, 1))
    assert body == for_client(case)
    assert differences(event, case) == []
    assert recorded_first


def test_the_event_is_written_before_the_bytes_that_end_the_answer(rig: Rig) -> None:
    """Held at the last event, the client has not seen it, and the record is there."""
    case = next(case for case in STREAMS if case["id"] == "anthropic-stream-basic")
    body = case["response"]["body"].encode()
    before, mark, end = body.rpartition(b"event: message_stop")

    async def play(stage: Stage) -> None:
        stage.head(200, [("content-type", "text/event-stream"), ("transfer-encoding", "chunked")])
        await stage.chunk(before)
        await stage.chunk(mark + end)
        await stage.until_gone()  # neither the end of the body nor of the connection comes

    rig.plays(play)
    already = len(rig.log.of(None))
    with rig.open(path_of(case), case["request"]["body"]) as connection:
        received = b""
        while mark not in received:
            received += connection.recv(65536)
        assert len(rig.log.of(None)) == already + 1
