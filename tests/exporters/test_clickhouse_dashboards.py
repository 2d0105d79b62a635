"""Grafana's dashboards over ClickHouse say what taximeter says, to the last digit; and all of them are of the code."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
import yaml
from export_rig import START_US, record
from grafana_here import GRAFANA, SHIPPED, shipped_boards, shipped_queries

from taximeter.core.money import format_usd
from taximeter.store.events import ClickHouseEvents
from taximeter.store.events.bins import WIDEST_ERROR
from taximeter.store.events.clickhouse_client import parse_address
from taximeter.store.events.filters import Condition
from taximeter.store.events.query import Query

MANUAL = GRAFANA.parents[1] / "docs" / "integrations" / "grafana.md"
PLUGIN = "grafana-clickhouse-datasource"
HOUR_US = 3_600_000_000
FROM_US, TO_US = START_US - 6 * HOUR_US, START_US
TIME_SERIES = 0
READ_BY_THE_PLUGIN = re.compile(
    r"(Nullable\()?(Decimal\(.*\)|U?Int\d+|Float64|DateTime\('UTC'\))\)?|(LowCardinality\()?(Nullable\()?String\)*"
)
AS_WITHOUT_US = {
    "prefer_column_name_to_alias": 0,
    "aggregate_functions_null_for_empty": 0,
    "do_not_merge_across_partitions_select_final": 0,
    "enable_extended_results_for_datetime_functions": 0,
    "session_timezone": "America/New_York",
    "output_format_json_quote_decimals": 1,
    "output_format_json_quote_64bit_integers": 0,
}
"""What the plugin's connection has, and not ours; and a server somewhere else."""

RunningIn = Callable[[Path], AbstractContextManager[str]]
Chosen = Mapping[str, Sequence[str]]


def expanded(sql: str, chosen: Chosen, interval_seconds: int = 3600) -> str:
    """As the plugin sends it: what is not chosen from is all; times in milliseconds."""

    def condition(found: re.Match[str]) -> str:
        return found[1] if found[2] in chosen else "1=1"

    def listed(found: re.Match[str]) -> str:
        return ",".join("'" + value.replace("'", "''") + "'" for value in chosen[found[1]])

    sql = re.sub(r"\$__conditionalAll\((.*?), \$(\w+)\)", condition, sql)
    sql = re.sub(r"\$\{(\w+):sqlstring\}", listed, sql)
    sql = sql.replace("$__fromTime_ms", f"fromUnixTimestamp64Milli({FROM_US // 1000})")
    sql = sql.replace("$__toTime_ms", f"fromUnixTimestamp64Milli({TO_US // 1000})")
    bucket = rf"toStartOfInterval(toDateTime(\1), INTERVAL {interval_seconds} second)"
    sql = re.sub(r"\$__timeInterval\((\w+)\)", bucket, sql)
    assert "$" not in sql
    return sql


BACKSLASHED = "ends its quotes\\"
"""A name that nobody can choose as it is."""


@dataclass(frozen=True)
class Here:
    store: ClickHouseEvents
    url: str

    def asked(self, sql: str, **chosen: Sequence[str]) -> tuple[dict[str, str], list[dict[str, Any]]]:
        """Types of the columns, and rows."""
        address = parse_address(self.url)
        settings = urlencode({"database": address.database, **AS_WITHOUT_US})
        answer = httpx.post(
            f"http://{address.host}:{address.port}/?{settings}", content=f"{expanded(sql, chosen)} FORMAT JSON"
        )
        assert answer.status_code == 200, (sql, answer.text)
        found = json.loads(answer.text, parse_float=Decimal)
        return {column["name"]: column["type"] for column in found["meta"]}, found["data"]

    def panel(self, name: str, **chosen: Sequence[str]) -> list[dict[str, Any]]:
        (target,) = (target for asked, target in shipped_queries(PLUGIN) if asked == f"{name}/0")
        return self.asked(target["rawSql"], **chosen)[1]

    def said(self, *measures: str, filters: tuple[Condition, ...] = (), **more: Any) -> Any:
        return self.store.query(Query(from_us=FROM_US, to_us=TO_US, measures=measures, filters=filters, **more))


