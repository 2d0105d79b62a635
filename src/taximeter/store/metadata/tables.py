"""The tables, for statements. What creates and changes them are the numbered steps under `migrations/versions`.

All times are microseconds since the epoch, UTC, as everywhere; nothing here knows which engine keeps them. Texts have
no longest length: what comes in is bounded where it comes in.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import JSON, BigInteger, Boolean, Column, Dialect, Integer, LargeBinary, MetaData, String, Table
from sqlalchemy.types import TypeDecorator


class Words(TypeDecorator[str]):
    """Text from anywhere. PostgreSQL keeps no NUL, so the sign for it stands there, with every engine."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - what SQLAlchemy calls
        return None if value is None else value.replace("\0", "\N{SYMBOL FOR NULL}")


METADATA: Final = MetaData()

KEYS: Final = Table(
    "keys",
    METADATA,
    Column("id", Words, primary_key=True),
    Column("name", Words, nullable=False),
    Column("scope", Words, nullable=False),
    Column("attributes", JSON, nullable=False),
    Column("attributes_win", Boolean, nullable=False),
    Column("hash", LargeBinary(32), nullable=False, unique=True),
    Column("prefix", Words, nullable=False),
    Column("created_at_us", BigInteger, nullable=False),
    Column("revoked_at_us", BigInteger),
    Column("last_used_at_us", BigInteger),
)

SESSIONS: Final = Table(
    "sessions",
    METADATA,
    Column("hash", LargeBinary(32), primary_key=True),
    Column("scope", Words, nullable=False),
    Column("created_at_us", BigInteger, nullable=False),
    Column("expires_at_us", BigInteger, nullable=False),
)

CHANGES: Final = Table(
    "changes",
    METADATA,
    Column("name", Words, primary_key=True),
    Column("number", BigInteger, nullable=False),
)
"""How often a table was changed, for those who keep a copy of it in memory."""

CALCULATOR_USES: Final = Table(
    "calculator_uses",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("at_us", BigInteger, nullable=False),
    Column("kind", Words, nullable=False),
    Column("asked_by", Words, nullable=False),
    Column("user_selections", JSON, nullable=False),
    Column("calculated_monthly_cost", Words),
    Column("comparison_delta", JSON, nullable=False),
    sqlite_autoincrement=True,
)

ALERT_DESK: Final = Table(
    "alert_desk",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("content", Words, nullable=False),
)
"""One row: what alerting remembers from one evaluation to the next."""

INCIDENTS: Final = Table(
    "incidents",
    METADATA,
    Column("incident_id", Words, primary_key=True),
    Column("severity", Words, nullable=False),
    Column("opened_at_us", BigInteger, nullable=False, index=True),
    Column("resolved_at_us", BigInteger),
    Column("acknowledged_by", Words),
    Column("content", JSON, nullable=False),
)

OUTBOX: Final = Table(
    "outbox",
    METADATA,
    Column("notification_id", Words, primary_key=True),
    Column("incident_id", Words, nullable=False, index=True),
    Column("channel", Words, nullable=False),
    Column("event", Words, nullable=False),
    Column("content", JSON, nullable=False),
    Column("state", Words, nullable=False, index=True),
    Column("tries", Integer, nullable=False),
    Column("created_at_us", BigInteger, nullable=False),
    Column("due_at_us", BigInteger, nullable=False),
    Column("delivered_at_us", BigInteger),
    Column("error", Words),
    Column("receipt", Words),
)

SECRETS: Final = Table(
    "secrets",
    METADATA,
    Column("name", Words, primary_key=True),
    Column("content", LargeBinary, nullable=False),
)

USED_LINKS: Final = Table(
    "used_links",
    METADATA,
    Column("link", Words, primary_key=True),
    Column("expires_at_us", BigInteger, nullable=False, index=True),
)
"""Links of messages that have done what they were for."""

SILENCES: Final = Table(
    "silences",
    METADATA,
    Column("silence_id", Words, primary_key=True),
    Column("matchers", JSON, nullable=False),
    Column("starts_at_us", BigInteger, nullable=False),
    Column("ends_at_us", BigInteger, nullable=False),
    Column("author", Words, nullable=False),
    Column("comment", Words, nullable=False),
)

ANNOTATIONS: Final = Table(
    "annotations",
    METADATA,
    Column("annotation_id", Words, primary_key=True),
    Column("at_us", BigInteger, nullable=False, index=True),
    Column("text", Words, nullable=False),
    Column("author", Words, nullable=False),
    Column("labels", JSON, nullable=False),
)
"""Marks in time, such as deployments."""
LIMIT_VERSIONS: Final = Table(
    "limit_versions",
    METADATA,
    Column("name", Words, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("definition", JSON(none_as_null=True)),
    Column("changed_at_us", BigInteger, nullable=False),
    Column("changed_by", Words, nullable=False),
)

RULE_VERSIONS: Final = Table(
    "rule_versions",
    METADATA,
    Column("name", Words, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("definition", JSON(none_as_null=True)),
    Column("changed_at_us", BigInteger, nullable=False),
    Column("changed_by", Words, nullable=False),
)

LIMIT_CROSSINGS: Final = Table(
    "limit_crossings",
    METADATA,
    Column("slot", Words, primary_key=True),
    Column("kind", Words, primary_key=True),
    Column("percent", Integer, primary_key=True),
    Column("name", Words, nullable=False),
    Column("value", Words, nullable=False),
    Column("measure", Words, nullable=False),
    Column("mode", Words, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("spent", BigInteger, nullable=False),
    Column("at_us", BigInteger, nullable=False, index=True),
    Column("user_id", Words),
)

LIMIT_UNSEEN: Final = Table(
    "limit_unseen",
    METADATA,
    Column("event_id", Words, primary_key=True),
    Column("at_us", BigInteger, nullable=False, index=True),
    Column("subject", JSON, nullable=False),
    Column("cost_nano_usd", BigInteger, nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
)

FINDINGS: Final = Table(
    "findings",
    METADATA,
    Column("finding_id", Words, primary_key=True),
    Column("kind", Words, nullable=False),
    Column("scope", JSON, nullable=False),
    Column("severity", Words, nullable=False),
    Column("started_at_us", BigInteger, nullable=False),
    Column("detected_at_us", BigInteger, nullable=False, index=True),
    Column("updated_at_us", BigInteger, nullable=False),
    Column("ended_at_us", BigInteger),
    Column("content", JSON, nullable=False),
    Column("verdict", Words),
    Column("verdict_by", Words),
)

LEASES: Final = Table(
    "leases",
    METADATA,
    Column("name", Words, primary_key=True),
    Column("holder", Words, nullable=False),
    Column("until_us", BigInteger, nullable=False),
)

EXPORT_STATES: Final = Table(
    "export_states",
    METADATA,
    Column("name", String, primary_key=True),
    Column("content", String, nullable=False),
)
"""Where each feed and each exporter stands."""

EXPORT_DAYS: Final = Table(
    "export_days",
    METADATA,
    Column("feed", String, primary_key=True),
    Column("day_us", BigInteger, primary_key=True),
    Column("totals", String, nullable=False),
    Column("sums", String, nullable=False),
)
"""What was told of each unit of time, by its start: of days in the ledger `feed`, of hours in one of their own."""

EXPORT_WINDOWS: Final = Table(
    "export_windows",
    METADATA,
    Column("feed", String, primary_key=True),
    Column("number", BigInteger, primary_key=True),
    Column("content", String, nullable=False),
)
"""Windows of a feed that some exporter has not sent yet."""
