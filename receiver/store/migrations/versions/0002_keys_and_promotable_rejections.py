"""what each key verifies, and of rejections all that was signed"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
SIGNED = (("method", "'POST'"), ("scheme", "''"), ("target", "''"))


def upgrade() -> None:
    op.create_table(
        "usage",
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("verified", BIG, server_default=sa.text("0"), nullable=False),
        sa.Column("last_verified_at", BIG),
        sa.PrimaryKeyConstraint("source", "key"),
    )
    for name, default in SIGNED:
        # Defaults for what is there, and for what a version before this one adds while it still runs.
        op.add_column("rejection", sa.Column(name, sa.Text(), server_default=sa.text(default), nullable=False))
