"""Without the server's packages the command says in one line how to get them."""

from __future__ import annotations

import subprocess
import sys

WITHOUT_TYPER = """
import importlib.util, sys
real = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "typer" else real(name, *rest)
from taximeter.__main__ import main
main()
"""


def test_the_base_install_says_what_is_missing() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_TYPER], capture_output=True, text=True, timeout=110)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "pip install 'taximeter[server]'" in done.stderr
