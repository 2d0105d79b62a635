"""Streams that are one JSON array, as Gemini's without `alt=sse`: they reach the client as they come."""

from __future__ import annotations

import json
from typing import Any

from gateway_rig import Play, Rig, Stage, running
from test_gateway_admission import LIMIT, Held, Rule
from test_gateway_hangups import Waiting, wait_until_noticed
from test_gateway_recorded import all_providers

from taximeter.extract import estimated_tokens
from taximeter.gateway import GatewaySettings

PATH = "/gemini/v1beta/models/gemini-2.5-flash:streamGenerateContent"
ASKED = {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}


def chunk(text: str, **more: Any) -> bytes:
    said = {"candidates": [{"index": 0, "content": {"parts": [{"text": text}]}, **more.pop("candidate", {})}], **more}
    return json.dumps({**said, "modelVersion": "gemini-2.5-flash", "responseId": "r-1"}).encode()


FIRST = b"[" + chunk("first words")
LAST = b"\n,\n" + chunk(
    "last words",
    candidate={"finishReason": "STOP"},
    usageMetadata={"promptTokenCount": 100, "candidatesTokenCount": 20, "totalTokenCount": 120},
)
END = b"\n]\n"
WHOLE = END + b"\r\n0\r\n\r\n"
"""The end of the array and of the body, as they are on the wire."""


def array(provider: Waiting, *, breaks_off: bool = False) -> Play:
    """The array, that stops after its first item until it is told to go on."""

    async def play(stage: Stage) -> None:
        stage.head(200, [("content-type", "application/json; charset=UTF-8"), ("transfer-encoding", "chunked")])
        await stage.chunk(FIRST)
        await provider.told(stage)
        if breaks_off:
            stage.break_off()
        elif not stage.writer.is_closing():
            await stage.chunk(LAST)
            await stage.chunk(END)
            stage.end()

    return play


def received_until(connection: Any, text: bytes) -> bytes:
    received = b""
    while text not in received:
        more = connection.recv(65536)
        assert more, f"the connection ended after {received!r}"
        received += more
    return received


def asked(rig: Rig, play: Play) -> Any:
    rig.plays(play)
    return rig.open(PATH, ASKED)


def test_an_item_is_handed_on_before_the_next_has_come_and_all_are_counted() -> None:
    provider = Waiting()
    with running(more_providers=all_providers) as rig:
        with asked(rig, array(provider)) as connection:
            received_until(connection, b"first words")
            assert rig.log.of(None) == []
            provider.go_on.set()
            received_until(connection, WHOLE)
        (event,) = rig.log.wait_for(1)
    assert (event["status"], event["http_status"]) == ("ok", 200)
    assert (event["input_tokens"], event["output_tokens"], event["response_id"]) == (100, 20, "r-1")
    assert 0 < event["time_to_first_token_ms"] < event["duration_ms"]


def test_a_client_that_leaves_is_charged_for_what_was_drained() -> None:
    provider = Waiting()
    with running(more_providers=all_providers) as rig:
        with asked(rig, array(provider)) as connection:
            received_until(connection, b"first words")
        wait_until_noticed(rig)
        provider.go_on.set()
        (event,) = rig.log.wait_for(1)
    assert (event["status"], event["input_tokens"], event["output_tokens"]) == ("cancelled", 100, 20)


def test_one_that_breaks_off_breaks_off_for_the_client() -> None:
    provider = Waiting()
    with running(more_providers=all_providers) as rig:
        with asked(rig, array(provider, breaks_off=True)) as connection:
            received_until(connection, b"first words")
            provider.go_on.set()
            rest = b""
            while more := connection.recv(65536):
                rest += more
            assert not rest.endswith(b"0\r\n\r\n")
        (event,) = rig.log.wait_for(1)
    assert (event["status"], event["usage_estimated"]) == ("interrupted", True)
    assert event["output_tokens"] == estimated_tokens(len("first words"))


def test_one_that_is_larger_than_what_is_kept_of_an_answer_is_counted() -> None:
    provider = Waiting()
    provider.go_on.set()
    with running(GatewaySettings(tap_limit_bytes=len(FIRST)), more_providers=all_providers) as rig:
        with asked(rig, array(provider)) as connection:
            assert b"last words" in received_until(connection, WHOLE)
        (event,) = rig.log.wait_for(1)
    assert (event["status"], event["output_tokens"]) == ("ok", 20)


def test_what_is_held_for_it_is_extended_while_it_flows() -> None:
    provider, held = Waiting(), Held()
    with running(admission=Rule(lambda _: held), more_providers=all_providers) as rig:
        with asked(rig, array(provider)) as connection:
            received_until(connection, b"first words")
            provider.go_on.set()
            received_until(connection, WHOLE)
        rig.log.wait_for(1)
    assert held.extended[0] == len("first words")
    assert held.extended[-1] == len("first wordslast words")


def test_one_that_is_not_extended_breaks_off_since_nobody_else_can_end_its_array() -> None:
    provider, held = Waiting(), Held(cut=LIMIT)
    with running(admission=Rule(lambda _: held), more_providers=all_providers) as rig:
        with asked(rig, array(provider)) as connection:
            received = b""
            while more := connection.recv(65536):
                received += more
        (event,) = rig.log.wait_for(1)
    assert not received.endswith(b"0\r\n\r\n")
    assert (event["status"], event["error_type"]) == ("interrupted", "limit_exceeded")
    assert (event["usage_estimated"], event["output_tokens"]) == (True, estimated_tokens(len("first words")))
