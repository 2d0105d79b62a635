"""The page in a real Chromium, over the real server: what it shows is what the API says."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest
from page_rig import LONG_NAME, ZONE, Pages, Server, event, eventually, now, sample
from playwright.sync_api import Locator, Page, expect
from playwright.sync_api import TimeoutError as NoAnswerError

pytestmark = pytest.mark.browser

TABLES = {"Top users": "user_id", "Top features": "feature", "Top models": "model"}
AXE = Path(__file__).resolve().parents[2] / "ui" / "node_modules" / "axe-core" / "axe.min.js"
Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")
PHONE = {"width": 390, "height": 844}


def panel(page: Page, title: str) -> Locator:
    return page.locator(f'section[aria-label="{title}"]')


def barriers(page: Page) -> list[tuple[str, list[str]]]:
    """What keeps people from using the page, as axe finds it: the rule and the elements."""
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run({resultTypes: ['violations']})")["violations"]
    return [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found]


def title_of(locator: Locator) -> str:
    return locator.get_attribute("title") or ""


def exact(amount: str | None) -> str:
    """How an exact amount stands in a title."""
    return "not priced" if amount is None else f"${amount}".replace("$-", "−$")


ROWS_IN_JAVASCRIPT = """rows => rows.map(row => {
    const cells = row.querySelectorAll("td");
    return [cells[0].querySelector(".cut").textContent, cells[1].title, cells[2].title];
})"""


def table_shown(page: Page, title: str) -> list[list[str]]:
    """Name, exact cost and calls of each row of a top table; nothing while it is another view's."""
    rows: list[list[str]] = panel(page, title).locator("tbody tr").evaluate_all(ROWS_IN_JAVASCRIPT)
    return rows


def table_expected(server: Server, dimension: str, since: str, **filters: str) -> list[list[str]]:
    answer = server.query(
        "cost_usd",
        "calls",
        group_by=[dimension],
        filters=filters,
        order_by="-cost_usd",
        limit=7,
        **{"from": since},
    )
    return [
        ["all others" if row.get("other") else row[dimension] or "(not set)", exact(row["cost_usd"]), f"{row['calls']}"]
        for row in answer["rows"]
    ]


def assert_shown(page: Page, server: Server, since: str, **filters: str) -> None:
    """The three tables and the chart's total are the API's answers, to the last digit."""
    told = {title: table_expected(server, dimension, since, **filters) for title, dimension in TABLES.items()}
    shown = eventually(lambda: {title: table_shown(page, title) for title in TABLES}, lambda tables: tables == told)
    assert shown == told
    total = exact(server.query("cost_usd", filters=filters, **{"from": since})["totals"]["cost_usd"])
    expect(page.get_by_test_id("range-total")).to_have_attribute("title", total)


def status(page: Page) -> Locator:
    return page.get_by_role("status").first


# -- numbers ---------------------------------------------------------------------------------------------------


def test_a_sign_in_link_leads_to_the_page(pages: Pages, server: Server) -> None:
    page = pages.blank()
    page.goto(server.sign_in_link())
    expect(page.get_by_role("heading", name="taximeter")).to_be_visible()
    expect(status(page)).to_have_text("live")


def test_the_tiles_are_the_answers_of_the_api_to_the_last_digit(page: Page, server: Server) -> None:
    today = page.evaluate("zone => new Intl.DateTimeFormat('en-CA', {timeZone: zone}).format(new Date())", ZONE)
    for tile, since in {"tile-today": today, "tile-month-to-date": f"{today[:8]}01"}.items():
        spent = server.query("cost_usd", **{"from": since})["totals"]["cost_usd"]
        expect(page.get_by_test_id(tile)).to_have_attribute("title", exact(spent))
    tokens = server.query("total_tokens", **{"from": today})["totals"]["total_tokens"]
    expect(page.get_by_test_id("tile-tokens-today")).to_have_attribute("title", f"{tokens:,}")


def test_the_end_of_the_month_is_told_with_its_band(page: Page, server: Server) -> None:
    expect(page.get_by_test_id("tile-month-end")).to_be_visible()  # its answer is not taken for that of the next page
    with page.expect_response("**/api/v1/forecast") as answered:
        page.reload()
    told = answered.value.json()
    assert told["learnt_days"] >= 3
    expect(page.get_by_test_id("tile-month-end")).to_have_attribute("title", exact(told["forecast_usd"]))
    expect(page.get_by_test_id("month-end-band")).to_contain_text(" to ")


