"""The text of a statement: made once for each shape, without anything that users said."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlglot import expressions as exp

from taximeter.store.events import EventQuery, parse_query
from taximeter.store.events import clickhouse_dialect as clickhouse
from taximeter.store.events import duckdb_dialect as duckdb
from taximeter.store.events import statements as asked
from taximeter.store.events.filters import parse_filters
from taximeter.store.events.rollups import HOURS, USER_DAYS, Standing
from taximeter.store.events.slots import Slot, Slots, Statement, placed

NOW_US = 1_795_000_000_000_000

Make = Callable[..., Statement]


def groups(**said: Any) -> Statement:
    return asked.groups(parse_query({"group_by": ["user_id"], "limit": 10, **said}, NOW_US), Standing())


def page(**said: Any) -> Statement:
    return asked.events(EventQuery(filters=parse_filters(said["filters"]), limit=5), said.get("before"))


def text(statement: Statement) -> str:
    return duckdb.said(statement)[0]


# fmt: off
SAME_SHAPE: list[tuple[str, Make, dict[str, Any], dict[str, Any]]] = [
    ("another time",        groups, {"from": "30d"}, {"from": "29d", "to": "3d"}),
    ("another user",        groups, {"filters": {"user": "ann"}}, {"filters": {"user": "bob"}}),
    ("another tag",         groups, {"group_by": ["tags.plan"]}, {"group_by": ["tags.campaign"]}),
    ("another amount",      groups, {"filters": {"cost_usd": {">": "0.1"}}}, {"filters": {"cost_usd": {">": "22"}}}),
    ("as many others",      groups, {"filters": {"team": ["a", "b"]}}, {"filters": {"team": ["c", "d"]}}),
    ("the same zone",       groups, {"interval": "day", "timezone": "Europe/Berlin", "from": "3d"},
                                    {"interval": "day", "timezone": "Europe/Berlin", "from": "2d"}),
    ("the next page",       page,   {"filters": {"user": "ann"}, "before": (1, "a")},
                                    {"filters": {"user": "bob"}, "before": (2, "b")}),
]
OTHER_SHAPE = [
    ("more values",         groups, {"filters": {"team": ["a"]}}, {"filters": {"team": ["a", "b"]}}),
    ("not set",             groups, {"filters": {"team": ["a"]}}, {"filters": {"team": [None]}}),
    ("another operator",    groups, {"filters": {"team": {"not": "a"}}}, {"filters": {"team": "a"}}),
    ("another offset",      groups, {"interval": "day", "timezone": "Europe/Berlin", "from": "3d"},
                                    {"interval": "day", "timezone": "America/Chicago", "from": "3d"}),
    ("a clock change",      groups, {"interval": "day", "timezone": "Europe/Berlin", "from": "3d"},
                                    {"interval": "day", "timezone": "Europe/Berlin", "from": "60d"}),
]
# fmt: on


@pytest.mark.parametrize(("make", "one", "other"), [case[1:] for case in SAME_SHAPE], ids=[c[0] for c in SAME_SHAPE])
def test_other_values_need_no_other_text(make: Make, one: dict[str, Any], other: dict[str, Any]) -> None:
    first, second = make(**one), make(**other)
    assert first.shape == second.shape
    assert first.values != second.values
    assert text(first) is text(second)


@pytest.mark.parametrize(("make", "one", "other"), [case[1:] for case in OTHER_SHAPE], ids=[c[0] for c in OTHER_SHAPE])
def test_what_decides_about_the_text_is_part_of_the_shape(make: Make, one: Any, other: Any) -> None:
    assert text(make(**one)) != text(make(**other))


HOSTILE = ["'); DROP TABLE events; --", "\\", "$1", "[slot 1 plain]", "\0", "{x:String}", '"', "ü\n"]


@pytest.mark.parametrize("said", HOSTILE)
def test_nothing_that_users_said_is_in_the_text(said: str) -> None:
    harmless, hostile = (
        groups(group_by=[f"tags.{word}", "team"], filters={"user": [word, None], "feature": {"contains": word}})
        for word in ("harmless", said)
    )
    assert text(harmless) is text(hostile)
    assert said in hostile.values


def test_a_value_that_looks_like_a_slot_stays_a_value() -> None:
    slots = Slots()
    one, other = slots.of("[slot 2 plain]"), slots.of("' OR 1")
    statement = slots.statement(_two, (one, other))
    assert clickhouse.said(statement) == r"SELECT '[slot 2 plain]', '\' OR 1'"


def _two(shape: tuple[Slot, Slot]) -> Any:
    return exp.select(*(placed(slot) for slot in shape))


@pytest.mark.parametrize(
    ("by", "asked"),
    [
        ("team", HOURS.table),
        ("user_id", USER_DAYS.table),
        ("model", f"{HOURS.table}) AS {HOURS.view}"),
        ("model_family", HOURS.view),
    ],
)
def test_a_statement_without_a_family_of_models_asks_the_tables_themselves(by: str, asked: str) -> None:
    assert f" FROM {asked} " in text(groups(group_by=[by], **{"from": "30d"}))
