"""of a batch's item its own digest, so that one that comes again beside other ones can be compared"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("event", sa.Column("item_sha256", sa.LargeBinary()))
