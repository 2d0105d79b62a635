"""Users, teams, features and models in a real Chromium, over the real server: all of them, and one in full."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest
from page_rig import Pages, Server, event, now
from playwright.sync_api import expect
from test_page_in_a_browser import PHONE, SCHEMES, Scheme, barriers, exact, panel

pytestmark = pytest.mark.browser


def test_who_spends_most_is_found_and_opened_down_to_the_calls(pages: Pages, server: Server) -> None:
    server.post(*(event(now(), user_id="big spender", feature="entity", team="core") for _ in range(3)))
    told = server.query("cost_usd", filters={"user_id": "big spender"}, **{"from": "24h"})["totals"]["cost_usd"]
    page = pages.open(server)
    page.goto(f"{server.url}/?page=users&range=24h")
    row = page.get_by_test_id("entities").locator("tr", has_text="big spender")
    expect(row.locator("td").nth(2)).to_have_attribute("title", exact(told))
    # All of it was spent in the last hour: the line lies at the bottom, and ends at the top.
    line = row.get_by_role("img", name="Cost of big spender over time").locator("path")
    heights = [float(point.split()[1]) for point in (line.get_attribute("d") or "")[1:].split(" L")]
    assert len(heights) in (24, 25)
    assert (max(heights), min(heights)) == (16.5, 1.5)
    assert sum(height < 16.5 for height in heights) <= 2
    expect(row.locator("td").last).to_have_text(re.compile(r"\d"))  # the latency comes in after the sums
    row.get_by_role("link", name="big spender").click()
    expect(page).to_have_url(f"{server.url}/?page=users&range=24h&of=big+spender")
    expect(page.get_by_test_id("entity-cost")).to_have_attribute("title", exact(told))
    expect(page.get_by_test_id("range-total")).to_have_attribute("title", exact(told))
    features = panel(page, "By feature").locator("tbody tr")
    expect(features).to_have_count(1)
    expect(features.locator("td").nth(1)).to_have_attribute("title", exact(told))
    expect(panel(page, "Last calls").locator("tr[data-call]")).to_have_count(3)
    assert Decimal(told) == 3 * Decimal("0.0075")
    page.get_by_role("button", name="Calls", exact=True).press("Enter")
    expect(page.get_by_test_id("call-count")).to_have_text("3 in all")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_everybody_can_use_it(pages: Pages, server: Server, scheme: Scheme) -> None:
    page = pages.open(server, color_scheme=scheme, reduced_motion="reduce", viewport=PHONE)
    for address in ("page=features&range=7d", "page=models&range=7d&of=gpt-4o"):
        page.goto(f"{server.url}/?{address}")
        expect(page.locator("tbody tr").first).to_be_visible()
        expect(page.locator("[aria-busy=true]")).to_have_count(0)
        assert barriers(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
