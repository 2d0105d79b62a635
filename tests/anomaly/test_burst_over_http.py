"""A burst that arrives at a real server, on the machine's clock, whose store has what detection learns from."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(900)

ROOT = Path(__file__).parents[2]


def test_a_burst_is_told_after_it_arrived_and_not_before() -> None:
    command = [sys.executable, "-m", "bench.detection.arrival", "--bursts", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=800)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["told_before"] == []
    assert told["kind"] == "volume_spike"
    assert told["began_at"] < told["detected_at"] < told["told_at"]
