"""Prices, keys and health in a real Chromium, over the real server."""

from __future__ import annotations

import httpx
import pytest
from page_rig import Pages, Server, event, now
from playwright.sync_api import Locator, Page, expect
from test_page_in_a_browser import PHONE, SCHEMES, Scheme, barriers, exact, panel

from taximeter.server.page import BUILT

pytestmark = pytest.mark.browser

PANELS = {"prices": "What a model costs", "keys": "Keys", "health": "Jobs"}


def open_page(page: Page, server: Server, name: str) -> Locator:
    page.goto(f"{server.url}/?page={name}")
    shown = panel(page, PANELS[name])
    expect(shown).to_have_attribute("aria-busy", "false")
    return shown


def status_with(server: Server, key: str) -> int:
    return httpx.get(f"{server.url}/api/v1/me", headers={"authorization": f"Bearer {key}"}, timeout=60).status_code


def test_a_part_of_a_page_that_the_server_has_no_more_says_so_and_the_new_page_has_it(
    pages: Pages, server: Server
) -> None:
    """The server was upgraded while a page was open: its files have other names by now."""
    pages.allowed = (*pages.allowed, "/assets/Explore", "newer page")
    page = pages.open(server)
    expect(page.get_by_test_id("range-total")).to_be_visible()
    page.route("**/assets/Explore*", lambda route: route.fulfill(status=404, body="{}"))
    upgraded = (BUILT / "index.html").read_text().replace("/assets/index-", "/assets/newer-")
    page.route(server.url + "/", lambda route: route.fulfill(body=upgraded))
    page.get_by_role("navigation", name="Pages").get_by_role("link", name="Explore").click()
    expect(page.get_by_role("alert")).to_contain_text("was upgraded")
    expect(page.get_by_role("navigation", name="Pages")).to_be_visible()
    assert barriers(page) == []
    page.unroute_all()
    page.get_by_role("button", name="Load the page again").click()
    expect(page.get_by_test_id("groups-total")).to_be_visible()
    assert "page=explore" in page.url


def test_a_part_of_a_page_that_breaks_leaves_the_others(pages: Pages, server: Server) -> None:
    pages.allowed = (*pages.allowed, "it is broken")
    page = pages.open(server)
    broken = "export default () => { throw new Error('it is broken'); };"
    page.route("**/assets/Keys*", lambda route: route.fulfill(body=broken, content_type="text/javascript"))
    names = page.get_by_role("navigation", name="Pages")
    names.get_by_role("link", name="Keys").click()
    expect(page.get_by_role("alert")).to_contain_text("This part of the page failed: it is broken")
    names.get_by_role("link", name="Overview").click()
    expect(page.get_by_test_id("range-total")).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)


def test_a_key_is_made_shown_once_and_revoked_at_once(page: Page, server: Server) -> None:
    keys = open_page(page, server, "keys")
    page.get_by_role("textbox", name="Name").fill("from the page")
    page.get_by_role("textbox", name="Bound attributes").fill("team=core")
    page.get_by_role("button", name="Make the key").press("Enter")
    secret = page.get_by_test_id("secret").inner_text().strip()
    assert status_with(server, secret) == 200
    row = keys.locator("tr", has_text="from the page")
    expect(row).to_contain_text("team=core")
    expect(row).not_to_contain_text(secret)
    page.reload()
    expect(row).to_be_visible()
    expect(page.get_by_text(secret)).to_have_count(0)
    page.get_by_role("button", name="Revoke from the page", exact=True).click()
    page.get_by_role("button", name="Revoke from the page for good").click()
    expect(row).to_contain_text("revoked")
    assert status_with(server, secret) == 401


def test_attributes_that_cannot_be_read_make_no_key(page: Page, server: Server) -> None:
    keys = open_page(page, server, "keys")
    rows = keys.locator("tbody tr").count()
    page.get_by_role("textbox", name="Name").fill("wrong")
    page.get_by_role("textbox", name="Bound attributes").fill("core")
    page.get_by_role("button", name="Make the key").click()
    expect(page.get_by_text("Write them as team=core")).to_be_visible()
    assert keys.locator("tbody tr").count() == rows


def test_the_rates_of_a_model_are_those_of_the_api(page: Page, server: Server) -> None:
    shown = open_page(page, server, "prices")
    shown.get_by_role("textbox", name="Model").fill("claude-haiku-4-5")
    told = httpx.get(
        f"{server.url}/api/v1/prices",
        params={"model": "claude-haiku-4-5"},
        headers={"authorization": f"Bearer {server.key('read')}"},
        timeout=60,
    ).json()["prices"]
    for price in told:
        section = page.get_by_label(f"Prices of claude-haiku-4-5 at {price['provider']}", exact=True)
        expect(section.locator("tbody tr")).to_have_count(len(price["rates"]))
        for rate, row in zip(price["rates"], section.locator("tbody tr").all(), strict=True):
            expect(row.locator("td").last).to_contain_text(exact(rate["usd"]))


def test_calls_without_a_price_are_listed_with_the_reason(page: Page, server: Server) -> None:
    server.post(event(now(), request_model="acme-listed-1b", feature="unlisted"))
    open_page(page, server, "prices")
    row = page.get_by_test_id("unpriced").locator("tr", has_text="acme-listed-1b")
    expect(row).to_contain_text("The price book does not know this model.")
    row.get_by_role("link").click()
    expect(page.get_by_test_id("call-count")).to_have_text("1 in all")


def test_a_dry_run_of_re_pricing_tells_the_difference_and_leaves_its_trail(page: Page, server: Server) -> None:
    server.post(event(now(), feature="priced-again"))
    page.goto(f"{server.url}/?page=prices&range=24h&feature=priced-again")
    page.get_by_role("textbox", name="Why").fill("only looking")
    page.get_by_role("button", name="Dry run").click()
    run = page.get_by_label("Dry run, done", exact=True).filter(has_text="only looking")
    expect(run).to_contain_text("1 call looked at, 0 would change")
    expect(run.get_by_test_id("difference")).to_have_attribute("title", "$0")
    expect(page.get_by_role("button", name="Price again")).to_be_disabled()


def test_a_call_names_its_price_entries(page: Page, server: Server) -> None:
    call = event(now(), feature="explained")
    server.post(call)
    page.goto(f"{server.url}/?call={call['event_id']}")
    sheet = page.get_by_role("dialog")
    sheet.get_by_text("Price entries, as of today").click()
    entries = sheet.get_by_label("Price entries", exact=True)
    expect(entries).to_contain_text("1,000 × $2.5")
    expect(entries).to_contain_text("genai-prices:openai/gpt-4o")
    sheet.get_by_role("link", name="Why did such calls change?").click()
    expect(page).to_have_url(f"{server.url}/?page=why&feature=explained")


def test_health_says_that_all_is_well_and_what_is_done(page: Page, server: Server) -> None:
    jobs = open_page(page, server, "health")
    expect(page.get_by_test_id("standing")).to_have_text("All is well.")
    expect(jobs.locator("tbody tr", has_text="roll-ups")).to_be_visible()


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", PANELS)
def test_everybody_can_use_it(pages: Pages, server: Server, scheme: Scheme, name: str) -> None:
    page = pages.open(server, color_scheme=scheme, reduced_motion="reduce", viewport=PHONE)
    open_page(page, server, name)
    assert barriers(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
