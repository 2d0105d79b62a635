"""What happened in the last hours, minute by minute, for every scope that is watched: one row each.

A cell is one combination of the dimensions that calls are counted by. It adds to several rows: its feature, its user
within the feature, its model within the feature, its model, its team and so on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Scope = tuple[tuple[str, str], ...]
"""(dimension, value) pairs."""

FEATURE: Final = "feature"
MODEL: Final = "model"
USER: Final = "user_id"

KEPT_MINUTES: Final = 256
"""Minutes that are at hand at least: the longest window and the hour that history lags behind."""

WIDTH: Final = KEPT_MINUTES + 64
"""Columns that are held: everything moves once an hour, when they are full."""

_FIRST_ROWS: Final = 64


class Raw(IntEnum):
    """What is counted of a row in a minute. The last six are counted for the models that are at home in the row."""

    CALLS = 0
    RETRIES = 1
    HOME_CALLS = 2
    INPUT = 3
    CACHED = 4
    OUTPUT = 5
    INPUT_USD = 6
    OUTPUT_USD = 7


class Value(IntEnum):
    """What is counted of a cell in a minute. Money is in floats here: it is weighed, never booked."""

    CALLS = 0
    RETRIES = 1
    INPUT = 2
    CACHED = 3
    OUTPUT = 4
    INPUT_USD = 5
    OUTPUT_USD = 6


class Role(IntEnum):
    """What a row is for."""

    GROUP = 0
    """All calls with one value of one dimension."""
    SPENDER = 1
    """One user within a feature."""
    MIX = 2
    """One model within a feature."""
    MODEL = 3
    """All calls of a model."""


class Panel:
    """`raw[what, row, column]`; `column(minute)` says which, for the minutes from `oldest` to `newest`."""

    def __init__(self, dimensions: Sequence[str], grouped: Sequence[str]) -> None:
        """A cell's key has a value, or None, for each of `dimensions`; `grouped` are those that get rows alone."""
        self.dimensions = tuple(dimensions)
        self._place = {name: place for place, name in enumerate(self.dimensions)}
        self._grouped = tuple(grouped)
        self.scopes: list[Scope] = []
        self.row_of: dict[Scope, int] = {}
        self.role = np.zeros(0, np.int8)
        self.parent = np.zeros(0, np.int32)
        self.born = np.zeros(0, np.int64)
        self.raw = np.zeros((len(Raw), 0, WIDTH), np.float32)
        self.cells: dict[tuple[str | None, ...], int] = {}
        self.cell_mix: list[int] = []
        self._cell_rows = np.full((0, 3 + len(self._grouped)), -1, np.int32)
        self._of_role: dict[tuple[Role, ...], NDArray[np.bool_]] = {}
        self.first = 0
        self.newest = -1

    @property
    def rows(self) -> int:
        return len(self.scopes)

    @property
    def oldest(self) -> int:
        return max(self.first, self.newest - KEPT_MINUTES + 1)

    def column(self, minute: int) -> int:
        return minute - self.first

    def of_role(self, *roles: Role) -> NDArray[np.bool_]:
        held = self._of_role.get(roles)
        if held is None or len(held) != self.rows:
            held = self._of_role[roles] = np.isin(self.role[: self.rows], roles)
        return held

    def alike(self, minute: int) -> NDArray[np.integer[Any]]:
        """How many users were watched one by one before `minute`, for a row that is one of them; 1 for other rows."""
        spenders = self.of_role(Role.SPENDER) & (self.born[: self.rows] < minute)
        return np.where(spenders, np.count_nonzero(spenders), 1)

    # ── rows and cells ─────────────────────────────────────────────────────────────────────────────────────────

    def cell(self, key: tuple[str | None, ...], minute: int) -> int:
        """The number of a cell. Rows that it is the first to need begin at `minute`."""
        number = self.cells.get(key)
        if number is None:
            number = self.cells[key] = len(self.cells)
            self._learn_cell(number, key, minute)
        return number

    def _learn_cell(self, number: int, key: tuple[str | None, ...], minute: int) -> None:
        scopes = self._scopes(key)
        rows = [-1 if scope is None else self._row(scope, role, minute) for scope, role in scopes]
        if number >= len(self._cell_rows):
            more = np.full((max(64, number), self._cell_rows.shape[1]), -1, np.int32)
            self._cell_rows = np.concatenate([self._cell_rows, more])
        self._cell_rows[number] = rows
        self.cell_mix.append(rows[1])

    def _scopes(self, key: tuple[str | None, ...]) -> list[tuple[Scope | None, Role]]:
        def value(name: str) -> str | None:
            return key[self._place[name]] if name in self._place else None

        def scope(*names: str) -> Scope | None:
            pairs = tuple((name, value(name)) for name in names)
            return None if any(held is None for _, held in pairs) else pairs  # type: ignore[return-value]

        return [
            (scope(FEATURE, USER), Role.SPENDER),
            (scope(FEATURE, MODEL), Role.MIX),
            (scope(MODEL), Role.MODEL),
            *((scope(name), Role.GROUP) for name in self._grouped),
        ]

    def _row(self, scope: Scope, role: Role, minute: int) -> int:
        row = self.row_of.get(scope)
        if row is None:
            parent = self._row(scope[:1], Role.GROUP, minute) if len(scope) > 1 else -1
            row = self.row_of[scope] = len(self.scopes)
            self.scopes.append(scope)
            self._grow(row)
            self.role[row], self.parent[row], self.born[row] = role, parent, minute
        return row

    def _grow(self, row: int) -> None:
        if row < len(self.role):
            return
        more = max(_FIRST_ROWS, row // 2)
        self.role = np.concatenate([self.role, np.zeros(more, np.int8)])
        self.parent = np.concatenate([self.parent, np.full(more, -1, np.int32)])
        self.born = np.concatenate([self.born, np.zeros(more, np.int64)])
        self.raw = np.concatenate([self.raw, np.zeros((len(Raw), more, WIDTH), np.float32)], axis=1)

    def rename(self, dimension: str, names: Mapping[str, str]) -> None:
        """Values of a dimension are called otherwise from now on; their rows stay what they are."""
        place = self._place[dimension]
        self.scopes = [renamed(scope, dimension, names) for scope in self.scopes]
        self.row_of = {scope: row for row, scope in enumerate(self.scopes)}
        self.cells = {
            (*key[:place], _named(key[place], names), *key[place + 1 :]): cell for key, cell in self.cells.items()
        }

    # ── minutes ────────────────────────────────────────────────────────────────────────────────────────────────

    def advance(self, minute: int) -> int:
        """Make room for `minute`, the newest from now on. By how many columns everything has moved."""
        if self.newest < 0:
            self.first = minute - KEPT_MINUTES + 1
        moved = 0
        if minute - self.first >= WIDTH:
            keep_from = minute - KEPT_MINUTES + 1
            moved = min(keep_from - self.first, WIDTH)
            for held in self.raw:
                held[:, : WIDTH - moved] = held[:, moved:]
                held[:, WIDTH - moved :] = 0
            self.first = keep_from
        self.newest = max(self.newest, minute)
        return moved

    def put(self, minute: int, cells: NDArray[np.integer[Any]], values: NDArray[np.floating[Any]], home: Any) -> None:
        """What is known of `minute` now: `values[cell, Value]`. What was known before is forgotten."""
        column = self.column(minute)
        self.raw[:, :, column] = 0
        if not len(cells):
            return
        mine = home[cells]
        rows = self._cell_rows[cells]
        held = rows >= 0
        flat = rows[held]
        cell = np.broadcast_to(np.arange(len(cells))[:, None], rows.shape)[held]
        for raw, value, homely in _COUNTED:
            amounts = values[:, value] * mine if homely else values[:, value]
            counted = np.bincount(flat, weights=amounts[cell], minlength=self.rows)
            self.raw[raw, : self.rows, column] = counted


_COUNTED: Final = (
    (Raw.CALLS, Value.CALLS, False),
    (Raw.RETRIES, Value.RETRIES, False),
    (Raw.HOME_CALLS, Value.CALLS, True),
    (Raw.INPUT, Value.INPUT, True),
    (Raw.CACHED, Value.CACHED, True),
    (Raw.OUTPUT, Value.OUTPUT, True),
    (Raw.INPUT_USD, Value.INPUT_USD, True),
    (Raw.OUTPUT_USD, Value.OUTPUT_USD, True),
)


def _named(value: str | None, names: Mapping[str, str]) -> str | None:
    return None if value is None else names.get(value, value)


def renamed(scope: Scope, dimension: str, names: Mapping[str, str]) -> Scope:
    return tuple((name, names.get(value, value) if name == dimension else value) for name, value in scope)


def as_dict(scope: Scope) -> Mapping[str, str]:
    return dict(scope)
