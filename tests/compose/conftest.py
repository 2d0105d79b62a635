from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from stored_history import FIRST, NOW, History


@pytest.fixture(scope="session")
def usual_days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the store of the usual calls, to be copied."""
    folder = tmp_path_factory.mktemp("usual") / "days"
    made = History(folder)
    made.calls(FIRST, NOW - 8)
    made.close()
    return folder


@pytest.fixture
def history(usual_days: Path, tmp_path: Path) -> Iterator[History]:
    made = History(shutil.copytree(usual_days, tmp_path / "days"), seed=11)
    yield made
    made.close()
