"""The Grafana dashboards, as code: `python scripts/dashboards.py` writes `deploy/grafana/dashboards/`.

Those for Prometheus are here, those for ClickHouse in `clickhouse_dashboards.py`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import clickhouse_dashboards
from dashboard_parts import Panel, Shown, Source, board, reference
from grafana_foundation_sdk.builders import prometheus

FOLDER: Final = Path(__file__).parents[1] / "deploy" / "grafana" / "dashboards"
CHOSEN: Final = 'instance=~"$instance"'
SPEND: Final = f'{CHOSEN},feature=~"$feature",model=~"$model",team=~"$team",environment=~"$environment"'


def _per_hour(by: str, selector: str = SPEND, metric: str = "taximeter_cost_usd_total") -> str:
    return f"sum by ({by}) (rate({metric}{{{selector}}}[$__rate_interval])) * 3600"


def _ratio(part: str, whole: str, by: str = "feature") -> str:
    over = f"sum by ({by}) (rate({whole}[$__rate_interval]))"
    return f"sum by ({by}) (rate({part}[$__rate_interval])) / ({over} > 0)"


def _top(metric: str, by: str, selector: str = SPEND) -> str:
    return f"topk(20, sum by ({by}) (increase({metric}{{{selector}}}[$__range])))"


def _spent(since: str) -> str:
    return f"sum(increase(taximeter_cost_usd_total{{{SPEND}}}[{since}]))"


def _quantile(metric: str) -> str:
    buckets = (
        f'sum by (model, le) (rate(taximeter_{metric}_bucket{{{CHOSEN},model=~"$model|other"}}[$__rate_interval]))'
    )
    return f"histogram_quantile(0.95, {buckets})"


TOKENS: Final = f"sum by (token_class) (rate(taximeter_tokens_total{{{SPEND}}}[$__rate_interval]))"

OVERVIEW: Final = (
    Shown("Spend per hour now", {"USD/h": f"sum({_per_hour('instance')})"}, kind="number", width=4),
    Shown("Spend in this range", {"USD": _spent("$__range")}, kind="number", width=4),
    Shown("Spend of the last day", {"USD": _spent("1d")}, kind="number", width=4),
    Shown(
        "Calls per second",
        {"calls": f"sum(rate(taximeter_calls_total{{{SPEND}}}[$__rate_interval]))"},
        "reqps",
        "number",
        width=4,
    ),
    Shown(
        "Calls without a price",
        {"calls": f"sum(taximeter_unpriced_calls{{{SPEND}}}) or vector(0)"},
        "short",
        "number",
        "Their cost is missing in every total.",
        4,
    ),
    Shown(
        "Open incidents",
        {"{{severity}}": f"sum by (severity) (taximeter_open_incidents{{{CHOSEN}}})"},
        "short",
        "number",
        width=4,
    ),
    Shown("Spend per hour by feature", {"{{feature}}": _per_hour("feature")}),
    Shown("Spend per hour by model", {"{{model}}": _per_hour("model")}),
    Shown("Spend per hour by team", {"{{team}}": _per_hour("team")}),
    Shown(
        "Spend per hour by what it is for",
        {"{{component}}": _per_hour("component", metric="taximeter_cost_component_usd_total")},
    ),
    Shown(
        "Tokens per second by class",
        {"{{token_class}}": TOKENS},
        "short",
        about="Input and output are wholes; the other classes are parts of them.",
    ),
    Shown("Latency", {"{{model}} p{{quantile}}": f'taximeter_latency_seconds{{{CHOSEN},model=~"$model|other"}}'}, "s"),
    Shown("Time to the first token, 95th percentile", {"{{model}}": _quantile("time_to_first_token_seconds")}, "s"),
)
FEATURES: Final = (
    Shown("Features by spend", {"USD": _top("taximeter_cost_usd_total", "feature")}, kind="table"),
    Shown("Models by spend", {"USD": _top("taximeter_cost_usd_total", "model")}, kind="table"),
    Shown(
        "Cost of a call",
        {"{{feature}}": _ratio(f"taximeter_cost_usd_total{{{SPEND}}}", f"taximeter_calls_total{{{SPEND}}}")},
    ),
    Shown(
        "Calls per second",
        {"{{feature}}": f"sum by (feature) (rate(taximeter_calls_total{{{SPEND}}}[$__rate_interval]))"},
        "reqps",
    ),
    Shown(
        "Input read from a cache",
        {
            "{{feature}}": _ratio(
                f'taximeter_tokens_total{{{SPEND},token_class="cache_read"}}',
                f'taximeter_tokens_total{{{SPEND},token_class="input"}}',
            )
        },
        "percentunit",
    ),
    Shown(
        "Failed calls",
        {"{{feature}}": _ratio(f"taximeter_failed_calls_total{{{SPEND}}}", f"taximeter_calls_total{{{SPEND}}}")},
        "percentunit",
    ),
    Shown(
        "Retries",
        {"{{feature}}": _ratio(f"taximeter_retries_total{{{SPEND}}}", f"taximeter_calls_total{{{SPEND}}}")},
        "percentunit",
    ),
    Shown("Lost to retries per hour", {"{{feature}}": _per_hour("feature", metric="taximeter_retry_cost_usd_total")}),
)
USER_SPEND: Final = _per_hour("user_id", CHOSEN, "taximeter_user_cost_usd_total")
USERS: Final = (
    Shown("Users by spend", {"USD": _top("taximeter_user_cost_usd_total", "user_id", CHOSEN)}, kind="table"),
    Shown("Users by calls", {"calls": _top("taximeter_user_calls_total", "user_id", CHOSEN)}, "short", "table"),
    Shown(
        "Spend per hour by user",
        {"{{user_id}}": f"topk(10, {USER_SPEND})"},
    ),
    Shown(
        "Tokens per second by user",
        {
            "{{user_id}}": "topk(10, sum by (user_id) (rate(taximeter_user_tokens_total"
            f"{{{CHOSEN}}}[$__rate_interval])))"
        },
        "short",
    ),
)
LIMITS: Final = (
    Shown(
        "Limits by what is spent of them",
        {"spent": f"topk(50, taximeter_limit_used_ratio{{{CHOSEN}}})"},
        "percentunit",
        "table",
    ),
    Shown(
        "Spent of limits", {"{{limit}} {{value}}": f"topk(20, taximeter_limit_used_ratio{{{CHOSEN}}})"}, "percentunit"
    ),
    Shown(
        "Held by calls under way",
        {"{{limit}} {{value}}": f"topk(20, taximeter_limit_held_ratio{{{CHOSEN}}})"},
        "percentunit",
    ),
    Shown(
        "Refused per second",
        {"{{feature}}": f"sum by (feature) (rate(taximeter_refused_calls_total{{{CHOSEN}}}[$__rate_interval]))"},
        "reqps",
    ),
)
HEALTH: Final = (
    Shown("Open incidents", {"{{severity}}": f"sum by (severity) (taximeter_open_incidents{{{CHOSEN}}})"}, "short"),
    Shown("Bytes that wait for the store", {"{{instance}}": f"taximeter_collector_lag_bytes{{{CHOSEN}}}"}, "bytes"),
    Shown(
        "Events per second",
        {"{{result}}": f"sum by (result) (rate(taximeter_events_total{{{CHOSEN}}}[$__rate_interval]))"},
        "short",
    ),
    Shown(
        "Failed turns of jobs",
        {"{{task}}": f"sum by (task) (increase(taximeter_task_failures_total{{{CHOSEN}}}[$__rate_interval]))"},
        "short",
    ),
    Shown(
        "Seconds since a job succeeded",
        {"{{task}}": f"time() - max by (task) (taximeter_task_last_success_timestamp_seconds{{{CHOSEN}}})"},
        "s",
    ),
    Shown(
        "Counters ahead of the store",
        {"{{instance}}": f"taximeter_counters_ahead_usd{{{CHOSEN}}}"},
        about="After calls were priced anew at less, or deleted.",
    ),
)
DASHBOARDS: Final = {
    "overview": ("taximeter: overview", OVERVIEW),
    "features": ("taximeter: features and models", FEATURES),
    "users": ("taximeter: users", USERS),
    "limits": ("taximeter: limits", LIMITS),
    "health": ("taximeter: alerts and health", HEALTH),
}
VARIABLES: Final = {
    "instance": "label_values(taximeter_told_until_timestamp_seconds, instance)",
    **{name: f"label_values(taximeter_calls_total, {name})" for name in ("feature", "model", "team", "environment")},
}
PLUGIN: Final = "prometheus"


def _asked(panel: Panel, shown: Shown) -> Panel:
    for name, expression in shown.queries.items():
        query = prometheus.Dataquery().datasource(reference(PLUGIN)).expr(expression).legend_format(name)
        panel = panel.with_target(query.range() if shown.over_time else query.instant())
    return panel


PROMETHEUS: Final = Source(PLUGIN, VARIABLES, ".*", _asked)


def built() -> dict[str, str]:
    """The text of every dashboard, by the name of its file."""
    ours = {uid: board(uid, title, panels, PROMETHEUS) for uid, (title, panels) in DASHBOARDS.items()}
    return {f"{uid}.json": text for uid, text in (ours | clickhouse_dashboards.built()).items()}


def main() -> int:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in built().items():
        (FOLDER / name).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
