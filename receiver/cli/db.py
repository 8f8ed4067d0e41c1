"""`postern db`: the store's tables. `serve` upgrades a SQLite store by itself; this is for those who want it before."""

from dataclasses import asdict
from typing import TYPE_CHECKING

import click
from pydantic import ValidationError

from receiver.cli.common import json_option, load_settings, print_json
from receiver.cli.filters import utf8
from receiver.errors import UserError
from receiver.settings import Settings, StoreSettings, absolute, shown_url

if TYPE_CHECKING:
    from receiver.store.database import Database


@click.group()
def db() -> None:
    """Make, upgrade and move the store."""


@db.command()
@json_option
def upgrade(as_json: bool) -> None:
    """Make the store's tables, or bring them to this version; an older SQLite store is copied first."""
    from receiver.store import schema
    from receiver.store.database import database_at

    database = database_at(load_settings().store.url)
    before = database.revision()
    copy = schema.upgrade(database)
    revision = database.revision()
    newer = revision is not None and not schema.SHIPPED.knows(revision)
    done = "newer" if newer else "made" if before is None else "current" if before == revision else "upgraded"
    where = database.shown
    said = {
        "upgraded": f"upgraded {where} to schema {revision}" + (f"; a copy of it as it was: {copy}" if copy else ""),
        "newer": f"left {where} as it is: its schema {revision} is a newer version's, and this one runs on it",
        "current": f"nothing to do: {where} has schema {revision}",
        "made": f"made {where} with schema {revision}",
    }
    if as_json:
        print_json({"done": done, "store": where, "schema": revision, "copy": copy})
    else:
        click.echo(said[done])


@db.command()
@click.argument("url", type=utf8)
@json_option
def move(url: str, as_json: bool) -> None:
    """Copy everything to the empty database at URL, while Postern is stopped; the old store is marked as moved."""
    from receiver.store import move as moving
    from receiver.store.database import database_at

    settings = load_settings()
    target = _target(url, settings)
    source = database_at(settings.store.url)
    rows = {}

    def copied(table: moving.Copied) -> None:
        rows[table.table] = table.rows
        if as_json:
            print_json(asdict(table))
        else:
            click.echo(f"{table.table:<10} {table.rows:>12,}")

    moving.move(source, target, copied)
    events, total = rows["event"], sum(rows.values())
    if as_json:
        print_json({"events": events, "rows": total, "from": source.shown, "to": target.shown})
        return
    click.echo(f"moved to {target.shown}: {events:,} events, {total:,} rows, and what is there now was compared")
    click.echo(f'next: set [store] url = "{shown_url(url)}", and start Postern')
    click.echo(f"the old store, {source.shown}, is marked: nothing works on it any more; delete it when you like")


def _target(url: str, settings: Settings) -> "Database":
    from receiver.store.database import database_at

    try:
        return database_at(absolute(StoreSettings(url=url).url, settings.root))
    except ValidationError as error:
        rule = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise UserError(f"not the URL of a store: it {rule}", shown_url(url), exit_code=2) from None
    except UserError as error:
        raise UserError(error.what, "URL", error.fix, exit_code=2) from None
