"""Spend as the FinOps Open Cost and Usage Specification (FOCUS) has it, version 1.2. Pure, but for `ask`.

A row is what one meter of a model (its input, its output, ...) came to on one day (UTC), for one combination of labels.
Rows have no unit price: a day may have calls at several rates, and FOCUS wants price x quantity to be the cost exactly.
The cost of a call without a known price is not known. FOCUS has no null there, so such rows say 0, are described so,
and name the reason in `x_UnpricedReason`. Answers of the response cache and refused calls are nobody's charge.

A day is made from the store as it is now, always as a whole: to restate one is to make it again.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from taximeter.clock import rfc3339, to_datetime, to_unix_us
from taximeter.config.exporting import CHARGED_BY
from taximeter.core.money import add, format_usd
from taximeter.errors import UnavailableError
from taximeter.exporters.days import DAY_US
from taximeter.store.events.vocabulary import dimension

VERSION: Final = "1.2"
CREATED_AT: Final = "2026-11-29T00:00:00Z"
"""When the columns below became what they are."""

ACCOUNT: Final = "default"
"""The billing account, when nobody says which."""

BOUGHT: Final = ("provider", "model", "service_tier", "region", "unpriced_reason")
GROUPS_AT_ONCE: Final = 10_000
TRIES: Final = 5
"""How often a day is read when it changes while it is read."""

Ask = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""The answer to a query, both in the shapes of `POST /api/v1/query`."""

Row = dict[str, Any]

_TEXT, _MOMENT, _DECIMAL, _JSON = "text", "timestamp", "sum", "json"
COLUMNS: Final[Mapping[str, str]] = {
    "AvailabilityZone": _TEXT,
    "BilledCost": _DECIMAL,
    "BillingAccountId": _TEXT,
    "BillingAccountName": _TEXT,
    "BillingCurrency": _TEXT,
    "BillingPeriodEnd": _MOMENT,
    "BillingPeriodStart": _MOMENT,
    "ChargeCategory": _TEXT,
    "ChargeClass": _TEXT,
    "ChargeDescription": _TEXT,
    "ChargeFrequency": _TEXT,
    "ChargePeriodEnd": _MOMENT,
    "ChargePeriodStart": _MOMENT,
    "CommitmentDiscountStatus": _TEXT,
    "ConsumedQuantity": _DECIMAL,
    "ConsumedUnit": _TEXT,
    "ContractedCost": _DECIMAL,
    "EffectiveCost": _DECIMAL,
    "InvoiceId": _TEXT,
    "InvoiceIssuerName": _TEXT,
    "ListCost": _DECIMAL,
    "PricingCategory": _TEXT,
    "PricingQuantity": _DECIMAL,
    "PricingUnit": _TEXT,
    "ProviderName": _TEXT,
    "PublisherName": _TEXT,
    "RegionId": _TEXT,
    "RegionName": _TEXT,
    "ServiceCategory": _TEXT,
    "ServiceName": _TEXT,
    "ServiceSubcategory": _TEXT,
    "SkuId": _TEXT,
    "SkuMeter": _TEXT,
    "SkuPriceDetails": _JSON,
    "SkuPriceId": _TEXT,
    "SubAccountId": _TEXT,
    "SubAccountName": _TEXT,
    "Tags": _JSON,
    "x_Model": _TEXT,
    "x_UnpricedReason": _TEXT,
}
"""The columns of a row in their order, and what is in them."""

_DATA_TYPES: Final = {_TEXT: "STRING", _MOMENT: "DATETIME", _DECIMAL: "DECIMAL", _JSON: "JSON"}
_PROVIDERS: Final = {
    "anthropic": "Anthropic",
    "aws": "Amazon Web Services",
    "azure": "Microsoft Azure",
    "bedrock": "Amazon Web Services",
    "cohere": "Cohere",
    "gemini": "Google",
    "google": "Google",
    "google-vertex": "Google",
    "groq": "Groq",
    "mistral": "Mistral AI",
    "openai": "OpenAI",
    "vertex": "Google",
    "x-ai": "xAI",
    "xai": "xAI",
}
"""The names that providers give themselves; of others what the configuration calls them."""

NOT_KNOWN: Final = "unknown"
"""A provider or model that a call does not name: these columns may not be null."""


