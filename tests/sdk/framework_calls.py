"""`python framework_calls.py FRAMEWORK URL`: calls through a framework, in a process of its own, which it then ends.

Call number n has a prompt of `FEWEST_WORDS + n` words. The simulated providers listen at URL; where events go is in the
environment.
"""

from __future__ import annotations

import asyncio
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


FRAMEWORKS: dict[str, Callable[[], list[Call]]] = {
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
