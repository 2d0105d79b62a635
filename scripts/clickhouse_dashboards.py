"""The dashboards for Grafana's data source for ClickHouse (version 4), over the view `calls` of docs/sql.md.

The view has every event once. Times are asked for as everywhere in taximeter, with the start and without the end:
`$__timeFilter` has both. What no column says is said by `NOTHING`, since Grafana takes an empty choice for all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from dashboard_parts import Panel, Shown, Source, board, reference
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery

PLUGIN: Final = "grafana-clickhouse-datasource"
PLUGIN_VERSION: Final = "4.0.0"
"""The oldest one that understands the queries."""

TIME_SERIES, TABLE = 0, 1
"""The plugin's formats of an answer."""

NOTHING: Final = "(none)"
MOST_LINES: Final = 10
"""Lines of one panel, those with most cost; all others together are `OTHER`."""

OTHER: Final = "other"
MOST_CHOICES: Final = 1000

IN_RANGE: Final = "started_at >= $__fromTime_ms AND started_at < $__toTime_ms"
CHOICES: Final = {"feature": "feature", "model": "model", "team": "team", "environment": "environment"}
USER_CHOICES: Final = {**CHOICES, "user": "user_id"}
"""Variable → the column that it chooses from."""

BACKSLASH: Final = "\u2216"
"""What stands for a backslash where names are chosen."""

SPENT: Final = "if(countIf(cost_usd IS NULL) > 0, nullIf(sum(cost_usd), 0), sum(cost_usd))"
"""The cost where some of it is known: unknown is not zero."""

TOKENS: Final = "sum(coalesce(input_tokens, 0) + coalesce(output_tokens, 0))"
UNPRICED: Final = "countIf(cost_usd IS NULL)"
FAILED: Final = "countIf(status IN ('error', 'interrupted'))"
RETRY_COST: Final = "sumIf(cost_usd, attempt > 1)"


def _named(column: str) -> str:
    return f"ifNull({column}, '{NOTHING}')"


def _choice(column: str) -> str:
    """A name as variables have it. Grafana quotes a value without regard to backslashes, which would end its quotes in
    ClickHouse, so there are none."""
    return f"replaceAll({_named(column)}, char(92), '{BACKSLASH}')"


def _where(choices: dict[str, str]) -> str:
    chosen = (
        f"$__conditionalAll({_choice(column)} IN (${{{name}:sqlstring}}), ${name})" for name, column in choices.items()
    )
    return "\n  AND ".join((f"WHERE {IN_RANGE}", *chosen))


def _number(value: str, *, users: bool = False) -> str:
    return f"SELECT {value} AS value\nFROM calls\n{_where(USER_CHOICES if users else CHOICES)}"


def _over_time(values: str, *, where: str = "") -> str:
    """Columns by interval, each a line."""
    return f"SELECT $__timeInterval(started_at) AS time, {values}\nFROM calls\n{_where(CHOICES)}{where}\n{_IN_TIME}"


_IN_TIME: Final = "GROUP BY time\nORDER BY time"


def _lines(column: str, values: str, *, users: bool = False) -> str:
    """A value by interval for each of the groups with most cost, and for all others together."""
    where = _where(USER_CHOICES if users else CHOICES)
    most = (
        f"SELECT {_named(column)} AS most\n  FROM calls\n  {where}\n"
        f"  GROUP BY most\n  ORDER BY sum(cost_usd) DESC NULLS LAST, most\n  LIMIT {MOST_LINES}"
    )
    return (
        f"SELECT $__timeInterval(started_at) AS time,\n"
        f"  if({_named(column)} IN (\n  {most}\n  ), {_named(column)}, '{OTHER}') AS line,\n"
        f"  {values}\nFROM calls\n{where}\nGROUP BY time, line\nORDER BY time, line"
    )


def _table(columns: dict[str, str], *, users: bool = False) -> str:
    """Groups of the named columns, by cost, and what is known of them; `columns` by their headings."""
    groups = ", ".join(f'{_named(column)} AS "{heading}"' for heading, column in columns.items())
    values = ", ".join(f'{value} AS "{heading}"' for heading, (value, _) in _MEASURED.items())
    headings = ", ".join(f'"{heading}"' for heading in columns)
    where = _where(USER_CHOICES if users else CHOICES)
    return (
        f"SELECT {groups},\n  {values}\nFROM calls\n{where}\n"
        f'GROUP BY {headings}\nORDER BY "Cost" DESC NULLS LAST, {headings}\nLIMIT {MOST_CHOICES}'
    )


_MEASURED: Final = {
    "Cost": (SPENT, "currencyUSD"),
    "Calls": ("count()", "short"),
    "Cost of a call": ("toFloat64(sum(cost_usd)) / nullIf(count(cost_usd), 0)", "currencyUSD"),
    "Tokens": (TOKENS, "short"),
    "Input from a cache": ("sum(cache_read_tokens) / nullIf(sum(input_tokens), 0)", "percentunit"),
    "Failed": (FAILED, "short"),
    "Retries": ("countIf(attempt > 1)", "short"),
    "Lost to retries": (RETRY_COST, "currencyUSD"),
    "Without a price": (UNPRICED, "short"),
}
_UNITS: Final = {heading: unit for heading, (_, unit) in _MEASURED.items()}
_LINE: Final = "${__field.labels.line}"
_ITSELF: Final = ""
"""Lines that are called as their columns are."""


def _spend_by(word: str, column: str, *, users: bool = False) -> Shown:
    about = "Amounts of the intervals: together they are the spend in this range."
    return Shown(
        f"Spend by {word}", {_LINE: _lines(column, f"{SPENT} AS spend", users=users)}, kind="bars", about=about
    )


