"""Over days in which a zone's clocks change: every view's total is the sum of its rows, the API's and the command's."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from page_rig import SONNET, Pages, Server, event, eventually, now
from playwright.sync_api import Locator, Page, Route, expect
from test_page_in_a_browser import exact, panel, title_of

pytestmark = pytest.mark.browser

ZONES = {"berlin": "Europe/Berlin", "new-york": "America/New_York", "lord-howe": "Australia/Lord_Howe"}
"""Two change by an hour and on days of their own, one by half an hour and the other way round."""

STEP = timedelta(hours=2, minutes=30)
WHOSE: tuple[dict[str, Any], ...] = (
    {"user_id": "ada", "team": "core", "feature": "search"},
    {"user_id": "grace", "team": "core", "feature": "chat", **SONNET},
    {"user_id": None, "team": "research", "feature": "chat", "cache_read_tokens": 333},
    {"user_id": "grace", "team": None, "feature": None, "request_model": "acme-house-7b"},
)


def day_of_change(zone: str) -> date:
    """The last day before yesterday in which the zone's clocks were changed."""
    local = ZoneInfo(zone)
    day = now().astimezone(local).date() - timedelta(days=2)
    while offset(day, local) == offset(day + timedelta(days=1), local):
        day -= timedelta(days=1)
    return day


def offset(day: date, local: ZoneInfo) -> timedelta | None:
    return datetime(day.year, day.month, day.day, tzinfo=local).utcoffset()


def midnight(day: date, zone: str) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).astimezone(UTC)


def moments(first: datetime, last: datetime) -> Iterator[datetime]:
    """Through all of the days, and a second on either side of both of their ends."""
    at = first
    while at < last:
        yield at
        at += STEP
    for edge in (first, last):
        yield edge - timedelta(seconds=1)
        yield edge + timedelta(seconds=1)


def calls_around(name: str, first: datetime, last: datetime) -> list[dict[str, Any]]:
    history = []
    for number, at in enumerate(moments(first, last)):
        whose = WHOSE[number % len(WHOSE)]
        one = event(now(), environment=name, started_at=at.isoformat(), **whose, output_tokens=500 + 7 * number)
        history.append({field: value for field, value in one.items() if value is not None})
    return history


# -- what each view shows --------------------------------------------------------------------------------------


def dollars(cells: Locator) -> list[Decimal]:
    """The exact amounts in titles; what has no price is not among them."""
    expect(cells.first).to_be_visible()
    titles = cells.evaluate_all("cells => cells.map(cell => cell.title)")
    return [dollar(title) for title in titles if "$" in title]


def dollar(title: str) -> Decimal:
    return Decimal(title.replace("$", "").replace("\N{MINUS SIGN}", "-"))


def visit(page: Page, name: str) -> None:
    page.get_by_role("navigation", name="Pages").get_by_role("link", name=name, exact=True).click()
    expect(page.locator("[aria-busy=true]")).to_have_count(0)


def assert_list(page: Page, cells: Locator, total: Locator, cost: str) -> None:
    """Two views have the same total: it may be seen before the rows of the second are."""
    expect(total).to_have_attribute("title", exact(cost))
    assert eventually(lambda: sum(dollars(cells)), lambda seen: seen == Decimal(cost)) == Decimal(cost), page.url


@pytest.mark.parametrize("name", ZONES)
def test_every_view_agrees_with_the_api_and_the_command(pages: Pages, server: Server, name: str) -> None:
    zone = ZONES[name]
    day = day_of_change(zone)
    since, until = day - timedelta(days=1), day + timedelta(days=2)
    history = calls_around(name, midnight(since, zone), midnight(until, zone))
    server.post(*history)

    span = {"from": since.isoformat(), "to": until.isoformat(), "timezone": zone}
    told = server.query("cost_usd", "calls", filters={"environment": name}, **span)["totals"]
    assert told["calls"] == len(history) - 2, "what lies just outside of the days is not in them"
    days = ("--since", since.isoformat(), "--until", until.isoformat(), "--tz", zone)
    asked = ("--by", "user,team,feature,model", "--measures", "cost_usd,calls", "--where", f"environment={name}")
    said = json.loads(server.command("report", *days, *asked, "--format", "json"))
    assert said["totals"] == told
    assert sum(Decimal(row["cost_usd"] or 0) for row in said["rows"]) == Decimal(told["cost_usd"])

    page = pages.open(server)
    page.goto(f"{server.url}/?environment={name}&tz={zone}&by=model")
    page.get_by_role("button", name="Dates", exact=True).click()
    page.get_by_label("From", exact=True).fill(f"{since}T00:00")
    page.get_by_label("To", exact=True).fill(f"{until}T00:00")
    page.get_by_role("button", name="Show this time").click()
    cost = told["cost_usd"]
    for title in ("Top users", "Top features", "Top models"):
        cells = panel(page, title).locator("tbody td:nth-child(2)")
        assert_list(page, cells, page.get_by_test_id("range-total"), cost)

    visit(page, "Explore")
    total = page.get_by_test_id("groups-total")
    assert_list(page, page.get_by_test_id("groups").locator("tbody td:nth-child(2)"), total, cost)
    for view in ("Users", "Teams", "Features", "Models"):
        visit(page, view)
        expect(panel(page, f"{view}, {words(since, until)}")).to_be_visible()
        cells = page.get_by_test_id("entities").locator("tbody td:nth-child(3)")
        assert_list(page, cells, page.get_by_test_id("entities-total"), cost)

    visit(page, "Calls")
    expect(page.get_by_test_id("call-count")).to_have_text(f"{told['calls']} in all")
    assert_list(page, page.locator("tr[data-call] td:last-child"), page.get_by_test_id("calls-cost"), cost)

    visit(page, "Why")
    steps = page.get_by_role("list", name="What the change consists of").locator("li > .number")
    before, *changes, after = eventually(lambda: dollars(steps), lambda seen: adds_up(seen, Decimal(cost)))
    assert after == Decimal(cost)
    assert before + sum(changes) == after
    assert dollar(title_of(page.get_by_test_id("change"))) == after - before


@pytest.mark.parametrize("slow", [False, True], ids=["at once", "slowly"])
def test_rows_of_one_view_never_stay_in_the_next(pages: Pages, server: Server, slow: bool) -> None:
    environment = f"views-{slow}"
    server.post(*(event(now(), environment=environment, **{k: v for k, v in who.items() if v}) for who in WHOSE))
    since = (now() - timedelta(hours=3)).isoformat()
    cost = server.query("cost_usd", filters={"environment": environment}, **{"from": since})["totals"]["cost_usd"]

    page = pages.open(server)
    page.goto(f"{server.url}/?page=users&environment={environment}&range=24h")
    if slow:
        page.route("**/api/v1/query", answer_slowly)
    cells = page.get_by_test_id("entities").locator("tbody td:nth-child(3)")
    for view in ("Users", "Teams", "Features", "Models", "Features", "Teams", "Users"):
        visit(page, view)
        assert_list(page, cells, page.get_by_test_id("entities-total"), cost)


def answer_slowly(route: Route) -> None:
    time.sleep(0.3)
    route.continue_()


def adds_up(steps: list[Decimal], after: Decimal) -> bool:
    """Not yet, while the steps of the days before and of the chosen ones take turns."""
    return len(steps) > 1 and steps[-1] == after == sum(steps[:-1])


def words(since: date, until: date) -> str:
    first, last = since, until - timedelta(days=1)
    return f"{first.day} {first:%b} – {last.day} {last:%b}"
