"""What alerting keeps: its desk, incidents, the outbox, silences, marks in time."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "alert_desk",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("content", sa.Text, nullable=False),
    )
    op.create_table(
        "incidents",
        sa.Column("incident_id", sa.String, primary_key=True),
        sa.Column("severity", sa.String, nullable=False),
        sa.Column("opened_at_us", sa.BigInteger, nullable=False, index=True),
        sa.Column("resolved_at_us", sa.BigInteger),
        sa.Column("acknowledged_by", sa.String),
        sa.Column("content", sa.JSON, nullable=False),
    )
    op.create_table(
        "outbox",
        sa.Column("notification_id", sa.String, primary_key=True),
        sa.Column("incident_id", sa.String, nullable=False, index=True),
        sa.Column("channel", sa.String, nullable=False),
        sa.Column("event", sa.String, nullable=False),
        sa.Column("content", sa.JSON, nullable=False),
        sa.Column("state", sa.String, nullable=False, index=True),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("created_at_us", sa.BigInteger, nullable=False),
        sa.Column("due_at_us", sa.BigInteger, nullable=False),
        sa.Column("delivered_at_us", sa.BigInteger),
        sa.Column("error", sa.Text),
    )
    op.create_table(
        "silences",
        sa.Column("silence_id", sa.String, primary_key=True),
        sa.Column("matchers", sa.JSON, nullable=False),
        sa.Column("starts_at_us", sa.BigInteger, nullable=False),
        sa.Column("ends_at_us", sa.BigInteger, nullable=False),
        sa.Column("author", sa.String, nullable=False),
        sa.Column("comment", sa.Text, nullable=False),
    )
    op.create_table(
        "annotations",
        sa.Column("annotation_id", sa.String, primary_key=True),
        sa.Column("at_us", sa.BigInteger, nullable=False, index=True),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("author", sa.String, nullable=False),
        sa.Column("labels", sa.JSON, nullable=False),
    )


def downgrade() -> None:
    for table in ("annotations", "silences", "outbox", "incidents", "alert_desk"):
        op.drop_table(table)
