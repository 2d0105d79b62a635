"""What payers are charged: mark-ups, what cannot be attributed, and lines that sum to their total to the cent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taximeter.core.ids import uuid7
from taximeter.errors import UsageError
from taximeter.reports.chargeback import CENT, Line, Markup, Terms, chargeback, in_cents, in_parts, shared, statement
from taximeter.store.events import DuckDBEvents

NOW_US = 1_795_000_000_000_000
"""2026-11-18T11:06:40Z"""

PERCENT = st.decimals(-100, 1000, places=4)
USD = st.decimals(0, "999999.999999999999", places=12)
MARKUPS = st.builds(Markup, PERCENT, st.decimals(0, 1, places=6))
LINES = st.lists(
    st.builds(
        Line,
        st.sampled_from(["a", "b", "c", None]),
        st.integers(0, 1_000_000),
        st.just(0),
        st.none() | USD | st.decimals(0, "0.05", places=4),
    ),
    max_size=12,
)
TERMS = st.builds(
    Terms,
    markup=MARKUPS,
    markups=st.dictionaries(st.sampled_from(["a", "b"]), MARKUPS),
    unattributed=st.sampled_from(["line", "shared"]),
)


@given(LINES, TERMS)
def test_the_lines_of_a_statement_sum_to_its_total_to_the_cent(lines: list[Line], terms: Terms) -> None:
    charged = statement(lines, terms)
    exact = sum((line.charge_usd for line in charged), Decimal(0))
    amounts = [line.amount_usd for line in charged]
    assert sum(amounts, Decimal(0)) == exact.quantize(CENT, rounding="ROUND_HALF_UP")
    assert all(amount == amount.quantize(CENT) for amount in amounts)
    assert all(abs(line.amount_usd - line.charge_usd) < CENT for line in charged)


@given(LINES, TERMS)
def test_what_is_charged_is_all_that_was_spent_and_the_mark_ups(lines: list[Line], terms: Terms) -> None:
    charged = statement(lines, terms)
    spent = sum((line.cost_usd or Decimal(0) for line in lines), Decimal(0))
    markups = sum((line.markup_usd for line in charged), Decimal(0))
    assert sum((line.charge_usd for line in charged), Decimal(0)) == spent + markups
    assert [(line.value, line.calls, line.cost_usd) for line in charged] == [
        (line.value, line.calls, line.cost_usd) for line in lines
    ]


@given(LINES)
def test_sharing_moves_cost_and_makes_none(lines: list[Line]) -> None:
    moved = shared(lines)
    assert sum((line.shared_usd for line in moved), Decimal(0)) == 0
    if any(line.value is not None and line.cost_usd for line in lines):
        assert all(line.charge_usd == 0 for line in moved if line.value is None)


@given(USD, st.lists(st.decimals(0, 1000, places=6), min_size=1, max_size=9).filter(any))
def test_parts_sum_to_what_was_parted(amount: Decimal, weights: list[Decimal]) -> None:
    parts = in_parts(amount, weights)
    assert sum(parts, Decimal(0)) == amount
    assert all(part == 0 for part, weight in zip(parts, weights, strict=True) if not weight)


@pytest.mark.parametrize(
    ("charges", "amounts"),
    [
        ([], []),
        (["0.004"], ["0.00"]),
        (["0.005"], ["0.01"]),
        (["0.333", "0.333", "0.334"], ["0.33", "0.33", "0.34"]),
        (["1.005", "1.005", "1.005"], ["1.01", "1.01", "1.00"]),
        (["10.009", "0.001", "0"], ["10.01", "0.00", "0.00"]),
    ],
)
def test_the_cents_that_are_left_go_where_most_was_cut(charges: list[str], amounts: list[str]) -> None:
    assert [str(amount) for amount in in_cents([Decimal(charge) for charge in charges])] == amounts


def test_a_mark_up_is_a_share_of_the_cost_and_an_amount_for_each_call() -> None:
    terms = Terms(markup=Markup(Decimal(10)), markups={"acme": Markup(Decimal("2.5"), Decimal("0.001"))})
    lines = [Line("acme", 1000, 0, Decimal(40)), Line("else", 1, 0, Decimal(5)), Line(None, 7, 0, Decimal(3))]
    assert [(line.markup_usd, line.amount_usd) for line in statement(lines, terms)] == [
        (Decimal(2), Decimal(42)),
        (Decimal("0.5"), Decimal("5.5")),
        (Decimal(0), Decimal(3)),
    ]


# --- from a store --------------------------------------------------------------------------------------------------


def call(number: int, started_at: str, cost_usd: str | None, **fields: Any) -> bytes:
    record = {"event_id": uuid7(NOW_US // 1000, number.to_bytes(10, "big")), "started_at": started_at}
    return json.dumps({**record, "status": "ok", "cost_usd": cost_usd, **fields}).encode()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckDBEvents]:
    opened = DuckDBEvents(tmp_path_factory.mktemp("events") / "events.duckdb", query_timeout_seconds=600)
    opened.append(
        [
            call(1, "2026-09-30T22:30:00Z", "1", tenant="acme"),  # October in Berlin
            call(2, "2026-10-15T12:00:00Z", "3", tenant="acme", team="core"),
            call(3, "2026-10-15T12:00:00Z", "1.005", tenant="globex"),
            call(4, "2026-10-31T22:59:59Z", "0.5"),
            call(5, "2026-10-20T12:00:00Z", None, tenant="initech", unpriced_reason="unknown_model"),
            call(6, "2026-11-02T12:00:00Z", "100", tenant="acme"),
            call(7, "2026-10-20T12:00:00Z", "0", tenant="acme", status="refused"),
        ],
        {},
    )
    yield opened
    opened.close()


TENANTS = Terms(by="tenant", markups={"acme": Markup(Decimal(10))})


def asked(store: DuckDBEvents, **request: Any) -> dict[str, Any]:
    return chargeback(request, TENANTS, store, NOW_US)


def test_a_month_is_charged_by_tenant_with_what_nobody_is_named_for(store: DuckDBEvents) -> None:
    answer = asked(store, month="2026-10")
    assert (answer["by"], answer["from"], answer["to"]) == ("tenant", "2026-10-01T00:00:00.000000Z", answer["to"])
    assert [(row["tenant"], row["cost_usd"], row["markup_usd"], row["amount_usd"]) for row in answer["rows"]] == [
        ("acme", "3", "0.3", "3.30"),
        ("globex", "1.005", "0", "1.01"),
        (None, "0.5", "0", "0.50"),
        ("initech", None, "0", "0.00"),
    ]
    assert answer["totals"] == {
        "calls": 4,
        "unpriced_calls": 1,
        "cost_usd": "4.505",
        "markup_usd": "0.3",
        "shared_usd": "0",
        "amount_usd": "4.81",
    }
    assert answer["coverage"]["unpriced_calls"] == 1


def test_last_month_is_charged_when_nothing_is_said_in_the_zone_that_is_asked_for(store: DuckDBEvents) -> None:
    assert asked(store) == asked(store, month="2026-10")
    there = asked(store, timezone="Europe/Berlin")
    assert there["from"] == "2026-09-30T22:00:00.000000Z"
    assert there["totals"]["cost_usd"] == "5.505"
    assert asked(store, **{"from": "last_quarter"})["totals"]["cost_usd"] == "1"
    assert asked(store, **{"from": "last_quarter", "fiscal_start_month": 2})["totals"]["calls"] == 5, "not the refused"
    assert asked(store, **{"from": "this_month"})["totals"]["amount_usd"] == "110.00"


def test_what_cannot_be_attributed_is_shared_by_cost_when_that_is_wanted(store: DuckDBEvents) -> None:
    rows = {row["tenant"]: row for row in asked(store, unattributed="shared")["rows"]}
    assert {name: (row["shared_usd"], row["amount_usd"]) for name, row in rows.items()} == {
        "acme": ("0.374531835206", "3.68"),
        "globex": ("0.125468164794", "1.13"),
        None: ("-0.5", "0.00"),
        "initech": ("0", "0.00"),
    }


def test_any_dimension_and_filter_may_be_charged_by(store: DuckDBEvents) -> None:
    rows = asked(store, by="team", month="2026-10", filters={"tenant": "acme"})["rows"]
    assert [(row["team"], row["amount_usd"]) for row in rows] == [("core", "3.00")]


@pytest.mark.parametrize(
    "wrong",
    [
        {"month": "2026-13"},
        {"month": "October"},
        {"month": "2026-10", "from": "30d"},
        {"by": "nonsense"},
        {"by": "team,tenant"},
        {"unattributed": "free"},
        {"colour": "red"},
    ],
    ids=str,
)
def test_mistakes_are_said_with_their_field(store: DuckDBEvents, wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as raised:
        asked(store, **wrong)
    assert raised.value.facts["field"]
