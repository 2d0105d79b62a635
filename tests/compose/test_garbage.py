"""Everything is looked through for garbage while nobody waits, and only when there may be some."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from taximeter.compose.garbage import ROUNDS_AT_MOST, ROUNDS_WORTH_A_LOOK, collect_if_quiet, forget_what_stays

ALL = 2
"""The generation of what is old: with it, all are looked at."""


@pytest.fixture
def looked_at() -> Iterator[list[int]]:
    """The generations that were looked at, in a process whose collector does not begin by itself."""
    generations: list[int] = []

    def note(phase: str, about: dict[str, int]) -> None:
        if phase == "start":
            generations.append(about["generation"])

    thresholds = gc.get_threshold()
    gc.disable()
    gc.callbacks.append(note)
    yield generations
    gc.callbacks.remove(note)
    gc.set_threshold(*thresholds)
    gc.unfreeze()
    gc.enable()


@pytest.mark.parametrize(
    ("rounds", "open_calls", "looks"),
    [
        (ROUNDS_WORTH_A_LOOK, 0, True),
        (ROUNDS_WORTH_A_LOOK, 1, False),
        (ROUNDS_WORTH_A_LOOK - 1, 0, False),
    ],
)
def test_all_is_looked_through_in_a_quiet_moment(
    looked_at: list[int], rounds: int, open_calls: int, looks: bool
) -> None:
    gc.collect()
    for _ in range(rounds):
        gc.collect(1)
    looked_at.clear()
    collect_if_quiet(open_calls)
    assert (ALL in looked_at) is looks


def test_what_was_made_before_the_start_is_not_looked_at_again(looked_at: list[int]) -> None:
    stays = [{"made": "before"}]
    forget_what_stays()
    assert not any(one is stays for one in gc.get_objects())
    assert gc.get_threshold()[ALL] == ROUNDS_AT_MOST
