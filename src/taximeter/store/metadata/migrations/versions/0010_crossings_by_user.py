"""Whose a crossed threshold is. Of those written down before nobody knows."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.add_column("limit_crossings", sa.Column("user_id", sa.String))


def downgrade() -> None:
    op.drop_column("limit_crossings", "user_id")
