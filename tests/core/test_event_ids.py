"""Ids made from chance that is fetched in advance, and what answers are expected to come to."""

from __future__ import annotations

import os
import threading
from uuid import UUID

from taximeter.core.expected import MOST_EXPECTATIONS, UNKNOWN_OUTPUT_TOKENS, Expectation, ExpectedOutput
from taximeter.core.ids import PREPARED_IDS, RANDOM_BYTES, EventIds, unix_ms_of, uuid7


def test_an_id_has_the_time_it_was_asked_for_and_a_random_part_of_its_own() -> None:
    ids = EventIds(os.urandom)
    made = [ids.new(1_760_000_000_000 + number) for number in range(3 * PREPARED_IDS)]
    assert [unix_ms_of(one) for one in made] == [1_760_000_000_000 + number for number in range(3 * PREPARED_IDS)]
    assert {UUID(one).variant for one in made} == {"specified in RFC 4122"}
    assert len({one[14:] for one in made}) == len(made)


def test_every_bit_of_an_id_that_is_not_fixed_is_chance() -> None:
    def random_bits(byte: int) -> set[int]:
        ids = EventIds(lambda size: bytes([byte]) * size)
        return {UUID(ids.new(0)).int for _ in range(PREPARED_IDS)}

    zeros, ones = random_bits(0x00), random_bits(0xFF)
    assert zeros == {UUID(uuid7(0, bytes(RANDOM_BYTES))).int}
    assert ones == {UUID(uuid7(0, b"\xff" * RANDOM_BYTES)).int}


def test_no_chance_is_used_twice() -> None:
    chance = b"".join(number.to_bytes(2, "big") for number in range(PREPARED_IDS * RANDOM_BYTES // 2))
    ids = EventIds(lambda size: chance[:size])
    made = [ids.new(0).split("-") for _ in range(PREPARED_IDS)]
    assert [len({one[place] for one in made}) for place in (2, 3, 4)] == [PREPARED_IDS] * 3


def test_chance_is_fetched_once_for_many_ids_and_again_after_forgetting() -> None:
    fetched: list[int] = []

    def chance(size: int) -> bytes:
        fetched.append(size)
        return os.urandom(size)

    ids = EventIds(chance)
    for _ in range(PREPARED_IDS):
        ids.new(0)
    assert fetched == [PREPARED_IDS * RANDOM_BYTES]
    ids.new(0)
    ids.forget()
    ids.new(0)
    assert len(fetched) == 3


def test_threads_get_different_ids() -> None:
    ids, made = EventIds(os.urandom), list[str]()
    threads = [threading.Thread(target=lambda: made.extend(ids.new(0) for _ in range(500))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 2000


def test_an_expectation_follows_the_answers() -> None:
    expectation = Expectation()
    assert expectation.tokens == UNKNOWN_OUTPUT_TOKENS
    expectation.learn(100)
    assert expectation.tokens == 100
    expectation.learn(200)
    assert (expectation.tokens, expectation.within(60), expectation.within(None)) == (110, 60, 110)


def test_expectations_are_kept_apart_and_within_a_bound() -> None:
    expected = ExpectedOutput()
    expected.of("openai", "gpt-4o", "chat").learn(5)
    assert expected.of("openai", "gpt-4o", "chat").tokens == 5
    assert expected.of("openai", "gpt-4o", "search").tokens == UNKNOWN_OUTPUT_TOKENS
    for number in range(MOST_EXPECTATIONS):
        expected.of("openai", f"m{number}", None)
    assert expected.of("openai", "gpt-4o", "chat").tokens == UNKNOWN_OUTPUT_TOKENS