@dataclass(frozen=True, slots=True)
class _Meter:
    """What is charged for by itself: the measures of its cost and its quantity, both sums."""

    name: str
    short: str
    unit: str
    cost: str
    counts: tuple[str, ...]
    without: tuple[str, ...] = ()

    def quantity(self, group: Mapping[str, Any]) -> int:
        counted: int = sum(group[name] for name in self.counts) - sum(group[name] for name in self.without)
        return counted


_WRITTEN: Final = ("cache_write_5m_tokens", "cache_write_1h_tokens")
_CACHED: Final = ("cache_read_tokens", *_WRITTEN)
_METERS: Final = (
    _Meter("Input Tokens", "input", "Tokens", "cost_input_usd", ("input_tokens",), _CACHED),
    _Meter("Cache Read Tokens", "cache_read", "Tokens", "cost_cache_read_usd", ("cache_read_tokens",)),
    _Meter("Cache Write Tokens", "cache_write", "Tokens", "cost_cache_write_usd", _WRITTEN),
    _Meter("Output Tokens", "output", "Tokens", "cost_output_usd", ("output_tokens",)),
)
_REQUESTS: Final = _Meter("Requests", "requests", "Requests", "cost_usd", ("calls",))
"""What is charged by the call, the search, the image, or comes as one amount: all that no other meter has."""

MEASURES: Final = ("cost_usd", "calls", *(meter.cost for meter in _METERS), "input_tokens", "output_tokens", *_CACHED)


def schema(version: str) -> dict[str, Any]:
    """The schema that FOCUS asks for beside the data; `version` is that of this program."""
    columns = [_definition(name, kind) for name, kind in COLUMNS.items()]
    return {
        "SchemaId": str(uuid.uuid5(uuid.NAMESPACE_URL, json.dumps([VERSION, columns]))),
        "FocusVersion": VERSION,
        "CreationDate": CREATED_AT,
        "DataGenerator": "taximeter",
        "DataGeneratorVersion": version,
        "ColumnDefinition": columns,
    }


def _definition(name: str, kind: str) -> dict[str, Any]:
    told: dict[str, Any] = {"ColumnName": name, "DataType": _DATA_TYPES[kind]}
    if kind == _DECIMAL:
        told |= {"NumericPrecision": 38, "NumberScale": 12}
    if kind == _TEXT:
        told |= {"StringEncoding": "UTF-8"}
    return told


def days_of(ask: Ask, from_us: int, to_us: int) -> list[int]:
    """The starts of the days (UTC) with calls that have a part in a time. Raises what `ask` raises."""
    first_us, end_us = from_us // DAY_US * DAY_US, -(-to_us // DAY_US) * DAY_US
    asked = {"measures": ["calls"], "interval": "day", "from": rfc3339(first_us), "to": rfc3339(end_us)}
    return [to_unix_us(datetime.fromisoformat(row["time"])) for row in ask(asked)["rows"]]


def pages(
    ask: Ask,
    days: Sequence[int],
    account: str,
    labels: Sequence[str] = CHARGED_BY,
    filters: Mapping[str, Any] | None = None,
) -> Iterator[list[Row]]:
    """The rows of days, one day after the other. `account` is the id of the billing account.

    Raises what `ask` raises, UsageError for a label that is no dimension, and UnavailableError for a day that changes
    faster than it can be read.
    """
    labels = [dimension(label, field="labels") for label in labels]
    for day_us in days:
        groups = _groups(ask, day_us, [*BOUGHT, *labels], filters or {})
        yield [row for group in groups for row in _rows(group, day_us, account, labels)]


