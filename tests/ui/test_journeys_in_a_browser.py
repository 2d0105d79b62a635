"""What people come to the page for, from the first click to the answer, in a real Chromium over the real server."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import openai
import pytest
from page_rig import PATIENCE_SECONDS, Pages, Server, ago, event, now
from playwright.sync_api import Locator, Page, expect
from test_page_in_a_browser import PHONE, exact, panel, title_of

from taximeter.simulator.running import RunningSimulator
from taximeter.simulator.settings import Settings

pytestmark = pytest.mark.browser

MOST_TABS = 80
"""Nothing on a page lies further away than this by keyboard."""


@pytest.fixture
def empty_server(tmp_path: Path) -> Iterator[Server]:
    """An installation that has not seen a call, in front of a provider."""
    with RunningSimulator(Settings()) as simulator:
        running = Server(tmp_path, simulator.openai_url)
        running.start()
        try:
            yield running
        finally:
            running.stop()


def client(server: Server, key: str, base_url: str | None = None) -> openai.OpenAI:
    return openai.OpenAI(base_url=base_url or f"{server.url}/openai/v1", api_key=key, timeout=PATIENCE_SECONDS)


def say_hello(through: openai.OpenAI, **headers: str) -> Any:
    """One call; its raw answer."""
    return through.chat.completions.with_raw_response.create(
        model="gpt-4o-mini",
        max_tokens=20,
        messages=[{"role": "user", "content": "Hello"}],
        extra_headers={f"x-taximeter-{name}": value for name, value in headers.items()},
    )


def visit(page: Page, name: str) -> None:
    page.get_by_role("navigation", name="Pages").get_by_role("link", name=name).click()


def settled(page: Page, title: str) -> Locator:
    shown = panel(page, title)
    expect(shown).to_have_attribute("aria-busy", "false")
    return shown


def test_from_the_first_start_to_the_first_number(empty_server: Server, pages: Pages) -> None:
    page = pages.blank()
    page.goto(empty_server.sign_in_link())
    expect(page.get_by_role("heading", name="Waiting for the first call")).to_be_visible()
    page.get_by_role("button", name="make one now").click()
    snippet = page.get_by_label("Snippet")
    expect(snippet).to_contain_text(re.compile(r'api_key="tm_gateway_\w{20,}"'))
    address, key = re.findall(r'(?:base_url|api_key)="([^"]+)"', snippet.inner_text())
    answer = say_hello(client(empty_server, key, address), feature="hello", user="me")
    cost = exact(answer.headers["x-taximeter-cost-usd"])
    for shown in ("tile-today", "range-total"):
        expect(page.get_by_test_id(shown)).to_have_attribute("title", cost)
    expect(panel(page, "Top features")).to_contain_text("hello")


def test_who_caused_the_rise_is_found_and_the_calls_are_opened(page: Page, server: Server) -> None:
    team = {"team": "rising"}
    usual = [event(now(), **team, user_id="steady", started_at=ago(now(), hours=h)) for h in (5, 29)]
    more = [event(now(), **team, user_id="loop", feature="bulk", started_at=ago(now(), hours=6)) for _ in range(4)]
    server.post(*usual, *more)
    page.goto(f"{server.url}/?team=rising&range=24h")
    visit(page, "Why")
    settled(page, "Why spend changed, last 24 hours")
    whole = server.query("cost_usd", filters={**team, "user_id": "loop"}, **{"from": "24h"})["totals"]["cost_usd"]
    expect(page.get_by_test_id("change")).to_have_attribute("title", exact(whole))
    row = panel(page, "Who is behind it").locator("tbody tr", has_text="loop")
    expect(row.locator("td").nth(3)).to_have_attribute("title", exact(whole))
    row.get_by_role("link", name="loop").click()
    expect(page).to_have_url(re.compile("page=calls.*user_id=loop"))
    expect(page.get_by_test_id("call-count")).to_have_text("4 in all")
    expect(page.get_by_test_id("calls-cost")).to_have_attribute("title", exact(whole))
    listed = settled(page, "Calls, last 24 hours").locator("tr[data-call]")
    amounts = [Decimal(title_of(one.locator("td").last).removeprefix("$")) for one in listed.all()]
    assert sum(amounts) == Decimal(whole)
    listed.first.click()
    expect(page.get_by_role("dialog").get_by_test_id("sheet-cost")).to_have_text(exact("0.0075"))


def test_a_limit_set_on_the_page_refuses_a_real_call_and_the_refusal_is_seen(page: Page, server: Server) -> None:
    visit(page, "Limits")
    page.get_by_role("button", name="New limit").click()
    page.get_by_role("textbox", name="Name").fill("journey")
    page.get_by_role("textbox", name="Amount").fill("0.0000001")
    only = page.locator("input").and_(page.get_by_label("Only calls with", exact=True))
    only.fill("feature=journey")
    only.press("Enter")
    page.get_by_role("button", name="Set the limit").click()
    expect(panel(page, "Limits").get_by_label("Limit journey", exact=True)).to_be_visible()
    with pytest.raises(openai.RateLimitError, match="journey"):
        say_hello(client(server, server.key("gateway")), feature="journey")
    page.goto(f"{server.url}/?page=calls&feature=journey")
    expect(page.get_by_test_id("call-count")).to_have_text("1 in all")
    expect(panel(page, "Calls, last hour").locator("tr[data-call]")).to_contain_text("refused")


def test_what_is_seen_is_exported_with_the_numbers_of_the_api(page: Page, server: Server) -> None:
    server.post(*(event(now(), team="exporting", user_id=name, input_tokens=n) for n, name in enumerate("abc", 7)))
    page.goto(f"{server.url}/?team=exporting")
    visit(page, "Explore")
    by = page.get_by_role("combobox", name="By", exact=True)
    by.click()
    page.get_by_role("option", name="User", exact=True).click()
    expect(page.get_by_test_id("groups").locator("tbody tr")).to_have_count(3)
    page.get_by_role("button", name="Export", exact=True).click()
    with page.expect_download() as started:
        page.get_by_role("menuitem", name="CSV of what is shown").click()
    rows = list(csv.DictReader(io.StringIO(Path(started.value.path()).read_text(), newline="")))
    told = server.query("cost_usd", "calls", group_by=["user_id"], filters={"team": "exporting"}, **{"from": "2h"})
    exported = {row["user_id"]: (row["cost_usd"], int(row["calls"])) for row in rows}
    assert exported == {row["user_id"]: (row["cost_usd"], row["calls"]) for row in told["rows"]}
    total = told["totals"]["cost_usd"]
    assert sum(Decimal(cost) for cost, _ in exported.values()) == Decimal(total)
    expect(page.get_by_test_id("groups-total")).to_have_attribute("title", exact(total))


# -- without a mouse -------------------------------------------------------------------------------------------


def command(page: Page, words: str) -> None:
    page.keyboard.press("Control+k")
    expect(page.get_by_role("combobox", name="What to do")).to_be_focused()
    page.keyboard.type(words)
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_have_count(0)


def tab_to(page: Page, target: Locator) -> None:
    """Press Tab until it has the focus: a reader's way there."""
    expect(target).to_be_visible()
    for _ in range(MOST_TABS):
        page.keyboard.press("Tab")
        if target.evaluate("element => element === document.activeElement"):
            return
    raise AssertionError(f"{target} is not within {MOST_TABS} presses of Tab")


