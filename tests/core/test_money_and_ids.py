from __future__ import annotations

from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taximeter.core.ids import RANDOM_BYTES, attempt_id, parse_event_id, unix_ms_of, uuid7
from taximeter.core.money import LARGEST_USD, exact, format_usd, multiply, parse_usd

chance = st.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES)
milliseconds = st.integers(0, 2**48 - 1)
amounts = st.decimals(min_value=0, max_value=LARGEST_USD, places=12, allow_nan=False)

CANONICAL = [
    ("0.012500000000", "0.0125"),
    ("12.000", "12"),
    ("100", "100"),
    ("0E-12", "0"),
    ("2.50E-8", "0.000000025"),
    ("1E+3", "1000"),
    ("0", "0"),
    ("-0.000", "0"),
    ("1E+3", "1000"),
    ("1e-12", "0.000000000001"),
]


@pytest.mark.parametrize(("amount", "text"), CANONICAL)
def test_money_has_one_text(amount: str, text: str) -> None:
    assert format_usd(Decimal(amount)) == text


@given(amounts)
def test_money_survives_its_text(amount: Decimal) -> None:
    assert parse_usd(format_usd(amount)) == amount == exact(amount)


@given(st.integers(0, 10**12), st.decimals(min_value=0, max_value=1000, places=12))
def test_quantity_times_rate_loses_no_digit(quantity: int, rate: Decimal) -> None:
    digits, exponent = rate.as_tuple()[1], rate.as_tuple().exponent
    assert isinstance(exponent, int)
    whole = int("".join(map(str, digits))) * quantity
    assert multiply(quantity, rate) == Decimal(whole).scaleb(exponent)


@pytest.mark.parametrize("text", ["", "abc", "NaN", "Infinity", "1,5"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not an amount"):
        parse_usd(text)


def test_a_float_is_refused_as_money() -> None:
    with pytest.raises(ValueError, match="not a float"):
        parse_usd(0.1)  # type: ignore[arg-type]


@given(milliseconds, chance)
def test_an_id_is_a_uuid_of_version_7_that_knows_its_time(ms: int, noise: bytes) -> None:
    made = uuid7(ms, noise)
    assert UUID(made).version == 7
    assert UUID(made).variant == "specified in RFC 4122"
    assert unix_ms_of(made) == ms
    assert parse_event_id(made.upper()) == made


@given(milliseconds, milliseconds, chance, chance)
def test_ids_sort_by_time(early: int, late: int, one: bytes, two: bytes) -> None:
    if early < late:
        assert uuid7(early, one) < uuid7(late, two)


@given(milliseconds, chance, st.integers(2, 1000))
def test_attempts_of_a_call_have_ids_of_their_own_that_never_change(ms: int, noise: bytes, attempt: int) -> None:
    first = uuid7(ms, noise)
    again = attempt_id(first, attempt)
    assert attempt_id(first, 1) == first != again == attempt_id(first, attempt)
    assert again != attempt_id(first, attempt + 1)
    assert unix_ms_of(again) == ms


def test_what_is_no_uuid_is_refused() -> None:
    with pytest.raises(ValueError, match="badly formed"):
        parse_event_id("order-123")
