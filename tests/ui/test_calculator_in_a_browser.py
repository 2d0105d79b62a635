"""The calculator in a real Chromium, over the real server: the page, the API and the command line say the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from page_rig import PATIENCE_SECONDS, Pages, Server, event, now
from playwright.sync_api import Locator, Page, expect
from test_page_in_a_browser import PHONE, SCHEMES, Scheme, barriers, exact, panel

pytestmark = pytest.mark.browser

ILLUSTRATIVE = Path(__file__).resolve().parents[2] / "examples" / "prices-illustrative.yaml"
SPANS = ("per_call_usd", "per_day_usd", "per_month_usd", "per_year_usd")
EXAMPLE = {"model": "gpt-4o", "input_tokens": 1000, "output_tokens": 500, "calls_per_day": 100_000}


def calculator(page: Page, server: Server, more: str = "") -> Locator:
    page.goto(f"{server.url}/?page=calculator{more}")
    shown = page.get_by_test_id("what-if")
    expect(shown).to_be_visible()
    return shown


def from_the_api(server: Server, path: str, **wish: Any) -> dict[str, Any]:
    answer = httpx.post(
        f"{server.url}/api/v1/{path}",
        json=wish,
        headers={"authorization": f"Bearer {server.key('read')}"},
        timeout=PATIENCE_SECONDS,
    )
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def from_the_command_line(server: Server, **wish: Any) -> dict[str, Any]:
    options = [word for name, value in wish.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    told: dict[str, Any] = json.loads(server.command("calc", *options, "--format", "json"))
    return told


def costs(told: dict[str, Any]) -> list[str]:
    return [exact(told["models"][0]["cost"][span]) for span in SPANS]


def test_the_worked_example_and_its_doubled_output_are_the_same_everywhere(page: Page, server: Server) -> None:
    shown = calculator(page, server)
    page.locator("input[type=file]").set_input_files(ILLUSTRATIVE)
    page.get_by_label("Output tokens times").fill("2")
    rows = shown.locator("tbody tr")
    expect(rows.nth(1).locator("td").nth(0)).to_have_attribute("title", "$1250")
    expect(rows.nth(1).locator("td").nth(1)).to_have_attribute("title", "$2000")
    expect(rows.nth(2).locator("td").nth(0)).to_have_attribute("title", "$37500")
    expect(rows.nth(2).locator("td").nth(1)).to_have_attribute("title", "$60000")
    expect(rows.nth(2).locator("td").nth(2)).to_have_attribute("title", "$22500")
    on_the_page = [[row.locator("td").nth(column).get_attribute("title") for row in rows.all()] for column in (0, 1)]
    doubled = {**EXAMPLE, "output_tokens": 1000}
    text = ILLUSTRATIVE.read_text()
    assert [
        costs(from_the_api(server, "calculator", prices=text, **wish)) for wish in (EXAMPLE, doubled)
    ] == on_the_page
    told = [from_the_command_line(server, prices=ILLUSTRATIVE, **wish) for wish in (EXAMPLE, doubled)]
    assert [costs(one) for one in told] == on_the_page


def test_growth_and_another_model_are_those_of_the_api(page: Page, server: Server) -> None:
    shown = calculator(page, server)
    page.get_by_label("Calls grow by").fill("50")
    page.get_by_label("Another model").fill("gpt-4o-mini")
    told = from_the_api(server, "calculator", **{**EXAMPLE, "model": "gpt-4o-mini", "calls_per_day": 150_000})
    expect(shown.locator("th").nth(1)).to_have_text("gpt-4o-mini, then")
    for row, amount in zip(shown.locator("tbody tr").all(), costs(told), strict=True):
        expect(row.locator("td").nth(1)).to_have_attribute("title", amount)


def test_two_models_are_compared_on_ones_own_calls(page: Page, server: Server) -> None:
    server.post(*(event(now(), feature="compared", cache_read_tokens=200) for _ in range(4)))
    calculator(page, server, "&range=24h&feature=compared")
    own = panel(page, "My own calls")
    field = own.locator("input").first
    for model in ("gpt-4o-mini", "claude-sonnet-4-5"):
        field.fill(model)
        field.press("Enter")
    own.get_by_role("button", name="Price them again").click()
    rows = own.get_by_test_id("own-calls").locator("tbody tr")
    expect(rows).to_have_count(2)
    for row, model in zip(rows.all(), ("gpt-4o-mini", "claude-sonnet-4-5"), strict=True):
        told = from_the_api(server, "what-if", model=model, filters={"feature": "compared"}, **{"from": "24h"})
        assert told["compared"]["calls"] == 4
        for cell, name in enumerate(("actual_cost_usd", "what_if_cost_usd", "difference_usd"), start=1):
            expect(row.locator("td").nth(cell)).to_have_attribute("title", exact(told["compared"][name]))
    recorded = server.query("cost_usd", filters={"feature": "compared"}, **{"from": "24h"})["totals"]["cost_usd"]
    expect(rows.first.locator("td").nth(1)).to_have_attribute("title", exact(recorded))


def test_a_workload_is_taken_from_ones_own_calls(page: Page, server: Server) -> None:
    server.post(*(event(now(), feature="taken", input_tokens=n, cache_read_tokens=n // 2) for n in (300, 500)))
    calculator(page, server, "&range=24h&feature=taken")
    page.get_by_role("button", name="As my calls of the last 24 hours").click()
    expect(page.get_by_label("Input tokens a call")).to_have_value("400")
    expect(page.get_by_label("Output tokens a call")).to_have_value("500")
    expect(page.get_by_label("Calls a day")).to_have_value("2")
    expect(page.get_by_text("Input from caches: 50%")).to_be_visible()


def test_a_model_that_nobody_knows_is_told(pages: Pages, server: Server) -> None:
    pages.allowed += ("422", "404")
    page = pages.open(server)
    calculator(page, server)
    page.get_by_label("Another model").fill("gpt-4oo")
    expect(panel(page, "What if").get_by_role("alert")).to_contain_text("gpt-4oo")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_everybody_can_calculate(pages: Pages, server: Server, scheme: Scheme) -> None:
    page = pages.open(server, color_scheme=scheme, reduced_motion="reduce", viewport=PHONE)
    calculator(page, server)
    assert barriers(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
