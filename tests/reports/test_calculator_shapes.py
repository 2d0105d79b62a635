"""The answers in OpenAPI are the answers: no field more, none less."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from taximeter.clock import to_unix_us
from taximeter.pricing import load_price_book
from taximeter.reports.calculator import calculate
from taximeter.reports.hypothesis import Hypothesis
from taximeter.reports.what_if import Tally, WhatIf
from taximeter.server.calculator_shapes import Calculation, WhatIfAnswer

NOW_US = to_unix_us(datetime.fromisoformat("2026-11-20T12:00:00Z"))


def through(shape: type[BaseModel], answer: dict[str, Any]) -> Any:
    return json.loads(shape.model_validate(answer).model_dump_json(by_alias=True))


def test_a_calculation(tmp_path: Path) -> None:
    prices = tmp_path / "prices.yaml"
    prices.write_text("prices: [{provider: local, match: our-own, rates: {input: '1', output: '2'}}]")
    request = {"model": "gpt-4o", "compare": ["our-own", "o3"], "batch_share": "0.5", "calls_per_day": 1}
    answer = calculate({**request, "input_tokens": 1, "output_tokens": 1}, load_price_book(prices), NOW_US).as_dict()
    assert [line["unpriced_reason"] for line in answer["models"]] == [None, "no_price_for_tier", None]
    assert through(Calculation, answer) == answer


def test_a_what_if() -> None:
    tally = Tally(calls=3, compared_calls=2)
    tally.what_if_unpriced["no_price_for_tier"] = 1
    answer = WhatIf(NOW_US - 1, NOW_US, Hypothesis(at_us=NOW_US), "v", {(None, "gpt-4o"): tally}, tally).as_dict()
    assert through(WhatIfAnswer, answer) == answer