def test_now_is_the_spend_of_five_minutes_as_an_exact_hourly_rate(page: Page, server: Server) -> None:
    server.post(event(now()))

    def shown_and_told() -> tuple[str, str]:
        told = server.query("cost_usd", **{"from": "5m"})["totals"]["cost_usd"]
        return title_of(page.get_by_test_id("tile-now")), f"${(Decimal(told) * 12).normalize():f}"

    shown, told = eventually(shown_and_told, lambda both: both[0] == both[1])
    assert shown == told


@pytest.mark.parametrize(("name", "since"), [("1h", "61m"), ("7d", "7d")])
def test_the_tables_are_the_answers_of_the_api(page: Page, server: Server, name: str, since: str) -> None:
    page.get_by_role("radiogroup", name="Time range").get_by_text(name, exact=True).click()
    assert_shown(page, server, since)


def test_the_rows_of_every_table_add_up_to_the_total(page: Page) -> None:
    total = Decimal(title_of(page.get_by_test_id("range-total")).removeprefix("$"))
    for title in TABLES:
        expect(panel(page, title).locator("tbody tr").first).to_be_visible()
        amounts = [cost for _, cost, _ in table_shown(page, title) if cost != "not priced"]
        assert sum(Decimal(amount.removeprefix("$")) for amount in amounts) == total


