"""Rules set over the API, every version of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.create_table(
        "rule_versions",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("definition", sa.JSON(none_as_null=True)),
        sa.Column("changed_at_us", sa.BigInteger, nullable=False),
        sa.Column("changed_by", sa.String, nullable=False),
    )
    changes = sa.table("changes", sa.column("name", sa.String), sa.column("number", sa.BigInteger))
    op.bulk_insert(changes, [{"name": "rules", "number": 0}])


def downgrade() -> None:
    op.drop_table("rule_versions")
    op.execute("DELETE FROM changes WHERE name = 'rules'")
