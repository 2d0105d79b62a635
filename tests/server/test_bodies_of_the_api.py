"""Bodies of the API: nobody without a credential has one read, and each has an end."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import pytest
from faces import KnownCredentials

from taximeter.errors import UsageError
from taximeter.server import bodies, credentials_first
from taximeter.server.access import Access
from taximeter.server.answers import Message
from taximeter.server.api import build_api
from taximeter.server.routes.spending import written_filters

PIECE = b"x" * 1000


class Client:
    """Sends a body in pieces for as long as somebody reads it; `pieces` None: it never sends any."""

    def __init__(self, pieces: int | None, piece: bytes = PIECE) -> None:
        self.pieces = pieces
        self.piece = piece
        self.read = 0
        self._sent: list[Message] = []

    def asks(self, secret: str, path: str = "/api/v1/query") -> tuple[int, dict[str, Any]]:
        """The status and the error of the answer."""
        api = build_api(None, "1.0")
        access = Access(KnownCredentials(), local_token="local", cookie="taximeter")
        api.state.parts = SimpleNamespace(access=access)
        headers = [(b"content-type", b"application/json"), (b"authorization", b"Bearer " + secret.encode())]
        place = {"path": path, "raw_path": path.encode(), "root_path": "", "query_string": b"", "scheme": "http"}
        asked = {"type": "http", "http_version": "1.1", "method": "POST", "headers": headers, **place}
        asyncio.run(api(asked, self._receive, self._send))
        body = b"".join(message.get("body", b"") for message in self._sent[1:])
        return self._sent[0]["status"], json.loads(body)["error"]

    async def _receive(self) -> Message:
        if self.pieces is None:
            await asyncio.Event().wait()
        self.read += 1
        return {"type": "http.request", "body": self.piece, "more_body": self.read != self.pieces}

    async def _send(self, message: Message) -> None:
        self._sent.append(message)


@pytest.mark.parametrize("path", ["/api/v1/query", "/api/v1/limits/admit", "/api/v1/reconcile", "/api/v1/nothing"])
def test_nothing_is_read_of_the_body_of_somebody_without_a_credential(path: str) -> None:
    client = Client(pieces=3)
    status, error = client.asks("nonsense", path)
    assert (status, error["code"], client.read) == (401, "unauthenticated", 0)


def test_a_body_that_is_too_large_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials_first, "MOST_BODY_BYTES", 2_500)
    client = Client(pieces=10)
    status, error = client.asks("key-read")
    assert (status, error["code"], client.read) == (413, "too_large", 3)
    assert error["message"] == "the body of a request to the API has 2500 bytes at most"


def test_a_body_that_never_comes_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0)
    status, error = Client(pieces=None).asks("key-read")
    assert (status, error["message"]) == (422, "the body of a request has 0 seconds to come")


def test_a_body_in_pieces_reaches_its_route_whole() -> None:
    status, error = Client(pieces=3).asks("key-read")
    assert (status, error["mistakes"]) == (422, [{"field": "0", "message": "JSON decode error"}])


@pytest.mark.parametrize("path", ["/api/v1/query", "/api/v1/limits", "/api/v1/rules", "/api/v1/keys"])
@pytest.mark.parametrize("half", [r"\ud800", r"\uDE00a", r"\ude00\ud83d"])
def test_half_a_character_is_refused_before_a_store_is_asked(path: str, half: str) -> None:
    status, error = Client(pieces=1, piece=f'{{"name": ["{half}"]}}'.encode()).asks("key-admin", path)
    assert (status, error["code"], error["field"]) == (422, "usage", "body")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-be", "utf-32"])
def test_half_a_character_is_refused_also_as_its_bytes_in_each_encoding_of_json(encoding: str) -> None:
    filters = '{"measures": ["calls"], "filters": {"feature": "\ud800"}}'
    status, error = Client(pieces=1, piece=filters.encode(encoding, "surrogatepass")).asks("key-read")
    assert (status, error["code"], error.get("field")) == (422, "usage", "body")


@pytest.mark.parametrize("whole", [r"\ud83d\ude00", r"\\ud800", "\N{GRINNING FACE}", r"\ud7ff"])
def test_a_whole_character_is_none_however_it_is_written(whole: str) -> None:
    _, error = Client(pieces=1, piece=f'{{"{whole}": 1}}'.encode()).asks("key-read")
    assert "half" not in error["message"]


def test_half_a_character_is_refused_in_filters_in_an_address_as_well() -> None:
    with pytest.raises(UsageError):
        written_filters(r'{"user_id": "\ud800"}')
    assert written_filters(r'{"user_id": "\ud83d\ude00"}') == {"user_id": "\N{GRINNING FACE}"}
