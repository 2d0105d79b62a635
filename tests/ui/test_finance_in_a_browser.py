"""Chargeback and outcomes in a real Chromium, over the real server: as the API says, and what is missing in them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from page_rig import PATIENCE_SECONDS, Pages, Server, event, eventually, now
from playwright.sync_api import Page, expect
from test_calculator_in_a_browser import from_the_api
from test_page_in_a_browser import PHONE, SCHEMES, Scheme, barriers, exact, panel

pytestmark = pytest.mark.browser

CHARGEBACK = "Chargeback by team, last 7 days"
OUTCOMES = "Outcomes by team, last 7 days"


def opened(pages: Pages, server: Server, query: str = "", **context: Any) -> Page:
    page = pages.open(server, **context)
    page.goto(f"{server.url}/?page=finance&range=7d&by=team{query}")
    return page


def reached(server: Server, number: int, **more: str) -> None:
    """An outcome of the team `solving`, told by the front door; afterwards the store has it."""
    told = {
        "record": "outcome",
        "outcome_id": f"00000000-0000-7000-8000-{number:012}",
        "occurred_at": now().isoformat(),
        "name": "ticket_solved",
        "team": "solving",
        **more,
    }
    key = {"authorization": f"Bearer {server.key('ingest')}"}
    httpx.post(f"{server.url}/v1/events", json=[told], headers=key, timeout=PATIENCE_SECONDS).raise_for_status()
    assert eventually(lambda: count_of_outcomes(server) >= number, bool)


def count_of_outcomes(server: Server) -> int:
    key = {"authorization": f"Bearer {server.key('read')}"}
    asked = {"from": "7d", "group_by": "team"}
    answer = httpx.get(
        f"{server.url}/api/v1/questions/outcomes", params=asked, headers=key, timeout=PATIENCE_SECONDS
    ).json()
    return int(answer["totals"]["outcomes"])


def test_without_outcomes_it_says_how_to_tell_of_one(pages: Pages, server: Server) -> None:
    page = opened(pages, server, "&team=nobody")
    expect(panel(page, OUTCOMES).get_by_text("taximeter.outcome(")).to_be_visible()


def test_the_statement_is_that_of_the_api_and_says_what_has_no_price(pages: Pages, server: Server) -> None:
    page = opened(pages, server)
    with page.expect_response("**/api/v1/chargeback") as answered:
        page.reload()
    said = answered.value.json()
    expect(page.get_by_test_id("chargeback-amount_usd")).to_have_attribute("title", exact(said["totals"]["amount_usd"]))
    expect(page.get_by_test_id("chargeback-calls")).to_have_attribute("title", f"{said['totals']['calls']:,}")
    shown = panel(page, CHARGEBACK)
    expect(shown.locator("tbody tr")).to_have_count(len(said["rows"]))
    assert said["coverage"]["unpriced_calls"] > 0
    expect(shown.get_by_text("without a price: in no amount.")).to_be_visible()


def test_a_month_is_chosen_for_the_whole_page(pages: Pages, server: Server) -> None:
    page = opened(pages, server)
    page.get_by_role("button", name="this month").click()
    expect(page.get_by_role("button", name="this month")).to_have_attribute("aria-pressed", "true")
    assert "range=" in page.url
    assert "7d" not in page.url


def test_outcomes_stand_against_what_their_calls_cost(pages: Pages, server: Server) -> None:
    server.post(event(now(), team="solving"))  # exactly $0.0075
    reached(server, 1, value_usd="4.00")
    reached(server, 2)
    page = opened(pages, server, "&team=solving")
    figures = {"outcomes": "2", "value_usd": "$4", "cost_usd": "$0.0075", "cost_per_outcome_usd": "$0.00375"}
    for name, title in {**figures, "margin_usd": "$3.9925"}.items():
        expect(page.get_by_test_id(f"outcomes-{name}")).to_have_attribute("title", title)
    expect(panel(page, OUTCOMES).get_by_text("1 outcome without a value")).to_be_visible()
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save the outcomes as CSV").click()
    assert "solving,ticket_solved,2,4,0.0075,0.00375,3.9925" in saved.value.path().read_text()


def test_unless_the_view_says_by_whom_the_configuration_does(pages: Pages, server: Server) -> None:
    page = pages.open(server)
    page.goto(f"{server.url}/?page=finance&range=7d")
    expect(panel(page, CHARGEBACK)).to_be_visible()
    expect(panel(page, OUTCOMES)).to_be_visible()
    page.get_by_role("combobox", name="Group by").click()
    page.get_by_role("option", name="by feature", exact=True).click()
    expect(panel(page, "Chargeback by feature, last 7 days")).to_be_visible()
    assert "by=feature" in page.url


def test_a_bill_of_the_provider_is_compared_with_what_was_metered(pages: Pages, server: Server, tmp_path: Path) -> None:
    yesterday = (now() - timedelta(days=1)).replace(hour=12)
    server.post(event(now(), started_at=yesterday.isoformat()))
    bill = tmp_path / "costs.csv"
    day = yesterday.replace(hour=0, minute=0, second=0, microsecond=0)
    start, end = int(day.timestamp()), int((day + timedelta(days=1)).timestamp())
    bill.write_text(f"start_time,end_time,amount_value,amount_currency,line_item\n{start},{end},3.5,usd,gpt-4o\n")
    page = opened(pages, server)
    shown = panel(page, "A provider's bill")
    shown.get_by_role("combobox", name="Month").click()
    page.get_by_role("option", name=f"{yesterday:%B %Y}").click()
    page.locator("input[type=file]").set_input_files(bill)
    with page.expect_response("**/api/v1/reconcile") as answered:
        shown.get_by_role("button", name="Compare").click()
    told = answered.value.json()
    assert told["totals"]["billed_usd"] == "3.5"
    for name in ("billed_usd", "metered_usd", "difference_usd", "unexplained_usd"):
        expect(page.get_by_test_id(f"bill-{name}")).to_have_attribute("title", exact(told["totals"][name]))
    expect(shown.get_by_role("status")).to_contain_text("Differs by more than 1.0%.")
    expect(shown.get_by_text(told["reasons"][-1]["text"])).to_be_visible()

    whole = {"month": f"{yesterday:%Y-%m}", "provider": "openai", "billed_usd": "1"}
    metered = from_the_api(server, "reconcile", **whole)["totals"]["metered_usd"]
    shown.get_by_role("button", name="Without files").click()
    shown.get_by_label("or its amount, USD").fill(metered)
    shown.get_by_role("button", name="Compare").click()
    expect(shown.get_by_role("alert")).to_contain_text("One amount is one provider's bill")
    shown.get_by_label("Provider", exact=True).fill("openai")
    shown.get_by_role("button", name="Compare").click()
    expect(page.get_by_test_id("bill-difference_usd")).to_have_attribute("title", "$0")
    expect(shown.get_by_role("status")).to_contain_text("Agrees within 1.0%.")
    pages.allowed += ("/api/v1/reconcile",)


def test_what_fails_fails_alone_and_says_why(pages: Pages, server: Server) -> None:
    page = opened(pages, server)
    page.goto(f"{server.url}/?page=finance&range=7d&by=model")
    refused = panel(page, "Outcomes by model, last 7 days").get_by_role("alert")
    expect(refused).to_contain_text("Outcomes have no model.")
    expect(page.get_by_test_id("chargeback-amount_usd")).to_be_visible()
    pages.allowed += ("/api/v1/questions/outcomes",)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("form", [{}, {"viewport": PHONE}], ids=["desktop", "phone"])
def test_everybody_can_use_it(pages: Pages, server: Server, scheme: Scheme, form: dict[str, Any]) -> None:
    page = opened(pages, server, color_scheme=scheme, reduced_motion="reduce", **form)
    expect(page.get_by_test_id("chargeback-amount_usd")).to_be_visible()
    expect(panel(page, OUTCOMES)).to_have_attribute("aria-busy", "false")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert barriers(page) == []
