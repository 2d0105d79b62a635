"""FOCUS 1.2 as rules, written from the published specification: what is wrong with a dataset.

A dataset is rows as a CSV file has them: texts, and None where nothing is. Rules that compare with invoices, price
lists or commitments of a provider have nothing to look at here and are left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import NamedTuple

Row = Mapping[str, str | None]


class Column(NamedTuple):
    level: str
    """M: mandatory, R: recommended, C: conditional."""
    nullable: bool
    type: str
    allowed: tuple[str, ...] = ()


M, R, C = "M", "R", "C"
TEXT, NUMBER, MOMENT, JSON = "text", "number", "moment", "json"
CATEGORIES = ("Usage", "Purchase", "Tax", "Credit", "Adjustment")
SERVICE_CATEGORIES = (
    "AI and Machine Learning", "Analytics", "Business Applications", "Compute", "Databases", "Developer Tools",
    "Multicloud", "Identity", "Integration", "Internet of Things", "Management and Governance", "Media", "Migration",
    "Mobile", "Networking", "Security", "Storage", "Web", "Other",
)  # fmt: skip
OF_AI = (
    "AI Platforms", "Bots", "Generative AI", "Machine Learning", "Natural Language Processing",
    "Other (AI and Machine Learning)",
)  # fmt: skip

COLUMNS = {
    "AvailabilityZone": Column(R, True, TEXT),
    "BilledCost": Column(M, False, NUMBER),
    "BillingAccountId": Column(M, False, TEXT),
    "BillingAccountName": Column(M, True, TEXT),
    "BillingAccountType": Column(C, False, TEXT),
    "BillingCurrency": Column(M, False, TEXT),
    "BillingPeriodEnd": Column(M, False, MOMENT),
    "BillingPeriodStart": Column(M, False, MOMENT),
    "CapacityReservationId": Column(C, True, TEXT),
    "CapacityReservationStatus": Column(C, True, TEXT, ("Used", "Unused")),
    "ChargeCategory": Column(M, False, TEXT, CATEGORIES),
    "ChargeClass": Column(M, True, TEXT, ("Correction",)),
    "ChargeDescription": Column(M, True, TEXT),
    "ChargeFrequency": Column(R, False, TEXT, ("One-Time", "Recurring", "Usage-Based")),
    "ChargePeriodEnd": Column(M, False, MOMENT),
    "ChargePeriodStart": Column(M, False, MOMENT),
    "CommitmentDiscountCategory": Column(C, True, TEXT, ("Spend", "Usage")),
    "CommitmentDiscountId": Column(C, True, TEXT),
    "CommitmentDiscountName": Column(C, True, TEXT),
    "CommitmentDiscountQuantity": Column(C, True, NUMBER),
    "CommitmentDiscountStatus": Column(C, True, TEXT, ("Used", "Unused")),
    "CommitmentDiscountType": Column(C, True, TEXT),
    "CommitmentDiscountUnit": Column(C, True, TEXT),
    "ConsumedQuantity": Column(C, True, NUMBER),
    "ConsumedUnit": Column(C, True, TEXT),
    "ContractedCost": Column(M, False, NUMBER),
    "ContractedUnitPrice": Column(C, True, NUMBER),
    "EffectiveCost": Column(M, False, NUMBER),
    "InvoiceId": Column(R, True, TEXT),
    "InvoiceIssuerName": Column(M, False, TEXT),
    "ListCost": Column(M, False, NUMBER),
    "ListUnitPrice": Column(C, True, NUMBER),
    "PricingCategory": Column(C, True, TEXT, ("Standard", "Dynamic", "Committed", "Other")),
    "PricingCurrency": Column(C, True, TEXT),
    "PricingCurrencyContractedUnitPrice": Column(C, True, NUMBER),
    "PricingCurrencyEffectiveCost": Column(C, True, NUMBER),
    "PricingCurrencyListUnitPrice": Column(C, True, NUMBER),
    "PricingQuantity": Column(M, True, NUMBER),
    "PricingUnit": Column(M, True, TEXT),
    "ProviderName": Column(M, False, TEXT),
    "PublisherName": Column(M, False, TEXT),
    "RegionId": Column(C, True, TEXT),
    "RegionName": Column(C, True, TEXT),
    "ResourceId": Column(C, True, TEXT),
    "ResourceName": Column(C, True, TEXT),
    "ResourceType": Column(C, True, TEXT),
    "ServiceCategory": Column(M, False, TEXT, SERVICE_CATEGORIES),
    "ServiceName": Column(M, False, TEXT),
    "ServiceSubcategory": Column(R, False, TEXT, OF_AI),
    "SkuId": Column(C, True, TEXT),
    "SkuMeter": Column(C, True, TEXT),
    "SkuPriceDetails": Column(C, True, JSON),
    "SkuPriceId": Column(C, True, TEXT),
    "SubAccountId": Column(C, True, TEXT),
    "SubAccountName": Column(C, True, TEXT),
    "SubAccountType": Column(C, True, TEXT),
    "Tags": Column(C, True, JSON),
}

_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z")
_NUMBER = re.compile(r"-?\d+(\.\d+)?(E-?\d+)?")
_NAME = re.compile(r"(x_)?[A-Z][A-Za-z0-9]{0,49}")
_UNIT = re.compile(r"(\d+ )?[A-Z][A-Za-z]*s(-[A-Z][a-z]+s|/[A-Z][a-z]+)?")
IDENTIFIED = ("SkuId", "SkuPriceId", "PricingQuantity", "ConsumedQuantity", "PricingCategory")
"""What a charge for usage has, where the column is there."""
TOGETHER = (
    ("PricingUnit", "PricingQuantity"), ("ConsumedUnit", "ConsumedQuantity"), ("RegionName", "RegionId"),
    ("SubAccountName", "SubAccountId"), ("SkuMeter", "SkuId"),
)  # fmt: skip
"""The first is null when and only when the second is."""


def violations(names: Sequence[str], rows: Sequence[Row]) -> list[str]:
    """Everything in a dataset that the specification does not allow."""
    found = [f"{name} is missing" for name, column in COLUMNS.items() if column.level == M and name not in names]
    found += [f"{name} is no column" for name in names if name not in COLUMNS and not name.startswith("x_")]
    found += [f"{name} is not a name" for name in names if not _NAME.fullmatch(name)]
    if sorted(names, key=lambda name: name.startswith("x_")) != list(names):
        found.append("custom columns come last")
    for number, row in enumerate(rows):
        found += [f"row {number}: {wrong}" for wrong in (*_cells(row), *_together(row))]
    return found + list(_over_rows(rows))


def _cells(row: Row) -> Iterator[str]:
    for name, value in row.items():
        column = COLUMNS.get(name)
        if value is not None and not value.strip():
            yield f"{name} is an empty text"
        elif column is not None and value is None and not column.nullable:
            yield f"{name} is null"
        elif column is not None and value is not None:
            if not IS[column.type](value):
                yield f"{name} is no {column.type}: {value}"
            if column.allowed and value not in column.allowed:
                yield f"{name} may not be {value}"


def _is_number(value: str) -> bool:
    try:
        return bool(_NUMBER.fullmatch(value)) and Decimal(value).is_finite()
    except InvalidOperation:
        return False


def _is_flat_object(value: str) -> bool:
    pairs: list[tuple[str, object]] = json.loads(value, object_pairs_hook=list)
    keys = [key for key, _ in pairs]
    return len(set(keys)) == len(keys) and not any(isinstance(held, list | dict) for _, held in pairs)


IS: Mapping[str, Callable[[str], bool]] = {
    TEXT: lambda _: True,
    NUMBER: _is_number,
    MOMENT: lambda value: bool(_MOMENT.fullmatch(value)),
    JSON: _is_flat_object,
}


def _together(row: Row) -> Iterator[str]:
    for name, other in TOGETHER:
        if name in row and (row[name] is None) != (row[other] is None):
            yield f"{name} does not go with {other}"
    if row["ChargeCategory"] in ("Usage", "Purchase") and row["ChargeClass"] is None:
        yield from (f"{name} is null in a charge" for name in IDENTIFIED if name in row and row[name] is None)
    if row["ChargeCategory"] == "Purchase" and row.get("ChargeFrequency") == "Usage-Based":
        yield "a purchase is not usage-based"
    for name in ("PricingUnit", "ConsumedUnit"):
        if (unit := row.get(name)) is not None and not _UNIT.fullmatch(unit):
            yield f"{name} has not the form of a unit: {unit}"
    if not re.fullmatch("[A-Z]{3}", row["BillingCurrency"] or ""):
        yield "BillingCurrency is no ISO 4217 code"
    yield from _costs(row)
    if not str(row["ChargePeriodStart"]) < str(row["ChargePeriodEnd"]):
        yield "the charge period is empty"
    if not str(row["BillingPeriodStart"]) <= str(row["ChargePeriodStart"]) < str(row["BillingPeriodEnd"]):
        yield "the charge is outside of the billing period"
    if row.get("ServiceSubcategory") in OF_AI and row["ServiceCategory"] != "AI and Machine Learning":
        yield "the subcategory has another parent"


def _costs(row: Row) -> Iterator[str]:
    for cost, price in (("ListCost", "ListUnitPrice"), ("ContractedCost", "ContractedUnitPrice")):
        if row.get(price) is None:
            if row[cost] != row["BilledCost"]:
                yield f"{cost} without {price} is not BilledCost"
        elif Decimal(row[price] or 0) * Decimal(row["PricingQuantity"] or 0) != Decimal(row[cost] or 0):
            yield f"{price} x PricingQuantity is not {cost}"


def _over_rows(rows: Sequence[Row]) -> Iterator[str]:
    for name, of in (("SkuPriceId", "SkuId"), ("SkuPriceId", "SkuPriceDetails"), ("ServiceName", "ServiceCategory")):
        pairs = {(row.get(name), row.get(of)) for row in rows}
        if len(pairs) > len({first for first, _ in pairs}):
            yield f"{name} has more than one {of}"