def calls() -> Iterator[dict[str, Any]]:
    """Of more features and users than have lines of their own; at the start of the range, and at its end, where it
    does not count any more."""
    yield record(FROM_US, 1000, feature="unpriced", cost_usd=None, unpriced_reason="unknown_model")
    chance = Random(8)
    for number in range(600):
        at_us = {0: FROM_US, 1: TO_US, 2: FROM_US - 1}.get(number, TO_US - 1 - chance.randrange(6 * HOUR_US))
        parts = {part: Decimal(chance.randrange(10**11)).scaleb(-12) for part in ("input", "cache_read", "output")}
        priced = number < 3 or chance.random() > 0.1
        yield record(
            at_us,
            number,
            feature=chance.choice((*(f"feature-{one}" for one in range(12)), "it's", BACKSLASHED, None)),
            team=chance.choice(("core", "growth", None)),
            request_model=chance.choice(("gpt-4o", "gpt-4o-mini", "o3")),
            user_id=chance.choice((*(f"user-{one}" for one in range(20)), None)),
            input_tokens=chance.randrange(5000),
            cache_read_tokens=chance.randrange(500),
            cache_write_5m_tokens=chance.choice((None, 70)),
            reasoning_tokens=chance.choice((None, 30)),
            output_tokens=chance.randrange(2000),
            duration_ms=float(chance.randrange(9000)),
            time_to_first_token_ms=float(chance.randrange(900)),
            cost_usd=format_usd(sum(parts.values(), Decimal(0))) if priced else None,
            cost={part: format_usd(amount) for part, amount in parts.items()} if priced else None,
            unpriced_reason=None if priced else "unknown_model",
            attempt=chance.choice((1, 1, 1, 2)),
            status=chance.choice(("ok", "ok", "ok", "error", "interrupted")),
        )


@pytest.fixture(scope="module")
def here(clickhouse_in: RunningIn, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Here]:
    """Calls of which some were priced anew: their rows are there twice until ClickHouse merges them."""
    with clickhouse_in(tmp_path_factory.mktemp("dashboards")) as url:
        store = ClickHouseEvents(url, writer="5d1c3c1e-3a57-4a8e-9f4b-0d6f6f0a3c11", use_rollups=False)
        store.append([json.dumps(call).encode() for call in calls()], {})
        store._client.write(
            "INSERT INTO events SELECT * REPLACE (cost_usd * 2 AS cost_usd, version + 1 AS version) FROM events "
            "WHERE team = 'core'"
        )
        yield Here(store, url)
        store.close()


def total(rows: Sequence[Mapping[str, Any]], column: str) -> Any:
    """Of a column with money, or with counts."""
    return sum(Decimal(row[column]) for row in rows if row[column] is not None)


def test_the_dashboards_are_those_of_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(GRAFANA.parents[1] / "scripts")
    kept = {file.name: file.read_text() for file in SHIPPED.iterdir()}
    assert kept == importlib.import_module("dashboards").built(), "run: python scripts/dashboards.py"


@pytest.mark.parametrize(("name", "target"), [pytest.param(*one, id=one[0]) for one in shipped_queries(PLUGIN)])
def test_every_panel_returns_data_that_the_plugin_reads(here: Here, name: str, target: dict[str, Any]) -> None:
    types, rows = here.asked(target["rawSql"])
    assert rows
    assert {kind for kind in types.values() if not READ_BY_THE_PLUGIN.fullmatch(kind)} == set()
    if target["format"] == TIME_SERIES:
        first = next(iter(types))
        assert (first, types[first]) == ("time", "DateTime('UTC')")
        times = [row["time"] for row in rows]
        assert times == sorted(times)
        assert len(set(times)) >= 6


