"""Calls that go to another model, because an amount is used up."""

from __future__ import annotations

from typing import Any

import pytest

from taximeter.config.limits import read_limits
from taximeter.limits.bounds import CallBound
from taximeter.limits.counters import Claim
from taximeter.limits.counters.memory import MemoryCounters
from taximeter.limits.guard import LimitGuard
from taximeter.limits.rules import Rules
from taximeter.limits.verdict import Admitted, Ask, CallKind

NOW = 1_800_000_000_000_000
CHEAPER = {"scope": "global", "measure": "output_tokens", "limit": 100, "window": "month"}
HARD = {"name": "hard", "scope": "global", "measure": "output_tokens", "limit": 100_000, "window": "month"}


def cheaper(name: str, model: str, **more: Any) -> dict[str, Any]:
    return {"name": name, **CHEAPER, "action": {"downgrade": model}, **more}


def asked(model: str, *limits: dict[str, Any], **bound: Any) -> Admitted:
    """What is said to a call, when all limits are used up that lead to another model."""
    guard = LimitGuard(Rules(read_limits(limits)), MemoryCounters())
    ask = Ask("an-id", NOW, {"user_id": "anna", "model": model}, CallKind("openai", model), CallBound(10, **bound))
    used_up = [one for one in guard.rules.about(ask.subject) if not one.limit.caps]
    guard.counters.raise_to([Claim(one.bucket(NOW), 100) for one in used_up], now_us=NOW)
    admitted = guard.decide(ask, NOW)
    assert isinstance(admitted, Admitted)
    return admitted


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4o-mini"])
def test_of_limits_that_name_other_models_the_last_one_has_its_way(model: str) -> None:
    limits = cheaper("a", "gpt-4o-mini"), cheaper("b", "gpt-4o-nano", scope="user", each=True)
    assert asked(model, *limits, output_tokens=50).model == "gpt-4o-nano"


def test_a_model_that_thinks_unseen_is_held_in_full_also_in_the_place_of_one_that_is_held_by_the_slice() -> None:
    stream = {"output_tokens": 8_000, "allowance_key": "max_tokens", "leased": True}
    assert asked("gpt-4o", HARD, cheaper("a", "gpt-4o-mini"), **stream).held.output_tokens == 1_024
    assert asked("gpt-4o", HARD, cheaper("a", "gpt-5-mini"), **stream).held.output_tokens == 8_000


@pytest.mark.parametrize(
    ("bound", "payload", "sent"),
    [
        ({"output_tokens": 50}, {"max_tokens": 50}, {"max_completion_tokens": 50}),
        ({"output_tokens": 50}, {"max_completion_tokens": 50}, {"max_completion_tokens": 50}),
        ({"output_tokens": None, "usual_allowance": 16_384}, {}, {"max_completion_tokens": 16_384}),
    ],
)
def test_an_allowance_is_told_in_the_word_that_the_other_model_knows(
    bound: dict[str, Any], payload: dict[str, Any], sent: dict[str, Any]
) -> None:
    admitted = asked(
        "gpt-4o", HARD, cheaper("a", "gpt-5-mini"), allowance_key=next(iter(payload), "max_tokens"), **bound
    )
    rewritten = admitted.rewritten({"model": "gpt-4o", "messages": [], **payload})
    assert rewritten == {"model": "gpt-5-mini", "messages": [], **sent}
