"""The band of what was usual behind an incident's bars. On a server of its own: the other incidents are as many as can
come within five minutes without being a storm."""

from __future__ import annotations

import pytest
from page_rig import Server, ago, event, now
from playwright.sync_api import Page, expect
from test_alerts_in_a_browser import incident_of, open_incident

pytestmark = pytest.mark.browser


def test_the_hours_before_an_incident_stand_on_the_band_of_what_was_usual(page: Page, server: Server) -> None:
    known = {"feature": "alarming", "user_id": "alarm-usual"}
    server.post(*(event(now(), started_at=ago(now(), days=day), **known) for day in range(1, 8)))
    shown = open_incident(page, server, incident_of(server, "alarm-usual"))
    expect(shown.get_by_role("img", name="cost_usd in 5 minutes, the last 3 hours")).to_be_visible()
    expect(shown.locator("figure")).to_contain_text("at that hour of the 7 days before")
    expect(shown.locator("rect.usual").first).to_be_attached()
