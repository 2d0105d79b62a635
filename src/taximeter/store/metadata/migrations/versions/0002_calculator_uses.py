"""What the calculator was asked, and what it answered."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "calculator_uses",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("at_us", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("asked_by", sa.String, nullable=False),
        sa.Column("user_selections", sa.JSON, nullable=False),
        sa.Column("calculated_monthly_cost", sa.String),
        sa.Column("comparison_delta", sa.JSON, nullable=False),
        sqlite_autoincrement=True,
    )


def downgrade() -> None:
    op.drop_table("calculator_uses")
