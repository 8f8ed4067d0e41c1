"""`postern db move`: everything of one store into an empty one, on whichever engines the two are.

Both are kept from other writers until the end. The new store holds all of it or nothing, so a move that broke off is
typed again. What the new store then holds is read back from it and compared. At last the old one is marked: with two
that work, what waits would be done twice.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from hashlib import sha256

from sqlalchemy import Table, inspect
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

from receiver.errors import UserError
from receiver.store import reads, schema
from receiver.store.bulk import TABLES, Bulk, bulk_of
from receiver.store.database import Database
from receiver.store.models import Process
from receiver.store.runs import ALIVE_US
from receiver.store.transaction import Row

ANOTHER = "Name a new and empty database."
SHOWN = 5


@dataclass(slots=True)
class Copied:
    """A table whose copy is equal to it."""

    table: str
    rows: int
    sha256: str


def move(source: Database, target: Database, copied: Callable[[Copied], None]) -> None:
    """Tell `copied` each table in turn; nothing of it is there for others before this returns.

    Errors: UserError, and then the source works on, and the target is as empty as it was, but may have its tables.
    """
    _check_source(source)
    _check_target(target)
    with closing(bulk_of(source)) as old:
        old.hold()
        _check_stopped(source)  # from here on no process can say that it lives
        schema.upgrade(target)
        with closing(bulk_of(target)) as new:
            _check_other(old, new, target)
            new.hold()
            _check_empty(new, target)
            for table in TABLES:
                copied(_copy(table, old, new, target))
            old.mark_moved()  # before the commit, because it may fail
            new.commit()
        _leave(old, source)


def _leave(old: Bulk, source: Database) -> None:
    try:
        old.commit()
    except UserError as error:
        fix = "The new store has all of it: use that one, and never this one again, or runs are done twice."
        raise UserError(f"moved, but not marked as moved: {error.what}", source.shown, fix) from error


# ── what must be so before ──


def _check_source(source: Database) -> None:
    schema.check(source)
    found = source.revision()
    if found != schema.SHIPPED.newest():  # it may have columns that this version would leave behind
        raise UserError(f"the store has the newer schema {found}", source.shown, "Move it with the newer Postern.")


def _check_target(target: Database) -> None:
    try:
        found = target.revision()
    except UserError as error:
        raise UserError(error.what, error.where, "Check the address, and that a database is there.") from error
    if found is None:
        if not target.made_by_serve:  # in a server's database of another encoding not even its tables can be listed
            target.prepare()
        strange = _tables(target) - {"alembic_version"}
        if strange:
            raise UserError(f"not empty: there is the table {min(strange)!r}", target.shown, ANOTHER)
    elif found != schema.SHIPPED.newest():
        raise UserError(f"not empty: there are tables of the schema {found}", target.shown, ANOTHER)


def _tables(target: Database) -> set[str]:
    engine = target.engine()
    try:
        with suppress(DBAPIError):  # a file that is not there yet
            return set(inspect(engine).get_table_names())
        return set()
    finally:
        engine.dispose()


def _check_stopped(source: Database) -> None:
    engine = source.engine()
    try:
        with Session(engine) as session:
            live = reads.lately_seen(session)
    finally:
        engine.dispose()
    if live:
        fix = f"Stop it first, or wait {ALIVE_US // 1_000_000} s after a kill: {_named(live)}"
        raise UserError("Postern is running on this store", source.shown, fix)


def _named(live: list[Process]) -> str:
    names = [f"process {process.pid} on {process.host} ({process.role})" for process in live[:SHOWN]]
    return ", ".join([*names, f"and {len(live) - SHOWN} more"] if len(live) > SHOWN else names)


def _check_other(old: Bulk, new: Bulk, target: Database) -> None:
    if old.identity() == new.identity():
        raise UserError("this is the store that is to be moved", target.shown, ANOTHER)


def _check_empty(new: Bulk, target: Database) -> None:
    for table in TABLES:
        if new.has_rows(table):
            raise UserError(f"not empty: the table {table.name!r} has rows", target.shown, ANOTHER)


# ── a table ──


def _copy(table: Table, old: Bulk, new: Bulk, target: Database) -> Copied:
    given, held = Seen(), Seen()
    new.fill(table, given.pass_on(old.rows(table)))
    for _ in held.pass_on(new.rows(table)):
        pass
    if held.sums() != given.sums():
        what = f"the copy of the table {table.name!r} is not equal: {given.rows} rows were given, {held.rows} are there"
        fix = "Nothing of it was kept. Look for a trigger or a rule that changes rows, then type it again."
        raise UserError(what if held.rows != given.rows else f"{what}, and other ones", target.shown, fix)
    return Copied(table.name, *held.sums())


class Seen:
    """Count and hash of the rows that passed: the same for the same rows, whichever engine they came from."""

    def __init__(self) -> None:
        self.rows = 0
        self._hash = sha256()

    def pass_on(self, rows: Iterable[Row]) -> Iterator[Row]:
        for row in rows:
            self.rows += 1
            self._hash.update(b"".join(map(_canonical, row)))
            yield row

    def sums(self) -> tuple[int, str]:
        return self.rows, self._hash.hexdigest()


def _canonical(value: int | str | bytes | None) -> bytes:
    """With its kind and length, so that no two rows of values are written alike."""
    if value is None:
        return b"-"
    if isinstance(value, int):
        return b"i%d;" % value
    if isinstance(value, str):
        text = value.encode()
        return b"t%d:%b" % (len(text), text)
    return b"b%d:%b" % (len(value), value)
