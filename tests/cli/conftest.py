"""Whoever waits for a server has the time that each of these waits may take."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

SLOWEST_SECONDS: Final = 400
"""A start, a wait, an end and some commands, where the machine is busy."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        of_a_server = isinstance(item, pytest.Function) and hasattr(item.module, "running")
        if of_a_server and item.path.parent == Path(__file__).parent and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(SLOWEST_SECONDS))
