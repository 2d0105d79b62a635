"""Live sessions of `google-genai`, whose client speaks TLS only: each turn is an event."""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from google import genai
from google.genai.types import HttpOptions
from replay import Written
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

import taximeter

MODEL = "gemini-live-2.5-flash"
IN_TEXT: Any = {"response_modalities": ["TEXT"]}


def spoken(text: str) -> dict[str, Any]:
    return {"serverContent": {"modelTurn": {"role": "model", "parts": [{"text": text}]}}}


def turn_of(read: int, written: int) -> dict[str, Any]:
    usage = {"promptTokenCount": read, "responseTokenCount": written, "totalTokenCount": read + written}
    return {"serverContent": {"turnComplete": True}, "usageMetadata": usage}


class LiveProvider:
    """Sets a session up, and tells the next of `turns` for each message that comes."""

    def __init__(self) -> None:
        self.turns: list[Sequence[dict[str, Any]]] = []
        self.setups: list[dict[str, Any]] = []
        self.url = ""

    def __call__(self, connection: ServerConnection) -> None:
        try:
            self.setups.append(json.loads(connection.recv(timeout=120)))
            connection.send(b'{"setupComplete":{}}')
            for turn in self.turns:
                connection.recv(timeout=120)
                for message in turn:
                    connection.send(json.dumps(message).encode())
            connection.recv(timeout=120)
        except ConnectionClosed:
            pass


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    key, made = folder / "key.pem", folder / "certificate.pem"
    command = ["openssl", "req", "-x509", "-nodes", "-days", "1", "-subj", "/CN=localhost", "-newkey", "ec"]
    command += ["-pkeyopt", "ec_paramgen_curve:prime256v1", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([*command, "-keyout", key, "-out", made], check=True, capture_output=True)
    return key, made


@pytest.fixture
def live(certificate: tuple[Path, Path]) -> Iterator[LiveProvider]:
    key, made = certificate
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made, key)
    provider = LiveProvider()
    with serve(provider, "127.0.0.1", 0, ssl=context, compression=None) as server:
        provider.url = f"https://localhost:{server.socket.getsockname()[1]}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield provider
        server.shutdown()
        thread.join()


def client_of(live: LiveProvider, certificate: tuple[Path, Path]) -> genai.Client:
    trusted = ssl.create_default_context(cafile=str(certificate[1]))
    options = HttpOptions(base_url=live.url, async_client_args={"ssl": trusted})
    return taximeter.instrument(genai.Client(api_key="k", http_options=options))


async def converse(client: genai.Client, messages_to_read: Sequence[int]) -> list[str]:
    """Asks once for each of `messages_to_read`, and reads so many messages of its answer; what was said."""
    said: list[str] = []
    async with client.aio.live.connect(model=MODEL, config=IN_TEXT) as session:
        for number in messages_to_read:
            await session.send_client_content(turns={"role": "user", "parts": [{"text": "?"}]}, turn_complete=True)
            messages: Any = session.receive()
            said += [message.text or "" for message in [await anext(messages) for _ in range(number)]]
            await messages.aclose()
    return said


@pytest.mark.usefixtures("lasting")
def test_each_turn_is_an_event_of_whoever_listens(
    live: LiveProvider, certificate: tuple[Path, Path], written: Written
) -> None:
    live.turns = [[spoken("Hel"), spoken("lo"), turn_of(7, 3)], [spoken("Bye"), turn_of(12, 5)]]
    with taximeter.attribute(user="u1"):
        assert asyncio.run(converse(client_of(live, certificate), (3, 2))) == ["Hel", "lo", "", "Bye", ""]
    assert [(event["input_tokens"], event["output_tokens"]) for event in written.events] == [(7, 3), (12, 5)]
    assert [begun["event_id"] for begun in written.begun] == [event["event_id"] for event in written.events]
    for event in written.events:
        assert (event["provider"], event["request_model"]) == ("google", MODEL)
        assert (event["status"], event["user_id"], event["operation"]) == ("ok", "u1", "realtime")
    assert live.setups[0]["setup"]["model"] == f"models/{MODEL}"


def test_a_turn_that_the_session_does_not_outlive_is_cancelled(
    live: LiveProvider, certificate: tuple[Path, Path], written: Written
) -> None:
    live.turns = [[spoken("Hel"), turn_of(7, 3)], [spoken("By")]]
    asyncio.run(converse(client_of(live, certificate), (2, 1)))
    assert [event["status"] for event in written.events] == ["ok", "cancelled"]


def test_a_session_in_which_nothing_is_said_is_no_call(
    live: LiveProvider, certificate: tuple[Path, Path], written: Written
) -> None:
    asyncio.run(converse(client_of(live, certificate), ()))
    assert written.lines == []


def test_what_is_not_instrumented_is_left_alone(
    live: LiveProvider, certificate: tuple[Path, Path], written: Written
) -> None:
    live.turns = [[turn_of(7, 3)]]
    client = client_of(live, certificate)
    client._api_client._taximeter = False  # type: ignore[attr-defined]
    asyncio.run(converse(client, (1,)))
    assert written.lines == []
