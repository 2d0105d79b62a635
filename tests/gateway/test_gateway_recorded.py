"""Every recorded answer, through a real gateway, gives the expected usage, and the client gets the very bytes."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from gateway_rig import KEY, KEYS, MemoryLog, Play, Rig, Stage, running, whole

from taximeter.clock import SystemClock
from taximeter.config.known import KNOWN
from taximeter.extract import flavour_for
from taximeter.gateway import Gateway, Provider, Recorder
from taximeter.gateway.client import Message
from taximeter.gateway.kinds import KINDS
from taximeter.gateway.stream_usage import can_ask
from taximeter.gateway.upstream import Answer, Headers, Origin, Outgoing

CASES_FOLDER = Path(__file__).parents[1] / "payloads" / "provider-responses" / "cases"

NAMES = {"google": "gemini", "google-vertex": "vertex", "aws-bedrock": "bedrock", "voyageai": "voyage"}
"""Providers of the recordings that are known here by another name."""
ELSEWHERE = {"azure": "azure", "snowflake": "openai"}
"""Providers whose address is each customer's own, and their kinds."""

COUNTS = {
    "input_tokens_total": "input_tokens",
    "output_tokens_total": "output_tokens",
    "cache_read": "cache_read_tokens",
    "cache_write_1h": "cache_write_1h_tokens",
    "reasoning": "reasoning_tokens",
    "audio_in": "input_audio_tokens",
    "cached_audio_in": "cache_read_audio_tokens",
    "audio_out": "output_audio_tokens",
    "image_in": "input_image_tokens",
    "image_out": "output_image_tokens",
    "video_in": "input_video_tokens",
}
WHOLES = ("input_tokens_total", "output_tokens_total")


def loaded(path: Path) -> dict[str, Any]:
    case: dict[str, Any] = json.loads(path.read_text())
    case["name"] = NAMES.get(case["provider"], case["provider"])
    return case


RECORDED = [loaded(path) for path in sorted(CASES_FOLDER.glob("*.json"))]
CASES = [case for case in RECORDED if case["response"]["status"] != 101]
"""Those over HTTP; a websocket is another way (`test_gateway_sockets.py`)."""
CALLS = [case for case in CASES if case["request"]["method"] == "POST"]
FETCHED = [case for case in CASES if case["request"]["method"] == "GET"]
STREAMS = [case for case in CALLS if case["stream"]]


def case_id(case: dict[str, Any]) -> str:
    return str(case["id"])


def path_of(case: dict[str, Any]) -> str:
    return f"/{case['name']}{case['request']['path']}"


def body_of(case: dict[str, Any]) -> bytes:
    encoded = case["response"].get("body_base64")
    return base64.b64decode(encoded) if encoded else (case["response"].get("body") or "").encode()


def providers(origin: str) -> list[Provider]:
    """Every provider of the recordings, behind one origin."""
    known = {
        name: Provider(name, k.kind, origin + urlsplit(k.base_url_in({}) or "").path, "key")
        for name, k in KNOWN.items()
    }
    own = {name: Provider(name, kind, origin, "key") for name, kind in ELSEWHERE.items()}
    return list({**known, **own}.values())


def all_providers(port: int) -> list[Provider]:
    return providers(f"http://127.0.0.1:{port}")


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    with running(more_providers=all_providers) as running_rig:
        yield running_rig


def played(case: dict[str, Any], piece_bytes: int) -> Play:
    response, body = case["response"], body_of(case)
    headers = {name: value for name, value in response["headers"].items() if name != "content-type"}
    content_type = response["headers"]["content-type"]
    if not case["stream"] or response["status"] != 200:
        return whole(body, response["status"], content_type, **headers)

    async def play(stage: Stage) -> None:
        stage.head(200, [("content-type", content_type), ("transfer-encoding", "chunked"), *headers.items()])
        for piece in split(body, piece_bytes):
            await stage.chunk(piece)
        stage.end()

    return play


def split(body: bytes, piece_bytes: int) -> list[bytes]:
    return [body[start : start + piece_bytes] for start in range(0, len(body), piece_bytes)]