@pytest.mark.parametrize(("name", "board"), [pytest.param(*one, id=one[0]) for one in shipped_boards(PLUGIN)])
def test_every_variable_offers_what_there_is_and_every_choice_of_it_works(
    here: Here, name: str, board: dict[str, Any]
) -> None:
    chosen = {}
    for variable in board["templating"]["list"][1:]:
        _, rows = here.asked(variable["query"])
        ((column,), *_) = rows
        chosen[variable["name"]] = [row[column] for row in rows]
        assert rows
    for panel in board["panels"]:
        (target,) = panel["targets"]
        assert here.asked(target["rawSql"], **chosen)[1] == here.asked(target["rawSql"])[1]


@pytest.mark.parametrize(
    ("panel", "column", "measure"),
    [
        ("overview/Spend in this range", "value", "cost_usd"),
        ("overview/Calls", "value", "calls"),
        ("overview/Tokens", "value", "total_tokens"),
        ("overview/Users", "value", "users"),
        ("overview/Calls without a price", "value", "unpriced_calls"),
        ("overview/Failed calls", "value", "failed_calls"),
        ("overview/Spend by feature", "spend", "cost_usd"),
        ("overview/Spend by model", "spend", "cost_usd"),
        ("overview/Spend by team", "spend", "cost_usd"),
        ("overview/Spend by what it is for", "input", "cost_input_usd"),
        ("overview/Spend by what it is for", "cache_read", "cost_cache_read_usd"),
        ("overview/Spend by what it is for", "output", "cost_output_usd"),
        ("overview/Tokens by class", "input", "input_tokens"),
        ("overview/Tokens by class", "cache_read", "cache_read_tokens"),
        ("overview/Tokens by class", "cache_write_5m", "cache_write_5m_tokens"),
        ("overview/Tokens by class", "output", "output_tokens"),
        ("overview/Tokens by class", "reasoning", "reasoning_tokens"),
        ("features/Features by spend", "Cost", "cost_usd"),
        ("features/Features by spend", "Tokens", "total_tokens"),
        ("features/Features by spend", "Failed", "failed_calls"),
        ("features/Features by spend", "Retries", "retries"),
        ("features/Features by spend", "Lost to retries", "retry_cost_usd"),
        ("features/Features by spend", "Without a price", "unpriced_calls"),
        ("features/Models by spend", "Cost", "cost_usd"),
        ("features/Features and models", "Cost", "cost_usd"),
        ("features/Features and models", "Calls", "calls"),
        ("features/Spend by feature", "spend", "cost_usd"),
        ("features/Spend by model", "spend", "cost_usd"),
        ("features/Calls", "calls", "calls"),
        ("features/Lost to retries", "spend", "retry_cost_usd"),
        ("users/Spend in this range", "value", "cost_usd"),
        ("users/Users by spend", "Cost", "cost_usd"),
        ("users/Users by spend", "Calls", "calls"),
        ("users/Spend by user", "spend", "cost_usd"),
        ("users/Tokens by user", "tokens", "total_tokens"),
        ("users/What users use", "Cost", "cost_usd"),
    ],
)
def test_what_a_panel_shows_adds_up_to_what_a_query_says(here: Here, panel: str, column: str, measure: str) -> None:
    assert total(here.panel(f"clickhouse-{panel}"), column) == Decimal(here.said(measure).totals[measure])


@pytest.mark.parametrize(
    ("variable", "field", "values"),
    [
        ("feature", "feature", ("it's", None)),
        ("feature", "feature", ("feature-1",)),
        ("feature", "feature", (BACKSLASHED, "it's")),
        ("model", "model", ("o3", "gpt-4o")),
        ("team", "team", (None,)),
        ("environment", "environment", ("prod",)),
    ],
)
def test_a_choice_is_a_filter(here: Here, variable: str, field: str, values: tuple[str | None, ...]) -> None:
    chosen = {variable: ["(none)" if value is None else value.replace("\\", "\u2216") for value in values]}
    said = here.said("cost_usd", "calls", filters=(Condition(field, "in", values),)).totals
    for board, panel in (("overview", "Spend in this range"), ("overview", "Spend by model")):
        rows = here.panel(f"clickhouse-{board}/{panel}", **chosen)
        assert total(rows, "value" if "value" in rows[0] else "spend") == Decimal(said["cost_usd"])
    assert total(here.panel("clickhouse-features/Features by spend", **chosen), "Calls") == said["calls"]


