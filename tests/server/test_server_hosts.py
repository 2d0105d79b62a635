"""Without credentials the server answers only to its own name: DNS rebinding finds nobody at home."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest
from faces import House

from taximeter.server.answers import Message
from taximeter.server.hosts import only_for_hosts


def status(host: str, path: str, *bound: str, **headers: str) -> int:
    """What a server without credentials, bound to these hosts, says to a request with that Host header."""

    async def ask() -> int:
        app = only_for_hosts(House(Path("nowhere"), open_to_all=True).app, bound)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
            answer = await client.get(path, headers={"host": host, **headers})
        if answer.status_code == 403:
            assert answer.json()["error"]["code"] == "forbidden"
            assert "public_url" in answer.json()["error"]["hint"]
        return answer.status_code

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("bound", "host", "allowed"),
    [
        ("127.0.0.1", "127.0.0.1:8787", True),
        ("127.0.0.1", "LOCALHOST:8787", True),
        ("127.0.0.1", "taximeter.localhost", True),
        ("127.0.0.1", "[::1]:8787", True),
        ("127.0.0.1", "127.8.8.8", True),
        ("127.0.0.1", "evil.example", False),
        ("127.0.0.1", "localhost.evil.example", False),
        ("127.0.0.1", "127.0.0.1.evil.example:8787", False),
        ("127.0.0.1", "evil.example@127.0.0.1.evil.example", False),
        ("127.0.0.1", "192.168.1.7", False),
        ("127.0.0.1", "[broken", False),
        ("127.0.0.1", "", False),
        ("meter.internal", "Meter.Internal:8787", True),
        ("192.168.1.7", "192.168.1.7:8787", True),
        ("192.168.1.7", "192.168.1.8:8787", False),
        ("0.0.0.0", "192.168.1.8:8787", True),
        ("0.0.0.0", "meter.internal", False),
        ("::", "[fe80::1]:8787", True),
    ],
)
@pytest.mark.parametrize("path", ["/", "/metrics", "/openai/v1/models"])
def test_only_our_own_names_are_answered(bound: str, host: str, path: str, allowed: bool) -> None:
    assert (status(host, path, bound) != 403) is allowed


def test_a_name_that_was_given_is_answered_too() -> None:
    assert status("meter.example.com", "/metrics", "0.0.0.0", "meter.example.com") == 200
    assert status("", "/metrics", "127.0.0.1", "") == 403, "no name given is no name allowed"


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("http://127.0.0.1:8787", True),
        ("http://localhost:5173", True),
        ("https://evil.example", False),
        ("null", False),
        ("", False),
    ],
)
def test_pages_of_other_sites_are_not_answered(origin: str, allowed: bool) -> None:
    assert (status("127.0.0.1:8787", "/openai/v1/models", "127.0.0.1", origin=origin) != 403) is allowed


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_probes_may_call_us_anything(path: str) -> None:
    assert status("10.1.2.3:8787", path, "127.0.0.1") == 200


def first_word_to_a_websocket(path: str, **headers: str) -> str:
    """The type of the first message that the server sends to a websocket; the gateway's is an answer of HTTP."""

    async def ask() -> str:
        app = only_for_hosts(House(Path("nowhere"), open_to_all=True).app, ["127.0.0.1"])
        given = [(name.encode(), value.encode()) for name, value in headers.items()]
        scope = {"type": "websocket", "path": path, "raw_path": path.encode(), "query_string": b"", "headers": given}
        told: list[str] = []

        async def receive() -> Message:
            return {"type": "websocket.connect"}

        async def send(message: Message) -> None:
            told.append(message["type"])

        await app(scope, receive, send)
        return told[0]

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("path", "headers", "reached"),
    [
        ("/openai/v1/realtime", {"host": "127.0.0.1:8787"}, True),
        ("/openai/v1/realtime", {"host": "127.0.0.1:8787", "origin": "http://localhost:8787"}, True),
        ("/openai/v1/realtime", {"host": "127.0.0.1:8787", "origin": "https://evil.example"}, False),
        ("/openai/v1/realtime", {"host": "evil.example"}, False),
        ("/api/v1/live", {"host": "127.0.0.1:8787"}, False),
        ("/", {"host": "127.0.0.1:8787"}, False),
    ],
)
def test_websockets_are_for_the_gateway_and_not_for_pages_of_other_sites(
    path: str, headers: dict[str, str], reached: bool
) -> None:
    assert (first_word_to_a_websocket(path, **headers) != "websocket.close") is reached
