"""The real intake without sockets: connections, door, schemes and a store of its own, fed by hand.

Many connections at once, as in life, so that their events share commits. What a socket would add is in `sockets.py`.
"""

import asyncio
import logging
import sqlite3
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import httpx

from receiver import server
from receiver.app import create_app
from receiver.door import Exchange
from receiver.key_provider import KeyProvider
from receiver.metrics import Metrics
from receiver.settings import load
from receiver.sources import Source, build_sources
from receiver.store import Store
from receiver.store.ids import number
from receiver.store.sqlite import SqliteDatabase
from tests.chaos.clock import standing_still
from tests.fuzz.inputs import AT
from tests.fuzz.judge import LookUp, complaints, read
from tests.fuzz.model import SECRET, SOURCES
from tests.support.stores import new_file

NO_EVENT = ("", "no event of this id")
Judge = Callable[[bytes, bytes, bool, LookUp], Iterator[str]]
READ_BYTES = 256 * 1024  # what asyncio reads from a socket at once
TURNS = 500  # of the loop, by which all that is whole has its answer
PUBLIC_URL = "https://hooks.example.com"
OWN = {
    "addressed": 'scheme = "hmac"\nsignature = "header:X-Signature"\ncontent = "{url}{body}"\nid = "body:id"\n'
    'hash = "sha512"\nencoding = "base64"\n',
    "batch": 'scheme = "hmac"\nsignature = "header:X-Signature"\nitems = "body:events[*]"\nid = "body:id"\n',
}
CONFIGURATION = "".join(
    f'[sources.{name}]\nsecrets = ["literal:{SECRET.decode()}"]\n' + OWN.get(name, f'preset = "{name}"\n')
    for name in SOURCES
)


class Wired(asyncio.Transport):
    """One connection's other end: keeps what is written, and delivers only while somebody reads."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        super().__init__({"sockname": ("127.0.0.1", 1), "peername": ("127.0.0.1", 2)})
        self.written = bytearray()
        self.closed = False
        self._reading = True
        self._pieces = deque(part for piece in pieces for part in _read(piece))
        self._protocol: Any = None

    def connect(self, protocol: Any) -> None:
        self._protocol = protocol
        protocol.connection_made(self)

    def deliver(self) -> bool:
        """Whether there was anything to deliver."""
        any_left = False
        while self._pieces and self._reading and not self.closed:
            any_left = True
            self._protocol.data_received(self._pieces.popleft())
        return any_left

    @property
    def queues(self) -> bool:
        """Whether requests wait here for those before them."""
        return bool(self._protocol.pipeline) and not self.closed

    def disconnect(self) -> None:
        if not self.closed:
            self.closed = True
            self._protocol.connection_lost(None)

    def write(self, data: Any) -> None:
        self.written += data

    def write_eof(self) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        self._reading = True

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, None)

    def abort(self) -> None:
        self.close()


def _read(piece: bytes) -> Iterator[bytes]:
    for start in range(0, len(piece), READ_BYTES):
        yield piece[start : start + READ_BYTES]


class Gate:
    """Open it by `with`; it works on an event loop of its own. `sources` are the model's where none are given."""

    def __init__(self, sources: Mapping[str, Source] | None = None, at: int = AT, judge: Judge = complaints) -> None:
        self._sources = sources
        self._at = at
        self._judge = judge

    def __enter__(self) -> Self:
        self._clock = standing_still(self._at)
        self._clock.__enter__()
        self._folder = TemporaryDirectory(prefix="postern-fuzz-")
        root = Path(self._folder.name)
        (root / "postern.toml").write_text(CONFIGURATION)
        settings = load(root / "postern.toml", {} if self._sources is None else {"POSTERN_PUBLIC_URL": PUBLIC_URL})
        self._file = new_file(root)
        self._store = Store(SqliteDatabase(str(self._file), durable=False))
        sources = self._sources or build_sources(settings)
        provider = KeyProvider(httpx.MockTransport(lambda request: httpx.Response(404)))  # no vendor hears of this
        apps = create_app(settings, self._store, sources, Metrics(), key_provider=provider)
        self._server = server.server(apps.public, (), intake=apps.intake)
        self._server.config.load()
        self._runner = asyncio.Runner()
        self._run(self._server.on_tick(0))
        self.statuses: Counter[int] = Counter()
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.close()
        self._store.close()
        self._folder.cleanup()
        self._clock.__exit__(None, None, None)

    def _run(self, work: Any) -> Any:
        return self._runner.run(work)

    def complaints(self, inputs: Sequence[Sequence[bytes]]) -> list[list[str]]:
        """What there is to say of each input, sent all at once."""
        outcomes, said = self.outcomes(inputs)
        if said and len(inputs) > 1:  # whose fault was it?
            return [found for one in inputs for found in self.complaints([one])]
        with closing(sqlite3.connect(self._file)) as store:
            judged = [
                list(self._judge(b"".join(pieces), written, closed, lambda id: _look_up(store, id)))
                for pieces, (written, closed) in zip(inputs, outcomes, strict=True)
            ]
        judged[0] += said
        return judged

    def outcomes(self, inputs: Sequence[Sequence[bytes]]) -> tuple[list[tuple[bytes, bool]], list[str]]:
        """What was written on each connection, and whether it was closed; and what was said meanwhile."""
        with overheard() as said:
            outcomes = self._run(self._converse(inputs))
        self.statuses.update(answer.status for written, _ in outcomes for answer in read(written))
        return outcomes, said

    async def _converse(self, inputs: Sequence[Sequence[bytes]]) -> list[tuple[bytes, bool]]:
        connections = [Wired(pieces) for pieces in inputs]
        for connection in connections:
            protocol: Any = self._server.config.http_protocol_class
            connection.connect(
                protocol(config=self._server.config, server_state=self._server.server_state, app_state={})
            )
        for _ in range(TURNS):
            if not sum([one.deliver() or one.queues for one in connections]) and not self._is_busy():
                break
            await self._store.write(lambda tx: None)  # whatever came before it is committed when this is
            await asyncio.sleep(0)
        outcomes = [(bytes(one.written), one.closed) for one in connections]
        for connection in connections:
            connection.disconnect()
        return outcomes

    def _is_busy(self) -> bool:
        """Whether anything is under way that does not wait for its sender."""
        tasks: set[Any] = self._server.server_state.tasks
        return any(not isinstance(task, Exchange) or task.whole for task in tasks)


def _look_up(store: sqlite3.Connection, id: str) -> tuple[str, str]:
    row = store.execute("SELECT source, external_id FROM event WHERE id = ?", [number("ev", id)]).fetchone()
    return (row[0], row[1]) if row else NO_EVENT


@contextmanager
def overheard() -> Iterator[list[str]]:
    """What the log says that it must not: errors, and exceptions at any level."""
    said: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.exc_info or record.levelno >= logging.ERROR:
                said.append(f"in the log: {record.getMessage()} {record.exc_info and record.exc_info[1]!r}")

    listener = Listener()
    logging.getLogger().addHandler(listener)
    try:
        yield said
    finally:
        logging.getLogger().removeHandler(listener)
