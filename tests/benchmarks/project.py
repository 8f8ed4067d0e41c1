"""A Postern project in a temporary folder: its configuration, its server, and what its store holds.

The store is read with SQLite itself: Postern's own word that an event is stored would prove nothing.
"""

import sqlite3
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.bodies import SECRET
from tests.benchmarks.failed import Failed
from tests.benchmarks.servers import Cores, Server, free_port, serving

ROUTED_WITHIN_S = 60.0
_CONFIGURATION = """
[sources.stripe]
preset = "stripe"
secrets = ["literal:{secret}"]

[store]
url = "sqlite:///postern.db"

[queue]
url = "memory://"

[handlers]
modules = [{modules}]
"""


@dataclass(frozen=True, slots=True)
class Project:
    folder: Path
    cores: Cores

    @classmethod
    def made(cls, folder: Path, cores: Cores, modules: str = "") -> "Project":
        folder.mkdir()
        (folder / "postern.toml").write_text(_CONFIGURATION.format(secret=SECRET.decode(), modules=modules))
        return cls(folder, cores)

    def serve(self, environ: Mapping[str, str] | None = None) -> AbstractContextManager[Server]:
        port = free_port()
        named = {"POSTERN_CONFIG": str(self.folder / "postern.toml")}
        return serving(
            "receiver",
            "serve",
            "--port",
            str(port),
            port=port,
            cores=self.cores,
            log=self.folder / "serve.log",
            environ=named | dict(environ or {}),
        )

    def stored(self) -> int:
        return self._number("SELECT count(*) FROM event")

    def unrouted(self) -> int:
        """Without handlers every row of `run` is an event that no worker has routed yet."""
        return self._number("SELECT count(*) FROM run")

    def wait_until_routed(self) -> int:
        """How many were unrouted when the wait began."""
        give_up_at = time.monotonic() + ROUTED_WITHIN_S
        backlog = left = self.unrouted()
        while left:
            if time.monotonic() > give_up_at:
                raise Failed(f"{left:,} events are still unrouted after {ROUTED_WITHIN_S:.0f} s")
            time.sleep(0.005)
            left = self.unrouted()
        return backlog

    def _number(self, query: str) -> int:
        address = f"file:{self.folder}/postern.db?mode=ro"
        with closing(sqlite3.connect(address, uri=True, timeout=30)) as store:
            return int(store.execute(query).fetchone()[0])
