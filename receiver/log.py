"""Logging: one JSON object a line, or readable lines on a terminal. One correlation id: the event's own id.

A line about an event carries `event`, one about a run also `run`; the same id stands in the answer to the vendor and in
the header of every outbound request. What is logged, and when, is decided where it happens.
"""

import json
import logging
import sys
import time
from collections.abc import Callable
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, TextIO

CONTEXT: ContextVar[dict[str, str] | None] = ContextVar("postern_log_context", default=None)
PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message", "taskName"}
QUIET_S = 10.0


def bind(**fields: str) -> None:
    """Add fields to every line logged from this task or thread on."""
    CONTEXT.set({**(CONTEXT.get() or {}), **fields})


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    extra = {name: value for name, value in vars(record).items() if name not in PLAIN and value is not None}
    return {**(CONTEXT.get() or {}), **extra}


def _at(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": _at(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= _fields(record)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class ReadableLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = " ".join(f"{name}={value}" for name, value in _fields(record).items() if name != "next")
        line = f"{_at(record)[11:19]} {record.levelname.lower():7} {record.getMessage()}"
        if fields:
            line += f"  [{fields}]"
        if hasattr(record, "next"):
            line += f"\n{'':17}next: {record.next}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


def set_up(level: str = "info", stream: TextIO | None = None) -> None:
    """Log to `stream` (standard error): JSON, or readable lines where it is a terminal."""
    stream = stream or sys.stderr
    handler = logging.StreamHandler(stream)
    handler.setFormatter(ReadableLines() if stream.isatty() else JsonLines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for noisy in ("httpx", "httpcore", "dramatiq", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    # It reports each failure with every layer it went through; ours says it once.
    logging.getLogger("pika").setLevel(logging.CRITICAL)
    # It warns of each malformed request: strangers would fill the log.
    logging.getLogger("uvicorn").setLevel(logging.ERROR)


class Hush:
    """One line for many alike: a flood of refusals must not become a flood of log lines."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[object, tuple[float, int]] = {}

    def speak(self, subject: object) -> int:
        """How many there were since the last line about `subject`, this one included; 0: too soon for another line."""
        now = self._clock()
        last, count = self._seen.get(subject, (-QUIET_S, 0))
        if now - last < QUIET_S:
            self._seen[subject] = (last, count + 1)
            return 0
        self._seen[subject] = (now, 0)
        return count + 1
