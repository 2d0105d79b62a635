"""Every example in the README and the manual: the blocks between fences."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
_FENCE: Final = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_TELLS: Final = re.compile(r"taximeter [a-z]+ {2,}[^ #]")
"""A line of a list: a command, and what it does."""


@dataclass(frozen=True, slots=True)
class Block:
    """An example: its page, the number that it has there from 1, what language it says it is ("" for none)."""

    page: str
    number: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}#{self.number}"

    @property
    def commands(self) -> list[str]:
        """The lines that call taximeter; of a list that says what each command does, none."""
        lines = [line.removeprefix("$ ") for line in self.text.replace("\\\n", " ").splitlines()]
        return [line for line in lines if re.match(r"taximeter [a-z]", line) and not _TELLS.match(line)]


def _blocks() -> Iterator[Block]:
    for file in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        page = str(file.relative_to(ROOT))
        for number, (language, text) in enumerate(_FENCE.findall(file.read_text()), start=1):
            yield Block(page, number, language, text)


BLOCKS: Final = list(_blocks())


def words(command: str) -> list[str]:
    """The words of a command, without a comment and without where its output goes."""
    return shlex.split(command.split(" > ")[0], comments=True)


def of(page: str, language: str) -> list[Block]:
    return [block for block in BLOCKS if (block.page, block.language) == (page, language)]
