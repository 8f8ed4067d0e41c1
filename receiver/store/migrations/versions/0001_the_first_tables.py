"""the first tables"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
ZERO = sa.text("0")


def _id(name: str = "id", *, nullable: bool = False) -> "sa.Column[int]":
    return sa.Column(name, BIG, nullable=nullable, autoincrement=False)


def _text(name: str, *, nullable: bool = False) -> "sa.Column[str]":
    return sa.Column(name, sa.Text(), nullable=nullable)


def _time(name: str, *, nullable: bool = True) -> "sa.Column[int]":
    return sa.Column(name, BIG, nullable=nullable)


def _bytes(name: str, *, nullable: bool = False) -> "sa.Column[bytes]":
    return sa.Column(name, sa.LargeBinary(), nullable=nullable)


def _count(name: str, kind: "sa.types.TypeEngine[int] | None" = None) -> "sa.Column[int]":
    return sa.Column(name, kind or sa.Integer(), server_default=ZERO, nullable=False)


def _partial(name: str, column: str, condition: str) -> None:
    where = sa.text(condition)
    op.create_index(name, "run", [column], sqlite_where=where, postgresql_where=where)


def upgrade() -> None:
    _what_was_received()
    _what_became_of_it()
    _what_operators_see()
    if op.get_bind().dialect.name == "postgresql":
        # A run is rewritten at each turn of its life: what that leaves behind must not wait for a fifth of the table.
        op.execute("ALTER TABLE run SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000)")


def _what_was_received() -> None:
    op.create_table("delivery", _id(), _bytes("headers"), _bytes("body"), sa.PrimaryKeyConstraint("id"))
    op.create_table(
        "event",
        _id(),
        _id("delivery_id"),
        sa.Column("item", sa.Integer()),
        _text("source"),
        _text("type"),
        _text("external_id"),
        _bytes("digest", nullable=True),
        _bytes("sha256"),
        _time("received_at", nullable=False),
        _count("duplicates"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("digest"),
    )
    op.create_table(
        "rejection",
        _id(),
        _text("source"),
        _time("received_at", nullable=False),
        _text("code"),
        _text("detail"),
        _time("claimed_at"),
        sa.Column("size_bytes", BIG, nullable=False),
        _bytes("headers"),
        _bytes("body"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("rejection_source", "rejection", ["source", "id"])


def _what_became_of_it() -> None:
    op.create_table(
        "run",
        _id(),
        _id("event_id"),
        _text("handler", nullable=True),
        _text("state"),
        _time("due_at"),
        _id("token", nullable=True),
        _time("lease_until"),
        _count("attempts"),
        _count("failures"),
        _count("lapses"),
        _count("generation"),
        _text("code", nullable=True),
        _text("reason", nullable=True),
        _time("started_at"),
        _time("finished_at"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("event_id", "handler"),
    )
    _partial("run_unrouted", "id", "handler IS NULL")
    _partial("run_due", "due_at", "state = 'waiting' AND handler IS NOT NULL")
    _partial("run_lease", "lease_until", "state = 'running'")
    _partial("run_parked", "handler", "state = 'parked'")
    op.create_table(
        "step",
        _id(),
        _id("run_id"),
        sa.Column("generation", sa.Integer(), nullable=False),
        _text("name"),
        sa.Column("revision", sa.Integer(), nullable=False),
        _text("state"),
        _text("key"),
        _bytes("request"),
        sa.Column("status", sa.Integer()),
        _bytes("headers", nullable=True),
        _bytes("body", nullable=True),
        sa.Column("sends", sa.Integer(), server_default=sa.text("1"), nullable=False),
        _time("intent_at", nullable=False),
        _time("outcome_at"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("run_id", "generation", "name", "revision"),
    )
    op.create_table(
        "history",
        _id(),
        _id("event_id"),
        _id("run_id", nullable=True),
        _time("happened_at", nullable=False),
        _text("kind"),
        sa.Column("attempt", sa.Integer()),
        _text("code", nullable=True),
        _text("text", nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("history_event", "history", ["event_id"])


def _what_operators_see() -> None:
    op.create_table(
        "source",
        _text("name"),
        *(_count(name, BIG) for name in ("accepted", "duplicates", "differing", "refused", "refused_since_accepted")),
        _time("last_accepted_at"),
        _time("last_refused_at"),
        _text("last_refused_code", nullable=True),
        _text("key", nullable=True),
        _time("key_at"),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "process",
        _id(),
        _text("role"),
        _text("host"),
        sa.Column("pid", sa.Integer(), nullable=False),
        _text("url", nullable=True),
        _text("version"),
        _time("started_at", nullable=False),
        _time("seen_at", nullable=False),
        _time("stopped_at"),
        _text("trouble", nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "offer",
        _id("process_id"),
        _text("handler"),
        _text("source"),
        _text("pattern"),
        _text("version"),
        _text("file"),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("process_id", "handler", "source", "pattern"),
    )
