"""Limits set over the API, thresholds crossed, and bounds of calls whose end nobody saw."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "limit_versions",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("definition", sa.JSON(none_as_null=True)),
        sa.Column("changed_at_us", sa.BigInteger, nullable=False),
        sa.Column("changed_by", sa.String, nullable=False),
    )
    op.create_table(
        "limit_crossings",
        sa.Column("slot", sa.String, primary_key=True),
        sa.Column("kind", sa.String, primary_key=True),
        sa.Column("percent", sa.Integer, primary_key=True),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("value", sa.String, nullable=False),
        sa.Column("measure", sa.String, nullable=False),
        sa.Column("mode", sa.String, nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("spent", sa.BigInteger, nullable=False),
        sa.Column("at_us", sa.BigInteger, nullable=False, index=True),
    )
    op.create_table(
        "limit_unseen",
        sa.Column("event_id", sa.String, primary_key=True),
        sa.Column("at_us", sa.BigInteger, nullable=False, index=True),
        sa.Column("subject", sa.JSON, nullable=False),
        sa.Column("cost_nano_usd", sa.BigInteger, nullable=False),
        sa.Column("input_tokens", sa.BigInteger, nullable=False),
        sa.Column("output_tokens", sa.BigInteger, nullable=False),
    )
    changes = sa.table("changes", sa.column("name", sa.String), sa.column("number", sa.BigInteger))
    op.bulk_insert(changes, [{"name": "limits", "number": 0}])


def downgrade() -> None:
    for name in ("limit_unseen", "limit_crossings", "limit_versions"):
        op.drop_table(name)
    op.execute("DELETE FROM changes WHERE name = 'limits'")
