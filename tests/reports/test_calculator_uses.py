"""The calculator's own events: kept, numbered, bounded, and apart from every call."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from taximeter.clock import Clock
from taximeter.store.metadata import CalculatorUse, Metadata
from taximeter.store.metadata import calculator_uses as module


class SteppingClock(Clock):
    """A second later each time it is asked."""

    def __init__(self) -> None:
        self.seconds = 0

    def now_us(self) -> int:
        self.seconds += 1
        return self.seconds * 1_000_000

    def monotonic(self) -> float:
        return float(self.seconds)


def use(model: str, monthly: str | None = "37500") -> CalculatorUse:
    return CalculatorUse(
        kind="calculator",
        asked_by="session",
        user_selections={"model": model, "compare": ["gpt-4o-mini"], "input_tokens": 1000},
        calculated_monthly_cost=monthly,
        comparison_delta={"openai/gpt-4o-mini": "-36150", "openai/unpriced": None},
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "metadata.sqlite"


@pytest.fixture
def metadata(file: Path) -> Iterator[Metadata]:
    opened = Metadata(file, clock=SteppingClock())
    yield opened
    opened.close()


def test_a_use_comes_back_as_it_was_kept_newest_first(metadata: Metadata) -> None:
    first, second = use("gpt-4o"), use("o3", monthly=None)
    assert [metadata.calculator_uses.record(one) for one in (first, second)] == [1, 2]
    newest = metadata.calculator_uses.newest(10)
    assert [(one.number, one.at_us, one.use) for one in newest] == [(2, 2_000_000, second), (1, 1_000_000, first)]
    assert [one.number for one in metadata.calculator_uses.newest(1)] == [2]


def test_uses_outlive_the_process(metadata: Metadata, file: Path) -> None:
    metadata.calculator_uses.record(use("gpt-4o"))
    again = Metadata(file, clock=SteppingClock())
    assert [one.use.user_selections["model"] for one in again.calculator_uses.newest(5)] == ["gpt-4o"]
    again.close()


def test_the_oldest_give_way_and_numbers_go_on(metadata: Metadata, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_USES", 3)
    for name in "abcde":
        metadata.calculator_uses.record(use(name))
    kept = metadata.calculator_uses.newest(10)
    assert [(one.number, one.use.user_selections["model"]) for one in kept] == [(5, "e"), (4, "d"), (3, "c")]
