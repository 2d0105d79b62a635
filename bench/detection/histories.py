"""Labelled histories: what an operator knows of them, and their minutes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Minutes:
    """All minutes of a history. Of minute number i the rows `begins[i]:begins[i + 1]` tell: `cell`, `values`."""

    first: int
    cells: list[tuple[str, str, str]]
    begins: NDArray[np.integer[Any]]
    cell: NDArray[np.integer[Any]]
    values: NDArray[np.floating[Any]]

    def __iter__(self) -> Iterator[tuple[int, NDArray[np.integer[Any]], NDArray[np.floating[Any]]]]:
        for number in range(len(self.begins) - 1):
            span = slice(self.begins[number], self.begins[number + 1])
            yield self.first + number, self.cell[span], self.values[span]


def context(folder: Path) -> dict[str, Any]:
    held: dict[str, Any] = json.loads((folder / "context.json").read_text())
    return held


def minute_of(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) // 60


def holidays(told: dict[str, Any]) -> list[date]:
    return [date.fromisoformat(day) for day in told["holidays"]]


def minute_text(minute: int) -> str:
    return datetime.fromtimestamp(minute * 60, UTC).strftime("%Y-%m-%dT%H:%MZ")


_CELLS = """
create table usage as
select epoch(minute)::bigint // 60 as t, feature::varchar as feature, model::varchar as model,
       user_bucket::varchar as user_bucket, calls, retries, input_tokens, cached_tokens, output_tokens
from read_parquet(?)
"""


def minutes(folder: Path, told: dict[str, Any]) -> Minutes:
    """Every call of the history. What input and output cost follows from the prices the operator knows."""
    with duckdb.connect() as db:
        db.execute("set threads = 1")
        db.execute(_CELLS, [str(folder / "usage.parquet")])
        cells = db.execute("select distinct feature, model, user_bucket from usage order by all").fetchall()
        db.execute(
            "create table cell as select row_number() over (order by feature, model, user_bucket) - 1 as n, * "
            "from (select distinct feature, model, user_bucket from usage)"
        )
        got = db.execute(
            "select t, n, calls, retries, input_tokens, cached_tokens, output_tokens "
            "from usage join cell using (feature, model, user_bucket) order by t, n"
        ).fetchnumpy()
    first, last = minute_of(told["start"]), minute_of(told["end"])
    cell = np.asarray(got["n"], np.int32)
    prices = told["prices_usd_per_mtok"]
    per_million = np.array(
        [[prices[model][kind] for kind in ("input", "cached_input", "output")] for _, model, _ in cells]
    )
    rate = per_million[cell] / 1e6
    tokens, cached, output = (
        np.asarray(got[name], float) for name in ("input_tokens", "cached_tokens", "output_tokens")
    )
    values = np.stack(
        [
            got["calls"],
            got["retries"],
            tokens,
            cached,
            output,
            (tokens - cached) * rate[:, 0] + cached * rate[:, 1],
            output * rate[:, 2],
        ],
        axis=1,
    ).astype(float)
    begins = np.searchsorted(np.asarray(got["t"]), np.arange(first, last + 1))
    return Minutes(first, cells, begins, cell, values)
