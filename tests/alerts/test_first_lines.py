"""Two in the morning: the first line of the Slack message says what is wrong, whose it is, and how much money."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

import pytest
from night import HandClock
from test_sources import crossing

from taximeter.alerts.alert import Observation
from taximeter.alerts.channels.slack import attachments
from taximeter.alerts.desk import EMPTY, Policy, evaluated
from taximeter.alerts.message import TITLES, Message, message_of
from taximeter.alerts.routing import Route
from taximeter.alerts.runbook import shipped
from taximeter.alerts.sources import DifferingAmounts, Meter, MeterHealth, of_crossing, of_finding
from taximeter.alerts.thresholds import judged, threshold
from taximeter.anomaly.finding import Contributor, Expectation, Finding, FindingKind
from taximeter.config.alerting import RuleSettings

MANUAL = Path(__file__).parents[2] / "docs" / "alerts.md"
NOW_US = HandClock(29_800_800).us
ANN = Contributor("user_id", "ann", 0.96, Decimal("3.10"))
PROMPT = Contributor("prompt_version", "v42", 1.0, Decimal("3.20"))
MORE = (Contributor("cause", "input_tokens", 1.0, Decimal("3.20")), Contributor("tenant", None, 1.0, Decimal("3.20")))


def found(kind: FindingKind, **changed: Any) -> Observation:
    told: dict[str, Any] = {
        "scope": {"feature": "chat"},
        "contributors": [*MORE, ANN],
        "expectation": Expectation("calls", 60, 10, 5, 15, "6 Tuesdays"),
        "summary": "60 calls in 10 minutes, expected 10",
        **changed,
    }
    return of_finding(
        Finding(
            finding_id="f1",
            kind=kind,
            severity="critical",
            started_at_us=NOW_US - 300_000_000,
            detected_at_us=NOW_US,
            updated_at_us=NOW_US,
            excess_usd=Decimal("3.10"),
            excess_usd_per_hour=Decimal("12.4"),
            **told,
        )
    )


def crossed(measure: str, row: Mapping[str, Any]) -> Observation:
    written = {"name": "burn", "measure": measure, "over": "10m", "each": ["feature", "user"], "critical": "> 0.1"}
    (one,) = judged(threshold(RuleSettings.model_validate(written)), [row], []) or []
    return one


def differing() -> Observation:
    row = {
        "provider": "openai",
        "model": "gpt-9",
        "differing_calls": 3,
        "calls": 4,
        "reported_cost_usd": "3",
        "computed_cost_usd": "1",
        "difference_usd": "2",
        "difference_percent": "200",
        "largest_difference_usd": "1",
        "largest_event_id": "e",
    }
    (one,) = DifferingAmounts(lambda _from, _to: [row]).observe(NOW_US) or []
    return one


def meter(**health: Any) -> Observation:
    (one,) = Meter(lambda: MeterHealth(**health)).observe(NOW_US) or []
    return one


ROW = {"feature": "chat", "user_id": "ann", "calls": 9}
EVERYBODY = {"scope": {"feature": "chat"}, "contributors": []}
LINES: Mapping[str, tuple[Observation, str]] = {
    **{
        kind: (found(kind), f"CRITICAL {TITLES[kind]}: feature chat, $12.40 an hour, mostly user ann")
        for kind in get_args(FindingKind)
    },
    "of a new prompt": (
        found("cost_per_request", contributors=[replace(ANN, share=0.74), *MORE, PROMPT]),
        "CRITICAL Calls cost more than usual: feature chat, $12.40 an hour, mostly prompt version v42",
    ),
    "of one user": (
        found("volume_spike", scope={"feature": "chat", "user_id": "ann"}),
        "CRITICAL More calls than usual: feature chat, user ann, $12.40 an hour",
    ),
    "of everybody": (
        found("volume_spike", scope={}, contributors=[]),
        "CRITICAL More calls than usual: $12.40 an hour",
    ),
    "threshold of money": (
        crossed("cost_usd", {**ROW, "cost_usd": "71.5"}),
        "CRITICAL A bound is crossed: feature chat, user ann, $71.50 in 10 minutes, rule burn",
    ),
    "threshold of a share": (
        crossed("error_rate", {**ROW, "error_rate": 0.5}),
        "CRITICAL A bound is crossed: feature chat, user ann, error_rate 0.5 in 10 minutes, rule burn",
    ),
    "limit_reached": (
        of_crossing(crossing("threshold", 100, "hard", "ann"), {"user_id": "ann"}),
        "CRITICAL A limit is reached: limit chat-daily, user ann, $40.5 of $50",
    ),
    "burn_rate": (
        of_crossing(crossing("burn_fast", 0, "soft"), {}),
        "CRITICAL A budget burns too fast: limit chat-daily, $40.5 of $50",
    ),
    "price_difference": (
        differing(),
        "WARNING A provider names other amounts: provider openai, model gpt-9, 2 USD in an hour",
    ),
    "pipeline_loss": (meter(losses={"disk_full": 3}), "CRITICAL Records were lost: reason disk_full"),
    "job_failed": (meter(failing_jobs={"roll-ups": "full"}), "WARNING Periodic work of the meter fails: job roll-ups"),
}


def message(observation: Observation) -> Message:
    """The message that an observation leads to by itself."""
    desk, (notification,) = evaluated(EMPTY, [observation], Policy(Route(name="all", channels=("slack",))), NOW_US)
    return message_of(notification, desk.incidents[0], desk.alerts, "https://meter.example")


@pytest.mark.parametrize("kind", LINES)
def test_the_first_line_says_what_is_wrong_for_whom_and_for_how_much(kind: str) -> None:
    observation, line = LINES[kind]
    assert message(observation).first_line == line


@pytest.mark.parametrize("kind", LINES)
def test_slack_shows_it_as_its_headline_with_the_reason_and_the_way_to_the_page(kind: str) -> None:
    observation, line = LINES[kind]
    (shown,) = [one.to_dict() for one in attachments(message(observation))]
    header, reason, *_others = shown["blocks"]
    assert header["text"]["text"] == line
    assert reason["text"]["text"].startswith(observation.summary.split("<")[0].split("&")[0][:20])
    assert "https://meter.example/?page=alerts&incident=" in json.dumps(shown)


# ── the whole message ──────────────────────────────────────────────────────────────────────────────────────

EVIDENCE = {
    "Who is behind it": "mostly input tokens; prompt_version v42 100%, user_id ann 74%, user_id bob 26%",
    "Prompt versions": "v41 $0.0011, v42 $0.0044 a call; new: v42",
    "Context size": "4,012 input tokens a call; before: 998",
    "Models": "gpt-4o-mini $0.0037 a call",
    "Cache hit rate": "80% of the input from caches; before: 81%",
    "Deployments": "chat 4.2 (23:58 UTC)",
}


def woken_by() -> Message:
    """A message about dearer calls after a new prompt, as it comes at night."""
    contributors = [Contributor("cause", "input_tokens", 0.97, Decimal("3.01")), PROMPT, replace(ANN, share=0.74)]
    cost = Expectation("USD per call", 0.0037, 0.0011, 0.0008, 0.0014, "6 Tuesdays")
    summary = "feature chat: 0.0037 USD per call, expected 0.0011"
    observation = found("cost_per_request", contributors=contributors, expectation=cost, summary=summary)
    book = shipped()["cost-per-request"]
    chart = {
        "caption": "cost_usd in 5 minutes, the last 3 hours; at most 1.36",
        "values": [2.0] * 30 + [8.0],
        "since": 30,
    }
    further = {"evidence": list(EVIDENCE.items()), "runbook": book.name, "action": book.action, "chart": chart}
    return message(replace(observation, facts={**observation.facts, **further}))


def in_words(shown: Mapping[str, Any]) -> Iterator[str]:
    """What people read of an attachment, line by line."""
    for block in shown["blocks"]:
        texts = [block["text"]] if "text" in block else []
        for part in [*texts, *block.get("fields", ()), *block.get("elements", ())]:
            if part["type"] == "button":
                yield f"[{part['text']['text']}]"
            else:
                yield part["text"].replace("*\n", "* ") if "fields" in block else part["text"]


def test_the_message_of_the_manual_is_what_slack_shows() -> None:
    (shown,) = [one.to_dict() for one in attachments(woken_by())]
    assert "```\n" + "\n".join(in_words(shown)) + "\n```" in MANUAL.read_text()


def test_every_kind_of_trouble_has_a_title() -> None:
    assert {observation.kind for observation, _line in LINES.values()} <= set(TITLES)
