"""The migrations of a version that comes after this one."""

from pathlib import Path

from receiver.store import schema

SECOND = """
revision = "0002"
down_revision = "0001"

from alembic import op
import sqlalchemy as sa

def upgrade():
    op.add_column("source", sa.Column("note", sa.Text()))
"""


def later_migrations(folder: Path) -> schema.Migrations:
    """Ours and one more, in `folder`."""
    copy = folder / "migrations"
    (copy / "versions").mkdir(parents=True)
    for path in schema.SHIPPED.folder.rglob("*"):
        if path.suffix in (".py", ".mako"):
            (copy / path.relative_to(schema.SHIPPED.folder)).write_bytes(path.read_bytes())
    (copy / "versions" / "0002_a_note.py").write_text(SECOND)
    return schema.Migrations(copy)
