"""Limits in a real Chromium, over the real server and its gateway: set on the page, they hold."""

from __future__ import annotations

import re

import httpx
import pytest
from page_rig import PATIENCE_SECONDS, Pages, Server, event, eventually, now
from playwright.sync_api import Locator, Page, expect
from test_page_in_a_browser import PHONE, SCHEMES, Scheme, barriers, panel

pytestmark = pytest.mark.browser


def limits_page(page: Page, server: Server) -> Locator:
    page.goto(f"{server.url}/?page=limits")
    shown = panel(page, "Limits")
    expect(shown).to_have_attribute("aria-busy", "false")
    return shown


def call(server: Server, feature: str) -> httpx.Response:
    """One call of a feature over the gateway."""
    return httpx.post(
        f"{server.url}/openai/v1/chat/completions",
        json={"model": "gpt-4o", "max_tokens": 10, "messages": [{"role": "user", "content": "hi"}]},
        headers={"authorization": f"Bearer {server.key('gateway')}", "x-taximeter-feature": feature},
        timeout=PATIENCE_SECONDS,
    )


def write_limit(page: Page, name: str, feature: str, amount: str) -> None:
    page.get_by_role("button", name="New limit").click()
    page.get_by_role("textbox", name="Name").fill(name)
    page.get_by_role("textbox", name="Amount").fill(amount)
    choose(page, "of", "requests")
    only = field(page, "Only calls with")
    only.fill(f"feature={feature}")
    only.press("Enter")


def field(page: Page, label: str) -> Locator:
    """The field itself; the list that opens below it is named likewise."""
    return page.locator("input").and_(page.get_by_label(label, exact=True))


def choose(page: Page, label: str, option: str) -> None:
    field(page, label).click()
    page.get_by_role("option", name=option, exact=True).click()


def defined(server: Server, name: str) -> dict[str, object] | None:
    """A limit as the API tells it."""
    told = httpx.get(
        f"{server.url}/api/v1/limits",
        headers={"authorization": f"Bearer {server.key('read')}"},
        timeout=PATIENCE_SECONDS,
    ).json()["limits"]
    return next((one for one in told if one["name"] == name), None)


def test_a_limit_set_on_the_page_refuses_until_it_is_raised_and_is_gone_when_removed(
    page: Page, server: Server
) -> None:
    shown = limits_page(page, server)
    write_limit(page, "once-a-day", "held-by-page", "1")
    page.get_by_role("button", name="Set the limit").press("Enter")
    one = shown.get_by_label("Limit once-a-day", exact=True)
    expect(one).to_contain_text("feature held-by-page: 1 requests a day")
    assert call(server, "held-by-page").status_code == 200
    refused = eventually(lambda: call(server, "held-by-page"), lambda answer: answer.status_code == 429)
    assert refused.status_code == 429
    assert "once-a-day" in refused.text
    expect(one.get_by_role("meter")).to_have_attribute("aria-valuenow", "100")
    expect(one.get_by_text("nothing left", exact=True)).to_be_visible()

    page.get_by_role("button", name="Change once-a-day").click()
    expect(page.get_by_role("textbox", name="Name")).to_have_value("once-a-day")
    page.get_by_role("textbox", name="Amount").fill("1000")
    page.get_by_role("button", name="Change the limit").click()
    expect(one).to_contain_text("1,000 requests a day")
    assert call(server, "held-by-page").status_code == 200
    expect(one.get_by_text(re.compile(r"^99\d left$"))).to_be_visible()

    page.get_by_role("button", name="Remove once-a-day", exact=True).click()
    page.get_by_role("button", name="Remove once-a-day for good").click()
    expect(one).to_have_count(0)
    assert defined(server, "once-a-day") is None


def test_a_limit_is_tried_on_the_calls_of_the_past_before_it_is_set(page: Page, server: Server) -> None:
    server.post(*(event(now(), feature="tried") for _ in range(3)))
    limits_page(page, server)
    write_limit(page, "only-tried", "tried", "2")
    page.get_by_role("button", name="What would it have refused?").click()
    told = page.get_by_test_id("would-refuse")
    expect(told).to_have_text("In the last 7 days it would have refused 1 of 3 calls ($0.0075).")
    page.get_by_role("link", name="The first call that it would have refused").click()
    expect(page.get_by_role("dialog")).to_contain_text("tried")
    assert defined(server, "only-tried") is None


def test_more_for_a_while_is_part_of_the_limit_until_a_moment_of_the_chosen_zone(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/?page=limits&tz=America/New_York")
    write_limit(page, "raised", "raised-for-a-while", "5")
    page.get_by_role("textbox", name="Raise by").fill("3")
    field(page, "until").fill("2040-01-01T00:00")
    page.get_by_role("button", name="Raise", exact=True).click()
    expect(page.get_by_text("3 more until Sun 1 Jan 2040, 00:00:00")).to_be_visible()
    page.get_by_role("button", name="Set the limit").click()
    expect(panel(page, "Limits").get_by_label("Limit raised", exact=True)).to_be_visible()
    told = defined(server, "raised")
    assert told is not None
    assert told["raises"] == [{"by": 3, "until": "2040-01-01T05:00:00Z"}]


def test_what_is_wrong_with_a_limit_stands_at_its_field(pages: Pages, server: Server) -> None:
    pages.allowed += ("422",)
    page = pages.open(server)
    limits_page(page, server)
    write_limit(page, "wrong name", "any", "-1")
    field(page, "Only calls with").fill("chat")
    field(page, "Only calls with").press("Enter")
    expect(page.get_by_text("Write it as feature=chat.")).to_be_visible()
    page.get_by_role("button", name="Set the limit").click()
    expect(page.get_by_role("textbox", name="Name")).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_role("textbox", name="Amount")).to_have_accessible_description(re.compile("more than 0"))
    assert defined(server, "wrong name") is None


def test_a_new_limit_does_not_replace_another_of_its_name(page: Page, server: Server) -> None:
    limits_page(page, server)
    write_limit(page, "of-the-file", "any", "3")
    name = page.get_by_role("textbox", name="Name")
    expect(name).to_have_accessible_description(re.compile("There is a limit of this name already"))
    expect(page.get_by_role("button", name="Set the limit")).to_be_disabled()
    name.fill("of-nobody-else")
    expect(page.get_by_role("button", name="Set the limit")).to_be_enabled()


def test_a_limit_of_the_file_is_only_shown(page: Page, server: Server) -> None:
    one = limits_page(page, server).get_by_label("Limit of-the-file", exact=True)
    expect(one).to_contain_text("from the configuration file")
    expect(one.get_by_role("button")).to_have_count(0)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_everybody_can_set_a_limit(pages: Pages, server: Server, scheme: Scheme) -> None:
    page = pages.open(server, color_scheme=scheme, reduced_motion="reduce", viewport=PHONE)
    limits_page(page, server)
    page.get_by_role("button", name="New limit").click()
    expect(page.get_by_role("textbox", name="Amount")).to_be_visible()
    assert barriers(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
