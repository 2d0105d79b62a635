"""Streams of Ollama's library: generators that ask nothing before their first part is wanted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import ollama
import pytest
from replay import Answer, Provider, Written

import taximeter

PARTS: list[dict[str, Any]] = [
    {"model": "llama3.2", "message": {"role": "assistant", "content": "Hel"}, "done": False},
    {"model": "llama3.2", "message": {"role": "assistant", "content": "lo"}, "done": False},
    {
        "model": "llama3.2",
        "message": {"role": "assistant", "content": ""},
        "done": True,
        "prompt_eval_count": 11,
        "eval_count": 3,
    },
]
BROKEN = [PARTS[0], {"error": "an unknown error was encountered while running the model"}]
SAID: list[Any] = [{"role": "user", "content": "Hi"}]


def as_lines(parts: list[dict[str, Any]]) -> Answer:
    return Answer(200, b"".join(json.dumps(part).encode() + b"\n" for part in parts), "application/x-ndjson")


@pytest.fixture
def client(provider: Provider) -> Iterator[ollama.Client]:
    with taximeter.instrument(ollama.Client(provider.url)) as made:
        yield made


def test_a_stream_is_counted_when_it_is_read(client: ollama.Client, provider: Provider, written: Written) -> None:
    provider.answers = [as_lines(PARTS)]
    read = [part.message.content for part in client.chat("llama3.2", SAID, stream=True)]
    event = written.event
    assert read == ["Hel", "lo", ""]
    assert (event["provider"], event["status"], event["http_status"]) == ("ollama", "ok", 200)
    assert (event["input_tokens"], event["output_tokens"]) == (11, 3)
    assert event["time_to_first_token_ms"] >= 0


def test_a_stream_that_nobody_reads_is_no_call(client: ollama.Client, provider: Provider, written: Written) -> None:
    client.chat("llama3.2", SAID, stream=True)
    assert (provider.requests, written.lines) == ([], [])


def test_a_stream_belongs_to_whoever_asked_for_it(client: ollama.Client, provider: Provider, written: Written) -> None:
    provider.answers = [as_lines(PARTS)]
    with taximeter.attribute(user="u1"):
        stream = client.chat("llama3.2", SAID, stream=True)
    with taximeter.attribute(user="u2"):
        list(stream)
    assert written.event["user_id"] == "u1"


def test_a_stream_that_is_closed_early_is_cancelled(
    client: ollama.Client, provider: Provider, written: Written
) -> None:
    provider.answers = [as_lines(PARTS)]
    stream: Any = client.chat("llama3.2", SAID, stream=True)
    next(stream)
    stream.close()
    assert (written.event["status"], written.event["usage_estimated"]) == ("cancelled", True)


def test_an_error_in_a_line_is_the_providers(client: ollama.Client, provider: Provider, written: Written) -> None:
    provider.answers = [as_lines(BROKEN)]
    with pytest.raises(ollama.ResponseError, match="unknown error"):
        list(client.chat("llama3.2", SAID, stream=True))
    assert (written.event["status"], written.event["http_status"]) == ("error", 200)


@pytest.mark.parametrize("stream", [False, True])
def test_a_refusal_is_an_error_with_its_status(
    stream: Any, client: ollama.Client, provider: Provider, written: Written
) -> None:
    provider.answers = [Answer(404, b'{"error": "model not found"}')]
    with pytest.raises(ollama.ResponseError, match="model not found"):
        list(client.chat("nope", SAID, stream=stream))
    assert (written.event["status"], written.event["http_status"]) == ("error", 404)


def test_an_asynchronous_stream_that_breaks_within_its_reader(provider: Provider, written: Written) -> None:
    provider.answers = [as_lines(PARTS)]

    async def ask() -> None:
        async with taximeter.instrument(ollama.AsyncClient(provider.url)) as client:
            stream: Any = await client.chat("llama3.2", SAID, stream=True)
            await anext(stream)
            with pytest.raises(ZeroDivisionError):
                await stream.athrow(ZeroDivisionError())

    asyncio.run(ask())
    assert written.event["status"] == "interrupted"
