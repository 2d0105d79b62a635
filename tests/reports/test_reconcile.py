"""A provider's bill beside what was metered: what differs, by day and by model, and what the difference is made of."""

from __future__ import annotations

import json
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taximeter.core.ids import uuid7
from taximeter.errors import UsageError
from taximeter.pricing import load_price_book
from taximeter.reports.bill_differences import Amounts, Books, Place, compare, summed, total
from taximeter.reports.reconcile import reconcile
from taximeter.store.events import DuckDBEvents

NOW_US = 1_795_000_000_000_000
"""2026-11-18T11:06:40Z"""

BOOK = load_price_book()
USD = st.decimals("-9999", "9999", places=9)
CENTS = st.decimals(0, "9999", places=2)
PLACES = st.builds(
    Place,
    st.sampled_from(["openai", "anthropic"]),
    st.sampled_from(["2026-10-01", "2026-10-02", "2026-10-03"]),
    st.sampled_from(["gpt-4o", "o3", None]),
)
METERED = st.builds(Amounts, metered=USD, calls=st.integers(0, 9), unpriced_calls=st.integers(0, 9))
BOOKS = st.builds(
    Books, st.dictionaries(PLACES, CENTS), st.dictionaries(PLACES, METERED), st.dictionaries(PLACES, METERED)
)


@given(BOOKS)
def test_the_parts_of_every_difference_sum_to_it_to_the_last_digit(books: Books) -> None:
    for one in compare(books).values():
        assert one.unmetered + one.price + one.unexplained == one.difference == one.billed - one.metered


@given(BOOKS)
def test_rows_of_any_kind_sum_to_the_same_totals(books: Books) -> None:
    compared = compare(books)
    by_day, by_model = (
        summed(compared, lambda place: place.day).values(),
        summed(compared, lambda place: place.model).values(),
    )
    assert total(by_day) == total(by_model) == total(compared.values())


@given(BOOKS)
def test_all_that_was_billed_is_compared_and_nothing_of_days_without_a_bill(books: Books) -> None:
    compared = compare(books)
    assert total(compared.values()).billed == sum(books.billed.values(), Decimal(0))
    assert {(place.provider, place.day) for place in compared} == books.billed_days


# --- from a store --------------------------------------------------------------------------------------------------


