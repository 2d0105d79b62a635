"""Explore and the list of calls in a real Chromium, over the real server: what they show, and hand on, is the API's."""

from __future__ import annotations

import csv
import io
import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from page_rig import ZONE, Pages, Server, event, eventually, now
from playwright.sync_api import Page, expect
from test_page_in_a_browser import PHONE, SCHEMES, Scheme, barriers, exact, panel

pytestmark = pytest.mark.browser

CHARTS = ("stacked", "lines", "bars", "table")
ROWS_IN_JAVASCRIPT = """rows => rows.map(row => {
    const cells = [...row.querySelectorAll("td")];
    return [cells[0].textContent, cells[1].title];
})"""


def groups_shown(page: Page) -> list[list[str]]:
    """Name and exact amount of each group in the table."""
    rows: list[list[str]] = page.get_by_test_id("groups").locator("tbody tr").evaluate_all(ROWS_IN_JAVASCRIPT)
    return rows


def groups_told(answer: dict[str, Any], dimension: str, measure: str) -> list[list[str]]:
    return [
        [
            "all others" if row.get("other") else row[dimension] or "(not set)",
            exact(row[measure]) if "cost" in measure else f"{row[measure]}",
        ]
        for row in answer["rows"]
    ]


def explore(server: Server, address: str) -> str:
    return f"{server.url}/?page=explore&{address}"


def settled(page: Page) -> None:
    expect(page.get_by_test_id("groups")).to_be_visible()
    expect(page.locator("[aria-busy=true]")).to_have_count(0)


@pytest.mark.parametrize("zone", [ZONE, "America/New_York", "Asia/Kathmandu"])
@pytest.mark.parametrize(("by", "measure"), [("model", "cost_usd"), ("user_id", "total_tokens")])
def test_page_api_and_command_line_say_the_same(page: Page, server: Server, by: str, measure: str, zone: str) -> None:
    page.goto(explore(server, f"range=90d&by={by}&measure={measure}&top=5&tz={zone}"))
    settled(page)
    since = page.evaluate(
        "zone => new Intl.DateTimeFormat('en-CA', {timeZone: zone}).format(Date.now() - 89 * 86400000)", zone
    )
    question: dict[str, Any] = {"group_by": [by], "order_by": f"-{measure}", "limit": 5, "timezone": zone}
    told = server.query(measure, **question, **{"from": since})
    expected = groups_told(told, by, measure)
    assert eventually(lambda: groups_shown(page), lambda shown: shown == expected) == expected
    total = page.get_by_test_id("groups-total")
    whole = exact(told["totals"][measure]) if measure == "cost_usd" else f"{told['totals'][measure]}"
    expect(total).to_have_attribute("title", whole)
    known = [row[measure] for row in told["rows"] if row[measure] is not None]
    assert sum(map(Decimal, known)) == Decimal(told["totals"][measure])
    options = ("--by", by, "--measures", measure, "--since", since, "--tz", zone, "--format", "json")
    assert json.loads(server.command("report", *options))["totals"][measure] == told["totals"][measure]


def test_calls_are_grouped_by_any_tag_and_by_two_dimensions(page: Page, server: Server) -> None:
    server.post(
        event(now(), feature="tagged", tags={"lane": "left"}),
        event(now(), feature="tagged", tags={"lane": "right"}, request_model="gpt-4o-mini"),
        event(now(), feature="tagged"),
    )
    page.goto(explore(server, "range=30d&feature=tagged&by=tags.lane&then=model&measure=calls"))
    settled(page)
    rows = page.get_by_test_id("groups").locator("tbody tr")
    expect(rows).to_have_count(3)
    for cells in (("left", "gpt-4o"), ("right", "gpt-4o-mini"), ("(not set)", "gpt-4o")):
        row = rows.filter(has_text=cells[0])
        expect(row.locator("td").nth(0)).to_have_text(cells[0])
        expect(row.locator("td").nth(1)).to_have_text(cells[1])


def test_what_is_explored_is_in_the_url_and_survives_a_reload(page: Page, server: Server) -> None:
    page.goto(explore(server, "range=30d"))
    settled(page)
    page.get_by_role("combobox", name="Measure").click()
    page.get_by_role("option", name="Latency, p95").click()
    page.get_by_role("combobox", name="By", exact=True).click()
    page.get_by_role("option", name="Model", exact=True).click()
    page.get_by_role("combobox", name="Interval").click()
    page.get_by_role("option", name="week").click()
    page.get_by_role("switch", name="compare with the time before").click()
    address = f"{server.url}/?page=explore&range=30d&by=model&measure=latency_ms_p95&interval=week&compare=1"
    expect(page).to_have_url(address)
    page.reload()
    settled(page)
    expect(panel(page, "Latency, p95 by model, last 30 days")).to_be_visible()
    expect(page.get_by_test_id("groups").get_by_role("columnheader", name="Before")).to_be_visible()
    expect(page.get_by_role("img", name="Latency, p95 per week")).to_be_visible()


