"""The pictures of the documentation: starts the demo, waits until it looks alive, and photographs the page.

python scripts/screenshots.py [--seconds 1500] [--every DIRECTORY]

With `--every` instead every page whole, in both themes and on a desktop and a phone, to be looked at.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ensure_programs import BROWSER
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
MOST_BYTES = 300_000
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]
STOP_SECONDS = 30
COMPLETE_MS = 120_000
GAP = 4


@dataclass(frozen=True)
class Picture:
    """One picture. `sharpness` is pixels of the picture per pixel of the page; `above` ends it before a panel."""

    name: str
    width: int
    height: int
    scheme: Literal["light", "dark"]
    sharpness: float
    above: str | None = None


PICTURES = (
    Picture("overview.png", 1440, 1540, "light", 1, above="Last calls"),
    Picture("overview-dark.png", 1440, 1540, "dark", 1, above="Last calls"),
    Picture("phone.png", 390, 1000, "light", 2),
)


PAGES = (
    "overview", "explore", "calls", "users", "teams", "features", "models", "why", "finance", "alerts", "limits",
    "calculator", "prices", "keys", "settings", "health",
)  # fmt: skip
WIDTHS = {"desktop": 1440, "phone": 390}
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
COMPLETE = """() => document.querySelector('.header')
    && !document.querySelector('[aria-busy="true"], .mantine-Skeleton-root, .control-place, .controls-place')"""


def main(traffic_seconds: float, every: Path | None) -> int:
    chromium = next(filter(None, map(shutil.which, BROWSER.names)), None)
    if chromium is None:
        print("no Chromium found: install the package `chromium`", file=sys.stderr)
        return 1
    IMAGES.mkdir(parents=True, exist_ok=True)
    with demo() as link, sync_playwright() as playwright:
        print(f"· letting the demo run for {traffic_seconds:.0f} seconds", flush=True)
        time.sleep(traffic_seconds)
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        if every is not None:
            photograph_every(browser, link, every)
            return 0
        sizes = [photograph(browser, link, picture) for picture in PICTURES]
    return 0 if max(sizes) <= MOST_BYTES else 1


@contextlib.contextmanager
def demo() -> Iterator[str]:
    """The running demo on a data directory of its own; its sign-in link."""
    with tempfile.TemporaryDirectory() as data, serving("--demo", "--data", data) as link:
        yield link


@contextlib.contextmanager
def serving(*arguments: str) -> Iterator[str]:
    """`taximeter up` on a free port; its sign-in link."""
    command = [sys.executable, "-m", "taximeter", "up", *arguments, "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        yield sign_in_link(process)
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)


def sign_in_link(process: subprocess.Popen[str]) -> str:
    """Read what the server prints until the link comes. Raises RuntimeError when it ends before."""
    assert process.stdout is not None
    printed = ""
    for line in process.stdout:
        printed += line
        found = re.search(r"https?://\S+/signin\?token=\S+", line)
        if found:
            return found[0]
    raise RuntimeError(f"the demo ended:\n{printed}")


def end_of(picture: Picture, page: Page) -> float:
    """The height of a picture: its own, or less where the next panel would be cut."""
    if picture.above is None:
        return picture.height
    box = page.get_by_label(picture.above, exact=True).bounding_box()
    return min(picture.height, box["y"] - GAP) if box else picture.height


def photograph(browser: Browser, link: str, picture: Picture) -> int:
    """Write one picture; its size in bytes."""
    context = browser.new_context(
        viewport={"width": picture.width, "height": picture.height},
        color_scheme=picture.scheme,
        device_scale_factor=picture.sharpness,
        timezone_id="Europe/Berlin",
        reduced_motion="reduce",
    )
    page = context.new_page()
    page.goto(link)
    for shown in ("range-total", "month-spent", "heat-total"):
        page.get_by_test_id(shown).wait_for()
    page.locator("tr[data-call]").nth(5).wait_for()
    page.wait_for_function(COMPLETE, timeout=COMPLETE_MS)
    page.evaluate("document.fonts.ready")
    target = IMAGES / picture.name
    page.screenshot(path=target, clip={"x": 0, "y": 0, "width": picture.width, "height": end_of(picture, page)})
    context.close()
    size = target.stat().st_size
    print(f"· {target.relative_to(ROOT)}: {size / 1000:.0f} kB" + (" is too large" if size > MOST_BYTES else ""))
    return size


def photograph_every(browser: Browser, link: str, directory: Path) -> None:
    """Every page whole, as `DIRECTORY/page-desktop-dark.png`."""
    directory.mkdir(parents=True, exist_ok=True)
    signed_in = browser.new_page()
    signed_in.goto(link)
    signed_in.wait_for_url(lambda url: "/signin" not in url)
    address, session = signed_in.url, signed_in.context.storage_state()
    signed_in.close()
    for form, width in WIDTHS.items():
        for scheme in SCHEMES:
            context = browser.new_context(
                storage_state=session,
                viewport={"width": width, "height": 900},
                color_scheme=scheme,
                timezone_id="Europe/Berlin",
                reduced_motion="reduce",
            )
            for name in PAGES:
                page = context.new_page()
                page.goto(f"{address}?page={name}&range=24h")
                page.wait_for_function(COMPLETE, timeout=COMPLETE_MS)
                page.screenshot(path=directory / f"{name}-{form}-{scheme}.png", full_page=True)
                page.close()
            context.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=1500, help="how long the demo has run before")
    parser.add_argument("--every", type=Path, metavar="DIRECTORY", help="made if missing")
    given = parser.parse_args()
    raise SystemExit(main(given.seconds, given.every))
