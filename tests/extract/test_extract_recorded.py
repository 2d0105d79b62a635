"""Every recorded answer gives its expected usage: whole, torn anywhere, as bytes and as parsed events."""

from __future__ import annotations

import pytest
from recorded_answers import Case, cases, differences


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.id)
def test_a_recorded_answer_gives_its_expected_usage(case: Case) -> None:
    assert differences(case, case.read()) == []
