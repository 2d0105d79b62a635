"""Every client library that is instrumented, and every way it has of making a call.

A way is called with a provider's URL and a prompt, and reads what it gets: to the end, or only its first piece when
`hang_up`. Everything it opens it closes.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, closing
from typing import Any

import anthropic
import boto3
import cohere
import groq
import httpx
import ollama
import openai
from botocore.config import Config
from google import genai
from google.genai.types import HttpOptions, HttpRetryOptions
from mistralai.client import Mistral
from mistralai.client.utils import BackoffStrategy, RetryConfig

RETRIES = 8
CLAUDE = "claude-sonnet-5"
CLAUDE_AT_BEDROCK = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"
TITAN = "amazon.titan-text-lite-v1"
GEMINI = "gemini-2.5-flash"

Way = Callable[[str, str, bool], object]
"""`way(url, prompt, hang_up)`."""


def messages(prompt: str) -> list[Any]:
    return [{"role": "user", "content": prompt}]


def read(stream: Any, hang_up: bool) -> None:
    for _ in stream:
        if hang_up:
            break


async def read_async(stream: AsyncIterator[Any], hang_up: bool) -> None:
    async for _ in stream:
        if hang_up:
            break


def asynchronous(way: Callable[[str, str, bool], Awaitable[None]]) -> Way:
    """A way that runs an event loop of its own, in whatever thread it is called."""
    return lambda url, prompt, hang_up: asyncio.run(way(url, prompt, hang_up))  # type: ignore[arg-type]


# ── openai, Azure, groq ─────────────────────────────────────────────────────────────────────────────────────


def gpt(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=url + "/v1", api_key="k", max_retries=RETRIES)


def gpt_async(url: str) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=url + "/v1", api_key="k", max_retries=RETRIES)


def openai_whole(url: str, prompt: str, _: bool) -> None:
    with gpt(url) as client:
        client.chat.completions.create(model="gpt-4o", messages=messages(prompt))


def openai_stream(url: str, prompt: str, hang_up: bool) -> None:
    with (
        gpt(url) as client,
        client.chat.completions.create(model="gpt-4o", messages=messages(prompt), stream=True) as s,
    ):
        read(s, hang_up)


def openai_responses(url: str, prompt: str, hang_up: bool) -> None:
    with gpt(url) as client, client.responses.create(model="gpt-5-mini", input=prompt, stream=True) as stream:
        read(stream, hang_up)


def openai_parse(url: str, prompt: str, _: bool) -> None:
    with gpt(url) as client:
        client.responses.parse(model="gpt-5-mini", input=prompt)


def openai_parse_chat(url: str, prompt: str, _: bool) -> None:
    with gpt(url) as client:
        client.chat.completions.parse(model="gpt-4o", messages=messages(prompt))


def openai_raw(url: str, prompt: str, _: bool) -> None:
    with gpt(url) as client:
        client.chat.completions.with_raw_response.create(model="gpt-4o", messages=messages(prompt)).parse()


def openai_embeddings(url: str, prompt: str, _: bool) -> None:
    with gpt(url) as client:
        client.embeddings.create(model="text-embedding-3-small", input=prompt)


async def openai_async(url: str, prompt: str, _: bool) -> None:
    async with gpt_async(url) as client:
        await client.chat.completions.create(model="gpt-4o", messages=messages(prompt))


async def openai_async_stream(url: str, prompt: str, hang_up: bool) -> None:
    async with (
        gpt_async(url) as client,
        await client.chat.completions.create(model="gpt-4o", messages=messages(prompt), stream=True) as stream,
    ):
        await read_async(stream, hang_up)


def azure_whole(url: str, prompt: str, _: bool) -> None:
    with openai.AzureOpenAI(azure_endpoint=url, api_key="k", api_version="2024-10-21", max_retries=RETRIES) as client:
        client.chat.completions.create(model="gpt-4o", messages=messages(prompt))


def groq_whole(url: str, prompt: str, _: bool) -> None:
    with groq.Groq(base_url=url + "/groq", api_key="k", max_retries=RETRIES) as client:
        client.chat.completions.create(model="openai/gpt-oss-120b", messages=messages(prompt))


def groq_stream(url: str, prompt: str, hang_up: bool) -> None:
    with (
        groq.Groq(base_url=url + "/groq", api_key="k", max_retries=RETRIES) as client,
        client.chat.completions.create(model="llama-3.3-70b", messages=messages(prompt), stream=True) as stream,
    ):
        read(stream, hang_up)


# ── anthropic, at its own API, at Bedrock and at Vertex ─────────────────────────────────────────────────────


def claude(url: str) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=url, api_key="k", max_retries=RETRIES)


def claude_at_bedrock(url: str) -> anthropic.AnthropicBedrock:
    return anthropic.AnthropicBedrock(
        base_url=url, aws_region="eu-west-1", aws_access_key="AKIA", aws_secret_key="s", max_retries=RETRIES
    )


def claude_at_vertex(url: str) -> anthropic.AnthropicVertex:
    return anthropic.AnthropicVertex(
        region="global", project_id="p", access_token="t", base_url=url + "/v1", max_retries=RETRIES
    )


def whole_of(client: AbstractContextManager[Any], model: str, prompt: str) -> None:
    with client as opened:
        opened.messages.create(model=model, max_tokens=500, messages=messages(prompt))


def stream_of(client: AbstractContextManager[Any], model: str, prompt: str, hang_up: bool) -> None:
    with (
        client as opened,
        opened.messages.create(model=model, max_tokens=500, messages=messages(prompt), stream=True) as stream,
    ):
        read(stream, hang_up)


def anthropic_helper(url: str, prompt: str, hang_up: bool) -> None:
    with (
        claude(url) as client,
        client.messages.stream(model=CLAUDE, max_tokens=500, messages=messages(prompt)) as stream,
    ):
        read(stream.text_stream, hang_up)


async def anthropic_async(url: str, prompt: str, hang_up: bool) -> None:
    async with (
        anthropic.AsyncAnthropic(base_url=url, api_key="k", max_retries=RETRIES) as client,
        await client.messages.create(model=CLAUDE, max_tokens=500, messages=messages(prompt), stream=True) as stream,
    ):
        await read_async(stream, hang_up)


# ── google-genai ────────────────────────────────────────────────────────────────────────────────────────────


def gemini(url: str, **more: Any) -> genai.Client:
    retry = HttpRetryOptions(attempts=RETRIES, initial_delay=0.01, max_delay=0.1)
    return genai.Client(api_key="k", http_options=HttpOptions(base_url=url, retry_options=retry), **more)


def gemini_whole(url: str, prompt: str, _: bool) -> None:
    with gemini(url) as client:
        client.models.generate_content(model=GEMINI, contents=prompt)


def gemini_stream(url: str, prompt: str, hang_up: bool) -> None:
    with gemini(url) as client:
        stream: Any = client.models.generate_content_stream(model=GEMINI, contents=prompt)
        with closing(stream):
            read(stream, hang_up)


def gemini_chat(url: str, prompt: str, _: bool) -> None:
    with gemini(url) as client:
        client.chats.create(model=GEMINI).send_message(prompt)


def vertex_whole(url: str, prompt: str, _: bool) -> None:
    with gemini(url, vertexai=True) as client:
        client.models.generate_content(model=GEMINI, contents=prompt)


async def gemini_async(url: str, prompt: str, _: bool) -> None:
    async with gemini(url).aio as client:
        await client.models.generate_content(model=GEMINI, contents=prompt)


async def gemini_async_stream(url: str, prompt: str, hang_up: bool) -> None:
    async with gemini(url).aio as client:
        stream: Any = await client.models.generate_content_stream(model=GEMINI, contents=prompt)
        await read_async(stream, hang_up)
        await stream.aclose()


# ── boto3 ───────────────────────────────────────────────────────────────────────────────────────────────────


def bedrock(url: str) -> Any:
    session = boto3.session.Session(aws_access_key_id="AKIA", aws_secret_access_key="secret", region_name="eu-west-1")
    config = Config(retries={"total_max_attempts": RETRIES, "mode": "standard"})
    return closing(session.client("bedrock-runtime", endpoint_url=url, config=config))


def said(prompt: str) -> list[Any]:
    return [{"role": "user", "content": [{"text": prompt}]}]


def as_claude(prompt: str) -> str:
    return json.dumps({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 500, "messages": messages(prompt)})


def bedrock_converse(url: str, prompt: str, _: bool) -> None:
    with bedrock(url) as client:
        client.converse(modelId=CLAUDE_AT_BEDROCK, messages=said(prompt))


def bedrock_converse_stream(url: str, prompt: str, hang_up: bool) -> None:
    with (
        bedrock(url) as client,
        closing(client.converse_stream(modelId=CLAUDE_AT_BEDROCK, messages=said(prompt))["stream"]) as stream,
    ):
        read(stream, hang_up)


def bedrock_invoke(url: str, prompt: str, _: bool) -> None:
    with bedrock(url) as client:
        json.load(client.invoke_model(modelId=CLAUDE_AT_BEDROCK, body=as_claude(prompt))["body"])


def bedrock_invoke_titan(url: str, prompt: str, _: bool) -> None:
    with bedrock(url) as client:
        client.invoke_model(modelId=TITAN, body=json.dumps({"inputText": prompt}))["body"].read()


def bedrock_invoke_stream(url: str, prompt: str, hang_up: bool) -> None:
    with (
        bedrock(url) as client,
        closing(
            client.invoke_model_with_response_stream(modelId=CLAUDE_AT_BEDROCK, body=as_claude(prompt))["body"]
        ) as stream,
    ):
        read(stream, hang_up)


# ── mistralai ───────────────────────────────────────────────────────────────────────────────────────────────


def mistral(url: str) -> Mistral:
    return Mistral(
        api_key="k",
        server_url=url + "/mistral",
        retry_config=RetryConfig("backoff", BackoffStrategy(5, 100, 1.5, 60_000), True),
    )


def mistral_whole(url: str, prompt: str, _: bool) -> None:
    with mistral(url) as client:
        client.chat.complete(model="mistral-small-latest", messages=messages(prompt))


def mistral_stream(url: str, prompt: str, hang_up: bool) -> None:
    with mistral(url) as client, client.chat.stream(model="mistral-small-latest", messages=messages(prompt)) as stream:
        read(stream, hang_up)


def mistral_embeddings(url: str, prompt: str, _: bool) -> None:
    with mistral(url) as client:
        client.embeddings.create(model="mistral-embed", inputs=[prompt])


async def mistral_async(url: str, prompt: str, hang_up: bool) -> None:
    async with (
        mistral(url) as client,
        await client.chat.stream_async(model="mistral-small-latest", messages=messages(prompt)) as stream,
    ):
        await read_async(stream, hang_up)


# ── cohere ──────────────────────────────────────────────────────────────────────────────────────────────────

OFTEN: Any = {"max_retries": RETRIES}


def cohere_whole(url: str, prompt: str, _: bool) -> None:
    with httpx.Client() as http:
        client = cohere.ClientV2("k", base_url=url, httpx_client=http)
        client.chat(model="command-a", messages=messages(prompt), request_options=OFTEN)


def cohere_stream(url: str, prompt: str, hang_up: bool) -> None:
    """The library does not try streams again."""
    with httpx.Client() as http:
        client = cohere.ClientV2("k", base_url=url, httpx_client=http)
        read(client.chat_stream(model="command-a", messages=messages(prompt)), hang_up)


def cohere_v1_whole(url: str, prompt: str, _: bool) -> None:
    with httpx.Client() as http:
        cohere.Client("k", base_url=url, httpx_client=http).chat(
            model="command-r", message=prompt, request_options=OFTEN
        )


def cohere_v1_stream(url: str, prompt: str, hang_up: bool) -> None:
    with httpx.Client() as http:
        read(
            cohere.Client("k", base_url=url, httpx_client=http).chat_stream(model="command-r", message=prompt), hang_up
        )


def cohere_embeddings(url: str, prompt: str, _: bool) -> None:
    with httpx.Client() as http:
        cohere.ClientV2("k", base_url=url, httpx_client=http).embed(
            model="embed-v4.0",
            texts=[prompt],
            input_type="search_query",
            embedding_types=["float"],
            request_options=OFTEN,
        )


async def cohere_async(url: str, prompt: str, hang_up: bool) -> None:
    async with httpx.AsyncClient() as http:
        client = cohere.AsyncClientV2("k", base_url=url, httpx_client=http)
        stream: Any = client.chat_stream(model="command-a", messages=messages(prompt))
        await read_async(stream, hang_up)
        await stream.aclose()


# ── ollama ──────────────────────────────────────────────────────────────────────────────────────────────────

LLAMA = "llama3.2"


def ollama_whole(url: str, prompt: str, _: bool) -> None:
    with ollama.Client(url) as client:
        client.chat(model=LLAMA, messages=messages(prompt))


def ollama_stream(url: str, prompt: str, hang_up: bool) -> None:
    with ollama.Client(url) as client, closing(client.chat(LLAMA, messages(prompt), stream=True)) as stream:
        read(stream, hang_up)


def ollama_generate_stream(url: str, prompt: str, hang_up: bool) -> None:
    with ollama.Client(url) as client, closing(client.generate(LLAMA, prompt, stream=True)) as stream:
        read(stream, hang_up)


def ollama_embeddings(url: str, prompt: str, _: bool) -> None:
    with ollama.Client(url) as client:
        client.embed(model="nomic-embed-text", input=prompt)


async def ollama_async(url: str, prompt: str, _: bool) -> None:
    async with ollama.AsyncClient(url) as client:
        await client.generate(LLAMA, prompt)


async def ollama_async_stream(url: str, prompt: str, hang_up: bool) -> None:
    async with ollama.AsyncClient(url) as client:
        stream: Any = await client.chat(LLAMA, messages(prompt), stream=True)
        await read_async(stream, hang_up)
        await stream.aclose()


WAYS: dict[str, Way] = {
    "openai": openai_whole,
    "openai stream": openai_stream,
    "openai responses stream": openai_responses,
    "openai responses.parse": openai_parse,
    "openai chat.completions.parse": openai_parse_chat,
    "openai raw": openai_raw,
    "openai embeddings": openai_embeddings,
    "openai async": asynchronous(openai_async),
    "openai async stream": asynchronous(openai_async_stream),
    "azure": azure_whole,
    "groq": groq_whole,
    "groq stream": groq_stream,
    "anthropic": lambda url, prompt, _: whole_of(claude(url), CLAUDE, prompt),
    "anthropic stream": lambda url, prompt, hang_up: stream_of(claude(url), CLAUDE, prompt, hang_up),
    "anthropic helper stream": anthropic_helper,
    "anthropic async stream": asynchronous(anthropic_async),
    "anthropic at bedrock": lambda url, prompt, _: whole_of(claude_at_bedrock(url), CLAUDE_AT_BEDROCK, prompt),
    "anthropic at bedrock stream": lambda url, prompt, hang_up: stream_of(
        claude_at_bedrock(url), CLAUDE_AT_BEDROCK, prompt, hang_up
    ),
    "anthropic at vertex": lambda url, prompt, _: whole_of(claude_at_vertex(url), CLAUDE, prompt),
    "anthropic at vertex stream": lambda url, prompt, hang_up: stream_of(
        claude_at_vertex(url), CLAUDE, prompt, hang_up
    ),
    "gemini": gemini_whole,
    "gemini stream": gemini_stream,
    "gemini chat": gemini_chat,
    "gemini async": asynchronous(gemini_async),
    "gemini async stream": asynchronous(gemini_async_stream),
    "gemini at vertex": vertex_whole,
    "boto3 converse": bedrock_converse,
    "boto3 converse stream": bedrock_converse_stream,
    "boto3 invoke": bedrock_invoke,
    "boto3 invoke titan": bedrock_invoke_titan,
    "boto3 invoke stream": bedrock_invoke_stream,
    "mistralai": mistral_whole,
    "mistralai stream": mistral_stream,
    "mistralai embeddings": mistral_embeddings,
    "mistralai async stream": asynchronous(mistral_async),
    "cohere": cohere_whole,
    "cohere stream": cohere_stream,
    "cohere v1": cohere_v1_whole,
    "cohere v1 stream": cohere_v1_stream,
    "cohere embeddings": cohere_embeddings,
    "cohere async stream": asynchronous(cohere_async),
    "ollama": ollama_whole,
    "ollama stream": ollama_stream,
    "ollama generate stream": ollama_generate_stream,
    "ollama embeddings": ollama_embeddings,
    "ollama async": asynchronous(ollama_async),
    "ollama async stream": asynchronous(ollama_async_stream),
}

NEVER_TRY_AGAIN = frozenset(
    {"cohere stream", "cohere v1 stream", "cohere async stream", *(way for way in WAYS if way.startswith("ollama"))}
)
"""Cohere's library does not try streams again, Ollama's nothing at all."""
"""Library and way → how. What can be hung up on has `stream` in its name."""


def plan(rounds: int, hang_up: Callable[[], bool]) -> Iterator[tuple[int, str, bool]]:
    """Number of a call, its way, and whether its caller hangs up."""
    number = 0
    for _ in range(rounds):
        for way in WAYS:
            yield number, way, "stream" in way and hang_up()
            number += 1