def exported(page: Page, item: str) -> Path:
    page.get_by_role("button", name="Export", exact=True).click()
    with page.expect_download() as started:
        page.get_by_role("menuitem", name=item).click()
    return Path(started.value.path())


def test_what_is_exported_is_what_the_api_says(page: Page, server: Server) -> None:
    page.goto(explore(server, "range=90d&user_id=grace&by=feature"))
    settled(page)
    measures = ["cost_usd", "calls", "unpriced_calls"]
    told = server.query(
        *measures, group_by=["feature"], filters={"user_id": "grace"}, order_by="-cost_usd", limit=10, **{"from": "89d"}
    )
    rows = list(csv.DictReader(io.StringIO(exported(page, "CSV of what is shown").read_text(), newline="")))
    assert [[row["feature"], *(row[name] for name in measures)] for row in rows] == [
        [row["feature"] or "", *("" if row[name] is None else str(row[name]) for name in measures)]
        for row in told["rows"]
    ]
    said = json.loads(exported(page, "JSON of what is shown").read_text())
    assert (said["rows"], said["totals"]) == (told["rows"], told["totals"])
    table = duckdb.read_parquet(str(exported(page, "Parquet of the groups"))).select("feature", *measures).fetchall()
    assert table == [
        (row["feature"], Decimal(row["cost_usd"]), row["calls"], row["unpriced_calls"]) for row in told["rows"]
    ]


@pytest.mark.parametrize(("measure", "by"), [("cost_usd", "tags.lane"), ("latency_ms_p95", "user_id")])
def test_the_copied_sql_answers_what_is_shown(pages: Pages, server: Server, measure: str, by: str) -> None:
    server.post(
        event(now(), feature="in sql", tags={"lane": "it's \\ left"}),
        event(now(), feature="in sql", tags={"lane": "right"}, user_id="sequel", request_model="gpt-4o-mini"),
        event(now(), feature="in sql"),
        event(now(), feature="in sql", tags={"lane": "free"}, request_model="acme-house-7b"),
    )
    page = pages.open(server, permissions=["clipboard-read", "clipboard-write"])
    page.goto(explore(server, f"range=30d&feature=in+sql&user_id!=nobody&by={by}&measure={measure}&top=5&compare=1"))
    settled(page)
    shown = [[name, amount] for name, amount in groups_shown(page)]
    page.get_by_role("button", name="Export", exact=True).click()
    page.get_by_role("menuitem", name="Copy as SQL").click()
    expect(page.get_by_role("status").filter(has_text="Copied")).to_be_visible()
    answer = server.sql(page.evaluate("navigator.clipboard.readText()"))
    names = [column["name"] for column in answer["columns"]]
    rows = [dict(zip(names, row, strict=True)) for row in answer["rows"]]
    told = server.query(measure, group_by=[by], filters={"feature": "in sql"}, order_by=f"-{measure}", limit=5)
    assert [row[by] for row in rows] == [row[by] for row in told["rows"]]
    if measure == "cost_usd":
        assert groups_told({"rows": rows}, by, measure) == shown
    else:
        assert [row[measure] for row in rows] == [pytest.approx(row[measure], rel=0.01) for row in told["rows"]]


def test_the_calls_of_a_view_are_exported_with_every_field(page: Page, server: Server) -> None:
    server.post(*(event(now(), user_id="filed", tags={"ticket": str(number)}) for number in range(60)))
    page.goto(f"{server.url}/?page=calls&range=24h&user_id=filed")
    expect(page.get_by_test_id("call-count")).to_have_text("60 in all")
    told = {call["event_id"]: call for call in server.events(user_id="filed", limit=100)}
    with exported(page, "CSV").open(newline="") as file:
        rows = {row["event_id"]: row for row in csv.DictReader(file)}
    assert {name: (row["cost_usd"], json.loads(row["tags"])) for name, row in rows.items()} == {
        name: (call["cost_usd"], call["tags"]) for name, call in told.items()
    }
    table = duckdb.read_parquet(str(exported(page, "Parquet"))).select("event_id", "cost_usd", "tags").fetchall()
    assert {name: (cost, tags) for name, cost, tags in table} == {
        name: (Decimal(call["cost_usd"]), call["tags"]) for name, call in told.items()
    }