def test_a_whole_session_needs_no_mouse(page: Page, server: Server) -> None:
    call = event(now(), feature="typed", user_id="typist", started_at=ago(now(), hours=2))
    server.post(call, event(now(), feature="typed", user_id="other", started_at=ago(now(), hours=2)))
    expect(page.get_by_test_id("range-total")).to_be_visible()
    command(page, "show 24 hours")
    tab_to(page, page.get_by_role("button", name="Filter", exact=True))
    page.keyboard.press("Enter")
    field = page.get_by_role("combobox", name="Only where")
    expect(field).to_be_visible()
    field.focus()
    page.keyboard.type("Feature")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    tab_to(page, page.locator("input").and_(page.get_by_label("one of", exact=True)))
    page.keyboard.type("typed")
    page.keyboard.press("Enter")
    tab_to(page, page.get_by_role("button", name="Add the filter"))
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{server.url}/?range=24h&feature=typed")
    command(page, "users")
    tab_to(page, page.get_by_test_id("entities").get_by_role("link", name="typist"))
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("entity-cost")).to_have_attribute("title", "$0.0075")
    tab_to(page, page.get_by_role("button", name="Calls", exact=True))
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("call-count")).to_have_text("1 in all")
    tab_to(page, page.locator(f'tr[data-call="{call["event_id"]}"] button').first)
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog").get_by_test_id("sheet-cost")).to_have_text("$0.0075")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


# -- on a phone ------------------------------------------------------------------------------------------------

PHONE_PAGES = {"Overview": "Top users", "Explore": "Groups", "Why": "Who is behind it", "Limits": "Limits"}


def test_a_phone_is_enough_to_see_who_spends_and_to_open_the_call(pages: Pages, server: Server) -> None:
    call = event(now(), user_id="on-the-phone", team="phone")
    server.post(call)
    page = pages.open(server, viewport=PHONE, has_touch=True)
    for name, title in PHONE_PAGES.items():
        page.get_by_role("navigation", name="Pages").get_by_role("link", name=name).tap()
        settled(page, title)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], name
    page.goto(f"{server.url}/?team=phone")
    panel(page, "Top users").get_by_role("button", name="on-the-phone").tap()
    expect(page).to_have_url(f"{server.url}/?user_id=on-the-phone&team=phone")
    page.locator(f'tr[data-call="{call["event_id"]}"]').tap()
    sheet = page.get_by_role("dialog")
    expect(sheet.get_by_test_id("sheet-cost")).to_have_text("$0.0075")
    assert sheet.evaluate("element => element.scrollWidth") <= PHONE["width"]
