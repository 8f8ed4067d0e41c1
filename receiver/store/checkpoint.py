"""Checkpoints of a SQLite store beside its writer: what is committed moves from the log into the file.

Left to the writer's own commits, one in a few hundred would take fifty milliseconds, and all that waits with it. Here
they run on a connection and a thread of their own, which never keeps the writer from its work. When the log has grown
to `wal_autocheckpoint` the writer still looks itself: then little is left to move, and the log begins anew.
"""

import sqlite3
import threading
from collections.abc import Callable
from typing import Final

CHANGES: Final = 2000  # rows changed between two of them: a few megabytes of log
END_S: Final = 1.0  # a disk that stands still must not keep the writer


class Checkpoints:
    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        self._connect = connect
        self._due = threading.Event()
        self._ended = False
        self._changes = 0
        self._thread = threading.Thread(target=self._work, name="store-checkpoints", daemon=True)
        self._thread.start()

    def committed(self, changes: int) -> None:
        """`changes`: of the writer's connection, since it was opened."""
        if changes - self._changes >= CHANGES:
            self._changes = changes
            self._due.set()

    def end(self) -> None:
        self._ended = True
        self._due.set()
        self._thread.join(END_S)

    def _work(self) -> None:
        connection = None
        while self._wait():
            try:
                connection = connection or self._connect()
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            except sqlite3.Error:
                continue  # a full or broken disk: the writer finds out, and says so
        if connection is not None:
            connection.close()

    def _wait(self) -> bool:
        self._due.wait()
        self._due.clear()
        return not self._ended
