"""Where words go: answers to stdout, everything else to stderr."""

from __future__ import annotations

import sys
from typing import Final

from rich.console import Console

PIPED_COLUMNS: Final = 200
"""Width of tables that are not for a terminal: nothing needs to be cut there."""

OUT: Final = Console(highlight=False, width=None if sys.stdout.isatty() else PIPED_COLUMNS)
ERR: Final = Console(stderr=True, highlight=False)


def write(text: str) -> None:
    """Text as it is, without any markup."""
    sys.stdout.write(text if text.endswith("\n") else text + "\n")


def note(text: str) -> None:
    """A line for people, beside the answer."""
    ERR.print(text, style="dim", markup=False, soft_wrap=True)


def complain(text: str) -> None:
    """One line on stderr."""
    sys.stderr.write(f"taximeter: {' '.join(text.split())}\n")
