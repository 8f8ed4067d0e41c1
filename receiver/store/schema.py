"""Making, upgrading and checking a store's tables. Migrations are Alembic's; this says when they run."""

from dataclasses import dataclass
from pathlib import Path

from receiver.errors import UserError
from receiver.store.database import Database


@dataclass(frozen=True)
class Migrations:
    folder: Path

    def newest(self) -> str:
        """The revision that this version of the product was written for."""
        return max(self._revisions())

    def knows(self, revision: str) -> bool:
        """An unknown revision is a newer version's: this one runs on it, so that a rolling restart is safe."""
        return revision in self._revisions()

    def _revisions(self) -> set[str]:
        """Of the files' names, `0001_….py`: Alembic costs half a second to import, and few starts need it."""
        return {file.name.partition("_")[0] for file in (self.folder / "versions").glob("[0-9]*.py")}

    def run(self, database: Database) -> None:
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(self.folder).replace("%", "%%"))
        config.attributes["engine"] = engine = database.engine()
        try:
            command.upgrade(config, "head")
        finally:
            engine.dispose()


SHIPPED = Migrations(Path(__file__).parent / "migrations")
MOVED = "moved"
"""Stands for the revision in a store that `postern db move` has left: whoever works on it would do everything twice."""


def check(database: Database, migrations: Migrations = SHIPPED) -> None:
    """Errors: UserError where there is no store, or one of another version."""
    found = database.revision()
    _check_not_moved(found, database)
    if found is None:
        serve = "Type postern serve in another terminal: it makes one. Or type" if database.made_by_serve else "Type"
        raise UserError("there is no store yet", database.shown, f"{serve} postern db upgrade")
    if found != migrations.newest() and migrations.knows(found):
        raise UserError(f"the store has the older schema {found}", database.shown, "Run `postern db upgrade`.")


def upgrade(database: Database, migrations: Migrations = SHIPPED) -> str | None:
    """Bring the tables to the newest schema, after copying an older store in a file; the copy's name, if one was made.

    Errors: UserError where the store cannot be read or written.
    """
    found = database.revision()
    _check_not_moved(found, database)
    if found == migrations.newest() or (found is not None and not migrations.knows(found)):
        return None
    try:
        copy = None if found is None else database.copy(found)
        database.prepare()
        migrations.run(database)
    except Exception as error:
        cause = getattr(error, "orig", error)  # SQLAlchemy's errors have the driver's inside
        if isinstance(cause, OSError | database.error):
            raise database.cannot_write(cause) from error
        raise
    return copy


def _check_not_moved(found: str | None, database: Database) -> None:
    if found == MOVED:
        fix = "Set [store] url to where it went. To bring it back: postern db move, from there, to a new place."
        raise UserError("this store has moved: all of it is at another place", database.shown, fix)
