"""The calculator's own events: kept, numbered, bounded, and apart from every call."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hand_clock import START_US, HandClock

from taximeter.store.metadata import CalculatorUse, Metadata
from taximeter.store.metadata import calculator_uses as module


def use(model: str, monthly: str | None = "37500") -> CalculatorUse:
    return CalculatorUse(
        kind="calculator",
        asked_by="session",
        user_selections={"model": model, "compare": ["gpt-4o-mini"], "input_tokens": 1000},
        calculated_monthly_cost=monthly,
        comparison_delta={"openai/gpt-4o-mini": "-36150", "openai/unpriced": None},
    )


def test_a_use_comes_back_as_it_was_kept_newest_first(metadata: Metadata, clock: HandClock) -> None:
    first, second = use("gpt-4o"), use("o3", monthly=None)
    assert metadata.calculator_uses.record(first) == 1
    clock.seconds += 1
    assert metadata.calculator_uses.record(second) == 2
    newest = metadata.calculator_uses.newest(10)
    assert [(one.number, one.at_us, one.use) for one in newest] == [
        (2, START_US + 1_000_000, second),
        (1, START_US, first),
    ]
    assert [one.number for one in metadata.calculator_uses.newest(1)] == [2]


def test_uses_outlive_the_process(reopen: Callable[[], Metadata]) -> None:
    reopen().calculator_uses.record(use("gpt-4o"))
    assert [one.use.user_selections["model"] for one in reopen().calculator_uses.newest(5)] == ["gpt-4o"]


def test_the_oldest_give_way_and_numbers_go_on(metadata: Metadata, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_USES", 3)
    for name in "abcde":
        metadata.calculator_uses.record(use(name))
    kept = metadata.calculator_uses.newest(10)
    assert [(one.number, one.use.user_selections["model"]) for one in kept] == [(5, "e"), (4, "d"), (3, "c")]
