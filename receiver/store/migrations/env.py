"""Run by Alembic. The connection comes from `receiver.store.schema`; there is no offline mode."""

from alembic import context
from sqlalchemy import event, text
from sqlmodel import SQLModel

import receiver.store.models  # noqa: F401  the tables register themselves

engine = context.config.attributes["engine"]

if engine is not None and engine.dialect.name == "sqlite":
    # Python's driver opens transactions on its own and never around DDL: do it ourselves, so that two processes that
    # start at once do not both create the tables, and a killed upgrade leaves none of itself.
    @event.listens_for(engine, "connect")
    def _manual_transactions(connection, _record):  # type: ignore[no-untyped-def]
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def _begin(connection):  # type: ignore[no-untyped-def]
        connection.exec_driver_sql("BEGIN IMMEDIATE")


with engine.connect() as connection:
    # One transaction for all of them: Alembic takes SQLite for a database that cannot, and would let others in between.
    context.configure(
        connection=connection, target_metadata=SQLModel.metadata, render_as_batch=True, transactional_ddl=True
    )
    with context.begin_transaction():
        if connection.dialect.name == "postgresql":  # two that upgrade at once: the second finds nothing to do
            connection.execute(text("SELECT pg_advisory_xact_lock(7093462125)"))
        context.run_migrations()
