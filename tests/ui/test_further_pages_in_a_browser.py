"""Why, alerts, limits and calculator in a real Chromium, over the real server: they show what the API says."""

from __future__ import annotations

import pytest
from page_rig import Pages, Server
from playwright.sync_api import expect
from test_page_in_a_browser import PHONE, SCHEMES, Scheme, barriers, exact, panel

pytestmark = pytest.mark.browser

PANELS = {
    "why": "Why spend changed, last 7 days",
    "alerts": "Incidents",
    "limits": "Limits",
    "calculator": "Costs",
}


def test_the_change_on_the_page_is_that_of_the_api(pages: Pages, server: Server) -> None:
    page = pages.open(server)
    page.goto(f"{server.url}/?page=why&range=7d")
    shown = page.get_by_test_id("change")
    expect(shown).to_be_visible(timeout=60_000)
    with page.expect_response("**/api/v1/why", timeout=60_000) as answered:
        page.get_by_role("radiogroup", name="Compare with").get_by_text("a week earlier").click()
    expect(shown).to_have_attribute("title", exact(answered.value.json()["change_usd"]))


@pytest.mark.parametrize(("name", "path"), [("why", "/api/v1/why"), ("users", "/api/v1/query")])
def test_what_is_asked_before_a_page_is_drawn_is_not_asked_again(
    pages: Pages, server: Server, name: str, path: str
) -> None:
    page = pages.open(server)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(f"{request.url} {request.post_data}"))
    page.goto(f"{server.url}/?page={name}&range=24h&feature=no-such-feature")
    expect(page.locator('main [aria-busy="false"]').first).to_be_visible()
    questions = [one for one in asked if f"{path} " in one and "no-such-feature" in one]
    assert len(questions) == len(set(questions)) > 0


def test_the_navigation_keeps_range_and_filters_and_can_be_gone_back(pages: Pages, server: Server) -> None:
    page = pages.open(server)
    page.goto(f"{server.url}/?range=7d&user_id=grace")
    page.get_by_role("navigation", name="Pages").get_by_role("link", name="Calculator").click()
    expect(panel(page, "Costs")).to_be_visible()
    assert "range=7d" in page.url
    assert "user_id=grace" in page.url
    page.go_back()
    expect(panel(page, "Top users")).to_be_visible()


def test_on_a_phone_the_page_that_is_looked_at_is_among_the_names_that_are_seen(pages: Pages, server: Server) -> None:
    page = pages.open(server, viewport=PHONE)
    page.goto(f"{server.url}/?page=health")
    current = page.get_by_role("navigation", name="Pages").get_by_role("link", name="Health")
    expect(current).to_have_attribute("aria-current", "page")
    expect(current).to_be_in_viewport(ratio=1)


def test_the_calculator_shows_the_worked_example(pages: Pages, server: Server) -> None:
    page = pages.open(server)
    page.goto(f"{server.url}/?page=calculator")
    row = panel(page, "Costs").locator("tbody tr").first
    expect(row.locator("td").nth(5)).to_have_attribute("title", "$22500")
    page.get_by_label("Output tokens a call").fill("1000")
    expect(row.locator("td").nth(5)).to_have_attribute("title", "$37500")


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", PANELS)
def test_everybody_can_use_every_page(pages: Pages, server: Server, scheme: Scheme, name: str) -> None:
    page = pages.open(server, color_scheme=scheme, reduced_motion="reduce")
    page.goto(f"{server.url}/?page={name}&range=7d")
    shown = panel(page, PANELS[name])
    expect(shown).to_be_visible()
    expect(shown).to_have_attribute("aria-busy", "false", timeout=60_000)
    assert barriers(page) == []
