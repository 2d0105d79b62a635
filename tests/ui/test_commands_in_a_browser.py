"""Everything by keyboard, in a real Chromium over the real server: commands, saved views, filters of every kind."""

from __future__ import annotations

import re

import pytest
from page_rig import Pages, Server, event, now
from playwright.sync_api import Locator, Page, Route, expect
from test_page_in_a_browser import PHONE, SCHEMES, Scheme, barriers, exact

pytestmark = pytest.mark.browser


def commands(page: Page) -> Locator:
    """The palette, opened by its keys. The names of the pages stand there before any script listens to keys; once a
    panel has its answer, all of the page does."""
    expect(page.locator('main [aria-busy="false"]').first).to_be_visible()
    page.keyboard.press("Control+k")
    field = page.get_by_role("combobox", name="What to do")
    expect(field).to_be_focused()
    return field


def test_a_page_and_a_time_are_reached_by_a_few_letters(page: Page) -> None:
    expect(page.get_by_role("navigation", name="Pages")).to_be_visible()
    commands(page).fill("lim")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("page=limits"))
    commands(page).fill("show 7 days")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("range=7d"))
    commands(page).fill("nothing is called this")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_keys_that_are_pressed_before_the_page_listens_are_heard(pages: Pages, server: Server) -> None:
    page = pages.open(server)
    held: list[Route] = []
    page.route("**/assets/index-*.js", lambda route: held.append(route))
    page.goto(server.url, wait_until="commit")
    expect(page.get_by_role("heading", name="taximeter")).to_be_visible()
    page.keyboard.press("Control+k")
    for script in held:
        script.continue_()
    expect(page.get_by_role("combobox", name="What to do")).to_be_focused()


def test_a_view_is_saved_by_name_found_again_and_forgotten(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/?page=users&range=7d&team=support")
    expect(page.get_by_role("navigation", name="Pages")).to_be_visible()
    commands(page).fill("my team")
    expect(page.get_by_role("option")).to_have_text("Save this view as my team")
    page.keyboard.press("Enter")
    page.goto(server.url)
    expect(page.get_by_role("navigation", name="Pages")).to_be_visible()
    commands(page).fill("view my team")
    expect(page.get_by_role("option").first).to_have_text("View my team")
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{server.url}/?page=users&range=7d&team=support")
    commands(page).fill("forget my team")
    page.keyboard.press("Enter")
    commands(page).fill("view my team")
    expect(page.get_by_role("option")).to_have_text("Save this view as view my team")


def test_several_values_and_what_is_not_wanted_are_filters_of_the_api_too(page: Page, server: Server) -> None:
    server.post(*(event(now(), team="choosing", user_id=f"choice-{name}") for name in "abc"))
    page.goto(f"{server.url}/?page=calls&range=24h&team=choosing&user_id=choice-a&user_id=choice-b")
    expect(page.get_by_test_id("call-count")).to_have_text("2 in all")
    expect(page.get_by_role("button", name="Remove the filter User: choice-a or choice-b")).to_be_visible()
    page.goto(f"{server.url}/?range=24h&team=choosing&user_id!=choice-a")
    told = server.query("cost_usd", filters={"team": "choosing", "user_id": {"not": ["choice-a"]}}, **{"from": "24h"})[
        "totals"
    ]
    expect(page.get_by_test_id("range-total")).to_have_attribute("title", exact(told["cost_usd"]))

    page.get_by_role("button", name="Remove the filter User: not choice-a").press("Enter")
    page.get_by_role("button", name="Filter", exact=True).press("Enter")
    page.get_by_role("combobox", name="Only where").fill("User")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.get_by_role("radiogroup", name="Is it, or is it not").get_by_text("is not").click()
    value = page.locator("input").and_(page.get_by_label("any of", exact=True))
    for name in ("choice-b", "choice-c"):
        value.fill(name)
        value.press("Enter")
    page.get_by_role("button", name="Add the filter").press("Enter")
    expect(page.get_by_role("button", name="Remove the filter User: neither choice-b nor choice-c")).to_be_visible()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_everybody_can_command(pages: Pages, server: Server, scheme: Scheme) -> None:
    page = pages.open(server, color_scheme=scheme, reduced_motion="reduce", viewport=PHONE)
    page.get_by_role("button", name="Commands").click()
    expect(page.get_by_role("option").first).to_be_visible()
    assert barriers(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
