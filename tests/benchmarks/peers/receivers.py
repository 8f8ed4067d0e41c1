"""The peers of the intake: how each is started on a port, what signature it knows, and what it keeps.

All take a delivery at the path that Postern has for it. They are spared every limit, a second vendor, and what follows:
no Celery worker runs, `webhook` starts no more than /bin/true, Node-RED stores nothing. Processor time is that of the
service itself, neither Redis's nor PostgreSQL's. What is not installed is left out, aloud.
"""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import redis

from tests.benchmarks import bodies
from tests.benchmarks.databases import Database, fresh
from tests.benchmarks.failed import Failed
from tests.benchmarks.peers.node_red import FLOW, SETTINGS
from tests.benchmarks.stations import Stations
from tests.support.servers import Missing, on_path, program

NODE_RED = Path(__file__).parents[3] / "var/peers/node_modules/node-red/red.js"  # `make peers` puts it there


@dataclass(frozen=True, slots=True)
class Receiver:
    name: str
    command: Callable[[int], list[str]]
    """That serves on the port."""

    signature: bodies.Signature = bodies.stripe_signature
    kept: Callable[[], int] | None = None
    """How many events it holds; None: it keeps none."""

    environ: Mapping[str, str] = field(default_factory=dict)


@contextmanager
def receivers(store: Database, folder: Path) -> Iterator[list[Receiver]]:
    """Those that are installed. To be opened before a round: only until then does Redis get every core."""
    with ExitStack() as opened:
        present = []
        for peer in (fastapi, webhook, node_red):
            try:
                present.append(opened.enter_context(peer(store, folder)))
            except Missing as missing:
                print(f"left out: {missing}", flush=True)
        yield present


@contextmanager
def fastapi(store: Database, folder: Path) -> Iterator[Receiver]:
    """On the kind of database that Postern has, on the same server."""
    for package in ("fastapi", "celery"):
        if find_spec(package) is None:
            raise Missing(f"{package} is not installed; make peers")
    with (
        Stations.opened(None, None, sql=False) as stations,
        fresh(None if store.is_sqlite else store.url, folder, "naive") as own,
    ):
        url = own.url.replace("postgresql:", "postgresql+psycopg:")
        yield Receiver(
            "fastapi and celery",
            lambda port: [
                sys.executable, "-m", "uvicorn", "tests.benchmarks.peers.fastapi_app:app", "--port", str(port),
                "--no-access-log", "--log-level", "warning",
            ],
            kept=lambda: _kept(own, stations.redis_url),
            environ={"BENCHMARK_STORE": url, "BENCHMARK_BROKER": stations.redis_url},
        )  # fmt: skip


def _kept(database: Database, broker_url: str) -> int:
    events = database.number("SELECT count(*) FROM event")
    with redis.Redis.from_url(broker_url) as broker:
        messages = broker.llen("celery")
    if events != messages:
        raise Failed(f"{events:,} events are stored, and {messages:,} are in Celery's queue")
    return events


@contextmanager
def webhook(store: Database, folder: Path) -> Iterator[Receiver]:
    """Debian's; it starts a process for each event, and does not wait for its end."""
    binary = program("webhook", "webhook", on_path())
    hooks = folder / "hooks.json"
    hooks.write_text(json.dumps(_HOOKS))
    yield Receiver(
        "webhook",
        lambda port: [str(binary), "-hooks", str(hooks), "-urlprefix", "", "-ip", "127.0.0.1", "-port", str(port)],
        bodies.body_signature,
    )


_SIGNED = {
    "match": {
        "type": "payload-hmac-sha256",
        "secret": bodies.SECRET.decode(),
        "parameter": {"source": "header", "name": bodies.BODY_SIGNATURE.decode()},
    }
}
_HOOKS = [
    {
        "id": bodies.PATH[1:],
        "execute-command": "/bin/true",
        "trigger-rule": _SIGNED,
        "trigger-rule-mismatch-http-response-code": 403,  # otherwise it answers 200 to forgeries, and does nothing
    },
    {"id": "readyz", "execute-command": "/bin/true"},
]


@contextmanager
def node_red(store: Database, folder: Path) -> Iterator[Receiver]:
    """Without its editor."""
    node = program("node", "nodejs", on_path())
    if not NODE_RED.exists():
        raise Missing("Node-RED is not installed; make peers")
    own = folder / "node-red"
    own.mkdir()
    (own / "settings.js").write_text(f"module.exports = {json.dumps(SETTINGS)}")
    (own / "flows.json").write_text(json.dumps(FLOW))
    yield Receiver(
        "node-red",
        lambda port: [str(node), str(NODE_RED), "--userDir", str(own), "--port", str(port), str(own / "flows.json")],
        environ={"BENCHMARK_SECRET": bodies.SECRET.decode()},
    )
