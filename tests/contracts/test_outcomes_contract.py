"""What every store of events promises of outcomes: each counts once, and no total of calls knows of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

import pytest
from all_stores import OpenEvents, emptied
from hypothesis import given
from hypothesis import strategies as st
from test_events_contract import NOW_US, all_time, event_id, line
from test_events_properties import examples, tries

from taximeter.clock import rfc3339
from taximeter.core.money import LARGEST_USD, format_usd
from taximeter.errors import UsageError
from taximeter.store.events import Appended, EventStore, OutcomeQuery
from taximeter.store.events.filters import Condition, parse_filters
from taximeter.store.events.port import Deletion, Retention

DAY_US = 86_400_000_000


def outcome(number: int, at_us: int | None = None, **fields: Any) -> bytes:
    at_us = NOW_US + number if at_us is None else at_us
    known = {"name": "ticket_solved", "source": "sdk", **fields}
    record = {"record": "outcome", "outcome_id": event_id(number, at_us), "occurred_at": rfc3339(at_us), **known}
    return json.dumps(record, separators=(",", ":")).encode()


def told(store: EventStore, *group_by: str, **more: Any) -> list[tuple[Any, ...]]:
    """The rows as (name, dimensions, outcomes, those with a value, value), in the order of their texts."""
    query = OutcomeQuery(**{"from_us": 0, "to_us": NOW_US * 2, "group_by": group_by, **more})
    found = [tuple(row.values()) for row in store.outcomes(query)]
    return sorted(found, key=repr)


def test_an_outcome_counts_once_however_often_it_comes(events: EventStore) -> None:
    assert events.append([outcome(1), outcome(2), outcome(1)], {"spool": 3}).outcomes == 2
    assert events.append([outcome(2), outcome(3)], {"spool": 5}) == Appended(0, 0, (), 1)
    assert told(events) == [("ticket_solved", 3, 0, None)]
    assert events.marks() == {"spool": 5}


def test_no_total_of_calls_knows_of_an_outcome(events: EventStore) -> None:
    calls = [line(1, cost_usd="0.5", input_tokens=7, feature="chat"), line(2, cost_usd="0.25", feature="chat")]
    events.append(calls, {})
    question = all_time(measures="calls,cost_usd,total_tokens,users", group_by="feature")
    before = events.query(question).as_dict()
    events.append([outcome(3, value_usd="4", feature="chat", user_id="ann")], {})
    events.roll_up(NOW_US * 2)
    assert events.query(question).as_dict() == before
    assert events.sql("SELECT count(*) FROM calls").rows == ((2,),)


def test_a_call_and_an_outcome_may_have_the_same_id(events: EventStore) -> None:
    same = line(1)
    assert events.append([same, outcome(1, outcome_id=event_id(1))], {}) == Appended(1, 0, (), 1)
    assert events.append([same, outcome(1, outcome_id=event_id(1))], {}) == Appended(0, 1)


def test_values_are_added_up_and_unknown_is_not_zero(events: EventStore) -> None:
    events.append(
        [
            outcome(1, value_usd="0.000000000001", feature="chat"),
            outcome(2, value_usd="999999.999999999999", feature="chat"),
            outcome(3, feature="chat"),
            outcome(4, feature="search"),
            outcome(5, value_usd="0", name="sold", feature="search"),
            outcome(6, value_usd="-4", name="sold"),
        ],
        {},
    )
    assert told(events, "feature") == [
        ("sold", "search", 1, 1, Decimal(0)),
        ("sold", None, 1, 1, Decimal(-4)),
        ("ticket_solved", "chat", 3, 2, Decimal(1000000)),
        ("ticket_solved", "search", 1, 0, None),
    ]


def test_they_are_narrowed_by_time_name_dimension_and_tag(events: EventStore) -> None:
    events.append(
        [
            outcome(1, tags={"plan": "its"}, user_id="ann"),
            outcome(2, tags={"plan": "free"}, user_id="ann"),
            outcome(3, name="sold", user_id="bob"),
        ],
        {},
    )
    assert told(events, "tags.plan", outcomes=("ticket_solved",)) == [
        ("ticket_solved", "free", 1, 0, None),
        ("ticket_solved", "its", 1, 0, None),
    ]
    assert told(events, from_us=NOW_US + 2, to_us=NOW_US + 3) == [("ticket_solved", 1, 0, None)]
    assert told(events, filters=parse_filters({"user": "bob"})) == [("sold", 1, 0, None)]
    assert told(events, filters=(Condition("tags.plan", "exists", (False,)),)) == [("sold", 1, 0, None)]


BROKEN: tuple[dict[str, Any], ...] = (
    {"outcome_id": None},
    {"outcome_id": "nonsense"},
    {"occurred_at": None},
    {"occurred_at": "2026-11-18T11:06:40"},
    {"name": None},
    {"name": ""},
)
"""What has to be in a line: an id, a moment with a zone, a name."""


def test_outcomes_that_cannot_be_read_hold_up_no_other(events: EventStore) -> None:
    poison = tuple(outcome(2, **wrong) for wrong in BROKEN)
    assert events.append([line(1), outcome(1), *poison, outcome(3)], {"s": 1}) == Appended(1, 0, poison, 2)
    assert events.marks() == {"s": 1}


@pytest.mark.parametrize("odd", ["much", "1e30", {"usd": 1}], ids=["text", "beyond all bounds", "an object"])
def test_a_value_that_is_no_amount_is_not_known(events: EventStore, odd: Any) -> None:
    events.append([outcome(1, value_usd="2"), outcome(2, value_usd=odd), outcome(3, user_id={"a": 1})], {})
    assert told(events) == [("ticket_solved", 3, 1, Decimal(2))]


def test_an_outcome_survives_a_restart(open_events: OpenEvents, tmp_path: Any) -> None:
    first = open_events(tmp_path)
    first.append([outcome(1, value_usd="2.5")], {})
    first.close()
    second = open_events(tmp_path)
    assert second.append([outcome(1, value_usd="2.5")], {}).outcomes == 0
    assert told(second) == [("ticket_solved", 1, 1, Decimal("2.5"))]
    second.close()


def test_what_is_deleted_of_a_user_includes_outcomes_and_later_copies_are_not_taken(events: EventStore) -> None:
    events.append([line(1, user_id="ann"), outcome(1, user_id="ann"), outcome(2, user_id="bob")], {})
    assert events.delete_user("ann", NOW_US + 10) == Deletion(1, 0, 1)
    assert events.append([outcome(1, user_id="ann"), outcome(11, user_id="ann")], {}).outcomes == 1
    assert told(events, "user_id") == [("ticket_solved", "ann", 1, 0, None), ("ticket_solved", "bob", 1, 0, None)]


def test_outcomes_are_kept_for_a_time_of_their_own(events: EventStore) -> None:
    old, new = NOW_US - 40 * DAY_US, NOW_US - DAY_US
    events.append([line(1, event_id=event_id(1, old), started_at=rfc3339(old)), outcome(1, old), outcome(2, new)], {})
    assert events.expire(Retention({"outcomes": 30}), NOW_US) == {"outcomes": 1}
    assert told(events) == [("ticket_solved", 1, 0, None)]
    assert events.query(all_time(measures="calls")).totals == {"calls": 1}
    late = outcome(3, old)
    assert events.append([late], {}) == Appended(0, 0, (late,))


def test_users_may_ask_of_outcomes_in_sql(events: EventStore) -> None:
    events.append([outcome(1, value_usd="1.5", tags={"plan": "free"}), outcome(2, value_usd="1.5")], {})
    asked = "SELECT name, sum(value_usd) AS value_usd, count(*) AS n FROM outcomes WHERE value_usd > 0.1 GROUP BY name"
    assert events.sql(asked).rows == (("ticket_solved", Decimal(3), 2),)
    with pytest.raises(UsageError, match="there is no table outcome_facts"):
        events.sql("SELECT * FROM outcome_facts")


MONEY = st.decimals(-LARGEST_USD, LARGEST_USD, places=12, allow_nan=False)
REACHED = st.tuples(
    st.integers(0, 30), st.sampled_from(["won", "lost"]), st.sampled_from([None, "a", "b"]), st.none() | MONEY
)


def test_sums_are_those_of_the_first_telling_of_each(events: EventStore) -> None:
    @tries(examples(events))
    @given(st.lists(st.lists(REACHED, max_size=8), max_size=4))
    def they_are(batches: list[list[tuple[int, str, str | None, Decimal | None]]]) -> None:
        first: dict[int, tuple[str, str | None, Decimal | None]] = {}
        emptied(events)
        for batch in batches:
            for number, name, user, value in batch:
                first.setdefault(number, (name, user, value))
            events.append([_told_of(*reached) for reached in batch], {})
        assert told(events, "user_id") == _sums(first.values())

    they_are()


def _told_of(number: int, name: str, user: str | None, value: Decimal | None) -> bytes:
    return outcome(number, name=name, user_id=user, value_usd=None if value is None else format_usd(value))


def _sums(reached: Iterable[Sequence[Any]]) -> list[tuple[Any, ...]]:
    by_group: dict[tuple[str, str | None], list[Decimal | None]] = {}
    for name, user, value in reached:
        by_group.setdefault((name, user), []).append(value)
    return sorted((_row(*group, values) for group, values in by_group.items()), key=repr)


def _row(name: str, user: str | None, values: list[Decimal | None]) -> tuple[Any, ...]:
    known = [value for value in values if value is not None]
    return name, user, len(values), len(known), sum(known, Decimal(0)) if known else None
