"""`postern db upgrade`: makes a store, leaves a current or a newer one alone, and says which it did."""

from collections.abc import Callable
from pathlib import Path

from tests.receiver.cli.conftest import Ended
from tests.support.rows import rows
from tests.support.stored import stored

Typed = Callable[..., Ended]


def test_a_store_is_made_once(tmp_path: Path, typed: Typed) -> None:
    path = tmp_path / "postern.db"
    ended = typed(tmp_path, "db", "upgrade")
    [(revision,)] = rows(path, "SELECT version_num FROM alembic_version")
    assert (ended.code, ended.out, ended.err) == (0, f"made {path} with schema {revision}\n", "")
    again = typed(tmp_path, "db", "upgrade")
    assert (again.code, again.out) == (0, f"nothing to do: {path} has schema {revision}\n")
    [row] = typed(tmp_path, "db", "upgrade", "--json").rows
    assert row == {"done": "current", "path": str(path), "schema": revision, "copy": None}


def test_a_newer_store_is_left_as_it_is(tmp_path: Path, typed: Typed) -> None:
    with stored(tmp_path) as shop:
        shop.sql("UPDATE alembic_version SET version_num = '9999'")
    ended = typed(tmp_path, "db", "upgrade")
    assert (ended.code, ended.out) == (
        0, f"left {tmp_path}/postern.db as it is: its schema 9999 is a newer version's, and this one runs on it\n",
    )  # fmt: skip


def test_what_is_no_store_or_cannot_be_written_is_said(tmp_path: Path, typed: Typed) -> None:
    (tmp_path / "bad.db").write_text("This is no database, but a text that is long enough to look at.")
    ended = typed(tmp_path, "db", "upgrade", environ={"POSTERN_STORE__URL": "sqlite:///bad.db"})
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == (
        f"postern: the store cannot be read: file is not a database\n  at {tmp_path}/bad.db\n  Check [store] url.\n"
    )
    ended = typed(tmp_path, "db", "upgrade", environ={"POSTERN_STORE__URL": "sqlite:///none/x.db"})
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith(f"postern: the store cannot be written: unable to open database file\n  at {tmp_path}/")


def test_moving_is_not_built_yet(tmp_path: Path, typed: Typed) -> None:
    ended = typed(tmp_path, "db", "move", "postgresql://x")
    assert (ended.code, ended.err) == (
        2, "postern: postern db move is not built yet\n  For now a store stays where it is\n"
    )  # fmt: skip
