"""Each module has a server with a small history, and a browser; each test a page, signed in and free of errors."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from page_rig import CHROMIUM_FLAGS, PATIENCE_SECONDS, Pages, Server, chromium, now, sample
from playwright.sync_api import Browser, Page, expect, sync_playwright

from taximeter.server.page import BUILT
from taximeter.simulator.running import RunningSimulator
from taximeter.simulator.settings import Settings

SLOWEST_SECONDS = 400
"""The first test starts server and browser, and every wait of a test may take its time where the machine is busy."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("browser"):
            item.add_marker(pytest.mark.timeout(SLOWEST_SECONDS))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Ended with its module: while Playwright runs, its event loop is this thread's, and no other may begin."""
    path = chromium()
    if path is None:
        pytest.skip("no Chromium found: install the package `chromium`")
    assert (BUILT / "index.html").is_file(), "the page is not built: run `make page`"
    with sync_playwright() as playwright:
        expect.set_options(timeout=PATIENCE_SECONDS * 1000)
        running = playwright.chromium.launch(executable_path=path, args=CHROMIUM_FLAGS)
        yield running
        running.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Its history is as old as its module is, and small: lists of the last or the largest show all of it."""
    with RunningSimulator(Settings()) as simulator:
        running = Server(tmp_path_factory.mktemp("page"), simulator.openai_url)
        running.start()
        try:
            running.post(*sample(now()))
            yield running
        finally:
            running.stop()


@pytest.fixture
def pages(browser: Browser) -> Iterator[Pages]:
    """Closed before the server stops, where a test names its server first: a page says what it cannot reach."""
    opened = Pages(browser)
    yield opened
    for context in browser.contexts:
        context.close()
    assert opened.unexpected() == []


@pytest.fixture
def page(pages: Pages, server: Server) -> Page:
    return pages.open(server)
