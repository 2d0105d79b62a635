"""FOCUS: what is exported keeps the rules of the specification, and adds up to the store."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pytest
from api_here import get
from export_rig import World
from focus_rules import COLUMNS, violations

from taximeter.clock import to_unix_us
from taximeter.errors import UnavailableError, UsageError
from taximeter.exporters import focus
from taximeter.exporters.days import DAY_US
from taximeter.exporters.forms import Form, write
from taximeter.store.events import parse_query

pytestmark = pytest.mark.timeout(360)
COST = {"input": "0.003", "cache_read": "0.0005", "cache_write": "0.0015", "output": "0.007", "other": "0.0005"}


def ask(here: World, question: Mapping[str, Any]) -> dict[str, Any]:
    return here.store.query(parse_query(question, here.clock.at_us)).as_dict()


def file_of(here: World, form: Form = Form.csv, **chosen: Any) -> Path:
    file = here.folder / f"focus.{form}"

    def asking(question: Mapping[str, Any]) -> dict[str, Any]:
        return ask(here, question)

    days = focus.days_of(asking, here.clock.at_us - 40 * DAY_US, here.clock.at_us + 1)
    write(file, form, focus.pages(asking, days, focus.ACCOUNT, **chosen), focus.COLUMNS)
    return file


def rows_of(here: World, **chosen: Any) -> list[dict[str, str | None]]:
    with file_of(here, **chosen).open(newline="") as file:
        return [{name: value or None for name, value in row.items()} for row in csv.DictReader(file)]


def every_sort_of_call(here: World) -> None:
    """Calls of several days and months, priced and not, with caches, answers of our own, and what is not known."""
    here.traffic(Random(3), 300)
    here.call(cost=COST, cache_read_tokens=300, cache_write_5m_tokens=200, service_tier="batch", region="eu-west-1")
    here.call(at_us=here.clock.at_us - 35 * DAY_US, provider="local", request_model=None, team=None, cost_usd="0.1")
    here.call(cost_usd=None, unpriced_reason="unknown_model", request_model="nobody-knows", tenant="acme")
    here.call(status="cached", cost_usd="0")
    here.call(status="refused", cost_usd="0", output_tokens=None)


def billed(rows: Sequence[Mapping[str, Any]]) -> Decimal:
    return sum((Decimal(str(row["BilledCost"])) for row in rows), Decimal(0))


def stored_cost(here: World) -> Decimal:
    return Decimal(
        ask(here, {"measures": ["cost_usd"], "from": "2020-01-01", "to": "2100-01-01"})["totals"]["cost_usd"]
    )


def test_the_export_keeps_the_rules_of_the_specification(here: World) -> None:
    every_sort_of_call(here)
    rows = rows_of(here)
    assert violations(list(focus.COLUMNS), rows) == []
    assert {row["SkuMeter"] for row in rows} == {
        "Input Tokens", "Output Tokens", "Cache Read Tokens", "Cache Write Tokens", "Requests",
    }  # fmt: skip
    assert {str(row["BillingPeriodStart"])[:7] for row in rows} == {"2026-10", "2026-11"}


def test_costs_are_the_stores_to_the_last_digit(here: World) -> None:
    every_sort_of_call(here)
    assert billed(rows_of(here)) == stored_cost(here)


def test_quantities_are_the_tokens_that_were_bought(here: World) -> None:
    here.call(cost=COST, input_tokens=1000, cache_read_tokens=300, cache_write_5m_tokens=200, output_tokens=50)
    here.call(status="cached", cost_usd="0")
    told = {row["SkuMeter"]: (row["ConsumedQuantity"], row["BilledCost"]) for row in rows_of(here)}
    assert told == {
        "Input Tokens": ("500.0", "0.003"),
        "Cache Read Tokens": ("300.0", "0.0005"),
        "Cache Write Tokens": ("200.0", "0.0015"),
        "Output Tokens": ("50.0", "0.007"),
        "Requests": ("1.0", "0.0005"),
    }


def test_what_has_no_known_price_says_so(here: World) -> None:
    here.call(cost_usd=None, unpriced_reason="unknown_model")
    rows = rows_of(here)
    assert {row["x_UnpricedReason"] for row in rows} == {"unknown_model"}
    assert all("price not known" in str(row["ChargeDescription"]) for row in rows)


def test_calls_that_counted_nothing_but_themselves_are_not_silently_free(here: World) -> None:
    for _ in range(2):
        here.call(cost_usd=None, unpriced_reason="unknown_model", input_tokens=None, output_tokens=None)
    (row,) = rows_of(here)
    assert (row["BilledCost"], row["ConsumedQuantity"], row["SkuMeter"]) == ("0.0", "2.0", "Requests")
    assert row["x_UnpricedReason"] == "unknown_model"


def test_labels_may_be_the_short_names_of_dimensions(here: World) -> None:
    here.call(user_id="anna")
    assert json.loads(rows_of(here, labels=["user"])[0]["Tags"] or "") == {"user_id": "anna"}
    with pytest.raises(UsageError):
        rows_of(here, labels=["nothing"])


def test_labels_are_tags_and_the_team_is_the_sub_account(here: World) -> None:
    here.call(team="core", tenant="acme", tags={"plan": "pro"})
    row = rows_of(here)[0]
    assert json.loads(str(row["Tags"])) == {"team": "core", "tenant": "acme", "feature": "chat", "environment": "prod"}
    assert (row["SubAccountId"], row["BillingAccountId"]) == ("core", "default")
    assert json.loads(str(rows_of(here, labels=("user_id", "tags.plan"))[0]["Tags"])) == {
        "user_id": "ann", "tags.plan": "pro",
    }  # fmt: skip


def test_parquet_has_decimals_moments_and_the_same_sums(here: World) -> None:
    every_sort_of_call(here)
    file = file_of(here, Form.parquet)
    types = dict(duckdb.execute(f"SELECT column_name, column_type FROM (DESCRIBE FROM '{file}')").fetchall())
    told = {"text": "VARCHAR", "timestamp": "TIMESTAMP WITH TIME ZONE", "sum": "DECIMAL(38,12)", "json": "VARCHAR"}
    assert types == {name: told[kind] for name, kind in focus.COLUMNS.items()}
    asked = f"SELECT count(*), sum(BilledCost), epoch_us(min(ChargePeriodStart)) FROM '{file}'"
    rows = rows_of(here)
    first = min(datetime.fromisoformat(str(row["ChargePeriodStart"])) for row in rows)
    assert duckdb.execute(asked).fetchall() == [(len(rows), stored_cost(here), to_unix_us(first))]


def test_a_day_that_changed_is_told_anew_as_a_whole(here: World) -> None:
    every_sort_of_call(here)
    before = rows_of(here)
    here.call(at_us=here.clock.at_us - 2 * DAY_US, cost_usd="0.000000000001", cost={**COST, "input": "0"})
    here.store.delete_user("user-1", here.clock.at_us + 1)
    after = rows_of(here)
    assert billed(after) == stored_cost(here) != billed(before)
    assert violations(list(focus.COLUMNS), after) == []


def test_many_groups_are_read_in_pages(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    every_sort_of_call(here)
    at_once = rows_of(here)
    monkeypatch.setattr(focus, "GROUPS_AT_ONCE", 3)
    assert sorted(map(str, rows_of(here))) == sorted(map(str, at_once))


def test_a_day_is_told_as_it_was_at_one_moment(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(focus, "GROUPS_AT_ONCE", 2)
    for feature in ("a", "b", "c"):
        here.call(feature=feature)
    days, asked = [here.clock.at_us], 0

    def meanwhile(question: Mapping[str, Any], most_changes: int) -> dict[str, Any]:
        nonlocal asked
        asked += 1
        answer = ask(here, question)
        if asked <= most_changes:
            here.call(feature="a")
        return answer

    asked = 0
    (rows,) = focus.pages(lambda question: meanwhile(question, 1), days, "org-1")
    assert billed(rows) == stored_cost(here)
    asked = 0
    with pytest.raises(UnavailableError, match="changes faster"):
        list(focus.pages(lambda question: meanwhile(question, 1000), days, "org-1"))


def test_the_api_gives_the_same_file(here: World) -> None:
    every_sort_of_call(here)
    answer = get(here, "/focus", **{"from": "60d"})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    with file_of(here).open(newline="") as file:
        assert answer.text == file.read()
    lines = get(here, "/focus", **{"from": "60d", "format": "json", "by": "user", "filters": '{"user_id": "ann"}'})
    rows = [json.loads(line) for line in lines.text.splitlines()]
    assert {str(row["Tags"]) for row in rows} == {"{'user_id': 'ann'}"}
    assert get(here, "/focus", **{"from": "60d", "format": "parquet"}).content[:4] == b"PAR1"


def test_the_api_says_what_is_wrong(here: World) -> None:
    assert get(here, "/focus", key="ingest").status_code == 403
    assert get(here, "/focus", **{"from": "2000-01-01"}).json()["error"]["field"] == "from"
    assert get(here, "/focus", by="nobody").status_code == 422
    assert get(here, "/focus/schema").json()["FocusVersion"] == "1.2"


def test_the_schema_tells_every_column() -> None:
    schema = focus.schema("1.0")
    assert schema["FocusVersion"] == "1.2"
    assert [column["ColumnName"] for column in schema["ColumnDefinition"]] == list(focus.COLUMNS)
    assert schema["SchemaId"] == focus.schema("2.0")["SchemaId"]


RIGHT = {
    **dict.fromkeys(focus.COLUMNS), "BilledCost": "1", "ContractedCost": "1", "EffectiveCost": "1", "ListCost": "1",
    "BillingAccountId": "a", "BillingCurrency": "USD", "BillingPeriodStart": "2026-11-01T00:00:00Z",
    "BillingPeriodEnd": "2026-12-01T00:00:00Z", "ChargePeriodStart": "2026-11-02T00:00:00Z",
    "ChargePeriodEnd": "2026-11-03T00:00:00Z", "ChargeCategory": "Usage", "ChargeFrequency": "Usage-Based",
    "ConsumedQuantity": "5", "ConsumedUnit": "Tokens", "PricingQuantity": "5", "PricingUnit": "Tokens",
    "PricingCategory": "Standard", "ProviderName": "p", "PublisherName": "p", "InvoiceIssuerName": "p",
    "ServiceCategory": "AI and Machine Learning", "ServiceSubcategory": "Generative AI", "ServiceName": "s",
    "SkuId": "s", "SkuMeter": "m", "SkuPriceId": "s", "Tags": '{"team": "core"}',
}  # fmt: skip


@pytest.mark.parametrize(
    ("column", "wrong"),
    [
        ("BilledCost", None),
        ("BilledCost", "1,000"),
        ("ListCost", "2"),
        ("BillingCurrency", "dollars"),
        ("ChargePeriodStart", "2026-11-02"),
        ("ChargePeriodStart", "2026-12-02T00:00:00Z"),
        ("ChargeCategory", "Consumption"),
        ("ChargeClass", "Restated"),
        ("ConsumedUnit", None),
        ("PricingUnit", "tokens"),
        ("PricingQuantity", None),
        ("RegionName", "Europe"),
        ("ServiceSubcategory", "Chat"),
        ("SkuId", None),
        ("Tags", '{"team": {"name": "core"}}'),
        ("SubAccountId", ""),
    ],
)
def test_the_rules_find_what_is_wrong(column: str, wrong: str | None) -> None:
    assert violations(list(focus.COLUMNS), [RIGHT]) == []
    assert violations(list(focus.COLUMNS), [{**RIGHT, column: wrong}]) != []


def test_the_rules_find_missing_and_strange_columns() -> None:
    assert "BilledCost is missing" in violations([name for name in COLUMNS if name != "BilledCost"], [])
    assert violations([*focus.COLUMNS, "Extra"], []) == ["Extra is no column", "custom columns come last"]