def _by_cost(title: str, columns: dict[str, str], *, users: bool = False, width: int = 24) -> Shown:
    return Shown(title, {_ITSELF: _table(columns, users=users)}, "short", "table", width=width, units=_UNITS)


def _figure(title: str, value: str, unit: str = "short", about: str = "", *, users: bool = False) -> Shown:
    return Shown(title, {_ITSELF: _number(value, users=users)}, unit, "number", about, 4)


COMPONENTS: Final = ("input", "cache_read", "cache_write", "output", "other")
CLASSES: Final = (
    "input_tokens",
    "cache_read_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "output_tokens",
    "reasoning_tokens",
)
PERCENTILES: Final = {"p50": "0.5", "p95": "0.95", "p99": "0.99"}

OVERVIEW: Final = (
    _figure("Spend in this range", SPENT, "currencyUSD"),
    _figure("Calls", "count()"),
    _figure("Tokens", TOKENS, about="Input and output."),
    _figure("Users", "uniqExact(user_id)"),
    _figure("Calls without a price", UNPRICED, about="Their cost is missing in every total."),
    _figure("Failed calls", FAILED),
    _spend_by("feature", "feature"),
    _spend_by("model", "model"),
    _spend_by("team", "team"),
    Shown(
        "Spend by what it is for",
        {_ITSELF: _over_time(", ".join(f'sum(cost.{part}) AS "{part}"' for part in COMPONENTS))},
        kind="bars",
    ),
    Shown(
        "Tokens by class",
        {_ITSELF: _over_time(", ".join(f'sum({name}) AS "{name.removesuffix("_tokens")}"' for name in CLASSES))},
        "short",
        about="Input and output are wholes; the other classes are parts of them.",
    ),
    Shown(
        "Latency",
        {
            _ITSELF: _over_time(
                ", ".join(
                    f'quantileExactWeighted({share})(duration_ms, 1) AS "{name}"' for name, share in PERCENTILES.items()
                ),
                where="\n  AND duration_ms IS NOT NULL",
            )
        },
        "ms",
    ),
    Shown(
        "Time to the first token, 95th percentile",
        {_LINE: _lines("model", "quantileExactWeighted(0.95)(time_to_first_token_ms, 1) AS first_token")},
        "ms",
    ),
    Shown(
        "Input read from a cache",
        {_LINE: _lines("model", "sum(cache_read_tokens) / nullIf(sum(input_tokens), 0) AS share")},
        "percentunit",
    ),
)
FEATURES: Final = (
    _by_cost("Features by spend", {"Feature": "feature"}),
    _by_cost("Models by spend", {"Model": "model"}),
    _by_cost("Features and models", {"Feature": "feature", "Model": "model"}),
    _spend_by("feature", "feature"),
    _spend_by("model", "model"),
    Shown("Calls", {_LINE: _lines("feature", "count() AS calls")}, "short", "bars"),
    Shown(
        "Cost of a call",
        {_LINE: _lines("feature", "toFloat64(sum(cost_usd)) / nullIf(count(cost_usd), 0) AS cost_of_a_call")},
    ),
    Shown("Failed calls", {_LINE: _lines("feature", f"{FAILED} / count() AS share")}, "percentunit"),
    Shown("Lost to retries", {_LINE: _lines("feature", f"{RETRY_COST} AS spend")}, kind="bars"),
)
USERS: Final = (
    _figure("Spend in this range", SPENT, "currencyUSD", users=True),
    _figure("Calls", "count()", users=True),
    _figure("Users", "uniqExact(user_id)", users=True),
    _by_cost("Users by spend", {"User": "user_id"}, users=True),
    _spend_by("user", "user_id", users=True),
    Shown("Tokens by user", {_LINE: _lines("user_id", f"{TOKENS} AS tokens", users=True)}, "short", "bars"),
    _by_cost("What users use", {"User": "user_id", "Feature": "feature", "Model": "model"}, users=True),
)
DASHBOARDS: Final = {
    "clickhouse-overview": ("taximeter on ClickHouse: overview", OVERVIEW, CHOICES),
    "clickhouse-features": ("taximeter on ClickHouse: features and models", FEATURES, CHOICES),
    "clickhouse-users": ("taximeter on ClickHouse: users", USERS, USER_CHOICES),
}


def _values(column: str) -> str:
    """What a variable offers, those with most cost first."""
    return (
        f"SELECT {_choice(column)} AS choice FROM calls WHERE {IN_RANGE} GROUP BY choice "
        f"ORDER BY sum(cost_usd) DESC NULLS LAST, choice LIMIT {MOST_CHOICES}"
    )


@dataclass
class Query(Dataquery, Builder[Dataquery]):
    """A statement as the plugin is asked it."""

    statement: str
    over_time: bool
    ref_id: str = "A"

    def build(self) -> Query:
        return self

    def to_json(self) -> dict[str, Any]:
        return {
            "datasource": reference(PLUGIN),
            "editorType": "sql",
            "format": TIME_SERIES if self.over_time else TABLE,
            "pluginVersion": PLUGIN_VERSION,
            "queryType": "timeseries" if self.over_time else "table",
            "rawSql": self.statement,
            "refId": self.ref_id,
        }


def _asked(panel: Panel, shown: Shown) -> Panel:
    ((name, statement),) = shown.queries.items()
    panel = panel.with_target(Query(statement, shown.over_time))
    return panel.display_name(name) if name else panel


def _source(choices: dict[str, str]) -> Source:
    return Source(PLUGIN, {name: _values(column) for name, column in choices.items()}, None, _asked)


def built() -> dict[str, str]:
    """The text of every dashboard, by its name."""
    return {uid: board(uid, title, panels, _source(choices)) for uid, (title, panels, choices) in DASHBOARDS.items()}
