"""One server with a small history, one browser; each test has a page of its own, signed in and free of errors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from page_rig import CHROMIUM_FLAGS, ZONE, Server, chromium, now, sample
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from taximeter.server.page import BUILT
from taximeter.simulator.running import RunningSimulator
from taximeter.simulator.settings import Settings


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = chromium()
    if path is None:
        pytest.skip("no Chromium found: install the package `chromium`")
    assert (BUILT / "index.html").is_file(), "the page is not built: run `make page`"
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=CHROMIUM_FLAGS)
        yield running
        running.close()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with RunningSimulator(Settings()) as simulator:
        running = Server(tmp_path_factory.mktemp("page"), simulator.openai_url)
        running.start()
        try:
            running.post(*sample(now()))
            yield running
        finally:
            running.stop()


@dataclass
class Pages:
    """Opens pages and collects what goes wrong in them."""

    browser: Browser
    mistakes: list[str] = field(default_factory=list)
    allowed: tuple[str, ...] = ("/favicon.ico",)
    """Addresses and words of mistakes that belong to the test."""

    def open(self, server: Server, **context: Any) -> Page:
        """A page that is signed in."""
        page = self.blank(**context)
        name, value = server.session()
        page.context.add_cookies([{"name": name, "value": value, "url": server.url}])
        page.goto(server.url)
        return page

    def blank(self, **context: Any) -> Page:
        settings = {"timezone_id": ZONE, "locale": "en-GB", "viewport": {"width": 1440, "height": 1000}, **context}
        page = self.browser.new_context(**settings).new_page()
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.mistakes.append(str(error)))
        return page

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.mistakes.append(f"{message.text} {message.location.get('url')}")

    def unexpected(self) -> list[str]:
        return [mistake for mistake in self.mistakes if not any(word in mistake for word in self.allowed)]


@pytest.fixture
def pages(browser: Browser) -> Iterator[Pages]:
    opened = Pages(browser)
    yield opened
    for context in browser.contexts:
        context.close()
    assert opened.unexpected() == []


@pytest.fixture
def page(pages: Pages, server: Server) -> Page:
    return pages.open(server)