def for_client(case: dict[str, Any]) -> bytes:
    """The answer's bytes as the client must get them: without a usage event that only the gateway asked for."""
    body, request = body_of(case), case["request"]
    kind = KINDS[ELSEWHERE.get(case["name"]) or KNOWN[case["name"]].kind]
    flavour = flavour_for(kind.family, request["method"], request["path"])
    facts = None if flavour is None else flavour.read_request(request["body"] or {})
    if flavour is None or facts is None or not can_ask(flavour, facts) or case["id"] in TOLD_UNASKED:
        return body
    events = body.split(b"\n\n")
    return b"\n\n".join(event for event in events if not (b'"choices":[]' in event and b'"usage":{' in event))


TOLD_UNASKED = {"azure-model-router-stream"}
"""Their clients get the usage event although they did not ask."""


def differences(events: Sequence[dict[str, Any]], case: dict[str, Any]) -> list[str]:
    """Where what was written is not what the case expects."""
    expected, wrong = case["expected"], []
    accept = expected.get("accept", {})
    for key, name in COUNTS.items():
        right = accept.get(key, [expected.get(key)])
        told = [event[name] for event in events if not event.get("usage_estimated") and event.get(name) is not None]
        seen = sum(told) if told else None
        if key not in WHOLES:
            seen, right = seen or 0, [count or 0 for count in right]
        if seen not in right:
            wrong.append(f"{name}: {seen} instead of {right}")
    model = events[0].get("response_model") or events[0].get("request_model")
    if model != expected["model"]:
        wrong.append(f"model: {model} instead of {expected['model']}")
    failed = "error" in expected
    if any((event["status"] == "error") != failed for event in events) and len(events) == 1:
        wrong.append(f"status: {events[0]['status']}")
    if any(event["http_status"] != case["response"]["status"] for event in events):
        wrong.append(f"http_status: {events[0]['http_status']}")
    return wrong


def ask(rig: Rig, case: dict[str, Any]) -> tuple[bytes, list[dict[str, Any]]]:
    already = len(rig.log.of(None))
    reply = rig.ask(path_of(case), case["request"]["body"] or {})
    assert reply.complete
    assert reply.status == case["response"]["status"]
    event = rig.log.wait_for(already + 1)[-1]
    assert reply.headers["x-taximeter-event-id"] == event["event_id"]
    return reply.body, [event]


@pytest.mark.parametrize("case", CALLS, ids=case_id)
def test_in_one_piece(rig: Rig, case: dict[str, Any]) -> None:
    rig.plays(played(case, 1 << 20))
    body, events = ask(rig, case)
    assert body == for_client(case)
    assert differences(events, case) == []


@pytest.mark.parametrize("case", FETCHED, ids=case_id)
def test_what_is_fetched_is_counted_once_however_often(case: dict[str, Any]) -> None:
    with running(more_providers=all_providers) as fresh:
        fresh.plays(played(case, 1 << 20))
        replies = [fresh.ask(path_of(case), method="GET") for _ in range(2)]
        events = fresh.log.of(None)
    assert [reply.body for reply in replies] == [body_of(case)] * 2
    assert differences(events, case) == []
    assert len({event["event_id"] for event in events}) == len(events)


@pytest.mark.parametrize("case", STREAMS, ids=case_id)
def test_in_small_pieces_over_a_real_connection(rig: Rig, case: dict[str, Any]) -> None:
    rig.plays(played(case, 61))
    body, events = ask(rig, case)
    assert body == for_client(case)
    assert differences(events, case) == []


PACKED = ("openai-chat-flex", "anthropic-cache-write-1h", "anthropic-stream-basic", "google-stream-repeat-usage")


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
@pytest.mark.parametrize(
    "case_name",
    ["openai-chat-flex", "anthropic-cache-write-1h", "anthropic-stream-basic", "google-stream-repeat-usage"],
)
def test_packed_answers_are_read_and_passed_as_they_are(rig: Rig, case_name: str, encoding: str) -> None:
    case = next(case for case in CASES if case["id"] == case_name)
    plain = body_of(case)
    packed = gzip.compress(plain) if encoding == "gzip" else zlib.compress(plain)
    headers = {**case["response"]["headers"], "content-encoding": encoding}
    response = {"status": 200, "headers": headers, "body_base64": base64.b64encode(packed)}
    rig.plays(played({**case, "response": response}, 50))
    body, events = ask(rig, case)
    assert body == packed
    assert differences(events, case) == []


