"""From when to when, in a real Chromium over the real server: by dates, by drag and by keyboard, kept in the URL."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import pytest
from page_rig import ZONE, Pages, Server, ago, event, eventually, now
from playwright.sync_api import Locator, Page, expect
from test_page_in_a_browser import PHONE, SCHEMES, Scheme, barriers, exact, panel

pytestmark = pytest.mark.browser


def midnight(days_ago: int, zone: str = ZONE) -> datetime:
    today = now().astimezone(ZoneInfo(zone)).replace(hour=0, minute=0, second=0, microsecond=0)
    return today - timedelta(days=days_ago)


def span_in(page: Page) -> dict[str, str]:
    """The time in the address, as a question to the API."""
    (span,) = parse_qs(urlsplit(page.url).query)["range"]
    start, end = span.split("/")
    return {"from": start, "to": end}


def cost_in(server: Server, feature: str, span: dict[str, str]) -> str:
    return exact(server.query("cost_usd", filters={"feature": feature}, **span)["totals"]["cost_usd"])


def shown(page: Page) -> Locator:
    return page.get_by_test_id("range-total")


def pick_dates(page: Page) -> None:
    page.get_by_role("button", name=re.compile("^Dates")).click()
    expect(page.get_by_label("From", exact=True)).to_be_visible()


def test_yesterday_begins_and_ends_at_midnight_in_the_chosen_zone(page: Page, server: Server) -> None:
    zone = "America/New_York"
    edges = [midnight(1, zone), midnight(0, zone) - timedelta(minutes=1)]
    outside = [midnight(1, zone) - timedelta(minutes=1), midnight(0, zone)]
    server.post(*(event(now(), feature="dated", started_at=at.isoformat()) for at in edges + outside if at < now()))
    page.goto(f"{server.url}/?feature=dated&tz={zone}")
    pick_dates(page)
    page.get_by_role("button", name="yesterday").click()
    expect(shown(page)).to_have_attribute("title", "$0.015")
    assert cost_in(server, "dated", span_in(page)) == "$0.015"
    page.reload()
    expect(shown(page)).to_have_attribute("title", "$0.015")
    page.get_by_role("navigation", name="Pages").get_by_role("link", name="Calls").click()
    expect(page.get_by_test_id("call-count")).to_have_text("2 in all")


def test_any_two_moments_are_chosen_by_keyboard_and_read_in_the_chosen_zone(page: Page, server: Server) -> None:
    zone = "Asia/Kathmandu"
    server.post(*(event(now(), feature="between", started_at=ago(now(), hours=h)) for h in (30, 50)))
    page.goto(f"{server.url}/?feature=between&tz={zone}")
    page.get_by_role("button", name="Dates", exact=True).press("Enter")
    for label, hours in {"From": 31, "To": 29}.items():
        at = now().astimezone(ZoneInfo(zone)) - timedelta(hours=hours)
        page.get_by_label(label, exact=True).fill(at.strftime("%Y-%m-%dT%H:%M"))
    page.keyboard.press("Enter")
    expect(shown(page)).to_have_attribute("title", "$0.0075")
    assert cost_in(server, "between", span_in(page)) == "$0.0075"
    page.go_back()
    expect(page).to_have_url(f"{server.url}/?feature=between&tz={zone}")


def test_a_time_that_ends_before_it_begins_is_not_shown(page: Page) -> None:
    pick_dates(page)
    page.get_by_label("To", exact=True).fill("2020-01-01T00:00")
    expect(page.get_by_label("To", exact=True)).to_have_accessible_description("It ends before it begins.")
    expect(page.get_by_role("button", name="Show this time")).to_be_disabled()


def test_a_drag_over_the_chart_shows_that_time_and_the_back_button_all_of_it(page: Page, server: Server) -> None:
    server.post(*(event(now(), feature="dragged", started_at=ago(now(), hours=h)) for h in (1, 20)))
    page.goto(f"{server.url}/?feature=dragged&range=24h")
    expect(shown(page)).to_have_attribute("title", "$0.015")
    over = page.get_by_role("img", name="Cost per hour").locator(".u-over")
    width, height = over.evaluate("element => [element.clientWidth, element.clientHeight]")
    over.hover(position={"x": width / 2, "y": height / 2})
    page.mouse.down()
    over.hover(position={"x": width - 2, "y": height / 2})
    page.mouse.up()
    expect(shown(page)).to_have_attribute("title", "$0.0075")
    assert cost_in(server, "dragged", span_in(page)) == "$0.0075"
    page.go_back()
    expect(page).to_have_url(f"{server.url}/?feature=dragged&range=24h")
    expect(shown(page)).to_have_attribute("title", "$0.015")


def test_a_finger_that_moves_sideways_over_the_chart_chooses_a_time(pages: Pages, server: Server) -> None:
    server.post(*(event(now(), feature="touched", started_at=ago(now(), hours=h)) for h in (1, 20)))
    page = pages.open(server, viewport=PHONE, has_touch=True, is_mobile=True)
    page.goto(f"{server.url}/?feature=touched&range=24h")
    expect(shown(page)).to_have_attribute("title", "$0.015")
    over = page.get_by_role("img", name="Cost per hour").locator(".u-over")
    over.scroll_into_view_if_needed()
    middle, end = finger(over, 0.5), finger(over, 0.99)
    touch = page.context.new_cdp_session(page)
    touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [middle]})
    for part in (0.6, 0.8, 0.99):
        touch.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [finger(over, part)]})
    expect(page.get_by_test_id("chart-values")).to_contain_text("Letting go shows")
    assert end["y"] == middle["y"]
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    expect(shown(page)).to_have_attribute("title", "$0.0075")
    assert cost_in(server, "touched", span_in(page)) == "$0.0075"


def test_a_finger_that_moves_up_over_the_chart_scrolls_the_page(pages: Pages, server: Server) -> None:
    page = pages.open(server, viewport=PHONE, has_touch=True, is_mobile=True)
    over = page.get_by_role("img", name="Cost per minute").locator(".u-over")
    over.scroll_into_view_if_needed()
    before = page.evaluate("scrollY")
    touch, start = page.context.new_cdp_session(page), finger(over, 0.5)
    touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [start]})
    for up in (20, 60, 120, 180):
        moved = {"x": start["x"] + 2, "y": start["y"] - up}
        touch.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [moved]})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    assert eventually(lambda: page.evaluate("scrollY"), lambda now_at: now_at > before + 100) > before + 100
    expect(page).to_have_url(f"{server.url}/")
    expect(over.locator(".u-select")).to_have_css("width", "0px")


def finger(over: Locator, part: float) -> dict[str, float]:
    """A point on the plot, so far from its left edge, in the window."""
    box = over.bounding_box()
    assert box is not None
    return {"x": round(box["x"] + box["width"] * part), "y": round(box["y"] + box["height"] / 2)}


def test_a_time_is_chosen_on_the_chart_by_keyboard(page: Page, server: Server) -> None:
    server.post(*(event(now(), feature="stepped", started_at=ago(now(), hours=h)) for h in (1, 20)))
    page.goto(f"{server.url}/?page=explore&feature=stepped&range=24h")
    chart = page.get_by_role("img", name="Cost per hour")
    expect(chart.locator("canvas")).to_be_visible()
    chart.focus()
    for key in ("ArrowLeft", "Shift+ArrowLeft", "Shift+ArrowLeft"):
        page.keyboard.press(key)
    expect(page.get_by_test_id("chart-values")).to_contain_text("3 bars")
    page.keyboard.press("Escape")
    expect(page.get_by_test_id("chart-values")).to_be_hidden()
    for key in ("ArrowLeft", "Shift+ArrowLeft", "Shift+ArrowLeft", "Enter"):
        page.keyboard.press(key)
    expect(page).to_have_url(re.compile("range=.*%2F"))
    span = span_in(page)
    assert datetime.fromisoformat(span["to"]) - datetime.fromisoformat(span["from"]) == timedelta(hours=3)
    expect(page.get_by_test_id("groups-total")).to_have_attribute("title", cost_in(server, "stepped", span))
    expect(page.get_by_role("img", name="Cost per minute")).to_be_visible()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_everybody_can_choose_dates(pages: Pages, server: Server, scheme: Scheme) -> None:
    page = pages.open(server, color_scheme=scheme, reduced_motion="reduce", viewport=PHONE)
    pick_dates(page)
    assert barriers(page) == []
    page.get_by_role("button", name="this month").click()
    expect(panel(page, "Last calls").locator("tbody tr").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert barriers(page) == []
