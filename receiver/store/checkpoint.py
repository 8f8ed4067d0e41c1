"""Checkpoints of a SQLite store beside its writer: what is committed moves from the log into the file.

Left to the writer's own commits, one in a few hundred would take fifty milliseconds, and all that waits with it. Here
they run on a connection and a thread of their own, which never keeps the writer from its work. A log can only begin
anew between two commits with nothing left to move: so the writer does the last bit, right after a large one was done.
"""

import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final

CHECKPOINT: Final = "PRAGMA wal_checkpoint(PASSIVE)"
LOG_PAGES: Final = 4000  # then it begins anew
CHANGES: Final = 400  # rows changed between two of them: a megabyte or so, which keeps nobody waiting
END_S: Final = 1.0  # a disk that stands still must not keep the writer


class Checkpoints:
    """Of one writer's connection; `connect` opens another one, on the thread and when it is first needed."""

    def __init__(self, connect: Callable[[], sqlite3.Connection], *, end_s: float = END_S) -> None:
        self._connect = connect
        self._end_s = end_s
        self._due = threading.Event()
        self._ended = False
        self._log_is_long = False
        self._changes = 0
        self._thread = threading.Thread(target=self._work, name="store-checkpoints", daemon=True)
        self._thread.start()

    def committed(self, writer: sqlite3.Connection) -> None:
        """After each commit, on the writer's thread."""
        if self._log_is_long:
            self._log_is_long = False
            with suppress(sqlite3.Error):  # it was committed all the same
                writer.execute(CHECKPOINT)
        elif writer.total_changes - self._changes >= CHANGES:
            self._changes = writer.total_changes
            self._due.set()

    def end(self) -> None:
        self._ended = True
        self._due.set()
        self._thread.join(self._end_s)

    def _work(self) -> None:
        connection = None
        while self._wait():
            try:
                connection = connection or self._connect()
                [(_, pages, _)] = connection.execute(CHECKPOINT).fetchall()
                self._log_is_long = pages >= LOG_PAGES
                if self._log_is_long:
                    self._due.clear()  # first the writer's bit: while the thread is at it, the writer cannot be
            except sqlite3.Error:
                pass  # a full or broken disk: the writer finds out, and says so
        if connection is not None:
            connection.close()

    def _wait(self) -> bool:
        if not self._ended:
            self._due.wait()
        self._due.clear()
        return not self._ended
