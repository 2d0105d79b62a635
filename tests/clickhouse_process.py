"""ClickHouse's engine for a test, behind its HTTP protocol, in a process of its own (`contracts/clickhouse_engine`)."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ENGINE = Path(__file__).parent / "contracts" / "clickhouse_engine.py"


@pytest.fixture
def clickhouse(tmp_path: Path) -> Iterator[str]:
    """The address of a database that is not there yet."""
    program = [sys.executable, str(ENGINE), str(tmp_path / "engine")]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        try:
            yield f"clickhouse://127.0.0.1:{int(process.stdout.readline())}/meter"
        finally:
            process.kill()  # its engine does not always end when it is asked to
