"""What holds for all tests: none of them is timed, on a busy machine they are only slower."""

from __future__ import annotations

import os
import sys
import threading

import pytest
from httpx._config import DEFAULT_TIMEOUT_CONFIG
from hypothesis import HealthCheck, settings

from certificate_here import certificate
from clickhouse_process import clickhouse, clickhouse_in
from environments_here import python_with
from javascript_here import javascript
from postgres_here import own_postgres, postgres_database, postgres_server

__all__ = [
    "certificate",
    "clickhouse",
    "clickhouse_in",
    "javascript",
    "own_postgres",
    "postgres_database",
    "postgres_server",
    "python_with",
]

settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

PATIENCE_SECONDS = 90.0
"""Of a test's own client of HTTP, which gives up after five seconds by itself: less than a busy machine may need."""

for _phase in vars(DEFAULT_TIMEOUT_CONFIG):
    setattr(DEFAULT_TIMEOUT_CONFIG, _phase, PATIENCE_SECONDS)

USUAL_EXAMPLES = 20
"""So many of a property fit into the time limit of a test; `PROPERTY_EXAMPLES` may ask for more."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """More of them may take longer."""
    asked = int(os.environ.get("PROPERTY_EXAMPLES", USUAL_EXAMPLES))
    if asked > USUAL_EXAMPLES:
        longer = pytest.mark.timeout(float(config.getini("timeout")) * asked / USUAL_EXAMPLES)
        for item in items:
            if item.get_closest_marker("timeout") is None:
                item.add_marker(longer)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes that are no text are called as their parameter is: packed ones may hold the time they were packed at, and
    processes that share the tests must know them by the same names."""
    return argname if isinstance(val, bytes) and (not val.isascii() or b"\0" in val) else None


ENDED_BY_PYTEST = pytest.StashKey[int]()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    session.config.stash[ENDED_BY_PYTEST] = int(exitstatus)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """A test that failed may leave a thread that never ends; the run ends all the same, and says which it was."""
    status = config.stash.get(ENDED_BY_PYTEST, None)
    left = [thread for thread in threading.enumerate() if not thread.daemon and thread is not threading.main_thread()]
    for thread in left:
        thread.join(10)
    stuck = [thread.name for thread in left if thread.is_alive()]
    if stuck and status is not None:
        print(f"threads that tests left behind: {', '.join(stuck)}", file=sys.stderr, flush=True)
        sys.stdout.flush()
        os._exit(status)
