"""How quick and how frugal the page is, measured in Chromium over the running demo.

python scripts/page_figures.py [--minutes 10]

Lighthouse's scores of Overview (from npm, by `npx`; at least 95 for performance and accessibility are meant), and the
page's JavaScript heap while calls come in, after a collection each time: it must not grow. Exit code 1 when either
fails.
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

import httpx
from ensure_programs import BROWSER
from page import with_node
from playwright.sync_api import sync_playwright
from screenshots import FLAGS, demo

LIGHTHOUSE = "lighthouse@12.2.3"
CATEGORIES = ("performance", "accessibility")
LEAST_SCORE = 95
SAMPLES = 10
SETTLED_SAMPLES = 3
"""By then every panel has been filled and refreshed, and all code is compiled."""
MOST_GROWTH = 1.15


def main(minutes: float) -> int:
    chromium = next(filter(None, map(shutil.which, BROWSER.names)), None)
    if chromium is None:
        print("no Chromium found: install the package `chromium`", file=sys.stderr)
        return 1
    with demo() as link:
        address, cookie = signed_in(link)
        scores = lighthouse(chromium, address, cookie)
        for name, score in scores.items():
            print(f"· Lighthouse, {name}: {score:.0f} (at least {LEAST_SCORE})", flush=True)
        heaps = heaps_mb(chromium, address, cookie, minutes * 60 / SAMPLES)
    growth = heaps[-1] / max(heaps[:SETTLED_SAMPLES])
    print(f"· heap in MB over {minutes:g} minutes: {', '.join(f'{heap:.1f}' for heap in heaps)}; {growth:.2f} times")
    return 0 if min(scores.values()) >= LEAST_SCORE and growth <= MOST_GROWTH else 1


def signed_in(link: str) -> tuple[str, tuple[str, str]]:
    """The page's address, and the name and value of a session's cookie."""
    answer = httpx.get(link)
    cookie = next(iter(answer.cookies.items()))
    return str(answer.url.join("/")), cookie


def lighthouse(chromium: str, address: str, cookie: tuple[str, str]) -> dict[str, float]:
    """Scores of 100 by category. Raises CalledProcessError where npm or Lighthouse does not do it."""
    with tempfile.TemporaryDirectory() as folder:
        headers, report = Path(folder) / "headers.json", Path(folder) / "report.json"
        headers.write_text(json.dumps({"Cookie": "=".join(cookie)}))
        options = [
            "--quiet",
            "--preset=desktop",
            "--output=json",
            f"--output-path={report}",
            f"--extra-headers={headers}",
            f"--only-categories={','.join(CATEGORIES)}",
            f"--chrome-flags={' '.join(['--headless=new', *FLAGS])}",
        ]
        environment = {**os.environ, **with_node(), "CHROME_PATH": chromium}
        subprocess.run(["npx", "--yes", LIGHTHOUSE, address, *options], check=True, env=environment)
        found = json.loads(report.read_text())["categories"]
    return {name: 100 * float(found[name]["score"] or 0) for name in CATEGORIES}


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
    parser.add_argument("--minutes", type=float, default=10, help="how long the page is left open")
    raise SystemExit(main(parser.parse_args().minutes))
