"""Why spend changed: the parts name the cause, and sum to the change to the last digit."""

from __future__ import annotations

import os
from collections.abc import Mapping
from decimal import Decimal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from taximeter.anomaly.explain import ONE, Cell, Key, decompose
from taximeter.core.money import add

INPUT_USD, READ_USD, OUTPUT_USD = Decimal("0.0000025"), Decimal("0.00000025"), Decimal("0.00001")


def cell(
    calls: int, *, tokens: int = 1000, output: int = 500, cached: float = 0.0, retries: int = 0, rate: int = 1
) -> Cell:
    """Calls of so many tokens each, a share of the input cached, at `rate` times the list price."""
    read = int(tokens * cached)
    return Cell(
        calls=Decimal(calls),
        retries=Decimal(retries),
        input_tokens=Decimal(calls * tokens),
        cache_read_tokens=Decimal(calls * read),
        output_tokens=Decimal(calls * output),
        input_usd=calls * (tokens - read) * INPUT_USD * rate,
        cache_read_usd=calls * read * READ_USD * rate,
        output_usd=calls * output * OUTPUT_USD * rate,
    )


def change(before: Mapping[Key, Cell], after: Mapping[Key, Cell]) -> Decimal:
    return add(*(c.cost_usd for c in after.values()), *(-c.cost_usd for c in before.values()))


CHAT: Key = ("chat", "gpt-4o")
MINI: Key = ("chat", "gpt-4o-mini")
CODE: Key = ("code", "gpt-4o")

CAUSES: dict[str, tuple[dict[Key, Cell], dict[Key, Cell], str]] = {
    "twice the calls everywhere": ({CHAT: cell(100), CODE: cell(50)}, {CHAT: cell(200), CODE: cell(100)}, "volume"),
    "longer prompts": ({CHAT: cell(100)}, {CHAT: cell(100, tokens=4000)}, "input_tokens"),
    "longer answers": ({CHAT: cell(100)}, {CHAT: cell(100, output=2000)}, "output_tokens"),
    "the cache went cold": ({CHAT: cell(100, cached=0.8)}, {CHAT: cell(100)}, "cache"),
    "a price rise": ({CHAT: cell(100)}, {CHAT: cell(100, rate=2)}, "price"),
    "every call twice": ({CHAT: cell(100)}, {CHAT: cell(200, retries=100)}, "retries"),
    "a new model for the same calls": ({CHAT: cell(100)}, {CHAT: cell(10), MINI: cell(90, rate=9)}, "model_mix"),
    "another feature takes over": (
        {CHAT: cell(90), CODE: cell(10, rate=9)},
        {CHAT: cell(10), CODE: cell(90, rate=9)},
        "feature_mix",
    ),
    "the first calls ever": ({}, {CHAT: cell(100)}, "volume"),
    "the last calls ever": ({CHAT: cell(100)}, {}, "volume"),
    "a free model that is charged now": ({CHAT: cell(100, rate=0)}, {CHAT: cell(100)}, "price"),
}


@pytest.mark.parametrize("name", CAUSES)
def test_the_largest_part_is_the_cause(name: str) -> None:
    before, after, cause = CAUSES[name]
    parts = decompose(before, after, ("feature", "model"))
    assert max(parts, key=lambda factor: abs(parts[factor])) == cause
    assert add(*parts.values()) == change(before, after)


@pytest.mark.parametrize("name", ["twice the calls everywhere", "longer prompts", "a price rise", "every call twice"])
def test_one_cause_leaves_all_others_at_zero(name: str) -> None:
    before, after, cause = CAUSES[name]
    parts = decompose(before, after, ("feature", "model"))
    assert {factor for factor, part in parts.items() if part} == {cause}


def test_a_fee_without_tokens_is_a_fee() -> None:
    before = {CHAT: cell(100)}
    after = {CHAT: cell(100) + Cell(other_usd=Decimal("1.50"))}
    assert {f: p for f, p in decompose(before, after, ("feature", "model")).items() if p} == {"fees": Decimal("1.5")}


def test_nothing_changed_is_nothing_in_every_part() -> None:
    same = {CHAT: cell(7, cached=0.3, retries=2)}
    assert not any(decompose(same, same, ("feature", "model")).values())


def test_more_calls_at_a_fixed_mix_is_volume_even_when_a_retry_has_no_first_attempt_in_the_period() -> None:
    before, after = {CHAT: cell(2, retries=2)}, {CHAT: cell(4, retries=4)}
    assert {f for f, p in decompose(before, after, ("feature", "model")).items() if p} == {"volume"}


amounts = st.decimals(0, 1000, places=12, allow_nan=False, allow_infinity=False)
counts = st.integers(0, 10**9).map(Decimal)


@st.composite
def cells(draw: st.DrawFn) -> Cell:
    calls = draw(st.integers(1, 10**6))
    read, write, rest = draw(counts), draw(counts), draw(counts)
    return Cell(
        Decimal(calls),
        Decimal(draw(st.integers(0, calls))),
        read + write + rest,
        read,
        write,
        draw(counts),
        *(draw(amounts) for _ in range(5)),
    )


keys = st.tuples(st.sampled_from(["a", "b", None]), st.sampled_from(["m", "n"]))
periods = st.dictionaries(keys, cells(), max_size=6)


@settings(max_examples=int(os.environ.get("PROPERTY_EXAMPLES", "100")))
@given(before=periods, after=periods)
def test_the_parts_always_sum_to_the_change_to_the_last_digit(before: dict[Key, Cell], after: dict[Key, Cell]) -> None:
    parts = decompose(before, after, ("feature", "model"))
    assert add(*parts.values()) == change(before, after)
    back = decompose(after, before, ("feature", "model"))
    assert all(abs(parts[factor] + back[factor]) <= Decimal("2e-12") for factor in parts), "there and back is nothing"


ODD_FACTOR = Decimal(24) / 7


@example(one=Cell(Decimal(1), input_tokens=Decimal(3), cache_write_tokens=Decimal(3), input_usd=ONE), by=ODD_FACTOR)
@given(one=cells(), by=st.sampled_from([Decimal("0.25"), ONE, ODD_FACTOR]))
def test_a_longer_period_at_the_same_pace_is_all_volume(one: Cell, by: Decimal) -> None:
    parts = decompose({CHAT: one}, {CHAT: one.scaled(by)}, ("feature", "model"))
    tolerance = Decimal("1e-9") * (1 + abs(one.cost_usd))
    assert all(abs(part) <= tolerance for factor, part in parts.items() if factor != "volume")
