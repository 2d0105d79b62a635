"""How quick and how frugal the page is, measured in Chromium over the running demo.

python scripts/page_figures.py [--minutes 10] [--no-lighthouse]

Lighthouse's scores of Overview (from npm, by `npx`; at least 95 for performance and accessibility are meant), as on a
slow phone and on a desktop; how long its first seconds keep a browser from listening, counted in CPU time, which a busy
machine changes little; and what the page holds while calls come in, after a collection each time: JavaScript heap,
nodes of the document, listeners. They must not grow. Beside them how long it stood still between two changes of its
numbers. Exit code 1 when either fails. With `--minutes 0` only the scores, with `--report DIRECTORY` whole reports.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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
TRACED = "toplevel,devtools.timeline"
TRACED_SECONDS = 8
SHORT_MS = 50
"""A task of a page that takes no longer keeps nobody waiting, says Lighthouse."""
SLOWNESS = {"a phone": 4, "a desktop": 1}
"""How many times as long a processor takes that Lighthouse takes for one of these."""
SAMPLES = 10
SETTLED_SAMPLES = 3
"""By then every panel has been filled and refreshed, and all code is compiled."""
MOST_GROWTH = 1.15

NOTE_PAUSES = """
    // Of a fixed size: what is measured must not grow by it. A pause of n tenths of a second is counted at n.
    const [oneChangeMs, tenths] = [200, new Uint32Array(600)];
    let last = null;
    new MutationObserver(changes => {
        if (!changes.some(({target}) => (target.closest ? target : target.parentElement)?.closest('main'))) return;
        const now = performance.now();
        if (last !== null && now - last < oneChangeMs) return;
        if (last !== null) tenths[Math.min(Math.round((now - last) / 100), tenths.length - 1)] += 1;
        last = now;
    }).observe(document, {subtree: true, childList: true, characterData: true});
    window.tellPauses = () => { const told = [...tenths]; tenths.fill(0); return told; };
"""


def main(minutes: float, reports: Path | None, forms: Sequence[str]) -> int:
    chromium = next(filter(None, map(shutil.which, BROWSER.names)), None)
    if chromium is None:
        print("no Chromium found: install the package `chromium`", file=sys.stderr)
        return 1
    with demo() as link:
        address, cookie = signed_in(link)
        good = [is_good(form, lighthouse(chromium, address, cookie, form, reports)) for form in forms]
        if forms:
            say_waits(tasks_ms(chromium, address, cookie))
        if minutes:
            good.append(is_steady(list(held(chromium, address, cookie, minutes * 60 / SAMPLES)), minutes))
    return 0 if all(good) else 1


def is_good(form: str, report: dict[str, Any]) -> bool:
    """Whether the scores are what they are meant to be; says them, and what they are made of."""
    scores = {name: 100 * float(report["categories"][name]["score"] or 0) for name in CATEGORIES}
    said = ", ".join(f"{name} {score:.0f}" for name, score in scores.items())
    times = ", ".join(f"{short} {report['audits'][audit]['displayValue']}" for short, audit in TIMES.items())
    print(f"· Lighthouse, {form}: {said} (at least {LEAST_SCORE}); {times}", flush=True)
    return min(scores.values()) >= LEAST_SCORE


def say_waits(tasks: list[float]) -> None:
    for form, slowness in SLOWNESS.items():
        waits = sum(max(0.0, slowness * task - SHORT_MS) for task in tasks)
        print(f"· in CPU time, {form}: blocked {waits:.0f} ms, longest task {slowness * max(tasks):.0f} ms", flush=True)


def tasks_ms(chromium: str, address: str, cookie: tuple[str, str]) -> list[float]:
    """CPU time of the tasks of the page's first seconds, on the thread that draws it."""
    name, value = cookie
    traced: list[dict[str, Any]] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(viewport={"width": 1350, "height": 940})
        page.context.add_cookies([{"name": name, "value": value, "url": address}])
        devtools = page.context.new_cdp_session(page)
        devtools.on("Tracing.dataCollected", lambda told: traced.extend(told["value"]))
        devtools.send("Tracing.start", {"categories": TRACED, "transferMode": "ReportEvents"})
        page.goto(address, wait_until="commit")
        page.wait_for_timeout(TRACED_SECONDS * 1000)
        with page.expect_event("close"):
            devtools.on("Tracing.tracingComplete", lambda _: page.close())
            devtools.send("Tracing.end")
        browser.close()
    drawing = Counter((one["pid"], one["tid"]) for one in traced if one["name"] == "FunctionCall").most_common(1)[0][0]
    tasks = (one for one in traced if one["name"].endswith("RunTask") and (one["pid"], one["tid"]) == drawing)
    return [one["tdur"] / 1000 for one in tasks if "tdur" in one]


