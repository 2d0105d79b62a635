"""FOCUS, judged by the FinOps Foundation: its own validator runs the published rules of 1.2, as our manual says."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from export_rig import World
from test_focus import every_sort_of_call, file_of

from taximeter.exporters.forms import Form

pytestmark = pytest.mark.timeout(900)
"""An environment is made when it first runs."""

PYTHON = "3.12"
"""The only one that the validator and the numpy it wants both know."""

MANUAL = Path(__file__).parents[2] / "docs" / "integrations" / "focus.md"
PROGRAM, *TOLD = next(line for line in MANUAL.read_text().splitlines() if line.startswith("focus-validator ")).split()
"""The command of the manual."""

ALTERNATIVE = {"InvoiceId-C-005-C"}
"""No charge is on an invoice: InvoiceId is null by rule 004. 005 is for those that are; 003 wants one of the two."""


def python_of_its_own() -> Path:
    """One of version 3.12. Skips the test without."""
    named = [Path(sys.executable), *(Path(found) for found in [shutil.which(f"python{PYTHON}")] if found)]
    kept = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    asked = "import sys; print('{}.{}'.format(*sys.version_info))"
    for one in (*named, *kept.glob(f"{PYTHON}.*/bin/python{PYTHON}")):
        said = subprocess.run([one, "-c", asked], capture_output=True, text=True, check=False)
        if said.stdout.strip() == PYTHON:
            return one
    pytest.skip(f"no Python {PYTHON}, which the FOCUS validator wants")


@pytest.fixture(scope="module")
def validator(python_with: Callable[..., Path]) -> Path:
    """The folder of an environment with the validator."""
    return python_with("focus-validator", python_of_its_own()).parents[1]


def judged(validator: Path, file: Path, folder: Path) -> Mapping[str, set[str]]:
    """The rules by what became of them: `ok`, `failure`, `error`, `skipped`."""
    package = next((validator / "lib").glob("python*/site-packages/focus_validator"))
    (folder / "focus_validator").symlink_to(package)  # it reads its list of currencies beside where it is started
    report = folder / "report.xml"
    asked = [file if word == "november.csv" else word for word in TOLD]
    command = [validator / "bin" / PROGRAM, *asked, "--output-type", "unittest", "--output-destination", report]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600, check=False)
    assert report.exists(), done.stderr[-2000:]
    found = defaultdict(set)
    for case in ElementTree.parse(report).iter("testcase"):
        found[case[0].tag if len(case) else "ok"].add(str(case.get("name")).partition(" ")[0])
    return found


@pytest.mark.parametrize("form", [Form.csv, Form.parquet])
def test_the_foundations_validator_finds_nothing_wrong(
    here: World, tmp_path: Path, validator: Path, form: Form
) -> None:
    every_sort_of_call(here)
    found = judged(validator, file_of(here, form), tmp_path)
    assert found["failure"] | found["error"] == ALTERNATIVE
    assert "InvoiceId-C-003-C" in found["ok"]
    assert {"BilledCost-C-000-M", "ConsumedQuantity-C-000-C", "PricingQuantity-C-000-M", "Tags-C-000-C"} <= found["ok"]
    assert len(found["ok"]) > 180


def test_and_it_does_find_what_is_wrong(here: World, tmp_path: Path, validator: Path) -> None:
    here.call()
    file = file_of(here)
    file.write_text(file.read_text().replace(",Usage-Based,", ",Sometimes,").replace(",USD,", ",Dollars,"))
    wrong = judged(validator, file, tmp_path)["failure"]
    assert {rule.partition("-C-")[0] for rule in wrong} > {"ChargeFrequency", "BillingCurrency"}
