"""An incident in a real Chromium, over the real server: taken, silenced, acted on, and each of it undone."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
from page_rig import PATIENCE_SECONDS, Pages, Server, event, eventually, now
from playwright.sync_api import Locator, Page, expect
from test_page_in_a_browser import PHONE, SCHEMES, Scheme, barriers, panel

pytestmark = pytest.mark.browser

LOOKED_AT = "alarm-looked-at"
"""Whose incident nothing is done to. A sixth incident within five minutes would be a storm, and join the first."""


def ask(server: Server, path: str, **parameters: str) -> dict[str, Any]:
    answer = httpx.get(
        f"{server.url}/api/v1/{path}",
        params=parameters,
        headers={"authorization": f"Bearer {server.key('read')}"},
        timeout=PATIENCE_SECONDS,
    )
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def incident_of(server: Server, user: str) -> str:
    """An incident about a user who spent too much; its id."""
    server.post(event(now(), feature="alarming", user_id=user, input_tokens=900_000))

    def found() -> list[str]:
        open_ones = ask(server, "alerts", state="open")["incidents"]
        return [one["incident_id"] for one in open_ones if one["labels"].get("user_id") == user]

    incidents = eventually(found, bool)
    assert incidents, ask(server, "alerts", state="open")
    return incidents[0]


def open_incident(page: Page, server: Server, incident_id: str) -> Locator:
    page.goto(f"{server.url}/?page=alerts&incident={incident_id}")
    shown = panel(page, "Incident")
    expect(shown).to_have_attribute("aria-busy", "false")
    return shown


def test_an_incident_is_taken_and_given_back_and_silenced_for_a_while(page: Page, server: Server) -> None:
    incident = incident_of(server, "alarm-taken")
    shown = open_incident(page, server, incident)
    shown.get_by_role("button", name="Take it").press("Enter")
    expect(shown).to_contain_text("taken by")
    shown.get_by_role("button", name="Give it back").click()
    expect(shown.get_by_role("button", name="Take it")).to_be_visible()
    assert ask(server, f"alerts/{incident}")["incident"]["acknowledged_by"] is None

    shown.get_by_role("button", name="Silence for").click()
    expect(shown).to_contain_text("silent until")
    about = [one for one in ask(server, "silences")["silences"] if one["match"].get("user_id") == "alarm-taken"]
    assert len(about) == 1
    shown.get_by_role("button", name="End the silence").click()
    expect(shown.get_by_role("button", name="Silence for")).to_be_visible()


def test_spending_is_held_after_it_was_shown_and_confirmed_and_let_go_again(page: Page, server: Server) -> None:
    incident = incident_of(server, "alarm-held")
    shown = open_incident(page, server, incident)
    shown.get_by_role("button", name="Act", exact=True).click()
    shown.get_by_role("textbox", name="US dollars").fill("5")
    shown.get_by_role("button", name="Show what it would do").click()
    expect(shown.get_by_role("status")).to_contain_text("user alarm-held")
    expect(shown.get_by_role("status")).to_contain_text("at most $5.00 an hour")
    assert ask(server, f"alerts/{incident}/actions")["actions"] == [], "shown is not done"
    shown.get_by_role("button", name="Do it").click()
    expect(shown).to_contain_text("in force")
    assert len(ask(server, f"alerts/{incident}/actions")["actions"]) == 1
    shown.get_by_role("button", name="Undo").click()
    expect(shown.get_by_role("button", name="Undo")).to_have_count(0)
    assert ask(server, f"alerts/{incident}/actions")["actions"] == []


def test_an_amount_that_is_none_is_told_and_nothing_is_done(pages: Pages, server: Server) -> None:
    pages.allowed += ("422",)
    page = pages.open(server)
    incident = incident_of(server, LOOKED_AT)
    shown = open_incident(page, server, incident)
    shown.get_by_role("button", name="Act", exact=True).click()
    shown.get_by_role("textbox", name="US dollars").fill("much")
    shown.get_by_role("button", name="Show what it would do").click()
    expect(shown.get_by_role("alert")).to_contain_text("should be a number")
    expect(shown.get_by_role("button", name="Do it")).to_have_count(0)


def test_an_alert_is_acknowledged_and_its_runbook_followed_to_the_calls(page: Page, server: Server) -> None:
    incident = incident_of(server, "alarm-followed")
    page.goto(f"{server.url}/?page=alerts")
    panel(page, "Incidents").get_by_role("button", name="user alarm-followed").click()
    shown = panel(page, "Incident")
    shown.get_by_role("button", name="Take it").click()
    expect(shown).to_contain_text("taken by")
    expect(page.get_by_role("region", name="Runbook")).to_contain_text("Immediate actions")
    expect(shown.get_by_role("img", name="cost_usd in 5 minutes, the last 3 hours")).to_be_visible()
    expect(shown.get_by_label("What was seen").locator("dt").first).to_be_visible()
    steps = shown.get_by_label("First steps, done already")
    expect(steps).to_contain_text("Who is behind it")
    steps.get_by_role("link", name="Who is behind it").click()
    expect(page).to_have_url(re.compile(r"page=why&.*user_id=alarm-followed"))
    expect(page.get_by_role("main")).to_contain_text("alarm-followed")
    assert ask(server, f"alerts/{incident}")["incident"]["acknowledged_by"] is not None


def test_where_there_is_nobody_further_to_tell_an_escalation_says_so(pages: Pages, server: Server) -> None:
    pages.allowed += ("422", "400")
    page = pages.open(server)
    shown = open_incident(page, server, incident_of(server, LOOKED_AT))
    shown.get_by_role("button", name="Escalate").click()
    expect(shown.get_by_role("alert")).to_contain_text("nobody further to tell")


def test_a_rule_is_tried_on_the_past_then_set_then_removed(page: Page, server: Server) -> None:
    server.post(event(now(), feature="ruled", input_tokens=400_000))
    page.goto(f"{server.url}/?page=alerts")
    rules = panel(page, "Rules")
    expect(rules.get_by_label("Rule dear", exact=True)).to_contain_text("from the configuration file")
    rules.get_by_role("button", name="New rule").click()
    form = page.get_by_role("region", name="New rule")
    form.get_by_role("textbox", name="Name").fill("ruled-burn")
    form.get_by_role("textbox", name="Warning").fill("> 1000")
    only = form.locator("input").and_(form.get_by_label("Only calls with", exact=True))
    only.fill("feature=ruled")
    only.press("Enter")
    form.get_by_role("button", name="When would it have fired?").click()
    expect(form.get_by_role("status")).to_contain_text("it would not have fired")
    form.get_by_role("textbox", name="Critical").fill("> 0.5")
    form.get_by_role("button", name="When would it have fired?").click()
    expect(form.get_by_role("status")).to_contain_text("it would have fired 1 time.")
    form.get_by_role("textbox", name="Critical").fill("> 1000")
    form.get_by_role("button", name="Set the rule").click()
    one = rules.get_by_label("Rule ruled-burn", exact=True)
    expect(one).to_contain_text("cost over 10m, only feature=ruled: warning > 1000, critical > 1000")
    one.get_by_role("button", name="Remove ruled-burn").click()
    one.get_by_role("button", name="Remove ruled-burn for good").click()
    expect(one).to_have_count(0)
    assert [rule["name"] for rule in ask(server, "rules")["rules"]] == ["dear"]


def test_a_new_rule_does_not_replace_another_of_its_name(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/?page=alerts")
    panel(page, "Rules").get_by_role("button", name="New rule").click()
    form = page.get_by_role("region", name="New rule")
    form.get_by_role("textbox", name="Name").fill("dear")
    expect(form).to_contain_text("There is a rule of this name already")
    expect(form.get_by_role("button", name="Set the rule")).to_be_disabled()
    form.get_by_role("textbox", name="Name").fill("dearer")
    expect(form.get_by_role("button", name="Set the rule")).to_be_enabled()


def test_what_is_wrong_with_a_rule_is_told_at_its_field(pages: Pages, server: Server) -> None:
    pages.allowed += ("422", "400")
    page = pages.open(server)
    page.goto(f"{server.url}/?page=alerts")
    panel(page, "Rules").get_by_role("button", name="New rule").click()
    form = page.get_by_role("region", name="New rule")
    form.get_by_role("textbox", name="Name").fill("wrong")
    form.get_by_role("textbox", name="over", exact=True).fill("soon")
    form.get_by_role("button", name="Set the rule").click()
    expect(form.get_by_role("alert")).to_contain_text("should be a duration")
    assert barriers(page) == []


@pytest.mark.parametrize("scheme", SCHEMES)
def test_everybody_can_act_on_a_phone(pages: Pages, server: Server, scheme: Scheme) -> None:
    incident = incident_of(server, LOOKED_AT)
    page = pages.open(server, color_scheme=scheme, reduced_motion="reduce", viewport=PHONE)
    shown = open_incident(page, server, incident)
    shown.get_by_role("button", name="Act", exact=True).click()
    expect(shown.get_by_role("textbox", name="US dollars")).to_be_visible()
    assert barriers(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