def test_the_calls_behind_a_number_are_as_many_as_it_says(page: Page, server: Server) -> None:
    nameless = [event(now(), user_id="nameless", feature=name) for name in ("named", None, None)]
    server.post(*({name: value for name, value in one.items() if value is not None} for one in nameless))
    page.goto(explore(server, "range=30d&by=feature&measure=calls&chart=table&user_id=nameless"))
    settled(page)
    row = page.get_by_test_id("groups").locator("tbody tr", has_text="(not set)")
    calls = row.locator("td").last.inner_text()
    row.locator("td").last.get_by_role("link").click()
    expect(page).to_have_url(re.compile(r"page=calls.*feature=%28not\+set%29"))
    expect(page.get_by_test_id("call-count")).to_have_text(f"{calls} in all")
    expect(panel(page, "Calls, last 30 days").locator("tbody tr")).to_have_count(int(calls))


def test_a_filter_is_added_by_keyboard(page: Page, server: Server) -> None:
    page.goto(explore(server, "range=30d&chart=table"))
    settled(page)
    page.get_by_role("button", name="Filter", exact=True).press("Enter")
    page.get_by_role("combobox", name="Only where").fill("User")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    value = page.locator("input").and_(page.get_by_label("one of", exact=True))
    value.fill("linus")
    value.press("Enter")
    page.get_by_role("button", name="Add the filter").press("Enter")
    expect(page.get_by_role("button", name="Remove the filter User: linus")).to_be_visible()
    expect(page.get_by_test_id("groups").locator("tbody tr")).to_have_count(1)


def test_every_call_is_on_exactly_one_page_of_the_list(page: Page, server: Server) -> None:
    posted = [event(now(), feature="paged") for _ in range(55)]
    server.post(*posted[:30])
    server.post(*posted[30:])
    page.goto(f"{server.url}/?page=calls&range=30d&feature=paged")
    listed = panel(page, "Calls, last 30 days")
    rows = listed.locator("tr[data-call]")
    expect(rows).to_have_count(50)
    ids = "rows => rows.map(row => row.dataset.call)"
    first = rows.evaluate_all(ids)
    page.get_by_role("button", name="Older").click()
    expect(rows).to_have_count(5)
    expect(listed).to_contain_text("51 to 55")
    assert sorted(first + rows.evaluate_all(ids)) == sorted(one["event_id"] for one in posted)
    page.get_by_role("button", name="Newer").click()
    expect(rows).to_have_count(50)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_everybody_can_explore(pages: Pages, server: Server, scheme: Scheme) -> None:
    page = pages.open(server, color_scheme=scheme, reduced_motion="reduce")
    for chart in CHARTS:
        page.goto(explore(server, f"range=30d&compare=1&chart={chart}"))
        settled(page)
        assert barriers(page) == []
    page.goto(f"{server.url}/?page=calls&range=30d")
    expect(panel(page, "Calls, last 30 days").locator("tr[data-call]").first).to_be_visible()
    assert barriers(page) == []


def test_the_list_of_calls_has_the_columns_that_were_chosen_and_keeps_them(page: Page, server: Server) -> None:
    server.post(event(now(), feature="columned", team="core", endpoint="/reply"))
    page.goto(f"{server.url}/?page=calls&range=24h&feature=columned")
    page.get_by_role("button", name="Columns").click()
    for name in ("Team", "Endpoint"):
        page.get_by_role("checkbox", name=name).click()
    page.reload()
    table = panel(page, "Calls, last 24 hours").locator("table")
    expect(table.locator("th")).to_contain_text(["Model", "Team", "Endpoint", "Input"])
    expect(table.locator("tr[data-call]").first).to_contain_text("/reply")
    page.get_by_role("button", name="Columns").click()
    page.get_by_role("checkbox", name="Team").click()
    expect(table.get_by_role("columnheader", name="Team")).to_have_count(0)


@pytest.mark.parametrize("address", ["page=explore&range=30d&compare=1&then=model", "page=calls&range=30d"])
def test_a_phone_shows_it_without_scrolling_sideways(pages: Pages, server: Server, address: str) -> None:
    page = pages.open(server, viewport=PHONE)
    page.goto(f"{server.url}/?{address}")
    expect(page.locator("tbody tr").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
