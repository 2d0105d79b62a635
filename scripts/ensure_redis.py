"""See to it that the tests of shared counters find a Redis: one that is there, or Debian's package."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys


def main() -> int:
    if shutil.which("redis-server"):
        return 0
    if not shutil.which("apt-get") or os.geteuid() != 0:
        print("· no redis-server here: its tests will be skipped (install the package `redis-server`)")
        return 1
    print("· installing redis-server for the tests of shared counters", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for command in (
        ["apt-get", "update", "-qq"],
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "redis-server"],
    ):
        if subprocess.run(command, stdout=subprocess.DEVNULL, env=environment, check=False).returncode != 0:
            print(f"· `{' '.join(command)}` failed: the tests of shared counters will be skipped", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
