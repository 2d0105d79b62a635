"""A folder that files are put into."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

from taximeter.exporters.port import ExportError

DRAFT: Final = ".part"
"""Behind the name of a file that is not whole yet. One that a crash left is written over."""


class Folder:
    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, name: str, file: Path) -> None:
        there = self._root / name
        draft = there.with_name(f".{there.name}{DRAFT}")
        try:
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, draft)
            _sync(draft)
            draft.replace(there)
            _sync(there.parent)
        except OSError as error:
            raise ExportError(f"{there} cannot be written: {error.strerror or error}") from error


def _sync(path: Path) -> None:
    """Have the disk confirm a file, or what a folder names."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
