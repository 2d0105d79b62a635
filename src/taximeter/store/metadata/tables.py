"""The tables, for statements. What creates and changes them are the numbered steps under `migrations/versions`.

All times are microseconds since the epoch, UTC, as everywhere; nothing here knows which engine keeps them.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import JSON, BigInteger, Boolean, Column, Integer, LargeBinary, MetaData, String, Table, Text

METADATA: Final = MetaData()

KEYS: Final = Table(
    "keys",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("scope", String(20), nullable=False),
    Column("attributes", JSON, nullable=False),
    Column("attributes_win", Boolean, nullable=False),
    Column("hash", LargeBinary(32), nullable=False, unique=True),
    Column("prefix", String(40), nullable=False),
    Column("created_at_us", BigInteger, nullable=False),
    Column("revoked_at_us", BigInteger),
    Column("last_used_at_us", BigInteger),
)

SESSIONS: Final = Table(
    "sessions",
    METADATA,
    Column("hash", LargeBinary(32), primary_key=True),
    Column("scope", String(20), nullable=False),
    Column("created_at_us", BigInteger, nullable=False),
    Column("expires_at_us", BigInteger, nullable=False),
)

CHANGES: Final = Table(
    "changes",
    METADATA,
    Column("name", String(50), primary_key=True),
    Column("number", BigInteger, nullable=False),
)
"""How often a table was changed, for those who keep a copy of it in memory."""

CALCULATOR_USES: Final = Table(
    "calculator_uses",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("at_us", BigInteger, nullable=False),
    Column("kind", String(20), nullable=False),
    Column("asked_by", String(20), nullable=False),
    Column("user_selections", JSON, nullable=False),
    Column("calculated_monthly_cost", String(80)),
    Column("comparison_delta", JSON, nullable=False),
    sqlite_autoincrement=True,
)

ALERT_DESK: Final = Table(
    "alert_desk",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("content", Text, nullable=False),
)
"""One row: what alerting remembers from one evaluation to the next."""

INCIDENTS: Final = Table(
    "incidents",
    METADATA,
    Column("incident_id", String(64), primary_key=True),
    Column("severity", String(20), nullable=False),
    Column("opened_at_us", BigInteger, nullable=False, index=True),
    Column("resolved_at_us", BigInteger),
    Column("acknowledged_by", String(200)),
    Column("content", JSON, nullable=False),
)

OUTBOX: Final = Table(
    "outbox",
    METADATA,
    Column("notification_id", String(300), primary_key=True),
    Column("incident_id", String(64), nullable=False, index=True),
    Column("channel", String(100), nullable=False),
    Column("event", String(20), nullable=False),
    Column("content", JSON, nullable=False),
    Column("state", String(20), nullable=False, index=True),
    Column("tries", Integer, nullable=False),
    Column("created_at_us", BigInteger, nullable=False),
    Column("due_at_us", BigInteger, nullable=False),
    Column("delivered_at_us", BigInteger),
    Column("error", Text),
)

SILENCES: Final = Table(
    "silences",
    METADATA,
    Column("silence_id", String(64), primary_key=True),
    Column("matchers", JSON, nullable=False),
    Column("starts_at_us", BigInteger, nullable=False),
    Column("ends_at_us", BigInteger, nullable=False),
    Column("author", String(200), nullable=False),
    Column("comment", Text, nullable=False),
)

ANNOTATIONS: Final = Table(
    "annotations",
    METADATA,
    Column("annotation_id", String(64), primary_key=True),
    Column("at_us", BigInteger, nullable=False, index=True),
    Column("text", Text, nullable=False),
    Column("author", String(200), nullable=False),
    Column("labels", JSON, nullable=False),
)
"""Marks in time, such as deployments."""
LIMIT_VERSIONS: Final = Table(
    "limit_versions",
    METADATA,
    Column("name", String(100), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("definition", JSON(none_as_null=True)),
    Column("changed_at_us", BigInteger, nullable=False),
    Column("changed_by", String(200), nullable=False),
)

LIMIT_CROSSINGS: Final = Table(
    "limit_crossings",
    METADATA,
    Column("slot", String(1000), primary_key=True),
    Column("kind", String(20), primary_key=True),
    Column("percent", Integer, primary_key=True),
    Column("name", String(100), nullable=False),
    Column("value", String(600), nullable=False),
    Column("measure", String(20), nullable=False),
    Column("mode", String(10), nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("spent", BigInteger, nullable=False),
    Column("at_us", BigInteger, nullable=False, index=True),
)

LIMIT_UNSEEN: Final = Table(
    "limit_unseen",
    METADATA,
    Column("event_id", String(40), primary_key=True),
    Column("at_us", BigInteger, nullable=False, index=True),
    Column("subject", JSON, nullable=False),
    Column("cost_nano_usd", BigInteger, nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
)

FINDINGS: Final = Table(
    "findings",
    METADATA,
    Column("finding_id", String(64), primary_key=True),
    Column("kind", String(40), nullable=False),
    Column("scope", JSON, nullable=False),
    Column("severity", String(20), nullable=False),
    Column("started_at_us", BigInteger, nullable=False),
    Column("detected_at_us", BigInteger, nullable=False, index=True),
    Column("updated_at_us", BigInteger, nullable=False),
    Column("ended_at_us", BigInteger),
    Column("content", JSON, nullable=False),
    Column("verdict", String(20)),
    Column("verdict_by", String(200)),
)
