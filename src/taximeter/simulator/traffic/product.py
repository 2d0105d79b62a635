"""The product: its features, its users and what one of its calls looks like. Data, and draws from it.

The live application and the invented past share it, so that charts continue where the past ends.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import accumulate
from random import Random
from typing import Final, Literal

Road = Literal["gateway", "sdk"]
Api = Literal["chat", "responses", "embeddings", "messages"]
PROVIDER_OF: Final[dict[Api, str]] = {
    "chat": "openai",
    "responses": "openai",
    "embeddings": "openai",
    "messages": "anthropic",
}

USERS: Final = 40
ZIPF_EXPONENT: Final = 1.1
TENANTS: Final = ("acme", "globex", "initech", "umbrella", "hooli")
ENVIRONMENTS: Final = (("prod", 0.88), ("staging", 0.08), ("dev", 0.04))
NEW_PROMPT_SHARE: Final = 0.25
"""Share of calls that already use the next prompt version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What calls are made for: the share of them that reach it, and what that is worth, where it is known."""

    name: str
    share: float
    value_usd: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """One feature. Sizes are medians in words; `cached_words` is the fixed part of its prompt.

    `office` is how much its use follows office hours: 0 not at all, 1 entirely.
    """

    name: str
    team: str
    endpoint: str
    api: Api
    models: tuple[tuple[str, float], ...]
    weight: float
    road: Road
    prompt_words: int
    output_words: int
    cached_words: int = 0
    streamed_share: float = 0
    thinks: bool = False
    service_tier: str | None = None
    office: float = 0.8
    prompt_version: int = 1
    goal: Goal | None = None


FEATURES: Final = (
    Feature(
        name="smart-reply",
        team="support",
        endpoint="/tickets/reply",
        api="chat",
        models=(("gpt-4o-mini", 0.75), ("gpt-4o", 0.25)),
        weight=30,
        road="gateway",
        prompt_words=220,
        output_words=60,
        streamed_share=0.7,
        prompt_version=7,
        goal=Goal(name="ticket_solved", share=0.25, value_usd="0.60"),
    ),
    Feature(
        name="summarise-ticket",
        team="support",
        endpoint="/tickets/summary",
        api="messages",
        models=(("claude-haiku-4-5-20251001", 1),),
        weight=18,
        road="sdk",
        prompt_words=600,
        output_words=90,
        cached_words=1500,
        prompt_version=3,
    ),
    Feature(
        name="search-embeddings",
        team="search",
        endpoint="/search",
        api="embeddings",
        models=(("text-embedding-3-small", 0.8), ("text-embedding-3-large", 0.2)),
        weight=24,
        road="sdk",
        prompt_words=40,
        output_words=0,
        office=0.6,
    ),
    Feature(
        name="answer-search",
        team="search",
        endpoint="/search/answer",
        api="responses",
        models=(("gpt-5-mini", 0.85), ("gpt-4.1-mini", 0.15)),
        weight=10,
        road="gateway",
        prompt_words=900,
        output_words=80,
        streamed_share=0.6,
        prompt_version=12,
        goal=Goal(name="question_answered", share=0.5, value_usd="0.02"),
    ),
    Feature(
        name="coding-agent",
        team="platform",
        endpoint="/agent/run",
        api="messages",
        models=(("claude-sonnet-5", 0.85), ("claude-opus-5", 0.15)),
        weight=9,
        road="gateway",
        prompt_words=700,
        output_words=140,
        cached_words=3200,
        streamed_share=0.8,
        thinks=True,
        office=1,
        prompt_version=21,
    ),
    Feature(
        name="translate-article",
        team="content",
        endpoint="/articles/translate",
        api="chat",
        models=(("gpt-4.1-mini", 0.94), ("acme-house-7b", 0.06)),
        weight=6,
        road="sdk",
        prompt_words=500,
        output_words=160,
        streamed_share=0.3,
        prompt_version=2,
        goal=Goal(name="article_translated", share=0.9),
    ),
    Feature(
        name="nightly-report",
        team="analytics",
        endpoint="/reports/nightly",
        api="responses",
        models=(("gpt-5", 1),),
        weight=3,
        road="sdk",
        prompt_words=2600,
        output_words=200,
        service_tier="flex",
        office=0,
        prompt_version=5,
    ),
)


GOALS: Final = {feature.name: feature.goal for feature in FEATURES}
USUAL_WEIGHTS: Final = tuple(feature.weight for feature in FEATURES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """Somebody uses a feature once: what will be asked, of whom, and for whom. Sizes in words."""

    feature: Feature
    model: str
    user: str
    tenant: str
    environment: str
    prompt_version: str
    session: str
    prompt_words: int
    output_words: int
    streamed: bool
    synchronous: bool
    fault: str | None = None
    fault_attempts: int | None = None


def _zipf(count: int) -> tuple[float, ...]:
    return tuple(accumulate(1 / rank**ZIPF_EXPONENT for rank in range(1, count + 1)))


_USER_RANKS: Final = _zipf(USERS)
_USERS: Final = tuple(f"user_{(number * 7919) % 1000:03d}" for number in range(1, USERS + 1))

FAULTS: Final = (
    ("rate_limit", 0.020, 1),
    ("overloaded", 0.008, 1),
    ("server_error", 0.004, None),
    ("cut", 0.003, None),
    ("bad_request", 0.003, None),
)
"""What is asked of the simulator: the kind, its share of the calls, and the tries it lasts (None: all)."""


def drawn_visit(chance: Random, weights: tuple[float, ...] = USUAL_WEIGHTS) -> Visit:
    """A visit by the habits of the product; `weights` are those of `FEATURES` at this time of the week."""
    (feature,) = chance.choices(FEATURES, weights)
    (rank,) = chance.choices(range(USERS), cum_weights=_USER_RANKS)
    fault, attempts = _drawn_fault(chance)
    version = feature.prompt_version + (chance.random() < NEW_PROMPT_SHARE)
    return Visit(
        feature=feature,
        model=_weighted(feature.models, chance),
        user=_USERS[rank],
        tenant=TENANTS[rank % len(TENANTS)],
        environment=_weighted(ENVIRONMENTS, chance),
        prompt_version=f"v{version}",
        session=f"session-{chance.getrandbits(24):06x}",
        prompt_words=_around(feature.prompt_words, chance),
        output_words=_around(feature.output_words, chance) if feature.output_words else 0,
        streamed=chance.random() < feature.streamed_share,
        synchronous=chance.random() < 0.3,
        fault=fault,
        fault_attempts=attempts,
    )


def _weighted(options: tuple[tuple[str, float], ...], chance: Random) -> str:
    (name,) = chance.choices([name for name, _ in options], [weight for _, weight in options])
    return name


def _around(median: int, chance: Random) -> int:
    return max(1, round(median * math.exp(chance.gauss(0, 0.5))))


def _drawn_fault(chance: Random) -> tuple[str | None, int | None]:
    point = chance.random()
    for kind, share, attempts in FAULTS:
        point -= share
        if point < 0:
            return kind, attempts
    return None, None
