"""`taximeter up --demo`: money flows within seconds, by every road, and all of it ends with one signal."""

from __future__ import annotations

import os
from pathlib import Path

from standing import Standing, eventually


def children_of(pid: int) -> set[int]:
    """Processes that this one started and that still run."""
    found = set()
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = status.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if int(parent) == pid and state != "Z":
            found.add(int(status.parent.name))
    return found


def alive(pid: int) -> bool:
    return os.path.exists(f"/proc/{pid}") and "Z (zombie)" not in Path(f"/proc/{pid}/status").read_text()


def test_the_demo_lives_and_ends(tmp_path: Path) -> None:
    demo = Standing(tmp_path, "http://127.0.0.1:9")
    demo.start("--demo")
    try:
        assert eventually(lambda: demo.calls(source="gateway"), bool)
        assert eventually(lambda: demo.calls(source="sdk"), bool)
        assert eventually(lambda: demo.calls(source="api"), lambda n: n > 20_000) > 20_000
        assert eventually(lambda: demo.outcomes(**{"tags.sample": "live"}), bool)
        spent = demo.query(measures=["cost_usd", "calls"], group_by=["feature"])
        assert len(spent["rows"]) >= 5
        assert float(spent["totals"]["cost_usd"]) > 0
        started = children_of(demo.pid)
        assert len(started) >= 2
        assert demo.stop() == 0
        assert not eventually(lambda: {pid for pid in started if alive(pid)}, lambda left: not left)
    finally:
        demo.__exit__(None, None, None)
