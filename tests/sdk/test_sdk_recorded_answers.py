"""Every recorded answer, read through the real client library by every road it offers, gives the recorded usage."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import anthropic
import openai
import pytest
from replay import CASES, Provider, Written, agrees, case

import taximeter
from conftest import ClientFor

# Recordings are older than the models in them are supported, and than the types of the library.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Pydantic serializer warnings"),
]

APIS = {
    "openai.chat": ("chat", "completions"),
    "openrouter.chat": ("chat", "completions"),
    "groq.chat": ("chat", "completions"),
    "deepseek.chat": ("chat", "completions"),
    "openai.responses": ("responses",),
    "openai.embeddings": ("embeddings",),
    "anthropic.messages": ("messages",),
}


def _usable(path: Any) -> bool:
    found = json.loads(path.read_text())
    return (
        found["api"] in APIS
        and found["request"].get("method") == "POST"
        and found["response"]["status"] == 200
        and "body" in found["response"]
        and isinstance(found["request"].get("body"), dict)
        and "model" in found["request"]["body"]
    )


RECORDED = sorted(path.stem for path in CASES.glob("*.json") if _usable(path))


NEEDED: dict[str, dict[str, Any]] = {
    "openai.chat": {"messages": [{"role": "user", "content": "?"}]},
    "anthropic.messages": {"messages": [{"role": "user", "content": "?"}], "max_tokens": 1024},
}
"""What the client library insists on and some recordings have left out."""


def _create(client: Any, recorded: dict[str, Any], variant: str = "") -> Callable[[], Any]:
    """The call that was recorded, as the client library makes it."""
    resource = client
    for name in APIS[recorded["api"]]:
        resource = getattr(resource, name)
    method = (getattr(resource, variant) if variant else resource).create
    rest = {**NEEDED.get(recorded["api"], {}), **recorded["request"]["body"]}
    named = {name: rest.pop(name) for name in ("model", "messages", "input", "max_tokens", "stream") if name in rest}
    return lambda: method(**named, extra_body=rest)


def _library(recorded: dict[str, Any]) -> str:
    return "anthropic" if recorded["api"].startswith("anthropic") else "openai"


def _read_sync(create: Callable[[], Any], stream: bool) -> None:
    answer = create()
    if stream:
        for _ in answer:
            pass


@pytest.mark.parametrize("name", RECORDED)
def test_synchronous(name: str, provider: Provider, written: Written, client_for: ClientFor) -> None:
    recorded = case(name)
    provider.says(recorded)
    with taximeter.instrument(client_for(_library(recorded), provider.url, False)) as client:
        try:
            _read_sync(_create(client, recorded), recorded["stream"])
        except (openai.APIError, anthropic.APIError):
            assert recorded["expected"].get("error")
    agrees(written.event, recorded["expected"])


@pytest.mark.parametrize("name", RECORDED)
def test_asynchronous(name: str, provider: Provider, written: Written, client_for: ClientFor) -> None:
    recorded = case(name)
    provider.says(recorded)

    async def call() -> None:
        async with taximeter.instrument(client_for(_library(recorded), provider.url, True)) as client:
            answer = await _create(client, recorded)()
            if recorded["stream"]:
                async for _ in answer:
                    pass

    try:
        asyncio.run(call())
    except (openai.APIError, anthropic.APIError):
        assert recorded["expected"].get("error")
    agrees(written.event, recorded["expected"])


@pytest.mark.parametrize("name", RECORDED)
def test_raw_response(name: str, provider: Provider, written: Written, client_for: ClientFor) -> None:
    recorded = case(name)
    provider.says(recorded)
    with taximeter.instrument(client_for(_library(recorded), provider.url, False)) as client:
        raw = _create(client, recorded, "with_raw_response")()
        if recorded["stream"]:
            raw.http_response.read()
    agrees(written.event, recorded["expected"])


@pytest.mark.parametrize("name", RECORDED)
def test_streaming_response(name: str, provider: Provider, written: Written, client_for: ClientFor) -> None:
    recorded = case(name)
    provider.says(recorded)
    with (
        taximeter.instrument(client_for(_library(recorded), provider.url, False)) as client,
        _create(client, recorded, "with_streaming_response")() as response,
    ):
        assert b"".join(response.iter_bytes()) == recorded["response"]["body"].encode()
    agrees(written.event, recorded["expected"])