@dataclass(frozen=True)
class Held:
    """What a page holds after a collection."""

    heap_mb: float
    nodes: int
    listeners: int
    answers: int
    """What it has asked the server until then."""
    pauses: tuple[float, ...]
    """Seconds between two changes of what it shows, since the sample before; shortest first."""


def is_steady(samples: list[Held], minutes: float) -> bool:
    settled, last = samples[:SETTLED_SAMPLES], samples[-1]
    growths = {
        "heap": last.heap_mb / max(one.heap_mb for one in settled),
        "nodes": last.nodes / max(one.nodes for one in settled),
        "listeners": last.listeners / max(one.listeners for one in settled),
    }
    said = ", ".join(f"{name} {growth:.2f} times" for name, growth in growths.items())
    print(f"· after {minutes:g} minutes of what it held when it had settled: {said}", flush=True)
    print(
        f"· between two changes of the page: {pause_words(sorted(one for of in samples for one in of.pauses))}",
        flush=True,
    )
    return max(growths.values()) <= MOST_GROWTH


def pause_words(pauses: Sequence[float]) -> str:
    if not pauses:
        return "none, it did not change twice"
    at = [pauses[int(part * (len(pauses) - 1))] for part in (0.5, 0.95, 1)]
    return f"of {at[0]} s, 95% at most {at[1]} s, longest {at[2]} s ({len(pauses):,} changes)"


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


def held(chromium: str, address: str, cookie: tuple[str, str], pause_seconds: float) -> Iterator[Held]:
    """Of a page that is left open, sample by sample; says each."""
    name, value = cookie
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page()
        page.context.add_cookies([{"name": name, "value": value, "url": address}])
        answers: Counter[str] = Counter()
        page.on("requestfinished", lambda request: answers.update([request.resource_type]))
        page.add_init_script(NOTE_PAUSES)
        page.goto(address)
        devtools = page.context.new_cdp_session(page)
        for number in range(1, SAMPLES + 1):
            page.wait_for_timeout(pause_seconds * 1000)
            devtools.send("HeapProfiler.collectGarbage")
            heap, counts = devtools.send("Runtime.getHeapUsage"), devtools.send("Memory.getDOMCounters")
            pauses = tuple(
                tenth / 10 for tenth, times in enumerate(page.evaluate("tellPauses()")) for _ in range(times)
            )
            sample = Held(heap["usedSize"] / 1e6, counts["nodes"], counts["jsEventListeners"], answers["fetch"], pauses)
            minute = number * pause_seconds / 60
            print(
                f"· after {minute:.1f} minutes: heap {sample.heap_mb:.1f} MB, {sample.nodes:,} nodes, "
                f"{sample.listeners:,} listeners; {sample.answers:,} answers so far; pauses {pause_words(pauses)}",
                flush=True,
            )
            yield sample
        browser.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10, help="how long the page is left open; 0 for not at all")
    parser.add_argument("--report", type=Path, help="a directory for what Lighthouse found, as JSON; made if missing")
    parser.add_argument("--no-lighthouse", action="store_true", help="only what the page holds")
    given = parser.parse_args()
    if given.report is not None:
        given.report.mkdir(parents=True, exist_ok=True)
    raise SystemExit(main(given.minutes, given.report, () if given.no_lighthouse else tuple(FORMS)))