def _in_members(plain: bytes) -> bytes:
    return b"".join(gzip.compress(plain[at : at + 300]) for at in range(0, len(plain), 300))


ODD_FORMS: Mapping[str, tuple[Callable[[bytes], bytes], dict[str, str]]] = {
    "a byte order mark": (lambda plain: b"\xef\xbb\xbf" + plain, {}),
    "half of an emoji": (
        lambda plain: plain.replace(b'"id":', b'"cut":"\\ud83d","id":').replace(b'"type":', b'"cut":"\\ud83d","type":'),
        {},
    ),
    "infinity": (
        lambda plain: plain.replace(b'"id":', b'"logprob":-Infinity,"id":').replace(
            b'"type":', b'"logprob":NaN,"type":'
        ),
        {},
    ),
    "bytes that are no text": (lambda plain: plain.replace(b'"id":', b'"cut":"\xf0\x9f","id":'), {}),
    "gzip in members": (_in_members, {"content-encoding": "gzip"}),
    "gzip with padding": (lambda plain: gzip.compress(plain) + bytes(40), {"content-encoding": "gzip"}),
}
"""What hosts and proxies make of an answer, and client libraries take."""


@pytest.mark.parametrize("form", ODD_FORMS)
@pytest.mark.parametrize("case_name", ["openai-chat-flex", "openai-chat-stream-usage", "anthropic-stream-basic"])
def test_answers_in_odd_forms_are_read_and_passed_as_they_are(rig: Rig, case_name: str, form: str) -> None:
    case = next(case for case in CASES if case["id"] == case_name)
    change, more = ODD_FORMS[form]
    sent = change(body_of(case))
    response = {"status": 200, "headers": {**case["response"]["headers"], **more}}
    response["body_base64"] = base64.b64encode(sent)
    rig.plays(played({**case, "response": response}, 50))
    body, events = ask(rig, case)
    assert body == sent
    assert differences(events, case) == []


@pytest.mark.parametrize("text", [b"cut \\ud83d", b"cut \xf0\x9f"])
def test_a_request_with_half_an_emoji_is_read(rig: Rig, text: bytes) -> None:
    before = len(rig.log.of(None))
    rig.plays(whole(b'{"id":"c","model":"m-1","usage":{"prompt_tokens":1,"completion_tokens":2}}'))
    rig.ask("/openai/v1/chat/completions", raw=b'{"model":"m","messages":[{"role":"user","content":"%s"}]}' % text)
    assert rig.log.wait_for(before + 1)[-1]["request_model"] == "m"


# ── at every byte, without the sockets in between ────────────────────────────────────────────────────────────


class PiecedAnswer(Answer):
    """An answer whose chunks are exactly the given pieces."""

    def __init__(self, pieces: Sequence[bytes], told: Mapping[str, str]) -> None:
        self._pieces = list(reversed(pieces))
        self._told = [(name.encode(), value.encode()) for name, value in told.items()]

    @property
    def status(self) -> int:
        return 200

    @property
    def headers(self) -> Headers:
        return self._told

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

    def __init__(self, pieces: Sequence[bytes], told: Mapping[str, str]) -> None:
        self._pieces = pieces
        self._told = told

    async def send(self, origin: Origin, request: Outgoing) -> Answer:
        return PiecedAnswer(self._pieces, self._told)

    async def aclose(self) -> None:
        pass


def through_gateway(case: dict[str, Any], pieces: Sequence[bytes]) -> tuple[bytes, dict[str, Any], bool]:
    """What the client got, the event, and whether the event was written before the last bytes left."""
    log, clock, body = MemoryLog(), SystemClock(), bytearray()
    upstream = PiecedUpstream(pieces, case["response"]["headers"])
    behind = {provider.name: provider for provider in providers("http://up")}
    gateway = Gateway(behind, KEYS.get, Recorder(log, clock), None, clock, upstream=upstream)
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
    body, event, recorded_first = through_gateway(case, split(body_of(case), 1))
    assert body == for_client(case)
    assert differences([event], case) == []
    assert recorded_first


def test_the_event_is_written_before_the_bytes_that_end_the_answer(rig: Rig) -> None:
    """Held at the last event, the client has not seen it, and the record is there."""
    case = next(case for case in STREAMS if case["id"] == "anthropic-stream-basic")
    before, mark, end = body_of(case).rpartition(b"event: message_stop")

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