class Ledger:
    """A store of events that are told as rows of a table."""

    def __init__(self, file: Path) -> None:
        self.store = DuckDBEvents(file, query_timeout_seconds=600)
        self._events = 0

    def add(self, day: str, model: str | None, **fields: Any) -> None:
        self._events += 1
        record = {
            "event_id": uuid7(NOW_US // 1000, self._events.to_bytes(10, "big")),
            "started_at": f"2026-10-{day}T12:00:00Z",
            "provider": "openai",
            "request_model": model,
            "operation": "chat",
            "status": "ok",
            "cost_usd": "0",
            **fields,
        }
        self.store.append([json.dumps(record).encode()], {})

    def call(self, day: str, model: str, cost_usd: str | None, **fields: Any) -> None:
        reason = {} if cost_usd else {"unpriced_reason": "unknown_model"}
        self.add(day, model, cost_usd=cost_usd, **reason, **fields)

    def bill(self, day: str, model: str | None, usd: str, **fields: Any) -> None:
        told = {"operation": "bill", "tags": {"aggregated": "bill"}, "not_billed": True, "reported_cost_usd": usd}
        self.add(day, model, **told, **fields)

    def usage(self, day: str, model: str, cost_usd: str | None) -> None:
        self.add(day, model, cost_usd=cost_usd, tags={"aggregated": "usage"})

    def reconcile(self, **request: Any) -> dict[str, Any]:
        return reconcile({"month": "2026-10", **request}, self.store, BOOK, NOW_US)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterable[Ledger]:
    opened = Ledger(tmp_path / "events.duckdb")
    yield opened
    opened.store.close()


def amounts(row: dict[str, Any], *names: str) -> tuple[str, ...]:
    return tuple(row[f"{name}_usd"] for name in names)


def reasons(told: dict[str, Any]) -> dict[str, tuple[str | None, int | None]]:
    return {reason["code"]: (reason["usd"], reason["calls"]) for reason in told["reasons"]}


def test_a_bill_that_agrees_leaves_nothing_to_explain(ledger: Ledger) -> None:
    ledger.call("01", "gpt-4o", "1.2")
    ledger.call("01", "gpt-4o", "0.3")
    ledger.bill("01", "gpt-4o", "1.5")
    told = ledger.reconcile()
    assert (told["within"], told["reasons"]) == (True, [])
    assert [(row["provider"], row["day"], row["calls"]) for row in told["rows"]] == [("openai", "2026-10-01", 2)]
    assert amounts(told["totals"], "billed", "metered", "difference") == ("1.5", "1.5", "0")


def test_a_usage_report_tells_calls_that_were_not_metered_from_other_prices(ledger: Ledger) -> None:
    ledger.call("01", "gpt-4o", "6")
    ledger.usage("01", "gpt-4o", "10")  # calls for 4 were made past the meter
    ledger.bill("01", "gpt-4o", "9")  # and all of it is billed at 0.9 of the list price
    ledger.call("02", "gpt-4o", "2")
    ledger.bill("02", "gpt-4o", "3")  # of that day there is no report
    told = ledger.reconcile()
    assert [amounts(row, "difference", "unmetered", "price", "unexplained") for row in told["rows"]] == [
        ("3", "4", "-1", "0"),
        ("1", "0", "0", "1"),
    ]
    assert amounts(told["totals"], "difference", "unmetered", "price", "unexplained") == ("4", "4", "-1", "1")
    assert (told["within"], reasons(told)["no_usage_report"]) == (False, ("1", None))


def test_rows_by_model_come_by_the_size_of_their_difference(ledger: Ledger) -> None:
    ledger.call("01", "gpt-4o", "5")
    ledger.call("02", "o3", "1")
    ledger.bill("01", "gpt-4o", "5.5")
    ledger.bill("02", "o3", "3")
    ledger.bill("02", "web search tool calls", "0.75")
    told = ledger.reconcile(by="model")
    assert [(row["model"], row["difference_usd"]) for row in told["rows"]] == [
        ("o3", "2"),
        ("web search tool calls", "0.75"),
        ("gpt-4o", "0.5"),
    ]
    assert reasons(told)["only_billed"] == ("0.75", None)


REPORTED = (
    {"provider": "openai", "started_at": "2026-10-01T00:00:00Z", "operation": "bill", "reported_cost_usd": "3.75"},
    {
        "provider": "openai",
        "started_at": "2026-10-01T02:00:00+02:00",
        "response_model": "gpt-4o",
        "input_tokens": 10**6,
    },
    {"provider": "openai", "started_at": "2026-11-01T00:00:00Z", "response_model": "gpt-4o", "input_tokens": 10**6},
    {"provider": "xai", "started_at": "2026-10-01T00:00:00Z", "operation": "bill", "reported_cost_usd": "9"},
)
"""A bill of 3.75 USD, and usage that comes to 2.50 USD; and what is not of October, or not of that provider."""


def test_rows_that_come_with_the_question_stand_in_the_place_of_those_that_were_imported(ledger: Ledger) -> None:
    ledger.call("01", "gpt-4o", "2")
    ledger.usage("01", "gpt-4o", "7")
    ledger.bill("01", "gpt-4o", "8")
    told = ledger.reconcile(provider="openai", report=list(REPORTED))
    assert amounts(told["totals"], "billed", "metered", "unmetered", "price") == ("3.75", "2", "0.5", "1.25")
    assert len(told["rows"]) == 1
    usage_alone = ledger.reconcile(report=list(REPORTED[1:3]))
    assert amounts(usage_alone["totals"], "billed", "metered", "unmetered", "price") == ("8", "2", "0.5", "5.5")


def test_days_without_a_bill_are_named_and_not_compared(ledger: Ledger) -> None:
    ledger.call("01", "gpt-4o", "5")
    ledger.bill("01", "gpt-4o", "5")
    ledger.call("30", "gpt-4o", "7")
    told = ledger.reconcile()
    assert (told["within"], told["totals"]["metered_usd"]) == (True, "5")
    assert reasons(told) == {"days_without_bill": ("7", 1)}
    assert "2026-10-30" in told["reasons"][0]["text"]


def test_without_any_bill_there_is_no_answer_and_the_reason_says_what_to_do(ledger: Ledger) -> None:
    ledger.call("01", "gpt-4o", "5")
    told = ledger.reconcile()
    assert (told["within"], told["rows"], list(reasons(told))) == (None, [], ["no_bill"])


def test_what_nobody_could_price_or_was_counted_here_is_said(ledger: Ledger) -> None:
    ledger.call("01", "gpt-4o", "1")
    ledger.call("01", "gpt-unheard-of", None)
    ledger.call("01", "gpt-4o", "1", usage_estimated=True)
    ledger.bill("01", None, "5")
    assert reasons(ledger.reconcile()) == {
        "unpriced_calls": (None, 1),
        "estimated_calls": (None, 1),
        "no_usage_report": ("3", None),
    }


def test_one_share_for_all_models_is_a_discount_or_a_tax(ledger: Ledger) -> None:
    for model, list_price, billed in (("gpt-4o", "10", "8.8"), ("o3", "2.5", "2.2")):
        ledger.call("01", model, list_price)
        ledger.usage("01", model, list_price)
        ledger.bill("01", model, billed)
    told = ledger.reconcile(tolerance="0.2")
    assert (told["within"], list(reasons(told))) == (True, ["same_rate"])
    assert "openai bills each model at 0.88 of its price here" in told["reasons"][0]["text"]


def test_usage_without_a_price_is_no_other_price(ledger: Ledger) -> None:
    ledger.call("01", "gpt-unheard-of", None)
    ledger.usage("01", "gpt-unheard-of", None)
    ledger.bill("01", "gpt-unheard-of", "4")
    assert {"unpriced_calls", "unpriced_usage"} <= reasons(ledger.reconcile()).keys()


def test_each_provider_keeps_to_its_own_bill(ledger: Ledger) -> None:
    ledger.call("01", "gpt-4o", "5")
    ledger.call("01", "claude-sonnet-4-5", "3", provider="anthropic")
    ledger.call("01", "gemini-2.5-flash", "2", provider="gemini")
    ledger.bill("01", "gpt-4o", "4")
    ledger.bill("01", "claude-sonnet-4-5", "4", provider="anthropic")
    told = ledger.reconcile()
    assert [(row["provider"], row["difference_usd"]) for row in told["rows"]] == [("anthropic", "1"), ("openai", "-1")]
    assert (told["totals"]["difference_usd"], told["within"]) == ("0", False), "one does not make up for another"
    assert [row["provider"] for row in ledger.reconcile(provider="openai")["rows"]] == ["openai"]


def test_one_amount_stands_for_a_bill_without_lines(ledger: Ledger) -> None:
    ledger.call("01", "gpt-4o", "5")
    ledger.call("30", "gpt-4o", "7", environment="prod")
    ledger.usage("30", "gpt-4o", "7")
    told = ledger.reconcile(provider="openai", billed_usd="12.5")
    assert amounts(told["totals"], "billed", "metered", "unexplained") == ("12.5", "12", "0.5")
    assert (len(told["rows"]), told["within"]) == (1, False)
    narrowed = ledger.reconcile(provider="openai", billed_usd="7", filters={"environment": "prod"})
    assert (narrowed["totals"]["difference_usd"], narrowed["within"]) == ("0", True)


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        ({"billed_usd": "12"}, "provider"),
        ({"provider": "openai", "billed_usd": "much"}, "billed_usd"),
        ({"by": "team"}, "by"),
        ({"tolerance": "2"}, "tolerance"),
        ({"from": "2026-10-01"}, "month"),
        ({"nonsense": 1}, "nonsense"),
        ({"report": [{"provider": "openai"}]}, "report"),
        ({"report": [{**REPORTED[0], "reported_cost_usd": "much"}]}, "report"),
        ({"report": [REPORTED[0], {**REPORTED[1], "input_tokens": "many"}]}, "report"),
        ({"report": [{**REPORTED[0], "started_at": "once"}]}, "report"),
    ],
)
def test_mistakes_name_their_field(ledger: Ledger, request_: dict[str, Any], field: str) -> None:
    with pytest.raises(UsageError) as raised:
        ledger.reconcile(**request_)
    assert raised.value.facts["field"] == field
