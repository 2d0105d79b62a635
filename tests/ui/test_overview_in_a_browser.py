"""What Overview tells beside the chart: hours of the week, the month with its forecast, and the fullest limit."""

from __future__ import annotations

import re
from decimal import Decimal

import httpx
import pytest
from page_rig import PATIENCE_SECONDS, Pages, Server, ago, event, now
from playwright.sync_api import Locator, Page, expect
from test_page_in_a_browser import PHONE, SCHEMES, Scheme, barriers, exact, panel

pytestmark = pytest.mark.browser

HEAT = "When, last 30 days"
DESKTOP = {"width": 1440, "height": 1000}
GOOD_SHIFT = 0.1
"""What Lighthouse still calls good."""
WATCH_SHIFTS = """
    window.shifted = [];
    const placed = ({node, previousRect, currentRect}) => [node?.className, previousRect.y, currentRect.y];
    new PerformanceObserver((list) => {
        for (const {value, sources} of list.getEntries()) shifted.push({value, sources: sources.map(placed)});
    }).observe({type: 'layout-shift', buffered: true});
"""


def amounts(cells: Locator) -> list[Decimal]:
    found: list[str] = cells.evaluate_all("cells => cells.map(cell => cell.dataset.amount).filter(Boolean)")
    return [Decimal(amount) for amount in found]


def ready(page: Page, title: str) -> Locator:
    shown = panel(page, title)
    expect(shown).to_have_attribute("aria-busy", "false")
    return shown


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kolkata"])
def test_the_hours_of_the_week_add_up_to_the_total_of_the_api(page: Page, server: Server, zone: str) -> None:
    page.goto(f"{server.url}/?tz={zone}&user_id=grace")
    shown = ready(page, HEAT)
    today = page.evaluate("zone => new Intl.DateTimeFormat('en-CA', {timeZone: zone}).format(new Date())", zone)
    since = page.evaluate("day => new Date(Date.parse(day) - 29 * 86400000).toISOString().slice(0, 10)", today)
    told = server.query("cost_usd", "calls", filters={"user_id": "grace"}, timezone=zone, **{"from": since})["totals"]
    total = page.get_by_test_id("heat-total")
    expect(total).to_have_attribute("title", exact(told["cost_usd"]))
    assert sum(amounts(shown.locator("td.slot"))) == Decimal(told["cost_usd"])
    shown.get_by_role("radiogroup", name="Shade by").get_by_text("Calls").click()
    expect(total).to_have_attribute("title", f"{told['calls']}")
    assert sum(amounts(shown.locator("td.slot"))) == told["calls"]


def test_an_hour_of_the_week_is_read_as_a_cell_of_a_table(page: Page, server: Server) -> None:
    server.post(event(now(), feature="one-hour", started_at=ago(now(), days=2)))
    page.goto(f"{server.url}/?feature=one-hour&tz=UTC&range=7d")
    table = ready(page, "When, last 7 days").get_by_role("table", name="Cost by weekday and hour")
    (cell,) = table.locator("td[data-amount]").all()
    expect(cell).to_have_text("$0.0075")
    expect(cell).to_have_attribute("title", re.compile(r"^\w{3} \d\d:00 – \d\d:00: \$0.0075$"))


def test_the_month_is_drawn_with_what_it_may_come_to(page: Page) -> None:
    expect(page.get_by_test_id("tile-month-end")).to_be_visible()  # its answer is not taken for that of the next page
    with page.expect_response("**/api/v1/forecast") as answered:
        page.reload()
    told = answered.value.json()
    shown = ready(page, "This month")
    expect(page.get_by_test_id("month-spent")).to_have_attribute("title", exact(told["spent_usd"]))
    expect(shown.get_by_role("img")).to_have_accessible_name(re.compile("expected by its end, between .+ and"))
    expect(shown.locator("canvas")).to_be_visible()


def test_a_month_without_calls_says_so(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/?feature=never-called")
    expect(panel(page, "This month")).to_contain_text("No calls this month yet.")
    expect(panel(page, HEAT)).to_contain_text("No calls in the last 30 days match the filters.")


def test_panels_that_fail_say_why_and_can_be_asked_again(pages: Pages, server: Server) -> None:
    pages.allowed += ("503",)
    page = pages.open(server)
    problem = {"error": {"code": "store_unavailable", "message": "the disk is full", "hint": None}}
    page.route("**/api/v1/{query,limits}", lambda route: route.fulfill(status=503, json=problem))
    page.goto(f"{server.url}/?range=7d")
    for title in ("This month", "When, last 7 days"):
        expect(panel(page, title).get_by_role("alert")).to_contain_text("The disk is full.")
    expect(panel(page, "Limits")).to_contain_text("could not load")
    page.unroute_all()
    panel(page, "This month").get_by_role("button", name="Try again").click()
    expect(page.get_by_test_id("month-spent")).to_be_visible()


def test_the_fullest_limit_is_told_and_leads_to_the_limits(page: Page, server: Server) -> None:
    answer = httpx.post(
        f"{server.url}/openai/v1/chat/completions",
        json={"model": "gpt-4o", "max_tokens": 10, "messages": [{"role": "user", "content": "hi"}]},
        headers={"authorization": f"Bearer {server.key('gateway')}", "x-taximeter-feature": "of-the-file"},
        timeout=PATIENCE_SECONDS,
    )
    assert answer.status_code == 200
    expect(page.get_by_test_id("tile-limits")).to_have_text("14%")
    panel(page, "Limits").get_by_role("link", name="of-the-file").click()
    expect(page).to_have_url(f"{server.url}/?page=limits")


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_what_stands_there_stays_where_it_is_while_the_rest_comes(
    pages: Pages, server: Server, viewport: dict[str, int]
) -> None:
    page = pages.open(server, viewport=viewport)
    page.add_init_script(WATCH_SHIFTS)
    page.goto(server.url)
    expect(page.get_by_test_id("heat-total")).to_be_attached()
    expect(page.locator("tr[data-call]").first).to_be_attached()
    expect(page.locator("[aria-busy=true]")).to_have_count(0)
    assert page.evaluate("shifted.reduce((sum, { value }) => sum + value, 0)") < GOOD_SHIFT, page.evaluate("shifted")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_everybody_can_read_it(pages: Pages, server: Server, scheme: Scheme) -> None:
    page = pages.open(server, color_scheme=scheme, reduced_motion="reduce", viewport=PHONE)
    ready(page, HEAT)
    ready(page, "This month")
    assert barriers(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
