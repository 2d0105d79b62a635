"""What is learnt does not hang on how much is taken in at once, nor on looking again at what is known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import numpy as np
import pytest
from detection_traffic import MONDAY, Cell, Traffic, detection, during

from taximeter.anomaly.detection import Detection

pytestmark = pytest.mark.timeout(900)

DAYS: Final = 3
SPIKE: Final = MONDAY + 2 * 1440 + 12 * 60 + 50
NEWCOMERS: Final = {("chat", "u2"): MONDAY + 1440 + 37, ("search", "u1"): SPIKE + 6, ("search", "u2"): SPIKE + 21}
ENDS: Final = MONDAY + DAYS * 1440 - 600 + 8


def with_newcomers(cell: Cell) -> Cell:
    """Users and a model that begin in the middle of a quarter of an hour, two of them beside an incident."""
    if cell.minute < NEWCOMERS.get((cell.feature, cell.user), 0):
        return replace(cell, rate=0.0)
    cell = during(SPIKE, SPIKE + 40, "chat", rate=4.0)(cell)
    return during(SPIKE - 20, SPIKE + 60, "search", strange=0.1)(cell)


def state(learnt: Detection) -> dict[str, Any]:
    """Everything that what is told next hangs on."""
    rows = learnt.panel.rows
    order = sorted(range(rows), key=lambda row: learnt.panel.scopes[row])
    span = slice(learnt.panel.column(ENDS - 180), learnt.panel.column(ENDS))
    kept = {
        "scopes": [str(learnt.panel.scopes[row]) for row in order],
        "born": learnt.panel.born[order],
        "level": learnt.baseline.level[order],
        "dispersion": learnt.spread.dispersion[order],
        "seen": learnt.windows.all[:, order, span],
        "counts": learnt.windows.counts[:, order, span],
        "history": learnt.history.hourly[:, order],
        "unexpected": learnt.hours.of(ENDS).models.unexpected[order],
    }
    ratios = {name: getattr(learnt.ratios, name)[order] for name in ("cost", "cached", "retries", "share")}
    return {**kept, **ratios}


def assert_same(one: Detection, other: Detection) -> None:
    mine, others = state(one), state(other)
    for name, held in mine.items():
        np.testing.assert_array_equal(np.asarray(held), np.asarray(others[name]), err_msg=name)


def fed(block: int) -> tuple[Detection, list[tuple[Any, ...]]]:
    learnt = detection()
    told = Traffic(learnt, with_newcomers).run(MONDAY, ENDS, block)
    return learnt, [(one.news, one.minute, one.incident.kind, one.incident.scope) for one in told]


def test_scopes_that_appear_change_nothing_of_the_others_whatever_is_taken_in_at_once() -> None:
    (slots, told), (minutes, told_by_minutes) = fed(15), fed(1)
    assert told == told_by_minutes
    assert {kind for _, _, kind, _ in told} == {"volume_spike", "model_drift"}
    assert_same(slots, minutes)


def test_minutes_that_are_looked_at_again_are_as_they_were_over_the_turn_of_the_hour() -> None:
    once, again = (fed(15)[0] for _ in range(2))
    assert ENDS % 60 < 30
    again.amend([Traffic(again, with_newcomers).minute(minute) for minute in range(ENDS - 30, ENDS)])
    assert_same(once, again)
