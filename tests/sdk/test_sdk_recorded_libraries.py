"""Every recorded answer of a provider with a library of its own, and of OpenAI-compatible hosts, read through the real
client gives the recorded usage. What is asked is not what was asked then: only the answer counts."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable
from contextlib import closing
from typing import Any
from urllib.parse import unquote

import boto3
import cohere
import groq
import httpx
import ollama
import openai
import pytest
from botocore.config import Config
from google import genai
from google.genai.types import HttpOptions
from mistralai.client import Mistral
from replay import CASES, Provider, Written, agrees, case

import taximeter

# Recordings are older than the models in them are supported, and than the types of the libraries.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

MESSAGES: list[Any] = [{"role": "user", "content": "?"}]
Ask = Callable[[str, dict[str, Any]], object]
"""`ask(url, recorded)` makes the call and reads its answer to the end."""


def model_of(recorded: dict[str, Any]) -> str:
    """The model that was asked for, in the body or in the path."""
    path, body = recorded["request"]["path"], recorded["request"].get("body") or {}
    if named := body.get("model") or body.get("foundationModel"):
        return str(named)
    for before, after in (("/model/", "/"), ("models/", ":")):
        if before in path:
            return unquote(path.split(before, 1)[1].split("?")[0].rsplit(after, 1)[0])
    return str(recorded["expected"]["model"] or "m")


def read(answer: Any, recorded: dict[str, Any]) -> None:
    if recorded["stream"]:
        for _ in answer:
            pass


def gemini(url: str, recorded: dict[str, Any]) -> genai.Client:
    on_vertex = "publishers" in recorded["request"]["path"]
    client = genai.Client(vertexai=on_vertex, api_key="k", http_options=HttpOptions(base_url=url))
    return taximeter.instrument(client)


def ask_gemini(url: str, recorded: dict[str, Any]) -> None:
    with gemini(url, recorded) as client:
        models = client.models
        ask = models.generate_content_stream if recorded["stream"] else models.generate_content
        read(ask(model=model_of(recorded), contents="?"), recorded)


def ask_gemini_to_embed(url: str, recorded: dict[str, Any]) -> None:
    with gemini(url, recorded) as client:
        client.models.embed_content(model=model_of(recorded), contents="?")


def bedrock(url: str, service: str = "bedrock-runtime") -> Any:
    session = boto3.session.Session(aws_access_key_id="AK", aws_secret_access_key="s", region_name="us-east-1")
    config = Config(retries={"total_max_attempts": 1})
    return closing(taximeter.instrument(session.client(service, endpoint_url=url, config=config)))


def ask_converse(url: str, recorded: dict[str, Any]) -> None:
    messages = [{"role": "user", "content": [{"text": "?"}]}]
    with bedrock(url) as client:
        if recorded["stream"]:
            read(client.converse_stream(modelId=model_of(recorded), messages=messages)["stream"], recorded)
        else:
            client.converse(modelId=model_of(recorded), messages=messages)


def ask_invoke(url: str, recorded: dict[str, Any]) -> None:
    body = json.dumps(recorded["request"]["body"])
    with bedrock(url) as client:
        if recorded["stream"]:
            answer = client.invoke_model_with_response_stream(modelId=model_of(recorded), body=body)
            read(answer["body"], recorded)
        else:
            client.invoke_model(modelId=model_of(recorded), body=body)["body"].read()


def ask_agent(url: str, recorded: dict[str, Any]) -> None:
    with bedrock(url, "bedrock-agent-runtime") as client:
        answer = client.invoke_inline_agent(
            sessionId="session",
            foundationModel=model_of(recorded),
            instruction="x" * 40,
            inputText="?",
            enableTrace=True,
        )
        read(answer["completion"], recorded)


def ask_mistral(url: str, recorded: dict[str, Any]) -> None:
    with taximeter.instrument(Mistral(api_key="k", server_url=url)) as client:
        ask = client.chat.stream if recorded["stream"] else client.chat.complete
        read(ask(model=model_of(recorded), messages=MESSAGES), recorded)


def ask_mistral_to_read(url: str, recorded: dict[str, Any]) -> None:
    document: Any = {"type": "document_url", "document_url": "https://acme.example/a.pdf"}
    with taximeter.instrument(Mistral(api_key="k", server_url=url)) as client:
        client.ocr.process(model=model_of(recorded), document=document)


def ask_groq(url: str, recorded: dict[str, Any]) -> None:
    with taximeter.instrument(groq.Groq(base_url=url, api_key="k", max_retries=0)) as client:
        read(
            client.chat.completions.create(
                model=model_of(recorded), messages=MESSAGES, stream=recorded["stream"] or None
            ),
            recorded,
        )


def with_cohere(ask: Callable[[Any, dict[str, Any]], Any], client_class: Any = cohere.ClientV2) -> Ask:
    def make(url: str, recorded: dict[str, Any]) -> None:
        with httpx.Client(verify=False) as http:
            client = taximeter.instrument(client_class("k", base_url=url, httpx_client=http))
            read(ask(client, recorded), recorded)

    return make


def ask_cohere(client: Any, recorded: dict[str, Any]) -> Any:
    return (client.chat_stream if recorded["stream"] else client.chat)(model=model_of(recorded), messages=MESSAGES)


def ask_ollama(url: str, recorded: dict[str, Any]) -> None:
    with taximeter.instrument(ollama.Client(url)) as client:
        read(client.chat(model_of(recorded), MESSAGES, stream=recorded["stream"]), recorded)


def ask_compatible(url: str, recorded: dict[str, Any]) -> None:
    path = recorded["request"]["path"].split("?")[0].removesuffix("/chat/completions")
    with taximeter.instrument(openai.OpenAI(base_url=url + path, api_key="k", max_retries=0)) as client:
        asked: dict[str, Any] = {"model": model_of(recorded), "messages": MESSAGES, "stream": recorded["stream"]}
        read(client.chat.completions.create(**asked), recorded)


ASK: dict[str, Ask] = {
    "google.generateContent": ask_gemini,
    "google.embedContent": ask_gemini_to_embed,
    "google.vertex.predict": ask_gemini_to_embed,
    "google.openai_compat": ask_compatible,
    "bedrock.converse": ask_converse,
    "bedrock.converse_stream": ask_converse,
    "bedrock.invoke": ask_invoke,
    "bedrock.invoke_stream": ask_invoke,
    "bedrock.agent": ask_agent,
    "mistral.chat": ask_mistral,
    "mistral.ocr": ask_mistral_to_read,
    "groq.chat": ask_groq,
    "cohere.v2.chat": with_cohere(ask_cohere),
    "cohere.v1.chat": with_cohere(
        lambda client, recorded: client.chat(model=model_of(recorded), message="?"), cohere.Client
    ),
    "cohere.v2.embed": with_cohere(
        lambda client, recorded: client.embed(
            model=model_of(recorded), texts=["?"], input_type="search_query", embedding_types=["float"]
        )
    ),
    "cohere.v2.rerank": with_cohere(
        lambda client, recorded: client.rerank(model=model_of(recorded), query="?", documents=["a", "b"])
    ),
    "ollama.chat": ask_ollama,
    "azure.inference.chat": ask_compatible,
    "cerebras.chat": ask_compatible,
    "huggingface.chat": ask_compatible,
    "perplexity.chat": ask_compatible,
    "together.chat": ask_compatible,
    "zai.chat": ask_compatible,
}
"""Recorded API → how it is asked with a real client."""

RECORDED = sorted(path.stem for path in CASES.glob("*.json") if json.loads(path.read_text())["api"] in ASK)


@pytest.mark.parametrize("name", RECORDED)
def test_a_recorded_answer_gives_the_recorded_usage(name: str, provider: Provider, written: Written) -> None:
    recorded = case(name)
    provider.says(recorded)
    failed = False
    try:
        ASK[recorded["api"]](provider.url, recorded)
    except Exception:  # of the provider, or of a library that is younger than the answer
        failed = True
    gc.collect()  # what some libraries leave unclosed
    (event,) = written.events
    agrees(event, recorded["expected"])
    if recorded["expected"].get("error"):
        assert (failed, event["status"]) == (True, "error")


def test_every_provider_with_a_library_of_its_own_is_covered() -> None:
    assert len(RECORDED) >= 70
    assert {case(name)["api"] for name in RECORDED} == ASK.keys()
