"""What is done about an incident is a limit in order, in force at once, and names the incident."""

from __future__ import annotations

from typing import Any

import pytest

from taximeter.alerts.actions import Wish, limit_for, prefix_of, scope_of
from taximeter.config.limits import read_limit
from taximeter.errors import UsageError

INCIDENT = "01990000-0000-7000-8000-000000000001"
USER = {"user": "u1"}

WISHES: dict[str, tuple[Wish, dict[str, Any]]] = {
    "five dollars an hour": (
        Wish(kind="limit", scope=USER, usd="5"),
        {"measure": "cost_usd", "limit": "5", "action": "block"},
    ),
    "no call any more": (
        Wish(kind="pause", scope={"key": "key_1"}),
        {"measure": "requests", "limit": 1, "action": "block"},
    ),
    "a cheaper model": (
        Wish(kind="cheaper_model", scope={"feature": "chat"}, model="gpt-4o-mini"),
        {"measure": "requests", "limit": 1, "action": {"downgrade": "gpt-4o-mini"}},
    ),
}


@pytest.mark.parametrize("name", WISHES)
def test_an_action_is_a_limit_that_says_what_it_does(name: str) -> None:
    wish, said = WISHES[name]
    definition = read_limit(limit_for(INCIDENT, wish)).as_definition()
    assert definition["name"].startswith(prefix_of(INCIDENT))
    assert {key: definition[key] for key in said} == said
    assert definition["warn_at"] == [], "what is done about an alert is no alert"


def test_the_same_again_is_a_new_version_and_another_scope_a_limit_of_its_own() -> None:
    def named(scope: dict[str, str], usd: str) -> str:
        return str(limit_for(INCIDENT, Wish(kind="limit", scope=scope, usd=usd))["name"])

    assert named(USER, "5") == named(USER, "10") != named({"user": "u2"}, "5")


def test_whom_an_incident_is_about_is_the_scope() -> None:
    labels = {"feature": "chat", "user_id": "u1", "api_key_id": "k", "limit": "daily", "trouble": "x"}
    assert scope_of(labels) == {"feature": "chat", "user": "u1", "key": "k"}


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        (Wish(kind="pause", scope={}), "scope"),
        (Wish(kind="limit", scope=USER), "usd"),
        (Wish(kind="cheaper_model", scope=USER), "model"),
    ],
)
def test_what_a_wish_lacks_is_said(wish: Wish, field: str) -> None:
    with pytest.raises(UsageError) as refused:
        limit_for(INCIDENT, wish)
    assert refused.value.facts["field"] == field
