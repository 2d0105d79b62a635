"""Other tools read what is spent: each gives the same month, to the last digit."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import httpx
import pytest
from export_rig import record
from power_query import Get, QueryError, Table, Type, carry_out, typed
from server_rig import eventually, server

import taximeter
from taximeter.clock import to_unix_us

ROOT = Path(__file__).parents[2]
MANUALS = ROOT / "docs" / "integrations"
pytestmark = pytest.mark.timeout(360)
MAY_INSTALL = pytest.mark.timeout(900)
"""Of a test that installs what others wrote when it first runs."""
CALLS = 300
MONTH = datetime(2026, 10, 1, tzinfo=UTC)
SINCE, UNTIL = "2026-10-01", "2026-11-01"

Spend = dict[tuple[str | None, str], tuple[Decimal, int]]
"""Cost and calls by feature and model."""


@dataclass(frozen=True)
class Served:
    url: str
    key: str

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "TAXIMETER_URL": self.url, "TAXIMETER_KEY": self.key}

    def ask(self, **question: Any) -> dict[str, Any]:
        answer = httpx.post(
            f"{self.url}/api/v1/query", json=question, headers={"authorization": f"Bearer {self.key}"}, timeout=60
        )
        found: dict[str, Any] = answer.raise_for_status().json()
        return found

    def curl(self, form: str, to: Path) -> Path:
        """The month as a file, fetched as the manual says."""
        asked = f"measures=cost_usd,calls&group_by=feature,model&from={SINCE}&to={UNTIL}&format={form}"
        command = ["curl", "-sSf", "-H", f"Authorization: Bearer {self.key}", f"{self.url}/api/v1/query?{asked}"]
        subprocess.run([*command, "-o", str(to)], check=True, timeout=60)
        return to


def calls_of_the_month() -> list[dict[str, Any]]:
    chance, calls = Random(8), []
    for number in range(CALLS):
        at_us = to_unix_us(MONTH) + chance.randrange(31 * 86_400) * 1_000_000
        told = record(
            at_us,
            number,
            feature=chance.choice(("chat", "search, deep", None)),
            request_model=chance.choice(("gpt-4o", "gpt-4o-mini")),
            input_tokens=chance.randrange(100_000),
            output_tokens=chance.randrange(10_000),
        )
        del told["cost_usd"]
        calls.append({name: value for name, value in told.items() if value is not None})
    return calls


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with server(tmp_path_factory.mktemp("served")) as (url, key):
        here = Served(url, key)
        headers = {"authorization": f"Bearer {key}"}
        httpx.post(f"{url}/v1/events", json=calls_of_the_month(), headers=headers, timeout=60).raise_for_status()
        assert eventually(
            lambda: here.ask(measures=["calls"], **{"from": SINCE, "to": UNTIL})["totals"]["calls"] == CALLS
        )
        yield here


@pytest.fixture(autouse=True)
def by_the_environment(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAXIMETER_URL", served.url)
    monkeypatch.setenv("TAXIMETER_KEY", served.key)


def _text(value: Any) -> str | None:
    """What is not there is None, an empty cell, or pandas' NaN."""
    return value if isinstance(value, str) and value else None


def spend_of(rows: Sequence[Mapping[Any, Any]]) -> Spend:
    return {(_text(row["feature"]), row["model"]): (Decimal(str(row["cost_usd"])), int(row["calls"])) for row in rows}


def test_the_odata_feed_asked_as_its_manual_says_has_the_sums_of_the_page(served: Served) -> None:
    (command,) = re.findall(r"```sh\n(curl .+?)```", (MANUALS / "odata.md").read_text(), re.DOTALL)
    told = subprocess.run(["bash", "-c", command], check=True, timeout=60, capture_output=True, env=served.environment)
    rows = json.loads(told.stdout, parse_float=Decimal)["value"]
    page = served.ask(measures=["cost_usd"], **{"from": SINCE, "to": UNTIL})
    assert sum(row["cost_usd"] for row in rows) == Decimal(page["totals"]["cost_usd"])
    assert min(row["date"] for row in rows) >= SINCE


def test_pandas_polars_duckdb_and_curl_read_the_same_month(served: Served, tmp_path: Path) -> None:
    page = served.ask(measures=["cost_usd", "calls"], group_by=["feature", "model"], **{"from": SINCE, "to": UNTIL})
    month = taximeter.query("cost_usd,calls", group_by="feature,model", since=SINCE, until=UNTIL)
    with served.curl("csv", tmp_path / "month.csv").open(newline="") as file:
        by_curl = list(csv.DictReader(file))
    parquet = served.curl("parquet", tmp_path / "month.parquet")
    by_duckdb = duckdb.connect().execute(f"SELECT feature, model, cost_usd, calls FROM '{parquet}'")
    names = [column[0] for column in by_duckdb.description]
    read = {
        "pandas": month.to_pandas().to_dict("records"),
        "polars": month.to_polars().to_dicts(),
        "Arrow": month.to_arrow().to_pylist(),
        "DuckDB": [dict(zip(names, row, strict=True)) for row in by_duckdb.fetchall()],
        "curl": by_curl,
    }
    told = spend_of(page["rows"])
    assert len(told) == 6
    assert {name: spend_of(rows) for name, rows in read.items()} == dict.fromkeys(read, told)
    whole = Decimal(page["totals"]["cost_usd"])
    assert whole == month.to_pandas()["cost_usd"].sum() == month.to_polars()["cost_usd"].sum()
    assert month.totals == {"cost_usd": whole, "calls": CALLS}


