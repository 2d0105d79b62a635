"""ClickHouse's engine for a test, behind its HTTP protocol, in a process of its own (`contracts/clickhouse_engine`)."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

ENGINE = Path(__file__).parent / "contracts" / "clickhouse_engine.py"


@contextmanager
def _running(folder: Path) -> Iterator[str]:
    program = [sys.executable, str(ENGINE), str(folder / "engine")]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        try:
            yield f"clickhouse://127.0.0.1:{int(process.stdout.readline())}/meter"
        finally:
            process.kill()  # its engine does not always end when it is asked to


@pytest.fixture(scope="session")
def clickhouse_in() -> Callable[[Path], AbstractContextManager[str]]:
    """The address of a database that is not there yet, kept in a folder, while it is needed."""
    return _running


@pytest.fixture
def clickhouse(tmp_path: Path) -> Iterator[str]:
    """The address of a database that is not there yet."""
    with _running(tmp_path) as url:
        yield url
