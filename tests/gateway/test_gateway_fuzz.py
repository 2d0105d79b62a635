"""Odd heads, paths, queries, bodies and answers: whatever comes, there is an answer, one record, and no key leaves."""

from __future__ import annotations

import asyncio
from typing import Any

from gateway_rig import KEY, KEYS, PROVIDER_KEY, MemoryLog
from hypothesis import given, settings
from hypothesis import strategies as st

from taximeter.clock import SystemClock
from taximeter.gateway import Gateway, Provider, Recorder
from taximeter.gateway.client import Message
from taximeter.gateway.kinds import KINDS
from taximeter.gateway.upstream import Answer, AnswerInHand, Headers, Origin, Outgoing

NAMES = st.sampled_from(
    [
        *(b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key", b"x-taximeter-key", b"x-taximeter-tags"),
        *(b"x-taximeter-event-id", b"x-taximeter-user", b"content-encoding", b"accept-encoding", b"traceparent"),
        *(b"x-stainless-retry-count", b"idempotency-key", b"amz-sdk-request", b"connection", b"x-amz-date", b"te"),
    ]
)
OURS = KEY.encode()
PLACES = (b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key")
VALUES = st.binary(max_size=40).map(lambda value: value.replace(b"\r", b"").replace(b"\n", b"")) | st.sampled_from(
    [
        b"Bearer " + OURS,
        OURS,
        b"AWS4-HMAC-SHA256 Credential=" + OURS + b"/x",
        b"gzip",
        b"9" * 30,
    ]
)
PIECES = st.sampled_from(
    [*(b"v1", b"chat", b"completions", b"models", b"m:generateContent", b"..", b"%2e%2e", b"model", b"converse", b"")]
) | st.binary(max_size=6)
BODIES = st.binary(max_size=200) | st.sampled_from(
    [
        *(
            b"",
            b"{}",
            b"[]",
            b"null",
            b'{"stream":true,"model":"m"}',
            b'{"stream":true,"stream_options":7}',
            b"[" * 9000,
        ),
        b'{"model":{"a":1},"messages":7,"max_tokens":-1}',
    ]
)
TYPES = st.sampled_from([b"application/json", b"text/event-stream", b"", b"text/plain", b"\xff", b"audio/mpeg"])
STATUSES = st.sampled_from([200, 201, 204, 304, 400, 429, 500])


class Answering:
    """Answers every request alike, and keeps what it was asked."""

    def __init__(self, status: int, headers: Headers, body: bytes) -> None:
        self._answer = status, headers, body
        self.asked: list[Outgoing] = []

    async def send(self, origin: Origin, request: Outgoing) -> Answer:
        self.asked.append(request)
        return AnswerInHand(*self._answer)

    async def aclose(self) -> None:
        pass


def exchanged(upstream: Answering, scope: dict[str, Any], body: bytes) -> tuple[list[Message], MemoryLog, Gateway]:
    log, clock, told = MemoryLog(), SystemClock(), []
    providers = {name: Provider(name, name, "https://up.example/base", PROVIDER_KEY) for name in KINDS}
    gateway = Gateway(providers, KEYS.get, Recorder(log, clock), None, clock, upstream=upstream)

    async def run() -> None:
        asked = [{"type": "http.request", "body": body}]

        async def receive() -> Message:
            if not asked:
                await asyncio.Event().wait()
            return asked.pop()

        async def send(message: Message) -> None:
            told.append(message)

        await gateway(scope, receive, send)

    asyncio.run(run())
    return told, log, gateway


@settings(deadline=None)
@given(
    kind=st.sampled_from([*KINDS, "nobody"]),
    method=st.sampled_from(["POST", "GET"]),
    pieces=st.lists(PIECES, max_size=5),
    query=st.binary(max_size=30) | st.just(b"key=" + OURS + b"&alt=sse"),
    headers=st.lists(st.tuples(NAMES, VALUES), max_size=6),
    body=BODIES,
    status=STATUSES,
    content_type=TYPES,
    answer=BODIES,
    encoding=st.sampled_from([None, b"gzip", b"identity", b"br"]),
)
def test_whatever_comes(
    kind: str,
    method: str,
    pieces: list[bytes],
    query: bytes,
    headers: list[tuple[bytes, bytes]],
    body: bytes,
    status: int,
    content_type: bytes,
    answer: bytes,
    encoding: bytes | None,
) -> None:
    told_of = [(b"content-type", content_type), *([] if encoding is None else [(b"content-encoding", encoding)])]
    upstream = Answering(status, told_of, answer)
    path = b"/" + kind.encode() + b"/" + b"/".join(pieces)
    given_headers = [(b"authorization", b"Bearer " + OURS), *headers]
    scope = {"type": "http", "method": method, "raw_path": path, "query_string": query, "headers": given_headers}
    told, log, gateway = exchanged(upstream, scope, body)
    starts = [message for message in told if message["type"] == "http.response.start"]
    assert len(starts) == 1
    events, begun = log.of(None), log.of("begin")
    assert len(begun) == (method == "POST" and bool(upstream.asked))
    assert [event["event_id"] for event in events if event["event_id"] == begun[0]["event_id"]] if begun else True
    for request in upstream.asked:
        assert request.target.startswith(b"/base")
        assert kind != "gemini" or OURS not in request.target
        assert not [name for name, value in request.headers if name in PLACES and OURS in value]
    assert set(gateway.failures) <= {"stream_unread", "answer_unread", "request_unread", "poll_unread"}
