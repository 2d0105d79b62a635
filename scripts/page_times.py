"""How long each page takes over a store of any size, measured in Chromium over the real server.

    python scripts/page_times.py --data DIRECTORY [--range 30d] [--repeat 3] [--pages overview,why]

The server runs on that data directory, and what it does to it (sums that are due, detection) stays done: give it a
copy. First content is what the browser calls its first contentful paint; complete is a page when no panel waits for
numbers any more. Both since the page was asked for, by a browser that has the scripts already; medians. Beside them
the slowest question that the page asked. Exit code 1 when a page takes longer than meant.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ensure_programs import BROWSER
from page_figures import signed_in
from playwright.sync_api import BrowserContext, sync_playwright
from screenshots import FLAGS, PAGES, serving

FIRST_CONTENT_MS = 300
COMPLETE_MS = 1000

WATCH = """
    const waiting = '[aria-busy="true"], .mantine-Skeleton-root';
    const [settledMs, patienceMs] = [500, 120000];
    window.complete = new Promise(resolve => {
        setTimeout(() => resolve(Infinity), patienceMs);
        let since = null;
        setInterval(() => {
            const isWaiting = !document.querySelector('.header') || document.querySelector(waiting);
            since = isWaiting ? null : since ?? performance.now();
            if (since !== null && performance.now() - since > settledMs) resolve(since);
        }, 10);
    });
"""
FOUND = """async () => {
    const complete = await window.complete;
    const asked = performance.getEntriesByType('resource')
        .filter(({name}) => name.includes('/api/v1/') && !name.includes('/live'))
        .map(({name, duration}) => ({path: new URL(name).pathname.replace('/api/v1/', ''), ms: duration}));
    const slowest = asked.sort((one, other) => other.ms - one.ms)[0] ?? {path: '', ms: 0};
    return {complete, slowest, painted: performance.getEntriesByName('first-contentful-paint')[0]?.startTime};
}"""


@dataclass(frozen=True)
class Times:
    """Milliseconds since a page was asked for; its slowest question, and how long that took."""

    first_content: float
    complete: float
    question: str
    question_took: float

    @property
    def is_quick(self) -> bool:
        return self.first_content <= FIRST_CONTENT_MS and self.complete <= COMPLETE_MS

    def row(self, page: str) -> str:
        times = f"{self.first_content:.0f} | {self.complete:.0f} | {self.question} | {self.question_took:.0f}"
        return f"| {page} | {times} | {'' if self.is_quick else 'slower than meant'} |"


def main(data: Path, time_range: str, pages: Sequence[str], repeat: int) -> int:
    chromium = next(filter(None, map(shutil.which, BROWSER.names)), None)
    if chromium is None:
        print("no Chromium found: install the package `chromium`", file=sys.stderr)
        return 1
    with serving("--data", str(data)) as link, sync_playwright() as playwright:
        address, (name, value) = signed_in(link)
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        context = browser.new_context(viewport={"width": 1440, "height": 1000}, timezone_id="Europe/Berlin")
        context.add_cookies([{"name": name, "value": value, "url": address}])
        context.add_init_script(WATCH)
        opened(context, address)
        print(f"| {time_range} | first content, ms | complete, ms | slowest question | took, ms | |")
        print("|---|---:|---:|---|---:|---|", flush=True)
        found = []
        for page in pages:
            found.append(middle([opened(context, f"{address}?page={page}&range={time_range}") for _ in range(repeat)]))
            print(found[-1].row(page), flush=True)
        browser.close()
    return 0 if all(times.is_quick for times in found) else 1


def opened(context: BrowserContext, address: str) -> Times:
    page = context.new_page()
    page.goto(address, wait_until="commit")
    found: dict[str, Any] = page.evaluate(FOUND)
    page.close()
    return Times(found["painted"], found["complete"], found["slowest"]["path"], found["slowest"]["ms"])


def middle(times: list[Times]) -> Times:
    """The medians; the question is that of the median by its time."""
    asked = sorted(times, key=lambda one: one.question_took)[len(times) // 2]
    return Times(
        statistics.median(one.first_content for one in times),
        statistics.median(one.complete for one in times),
        asked.question,
        asked.question_took,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a data directory; it is changed")
    parser.add_argument("--range", default="30d", help="1h, 6h, 24h, 7d, 30d, 90d or 1y")
    parser.add_argument("--pages", type=lambda names: names.split(","), default=PAGES, help="all unless told")
    parser.add_argument("--repeat", type=int, default=3)
    given = parser.parse_args()
    raise SystemExit(main(given.data, given.range, given.pages, given.repeat))
