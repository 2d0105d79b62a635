"""Realistic histories, made inside DuckDB: users by Zipf's law, a weekly and daily rhythm, log-normal tokens.

Calls: per hour by a rhythm (nights and weekends are quiet), the user of rank r with a share of about 1/r. Tokens: log-
normal, input with a median of 900 and a long tail, output of 180. 96% are answered, 2.5% are errors, the rest was
abandoned or refused; a retry follows two errors in five. Every amount is exact: whole tokens times a decimal rate.
The same seed makes the same history.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import duckdb

from taximeter.store.events import DuckDBEvents
from taximeter.store.events.rollups import LEVELS

MODELS: Final = (
    # model, provider, share in percent, USD a million tokens: input, cached input, output
    ("gpt-4o-mini-2024-07-18", "openai", 38, "0.15", "0.075", "0.60"),
    ("gpt-4o-2024-08-06", "openai", 20, "2.50", "1.25", "10.00"),
    ("claude-sonnet-4-5-20250929", "anthropic", 18, "3.00", "0.30", "15.00"),
    ("claude-haiku-4-5-20251001", "anthropic", 12, "1.00", "0.10", "5.00"),
    ("gemini-2.5-flash", "gemini", 8, "0.30", "0.03", "2.50"),
    ("o3-2025-04-16", "openai", 4, "2.00", "0.50", "8.00"),
)
FEATURES: Final = ("chat", "search", "summarise", "smart-reply", "translate", "classify", "extract", "code-review",
                   "draft-mail", "support-bot", "rerank", "agent")  # fmt: skip
TEAMS: Final = ("core", "search", "support", "growth", "platform", "data")


@dataclass(frozen=True)
class History:
    """How much, for how many users, over how many days until `end`."""

    events: int
    users: int
    days: int
    end: datetime
    seed: int = 1

    @property
    def first_day(self) -> datetime:
        return self.end - timedelta(days=self.days)


def fill(file: Path, history: History, *, memory_mb: int = 2048, threads: int = 2) -> None:
    """Make a store in `file` with this history, in the order of time, a day in a transaction."""
    DuckDBEvents(file).close()
    with duckdb.connect(str(file), config={"memory_limit": f"{memory_mb}MB", "threads": threads}) as connection:
        connection.execute(_weights(history))
        for day in range(history.days):
            connection.execute(_day(history, day))
        for level in LEVELS:
            units = f"SELECT DISTINCT '{level.name}', date_trunc('{level.interval}', started_at) FROM events"
            connection.execute(f"INSERT INTO rollup_dirty {units}")
        connection.execute("CHECKPOINT")


def _weights(history: History) -> str:
    """The share of each hour of the history, as a table of the hours and where each begins between 0 and 1."""
    start = history.first_day.replace(tzinfo=None)
    return f"""
        CREATE OR REPLACE TEMP TABLE rhythm AS
        WITH hours AS (
            SELECT i // 24 AS day, i % 24 AS hour, (CASE WHEN dayofweek(TIMESTAMP '{start}' + to_days((i // 24)::INT))
                   IN (0, 6) THEN 0.45 ELSE 1 END) * (0.25 + pow(sin(pi() * ((i % 24) + 1) / 26), 2)) AS weight
            FROM range({history.days * 24}) AS t(i)
        )
        SELECT day, hour, weight / sum(weight) OVER () AS share,
               sum(weight) OVER so_far / sum(weight) OVER whole AS until,
               (sum(weight) OVER so_far - weight) / sum(weight) OVER whole AS since
        FROM hours WINDOW whole AS (PARTITION BY day), so_far AS (PARTITION BY day ORDER BY hour)
    """


def _day(history: History, day: int) -> str:
    start = (history.first_day + timedelta(days=day)).replace(tzinfo=None)
    bounds = _cumulated([share for _, _, share, *_ in MODELS])
    dice = " ".join(f"WHEN dice < {bound} THEN {number}" for number, bound in enumerate(bounds))
    return f"""
        INSERT INTO events BY NAME
        WITH amount AS (SELECT round(sum(share) * {history.events})::BIGINT AS n FROM rhythm WHERE day = {day}),
        raw AS (
            SELECT i, {_chance("i", 1, history, day)} AS u1, {_chance("i", 2, history, day)} AS u2,
                   {_chance("i", 3, history, day)} AS u3, {_chance("i", 4, history, day)} AS u4,
                   {_chance("i", 5, history, day)} AS u5, {_chance("i", 6, history, day)} AS u6,
                   {_chance("i", 7, history, day)} AS u7, hash(i, {day}, {history.seed}) AS h
            FROM range((SELECT n FROM amount)) AS t(i)
        ),
        placed AS (
            SELECT raw.*, TIMESTAMP '{start}' + to_hours(rhythm.hour::INT)
                   + to_microseconds((3600000000 * (u1 - since) / (until - since))::BIGINT) AS started_at
            FROM raw JOIN rhythm ON rhythm.day = {day} AND u1 >= since AND u1 < until
        ),
        drawn AS (
            SELECT *, least(floor(exp(u2 * ln({history.users} + 1))), {history.users})::BIGINT AS user_rank,
                   (u3 * 100)::DOUBLE AS dice, sqrt(-2 * ln(greatest(u4, 1e-9))) AS radius
            FROM placed
        ),
        chosen AS (
            SELECT *, CASE {dice} ELSE {len(MODELS) - 1} END AS model_number,
                   greatest(round(exp(6.8 + 1.1 * radius * cos(2 * pi() * u5))), 1)::BIGINT AS input_tokens,
                   greatest(round(exp(5.2 + 0.9 * radius * sin(2 * pi() * u5))), 1)::BIGINT AS written,
                   CASE WHEN u6 < 0.96 THEN 'ok' WHEN u6 < 0.985 THEN 'error' WHEN u6 < 0.995 THEN 'cancelled'
                        ELSE 'refused' END AS status
            FROM drawn
        ),
        counted AS (
            SELECT *, CASE WHEN status IN ('ok', 'cancelled') THEN written ELSE 0 END AS output_tokens,
                   CASE WHEN u7 < 0.35 AND status = 'ok' THEN (input_tokens * 0.8)::BIGINT ELSE 0 END
                       AS cache_read_tokens,
                   {_listed([model for model, *_ in MODELS])}[model_number + 1] AS response_model,
                   {_listed([provider for _, provider, *_ in MODELS])}[model_number + 1] AS provider,
                   {_rates(3)}[model_number + 1] AS input_rate, {_rates(4)}[model_number + 1] AS cached_rate,
                   {_rates(5)}[model_number + 1] AS output_rate
            FROM chosen
        ),
        priced AS (
            SELECT *, (status IN ('ok', 'cancelled'))::INT AS paid,
                   paid * (input_tokens - cache_read_tokens) * input_rate AS c_input,
                   paid * cache_read_tokens * cached_rate AS c_read,
                   paid * output_tokens * output_rate AS c_output
            FROM counted
        )
        SELECT (printf('%012x', epoch_ms(started_at)) || '7' || substr(md5(h::VARCHAR), 1, 3) || '8'
                || substr(md5(h::VARCHAR), 4, 15))::UUID AS event_id,
               started_at, round(120 + output_tokens * 11 * (0.6 + u4), 3) AS duration_ms,
               round(90 + 400 * u5, 3) AS time_to_first_token_ms, 'gateway' AS source, provider,
               response_model AS request_model, response_model, 'chat' AS operation, 'default' AS service_tier, status,
               CASE status WHEN 'error' THEN 429 WHEN 'refused' THEN 429 ELSE 200 END AS http_status,
               CASE WHEN status = 'error' THEN 'rate_limit_error' END AS error_type,
               CASE WHEN u7 > 0.985 THEN 2 ELSE 1 END AS attempt, 's' || (h % 1000000007)::VARCHAR AS session_id,
               'user_' || user_rank AS user_id, {_listed(TEAMS)}[user_rank % {len(TEAMS)} + 1] AS team,
               'tenant_' || (user_rank % 200) AS tenant,
               {_listed(FEATURES)}[(hash(h, 9) % {len(FEATURES)} * u3)::INT + 1] AS feature, '/v1/chat' AS endpoint,
               'prod' AS environment, 'v' || (user_rank % 3) AS prompt_version,
               MAP {{'plan': CASE WHEN user_rank % 5 = 0 THEN 'pro' ELSE 'free' END}} AS tags,
               input_tokens, cache_read_tokens, output_tokens, false AS not_billed, false AS usage_estimated,
               false AS usage_conflict, c_input + c_read + c_output AS cost_usd,
               {{'input': c_input, 'cache_read': c_read, 'cache_write': 0, 'output': c_output, 'other': 0}} AS cost,
               '2026-11-01' AS price_version, 'genai-prices:' || response_model AS price_rule,
               started_at + INTERVAL 1 SECOND AS ingested_at
        FROM priced ORDER BY started_at
    """


def _chance(row: str, number: int, history: History, day: int) -> str:
    return f"(hash({row}, {number}, {day}, {history.seed}) % 1000000007)::DOUBLE / 1000000007"


def _cumulated(shares: list[int]) -> list[int]:
    return [sum(shares[: number + 1]) for number in range(len(shares))]


def _listed(names: tuple[str, ...] | list[str]) -> str:
    return "[" + ", ".join(f"'{name}'" for name in names) + "]"


def _rates(column: int) -> str:
    """USD a token: exact, since a rate has two or three digits after the point and a million has six."""
    return "[" + ", ".join(f"({model[column]}::DECIMAL(9, 6) * 0.000001)::DECIMAL(12, 10)" for model in MODELS) + "]"


def history_of(events: int, days: int = 90, users: int = 50_000) -> History:
    """One that ends with the day that begins now."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return History(events, users, days, today + timedelta(days=1))