def test_rows_have_types() -> None:
    found = taximeter.query(
        ["cost_usd", "calls", "cache_hit_rate"], group_by=["user"], since=MONTH, until=UNTIL, interval="day",
        timezone="Europe/Berlin", limit=1,
    )  # fmt: skip
    assert found.columns == ("time", "user_id", "cost_usd", "calls", "cache_hit_rate", "other")
    row = next(iter(found))
    assert [type(row[name]) for name in found.columns] == [datetime, str, Decimal, int, float, bool]
    assert str(found.to_polars().schema["cost_usd"]) == "Decimal(precision=38, scale=12)"
    assert str(found.to_arrow().schema.field("cost_usd").type) == "decimal128(38, 12)"


@pytest.mark.parametrize("table", ["to_pandas", "to_polars", "to_arrow"])
def test_nothing_is_a_table_too(table: str) -> None:
    none = taximeter.query("cost_usd", group_by="team", filters={"feature": "nothing"}, since=SINCE, until=UNTIL)
    assert len(none) == 0
    names = getattr(getattr(none, table)(), "column_names" if table == "to_arrow" else "columns")
    assert list(names) == ["team", "cost_usd"]


def test_columns_of_a_file_are_the_same_whatever_is_in_it(served: Served) -> None:
    headers = {"authorization": f"Bearer {served.key}"}
    asked: dict[str, Any] = {
        "measures": "cost_usd,latency_ms_p95,last_seen",
        "group_by": "user,tags.x",
        "interval": "day",
        "limit": 5,
    }
    for user in ("ann", "nobody"):
        answer = httpx.get(
            f"{served.url}/api/v1/query", params={**asked, "from": SINCE, "user": user}, headers=headers, timeout=60
        )
        heads = answer.raise_for_status().text.splitlines()[0]
        assert heads == "time,user_id,tags.x,cost_usd,latency_ms_p95,last_seen,other"


def test_mistakes_are_the_servers(served: Served) -> None:
    with pytest.raises(taximeter.TaximeterError, match="unknown measure 'money'"):
        taximeter.query("money")
    with pytest.raises(taximeter.TaximeterError, match="does not answer"):
        taximeter.query(url="http://127.0.0.1:9")
    with pytest.raises(taximeter.TaximeterError):
        taximeter.query(key="tm_read_nobody")


def blocks(language: str) -> list[Any]:
    """Examples of the manuals about reading."""
    pattern = re.compile(rf"^```{language}\n(.*?)^```", re.DOTALL | re.MULTILINE)
    files = [MANUALS / f"{name}.md" for name in ("notebooks", "powerbi", "focus")]
    return [
        pytest.param(found, id=f"{file.stem}-{number}")
        for file in files
        for number, found in enumerate(pattern.findall(file.read_text()))
    ]


@pytest.mark.parametrize("example", blocks("python"))
def test_the_python_of_the_manual_runs(example: str) -> None:
    exec(compile(example, "manual", "exec"), {})


@pytest.mark.parametrize("example", blocks("sh"))
def test_the_commands_of_the_manual_run(example: str, served: Served, tmp_path: Path) -> None:
    programs = f"{Path(sys.executable).parent}{os.pathsep}{served.environment['PATH']}"
    surroundings = {**served.environment, "PATH": programs}
    done = subprocess.run(
        ["bash", "-euc", example], cwd=tmp_path, env=surroundings, capture_output=True, text=True, timeout=110
    )
    assert done.returncode == 0, done.stderr
    made = list(tmp_path.iterdir())
    assert made == [] or all(file.stat().st_size for file in made)


def in_m(javascript: Callable[..., str], *queries: str) -> list[dict[str, Any]]:
    """The trees of queries, or what is wrong with them."""
    program = Path(__file__).with_name("power_query.mjs").read_text()
    told: list[dict[str, Any]] = json.loads(javascript(program, *queries))
    return told


def tables_of(
    javascript: Callable[..., str], queries: Sequence[str], key: str, user: tuple[str, str] | None = None
) -> list[Table]:
    return [carry_out(told["tree"], {"TaximeterKey": key}, Get(user)) for told in in_m(javascript, *queries)]


