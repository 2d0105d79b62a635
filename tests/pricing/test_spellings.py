"""How a model is spelt says who serves it and where; its price is that of the model there, or none."""

from __future__ import annotations

import pytest

from taximeter.core.cost import Unpriced
from taximeter.pricing import Priceable, PriceBook
from taximeter.pricing.meter import Meter
from taximeter.pricing.priceable import parse_instant
from taximeter.pricing.spelling import place_named, routed, spellings

NOVEMBER_2026 = parse_instant("2026-11-20T12:00:00Z")


def rates(book: PriceBook, provider: str, model: str, **given: str) -> dict[str, str] | str:
    """USD per million tokens in and out, and the price of a long context; or why there is none."""
    answer = book.listing(Priceable(provider, model, NOVEMBER_2026, **given)).answer  # type: ignore[arg-type]
    if isinstance(answer, Unpriced):
        return answer.reason
    assert isinstance(answer, Meter)
    found = {name: str(answer.rates.tokens[name].normalize()) for name in ("input", "output")}
    return found | {f"above {step.over}": str(step.tokens["input"].normalize()) for step in answer.rates.steps}


SPELT_OTHERWISE = {
    "a zone of Azure before the model": (
        ("azure", "eu/gpt-4.1", {}),
        ("azure", "gpt-4.1", {"region": "eu"}),
    ),
    "a zone of Azure, whatever the region of the resource": (
        ("azure", "us/gpt-4o-2024-11-20", {"region": "eastus2"}),
        ("azure", "gpt-4o-2024-11-20", {"service_tier": "DataZoneStandard"}),
    ),
    "Azure and a zone of it before the model": (
        ("azure", "azure/us/gpt-5.1", {}),
        ("azure", "gpt-5.1", {"region": "us"}),
    ),
    "Azure worldwide": (
        ("azure", "global-standard/gpt-4o", {"region": "us"}),
        ("azure", "gpt-4o", {}),
    ),
    "a dialect of Bedrock before the model": (
        ("aws", "converse/us.anthropic.claude-sonnet-4-5-20250929-v1:0", {}),
        ("aws", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", {}),
    ),
    "Bedrock, its dialect and a region before the model": (
        ("aws", "bedrock/converse/us-east-1/amazon.nova-pro-v1:0", {}),
        ("aws", "amazon.nova-pro-v1:0", {"region": "us-east-1"}),
    ),
    "Bedrock by its name at LiteLLM, and a region before the model": (
        ("bedrock_mantle", "bedrock_mantle/us-gov-west-1/openai.gpt-5.6-terra", {}),
        ("aws", "openai.gpt-5.6-terra", {"region": "us-gov-west-1"}),
    ),
    "a resource of Vertex AI, with its region": (
        ("google-vertex", "projects/p/locations/us-east5/publishers/anthropic/models/claude-opus-4-5@20251101", {}),
        ("google-vertex", "claude-opus-4-5@20251101", {"region": "us-east5"}),
    ),
    "a resource of Vertex AI worldwide": (
        ("google-vertex", "projects/p/locations/global/publishers/anthropic/models/claude-opus-4-5", {}),
        ("google-vertex", "claude-opus-4-5", {}),
    ),
    "a publisher of Vertex AI before a model in a region": (
        ("google-vertex", "anthropic/claude-sonnet-4-5", {"region": "europe-west1"}),
        ("google-vertex", "claude-sonnet-4-5", {"region": "europe-west1"}),
    ),
    "a publisher's model of Vertex AI that is listed with its publisher": (
        ("google-vertex", "publishers/deepseek-ai/models/deepseek-v3.2-maas", {}),
        ("google-vertex", "deepseek-ai/deepseek-v3.2-maas", {}),
    ),
    "Fireworks, in short": (
        ("fireworks", "kimi-k3", {}),
        ("fireworks", "accounts/fireworks/models/kimi-k3", {}),
    ),
    "Fireworks, in short, after its name": (
        ("fireworks_ai", "fireworks_ai/kimi-k3-fast", {}),
        ("fireworks", "accounts/fireworks/routers/kimi-k3-fast", {}),
    ),
    "OpenRouter with a search": (
        ("openrouter", "deepseek/deepseek-v3.2:online", {}),
        ("openrouter", "deepseek/deepseek-v3.2", {}),
    ),
    "OpenRouter's fastest host of a model that costs the same anywhere": (
        ("openrouter", "openai/gpt-4o:nitro", {}),
        ("openrouter", "openai/gpt-4o", {}),
    ),
    "OpenRouter's cheapest host": (
        ("openrouter", "moonshotai/kimi-k2.5:floor", {}),
        ("openrouter", "moonshotai/kimi-k2.5", {}),
    ),
    "OpenRouter with a preset": (
        ("openrouter", "openai/gpt-5.2@preset/support", {}),
        ("openrouter", "openai/gpt-5.2", {}),
    ),
}


@pytest.mark.parametrize("case", SPELT_OTHERWISE)
def test_a_model_costs_the_same_however_it_is_spelt(book: PriceBook, case: str) -> None:
    (provider, model, given), (plain_provider, plain_model, plain_given) = SPELT_OTHERWISE[case]
    expected = rates(book, plain_provider, plain_model, **plain_given)
    assert isinstance(expected, dict)
    assert rates(book, provider, model, **given) == expected


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openrouter", "deepseek/deepseek-v3.2:nitro"),  # the fastest host is not the one that is listed
        ("openrouter", "openai/gpt-oss-120b:exacto"),
        ("openrouter", "@preset/support"),
        ("fireworks", "accounts/acme/models/kimi-k3"),  # somebody's own, on hardware that is paid by the hour
        ("fireworks", "accounts/fireworks/models/kimi-k3#accounts/acme/deployments/d1"),
        ("azure", "westeurope/gpt-4o"),
        ("aws", "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abc"),
    ],
)
def test_a_spelling_that_stands_for_another_price_has_none(book: PriceBook, provider: str, model: str) -> None:
    assert rates(book, provider, model) == "unknown_model"


