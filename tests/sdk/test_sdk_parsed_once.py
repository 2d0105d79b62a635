"""The JSON of an answer is parsed once, and nobody can tell."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import httpx
import httpx2
import pytest

from taximeter.sdk.parsed_once import parsed, payload_and_text

BODY = b'{"id": "chatcmpl-1", "usage": {"prompt_tokens": 1}}'


@pytest.fixture(params=[httpx.Response, httpx2.Response], ids=["httpx", "httpx2"])
def response(request: pytest.FixtureRequest) -> Any:
    return request.param(200, content=BODY, headers={"content-type": "application/json"})


def test_the_first_who_asks_gets_what_was_parsed_and_later_ones_their_own(response: Any) -> None:
    payload, text = payload_and_text(response)
    assert text == BODY.decode()
    first, second = response.json(), response.json()
    assert first is payload
    assert second == payload
    assert second is not payload


def test_who_asks_for_another_way_of_parsing_gets_it(response: Any) -> None:
    payload_and_text(response)
    assert response.json(parse_int=str)["usage"]["prompt_tokens"] == "1"
    assert response.json()["usage"]["prompt_tokens"] == 1


@pytest.mark.parametrize("body", [b"", b"no JSON", b"[" * 100_000, b"null"])
def test_what_cannot_be_parsed_is_left_to_the_library(body: bytes) -> None:
    response = httpx2.Response(200, content=body)
    assert payload_and_text(response)[0] is None
    assert "json" not in vars(response)


@pytest.mark.parametrize(
    "body", ['{"id": "1"}', memoryview(BODY), None, {"id": "1"}], ids=lambda body: type(body).__name__
)
def test_a_response_of_somebody_else_that_reads_no_bytes_has_no_payload(body: object) -> None:
    class Response:
        def read(self) -> object:
            return body

    assert payload_and_text(Response()) == (None, "")


@pytest.mark.parametrize(
    "body",
    [b"\n {}\n", '{"a": 1}'.encode("utf-16"), b"\xef\xbb\xbf[1]", b'["\xed\xa0\x80"]', b'{"a": 1} 2', b"NaN", b"1 "],
)
def test_bodies_are_read_as_the_library_would(body: bytes) -> None:
    try:
        expected = json.dumps(json.loads(body))
    except ValueError:
        expected = "null"
    assert json.dumps(parsed(body)) == expected


@pytest.mark.parametrize("text", ["", "no JSON", "[" * 100_000, "null", ' {"a": 1}\n', '["\ud800"]', '"ü"'])
def test_text_that_a_library_has_decoded_is_read_like_its_bytes(text: str) -> None:
    assert parsed(text) == parsed(text.encode("utf-8", "surrogatepass"))


def test_a_response_class_of_somebody_else_parses_for_itself() -> None:
    class Shouting(httpx2.Response):
        def json(self, **kwargs: Any) -> Any:
            return "HELLO"

    response = Shouting(200, content=BODY)
    assert payload_and_text(response) == (json.loads(BODY), BODY.decode())
    assert response.json() == "HELLO"


def test_a_response_can_be_pickled_and_copied_as_ever(response: Any) -> None:
    payload_and_text(response)
    for twin in (pickle.loads(pickle.dumps(response)), copy.copy(response)):
        assert twin.json() == json.loads(BODY)
    assert response.json() == json.loads(BODY)