def test_a_user_can_be_chosen(here: Here) -> None:
    (row,) = here.panel("clickhouse-users/Users by spend", user=["user-7"])
    said = here.said("cost_usd", "calls", filters=(Condition("user_id", "in", ("user-7",)),)).totals
    assert (row["User"], Decimal(row["Cost"]), row["Calls"]) == ("user-7", Decimal(said["cost_usd"]), said["calls"])


def test_groups_and_hours_are_those_of_a_query(here: Here) -> None:
    shown = {
        (row["time"], row["line"]): row["spend"] and Decimal(row["spend"])
        for row in here.panel("clickhouse-overview/Spend by team")
    }
    said = here.said("cost_usd", group_by=("team",), interval="hour").rows
    assert len(shown) == 18
    assert shown == {
        (row["time"][:19].replace("T", " "), row["team"] or "(none)"): row["cost_usd"] and Decimal(row["cost_usd"])
        for row in said
    }


def test_latencies_are_those_of_a_query(here: Here) -> None:
    measures = ("latency_ms_p50", "latency_ms_p95", "latency_ms_p99")
    shown = [(row["p50"], row["p95"], row["p99"]) for row in here.panel("clickhouse-overview/Latency")]
    said = [tuple(row[name] for name in measures) for row in here.said(*measures, interval="hour").rows]
    assert len(shown) == len(said) > 1
    for times, told in zip(shown, said, strict=True):
        assert told == pytest.approx(times, rel=WIDEST_ERROR), "the panel's are those of the calls themselves"


def test_those_with_most_cost_have_lines_of_their_own_and_the_rest_is_other(here: Here) -> None:
    lines = {row["line"] for row in here.panel("clickhouse-users/Spend by user")}
    said = here.said("cost_usd", group_by=("user_id",), limit=10).rows
    assert lines == {"other" if row.get("other") else row["user_id"] or "(none)" for row in said}
    assert len(lines) == 11


def test_what_is_not_known_is_not_zero(here: Here) -> None:
    (row,) = here.panel("clickhouse-features/Features by spend", feature=["unpriced"])
    assert (row["Cost"], row["Cost of a call"], row["Without a price"]) == (None, None, 1)


def test_data_sources_are_provisioned_for_every_kind_and_without_secrets() -> None:
    files = sorted((GRAFANA / "provisioning" / "datasources").iterdir())
    sources = [source for file in files for source in yaml.safe_load(file.read_text())["datasources"]]
    assert {source["type"] for source in sources} == {"prometheus", PLUGIN}
    (source,) = (source for source in sources if source["type"] == PLUGIN)
    assert set(source["jsonData"]) == {"host", "port", "protocol", "username", "defaultDatabase"}
    assert source["secureJsonData"] == {"password": "$TAXIMETER_CLICKHOUSE_PASSWORD"}


def test_the_user_of_the_manual_may_read_what_the_panels_read(here: Here) -> None:
    """The engine of the tests has no users: it reads the statements without carrying them out."""
    (written,) = re.findall(r"```sql\n(.*?)```", MANUAL.read_text(), re.DOTALL)
    statements = [line.removesuffix(";") for line in written.splitlines()]
    for statement in statements:
        here.asked(f"EXPLAIN AST {statement}")
    granted = set(re.findall(r"GRANT SELECT ON taximeter\.(\w+) TO grafana", written))
    _, (row,) = here.asked("SELECT create_table_query AS q FROM system.tables WHERE name = 'calls'")
    assert granted == {"calls", *re.findall(r"FROM (?:\w+\.)?(\w+)", row["q"])}


def test_every_dashboard_is_in_the_manual() -> None:
    assert {file.name for file in SHIPPED.iterdir()} == set(re.findall(r"`([\w-]+\.json)`", MANUAL.read_text()))
