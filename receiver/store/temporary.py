"""A store for tests: the real one, quick and not durable. While nobody has it open it is bytes: no file, no thread."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from receiver.store import schema
from receiver.store.sqlite import SqliteDatabase
from receiver.store.store import Store

NAME = "postern.db"


class TemporaryStore:
    def __init__(self) -> None:
        self._content = _empty()

    @contextmanager
    def open(self) -> Iterator[Store]:
        with TemporaryDirectory(prefix="postern-") as folder:
            path = Path(folder, NAME)
            path.write_bytes(self._content)
            store = Store(SqliteDatabase(str(path), durable=False))
            try:
                yield store
            finally:
                store.close()
                self._content = path.read_bytes()


@cache
def _empty() -> bytes:
    """Migrations cost a tenth of a second: they run once in a process."""
    with TemporaryDirectory(prefix="postern-") as folder:
        path = Path(folder, NAME)
        schema.upgrade(SqliteDatabase(str(path)))
        return path.read_bytes()
