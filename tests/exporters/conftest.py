"""A world of its own for each test."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from export_rig import World, world


@pytest.fixture(scope="session")
def nothing_yet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of stores that have nothing: copying them spares every test to make the schemas."""
    folder = tmp_path_factory.mktemp("nothing")
    with world(folder):
        return folder


@pytest.fixture
def here(nothing_yet: Path, tmp_path: Path) -> Iterator[World]:
    shutil.copytree(nothing_yet, tmp_path, dirs_exist_ok=True)
    with world(tmp_path) as one:
        yield one


@pytest.fixture(scope="session")
def agent(python_with: Callable[..., Path]) -> Path:
    """The program in the wheel. Skips the test where it cannot run."""
    found = next((python_with("rotel").parents[1] / "lib").glob("python*/site-packages/rotel/rotel-agent"))
    tried = subprocess.run([found, "--help"], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        pytest.skip(f"the collector does not run here: {tried.stderr.strip()}")
    return found
