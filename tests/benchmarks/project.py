"""A Postern project in a temporary folder: its configuration, its server, and what its store holds.

The store is read with its database's own driver: Postern's word that an event is stored would prove nothing.
"""

import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from receiver.store import schema
from receiver.store.database import database_at
from tests.benchmarks.bodies import SECRET
from tests.benchmarks.databases import Database
from tests.benchmarks.failed import Failed
from tests.benchmarks.servers import Cores, Server, free_port, serving

ROUTED_WITHIN_S = 60.0
NOWHERE = "http://127.0.0.1:9"  # an upstream that nobody calls
_CONFIGURATION = """
[sources.stripe]
preset = "stripe"
secrets = ["literal:{secret}"]

[store]
url = "{store}"

[queue]
url = "{queue}"

[worker]
{worker}

[apis.upstream]
base_url = "{upstream}"

[handlers]
modules = [{modules}]
"""


def configure(folder: Path, store: str, queue: str, upstream: str, module: str, worker: str = "") -> dict[str, str]:
    """Write `postern.toml`; the variables that make it found."""
    modules = f'"{module}"' if module else ""
    path = folder / "postern.toml"
    path.write_text(
        _CONFIGURATION.format(
            secret=SECRET.decode(), store=store, queue=queue, upstream=upstream, modules=modules, worker=worker
        )
    )
    return {"POSTERN_CONFIG": str(path)}


@dataclass(frozen=True, slots=True)
class Project:
    folder: Path
    cores: Cores
    store: Database

    @classmethod
    def made(cls, folder: Path, cores: Cores, module: str = "", store: Database | None = None) -> "Project":
        """In a SQLite file of its own, unless it is told where."""
        folder.mkdir()
        store = store or Database(f"sqlite:///{folder}/postern.db")
        schema.upgrade(database_at(store.url))
        configure(folder, store.url, "memory://", NOWHERE, module)
        return cls(folder, cores, store)

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
        return self.store.number("SELECT count(*) FROM event")

    def unrouted(self) -> int:
        """Without handlers every row of `run` is an event that no worker has routed yet."""
        return self.store.number("SELECT count(*) FROM run")

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
