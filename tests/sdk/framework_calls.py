"""`python framework_calls.py FRAMEWORK URL`: calls through a framework, in a process of its own, which it then ends.

Call number n has a prompt of `FEWEST_WORDS + n` words. The simulated providers listen at URL; where events go is in the
environment.
"""

from __future__ import annotations

import asyncio
import json
import sys
import warnings
from collections.abc import AsyncIterator, Callable
from typing import Any

import taximeter

FEWEST_WORDS = 10
LONG_WORDS = 1_200

Call = Callable[[str, str], Any]

LOOP = asyncio.Runner()
"""One loop for all calls: the frameworks keep connections for the next one."""


def messages(prompt: str) -> list[Any]:
    return [{"role": "user", "content": prompt}]


async def last(stream: AsyncIterator[Any]) -> None:
    async for _ in stream:
        pass


def litellm_calls() -> list[Call]:
    """It calls OpenAI with OpenAI's client, and Anthropic by itself."""
    import litellm

    litellm.suppress_debug_info = True

    def gpt(url: str, prompt: str, **more: Any) -> dict[str, Any]:
        return {
            "model": "openai/gpt-4o",
            "messages": messages(prompt),
            "api_base": url + "/v1",
            "api_key": "k",
            **more,
        }

    def claude(url: str, prompt: str, **more: Any) -> dict[str, Any]:
        return {
            "model": "anthropic/claude-sonnet-5",
            "messages": messages(prompt),
            "api_base": url,
            "api_key": "k",
            **more,
        }

    async def streamed(asked: dict[str, Any]) -> None:
        await last(await litellm.acompletion(**asked))

    def cached(url: str, prompt: str) -> None:
        text = {"type": "text", "text": prompt * LONG_WORDS, "cache_control": {"type": "ephemeral"}}
        litellm.completion(**claude(url, prompt) | {"messages": [{"role": "user", "content": [text]}]})

    return [
        lambda url, prompt: litellm.completion(**gpt(url, prompt)),
        lambda url, prompt: list(litellm.completion(**gpt(url, prompt), stream=True)),
        lambda url, prompt: LOOP.run(litellm.acompletion(**gpt(url, prompt))),
        lambda url, prompt: LOOP.run(streamed(gpt(url, prompt, stream=True))),
        lambda url, prompt: litellm.completion(**claude(url, prompt)),
        lambda url, prompt: list(litellm.completion(**claude(url, prompt), stream=True)),
        lambda url, prompt: LOOP.run(litellm.acompletion(**claude(url, prompt))),
        lambda url, prompt: LOOP.run(streamed(claude(url, prompt, stream=True))),
        lambda url, prompt: litellm.embedding(
            model="openai/text-embedding-3-small", input=[prompt], api_base=url + "/v1", api_key="k"
        ),
        cached,
    ]


def langchain_calls() -> list[Call]:
    """Both models call their provider with that provider's client."""
    from langchain_anthropic import ChatAnthropic
    from langchain_openai import ChatOpenAI

    def gpt(url: str) -> Any:
        return ChatOpenAI(model="gpt-4o", base_url=url + "/v1", api_key="k")  # type: ignore[arg-type]

    def claude(url: str) -> Any:
        return ChatAnthropic(model="claude-sonnet-5", base_url=url, api_key="k")  # type: ignore[call-arg, arg-type]

    return [
        lambda url, prompt: gpt(url).invoke(prompt),
        lambda url, prompt: list(gpt(url).stream(prompt)),
        lambda url, prompt: LOOP.run(gpt(url).ainvoke(prompt)),
        lambda url, prompt: LOOP.run(last(gpt(url).astream(prompt))),
        lambda url, prompt: gpt(url).batch([prompt]),
        lambda url, prompt: claude(url).invoke(prompt),
        lambda url, prompt: list(claude(url).stream(prompt)),
        lambda url, prompt: LOOP.run(last(claude(url).astream(prompt))),
    ]


