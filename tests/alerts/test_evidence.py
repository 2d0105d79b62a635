"""Runbooks: every kind of trouble has one, and its first steps answer from real calls."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from taximeter.alerts.alert import Alert
from taximeter.alerts.chart import BUCKETS
from taximeter.alerts.evidence import DAY_US, HOUR_US, STEPS, Investigator, short_usd, usual_of
from taximeter.alerts.message import TITLES
from taximeter.alerts.runbook import for_kind, load, parse, shipped
from taximeter.clock import rfc3339, to_unix_us
from taximeter.core.ids import uuid7
from taximeter.errors import ConfigurationError
from taximeter.reports.why import parse_why, why
from taximeter.store.events import DuckDBEvents
from taximeter.store.metadata import Annotation, Metadata

START_US = to_unix_us(datetime.fromisoformat("2026-11-24T02:00:00Z"))
NOW_US = START_US + 900_000_000
MINUTE_US = 60_000_000
ids = (uuid7(START_US // 1000, n.to_bytes(10, "big")) for n in itertools.count())


def call(at_us: int, **fields: Any) -> dict[str, Any]:
    return {
        "event_id": next(ids),
        "started_at": rfc3339(at_us),
        "source": "api",
        "provider": "openai",
        "request_model": "gpt-4o",
        "status": "ok",
        "feature": "chat",
        "user_id": "u1",
        "prompt_version": "v1",
        "input_tokens": 1000,
        "cache_read_tokens": 800,
        "output_tokens": 100,
        "cost_usd": "0.002",
        "cost": {"input": "0.001", "cache_read": "0", "cache_write": "0", "output": "0.001", "other": "0"},
        **fields,
    }


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckDBEvents]:
    """An hour of calm with many users, then u7 alone with a new prompt, errors and retries; search is calm."""
    opened = DuckDBEvents(tmp_path_factory.mktemp("evidence") / "events.duckdb", query_timeout_seconds=600)
    calm = [call(START_US - n * MINUTE_US, user_id=f"u{n % 6}") for n in range(1, 60)]
    wild = [
        call(
            START_US + n * MINUTE_US // 4,
            user_id="u7",
            prompt_version="v2",
            input_tokens=4000,
            cache_read_tokens=0,
            status="error" if n % 2 else "ok",
            attempt=1 + n % 2,
        )
        for n in range(40)
    ]
    others = [call(START_US + n * MINUTE_US, user_id=f"u{n}") for n in range(4)]
    unpriced = {**call(START_US + 1, feature="search"), "unpriced_reason": "unknown_model", "request_model": "novel-1"}
    priceless = {name: value for name, value in unpriced.items() if name not in ("cost", "cost_usd")}
    lines = [json.dumps(one).encode() for one in (*calm, *wild, *others, priceless)]
    assert opened.append(lines, {}).inserted == len(lines)
    yield opened
    opened.close()


@pytest.fixture
def metadata(tmp_path: Path) -> Iterator[Metadata]:
    opened = Metadata(tmp_path / "metadata.sqlite")
    mark = Annotation(
        annotation_id="a",
        at_us=START_US - 10 * MINUTE_US,
        text="checkout 4.2",
        author="ci",
        labels={"service": "checkout"},
    )
    opened.alerting.annotate(mark)
    yield opened
    opened.close()


def alert(kind: str, **facts: Any) -> Alert:
    return Alert(
        key="k",
        rule="r",
        kind=kind,
        labels={"feature": "chat", "trouble": kind},
        severity="critical",
        summary="",
        state="firing",
        started_at_us=START_US,
        pending_since_us=START_US,
        seen_at_us=NOW_US,
        facts=facts,
    )


def investigator(store: DuckDBEvents, metadata: Metadata, folder: Path | None = None) -> Investigator:
    def explain(request: Any) -> str:
        return why(parse_why(request, NOW_US), store).in_a_line()

    return Investigator(store, metadata.alerting, explain, load(folder), lambda: NOW_US)


def test_a_spike_is_investigated_before_anybody_looks(store: DuckDBEvents, metadata: Metadata) -> None:
    found = investigator(store, metadata)(alert("volume_spike"))
    told = dict(found["evidence"])
    assert found["runbook"] == "volume-spike"
    assert told["Deployments"] == "checkout 4.2 (01:50 UTC)"
    assert told["Bot-like users"] == "looks like a program: u7 made 91% of 44 calls by 5 users"
    assert (
        told["Errors and retries"]
        == "45.5% errors, 45.5% retries of 44 calls; before: 0.0% errors, 0.0% retries of 59 calls"
    )
    assert told["Cache hit rate"] == "2% of the input from caches; before: 80%"
    assert "user_id u7" in told["Who is behind it"] or "prompt_version v2" in told["Who is behind it"]


def test_the_hours_before_are_charted_with_the_bars_of_the_incident_told_apart(
    store: DuckDBEvents, metadata: Metadata
) -> None:
    investigated = investigator(store, metadata)
    chart = investigated(alert("volume_spike"))["chart"]
    assert sum(chart["values"][:32]) == 59, "the calm before"
    assert (chart["since"], chart["values"][32:]) == (32, [24.0, 20.0, 0.0, 0.0])
    assert chart["caption"] == "calls in 5 minutes, the last 3 hours; at most 24"
    assert chart["usual"] == [None] * 36, "nobody knows what is usual after an hour"
    assert investigated(alert("cost_per_request"))["chart"]["caption"].startswith("cost_usd in 5 minutes")
    assert investigated(alert("pipeline_loss"))["chart"] is None


# fmt: off
HOURS_OF_DAYS = [
    ("seven days",                [12, 24, 36, 48, 60, 72, 84], (1.0, 7.0)),
    ("an hour without calls",     [12, 24, 36, ..., 60, 72, 84], (0.0, 7.0)),
    ("one whose cost is unknown", [12, 24, 36, None, 60, 72, 84], (1.0, 7.0)),
    ("five days",                 [12, 24, 36, 48, 60], (1.0, 5.0)),
    ("too few days",              [12, 24, 36, 48], None),
    ("too few that are known",    [12, None, None, None, 60, 72, 84], None),
    ("none",                      [], None),
]
# fmt: on


@pytest.mark.parametrize(("amounts", "usual"), [case[1:] for case in HOURS_OF_DAYS], ids=[c[0] for c in HOURS_OF_DAYS])
def test_what_is_usual_at_an_hour_is_told_from_the_days_before(amounts: list[Any], usual: tuple[float, float]) -> None:
    hour_us = START_US // HOUR_US * HOUR_US
    hours = {hour_us - (day + 1) * DAY_US: amount for day, amount in enumerate(amounts) if amount is not ...}
    assert usual_of(hours, hour_us + HOUR_US - 1) == usual


def test_the_chart_has_what_was_usual_in_the_week_before(tmp_path: Path, metadata: Metadata) -> None:
    every_five_minutes = [START_US - day * DAY_US - n * MINUTE_US for day in range(8) for n in range(5, 121, 5)]
    with closing(DuckDBEvents(tmp_path / "events.duckdb")) as store:
        store.append([json.dumps(call(at_us)).encode() for at_us in every_five_minutes], {})
        chart = investigator(store, metadata)(alert("volume_spike"))["chart"]
    assert chart["usual"][:8] == [(0.0, 0.0)] * 8, "from 23:20 on"
    assert chart["usual"][8:32] == [(1.0, 1.0)] * 24, "the two hours before"
    assert len(chart["usual"]) == BUCKETS


def test_dear_calls_show_the_new_prompt_and_its_size(store: DuckDBEvents, metadata: Metadata) -> None:
    told = dict(investigator(store, metadata)(alert("cost_per_request"))["evidence"])
    assert told["Prompt versions"].endswith("new: v2")
    assert told["Context size"] == "3,727 input tokens a call; before: 1,000"


def test_a_model_without_a_price_is_named(store: DuckDBEvents, metadata: Metadata) -> None:
    searched = alert("unpriced_model")
    found = investigator(store, metadata)(Alert(**{**{n: getattr(searched, n) for n in Alert.__slots__}, "labels": {}}))
    assert dict(found["evidence"])["Without a price"] == "openai/novel-1 1"


def test_a_runbook_of_ones_own_takes_the_place_of_a_shipped_one_and_asks_its_own_question(
    store: DuckDBEvents, metadata: Metadata, tmp_path: Path
) -> None:
    query = "{name: Users, query: {measures: [calls], group_by: [user], limit: 1}}"
    head = f"---\nkinds: [volume_spike]\naction: Call Anna.\nsteps: [deployments, {query}, no_such_step]\n---\n"
    (tmp_path / "volume-spike.md").write_text(head + "# Ours\n")
    found = investigator(store, metadata, tmp_path)(alert("volume_spike"))
    assert found["action"] == "Call Anna."
    assert found["evidence"][1:] == [
        ("Users", "u7: calls 40; (not said): calls 4"),
        ("no_such_step", "there is no such step"),
    ]


def test_what_cannot_be_found_out_says_so_and_holds_nothing_up(metadata: Metadata, tmp_path: Path) -> None:
    closed = DuckDBEvents(tmp_path / "events.duckdb", query_timeout_seconds=600)
    closed.close()
    told = dict(investigator(closed, metadata)(alert("volume_spike"))["evidence"])
    assert told["Deployments"].startswith("checkout")
    assert told["Cache hit rate"].startswith("could not be found out")


@pytest.mark.parametrize("kind", TITLES)
def test_every_kind_of_trouble_has_a_runbook_whose_steps_exist(kind: str) -> None:
    book = for_kind(shipped(), kind)
    assert book is not None
    assert {step.name for step in book.steps} <= set(STEPS)
    assert book.action
    for section in ("## Symptoms", "## Immediate actions", "## Escalation"):
        assert section in book.text


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("---\nkinds: [a]\n", "does not end"),
        ("---\nkind: a\n---\n", "no setting 'kind'"),
        ("---\n[\n---\n", "no YAML"),
        ("---\n- a\n---\n", "settings"),
        ("---\nsteps: [{name: x}]\n---\n", "a step is a name"),
    ],
)
def test_a_broken_runbook_says_what_is_wrong(text: str, wrong: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=wrong):
        parse("x", text)
    (tmp_path / "x.md").write_text(text)
    with pytest.raises(ConfigurationError):
        load(tmp_path)


@pytest.mark.parametrize(
    ("amount", "words"),
    [("3.752041", "3.752"), ("0.0044", "0.0044"), ("0.00000002", "0.00000002"), ("12345.6", "12350"), (None, "?")],
)
def test_what_a_call_costs_is_told_in_figures_that_people_write(amount: str | None, words: str) -> None:
    assert short_usd(amount) == words
