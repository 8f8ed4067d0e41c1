"""The migrations of a version that comes after this one."""

from pathlib import Path

from receiver.store import schema

NEWEST = schema.SHIPPED.newest()
LATER = f"{int(NEWEST) + 1:04}"
A_NOTE = f"""
revision = "{LATER}"
down_revision = "{NEWEST}"

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
    (copy / "versions" / f"{LATER}_a_note.py").write_text(A_NOTE)
    return schema.Migrations(copy)
