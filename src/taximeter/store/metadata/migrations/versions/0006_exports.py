"""Where exports stand: what feeds have told by day, windows that wait, positions of exporters."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "export_states",
        sa.Column("name", sa.String(200), primary_key=True),
        sa.Column("content", sa.Text, nullable=False),
    )
    op.create_table(
        "export_days",
        sa.Column("feed", sa.String(100), primary_key=True),
        sa.Column("day_us", sa.BigInteger, primary_key=True),
        sa.Column("totals", sa.Text, nullable=False),
        sa.Column("sums", sa.Text, nullable=False),
    )
    op.create_table(
        "export_windows",
        sa.Column("feed", sa.String(100), primary_key=True),
        sa.Column("number", sa.BigInteger, primary_key=True),
        sa.Column("content", sa.Text, nullable=False),
    )


def downgrade() -> None:
    for table in ("export_windows", "export_days", "export_states"):
        op.drop_table(table)