def llama_index_calls() -> list[Call]:
    """Its OpenAI model calls OpenAI's client."""
    from llama_index.core.llms import ChatMessage  # type: ignore[import-not-found, unused-ignore]
    from llama_index.llms.openai import OpenAI  # type: ignore[import-not-found, unused-ignore]

    def gpt(url: str) -> Any:
        return OpenAI(model="gpt-4o", api_base=url + "/v1", api_key="k")

    def said(prompt: str) -> list[Any]:
        return [ChatMessage(role="user", content=prompt)]

    async def streamed(url: str, prompt: str) -> None:
        await last(await gpt(url).astream_chat(said(prompt)))

    return [
        lambda url, prompt: gpt(url).chat(said(prompt)),
        lambda url, prompt: gpt(url).complete(prompt),
        lambda url, prompt: list(gpt(url).stream_chat(said(prompt))),
        lambda url, prompt: LOOP.run(gpt(url).achat(said(prompt))),
        lambda url, prompt: LOOP.run(streamed(url, prompt)),
    ]


CLAUDE_AT_BEDROCK = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"


def bedrock(url: str) -> Any:
    from aiobotocore.config import AioConfig  # type: ignore[import-not-found, unused-ignore]
    from aiobotocore.session import get_session  # type: ignore[import-not-found, unused-ignore]

    config = AioConfig(retries={"total_max_attempts": 8, "mode": "standard"})
    keys = {"aws_access_key_id": "AKIA", "aws_secret_access_key": "secret", "region_name": "eu-west-1"}
    return get_session().create_client("bedrock-runtime", endpoint_url=url, config=config, **keys)


def said(prompt: str) -> dict[str, Any]:
    return {"modelId": CLAUDE_AT_BEDROCK, "messages": [{"role": "user", "content": [{"text": prompt}]}]}


def invoked(prompt: str) -> dict[str, Any]:
    body = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 500, "messages": messages(prompt)}
    return {"modelId": CLAUDE_AT_BEDROCK, "body": json.dumps(body)}


def aiobotocore_calls() -> list[Call]:
    """Every way of asking Bedrock's runtime, and of reading the body of an invoked model's answer. The last one hangs
    up."""

    async def converse(url: str, prompt: str) -> None:
        async with bedrock(url) as client:
            await client.converse(**said(prompt))

    async def converse_stream(url: str, prompt: str) -> None:
        async with bedrock(url) as client:
            await last((await client.converse_stream(**said(prompt)))["stream"])

    async def invoke(url: str, prompt: str) -> None:
        async with bedrock(url) as client:
            json.loads(await (await client.invoke_model(**invoked(prompt)))["body"].read())

    async def invoke_in_pieces(url: str, prompt: str) -> None:
        async with bedrock(url) as client, (await client.invoke_model(**invoked(prompt)))["body"] as body:
            await last(body.iter_chunks(100))

    async def invoke_unread(url: str, prompt: str) -> None:
        async with bedrock(url) as client:
            await client.invoke_model(**invoked(prompt))

    async def invoke_stream(url: str, prompt: str) -> None:
        async with bedrock(url) as client:
            await last((await client.invoke_model_with_response_stream(**invoked(prompt)))["body"])

    async def hang_up(url: str, prompt: str) -> None:
        async with bedrock(url) as client:
            stream = (await client.converse_stream(**said(prompt)))["stream"]
            async for _ in stream:
                break
            stream.close()

    ways = (converse, converse_stream, invoke, invoke_in_pieces, invoke_unread, invoke_stream, hang_up)

    def as_call(way: Any) -> Call:
        return lambda url, prompt: LOOP.run(way(url, prompt))

    return [as_call(way) for way in ways]


FRAMEWORKS: dict[str, Callable[[], list[Call]]] = {
    "aiobotocore": aiobotocore_calls,
    "litellm": litellm_calls,
    "langchain": langchain_calls,
    "llama-index": llama_index_calls,
}


def main(framework: str, url: str) -> None:
    warnings.simplefilter("ignore")
    found = taximeter.instrument_all()
    assert framework in found, found
    for number, call in enumerate(FRAMEWORKS[framework]()):
        call(url, "word " * (FEWEST_WORDS + number))


if __name__ == "__main__":
    main(*sys.argv[1:])
