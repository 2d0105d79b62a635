"""Model families, which are data: `gpt-4o-2024-08-06` and `openai/gpt-4o` are both `gpt-4o`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml
from sqlglot import expressions as exp

FILE: Final = Path(__file__).with_name("families.yaml")
ANY: Final = "*"
_TAKEN_LITERALLY_BY_NO_ENGINE: Final = "%_\\"


@dataclass(frozen=True, slots=True)
class Family:
    """Models whose names, in lower case, meet one of `patterns`, in which `*` stands for any text."""

    name: str
    patterns: tuple[str, ...]


@cache
def families() -> tuple[Family, ...]:
    """In the order in which they are tried. Raises ValueError for a pattern that engines would read differently."""
    said: list[dict[str, Any]] = yaml.safe_load(FILE.read_text("utf-8"))
    found = tuple(Family(entry["family"], tuple(entry["patterns"])) for entry in said)
    for pattern in (pattern for family in found for pattern in family.patterns):
        if pattern != pattern.lower() or any(letter in pattern for letter in _TAKEN_LITERALLY_BY_NO_ENGINE):
            raise ValueError(f"{FILE.name}: {pattern!r} has capitals or one of {_TAKEN_LITERALLY_BY_NO_ENGINE}")
    return found


def family(model: exp.Expr, known: Sequence[Family] | None = None) -> exp.Expr:
    """The family of a model's name, as an expression over it; null stays null."""
    cases = [
        exp.If(this=exp.or_(*(_meets(model, pattern) for pattern in one.patterns)), true=exp.Literal.string(one.name))
        for one in (families() if known is None else known)
    ]
    return exp.Case(ifs=cases, default=model.copy())  # `when` would copy all before it, each time


def _meets(model: exp.Expr, pattern: str) -> exp.Expr:
    return exp.Like(this=exp.Lower(this=model.copy()), expression=exp.Literal.string(pattern.replace(ANY, "%")))
