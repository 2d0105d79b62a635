"""Whatever was acknowledged is there, once, after a process was killed in the middle of its work.

`STORE_KILLS=50` takes its time.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import crashing_writer
import pytest

from taximeter.store.events import DuckDBEvents, Query

KILLS = int(os.environ.get("STORE_KILLS", "2"))


def acknowledged_until_killed(file: Path, after_batches: int, then_seconds: float) -> int:
    """Run the writer until it has acknowledged so many batches and a moment longer; the last one it acknowledged."""
    program = [sys.executable, crashing_writer.__file__, str(file)]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        heard = [int(writer.stdout.readline()) for _ in range(after_batches)]
        time.sleep(then_seconds)
        writer.kill()
        heard += [int(text) for text in writer.stdout.read().split("\n")[:-1]]
    return heard[-1]


def test_a_killed_writer_loses_and_doubles_nothing(tmp_path: Path) -> None:
    file = tmp_path / "events.duckdb"
    for kill in range(KILLS):
        acknowledged = acknowledged_until_killed(file, after_batches=1 + kill % 3, then_seconds=0.003 * kill)
        store = DuckDBEvents(file)
        mark = store.marks()["spool"]
        assert mark >= acknowledged
        (row,) = store.query(Query(from_us=0, to_us=2**53, measures=("calls", "cost_usd"))).rows
        assert row["calls"] == (mark + 1) * crashing_writer.LINES
        assert row["cost_usd"] == f"{row['calls'] / 1_000_000:.6f}".rstrip("0")
        assert store.verify().differing == ()
        store.close()


def test_a_full_disk_is_said_and_nothing_is_lost(tmp_path: Path) -> None:
    pytest.importorskip("resource")
    program = Path(__file__).with_name("disk_filler.py")
    said = subprocess.run(
        [sys.executable, str(program), str(tmp_path / "events.duckdb")], capture_output=True, text=True, check=True
    ).stdout
    assert said.split() == ["StoreError", "room", "again:", "stored", "once:", "True"]
