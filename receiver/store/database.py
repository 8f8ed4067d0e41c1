"""Where a store is, before it is opened: one class for each engine, chosen by the URL."""

from typing import TYPE_CHECKING, Protocol

from receiver.errors import UserError
from receiver.store.transaction import Connection

if TYPE_CHECKING:
    from sqlalchemy import Engine


class Database(Protocol):
    shown: str
    """Where it is, for people: without the password."""

    made_by_serve: bool
    """`postern serve` makes and upgrades the tables; else only `postern db upgrade` does."""

    error: type[Exception]
    """What its driver raises."""

    def connection(self) -> Connection:
        """For the writer."""

    def engine(self) -> "Engine":
        """To read with, and for migrations."""

    def revision(self) -> str | None:
        """The schema it has, or None where there are no tables yet. Errors: UserError where it cannot be read."""

    def prepare(self) -> None:
        """What comes before the first table."""

    def copy(self, revision: str) -> str | None:
        """Copy the store before its upgrade, where that is one file; the copy's name."""

    def cannot_write(self, error: object) -> UserError: ...


def database_at(url: str) -> Database:
    """The database that `[store] url` names; its form was checked with the settings."""
    if url.startswith("sqlite:///"):
        from receiver.store.sqlite import SqliteDatabase

        return SqliteDatabase(url.removeprefix("sqlite:///"))
    from receiver.store.postgresql import PostgresqlDatabase  # its driver takes a while to import

    return PostgresqlDatabase(url)
