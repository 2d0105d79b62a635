"""Findings of detection, and what people said of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "findings",
        sa.Column("finding_id", sa.String, primary_key=True),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("scope", sa.JSON, nullable=False),
        sa.Column("severity", sa.String, nullable=False),
        sa.Column("started_at_us", sa.BigInteger, nullable=False),
        sa.Column("detected_at_us", sa.BigInteger, nullable=False, index=True),
        sa.Column("updated_at_us", sa.BigInteger, nullable=False),
        sa.Column("ended_at_us", sa.BigInteger),
        sa.Column("content", sa.JSON, nullable=False),
        sa.Column("verdict", sa.String),
        sa.Column("verdict_by", sa.String),
    )


def downgrade() -> None:
    op.drop_table("findings")
