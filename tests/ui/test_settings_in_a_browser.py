"""What the server is set to, in a real Chromium over the real server: where each setting is from, and no secret."""

from __future__ import annotations

import httpx
import pytest
from page_rig import PATIENCE_SECONDS, Pages, Server
from playwright.sync_api import Page, expect
from test_page_in_a_browser import PHONE, SCHEMES, Scheme, barriers, panel

pytestmark = pytest.mark.browser

KEY_OF_THE_FILE = "sk-real"


def open_settings(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/?page=settings")
    for title in ("Server", "Settings"):
        expect(panel(page, title)).to_have_attribute("aria-busy", "false")


def test_every_setting_says_where_it_is_from(page: Page, server: Server) -> None:
    open_settings(page, server)
    expect(page.locator('[data-setting="server.port"]')).to_contain_text(f"{server.port}--port")
    expect(page.locator('[data-setting="limits"]')).to_contain_text("of-the-fileline 2 of the file")
    expect(page.locator('[data-setting="retention.events_days"]')).to_contain_text("not setdefault")
    expect(panel(page, "Server")).to_contain_text(str(server.data))
    page.get_by_role("textbox", name="Find").fill("sums of hours")
    expect(page.locator("[data-setting]")).to_have_count(1)
    page.get_by_role("textbox", name="Find").fill("")
    page.get_by_label("Only what differs from the default").check()
    expect(page.locator('[data-setting="retention.events_days"]')).to_have_count(0)
    expect(page.locator('[data-setting="providers.openai.api_key"]')).to_contain_text("••••line 1 of the file")


def test_a_key_of_the_file_is_neither_on_the_page_nor_in_the_answer(page: Page, server: Server) -> None:
    assert KEY_OF_THE_FILE in (server.directory / "taximeter.yaml").read_text()
    open_settings(page, server)
    assert KEY_OF_THE_FILE not in page.content()
    answer = httpx.get(
        f"{server.url}/api/v1/settings",
        headers={"authorization": f"Bearer {server.key('admin')}"},
        timeout=PATIENCE_SECONDS,
    )
    assert answer.status_code == 200
    assert KEY_OF_THE_FILE not in answer.text


def test_settings_are_for_administrators_only(server: Server) -> None:
    answer = httpx.get(
        f"{server.url}/api/v1/settings",
        headers={"authorization": f"Bearer {server.key('read')}"},
        timeout=PATIENCE_SECONDS,
    )
    assert answer.status_code == 403


@pytest.mark.parametrize("scheme", SCHEMES)
def test_everybody_can_read_them(pages: Pages, server: Server, scheme: Scheme) -> None:
    page = pages.open(server, color_scheme=scheme, reduced_motion="reduce", viewport=PHONE)
    open_settings(page, server)
    assert barriers(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
