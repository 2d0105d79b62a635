"""The page's types are those of the server. `python scripts/page.py types` writes them anew."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from taximeter.store.events.vocabulary import GROUPABLE, MEASURES, MOMENTS

ROOT = Path(__file__).resolve().parents[2]
UI = ROOT / "ui"
GENERATOR = UI / "node_modules" / ".bin" / "openapi-typescript"
AFRESH = "run `python scripts/page.py types` and commit what it writes"


def page_script() -> ModuleType:
    specification = importlib.util.spec_from_file_location("page_script", ROOT / "scripts" / "page.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_the_committed_description_is_what_the_server_says_of_itself() -> None:
    assert (UI / "openapi.json").read_text() == page_script().openapi_text(), AFRESH


@pytest.mark.skipif(sys.platform == "win32", reason="the generator is started as a script")
def test_the_committed_types_are_made_from_the_description() -> None:
    if not GENERATOR.exists():
        pytest.skip("ui/node_modules is not installed: run `make page`")
    made = subprocess.run(
        [GENERATOR, "openapi.json"], cwd=UI, env=page_script().with_node(), capture_output=True, text=True, check=True
    )
    assert made.stdout.strip() == (UI / "src" / "api" / "schema.ts").read_text().strip(), AFRESH


def names_in(file: str, line: str) -> set[str]:
    return set(re.findall(line, (UI / "src" / "view" / file).read_text(), re.MULTILINE))


def test_the_page_offers_every_measure_of_the_server() -> None:
    assert names_in("measures.ts", r"^  (\w+): (?:sum|rate)\(") == MEASURES.keys() - MOMENTS.keys()


def test_the_page_groups_by_what_the_server_knows() -> None:
    named = names_in("names.ts", r'^  (\w+): "')
    assert "feature" in named
    assert named <= set(GROUPABLE)