def _groups(ask: Ask, day_us: int, group_by: list[str], filters: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """All groups of a day, as they were at one moment."""
    asked = {
        "measures": list(MEASURES),
        "group_by": group_by,
        "filters": {"status": {"not": ["cached", "refused"]}, **filters},
        "from": rfc3339(day_us),
        "to": rfc3339(day_us + DAY_US),
        "limit": GROUPS_AT_ONCE,
    }
    for _ in range(TRIES):
        groups, totals = _read(ask, asked)
        if all(_total(groups, measure) == Decimal(totals[measure] or 0) for measure in MEASURES):
            return groups
    raise UnavailableError(f"{rfc3339(day_us)[:10]} changes faster than it can be read", hint="try again")


def _read(ask: Ask, asked: Mapping[str, Any]) -> tuple[list[Mapping[str, Any]], Mapping[str, Any]]:
    groups: list[Mapping[str, Any]] = []
    while True:
        answer = ask({**asked, "offset": len(groups)})
        page = [row for row in answer["rows"] if not row.get("other")]
        groups += page
        if not page or len(groups) >= answer["groups"]:
            return groups, answer["totals"]


def _total(groups: Sequence[Mapping[str, Any]], measure: str) -> Decimal:
    return add(*(Decimal(group[measure] or 0) for group in groups))


def _rows(group: Mapping[str, Any], day_us: int, account: str, labels: Sequence[str]) -> Iterator[Row]:
    about = {**_when(day_us), **_what(group), **_whose(group, account, labels)}
    amounts = {meter: Decimal(group[meter.cost] or 0) for meter in _METERS}
    amounts[_REQUESTS] = add(Decimal(group["cost_usd"] or 0), *(-amount for amount in amounts.values()))
    used = [one for one in amounts if amounts[one] or (one is not _REQUESTS and one.quantity(group))]
    if not used and group["unpriced_reason"] is not None:
        used = [_REQUESTS]  # nothing but the calls was counted, and what they cost is not known
    for meter in used:
        charged = {**about, **_charged(meter, group, Decimal(meter.quantity(group)), amounts[meter])}
        yield {name: charged.get(name) for name in COLUMNS}


def _when(day_us: int) -> Row:
    day = to_datetime(day_us)
    after = datetime(day.year + day.month // 12, day.month % 12 + 1, 1, tzinfo=UTC)
    return {
        "BillingPeriodStart": _moment(day.replace(day=1)),
        "BillingPeriodEnd": _moment(after),
        "ChargePeriodStart": _moment(day),
        "ChargePeriodEnd": _moment(to_datetime(day_us + DAY_US)),
    }


def _moment(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _what(group: Mapping[str, Any]) -> Row:
    provider = group["provider"] or NOT_KNOWN
    name = _PROVIDERS.get(provider, provider)
    return {
        "ProviderName": name,
        "PublisherName": name,
        "InvoiceIssuerName": name,
        "ServiceCategory": "AI and Machine Learning",
        "ServiceSubcategory": "Generative AI",
        "ServiceName": f"{name} API",
        "RegionId": group["region"],
        "RegionName": group["region"],
        "x_Model": group["model"],
        "x_UnpricedReason": group["unpriced_reason"],
    }


def _whose(group: Mapping[str, Any], account: str, labels: Sequence[str]) -> Row:
    tags = {label: group[label] for label in labels if group[label] is not None}
    return {
        "BillingAccountId": account,
        "BillingCurrency": "USD",
        "SubAccountId": tags.get("team"),
        "SubAccountName": tags.get("team"),
        "Tags": tags or None,
    }


def _charged(meter: _Meter, group: Mapping[str, Any], quantity: Decimal, cost: Decimal) -> Row:
    model, tier = group["model"] or NOT_KNOWN, group["service_tier"] or "default"
    sku = f"{group['provider'] or NOT_KNOWN}/{model}/{meter.short}"
    unpriced = "" if group["unpriced_reason"] is None else ", price not known"
    return {
        **dict.fromkeys(("BilledCost", "ContractedCost", "EffectiveCost", "ListCost"), _decimal(cost)),
        **dict.fromkeys(("ConsumedQuantity", "PricingQuantity"), _decimal(quantity)),
        **dict.fromkeys(("ConsumedUnit", "PricingUnit"), meter.unit),
        "ChargeCategory": "Usage",
        "ChargeFrequency": "Usage-Based",
        "ChargeDescription": f"{model}: {meter.name.lower()}{unpriced}",
        "PricingCategory": "Standard",
        "SkuId": sku,
        "SkuMeter": meter.name,
        "SkuPriceId": f"{sku}/{tier}",
        "SkuPriceDetails": {"x_ServiceTier": tier},
    }


def _decimal(number: Decimal) -> str:
    """With a point in any case: readers of CSV take a column of whole numbers for integers, and these are decimals."""
    text = format_usd(number)
    return text if "." in text else f"{text}.0"
