"""Clients whose `request` is somebody's own: it gets what its caller gave, and the call is metered."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable
from typing import Any

import anthropic
import openai
import pytest
from replay import Provider, Written, case

import taximeter
from taximeter.sdk.instruments import stainless, uninstrument_all

ClientFor = Callable[..., Any]

MESSAGES = [{"role": "user", "content": "hi"}]


def decorated(original: Any, came: list[Any]) -> Callable[..., Any]:
    def request(*args: Any, **kwargs: Any) -> Any:
        came.append((args[2:], kwargs))
        return original(*args, **kwargs)

    return request


def decorated_with_a_name_of_its_own(original: Any, came: list[Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def request(*args: Any, tag: str = "", **kwargs: Any) -> Any:
        came.append((args[2:], {**kwargs, "tag": tag}))
        return original(*args, **kwargs)

    return request


def with_places(original: Any, came: list[Any]) -> Callable[..., Any]:
    def request(cast_to: Any, options: Any, stream: bool = False, stream_cls: Any = None) -> Any:
        came.append(((stream, stream_cls), {}))
        return original(cast_to, options, stream=stream, stream_cls=stream_cls)

    return request


def with_a_default(original: Any, came: list[Any]) -> Callable[..., Any]:
    def request(cast_to: Any, options: Any, *, stream: bool = False, stream_cls: Any = "its own") -> Any:
        came.append(((), {"stream": stream, "stream_cls": stream_cls}))
        return original(cast_to, options, stream=stream)

    return request


@pytest.mark.parametrize("patched", ["the client", "the classes"])
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("library", ["openai", "anthropic"])
@pytest.mark.parametrize(
    ("own", "args", "kwargs", "comes"),
    [
        (decorated, (), {}, ((), {})),
        (decorated, (), {"stream": False}, ((), {"stream": False})),
        (decorated_with_a_name_of_its_own, (), {"tag": "t"}, ((), {"tag": "t"})),
        (with_places, (False, None), {}, ((False, None), {})),
        (with_a_default, (), {}, ((), {"stream": False, "stream_cls": "its own"})),
    ],
    ids=["decorated", "decorated, a keyword", "a name of its own", "places", "a default of its own"],
)
def test_a_request_of_their_own_gets_what_its_caller_gave(
    own: Any,
    args: Any,
    kwargs: Any,
    comes: Any,
    library: str,
    asynchronous: bool,
    patched: str,
    provider: Provider,
    written: Written,
    client_for: ClientFor,
) -> None:
    provider.says(case("openai-chat-cached-4omini" if library == "openai" else "anthropic-2023-shape"))
    module: Any = {"openai": openai, "anthropic": anthropic}[library]
    path = "/chat/completions" if library == "openai" else "/v1/messages"
    options = module._models.FinalRequestOptions(
        method="post", url=path, json_data={"model": "m", "max_tokens": 5, "messages": MESSAGES}
    )
    came = list[Any]()
    client = client_for(library, provider.url, asynchronous)
    if patched == "the classes":
        taximeter.instrument_all()
    client.request = own(client.request, came)
    if patched == "the client":
        taximeter.instrument(client)
    try:
        answer = client.request(dict[str, Any], options, *args, **kwargs)
        if inspect.isawaitable(answer):
            answer = asyncio.run(finished(client, answer))
        else:
            client.close()
    finally:
        uninstrument_all()
    assert came == [comes]
    assert answer["usage"]
    assert [event.get("status") for event in written.events] == ["ok"]


async def finished(client: Any, answer: Any) -> Any:
    async with client:
        return await answer


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("library", ["openai", "anthropic"])
def test_the_methods_of_the_libraries_are_known(library: str, asynchronous: bool, client_for: ClientFor) -> None:
    client = client_for(library, "http://127.0.0.1:9", asynchronous)
    assert stainless._takes(client.request, stainless._REQUEST)
    assert stainless._takes(client._process_response, stainless._RESPONSE)
    asyncio.run(client.close()) if asynchronous else client.close()
