"""Calls of a time as a file of the API."""

from __future__ import annotations

import csv
import io
import json

import pytest
from api_here import get
from export_rig import World

from taximeter.server.routes import spending


def test_a_file_has_the_calls_of_all_pages_newest_first(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spending, "CALLS_AT_ONCE", 7)
    for number in range(20):
        here.call(user_id=f"somebody-{number % 3}")
    told = get(here, "/events", **{"from": "60d", "limit": "100"}).json()["events"]
    lines = get(here, "/events/file", **{"from": "60d", "format": "json"})
    assert [json.loads(line) for line in lines.text.splitlines()] == told
    of_one = get(here, "/events/file", **{"from": "60d", "user_id": "somebody-1"})
    assert "calls.csv" in of_one.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(of_one.text)))
    assert [row["event_id"] for row in rows] == [one["event_id"] for one in told if one["user_id"] == "somebody-1"]


def test_more_calls_than_one_file_has_are_refused_with_what_to_do(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spending, "MOST_CALLS", 2)
    for _ in range(3):
        here.call()
    answer = get(here, "/events/file", **{"from": "60d"})
    assert answer.status_code == 422
    assert answer.json()["error"]["message"] == "that is 3 calls; one file has at most 2"
    assert "taximeter export" in answer.json()["error"]["hint"]


def test_a_file_needs_the_right_to_read(here: World) -> None:
    assert get(here, "/events/file", key="ingest").status_code == 403
