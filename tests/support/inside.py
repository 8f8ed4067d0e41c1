"""The receiver inside the test's process: real sockets and a real store, without the start of a process each time."""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from starlette.types import ASGIApp

from receiver import server
from receiver.api.probes import WorkerStatus
from receiver.app import create_app
from receiver.ingest import Intake
from receiver.key_provider import KeyProvider
from receiver.metrics import Metrics
from receiver.settings import load
from receiver.sources import build_sources
from receiver.store import Store, open_store
from receiver.wellformed import Limits
from tests.support.sender import SECRET

STRIPE = f"""
[sources.stripe]
preset = "stripe"
secrets = ["literal:{SECRET}"]
"""
PATH = "/webhooks/stripe"


@dataclass(frozen=True)
class Inside:
    port: int
    admin_port: int | None
    store: Store
    file: Path
    """The store's, to read with `rows`."""


@contextmanager
def inside(
    root: Path,
    config: str = STRIPE,
    *,
    limits: Limits | None = None,
    worker: WorkerStatus | None = None,
    key_provider: KeyProvider | None = None,
) -> Iterator[Inside]:
    """Receive for the sources of `config`; nothing works on the events."""
    (root / "postern.toml").write_text(config)
    settings = load(root / "postern.toml", {})
    store = open_store(settings.store.url, create=True)
    limits = limits or Limits()
    apps = create_app(settings, store, build_sources(settings), Metrics(), worker, limits, key_provider)
    admin = None if settings.server.admin_port is None else listen(apps.admin, limits)
    try:
        with listen(apps.public, limits, apps.intake, settings.server.trusted_proxies) as port:
            if admin is None:
                yield Inside(port, None, store, root / "postern.db")
            else:
                with admin as admin_port:
                    yield Inside(port, admin_port, store, root / "postern.db")
    finally:
        store.close()


@contextmanager
def listen(
    app: ASGIApp, limits: Limits, intake: Intake | None = None, trusted_proxies: Sequence[str] = ()
) -> Iterator[int]:
    """Serve an application from a thread; the port."""
    listener = server.bind("127.0.0.1", 0)
    port: int = listener.getsockname()[1]
    serving = server.server(app, trusted_proxies, limits, intake=intake)
    thread = threading.Thread(target=lambda: asyncio.run(serving._serve([listener])), name="inside")
    thread.start()
    try:
        yield port
    finally:
        serving.should_exit = True
        thread.join()
