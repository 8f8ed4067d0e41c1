"""The project that the services under test work on: its configuration, its environment, its store."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.handlers import LEDGER, NOTES
from tests.chaos.layout import Behind
from tests.chaos.stores import PostgresqlDatabase, SqliteFile, Store
from tests.chaos.upstream import Upstream
from tests.chaos.vendors import SECRETS

LEASE_S = 2.0
REPOSITORY = Path(__file__).parents[2]
START = Path(__file__).with_name("start")
_CONFIGURATION = """
[store]
url = "{store}"

[queue]
url = "{queue}"

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
    """What every service is started with."""
    store: Store

    @classmethod
    def made(cls, folder: Path, upstream: Upstream, store: Behind | None, queue: Behind | None) -> "Project":
        """On a file and with the queue in memory, where there are no servers."""
        sources = [_SOURCE.format(name=name, secret=secret) for name, secret in SECRETS.items()]
        text = _CONFIGURATION.format(
            lease_s=LEASE_S, ledger=upstream.ledger_port, plain=upstream.plain_port,
            store=store.url if store else "sqlite:///postern.db", queue=queue.url if queue else "memory://",
        )  # fmt: skip
        folder.mkdir(exist_ok=True)
        (folder / "postern.toml").write_text(text + "".join(sources))
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("POSTERN_")}
        environ = inherited | {
            "POSTERN_CONFIG": str(folder / "postern.toml"),
            "PYTHONPATH": os.pathsep.join(map(str, (START, REPOSITORY))),
            NOTES: str(folder / "notes"),
            LEDGER: str(upstream.ledger_port),
        }
        file = SqliteFile(folder / "postern.db")
        return cls(folder, environ, PostgresqlDatabase(store.server.url) if store else file)

    def upgrade(self) -> None:
        """Make the tables; only on SQLite `serve` does that by itself. Errors: CalledProcessError."""
        subprocess.run(
            [sys.executable, "-m", "receiver", "db", "upgrade"], env=self.environ, stdout=subprocess.DEVNULL, check=True
        )

    def notes(self) -> list[str]:
        file = self.folder / "notes"
        return file.read_text().split() if file.exists() else []
