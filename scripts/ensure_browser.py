"""See to it that the browser tests find a Chromium: one that is there, or Debian's package when we may install it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def main() -> int:
    if any(map(shutil.which, NAMES)):
        return 0
    if not shutil.which("apt-get") or os.geteuid() != 0:
        print("· no Chromium here: the browser tests will be skipped (install the package `chromium`)")
        return 1
    print("· installing Chromium for the browser tests", flush=True)
    for command in (
        ["apt-get", "update", "-qq"],
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium"],
    ):
        if subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode != 0:
            print(f"· `{' '.join(command)}` failed: the browser tests will be skipped", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
