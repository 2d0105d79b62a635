"""Environments for what wants other versions than everybody else, made when they are first needed."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
UV = Path(sys.executable).with_name("uv")


@pytest.fixture(scope="session")
def python_with() -> Callable[..., Path]:
    return _python_with


def _python_with(name: str, made_by: Path = Path(sys.executable)) -> Path:
    """The Python of an environment with what `requirements/NAME.txt` names. One whose lock has changed is made anew."""
    home, lock = UV.parents[1] / name, ROOT / "requirements" / f"{name}.txt"
    mark, python = home / "installed.txt", home / "bin" / "python"
    with alone_at(home):
        if not mark.exists() or mark.read_bytes() != lock.read_bytes():
            subprocess.run([UV, "venv", "-q", "--clear", "--python", made_by, home], check=True)
            subprocess.run([UV, "pip", "install", "-q", "--python", python, "--require-hashes", "-r", lock], check=True)
            mark.write_bytes(lock.read_bytes())
    return python


@contextmanager
def alone_at(home: Path) -> Iterator[None]:
    """No other process of the tests makes this environment meanwhile: whoever comes second finds it made."""
    with home.with_name(f"{home.name}.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
