"""Limits before calls of every provider's own library: refused before anything leaves, or given a smaller allowance."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import boto3
import cohere
import groq
import httpx
import ollama
import openai
import pytest
from botocore.config import Config
from google import genai
from google.genai.types import GenerateContentConfig, HttpOptions
from mistralai.client import Mistral
from replay import Provider, Written, case

import taximeter

# The libraries' own types are older than Python's warnings.
pytestmark = [pytest.mark.filterwarnings("ignore::DeprecationWarning")]

SAID: list[Any] = [{"role": "user", "content": "Hi"}]
LIMIT: dict[str, Any] = {"name": "all", "scope": "global", "measure": "total_tokens", "limit": 9_000, "window": "month"}
ASKED = 30_000
"""Output tokens allowed by a request, more than the limit has."""

Ask = Callable[[str, int | None], object]
"""`ask(url, allowance)` makes a call and reads its answer to the end; `allowance` None: it states none."""


def gemini(url: str) -> genai.Client:
    return taximeter.instrument(genai.Client(api_key="k", http_options=HttpOptions(base_url=url)))


def told_gemini(allowance: int | None) -> GenerateContentConfig:
    return GenerateContentConfig(max_output_tokens=allowance)


def ask_gemini(url: str, allowance: int | None) -> None:
    with gemini(url) as client:
        client.models.generate_content(model="gemini-2.0-flash", contents="Hi", config=told_gemini(allowance))


def ask_gemini_for_a_stream(url: str, allowance: int | None) -> None:
    with gemini(url) as client:
        stream = client.models.generate_content_stream(
            model="gemini-2.0-flash", contents="Hi", config=told_gemini(allowance)
        )
        list(stream)


def ask_gemini_asynchronously(url: str, allowance: int | None) -> None:
    async def ask() -> None:
        async with gemini(url).aio as client:
            await client.models.generate_content(model="gemini-2.0-flash", contents="Hi", config=told_gemini(allowance))

    asyncio.run(ask())


def bedrock(url: str) -> Any:
    session = boto3.session.Session(aws_access_key_id="AK", aws_secret_access_key="s", region_name="us-east-1")
    return closing(
        taximeter.instrument(
            session.client("bedrock-runtime", endpoint_url=url, config=Config(retries={"total_max_attempts": 1}))
        )
    )


def told_bedrock(allowance: int | None) -> dict[str, Any]:
    more = {} if allowance is None else {"inferenceConfig": {"maxTokens": allowance, "temperature": 0.5}}
    return {"modelId": "amazon.nova-lite-v1:0", "messages": [{"role": "user", "content": [{"text": "Hi"}]}], **more}


def ask_bedrock(url: str, allowance: int | None) -> None:
    with bedrock(url) as client:
        client.converse(**told_bedrock(allowance))


def ask_bedrock_for_a_stream(url: str, allowance: int | None) -> None:
    with bedrock(url) as client:
        list(client.converse_stream(**told_bedrock(allowance))["stream"])


def ask_mistral(url: str, allowance: int | None) -> None:
    with taximeter.instrument(Mistral(api_key="k", server_url=url)) as client:
        client.chat.complete(model="mistral-small-latest", messages=SAID, max_tokens=allowance)


def ask_mistral_for_a_stream(url: str, allowance: int | None) -> None:
    with taximeter.instrument(Mistral(api_key="k", server_url=url)) as client:
        list(client.chat.stream(model="mistral-small-latest", messages=SAID, max_tokens=allowance))


def ask_mistral_asynchronously(url: str, allowance: int | None) -> None:
    async def ask() -> None:
        async with taximeter.instrument(Mistral(api_key="k", server_url=url)) as client:
            await client.chat.complete_async(model="mistral-small-latest", messages=SAID, max_tokens=allowance)

    asyncio.run(ask())


def ask_cohere(url: str, allowance: int | None) -> None:
    with httpx.Client(verify=False) as http:
        client = taximeter.instrument(cohere.ClientV2("k", base_url=url, httpx_client=http))
        client.chat(model="command-a", messages=SAID, max_tokens=allowance)


def ask_cohere_for_a_stream(url: str, allowance: int | None) -> None:
    with httpx.Client(verify=False) as http:
        client = taximeter.instrument(cohere.ClientV2("k", base_url=url, httpx_client=http))
        list(client.chat_stream(model="command-a", messages=SAID, max_tokens=allowance))


def ask_cohere_asynchronously(url: str, allowance: int | None) -> None:
    async def ask() -> None:
        async with httpx.AsyncClient(verify=False) as http:
            client = taximeter.instrument(cohere.AsyncClientV2("k", base_url=url, httpx_client=http))
            await client.chat(model="command-a", messages=SAID, max_tokens=allowance)

    asyncio.run(ask())


def ask_groq(url: str, allowance: int | None) -> None:
    with taximeter.instrument(groq.Groq(base_url=url, api_key="k", max_retries=0)) as client:
        client.chat.completions.create(model="llama-3.3-70b", messages=SAID, max_tokens=allowance)


def told_ollama(allowance: int | None) -> Any:
    return None if allowance is None else {"num_predict": allowance}


def ask_ollama(url: str, allowance: int | None) -> None:
    with taximeter.instrument(ollama.Client(url)) as client:
        client.chat("llama3.2", SAID, options=told_ollama(allowance))


def ask_ollama_for_a_stream(url: str, allowance: int | None) -> None:
    with taximeter.instrument(ollama.Client(url)) as client:
        list(client.chat("llama3.2", SAID, stream=True, options=told_ollama(allowance)))


def ask_ollama_asynchronously(url: str, allowance: int | None) -> None:
    async def ask() -> None:
        async with taximeter.instrument(ollama.AsyncClient(url)) as client:
            async for _ in await client.chat("llama3.2", SAID, stream=True, options=told_ollama(allowance)):
                pass

    asyncio.run(ask())


class Way(NamedTuple):
    """A way to call: what makes the call, the recorded answer to it, where its request states its allowance."""

    ask: Ask
    answer: str
    place: str


WAYS = {
    "google-genai": Way(ask_gemini, "google-gemini20-basic", "generationConfig.maxOutputTokens"),
    "google-genai, asynchronous": Way(
        ask_gemini_asynchronously, "google-gemini20-basic", "generationConfig.maxOutputTokens"
    ),
    "boto3": Way(ask_bedrock, "bedrock-converse-nova", "inferenceConfig.maxTokens"),
    "boto3, streamed": Way(ask_bedrock_for_a_stream, "bedrock-converse-stream-titan", "inferenceConfig.maxTokens"),
    "mistralai": Way(ask_mistral, "mistral-num-cached-tokens", "max_tokens"),
    "mistralai, streamed": Way(ask_mistral_for_a_stream, "mistral-stream", "max_tokens"),
    "mistralai, asynchronous": Way(ask_mistral_asynchronously, "mistral-num-cached-tokens", "max_tokens"),
    "cohere": Way(ask_cohere, "cohere-v2-billed", "max_tokens"),
    "cohere, streamed": Way(ask_cohere_for_a_stream, "cohere-v2-stream", "max_tokens"),
    "cohere, asynchronous": Way(ask_cohere_asynchronously, "cohere-v2-billed", "max_tokens"),
    "groq": Way(ask_groq, "groq-basic", "max_tokens"),
    "ollama": Way(ask_ollama, "ollama-native-chat", "options.num_predict"),
    "ollama, streamed": Way(ask_ollama_for_a_stream, "ollama-native-chat", "options.num_predict"),
    "ollama, asynchronous": Way(ask_ollama_asynchronously, "ollama-native-chat", "options.num_predict"),
}
EVERY_WAY = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
REFUSED = {**WAYS, "google-genai, streamed": Way(ask_gemini_for_a_stream, "google-gemini20-basic", "")}


@pytest.fixture
def limited(tmp_path: Path) -> Iterator[Callable[..., Written]]:
    def start(**changes: Any) -> Written:
        taximeter.init(data=tmp_path, limits=[{**LIMIT, **changes}])
        return Written(tmp_path)

    yield start
    taximeter.shutdown()


def stated(body: dict[str, Any], place: str) -> int | None:
    found: Any = body
    for name in place.split("."):
        found = found.get(name, {})
    return found or None


@pytest.mark.parametrize("way", REFUSED.values(), ids=REFUSED)
def test_a_call_above_its_limit_is_refused_before_anything_leaves(
    way: Way, provider: Provider, limited: Callable[..., Written]
) -> None:
    written = limited(limit=1)
    with pytest.raises(taximeter.LimitExceeded) as refused:
        way.ask(provider.url, 10)
    assert (refused.value.limit, refused.value.window, refused.value.spent) == ("all", "month", 0)
    assert provider.requests == []
    taximeter.shutdown()
    assert [(event["status"], event.get("not_billed")) for event in written.events] == [("refused", True)]
    assert written.begun == []


@EVERY_WAY
def test_an_allowance_that_does_not_fit_is_made_smaller_in_the_librarys_own_request(
    way: Way, provider: Provider, limited: Callable[..., Written]
) -> None:
    limited()
    provider.says(case(way.answer))
    way.ask(provider.url, ASKED)
    allowed = stated(provider.requests[0][2], way.place)
    assert allowed is not None
    assert 256 <= allowed < LIMIT["limit"]


@EVERY_WAY
def test_a_request_without_an_allowance_is_given_one(
    way: Way, provider: Provider, limited: Callable[..., Written]
) -> None:
    limited(limit=100_000)
    provider.says(case(way.answer))
    way.ask(provider.url, None)
    assert stated(provider.requests[0][2], way.place) in (4_000, 4_096, 8_192, 32_768)


@EVERY_WAY
def test_what_a_call_needs_less_than_it_held_is_given_back(
    way: Way, provider: Provider, limited: Callable[..., Written]
) -> None:
    written = limited(limit=60_000)
    for _ in range(3):  # of the holds together only one would fit
        provider.says(case(way.answer))
        way.ask(provider.url, ASKED)
        assert stated(provider.requests[-1][2], way.place) == ASKED
    taximeter.shutdown()
    assert [event["status"] for event in written.events] == ["ok"] * 3


@pytest.mark.parametrize(
    ("ask", "model"),
    [(ask_gemini, "gemini-2.0-nano"), (ask_bedrock, "amazon.nova-micro-v1:0"), (ask_mistral, "ministral-3b")],
)
def test_a_call_downgraded_leaves_for_the_other_model(
    ask: Ask, model: str, provider: Provider, limited: Callable[..., Written]
) -> None:
    limited(measure="requests", limit=1, action={"downgrade": model})
    answers: dict[Ask, str] = {ask_gemini: "google-gemini20-basic", ask_bedrock: "bedrock-converse-nova"}
    for _ in range(2):
        provider.says(case(answers.get(ask, "mistral-num-cached-tokens")))
        ask(provider.url, 10)
    path, _, body = provider.requests[1]
    assert model in path.replace("%3A", ":") or body["model"] == model


def test_what_the_provider_adds_by_itself_is_refused_under_a_hard_limit(
    provider: Provider, limited: Callable[..., Written]
) -> None:
    limited()
    searching: Any = {"tools": [{"google_search": {}}], "max_output_tokens": 10}
    with gemini(provider.url) as client, pytest.raises(taximeter.LimitExceeded, match=r"no upper bound.*googleSearch"):
        client.models.generate_content(model="gemini-2.0-flash", contents="Hi", config=searching)
    assert provider.requests == []


def begin_a_batch_at_openai(url: str) -> None:
    with taximeter.instrument(openai.OpenAI(base_url=url, api_key="k", max_retries=0)) as client:
        client.batches.create(completion_window="24h", endpoint="/v1/responses", input_file_id="file_1")


def begin_a_video_at_openai(url: str) -> None:
    with taximeter.instrument(openai.OpenAI(base_url=url, api_key="k", max_retries=0)) as client:
        client.videos.create(prompt="a cat", model="sora-2")


def begin_a_batch_at_gemini(url: str) -> None:
    asked: Any = [{"contents": [{"parts": [{"text": "Hi"}]}]}]
    with gemini(url) as client:
        client.batches.create(model="gemini-2.0-flash", src=asked)


LATER = [begin_a_batch_at_openai, begin_a_video_at_openai, begin_a_batch_at_gemini]


@pytest.mark.parametrize("begin", LATER)
def test_what_is_charged_for_later_is_refused_under_a_hard_limit(
    begin: Callable[[str], None], provider: Provider, limited: Callable[..., Written]
) -> None:
    written = limited()
    with pytest.raises(taximeter.LimitExceeded, match="charged for later"):
        begin(provider.url)
    assert provider.requests == []
    assert [event["status"] for event in written.events] == ["refused"]


@pytest.mark.parametrize("begin", [begin_a_batch_at_openai, begin_a_batch_at_gemini])
def test_under_a_soft_one_it_goes_and_costs_nothing(
    begin: Callable[[str], None], provider: Provider, limited: Callable[..., Written]
) -> None:
    written = limited(mode="soft")
    begin(provider.url)
    (event,) = written.events
    assert (event["status"], event["not_billed"]) == ("ok", True)
