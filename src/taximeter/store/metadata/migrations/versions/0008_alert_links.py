"""Links in messages: what they are signed with, which were used. What a channel calls a message of ours."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "secrets",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("content", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "used_links",
        sa.Column("link", sa.String, primary_key=True),
        sa.Column("expires_at_us", sa.BigInteger, nullable=False, index=True),
    )
    op.add_column("outbox", sa.Column("receipt", sa.String))


def downgrade() -> None:
    op.drop_column("outbox", "receipt")
    for table in ("used_links", "secrets"):
        op.drop_table(table)
