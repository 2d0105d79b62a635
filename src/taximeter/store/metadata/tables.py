"""The tables, for statements. What creates and changes them are the numbered steps under `migrations/versions`.

All times are microseconds since the epoch, UTC, as everywhere; nothing here knows which engine keeps them.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import JSON, BigInteger, Boolean, Column, Integer, LargeBinary, MetaData, String, Table

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
