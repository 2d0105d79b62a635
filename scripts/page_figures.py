"""How quick and how frugal the page is, measured in Chromium over the running demo.

python scripts/page_figures.py [--minutes 10]

Lighthouse's scores of Overview (from npm, by `npx`; at least 95 for performance and accessibility are meant), as on a
slow phone and on a desktop, and the page's JavaScript heap while calls come in, after a collection each time: it must
not grow. Exit code 1 when either fails. With `--minutes 0` only the scores, with `--report DIRECTORY` whole reports.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import httpx
from ensure_programs import BROWSER
from page import with_node
from playwright.sync_api import sync_playwright
from screenshots import FLAGS, demo

LIGHTHOUSE = "lighthouse@12.2.3"
CATEGORIES = ("performance", "accessibility")
FORMS = {"a phone": (), "a desktop": ("--preset=desktop",)}
"""What Lighthouse takes the browser for. A phone is its default: a processor of a quarter, and 1.6 Mbit/s."""
TIMES = {
    "first content": "first-contentful-paint",
    "largest": "largest-contentful-paint",
    "blocked": "total-blocking-time",
    "shifted": "cumulative-layout-shift",
    "speed index": "speed-index",
}
LEAST_SCORE = 95
SAMPLES = 10
SETTLED_SAMPLES = 3
"""By then every panel has been filled and refreshed, and all code is compiled."""
MOST_GROWTH = 1.15


def main(minutes: float, reports: Path | None) -> int:
    chromium = next(filter(None, map(shutil.which, BROWSER.names)), None)
    if chromium is None:
        print("no Chromium found: install the package `chromium`", file=sys.stderr)
        return 1
    with demo() as link:
        address, cookie = signed_in(link)
        good = [is_good(form, lighthouse(chromium, address, cookie, form, reports)) for form in FORMS]
        if minutes:
            good.append(is_steady(heaps_mb(chromium, address, cookie, minutes * 60 / SAMPLES), minutes))
    return 0 if all(good) else 1


def is_good(form: str, report: dict[str, Any]) -> bool:
    """Whether the scores are what they are meant to be; says them, and what they are made of."""
    scores = {name: 100 * float(report["categories"][name]["score"] or 0) for name in CATEGORIES}
    said = ", ".join(f"{name} {score:.0f}" for name, score in scores.items())
    times = ", ".join(f"{short} {report['audits'][audit]['displayValue']}" for short, audit in TIMES.items())
    print(f"· Lighthouse, {form}: {said} (at least {LEAST_SCORE}); {times}", flush=True)
    return min(scores.values()) >= LEAST_SCORE


def is_steady(heaps: list[float], minutes: float) -> bool:
    growth = heaps[-1] / max(heaps[:SETTLED_SAMPLES])
    print(f"· heap in MB over {minutes:g} minutes: {', '.join(f'{heap:.1f}' for heap in heaps)}; {growth:.2f} times")
    return growth <= MOST_GROWTH


def signed_in(link: str) -> tuple[str, tuple[str, str]]:
    """The page's address, and the name and value of a session's cookie."""
    answer = httpx.get(link)
    cookie = next(iter(answer.cookies.items()))
    return str(answer.url.join("/")), cookie


def lighthouse(chromium: str, address: str, cookie: tuple[str, str], form: str, reports: Path | None) -> dict[str, Any]:
    """Its report; also kept among `reports`. Raises CalledProcessError where npm or Lighthouse does not do it."""
    with tempfile.TemporaryDirectory() as folder:
        headers, report = Path(folder) / "headers.json", (reports or Path(folder)) / f"{form}.json"
        headers.write_text(json.dumps({"Cookie": "=".join(cookie)}))
        options = [
            "--quiet",
            *FORMS[form],
            "--output=json",
            f"--output-path={report}",
            f"--extra-headers={headers}",
            f"--only-categories={','.join(CATEGORIES)}",
            f"--chrome-flags={' '.join(['--headless=new', *FLAGS])}",
        ]
        environment = {**os.environ, **with_node(), "CHROME_PATH": chromium}
        subprocess.run(["npx", "--yes", LIGHTHOUSE, address, *options], check=True, env=environment)
        found: dict[str, Any] = json.loads(report.read_text())
    return found


def heaps_mb(chromium: str, address: str, cookie: tuple[str, str], pause_seconds: float) -> list[float]:
    """The heap of a page that is left open, sample by sample."""
    name, value = cookie
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page()
        page.context.add_cookies([{"name": name, "value": value, "url": address}])
        page.goto(address)
        devtools = page.context.new_cdp_session(page)
        heaps = []
        for _ in range(SAMPLES):
            page.wait_for_timeout(pause_seconds * 1000)
            devtools.send("HeapProfiler.collectGarbage")
            heaps.append(devtools.send("Runtime.getHeapUsage")["usedSize"] / 1e6)
        browser.close()
    return heaps


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10, help="how long the page is left open; 0 for not at all")
    parser.add_argument("--report", type=Path, help="a directory for what Lighthouse found, as JSON; made if missing")
    given = parser.parse_args()
    if given.report is not None:
        given.report.mkdir(parents=True, exist_ok=True)
    raise SystemExit(main(given.minutes, given.report))
