"""Making, upgrading and checking the tables of a SQLite store. Migrations are Alembic's; this says when they run."""

import sqlite3
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine

from receiver.errors import UserError
from receiver.store.sqlite import backup, connect

MIGRATIONS = Path(__file__).parent / "migrations"


def engine_for(path: str) -> Engine:
    return create_engine(f"sqlite:///{path}")


def _config(engine: Engine | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["engine"] = engine
    return config


def newest() -> str:
    """The revision that this version of the product was written for."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None
    return head


def current(path: Path) -> str | None:
    """The revision of the store, or None where there are no tables yet."""
    if not path.exists():
        return None
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
        try:
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return None
            raise
    connection.close()
    return row[0] if row else None


def _revision_of(path: Path) -> str | None:
    try:
        return current(path)
    except sqlite3.Error as error:
        raise UserError(f"the store cannot be read: {error}", str(path), "Check [store] url.") from error


def check(path: Path) -> None:
    """Errors: UserError where there is no store, or one of another version."""
    found = _revision_of(path)
    if found is None:
        raise UserError("there is no store yet", str(path), "Start `postern serve` once, or run `postern db upgrade`.")
    if found != newest() and is_known(found):
        raise UserError(f"the store has the older schema {found}", str(path), "Run `postern db upgrade`.")


def is_known(revision: str) -> bool:
    """An unknown revision is a newer version's: the version before it runs on it, so that a rolling restart is safe."""
    return any(script.revision == revision for script in ScriptDirectory.from_config(_config()).walk_revisions())


def upgrade(path: Path) -> str | None:
    """Bring the tables to `newest()`, after copying an older store beside it; that copy's name, if one was made."""
    found = _revision_of(path)
    if found == newest() or (found is not None and not is_known(found)):
        return None
    copy = None
    try:
        if found is not None:
            copy = path.with_name(f"{path.name}.{found}.bak")
            backup(path, copy)
        connect(str(path)).close()  # the page size and WAL mode are set before the first table
        engine = engine_for(str(path))
        command.upgrade(_config(engine), "head")
        engine.dispose()
    except (sqlite3.Error, OSError) as error:
        raise cannot_write(path, error) from error
    return str(copy) if copy else None


def cannot_write(path: Path, error: Exception) -> UserError:
    return UserError(
        f"the store cannot be written: {error}",
        str(path),
        "Check that the folder exists, may be written and has room.",
    )
