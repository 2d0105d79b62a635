"""Streams that would not tell their usage are asked for it, and the client does not notice."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from gateway_rig import SSE_HEADERS, Play, Rig, Stage, running, stream, whole
from hypothesis import given, settings
from hypothesis import strategies as st

from taximeter.extract import flavour_for
from taximeter.gateway import GatewaySettings, Provider
from taximeter.gateway.stream_usage import UsageWithholder, ask, can_ask

CHAT = "/openai/v1/chat/completions"
ASKED = b'"stream_options":{"include_usage":true}'

ASKING = [
    # the body as it came                                    the body as it leaves
    (b'{"stream":true}', b'{"stream":true,' + ASKED + b"}"),
    (b'{"stream": true, "model": "m" }\n', b'{"stream": true, "model": "m" ,' + ASKED + b"}\n"),
    (b'{"a":{"b":"}"},"stream":true}', b'{"a":{"b":"}"},"stream":true,' + ASKED + b"}"),
    (b'{"stream_options":null,"stream":true}', b'{"stream_options":{"include_usage": true},"stream":true}'),
    (b'{"stream_options": {} , "a": 1}', b'{"stream_options":{"include_usage": true}, "a": 1}'),
    (
        b'{"stream_options":{"include_usage":false,"include_obfuscation":false},"a":[1,{"b":2}]}',
        b'{"stream_options":{"include_usage": true, "include_obfuscation": false},"a":[1,{"b":2}]}',
    ),
    (
        b'{"a":{"stream_options":1},"b":["stream_options",{}],"c":"stream_options","stream_options":{"x":[1,{}]}}',
        b'{"a":{"stream_options":1},"b":["stream_options",{}],"c":"stream_options",'
        b'"stream_options":{"x": [1, {}], "include_usage": true}}',
    ),
    (b'{"q":"\\"stream_options\\":{","stream_options":null}', None),
]


@pytest.mark.parametrize(("body", "expected"), ASKING)
def test_one_place_of_the_body_is_edited(body: bytes, expected: bytes | None) -> None:
    asking = ask(body, json.loads(body))
    assert asking is not None
    assert json.loads(asking)["stream_options"]["include_usage"] is True
    if expected is not None:
        assert asking == expected


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)


@given(
    body=st.dictionaries(st.text(), json_values, max_size=4),
    options=st.none() | st.dictionaries(st.text(), json_values, max_size=3),
    has_options=st.booleans(),
    ascii_only=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_everything_else_in_the_body_stays(
    body: dict[str, Any], options: dict[str, Any] | None, has_options: bool, ascii_only: bool
) -> None:
    body.pop("stream_options", None)
    payload = {"stream": True, **({"stream_options": options} if has_options else {}), **body}
    asking = ask(json.dumps(payload, ensure_ascii=ascii_only).encode(), payload)
    assert asking is not None
    asked = (options or {} if has_options else {}) | {"include_usage": True}
    assert json.loads(asking) == {**payload, "stream_options": asked}


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("/v1/chat/completions", {"stream": True}, True),
        ("/v1/completions", {"stream": True}, True),
        ("/v1/chat/completions", {"stream": True, "stream_options": {"include_usage": False}}, True),
        ("/v1/chat/completions", {"stream": True, "stream_options": {"include_usage": True}}, False),
        ("/v1/chat/completions", {"stream": False}, False),
        ("/v1/chat/completions", {}, False),
        ("/v1/responses", {"stream": True}, False),
        ("/v1/messages", {"stream": True}, False),
    ],
)
def test_who_is_asked(path: str, body: dict[str, Any], expected: bool) -> None:
    flavour = flavour_for("openai", "POST", path)
    assert flavour is not None
    assert can_ask(flavour, flavour.read_request(body)) is expected


# ── withholding ──────────────────────────────────────────────────────────────────────────────────────────────


def event(data: object, end: bytes = b"\n\n") -> bytes:
    return b"data: " + (data if isinstance(data, bytes) else json.dumps(data).encode()) + end


USAGE = {"prompt_tokens": 7, "completion_tokens": 3}
FILTER = event({"choices": [], "prompt_filter_results": [{"prompt_index": 0}]})
DELTA = {"content": 'a "choices":[] \n\n b'}
EARLY = event({"choices": [{"index": 0, "delta": {"content": '"finish_reason":"x"'}, "finish_reason": None}]})
TEXT = event({"choices": [{"index": 0, "delta": DELTA, "finish_reason": "stop"}], "usage": None})
LAST = event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": USAGE})
EXTRA = event({"choices": [], "usage": USAGE})
COMMENT = b": still there\n\n"
DONE = event(b"[DONE]")

STREAMS = [
    ([FILTER, TEXT, TEXT, EXTRA, DONE], [FILTER, TEXT, TEXT, DONE]),
    ([TEXT, LAST, DONE], [TEXT, LAST, DONE]),
    ([COMMENT, TEXT, EXTRA, COMMENT, DONE], [COMMENT, TEXT, COMMENT, DONE]),
    ([EXTRA, EARLY, EXTRA, TEXT, EXTRA, DONE], [EXTRA, EARLY, EXTRA, TEXT, DONE]),
    ([EARLY, EXTRA[:-2]], [EARLY, EXTRA[:-2]]),
    ([TEXT, EXTRA], [TEXT]),
    ([TEXT, EXTRA[:-2]], [TEXT]),
    ([TEXT, EXTRA[:-9]], [TEXT, EXTRA[:-9]]),
    ([TEXT, event({"error": {"message": "x"}}), DONE], [TEXT, event({"error": {"message": "x"}}), DONE]),
    ([event({"choices": [], "usage": None}), DONE], [event({"choices": [], "usage": None}), DONE]),
    ([], []),
]


def fed(pieces: list[bytes]) -> bytes:
    withholder = UsageWithholder()
    return b"".join([withholder.feed(piece) for piece in pieces]) + withholder.end()


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
@pytest.mark.parametrize(("events", "expected"), STREAMS)
def test_only_the_extra_event_is_withheld(events: list[bytes], expected: list[bytes], line_end: bytes) -> None:
    body = b"".join(events).replace(b"\n", line_end)
    wanted = b"".join(expected).replace(b"\n", line_end)
    assert fed([body]) == wanted
    assert fed([body[i : i + 1] for i in range(len(body))]) == wanted
    for cut in range(len(body)):
        assert fed([body[:cut], body[cut:]]) == wanted


@given(cuts=st.lists(st.integers(0, 600), max_size=12))
def test_withholding_in_any_chunking(cuts: list[int]) -> None:
    body = FILTER + TEXT + TEXT + EXTRA + DONE
    places = sorted({0, len(body), *(cut for cut in cuts if cut < len(body))})
    pieces = [body[a:b] for a, b in pairwise(places)]
    assert fed(pieces) == FILTER + TEXT + TEXT + DONE


def test_an_event_with_a_choice_in_it_is_not_held_until_its_end() -> None:
    begun = b'data: {"id":"x","choices":[{"index":0,"delta":{"content":"Hel'
    assert UsageWithholder().feed(begun) == begun


# ── through the gateway ──────────────────────────────────────────────────────────────────────────────────────


def usage_of(events: list[dict[str, Any]]) -> tuple[int | None, int | None]:
    return events[0].get("input_tokens"), events[0].get("output_tokens")


def played_if_asked(events: list[bytes]) -> Play:
    """A provider that tells its usage only when it is asked, like the real one."""

    async def play(stage: Stage) -> None:
        asked = (stage.request.json.get("stream_options") or {}).get("include_usage")
        await stream([one for one in events if asked or one != EXTRA])(stage)

    return play


def test_the_usage_is_asked_for_recorded_and_kept_from_the_client() -> None:
    with running() as rig:
        rig.plays(played_if_asked([TEXT, EXTRA, DONE]))
        reply = rig.ask(CHAT, raw=b'{"model":"m",  "stream":true}', accept_encoding="gzip")
        assert reply.body == TEXT + DONE
        assert rig.provider.seen[0].body == b'{"model":"m",  "stream":true,' + ASKED + b"}"
        assert rig.provider.seen[0].header("accept-encoding") == "identity"
        assert usage_of(rig.log.wait_for(1)) == (7, 3)


def test_a_client_that_asked_gets_its_answer_untouched() -> None:
    body = b'{"model":"m","stream":true,"stream_options":{"include_usage":true}}'
    with running() as rig:
        rig.plays(played_if_asked([TEXT, EXTRA, DONE]))
        assert rig.ask(CHAT, raw=body).body == TEXT + EXTRA + DONE
        assert rig.provider.seen[0].body == body


def test_a_host_that_refuses_the_question_is_not_asked() -> None:
    def strict(port: int) -> list[Provider]:
        return [Provider("strict", "openai", f"http://127.0.0.1:{port}/v1", "k", ask_for_usage=False)]

    with running(more_providers=strict) as rig:
        rig.plays(played_if_asked([TEXT, EXTRA, DONE]))
        assert rig.ask("/strict/v1/chat/completions", raw=b'{"stream":true}').body == TEXT + DONE
        assert rig.provider.seen[0].body == b'{"stream":true}'
        assert usage_of(rig.log.wait_for(1)) == (None, None)


def test_the_first_chunk_arrives_while_the_rest_is_still_to_come() -> None:
    async def play(stage: Stage) -> None:
        stage.head(200, SSE_HEADERS)
        await stage.chunk(TEXT)
        await stage.until_gone()

    with running() as rig:
        rig.plays(play)
        with rig.open(CHAT, {"model": "m", "stream": True}) as connection:
            received = b""
            while TEXT not in received:
                received += connection.recv(65536)
        assert rig.log.of(None) == []


def test_begin_and_progress_tell_of_a_running_stream() -> None:
    with running(GatewaySettings(progress_seconds=0)) as rig:
        rig.plays(stream([TEXT, TEXT, EXTRA, DONE]))
        rig.ask(
            CHAT, {"model": "m", "stream": True, "max_tokens": 20, "messages": [{"role": "user", "content": "x" * 40}]}
        )
        event = rig.log.wait_for(1)[0]
        begin, progress = rig.log.of("begin")[0], rig.log.of("progress")
    assert begin["event_id"] == event["event_id"]
    assert (begin["input_tokens"], begin["expected_output_tokens"]) == (10, 20)
    assert "status" not in begin
    assert [record["event_id"] for record in progress] == [event["event_id"]] * len(progress)
    seen = [record["output_tokens"] for record in progress]
    assert seen == sorted(seen)
    assert seen[-1] > 0
    assert rig.log.lines[0] == begin
    assert rig.log.lines[-1] == event


def test_the_expected_length_is_learnt() -> None:
    with running() as rig:
        rig.plays(
            stream([TEXT, event({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1000}}), DONE])
        )
        _expect(rig, 300, feature="a")
        _expect(rig, 1000, feature="a")
        _expect(rig, 300, feature="b")


def _expect(rig: Rig, tokens: int, feature: str) -> None:
    already = len(rig.log.of(None))
    rig.ask(CHAT, {"model": "m", "stream": True}, x_taximeter_feature=feature)
    rig.log.wait_for(already + 1)
    assert rig.log.of("begin")[-1]["expected_output_tokens"] == tokens


def strict_host(error: dict[str, Any]) -> Play:
    """A compatible host that does not know the field, and says so."""

    async def play(stage: Stage) -> None:
        if "stream_options" in stage.request.json:
            await whole(json.dumps({"error": error}).encode(), 422)(stage)
        else:
            await stream([TEXT, DONE])(stage)

    return play


def test_a_host_that_refuses_the_question_is_asked_without_it_and_never_again() -> None:
    body = b'{"model":"m", "stream":true}'
    with running() as rig:
        rig.plays(strict_host({"message": "Extra inputs are not permitted: stream_options", "type": "invalid"}))
        for _ in range(2):
            assert rig.ask(CHAT, raw=body).body == TEXT + DONE
        assert [request.body == body for request in rig.provider.seen] == [False, True, True]
        events = rig.log.wait_for(2)
    assert [(event["status"], event["http_status"]) for event in events] == [("ok", 200)] * 2
    assert len(rig.log.of("begin")) == 2


def test_a_request_that_is_wrong_by_itself_is_not_repeated() -> None:
    error = {"message": "messages is missing", "type": "invalid_request_error"}
    with running() as rig:
        rig.plays(strict_host(error))
        reply = rig.ask(CHAT, {"model": "m", "stream": True})
        assert (reply.status, reply.json) == (422, {"error": error})
        assert len(rig.provider.seen) == 1
        assert rig.log.wait_for(1)[0]["error_type"] == "invalid_request_error"


def test_a_host_that_repeats_a_request_which_is_wrong_by_itself_is_still_asked_for_the_usage_of_others() -> None:
    """FastAPI says of a field that is missing where it is missing: in all of the request."""

    async def play(stage: Stage) -> None:
        if "messages" in stage.request.json:
            await played_if_asked([TEXT, EXTRA, DONE])(stage)
        else:
            detail = [{"type": "missing", "loc": ["body", "messages"], "input": stage.request.json}]
            await whole(json.dumps({"detail": detail}).encode(), 422)(stage)

    with running() as rig:
        rig.plays(play)
        reply = rig.ask(CHAT, {"model": "m", "stream": True})
        assert (reply.status, reply.json["detail"][0]["input"]) == (422, {"model": "m", "stream": True})
        rig.ask(CHAT, {"model": "m", "stream": True, "messages": []})
        assert usage_of(rig.log.wait_for(2)[1:]) == (7, 3)
