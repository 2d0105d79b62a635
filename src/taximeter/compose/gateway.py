"""From the settings to what the gateway takes."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from taximeter.clock import Clock
from taximeter.config.settings import Provider, Settings
from taximeter.gateway import GatewaySettings, KnownAnswers, Policy
from taximeter.gateway import Provider as Upstream
from taximeter.gateway.settings import ResponseCache
from taximeter.store.events import EventQuery, EventStore
from taximeter.store.events.filters import Condition

ANSWERS_KEPT_DAYS: Final = 35
"""How old an answer may be that is fetched again; OpenAI keeps them for 30 days."""
DAY_US: Final = 86_400_000_000
MOST_TELLINGS: Final = 10
_COUNTS: Final = ("input_tokens", "output_tokens")


def upstreams(settings: Settings) -> dict[str, Upstream]:
    return {name: _upstream(name, provider) for name, provider in settings.providers.items()}


def _upstream(name: str, provider: Provider) -> Upstream:
    return Upstream(
        name=name,
        kind=provider.kind,
        base_url=provider.base_url,
        api_key=provider.api_key.get_secret_value() if provider.api_key else None,
        key_header=provider.key_header,
        ca_file=_text(provider.ca_file),
        ask_for_usage=provider.ask_for_usage,
        client_cert_file=_text(provider.client_cert_file),
        client_key_file=_text(provider.client_key_file),
        proxy=provider.proxy.get_secret_value() if provider.proxy else None,
        http2=provider.http2,
        policy=_policy(provider),
    )


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _policy(provider: Provider) -> Policy:
    fallback = tuple(_fallback(said) for said in provider.fallback)
    retries = provider.retries
    if retries is None:
        return Policy(fallback=fallback)
    return Policy(
        attempts=retries.attempts,
        on=frozenset(retries.on),
        backoff_seconds=retries.backoff_seconds,
        fallback=fallback,
    )


def _fallback(said: str) -> tuple[str, str | None]:
    """`provider/model`, or `provider` for the same model."""
    name, slash, model = said.partition("/")
    return name, model if slash and model else None


def known_answers(store: EventStore, clock: Clock) -> KnownAnswers:
    """Looks up who told of an answer's usage already."""

    def is_told(provider: str, response_id: str) -> bool:
        conditions = Condition("provider", "in", (provider,)), Condition("response_id", "in", (response_id,))
        since_us = clock.now_us() - ANSWERS_KEPT_DAYS * DAY_US
        page = store.events(EventQuery(filters=conditions, from_us=since_us, limit=MOST_TELLINGS, columns=_COUNTS))
        return any(event.get(name) is not None for event in page.events for name in _COUNTS)

    return is_told


def gateway_settings(settings: Settings) -> GatewaySettings:
    cached = settings.response_cache
    sizes = cached.model_dump(exclude={"features", "keys"})
    cache = ResponseCache(features=frozenset(cached.features), keys=frozenset(cached.keys), **sizes)
    return GatewaySettings(**settings.gateway.model_dump(), response_cache=cache)
