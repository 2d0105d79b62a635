"""Making one call of the product with the real client libraries, through the gateway or through the SDK."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Final

import anthropic
import openai

import taximeter
from taximeter.simulator.traffic.product import Road, Visit

TIMEOUT_SECONDS: Final = 60.0
RETRIES: Final = 2
SERVICE: Final = "helpdesk"
_PHRASE: Final = "the customer writes that the delivery is late and asks for a new date while the invoice was paid "
_LONG_TEXT: Final = _PHRASE * 400


@dataclass(frozen=True, slots=True)
class Clients:
    """The four clients of one road."""

    gpt: openai.OpenAI
    gpt_async: openai.AsyncOpenAI
    claude: anthropic.Anthropic
    claude_async: anthropic.AsyncAnthropic

    async def close(self) -> None:
        self.gpt.close()
        self.claude.close()
        await self.gpt_async.close()
        await self.claude_async.close()


def clients(openai_url: str, anthropic_url: str, key: str) -> Clients:
    """Clients for these addresses, as any user would make them."""
    gpt: dict[str, Any] = {
        "base_url": openai_url,
        "api_key": key,
        "max_retries": RETRIES,
        "timeout": TIMEOUT_SECONDS,
    }
    claude = {**gpt, "base_url": anthropic_url}
    return Clients(
        openai.OpenAI(**gpt),
        openai.AsyncOpenAI(**gpt),
        anthropic.Anthropic(**claude),
        anthropic.AsyncAnthropic(**claude),
    )


def instrumented(plain: Clients) -> Clients:
    """The same clients, metered in this process."""
    return Clients(
        taximeter.instrument(plain.gpt),
        taximeter.instrument(plain.gpt_async),
        taximeter.instrument(plain.claude),
        taximeter.instrument(plain.claude_async),
    )


def call(on: Clients, visit: Visit) -> None:
    """Make the call and read its answer to the end. Raises what the client raises."""
    with _attribution(visit):
        answer = _method(on.gpt, on.claude, visit)(**_arguments(visit))
        if visit.streamed:
            for _ in answer:
                pass


async def call_async(on: Clients, visit: Visit) -> None:
    """`call`, with the async clients."""
    with _attribution(visit):
        answer = await _method(on.gpt_async, on.claude_async, visit)(**_arguments(visit))
        if visit.streamed:
            async for _ in answer:
                pass


def _attribution(visit: Visit) -> AbstractContextManager[Any]:
    return nullcontext() if visit.feature.road == "gateway" else attributed(visit)


def attributed(visit: Visit) -> AbstractContextManager[Any]:
    """To whom the SDK ascribes what is done for a visit."""
    return taximeter.attribute(
        user=visit.user,
        team=visit.feature.team,
        tenant=visit.tenant,
        feature=visit.feature.name,
        endpoint=visit.feature.endpoint,
        environment=visit.environment,
        prompt_version=visit.prompt_version,
        session=visit.session,
        tags={"sample": "live"},
    )


def _method(gpt: Any, claude: Any, visit: Visit) -> Any:
    methods = {
        "chat": gpt.chat.completions.create,
        "responses": gpt.responses.create,
        "embeddings": gpt.embeddings.create,
        "messages": claude.messages.create,
    }
    return methods[visit.feature.api]


def _arguments(visit: Visit) -> dict[str, Any]:
    headers = {**_wish_headers(visit), **(_gateway_headers(visit) if visit.feature.road == "gateway" else {})}
    arguments: dict[str, Any] = {"model": visit.model, "extra_headers": headers}
    if visit.streamed:
        arguments["stream"] = True
    return {**arguments, **_ASKING[visit.feature.api](visit)}


def _chat(visit: Visit) -> dict[str, Any]:
    asked: dict[str, Any] = {"messages": [{"role": "user", "content": _words(visit.prompt_words)}]}
    return asked | {"max_completion_tokens": 800}


def _responses(visit: Visit) -> dict[str, Any]:
    asked: dict[str, Any] = {"input": _words(visit.prompt_words), "max_output_tokens": 2000}
    if visit.feature.service_tier is not None:
        asked["service_tier"] = visit.feature.service_tier
    return asked


def _embeddings(visit: Visit) -> dict[str, Any]:
    return {"input": _words(visit.prompt_words)}


def _messages(visit: Visit) -> dict[str, Any]:
    asked: dict[str, Any] = {
        "max_tokens": 2048,
        "messages": [{"role": "user", "content": _words(visit.prompt_words)}],
    }
    if visit.feature.cached_words:
        manual = f"{visit.feature.name} {_words(visit.feature.cached_words - 1)}"
        asked["system"] = [{"type": "text", "text": manual, "cache_control": {"type": "ephemeral"}}]
    if visit.feature.thinks:
        asked["thinking"] = {"type": "enabled", "budget_tokens": 1024}
    return asked


_ASKING: Final = {"chat": _chat, "responses": _responses, "embeddings": _embeddings, "messages": _messages}


def _words(count: int) -> str:
    return " ".join(_WORDS[:count])


_WORDS: Final = tuple(_LONG_TEXT.split())


def _wish_headers(visit: Visit) -> Mapping[str, str]:
    wished = {"X-Simulator-Output-Tokens": str(visit.output_words)} if visit.output_words else {}
    if visit.fault is not None:
        wished["X-Simulator-Fault"] = visit.fault
    if visit.fault_attempts is not None:
        wished["X-Simulator-Fault-Attempts"] = str(visit.fault_attempts)
    return wished


def _gateway_headers(visit: Visit) -> Mapping[str, str]:
    return {
        "X-Taximeter-User": visit.user,
        "X-Taximeter-Team": visit.feature.team,
        "X-Taximeter-Tenant": visit.tenant,
        "X-Taximeter-Feature": visit.feature.name,
        "X-Taximeter-Endpoint": visit.feature.endpoint,
        "X-Taximeter-Environment": visit.environment,
        "X-Taximeter-Prompt-Version": visit.prompt_version,
        "X-Taximeter-Session": visit.session,
        "X-Taximeter-Tags": f"sample=live,service={SERVICE}",
    }


def road_of(visit: Visit, roads: Mapping[Road, Clients]) -> Clients:
    """The clients for a visit; when its own road is closed, the other one."""
    return roads.get(visit.feature.road) or next(iter(roads.values()))
