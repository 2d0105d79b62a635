"""Statements whose values stand beside them.

Building a tree and saying it in an engine's words takes thirty times as long as a small answer does, and the same
questions come again and again with other values. So a tree has slots where values belong; it is built and said once for
each *shape*, which is all that decides about the text, and the values are handed to the engine for each call.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from sqlglot import expressions as exp

from taximeter.clock import to_datetime

TEXTS_KEPT: Final = 512
"""Texts of statements that an engine keeps, the most recently asked ones."""


@dataclass(frozen=True, slots=True)
class Slot:
    """Where a value belongs in a statement; the first one has number 1. One of `many` has a tuple of texts."""

    number: int
    many: bool = False


@dataclass(frozen=True, slots=True)
class Statement:
    """A tree that is built from its shape, and the values of the slots in it: text, numbers, flags, moments (UTC,
    without a zone) and tuples of texts."""

    build: Callable[[Any], exp.Query]
    shape: Hashable
    values: tuple[Any, ...]


@dataclass(slots=True)
class Slots:
    """Values of a statement that is being made."""

    values: list[Any] = field(default_factory=list)
    named: dict[str, Slot] = field(default_factory=dict)

    def name(self, text: str) -> Slot:
        """The same slot for the same name."""
        if text not in self.named:
            self.named[text] = self.of(text)
        return self.named[text]

    def of(self, value: Any) -> Slot:
        self.values.append(value)
        return Slot(len(self.values))

    def many(self, texts: tuple[str, ...]) -> Slot:
        self.values.append(texts)
        return Slot(len(self.values), many=True)

    def moment(self, moment_us: int) -> Slot:
        return self.of(to_datetime(moment_us).replace(tzinfo=None))

    def number(self, value: Decimal) -> Slot:
        """A whole number is one for the engine too: columns of counts would be read as decimals otherwise."""
        return self.of(int(value) if value == value.to_integral_value() else value)

    def statement(self, build: Callable[[Any], exp.Query], shape: Hashable) -> Statement:
        return Statement(build, shape, tuple(self.values))


def placed(slot: Slot) -> exp.Expr:
    """The node of a slot in a tree."""
    return exp.Parameter(this=exp.Literal.number(slot.number))


def moment_of(value: int | Slot) -> exp.Expr:
    """A moment, microseconds since the epoch, as a literal of the stores' timestamp type: UTC, without a zone."""
    if isinstance(value, Slot):
        return placed(value)
    return exp.cast(exp.Literal.string(moment_text(to_datetime(value))), exp.DataType.Type.TIMESTAMP)


def moment_text(moment: datetime) -> str:
    return moment.replace(tzinfo=None).isoformat(sep=" ", timespec="microseconds")
