"""`postern db`: the store's tables. `serve` upgrades a SQLite store by itself; this is for those who want it before."""

from pathlib import Path

import click

from receiver.cli.common import json_option, load_settings, not_built, print_json


@click.group()
def db() -> None:
    """Make, upgrade and move the store."""


@db.command()
@json_option
def upgrade(as_json: bool) -> None:
    """Make the store's tables, or bring them to this version, with a copy of the old ones beside them."""
    from receiver.store import schema
    from receiver.store.store import sqlite_path

    path = Path(sqlite_path(load_settings().store.url))
    existed = path.exists()
    copy = schema.upgrade(path)
    revision = schema.current(path)
    newer = revision is not None and not schema.SHIPPED.knows(revision)
    done = "upgraded" if copy else "newer" if newer else "current" if existed else "made"
    said = {
        "upgraded": f"upgraded {path} to schema {revision}; a copy of it as it was: {copy}",
        "newer": f"left {path} as it is: its schema {revision} is a newer version's, and this one runs on it",
        "current": f"nothing to do: {path} has schema {revision}",
        "made": f"made {path} with schema {revision}",
    }
    if as_json:
        print_json({"done": done, "path": path, "schema": revision, "copy": copy})
    else:
        click.echo(said[done])


db.add_command(not_built("move", "For now a store stays where it is"))
