"""The pictures of the documentation: starts the demo, waits until it looks alive, and photographs the page.

python scripts/screenshots.py [seconds of traffic, 1500 unless told]
"""

from __future__ import annotations

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
    Picture("overview.png", 1440, 1500, "light", 1, above="Last calls"),
    Picture("overview-dark.png", 1440, 1500, "dark", 1, above="Last calls"),
    Picture("phone.png", 390, 1000, "light", 2),
)


def main(traffic_seconds: float) -> int:
    chromium = next(filter(None, map(shutil.which, BROWSER.names)), None)
    if chromium is None:
        print("no Chromium found: install the package `chromium`", file=sys.stderr)
        return 1
    IMAGES.mkdir(parents=True, exist_ok=True)
    with demo() as link, sync_playwright() as playwright:
        print(f"· letting the demo run for {traffic_seconds:.0f} seconds", flush=True)
        time.sleep(traffic_seconds)
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
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
    page.evaluate("document.fonts.ready")
    target = IMAGES / picture.name
    page.screenshot(path=target, clip={"x": 0, "y": 0, "width": picture.width, "height": end_of(picture, page)})
    context.close()
    size = target.stat().st_size
    print(f"· {target.relative_to(ROOT)}: {size / 1000:.0f} kB" + (" is too large" if size > MOST_BYTES else ""))
    return size


if __name__ == "__main__":
    raise SystemExit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 1500))
