"""The project that the service under test serves: its configuration, and a look into its store by SQL alone."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.chaos.handlers import LEDGER, NOTES
from tests.chaos.upstream import Upstream
from tests.chaos.vendors import SECRETS

LEASE_S = 2.0
_CONFIGURATION = """
[worker]
concurrency = 32
lease_s = {lease_s}
retry_first_s = 0.05
retry_factor = 2
retry_cap_s = 1
max_failures = 1000
timeout_s = 90

[handlers]
modules = ["tests.chaos.handlers"]

[apis.ledger]
base_url = "http://127.0.0.1:{ledger}"
timeout_s = 0.7

[apis.patient]
base_url = "http://127.0.0.1:{ledger}"
timeout_s = 60

[apis.plain]
base_url = "http://127.0.0.1:{plain}"
timeout_s = 0.7
idempotency_header = ""
"""
_SOURCE = """
[sources.{name}]
preset = "{name}"
secrets = ["literal:{secret}"]
"""


@dataclass(frozen=True, slots=True)
class Project:
    folder: Path
    environ: dict[str, str]

    @classmethod
    def made(cls, folder: Path, upstream: Upstream) -> "Project":
        sources = [_SOURCE.format(name=name, secret=secret) for name, secret in SECRETS.items()]
        ports = {"ledger": upstream.ledger_port, "plain": upstream.plain_port}
        text = _CONFIGURATION.format(lease_s=LEASE_S, **ports) + "".join(sources)
        folder.mkdir(exist_ok=True)
        (folder / "postern.toml").write_text(text)
        environ = {
            "POSTERN_CONFIG": str(folder / "postern.toml"),
            NOTES: str(folder / "notes"),
            LEDGER: str(upstream.ledger_port),
        }
        return cls(folder, environ)

    @property
    def store(self) -> Path:
        return self.folder / "postern.db"

    def look(self, sql: str) -> list[tuple[Any, ...]]:
        """Read only: whoever else closes a store last would tidy it up, and hide what a crash left behind."""
        with closing(sqlite3.connect(f"file:{self.store}?mode=ro", uri=True, timeout=10)) as connection:
            return connection.execute(sql).fetchall()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else can write."""
        with closing(sqlite3.connect(self.store, timeout=10, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield
            connection.execute("ROLLBACK")

    def is_locked(self) -> bool:
        """Whether somebody is in the middle of a write."""
        with closing(sqlite3.connect(self.store, timeout=0, isolation_level=None)) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return True
            connection.execute("ROLLBACK")
            return False

    def notes(self) -> list[str]:
        file = self.folder / "notes"
        return file.read_text().split() if file.exists() else []
