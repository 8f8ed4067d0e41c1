"""Making, upgrading and checking the tables of a SQLite store. Migrations are Alembic's; this says when they run."""

import os
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Engine, create_engine
from sqlalchemy.exc import DBAPIError

from receiver.errors import UserError
from receiver.store.sqlite import backup, connect, uri


@dataclass(frozen=True)
class Migrations:
    folder: Path

    def newest(self) -> str:
        """The revision that this version of the product was written for."""
        head = self._scripts().get_current_head()
        assert head is not None
        return head

    def knows(self, revision: str) -> bool:
        """An unknown revision is a newer version's: this one runs on it, so that a rolling restart is safe."""
        return any(script.revision == revision for script in self._scripts().walk_revisions())

    def run(self, engine: Engine) -> None:
        command.upgrade(self._config(engine), "head")

    def _scripts(self) -> ScriptDirectory:
        return ScriptDirectory.from_config(self._config())

    def _config(self, engine: Engine | None = None) -> Config:
        config = Config()
        config.set_main_option("script_location", str(self.folder).replace("%", "%%"))
        config.attributes["engine"] = engine
        return config


SHIPPED = Migrations(Path(__file__).parent / "migrations")


def engine_for(path: str) -> Engine:
    """For a file that is there: reading must not make an empty store where one has gone."""
    file = Path(path).absolute().as_uri()
    return create_engine(URL.create("sqlite", database=file, query={"mode": "rw", "uri": "true"}))


def check(path: Path, migrations: Migrations = SHIPPED) -> None:
    """Errors: UserError where there is no store, or one of another version."""
    found = _revision_of(path)
    if found is None:
        raise UserError("there is no store yet", str(path), "Start `postern serve` once, or run `postern db upgrade`.")
    if found != migrations.newest() and migrations.knows(found):
        raise UserError(f"the store has the older schema {found}", str(path), "Run `postern db upgrade`.")


def upgrade(path: Path, migrations: Migrations = SHIPPED) -> str | None:
    """Bring the tables to the newest schema, after copying an older store beside it; the copy's name, if one was made.

    Errors: UserError where the store cannot be read or written.
    """
    found = _revision_of(path)
    if found == migrations.newest() or (found is not None and not migrations.knows(found)):
        return None
    try:
        copy = None if found is None else _copy(path, found)
        connect(str(path), create=True).close()  # the page size and WAL mode are set before the first table
        engine = engine_for(str(path))
        try:
            migrations.run(engine)
        finally:
            engine.dispose()
    except (sqlite3.Error, DBAPIError, OSError) as error:
        raise cannot_write(path, getattr(error, "orig", error)) from error
    return copy


def _copy(path: Path, revision: str) -> str | None:
    """A copy of an older store beside it; None where another process has upgraded the store meanwhile."""
    copy = path.with_name(f"{path.name}.{revision}.bak")
    draft = path.with_name(f"{copy.name}.{os.getpid()}")
    try:
        backup(path, draft)
        if current(draft) != revision:
            return None
        shutil.copymode(path, draft)
        draft.replace(copy)
    finally:
        draft.unlink(missing_ok=True)
    return str(copy)


def _revision_of(path: Path) -> str | None:
    try:
        return current(path)
    except sqlite3.Error as error:
        raise UserError(f"the store cannot be read: {error}", str(path), "Check [store] url.") from error


def current(path: Path) -> str | None:
    """The revision of the store, or None where there are no tables yet."""
    if not path.exists():
        return None
    with closing(sqlite3.connect(uri(str(path), "ro"), uri=True)) as connection:
        try:
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return None
            raise
    return row[0] if row else None


def cannot_write(path: Path, error: object) -> UserError:
    return UserError(
        f"the store cannot be written: {error}",
        str(path),
        "Check that the folder exists, may be written and has room.",
    )
