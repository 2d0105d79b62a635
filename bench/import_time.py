"""The base install: what it pulls in, and how long `import taximeter` takes.

    python -m bench.import_time [--processes 20]

A wheel is built from this tree and installed without any extra into a fresh virtual environment. Fresh processes
with and without the import take turns; the difference of the medians is what a program pays for it.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.figures import Promise, Result, show, wide_console

TREE = Path(__file__).resolve().parents[1]
BOUND_MS = 50.0
BOUND_PACKAGES = 2
PROCESSES = 20
PLAIN_ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
"""Without what changes Python's start, above all PYTHONDONTWRITEBYTECODE: every start would compile anew."""


@dataclass(frozen=True)
class Start:
    """One process from its start to its end, in milliseconds."""

    wall_ms: float
    cpu_ms: float


def uv() -> str:
    return shutil.which("uv") or str(Path(sys.executable).with_name("uv"))


def base_install(folder: Path) -> Path:
    """The Python of a fresh environment that has nothing but the wheel and what it asks for."""
    subprocess.run([uv(), "build", "--quiet", "--wheel", "--out-dir", str(folder / "dist"), str(TREE)], check=True)
    (wheel,) = (folder / "dist").glob("*.whl")
    environment = folder / "base"
    python = environment / "bin" / "python"
    subprocess.run([uv(), "venv", "--quiet", "--python", sys.executable, str(environment)], check=True)
    subprocess.run([uv(), "pip", "install", "--quiet", "--python", str(python), str(wheel)], check=True)
    return python


def companions(python: Path) -> list[str]:
    """The distributions that came along with taximeter."""
    command = [uv(), "pip", "list", "--quiet", "--format", "json", "--python", str(python)]
    listed = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return [entry["name"] for entry in listed if entry["name"] != "taximeter"]


def installed_bytes(python: Path) -> int:
    """Everything in site-packages, without the compiled files that Python adds."""
    (packages,) = python.parents[1].glob("lib/python*/site-packages")
    return sum(f.stat().st_size for f in packages.rglob("*") if f.is_file() and f.suffix != ".pyc")


def imported_modules(python: Path) -> int:
    code = "import sys; bare = set(sys.modules); import taximeter; print(len(set(sys.modules) - bare))"
    return int(subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True).stdout)


def start(python: Path, code: str) -> Start:
    before, began = _children_cpu_seconds(), time.perf_counter()
    subprocess.run([str(python), "-c", code], check=True, env=PLAIN_ENVIRONMENT)
    wall_seconds = time.perf_counter() - began
    return Start(wall_seconds * 1000, (_children_cpu_seconds() - before) * 1000)


def _children_cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def medians(starts: Sequence[Start]) -> Start:
    return Start(statistics.median(s.wall_ms for s in starts), statistics.median(s.cpu_ms for s in starts))


def result(processes: int = PROCESSES) -> Result:
    with tempfile.TemporaryDirectory() as folder:
        python = base_install(Path(folder))
        others, size = companions(python), installed_bytes(python)
        cold = start(python, "import taximeter")  # compiles the modules, as the first run after an installation does
        pairs = [(start(python, "pass"), start(python, "import taximeter")) for _ in range(processes)]
        modules = imported_modules(python)
    bare, importing = medians([a for a, _ in pairs]), medians([b for _, b in pairs])
    rows = {
        "python -c pass": {"wall ms": bare.wall_ms, "CPU ms": bare.cpu_ms},
        "python -c 'import taximeter'": {"wall ms": importing.wall_ms, "CPU ms": importing.cpu_ms},
        "difference": {"wall ms": importing.wall_ms - bare.wall_ms, "CPU ms": importing.cpu_ms - bare.cpu_ms},
        "first import, nothing compiled": {"wall ms": cold.wall_ms - bare.wall_ms, "CPU ms": cold.cpu_ms - bare.cpu_ms},
    }
    promises = [
        Promise("import taximeter", importing.wall_ms - bare.wall_ms, BOUND_MS, "ms"),
        Promise("packages pulled in", len(others), BOUND_PACKAGES, "packages"),
    ]
    named = ", ".join(others) or "no package"
    notes = [
        f"medians of {processes} fresh processes; {modules} modules are imported",
        f"the base install brings {named}; with taximeter itself {size / 1e6:.1f} MB",
    ]
    return Result("import", "Import: the base install, without any extra", rows, promises, notes)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--processes", type=int, default=PROCESSES)
    found = result(parser.parse_args(arguments).processes)
    show(found, wide_console())
    return int(not found.met)


if __name__ == "__main__":
    sys.exit(main())
