"""What others wrote in JavaScript, run by Node.js: the packages of `requirements/javascript/`."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from environments_here import alone_at

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements" / "javascript"
HOME = Path(sys.executable).parents[1] / "javascript"
INSTALL = ["npm", "ci", "--prefer-offline", "--no-progress", "--loglevel=error"]


@pytest.fixture(scope="session")
def javascript() -> Callable[..., str]:
    """Runs a module. Takes minutes when it is first asked for: a test that does needs the time."""
    return JavaScript().run


class JavaScript:
    """The packages, installed when they are first needed. Those whose lock has changed are installed anew."""

    def __init__(self) -> None:
        self._environment = _with_node()
        mark, lock = HOME / "installed.json", LOCK / "package-lock.json"
        with alone_at(HOME):
            if not mark.exists() or mark.read_bytes() != lock.read_bytes():
                shutil.rmtree(HOME, ignore_errors=True)
                shutil.copytree(LOCK, HOME)
                _installed(self._environment)
                mark.write_bytes(lock.read_bytes())

    def run(self, program: str, *arguments: str, environment: Mapping[str, str] | None = None) -> str:
        """What a module says on its standard output. What it imports is looked for among the packages."""
        done = subprocess.run(
            ["node", "--input-type=module", "-", *arguments],
            input=program, cwd=HOME, env={**self._environment, **(environment or {})},
            capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout


def _installed(environment: Mapping[str, str]) -> None:
    """Skips the test where npm's registry cannot be reached: what the product does is not known then."""
    try:
        subprocess.run(INSTALL, cwd=HOME, env=environment, capture_output=True, text=True, check=True, timeout=600)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"the packages cannot be installed: {error.stderr}")
    except subprocess.TimeoutExpired as error:
        pytest.skip(f"the packages cannot be installed: {error}")


def _with_node() -> dict[str, str]:
    """The environment that the page is built in."""
    specification = importlib.util.spec_from_file_location("page_script", ROOT / "scripts" / "page.py")
    assert specification is not None
    assert specification.loader is not None
    script = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(script)
    found: dict[str, str] = script.with_node()
    return found