def since_the_month(query: str) -> str:
    return re.sub(r'from = "\w+"', f'from = "{SINCE}"', query)


def exact(column: Sequence[float | None]) -> Decimal:
    """The sum of numbers as they are shown."""
    return sum((Decimal(repr(number)) for number in column if number is not None), Decimal(0))


MEASURED_IN_M = ("cost_usd", "calls", "input_tokens", "output_tokens")
TYPES_IN_M: dict[str, type | tuple[type, ...]] = {
    "type text": str,
    "type number": float,
    "type datetimezone": datetime,
    "Int64.Type": int,
}


@MAY_INSTALL
@pytest.mark.parametrize("example", blocks("powerquery"))
def test_a_query_in_m_gives_a_table_with_the_sums_of_the_page(
    example: str, served: Served, javascript: Callable[..., str]
) -> None:
    """Power Query itself runs on Windows only: Microsoft's parser reads the query, `power_query.py` carries it out."""
    here = example.replace("http://127.0.0.1:8787", served.url)
    assert here != example
    as_written, table = tables_of(javascript, [here, since_the_month(here)], served.key)
    assert as_written.columns == table.columns
    page = served.ask(measures=MEASURED_IN_M, **{"from": SINCE})["totals"]
    if "BilledCost" in table.columns:
        assert exact(table.column("BilledCost")) == Decimal(page["cost_usd"])
    else:
        assert {name: exact(table.column(name)) for name in MEASURED_IN_M} == {
            name: Decimal(page[name]) for name in MEASURED_IN_M
        }
    assert table.types
    for column, kind in table.types.items():
        assert all(isinstance(cell, TYPES_IN_M[kind]) for cell in table.column(column) if cell is not None), column


@MAY_INSTALL
def test_the_query_in_m_of_the_odata_feed_gives_a_table_with_the_sums_of_the_page(
    served: Served, javascript: Callable[..., str]
) -> None:
    (example,) = re.findall(r"```powerquery\n(.*?)```", (MANUALS / "odata.md").read_text(), re.DOTALL)
    here = example.replace("http://127.0.0.1:8787", served.url)
    (table,) = tables_of(javascript, [here], served.key, ("any", served.key))
    page = served.ask(measures=["cost_usd", "calls"], **{"from": SINCE, "to": UNTIL})["totals"]
    assert exact(table.column("cost_usd")) == Decimal(page["cost_usd"])
    assert sum(table.column("calls")) == page["calls"] == CALLS
    assert table.columns == ["date", "model", "cost_usd", "calls"]


REFUSED_IN_M = {
    'Table.Pivot("x")': "'Table.Pivot' was not recognized",
    "NoSuchParameter": "'NoSuchParameter' was not recognized",
    'Web.Contents("URL", [Timeout = 5])': "'Timeout'.* not valid options",
    'Web.Contents("URL", [RelativePath = "api/v1/query", Query = [limit = 5]])': "limit of the query is no text",
    'Web.Contents("URL", [RelativePath = "api/v1/query"])': "401",
    'OData.Feed("URL/odata/v1", [Authorization = "Bearer " & TaximeterKey]){[Name = "costs"]}': "matched 0 rows",
    '1 & "a"': "cannot apply operator &",
    "if true then 1 else 2": "IfExpression is not known here",
    "[a = 1][b]": "'b' of the record was not found",
}


@MAY_INSTALL
def test_a_query_in_m_that_is_wrong_or_beyond_the_evaluator_is_an_error(
    served: Served, javascript: Callable[..., str]
) -> None:
    trees = in_m(javascript, *(query.replace("URL", served.url) for query in REFUSED_IN_M))
    for told, wrong in zip(trees, REFUSED_IN_M.values(), strict=True):
        with pytest.raises(QueryError, match=wrong):
            carry_out(told["tree"], {"TaximeterKey": served.key}, Get())


@pytest.mark.parametrize(
    ("cell", "kind", "read"),
    [
        ("", "type number", None),
        ("", "type text", ""),
        ("1.25", "type number", 1.25),
        ("0.00004", "Currency.Type", 0.0),
        ("2.5", "Int64.Type", 2),
        ("nan", "type number", QueryError),
        ("2026-10-01", "type datetimezone", QueryError),
        ("x", "type duration", QueryError),
    ],
)
def test_a_cell_in_m(cell: str, kind: str, read: Any) -> None:
    table = Table(["a"], [{"a": cell}])
    if read is QueryError:
        with pytest.raises(QueryError):
            typed(table, [("a", Type(kind))], "en-US")
    else:
        assert typed(table, [("a", Type(kind))], "en-US").column("a") == [read]


@MAY_INSTALL
def test_what_is_no_query_in_m_is_told_apart(javascript: Callable[..., str]) -> None:
    (told,) = in_m(javascript, "let Answer = [a = 1 in Answer")
    assert "comma" in told["error"]
