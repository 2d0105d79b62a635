"""What goes wrong at the provider or in ourselves: the client gets what came, and the record says what is known."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest
from gateway_rig import SSE_HEADERS, Play, Rig, Stage, running, stream, whole

from taximeter.clock import SystemClock
from taximeter.core.cost import Cost, Unpriced
from taximeter.core.event import UsageEvent
from taximeter.gateway import GatewaySettings, Provider
from taximeter.spool import Spool, SpoolReader

CHAT = "/openai/v1/chat/completions"
MESSAGES = "/anthropic/v1/messages"
ANSWER = b'{"id":"chatcmpl-1","model":"m-1","usage":{"prompt_tokens":1000,"completion_tokens":500}}'
TEXT = b'data: {"id":"c","model":"m-1","choices":[{"index":0,"delta":{"content":"twelve chars"}}]}\n\n'
DONE = b"data: [DONE]\n\n"

ERRORS = [
    (
        CHAT,
        429,
        b'{"error":{"message":"slow down","type":"tokens","param":null,"code":"rate_limit_exceeded"}}',
        "tokens",
    ),
    (CHAT, 500, b'{"error":{"message":"oops","type":"server_error"}}', "server_error"),
    (CHAT, 503, b"<html>busy</html>", "http_503"),
    (CHAT, 404, b"", "http_404"),
    (MESSAGES, 529, b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}', "overloaded_error"),
]


@pytest.mark.parametrize(("path", "status", "body", "error_type"), ERRORS)
def test_a_providers_error_passes_unchanged_and_is_recorded(
    path: str, status: int, body: bytes, error_type: str
) -> None:
    with running() as rig:
        rig.plays(whole(body, status, retry_after="7", x_request_id="req_9"))
        reply = rig.ask(path, {"model": "m"})
        event = rig.log.wait_for(1)[0]
    assert (reply.status, reply.body, reply.headers["retry-after"]) == (status, body, "7")
    assert reply.headers["x-request-id"] == "req_9"
    assert (event["status"], event["http_status"], event["error_type"]) == ("error", status, error_type)
    assert event["not_billed"] is True
    assert "input_tokens" not in event


ODD_ANSWERS = [
    (b"", "interrupted", "empty_answer"),
    (b"{", "interrupted", "unreadable_answer"),
    (b"null", "interrupted", "unreadable_answer"),
    (b"\xff\xfe", "interrupted", "unreadable_answer"),
    (b"[]", "ok", None),
    (b'"text"', "ok", None),
    (b'{"usage": "none"}', "ok", None),
    (b'{"usage": {"prompt_tokens": "x"}}', "ok", None),
]


@pytest.mark.parametrize(("body", "status", "error_type"), ODD_ANSWERS)
def test_an_answer_that_makes_no_sense_passes_and_its_usage_stays_unknown(
    body: bytes, status: str, error_type: str | None
) -> None:
    with running() as rig:
        rig.plays(whole(body))
        reply = rig.ask(CHAT, {"model": "m"})
        event = rig.log.wait_for(1)[0]
        assert rig.gateway.failures == {}
    assert (reply.status, reply.body) == (200, body)
    assert (event["status"], event.get("error_type"), event["request_model"]) == (status, error_type, "m")
    assert event.keys().isdisjoint({"input_tokens", "usage_estimated", "not_billed"})


@pytest.mark.parametrize("status", [204, 302, 307, 304])
def test_an_answer_without_anything_made_is_not_billed(status: int) -> None:
    async def play(stage: Stage) -> None:
        stage.head(status, [("location", "/elsewhere"), ("content-length", "0")])

    with running() as rig:
        rig.plays(play)
        assert rig.ask(CHAT, {"model": "m"}).status == status
        event = rig.log.wait_for(1)[0]
    assert (event["status"], event["http_status"], event["not_billed"]) == ("ok", status, True)


def test_an_empty_answer_of_no_kind_is_recorded_as_such() -> None:
    async def play(stage: Stage) -> None:
        stage.head(200, [("content-length", "0")])

    with running() as rig:
        rig.plays(play)
        assert rig.ask(CHAT, {"model": "m"}).body == b""
        event = rig.log.wait_for(1)[0]
    assert (event["status"], event["error_type"]) == ("interrupted", "empty_answer")


def test_an_error_page_that_is_no_json_is_not_billed_either() -> None:
    with running() as rig:
        rig.plays(whole(b"<html>bad gateway</html>", 502, "text/html"))
        assert rig.ask(CHAT, {"model": "m"}).body == b"<html>bad gateway</html>"
        event = rig.log.wait_for(1)[0]
    assert (event["status"], event["error_type"], event["not_billed"]) == ("error", "http_502", True)


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b'"x"', b"\xff", b'{"model": 7, "messages": 3, "stream": "yes"}'])
def test_a_request_that_makes_no_sense_goes_to_the_provider_as_it_came(body: bytes) -> None:
    with running() as rig:
        rig.plays(whole(b'{"error":{"type":"invalid_request_error"}}', 400))
        assert rig.ask(CHAT, raw=body).status == 400
        assert rig.provider.seen[0].body == body
        assert rig.log.wait_for(1)[0]["status"] == "error"


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def nobody_there(_: int) -> list[Provider]:
    port = closed_port()
    return [
        Provider("gone", "openai", f"http://127.0.0.1:{port}/v1", "k"),
        Provider("gone-too", "anthropic", f"http://127.0.0.1:{port}", "k"),
    ]


@pytest.mark.parametrize(
    ("path", "shape"), [("/gone/v1/chat/completions", "server_error"), ("/gone-too/v1/messages", "api_error")]
)
def test_a_provider_that_is_not_there_is_502_in_its_shape_and_costs_nothing(path: str, shape: str) -> None:
    with running(more_providers=nobody_there) as rig:
        reply = rig.ask(path, {"model": "m"})
        event = rig.log.wait_for(1)[0]
    assert (reply.status, reply.json["error"]["type"]) == (502, shape)
    assert reply.headers["x-taximeter-event-id"] == event["event_id"]
    assert (event["status"], event["error_type"], event["not_billed"]) == ("error", "connect_failed", True)
    assert "http_status" not in event


async def silent(stage: Stage) -> None:
    await stage.until_gone()


async def silent_after_head(stage: Stage) -> None:
    stage.head(200, [("content-type", "application/json"), ("content-length", "10")])
    stage.writer.write(b"12345")
    await stage.until_gone()


async def not_http(stage: Stage) -> None:
    stage.writer.write(b"220 mail.example ESMTP\r\n")
    await stage.until_gone()


async def hang_up(stage: Stage) -> None:
    stage.break_off()


NO_ANSWER = [(silent, 504, "first_byte_timeout"), (not_http, 502, "protocol_error"), (hang_up, 502, "closed_early")]


@pytest.mark.parametrize(("play", "status", "error_type"), NO_ANSWER)
def test_a_provider_that_does_not_answer(play: Play, status: int, error_type: str) -> None:
    with running(GatewaySettings(read_timeout_seconds=0.2)) as rig:
        rig.plays(play)
        reply = rig.ask(CHAT, {"model": "m"})
        event = rig.log.wait_for(1)[0]
    assert (reply.status, reply.json["error"]["code"]) == (status, error_type)
    assert (event["status"], event["error_type"]) == ("error", error_type)
    assert "not_billed" not in event


def cut_whole(stage_body: bytes) -> Play:
    async def play(stage: Stage) -> None:
        stage.head(200, [("content-type", "application/json"), ("content-length", "100")])
        stage.writer.write(stage_body)
        await stage.writer.drain()
        stage.writer.close()

    return play


def test_an_answer_cut_in_the_middle_is_passed_as_far_as_it_came() -> None:
    with running() as rig:
        rig.plays(cut_whole(b'{"id": "x", "usa'))
        reply = rig.ask(CHAT, {"model": "m"})
        event = rig.log.wait_for(1)[0]
    assert (reply.status, reply.body, reply.complete) == (200, b'{"id": "x", "usa', False)
    assert (event["status"], event["error_type"]) == ("interrupted", "closed_early")
    assert "output_tokens" not in event


def test_an_answer_that_falls_silent_is_cut() -> None:
    with running(GatewaySettings(read_timeout_seconds=0.2)) as rig:
        rig.plays(silent_after_head)
        reply = rig.ask(CHAT, {"model": "m"})
        event = rig.log.wait_for(1)[0]
    assert (reply.body, reply.complete) == (b"12345", False)
    assert (event["status"], event["error_type"]) == ("interrupted", "idle_timeout")


ASKED = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "x" * 40}]}


def test_a_stream_cut_in_the_middle_is_estimated_from_what_came() -> None:
    with running() as rig:
        rig.plays(stream([TEXT, TEXT, b'data: {"id":"c","cho'], cut=True))
        reply = rig.ask(CHAT, ASKED)
        event = rig.log.wait_for(1)[0]
    assert (reply.body, reply.complete) == (TEXT + TEXT + b'data: {"id":"c","cho', False)
    assert (event["status"], event["error_type"]) == ("interrupted", "closed_early")
    assert (event["input_tokens"], event["output_tokens"], event["usage_estimated"]) == (10, 6, True)


def test_a_stream_cut_before_any_content_has_no_usage_at_all() -> None:
    with running() as rig:
        rig.plays(stream([], cut=True))
        assert not rig.ask(CHAT, ASKED).complete
        event = rig.log.wait_for(1)[0]
    assert event["status"] == "interrupted"
    assert event.keys().isdisjoint({"input_tokens", "output_tokens", "usage_estimated"})


def test_a_stream_cut_late_keeps_what_the_provider_reported() -> None:
    usage = b'"usage":{"input_tokens":412,"output_tokens":3}'
    start = b'data: {"type":"message_start","message":{"id":"m","model":"c",' + usage + b"}}\n\n"
    text = b'"delta":{"type":"text_delta","text":"' + b"a" * 400 + b'"}'
    delta = b'data: {"type":"content_block_delta","index":0,' + text + b"}\n\n"
    with running() as rig:
        rig.plays(stream([start, delta], cut=True))
        rig.ask(MESSAGES, ASKED)
        event = rig.log.wait_for(1)[0]
    assert (event["input_tokens"], event["output_tokens"], event["usage_estimated"]) == (412, 100, True)


def test_what_was_reported_at_the_beginning_of_a_stream_that_breaks_off_is_not_all_of_it() -> None:
    usage = b'"usage":{"input_tokens":412,"output_tokens":1}'
    start = b'data: {"type":"message_start","message":{"id":"m","model":"c",' + usage + b"}}\n\n"
    with running() as rig:
        rig.plays(stream([start], cut=True))
        rig.ask(MESSAGES, ASKED)
        event = rig.log.wait_for(1)[0]
    assert (event["input_tokens"], event["output_tokens"], event["usage_estimated"]) == (412, 1, True)


async def unframed(stage: Stage) -> None:
    stage.head(200, [("content-type", "text/event-stream"), ("connection", "close")])
    stage.writer.write(TEXT)
    await stage.writer.drain()
    stage.writer.close()


def test_without_framing_a_stream_without_its_last_event_counts_as_cut() -> None:
    with running() as rig:
        rig.plays(unframed)
        reply = rig.ask(CHAT, ASKED)
        event = rig.log.wait_for(1)[0]
    assert reply.body == TEXT
    assert (event["status"], event["usage_estimated"]) == ("interrupted", True)


@pytest.mark.parametrize(("pieces", "output_tokens"), [([TEXT, TEXT], 6), ([], None), ([b": ping\n\n"], None)])
def test_a_framed_stream_that_ends_before_its_last_event_was_cut_by_somebody(
    pieces: list[bytes], output_tokens: int | None
) -> None:
    with running() as rig:
        rig.plays(stream(pieces))
        assert rig.ask(CHAT, ASKED).complete
        event = rig.log.wait_for(1)[0]
    assert (event["status"], event["error_type"]) == ("interrupted", "closed_early")
    assert (event.get("output_tokens"), event.get("usage_estimated")) == (output_tokens, output_tokens and True)


def test_a_framed_stream_that_ends_without_usage_is_ok_and_unknown() -> None:
    with running() as rig:
        rig.plays(stream([TEXT, DONE]))
        assert rig.ask(CHAT, ASKED).complete
        event = rig.log.wait_for(1)[0]
    assert event["status"] == "ok"
    assert event.keys().isdisjoint({"input_tokens", "output_tokens", "usage_estimated"})


@pytest.mark.parametrize("end", [[], [DONE]])
def test_an_error_inside_a_stream_is_an_error_and_what_was_written_until_then_is_estimated(end: list[bytes]) -> None:
    with running() as rig:
        rig.plays(stream([TEXT, TEXT, b'data: {"error":{"type":"server_error","message":"x"}}\n\n', *end]))
        rig.ask(CHAT, ASKED)
        event = rig.log.wait_for(1)[0]
    assert (event["status"], event["http_status"], event["error_type"]) == ("error", 200, "server_error")
    assert (event["input_tokens"], event["output_tokens"], event["usage_estimated"]) == (10, 6, True)
    assert not event.get("not_billed")


def sse(event: dict[str, Any]) -> bytes:
    return b"event: " + str(event["type"]).encode() + b"\ndata: " + json.dumps(event).encode() + b"\n\n"


BEGUN = {"id": "resp_1", "model": "gpt-5", "status": "in_progress", "output": []}
SEARCHED = [
    sse({"type": "response.created", "response": BEGUN}),
    sse({"type": "response.output_item.done", "item": {"type": "web_search_call", "action": {"type": "search"}}}),
    sse({"type": "response.output_text.delta", "delta": "t" * 400}),
]
SEARCH_FAILED = sse({"type": "error", "code": "server_error", "message": "x"})
MESSAGE = {"id": "msg_1", "model": "claude-sonnet-4-5", "usage": {"input_tokens": 10, "output_tokens": 1}}
SPOKEN = [
    sse({"type": "message_start", "message": MESSAGE}),
    sse({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "t" * 400}}),
]
OVERLOADED = sse({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})
FOUND = {"choices": [{"index": 0, "delta": {"content": "t" * 400}}], "web_search": [{"link": "x"}]}


@pytest.mark.parametrize(
    ("path", "pieces", "error_type"),
    [
        ("/openai/v1/responses", SEARCHED, "closed_early"),
        ("/openai/v1/responses", [*SEARCHED, SEARCH_FAILED], "server_error"),
        (MESSAGES, SPOKEN, "closed_early"),
        (MESSAGES, [*SPOKEN, OVERLOADED], "overloaded_error"),
        (CHAT, [b"data: " + json.dumps(FOUND).encode() + b"\n\n"], "closed_early"),
    ],
)
def test_what_a_stream_told_before_it_ended_too_early_is_not_all_of_it(
    path: str, pieces: list[bytes], error_type: str
) -> None:
    with running() as rig:
        rig.plays(stream(pieces))
        rig.ask(path, {**ASKED, "input": "x" * 40})
        event = rig.log.wait_for(1)[0]
    assert (event["status"], event["error_type"]) == (
        "interrupted" if error_type == "closed_early" else "error",
        error_type,
    )
    assert (event["output_tokens"], event["usage_estimated"]) == (100, True)
    assert event["input_tokens"] >= 10


def test_an_answer_too_large_to_hold_streams_through() -> None:
    with running(GatewaySettings(tap_limit_bytes=50)) as rig:
        rig.plays(whole(ANSWER))
        reply = rig.ask(CHAT, {"model": "m"})
        event = rig.log.wait_for(1)[0]
        assert rig.gateway.failures == {"answer_too_large": 1}
    assert reply.body == ANSWER
    assert (event["status"], "input_tokens" in event) == ("ok", False)


def test_an_encoding_that_cannot_be_read_passes_unread() -> None:
    with running() as rig:
        rig.plays(whole(b"\x0b\x02\x80", content_encoding="br"))
        reply = rig.ask(CHAT, {"model": "m"})
        assert rig.log.wait_for(1)[0]["status"] == "ok"
        assert rig.gateway.failures == {"answer_unread": 1}
    assert (reply.body, reply.headers["content-encoding"]) == (b"\x0b\x02\x80", "br")


@pytest.mark.parametrize("streamed", [False, True])
def test_the_answer_to_a_request_in_an_encoding_that_cannot_be_read_is_read(streamed: bool) -> None:
    """Codex, for one, packs its requests with zstd."""
    packed = b"\x28\xb5\x2f\xfd" + bytes(20)
    with running() as rig:
        rig.plays(stream([b"data: " + ANSWER + b"\n\n", b"data: [DONE]\n\n"]) if streamed else whole(ANSWER))
        rig.ask(CHAT, raw=packed, content_encoding="zstd")
        event = rig.log.wait_for(1)[0]
        assert rig.provider.seen[0].body == packed
    assert (event["input_tokens"], event["output_tokens"]) == (1000, 500)
    assert (event["operation"], "request_model" in event) == ("chat", False)


# ── our own mistakes ─────────────────────────────────────────────────────────────────────────────────────────


def broken_price(_: UsageEvent) -> Cost | Unpriced:
    raise RuntimeError("a bug of ours")


def plain_and_streamed(rig: Rig) -> None:
    rig.plays(whole(ANSWER))
    assert rig.ask(CHAT, {"model": "m"}).body == ANSWER
    rig.plays(stream([TEXT, DONE]))
    assert rig.ask(CHAT, {"model": "m", "stream": True}).body == TEXT + DONE


def test_a_price_that_fails_costs_only_its_header() -> None:
    with running(price=broken_price) as rig:
        plain_and_streamed(rig)
        assert rig.gateway.failures == {"cost_header": 1}
        assert len(rig.log.wait_for(2)) == 2


def test_a_recorder_that_fails_does_not_touch_the_call() -> None:
    with running() as rig:
        rig.log.broken = True
        plain_and_streamed(rig)
        assert rig.gateway.failures == {"begin_unrecorded": 2, "begin_lost": 2, "event_unrecorded": 2}


def test_a_spool_that_takes_nothing_does_not_touch_the_call_and_every_loss_is_counted() -> None:
    with running() as rig:
        rig.log.full = True
        plain_and_streamed(rig)
        assert rig.gateway.failures == {"begin_lost": 2, "event_lost": 2}
        assert rig.gateway.recorder.lost == {"begin": 2, "progress": 0, "event": 2}


def test_a_call_that_cannot_be_recorded_is_refused_where_that_is_wanted() -> None:
    with running(GatewaySettings(when_unrecordable="refuse")) as rig:
        rig.log.full = True
        reply = rig.ask(CHAT, {"model": "m"})
        assert (reply.status, reply.json["error"]["code"]) == (503, "unrecordable")
        assert rig.provider.seen == []


def on_full_disk(tmp_path: Path) -> Spool:
    """A spool that cannot make its directory."""
    (tmp_path / "file").write_text("in the way")
    return Spool(tmp_path / "file" / "spool", clock=SystemClock(), writer="gateway")


def test_a_record_that_only_waits_in_memory_does_not_let_a_call_leave_where_refusing_is_wanted(tmp_path: Path) -> None:
    spool = on_full_disk(tmp_path)
    with running(GatewaySettings(when_unrecordable="refuse"), log=spool) as rig:
        rig.plays(whole(ANSWER))
        for _ in range(3):
            reply = rig.ask(CHAT, {"model": "m"})
            assert (reply.status, reply.json["error"]["code"]) == (503, "unrecordable")
        assert rig.provider.seen == []
        (tmp_path / "file").unlink()
        while spool.in_memory:
            spool.sync()
        assert rig.ask(CHAT, {"model": "m"}).status == 200
    spool.close()
    records = [json.loads(line) for line in SpoolReader(tmp_path / "file" / "spool").read({}).lines]
    assert [record.get("status") for record in records] == [None, "refused", None, "ok"]
    assert (records[1]["not_billed"], records[1]["error_type"]) == (True, "unrecordable")


def test_by_default_calls_go_on_while_records_wait_in_memory(tmp_path: Path) -> None:
    spool = on_full_disk(tmp_path)
    with running(log=spool) as rig:
        rig.plays(whole(ANSWER))
        assert rig.ask(CHAT, {"model": "m"}).status == 200
    assert spool.health().waiting_lines == 2
    spool.close()


@pytest.mark.parametrize("place", ["read_request", "stream", "read_answer"])
def test_a_reader_that_fails_does_not_touch_the_call(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        name, operation, billed = "openai.chat", "chat", True

        def __getattr__(self, asked: str) -> Any:
            if asked == place:
                raise RuntimeError("a bug of ours, near 'secret prompt'")
            from taximeter.extract import flavour_for

            return getattr(flavour_for("openai", "POST", "/v1/chat/completions"), asked)

    monkeypatch.setattr("taximeter.gateway.departure.flavour_for", lambda *_: Broken())
    with running() as rig:
        plain_and_streamed(rig)
        assert sum(rig.gateway.failures.values()) in (1, 2)
        assert len(rig.log.wait_for(2)) == 2


def test_what_failed_is_logged_without_the_message(caplog: pytest.LogCaptureFixture) -> None:
    with running(price=broken_price) as rig:
        rig.plays(whole(ANSWER))
        rig.ask(CHAT, {"model": "m"})
    assert "cost_header failed: RuntimeError at" in caplog.text
    assert "a bug of ours" not in caplog.text


def test_headers_of_a_stream() -> None:
    with running() as rig:
        rig.plays(stream([TEXT, DONE], headers=[("x-request-id", "r1")]))
        reply = rig.ask(CHAT, {"model": "m", "stream": True})
    assert reply.headers["content-type"] == dict(SSE_HEADERS)["content-type"]
    assert reply.headers["x-request-id"] == "r1"
    assert "x-taximeter-cost-usd" not in reply.headers
