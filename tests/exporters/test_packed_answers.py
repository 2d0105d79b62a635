"""What the API answers is packed for those who take it so."""

from __future__ import annotations

from random import Random

import pytest
from api_here import get
from export_rig import World

ROWS = {"measures": "calls,cost_usd", "group_by": "user_id", "from": "60d"}


@pytest.mark.parametrize(
    ("path", "parameters", "coding"),
    [
        ("/events", {"from": "60d"}, "gzip"),
        ("/query", {**ROWS, "format": "csv"}, "gzip"),
        ("/query", {**ROWS, "format": "parquet"}, None),
        ("/events", {"from": "60d", "limit": "1", "feature": "nobody's"}, None),
    ],
    ids=["calls", "a text", "a file that is packed in itself", "what is small anyway"],
)
def test_long_answers_come_packed(here: World, path: str, parameters: dict[str, str], coding: str | None) -> None:
    here.traffic(Random(5), 200)
    for number in range(100):
        here.call(user_id=f"somebody-{number}")
    answer = get(here, path, **parameters)
    assert answer.status_code == 200
    assert answer.headers.get("content-encoding") == coding
