"""Looking around in the sample of an empty installation, in a real Chromium over the real server."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from page_rig import PATIENCE_SECONDS, Pages, Server, event, now
from playwright.sync_api import Locator, Page, expect
from test_journeys_in_a_browser import command
from test_page_in_a_browser import PHONE, barriers, panel

from taximeter.simulator.traffic.story import LOOPING_USER

pytestmark = pytest.mark.browser

IN_SAMPLE = [
    *("Overview", "Explore", "Calls", "Users", "Teams", "Features", "Models"),
    *("Why", "Finance", "Alerts", "Limits", "Calculator", "Prices"),
]


@pytest.fixture(scope="module")
def empty_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("sampled"))
    running.start()
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture
def page(pages: Pages, empty_server: Server) -> Page:
    return pages.open(empty_server)


def banner(page: Page) -> Locator:
    return page.get_by_role("region", name="Sample data")


def welcome(page: Page) -> Locator:
    return page.get_by_role("heading", name="Waiting for the first call")


def enter(page: Page) -> None:
    page.get_by_role("link", name="Look around in a sample").click()
    expect(banner(page)).to_be_visible()
    expect(page.get_by_test_id("range-total")).to_be_visible()


def settled(page: Page) -> None:
    """Once the panels have their answers. No panel failed."""
    expect(page.locator("main [aria-busy]").first).to_be_visible()
    expect(page.locator('main [aria-busy="true"]')).to_have_count(0)
    expect(page.locator("main").get_by_role("alert")).to_have_count(0)


def visit(page: Page, name: str) -> None:
    page.get_by_role("navigation", name="Pages").get_by_role("link", name=re.compile(f"^{name}")).click()
    expect(page).to_have_title(re.compile("taximeter"))


def test_from_the_empty_installation_through_the_sample_and_back(page: Page, empty_server: Server) -> None:
    expect(welcome(page)).to_be_visible()
    enter(page)
    links = page.get_by_role("navigation", name="Pages").get_by_role("link")
    assert [re.sub(r"\d+$", "", text) for text in links.all_inner_texts()] == IN_SAMPLE
    for name in IN_SAMPLE:
        visit(page, name)
        expect(banner(page)).to_contain_text("Sample data, not yours.")
        settled(page)

    visit(page, "Alerts")
    page.get_by_role("button", name="Change a-user-in-a-loop").click()
    page.get_by_role("button", name="When would it have fired?").click()
    fired = page.get_by_role("status", name="When it would have fired")
    expect(fired).to_contain_text("In the last 30 days it would have fired 1 time.")
    expect(page.get_by_role("button", name="Change the rule")).to_be_disabled()
    expect(page.get_by_role("button", name="Remove a-user-in-a-loop")).to_be_disabled()

    page.get_by_role("link", name="Leave the sample").click()
    expect(welcome(page)).to_be_visible()
    expect(banner(page)).to_have_count(0)
    assert empty_server.events() == []


def test_who_looped_yesterday_is_found_in_the_sample(page: Page) -> None:
    enter(page)
    page.goto(page.url.replace("range=30d", "page=why&range=24h"))
    page.get_by_role("link", name=LOOPING_USER).first.click()
    expect(page).to_have_url(re.compile("sample=1"))
    expect(page.get_by_test_id("call-count")).to_contain_text("in all")
    expect(banner(page)).to_be_visible()


def test_the_sample_is_shared_by_its_address_and_saved_by_its_mark(page: Page, empty_server: Server) -> None:
    page.goto(f"{empty_server.url}/?page=teams&range=7d&sample=1")
    expect(panel(page, "Teams, last 7 days")).to_contain_text("support")
    command(page, "saved of the sample")
    command(page, "leave the sample")
    expect(welcome(page)).to_be_visible()
    command(page, "view saved of the sample")
    expect(banner(page)).to_be_visible()
    expect(panel(page, "Teams, last 7 days")).to_contain_text("support")


def test_the_banner_is_read_on_a_phone_and_by_everybody(pages: Pages, empty_server: Server) -> None:
    page = pages.open(empty_server, viewport=PHONE)
    enter(page)
    settled(page)
    assert barriers(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_ones_own_calls_and_the_sample_stay_apart(pages: Pages, server: Server) -> None:
    page = pages.open(server)
    server.post(event(now(), feature="my-own"))
    page.goto(f"{server.url}/?page=features&range=24h&sample=1")
    shown = panel(page, "Features, last 24 hours")
    expect(shown).to_contain_text("summarise-ticket")
    expect(shown).not_to_contain_text("my-own")
    page.get_by_role("link", name="Leave the sample").click()
    expect(panel(page, "Top features")).to_contain_text("my-own", timeout=PATIENCE_SECONDS * 1000)
    expect(panel(page, "Top features")).not_to_contain_text("summarise-ticket")
