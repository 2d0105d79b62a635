"""An environment for each instrumentation, made when it is first needed: they bear neither each other nor ours."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
LOCKS = ROOT / "requirements" / "emitters"
PLACE = ROOT / ".venv" / "emitters"
UV = Path(sys.executable).parent / "uv"


def python_of(name: str) -> Path:
    """The Python of an environment with what its lock file names. One whose lock has changed is made anew."""
    lock, place = LOCKS / f"{name}.txt", PLACE / name
    built, wanted = place / "lock.txt", lock.read_text()
    if not built.exists() or built.read_text() != wanted:
        shutil.rmtree(place, ignore_errors=True)
        subprocess.run([UV, "venv", "-q", "--python", sys.executable, place], check=True)
        python = place / "bin" / "python"
        subprocess.run([UV, "pip", "install", "-q", "--python", python, "--require-hashes", "-r", lock], check=True)
        built.write_text(wanted)
    return place / "bin" / "python"
