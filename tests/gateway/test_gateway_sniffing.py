"""Answers whose content type does not say what they are are read all the same."""

from __future__ import annotations

import gzip
import zlib

import pytest
from gateway_rig import Play, Stage, running, whole

from taximeter.gateway.sniffing import begins_as_json

CHAT = "/openai/v1/chat/completions"
ANSWER = b'{"id":"c","model":"m-1","usage":{"prompt_tokens":1000,"completion_tokens":500}}'
EVENTS = [
    b'data: {"id":"c","model":"m-1","choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}]}\n\n',
    b'data: {"id":"c","model":"m-1","choices":[],"usage":{"prompt_tokens":1000,"completion_tokens":500}}\n\n',
    b"data: [DONE]\n\n",
]


def played(pieces: list[bytes], *headers: tuple[str, str]) -> Play:
    async def play(stage: Stage) -> None:
        stage.head(200, [("transfer-encoding", "chunked"), *headers])
        for piece in pieces:
            await stage.chunk(piece)
        stage.end()

    return play


UNTOLD: list[list[tuple[str, str]]] = [
    [],
    [("content-type", "text/plain; charset=utf-8")],
    [("content-type", "application/octet-stream")],
]


@pytest.mark.parametrize("headers", UNTOLD)
@pytest.mark.parametrize("pieces", [[ANSWER], [b"\n ", ANSWER], [ANSWER[:1], ANSWER[1:]]])
def test_json_that_is_not_called_so(headers: list[tuple[str, str]], pieces: list[bytes]) -> None:
    with running() as rig:
        rig.plays(played(pieces, *headers))
        reply = rig.ask(CHAT, {"model": "m"})
        event = rig.log.wait_for(1)[0]
    assert reply.body == b"".join(pieces)
    assert (event["status"], event["input_tokens"], event["output_tokens"]) == ("ok", 1000, 500)


@pytest.mark.parametrize("headers", UNTOLD)
def test_a_stream_that_was_asked_for_and_is_not_called_so(headers: list[tuple[str, str]]) -> None:
    with running() as rig:
        rig.plays(played(EVENTS, *headers))
        asked = {"model": "m", "stream": True, "stream_options": {"include_usage": True}}
        reply = rig.ask(CHAT, asked)
        event = rig.log.wait_for(1)[0]
    assert reply.body == b"".join(EVENTS)
    assert (event["status"], event["input_tokens"], event["output_tokens"]) == ("ok", 1000, 500)


STACKED = [
    ("gzip, gzip", gzip.compress(gzip.compress(ANSWER))),
    ("deflate,gzip", gzip.compress(zlib.compress(ANSWER))),
    ("GZIP , identity", gzip.compress(ANSWER)),
    ("gzip, x-gzip, gzip, gzip", gzip.compress(gzip.compress(gzip.compress(gzip.compress(ANSWER))))),
]


@pytest.mark.parametrize(("coding", "packed"), STACKED)
def test_what_is_packed_in_packed_form_is_read(coding: str, packed: bytes) -> None:
    with running() as rig:
        rig.plays(whole(packed, content_encoding=coding))
        assert rig.ask(CHAT, {"model": "m"}).body == packed
        assert rig.log.wait_for(1)[0]["input_tokens"] == 1000
        assert rig.gateway.failures == {}


def test_a_stream_that_is_packed_twice_is_read() -> None:
    packed = gzip.compress(gzip.compress(b"".join(EVENTS)))
    with running() as rig:
        headers = [("content-encoding", "gzip, gzip"), ("content-type", "text/event-stream")]
        rig.plays(played([packed[:20], packed[20:]], *headers))
        rig.ask(CHAT, {"model": "m", "stream": True, "stream_options": {"include_usage": True}})
        assert rig.log.wait_for(1)[0]["input_tokens"] == 1000


@pytest.mark.parametrize("coding", ["gzip, br", "br, gzip", "gzip, gzip, gzip, gzip, gzip", "gzip, gzip"])
def test_packings_that_cannot_be_undone_pass_unread(coding: str) -> None:
    packed = gzip.compress(ANSWER)
    with running() as rig:
        rig.plays(whole(packed, content_encoding=coding))
        assert rig.ask(CHAT, {"model": "m"}).body == packed
        assert rig.log.wait_for(1)[0]["status"] == "ok"
        assert rig.gateway.failures == {"answer_unread": 1}


def test_packed_json_that_is_not_called_so() -> None:
    packed = gzip.compress(ANSWER)
    with running() as rig:
        rig.plays(played([packed], ("content-encoding", "gzip")))
        assert rig.ask(CHAT, {"model": "m"}).body == packed
        assert rig.log.wait_for(1)[0]["input_tokens"] == 1000


def test_an_error_that_is_not_called_json() -> None:
    async def play(stage: Stage) -> None:
        body = b'{"error":{"type":"tokens"}}'
        stage.head(429, [("content-length", str(len(body)))])
        stage.writer.write(body)

    with running() as rig:
        rig.plays(play)
        assert rig.ask(CHAT, {"model": "m", "stream": True}).status == 429
        event = rig.log.wait_for(1)[0]
    assert (event["status"], event["error_type"], event["not_billed"]) == ("error", "tokens", True)


def test_plain_text_passes_unread() -> None:
    with running() as rig:
        rig.plays(played([b"the words", b" that were said"], ("content-type", "text/plain")))
        reply = rig.ask("/openai/v1/audio/transcriptions", {"model": "whisper-1", "response_format": "text"})
        event = rig.log.wait_for(1)[0]
    assert reply.body == b"the words that were said"
    assert (event["status"], "input_tokens" in event) == ("ok", False)


def test_an_answer_that_breaks_off_before_it_says_anything() -> None:
    async def play(stage: Stage) -> None:
        stage.head(200, [("content-length", "10")])
        stage.break_off()

    with running() as rig:
        rig.plays(play)
        assert not rig.ask(CHAT, {"model": "m"}).complete
        event = rig.log.wait_for(1)[0]
    assert event["error_type"] == "closed_early"


@pytest.mark.parametrize(
    ("beginning", "expected"),
    [
        (b"{", True),
        (b" [", True),
        (b"\xef\xbb\xbf{", True),
        (b"", True),
        (b" ", True),
        (b"data: {", False),
        (b"a", False),
    ],
)
def test_how_json_begins(beginning: bytes, expected: bool) -> None:
    assert begins_as_json(beginning) is expected
