"""Seven calls with the real clients whose usage and cost are known to the last digit.

The first five are answered with recordings; the last two are one stream that writes a prompt cache and one that
reads it. Run as a script it makes them through the SDK: `seven_calls.py PROVIDERS_URL`, with `TAXIMETER_URL` and
`TAXIMETER_KEY` set, or without a server with `TAXIMETER_DATA`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import anthropic
import openai

import taximeter

HELLO: list[Any] = [{"role": "user", "content": "hello"}]
MANUAL: list[Any] = [{"type": "text", "text": "manual " * 1200, "cache_control": {"type": "ephemeral"}}]
USER = "user_7"


@dataclass(frozen=True)
class Known:
    """What a call used, in tokens, and its cost in USD by hand: tokens times USD per million, class by class."""

    model: str
    input_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    output_tokens: int
    cost_usd: Decimal


def usd(*parts: tuple[int, str]) -> Decimal:
    return sum((tokens * Decimal(rate) for tokens, rate in parts), Decimal(0)) / 1_000_000


KNOWN = {
    "chat": Known("gpt-5.6-sol", 4020, 4012, 0, 4, usd((8, "4"), (4012, "0.4"), (4, "20"))),
    "chat-stream": Known("gpt-4o-2024-08-06", 398, 0, 0, 10, usd((398, "2.5"), (10, "10"))),
    "response": Known("gpt-5", 10, 0, 0, 1, usd((10, "1.25"), (1, "10"))),
    "embedding": Known("text-embedding-3-small", 4, 0, 0, 0, usd((4, "0.02"))),
    "message": Known("claude-opus-4-8", 1592, 1590, 0, 4, usd((2, "5"), (1590, "0.5"), (4, "25"))),
    "message-stream-writes": Known(
        "claude-haiku-4-5-20251001", 1201, 0, 1200, 12, usd((1, "1"), (1200, "1.25"), (12, "5"))
    ),
    "message-stream-reads": Known(
        "claude-haiku-4-5-20251001", 1201, 1200, 0, 12, usd((1, "1"), (1200, "0.1"), (12, "5"))
    ),
}

Around = Callable[[str], tuple[dict[str, str], AbstractContextManager[Any]]]
"""Feature → the headers that a call of it is given, and what is around it."""


def through_gateway(feature: str) -> tuple[dict[str, str], AbstractContextManager[Any]]:
    return {"X-Taximeter-User": USER, "X-Taximeter-Feature": feature}, nullcontext()


def through_sdk(feature: str) -> tuple[dict[str, str], AbstractContextManager[Any]]:
    return {}, taximeter.attribute(user=USER, feature=feature)


def make(gpt: openai.OpenAI, claude: anthropic.Anthropic, around: Around) -> None:
    """All seven, one after the other, each read to its end."""

    def call(feature: str, case: str | None, method: Callable[..., Any], **arguments: Any) -> None:
        headers, context = around(feature)
        wish = {"X-Simulator-Case": case} if case else {"X-Simulator-Output-Tokens": "12"}
        with context:
            answer = method(extra_headers={**headers, **wish}, **arguments)
            if arguments.get("stream"):
                assert list(answer)

    call("chat", "openai-chat-cache-read-gpt56", gpt.chat.completions.create, model="gpt-5.6-sol", messages=HELLO)
    call(
        "chat-stream",
        "openai-chat-stream-usage",
        gpt.chat.completions.create,
        model="gpt-4o",
        messages=HELLO,
        stream=True,
        stream_options={"include_usage": True},
    )
    call("response", "openai-responses-basic", gpt.responses.create, model="gpt-5", input="hello")
    call(
        "embedding",
        "openai-embeddings-small",
        gpt.embeddings.create,
        model="text-embedding-3-small",
        input=["Hello, world!"],
        encoding_format="base64",
    )
    message = {"max_tokens": 100, "messages": HELLO}
    call("message", "anthropic-cache-read-opus48", claude.messages.create, model="claude-opus-4-8", **message)
    haiku = {**message, "model": "claude-haiku-4-5-20251001", "system": MANUAL, "stream": True}
    call("message-stream-writes", None, claude.messages.create, **haiku)
    call("message-stream-reads", None, claude.messages.create, **haiku)


def main(providers_url: str) -> None:
    taximeter.init(service="seven-calls")
    key = f"sk-{os.getpid()}"  # prompt caches are kept by key: every run finds an empty one
    gpt = taximeter.instrument(openai.OpenAI(base_url=providers_url + "/v1", api_key=key))
    claude = taximeter.instrument(anthropic.Anthropic(base_url=providers_url, api_key=key))
    make(gpt, claude, through_sdk)


if __name__ == "__main__":
    main(sys.argv[1])
