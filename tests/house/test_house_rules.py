"""Rules about the house itself: what may be imported, what is installed, what is public."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "taximeter"
MODULES = sorted(SOURCE.rglob("*.py"))


def test_the_base_install_needs_nothing_but_python() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["dependencies"] == []


def test_importing_the_sdk_loads_only_the_standard_library_and_few_modules_of_ours() -> None:
    program = (
        "import sys; before = set(sys.modules); import taximeter;print('\\n'.join(sorted(set(sys.modules) - before)))"
    )
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    foreign = {name.split(".")[0] for name in loaded} - set(sys.stdlib_module_names) - {"taximeter"}
    assert foreign == set()
    heavy = {"asyncio", "ssl", "http.client", "urllib.request", "sqlite3", "multiprocessing"}
    assert heavy.isdisjoint(loaded), "the import must stay quick: load these when they are first needed"


def calls_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    return {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_only_clock_reads_the_time(path: Path) -> None:
    if path == SOURCE / "clock.py":
        return
    readers = {"time.time", "time.time_ns", "datetime.now", "datetime.utcnow", "time.monotonic", "time.perf_counter"}
    assert readers.isdisjoint(calls_in(path))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_only_config_reads_the_environment(path: Path) -> None:
    if path.is_relative_to(SOURCE / "config"):
        return
    text = path.read_text()
    assert "os.environ" not in text
    assert "getenv" not in text


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_module_is_a_drawer_for_odds_and_ends(path: Path) -> None:
    assert path.stem not in {"utils", "util", "helpers", "common", "manager", "misc"}


def test_no_two_modules_of_the_tests_have_one_name() -> None:
    """They are imported by it, from whatever folder."""
    names = Counter(path.name for path in (ROOT / "tests").rglob("*.py") if path.stem not in {"conftest", "__init__"})
    assert [name for name, times in names.items() if times > 1] == []


def test_money_is_never_a_float_in_the_nouns() -> None:
    for path in (SOURCE / "core" / "money.py", SOURCE / "core" / "cost.py"):
        names = {node.id for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Name)}
        assert "float" not in names - ({"float"} if path.name == "money.py" else set())


def test_the_repository_names_no_registry_and_no_folder_of_somebodys_machine() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    suspects = [
        ROOT / name for name in listed if name.endswith((".txt", ".toml", ".json", ".py", ".md", ".ts", ".tsx"))
    ]
    forbidden = ("files.python" + "hosted.org", "registry.npm" + "js.org", "/home/" + "runner")
    for path in suspects:
        text = path.read_text(errors="replace") if path.is_file() else ""
        assert not any(word in text for word in forbidden), path
