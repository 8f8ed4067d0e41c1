"""Empty stores and things to put into them."""

import functools
import time
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from receiver.schemes import Identity
from receiver.store import schema
from receiver.store.intake import Arrival
from receiver.store.sqlite import SqliteDatabase

HOUR_US = 3600 * 1_000_000


@functools.cache
def _empty() -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder, "empty.db")
        schema.upgrade(SqliteDatabase(str(path)))
        return path.read_bytes()


def new_file(folder: Path) -> Path:
    """A store's file with its tables, made once and copied."""
    path = folder / "postern.db"
    path.write_bytes(_empty())
    return path


def arrival(
    *external_ids: str,
    source: str = "stripe",
    type: str = "a.b",
    body: bytes = b"{}",
    at_us: int | None = None,
    window_us: int | None = None,
) -> Arrival:
    """A verified delivery of these events. With a window, the ids are digests and hold only so long."""
    batch = len(external_ids) > 1
    events = [
        Identity(external_id, type, window_us is None, number if batch else None)
        for number, external_id in enumerate(external_ids)
    ]
    received_us = time.time_ns() // 1000 if at_us is None else at_us
    return Arrival(source, b"host: localhost", body, sha256(body).digest(), received_us, window_us or HOUR_US, events)
