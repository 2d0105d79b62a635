"""Streams that are one JSON array, as Gemini's without `alt=sse`: they reach the client as they come."""

from __future__ import annotations

import json
from typing import Any

import pytest
from gateway_rig import Play, Rig, Stage, running
from test_gateway_hangups import Waiting, wait_until_noticed
from test_gateway_recorded import all_providers

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
    assert event["status"] == "interrupted"


@pytest.mark.parametrize("limit_bytes", [len(FIRST), len(FIRST + LAST + END) - 1])
def test_one_too_large_to_be_read_is_handed_on_all_the_same(limit_bytes: int) -> None:
    provider = Waiting()
    provider.go_on.set()
    with running(GatewaySettings(tap_limit_bytes=limit_bytes), more_providers=all_providers) as rig:
        with asked(rig, array(provider)) as connection:
            assert b"last words" in received_until(connection, WHOLE)
        (event,) = rig.log.wait_for(1)
    assert (event["status"], event.get("output_tokens")) == ("ok", None)