@pytest.mark.parametrize(
    ("model", "provider", "place"),
    [
        ("eu/gpt-4o", "azure", "eu"),
        ("azure/us-gov/gpt-4o", "azure", "us-gov"),
        ("azure_ai/us/gpt-4o", "azure", "us"),
        ("gpt-4o", "azure", None),
        ("eu/gpt-4o", "openai", None),
        ("bedrock/us-gov-west-1/amazon.nova-pro-v1:0", "aws", "us-gov-west-1"),
        ("bedrock_converse/eu-west-3/mistral.mistral-7b-instruct-v0:2", "aws", "eu-west-3"),
        ("us.amazon.nova-pro-v1:0", "aws", None),
        ("arn:aws-us-gov:bedrock:us-gov-east-1::foundation-model/amazon.nova-pro-v1:0", "aws", "us-gov-east-1"),
        ("projects/p/locations/europe-west4/publishers/google/models/gemini-2.5-pro", "google-vertex", "europe-west4"),
        ("publishers/google/models/gemini-2.5-pro", "google-vertex", None),
    ],
)
def test_a_name_may_tell_the_place(model: str, provider: str, place: str | None) -> None:
    assert place_named(model, provider) == place


@pytest.mark.parametrize(
    ("model", "provider", "others"),
    [
        ("gpt-4o", "openai", []),
        ("models/gemini-2.5-pro", "google", ["gemini-2.5-pro"]),
        ("us/gpt-4o", "azure", ["gpt-4o"]),
        ("publishers/meta/models/llama-x-maas", "google-vertex", ["llama-x-maas", "meta/llama-x-maas"]),
        ("mistralai/mistral-medium-3", "google-vertex", ["mistral-medium-3"]),
        ("accounts/fireworks/models/kimi-k3", "fireworks", []),
        ("arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-pro-v1:0", "aws", ["amazon.nova-pro-v1:0"]),
    ],
)
def test_other_spellings(model: str, provider: str, others: list[str]) -> None:
    assert spellings(model, provider) == others


@pytest.mark.parametrize(
    ("model", "one_price", "plain"),
    [
        ("openai/gpt-4o", True, None),
        ("openai/gpt-4o:nitro", True, "openai/gpt-4o"),
        ("deepseek/deepseek-v3.2:nitro", False, None),
        ("deepseek/deepseek-v3.2:floor", False, "deepseek/deepseek-v3.2"),
        ("deepseek/deepseek-r1:free", True, None),
        ("openai/gpt-5.2:online@preset/a", True, "openai/gpt-5.2"),
        ("@preset/a", True, None),
    ],
)
def test_a_wish_for_a_host_behind_a_name(model: str, one_price: bool, plain: str | None) -> None:
    assert routed(model, one_price=one_price) == plain