def test_the_command_line_says_the_same_as_the_page(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/?range=30d")
    expect(page.get_by_test_id("range-total")).to_be_visible()
    said = json.loads(server.command("report", "--by", "user", "--since", "30d", "--tz", ZONE, "--format", "json"))
    expect(page.get_by_test_id("range-total")).to_have_attribute("title", exact(said["totals"]["cost_usd"]))


def test_a_call_without_a_price_is_shown_as_such_and_never_as_nothing(page: Page) -> None:
    row = panel(page, "Top models").locator("tr", has_text="acme-house-7b")
    expect(row).to_contain_text("2 unpriced")
    expect(row).not_to_contain_text("$")
    expect(panel(page, "Today")).to_contain_text("not priced")
    call = panel(page, "Last calls").locator("tr", has_text="acme-house-7b").first
    expect(call).to_contain_text("not priced")
    expect(call).not_to_contain_text("$")


def test_a_total_of_nothing_but_unpriced_calls_is_unknown(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/?feature=translate")
    expect(page.get_by_test_id("range-total")).to_have_attribute("title", "not priced")
    expect(page.get_by_test_id("range-total")).to_have_text("–")
    expect(page.get_by_test_id("tile-month-to-date")).to_have_attribute("title", "not priced")
    expect(page.get_by_role("button", name="translate not priced")).to_be_visible()
    expect(panel(page, "Spend by feature, last hour")).not_to_contain_text("$")


def test_how_complete_the_numbers_are_is_said_and_explained(page: Page, server: Server) -> None:
    coverage = server.query("calls", **{"from": "61m"})["coverage"]
    said = page.get_by_test_id("coverage")
    expect(said).to_contain_text(f"{coverage['unpriced_calls']} not priced")
    expect(said).to_contain_text(f"{coverage['estimated_calls']} estimated")
    said.click()
    expect(page.get_by_text("real spend is higher")).to_be_visible()
    page.get_by_role("dialog").get_by_role("button", name="acme-house-7b").click()
    expect(page).to_have_url(re.compile(r"model=acme-house-7b"))


# -- live ------------------------------------------------------------------------------------------------------


def test_a_new_event_shows_up_by_itself(page: Page, server: Server) -> None:
    page.evaluate("window.wasNotReloaded = true")
    new = event(now(), feature="brand-new", user_id="newcomer")
    server.post(new)
    row = page.locator(f'tr[data-call="{new["event_id"]}"]')
    expect(row).to_contain_text("brand-new")
    expect(row.locator("td").last).to_have_attribute("title", "$0.0075")
    assert_shown(page, server, "61m")
    assert page.evaluate("window.wasNotReloaded")


def test_a_call_through_the_gateway_shows_up_by_itself(page: Page, server: Server) -> None:
    answer = httpx.post(
        f"{server.url}/openai/v1/chat/completions",
        json={"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]},
        headers={"authorization": f"Bearer {server.key('gateway')}", "x-taximeter-feature": "through-the-gateway"},
    )
    assert answer.status_code == 200
    row = page.locator(f'tr[data-call="{answer.headers["x-taximeter-event-id"]}"]')
    expect(row).to_contain_text("through-the-gateway")
    expect(row.locator("td").last).to_have_attribute("title", exact(answer.headers["x-taximeter-cost-usd"]))


def test_the_list_of_calls_stands_still_while_somebody_points_at_it(page: Page, server: Server) -> None:
    calls = panel(page, "Last calls")
    calls.locator("tbody tr").nth(2).hover()
    new = event(now(), started_at=now().isoformat())
    server.post(new)
    expect(calls).to_contain_text("1 new")
    expect(page.locator(f'tr[data-call="{new["event_id"]}"]')).to_have_count(0)
    page.mouse.move(5, 5)
    expect(page.locator(f'tr[data-call="{new["event_id"]}"]')).to_be_visible()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    running = Server(tmp_path)
    running.start()
    yield running
    running.stop()


def test_a_lost_server_is_said_and_found_again(own_server: Server, pages: Pages) -> None:
    pages.allowed += ("ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_EMPTY_RESPONSE", "503")
    own_server.post(*sample(now()))
    page = pages.open(own_server)
    expect(status(page)).to_have_text("live")
    shown = title_of(page.get_by_test_id("range-total"))
    own_server.stop()
    expect(status(page)).to_have_text("connection lost")
    assert title_of(page.get_by_test_id("range-total")) == shown, "what was known stays on the screen"
    own_server.start()
    expect(status(page)).to_have_text("live", timeout=30_000)
    own_server.post(event(now(), feature="after-the-fall"))
    expect(panel(page, "Top features")).to_contain_text("after-the-fall")


# -- the view --------------------------------------------------------------------------------------------------


def test_range_and_grouping_are_in_the_url_and_survive_a_reload_and_the_back_button(page: Page, server: Server) -> None:
    page.get_by_role("radiogroup", name="Time range").get_by_text("7d", exact=True).click()
    expect(page).to_have_url(f"{server.url}/?range=7d")
    page.get_by_role("combobox", name="Group by").click()
    page.get_by_role("option", name="by team").click()
    expect(page).to_have_url(f"{server.url}/?range=7d&by=team")
    expect(panel(page, "Spend by team, last 7 days")).to_be_visible()
    page.reload()
    expect(panel(page, "Spend by team, last 7 days")).to_be_visible()
    page.go_back()
    expect(panel(page, "Spend by feature, last 7 days")).to_be_visible()
    page.go_back()
    expect(panel(page, "Spend by feature, last hour")).to_be_visible()


def test_what_may_be_chosen_is_in_the_document_while_it_is_asked_for(page: Page) -> None:
    zone = page.get_by_label("Time zone in which days begin").and_(page.locator("input"))
    expect(zone).to_be_visible()
    expect(page.locator('[role="option"]')).to_have_count(0)
    zone.click()
    expect(page.get_by_role("option", name="UTC", exact=True)).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator('[role="option"]')).to_have_count(0)


def test_days_begin_in_the_chosen_zone(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/?range=30d")
    zone = page.get_by_role("combobox", name="Time zone in which days begin")
    expect(zone).to_have_value(ZONE)
    zone.click()
    zone.fill("Pacific/Auck")
    page.get_by_role("option", name="Pacific/Auckland").click()
    expect(page).to_have_url(f"{server.url}/?range=30d&tz=Pacific%2FAuckland")
    expect(panel(page, "Today")).to_contain_text("since 00:00 Auckland")


def test_a_row_narrows_the_whole_page_and_a_chip_widens_it_again(page: Page, server: Server) -> None:
    panel(page, "Top users").get_by_role("button", name="grace").click()
    expect(page).to_have_url(f"{server.url}/?user_id=grace")
    assert_shown(page, server, "61m", user_id="grace")
    panel(page, "Top features").locator("tr", has_text="coding-agent").click()
    expect(page).to_have_url(f"{server.url}/?feature=coding-agent&user_id=grace")
    assert_shown(page, server, "61m", user_id="grace", feature="coding-agent")
    expect(panel(page, "Last calls").locator("tbody tr")).to_have_count(1)
    page.get_by_role("button", name="Remove the filter User: grace").click()
    page.get_by_role("button", name="Remove the filter Feature: coding-agent").click()
    expect(page).to_have_url(f"{server.url}/")
    assert_shown(page, server, "61m")


def test_a_view_without_calls_says_so_and_how_to_see_more(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/?feature=archive")
    expect(page.get_by_text("No calls in the last hour match the filters.")).to_be_visible()
    page.get_by_role("button", name="Look at 30 days").click()
    assert_shown(page, server, "30d", feature="archive")


def test_a_legend_narrows_too(page: Page, server: Server) -> None:
    page.get_by_title("Show only coding-agent").first.click()
    expect(page).to_have_url(f"{server.url}/?feature=coding-agent")


# -- one call --------------------------------------------------------------------------------------------------


def amounts_in(sheet: Locator) -> list[str]:
    cells = sheet.get_by_test_id("cost-lines").locator("tbody tr td:last-child")
    expect(cells).to_have_count(5)
    return [text.removeprefix("$") for text in cells.all_inner_texts()]


def cached_call(server: Server) -> dict[str, Any]:
    return next(call for call in server.events(feature="coding-agent") if call.get("cache_read_tokens"))


def test_a_call_opens_with_its_cost_sheet(page: Page, server: Server) -> None:
    call = cached_call(server)
    page.locator(f'tr[data-call="{call["event_id"]}"]').click()
    sheet = page.get_by_role("dialog")
    expect(sheet.get_by_test_id("sheet-cost")).to_have_text(exact(call["cost_usd"]))
    parts = [call["cost"][name] for name in ("input", "cache_read", "cache_write", "output", "other")]
    assert amounts_in(sheet) == parts
    assert sum(map(Decimal, parts)) == Decimal(call["cost_usd"])
    for text in (call["price_rule"], call["price_version"], call["event_id"], "support"):
        expect(sheet).to_contain_text(text)
    expect(page).to_have_url(f"{server.url}/?call={call['event_id']}")
    page.reload()
    expect(sheet.get_by_test_id("sheet-cost")).to_have_text(exact(call["cost_usd"]))
    page.keyboard.press("Escape")
    expect(sheet).to_be_hidden()
    expect(page).to_have_url(f"{server.url}/")


def test_the_sheet_of_an_unpriced_call_says_why(page: Page, server: Server) -> None:
    call = server.events(request_model="acme-house-7b")[0]
    page.goto(f"{server.url}/?call={call['event_id']}")
    sheet = page.get_by_role("dialog")
    expect(sheet).to_contain_text("The price book does not know this model.")
    expect(sheet).not_to_contain_text("$")


def test_a_sheet_narrows_the_page_to_whom_the_call_was_for(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/?call={cached_call(server)['event_id']}")
    page.get_by_role("dialog").get_by_title("Show only support").click()
    expect(page).to_have_url(f"{server.url}/?team=support")


def test_a_call_that_is_not_there_is_said_to_be_not_there(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/?call=01900000-0000-7000-8000-000000000000")
    expect(page.get_by_role("dialog")).to_contain_text("There is no call with this id.")


# -- the chart -------------------------------------------------------------------------------------------------


def test_the_chart_tells_the_values_under_the_pointer_and_by_keyboard(page: Page) -> None:
    chart = page.get_by_role("img", name="Cost per minute")
    expect(chart.locator("canvas")).to_be_visible()
    chart.hover()
    expect(page.get_by_test_id("chart-values")).to_be_visible()
    page.mouse.move(5, 5)
    expect(page.get_by_test_id("chart-values")).to_be_hidden()
    chart.focus()
    page.keyboard.press("ArrowLeft")
    values = page.get_by_test_id("chart-values")
    expect(values).to_be_visible()
    for _ in range(60):  # its calls are as many minutes old as the tests before took
        if "coding-agent" in values.inner_text():
            break
        page.keyboard.press("ArrowLeft")
    expect(values).to_contain_text("coding-agent")


# -- people ----------------------------------------------------------------------------------------------------


def test_without_a_session_there_is_a_hint_how_to_sign_in(pages: Pages, server: Server) -> None:
    pages.allowed += ("401",)
    page = pages.blank()
    page.goto(server.url)
    expect(page.get_by_text("taximeter keys signin")).to_be_visible()


def test_a_session_that_ends_leads_to_the_hint(pages: Pages, server: Server) -> None:
    pages.allowed += ("401",)
    page = pages.open(server)
    expect(page.get_by_test_id("range-total")).to_be_visible()
    week = page.get_by_role("radiogroup", name="Time range").get_by_text("7d", exact=True)
    sign_in = page.get_by_role("heading", name="Sign in to taximeter")
    page.context.clear_cookies()
    with contextlib.suppress(NoAnswerError):  # the live numbers may have asked before
        week.click(timeout=2_000)
    expect(sign_in).to_be_visible()
    expect(page.get_by_text("taximeter keys signin")).to_be_visible()


def test_an_empty_installation_shows_the_first_step_until_the_first_call(own_server: Server, pages: Pages) -> None:
    page = pages.open(own_server)
    snippet = page.get_by_label("Snippet")
    expect(snippet).to_contain_text(f'base_url="{own_server.url}/openai/v1"')
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        assert barriers(page) == []
    page.get_by_role("tab", name="Any event").click()
    page.get_by_role("button", name="make one now").click()
    expect(snippet).to_contain_text(re.compile(r"Bearer tm_ingest_\w{20,}"))
    key = re.search(r"tm_ingest_\w+", snippet.inner_text())
    assert key is not None
    sent = httpx.post(f"{own_server.url}/v1/events", json=event(now()), headers={"authorization": f"Bearer {key[0]}"})
    assert sent.json()["accepted"] == 1
    expect(page.get_by_test_id("range-total")).to_have_attribute("title", "$0.0075")


def test_a_failure_is_told_with_its_reason_and_can_be_tried_again(pages: Pages, server: Server) -> None:
    pages.allowed += ("503",)
    page = pages.open(server)
    problem = {"error": {"code": "store_unavailable", "message": "the disk is full", "hint": "free some space"}}
    page.route("**/api/v1/query", lambda route: route.fulfill(status=503, json=problem))
    page.goto(f"{server.url}/?range=7d")
    failed = panel(page, "Top users")
    expect(failed.get_by_role("alert")).to_contain_text("The disk is full. Free some space.")
    expect(panel(page, "Today")).to_contain_text("could not load")
    page.unroute_all()
    failed.get_by_role("button", name="Try again").click()
    expect(failed.locator("tbody")).to_contain_text("ada")


def test_what_is_still_loading_is_said_to_be_busy(page: Page, server: Server) -> None:
    page.route("**/api/v1/query", lambda _route: None)
    page.goto(f"{server.url}/?range=7d")
    users = panel(page, "Top users")
    expect(users).to_have_attribute("aria-busy", "true")
    assert barriers(page) == []
    page.unroute_all()  # lets go what is held, too
    expect(users).to_have_attribute("aria-busy", "false")
    expect(users.locator("tbody")).to_contain_text("ada")


@pytest.mark.parametrize("address", ["/", "/?range=30d&by=user_id&feature=smart-reply&team=support"])
def test_a_phone_shows_everything_without_scrolling_sideways(pages: Pages, server: Server, address: str) -> None:
    page = pages.open(server, viewport=PHONE)
    page.goto(server.url + address)
    expect(panel(page, "Last calls").locator("tbody tr").first).to_be_visible()
    expect(page.get_by_test_id("coverage")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    panel(page, "Last calls").locator("tbody tr").first.click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert page.evaluate("document.querySelector('[role=dialog]').scrollWidth") <= PHONE["width"]


def test_names_that_are_too_long_are_cut_and_told_in_full(page: Page) -> None:
    name = panel(page, "Top features").get_by_text(LONG_NAME)
    width, needed = name.evaluate("element => [element.clientWidth, element.scrollWidth]")
    assert width < needed
    expect(name).to_have_attribute("title", f"Show only {LONG_NAME}")


def test_it_is_dark_where_the_system_is_and_can_be_switched(pages: Pages, server: Server) -> None:
    page = pages.open(server, color_scheme="dark")
    darkness = "Math.max(...getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g).slice(0, 3).map(Number))"
    expect(page.get_by_test_id("range-total")).to_be_visible()
    assert page.evaluate(darkness) < 60
    page.get_by_role("button", name="Switch to light colours").click()
    expect(page.get_by_role("button", name="Switch to dark colours")).to_be_visible()
    assert page.evaluate(darkness) > 200


def test_a_call_is_opened_by_keyboard_alone(page: Page) -> None:
    expect(panel(page, "Last calls").locator("tbody tr").first).to_be_visible()
    for _ in range(100):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.closest('tr[data-call]') !== null"):
            break
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_contain_text("For whom")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_everybody_can_use_it(pages: Pages, server: Server, scheme: Scheme) -> None:
    page = pages.open(server, color_scheme=scheme, reduced_motion="reduce")
    for address in ("/", "/?user_id=grace&range=7d", f"/?call={cached_call(server)['event_id']}"):
        page.goto(server.url + address)
        expect(page.get_by_test_id("coverage")).to_be_visible()
        expect(page.get_by_role("dialog")).to_have_count(1 if "call=" in address else 0)
        assert barriers(page) == []
