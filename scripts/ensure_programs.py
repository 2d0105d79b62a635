"""See to it that the tests find the programs they drive: those that are there, or Debian's packages when we may."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Program:
    """What is needed by some tests: one of its names (a path with `*` is looked for as such), and Debian's package."""

    names: tuple[str, ...]
    package: str
    tests: str


BROWSER = Program(("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"), "chromium", "browser")
PROGRAMS = (
    BROWSER,
    Program(("redis-server", "valkey-server"), "redis-server", "shared counters"),
    Program(("initdb", "/usr/lib/postgresql/*/bin/initdb"), "postgresql", "metadata on PostgreSQL"),
    Program(("promtool",), "prometheus", "metrics and rules of Prometheus"),
    Program(("prometheus-alertmanager", "alertmanager"), "prometheus-alertmanager", "alerts to Alertmanager"),
)


def is_here(name: str) -> bool:
    return any(Path("/").glob(name[1:])) if name.startswith("/") else shutil.which(name) is not None


def missing() -> Iterator[Program]:
    return (program for program in PROGRAMS if not any(map(is_here, program.names)))


def install(packages: list[str]) -> str | None:
    """What failed, None when nothing did."""
    # The services of the packages are not started: tests start what they need themselves.
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for command in (
        ["apt-get", "update", "-qq"],
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages],
    ):
        if subprocess.run(command, stdout=subprocess.DEVNULL, env=environment, check=False).returncode != 0:
            return " ".join(command)
    return None


def main() -> int:
    wanted = list(missing())
    if not wanted:
        return 0
    packages = [program.package for program in wanted]
    if not shutil.which("apt-get") or os.geteuid() != 0:
        print(f"· not here: {', '.join(packages)}; the tests of these will be skipped")
        return 1
    print(f"· installing for the tests: {', '.join(packages)}", flush=True)
    failed = install(packages)
    if failed is not None:
        tests = ", ".join(program.tests for program in wanted)
        print(f"· `{failed}` failed; these tests will be skipped: {tests}", file=sys.stderr)
    return int(failed is not None)


if __name__ == "__main__":
    raise SystemExit(main())
