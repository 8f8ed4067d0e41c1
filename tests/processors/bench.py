"""A real store with events in it, and engines or single attempts that work on them; time is moved, never waited for."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

from processors.attempt import Attempt, Tools
from processors.engine import Alone, Engine
from processors.event import Readings
from processors.handler import by_name, handler_of
from processors.outbound.upstream import Upstreams
from receiver.http import httpx
from receiver.metrics import Metrics
from receiver.schemes import Identity
from receiver.settings import Settings, load
from receiver.store import Store, Transaction, runs
from receiver.store.intake import Arrival
from receiver.store.runs import Claimed, Verdict
from receiver.store.sqlite import SqliteDatabase
from tests.support.rows import rows
from tests.support.stores import new_file
from tests.support.until import until

T = TypeVar("T")
FAST = """
[worker]
concurrency = 4
retry_first_s = 0.001
retry_factor = 1
"""
APIS = """
[apis.ledger]
base_url = "http://ledger.test/v1"
[apis.bank]
base_url = "http://bank.test"
idempotency_header = ""
"""


def settings_of(root: Path, text: str = FAST, **environ: str) -> Settings:
    (root / "postern.toml").write_text(text)
    return load(root / "postern.toml", environ)


@dataclass
class Bench:
    root: Path
    settings: Settings
    store: Store
    file: Path
    numbers: Iterator[int] = field(default_factory=lambda: iter(range(1, 1_000_000)))

    # ── what happened ──

    def put(self, type: str = "paid", body: bytes | Mapping[str, Any] = b"{}", source: str = "shop") -> int:
        """Store one event; its number."""
        return self.put_many(1, type, body, source)[0]

    def put_many(
        self, count: int, type: str = "paid", body: bytes | Mapping[str, Any] = b"{}", source: str = "shop"
    ) -> list[int]:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()

        def arrival() -> Arrival:
            event = Identity(f"evt_{next(self.numbers)}", type, vendor_id=True)
            return Arrival(source, b"x-one: 1", content, sha256(content).digest(), 1_700_000_000_000_000, 0, [event])

        async def record() -> list[int]:
            recorded = await asyncio.gather(*(self.store.record(arrival()) for _ in range(count)))
            return [one.id for [one] in recorded]

        return asyncio.run(record())

    # ── what became of it ──

    def runs(self, columns: str = "state", where: str = "handler IS NOT NULL") -> list[Any]:
        """A column of each run, or several of them, in order of id."""
        found = rows(self.file, f"SELECT {columns} FROM run WHERE {where} ORDER BY id")
        return [row[0] if len(row) == 1 else row for row in found]

    def steps(self, columns: str = "name, revision, state") -> list[Any]:
        return rows(self.file, f"SELECT {columns} FROM step ORDER BY id")

    def settled(self) -> bool:
        """Nothing is waiting for its first attempt, and nothing is at work."""
        return not rows(self.file, "SELECT 1 FROM run WHERE handler IS NULL OR state IN ('running', 'waiting')")

    def until_settled(self, within_s: float = 20.0) -> None:
        until(self.settled, within_s, "all runs to end")

    # ── who works ──

    def write(self, op: Callable[[Transaction], T], later_s: float = 0.0) -> T:
        """Write now, or as if so much time had passed: the store's clock is what a write is given."""

        def at(tx: Transaction) -> T:
            tx.now_us += (shift_us := round(later_s * 1e6))
            try:
                return op(tx)
            finally:
                tx.now_us -= shift_us  # others' writes stand in the same transaction

        return self.store.write_from_thread(at)

    @contextmanager
    def engine(
        self, *functions: Callable[..., Any], alone: Alone | None = None, settings: Settings | None = None
    ) -> Iterator[Engine]:
        """An engine with these handlers. Nobody sweeps: a test calls `look()`."""
        handlers = by_name(handler_of(function) for function in functions)
        engine = Engine(settings or self.settings, self.store, handlers, Metrics(), alone or nobody)
        self.store.on_work(engine.wake)
        with closing_once(engine):
            yield engine

    def claim(self, *functions: Callable[..., Any], lease_s: float = 30.0, later_s: float = 0.0) -> list[Claimed]:
        """Route all to these handlers, and take what is due."""
        names = [handler_of(function).name for function in functions]
        claimed = self.write(lambda tx: runs.claim(tx, names, lambda source, type_: names, 10, lease_s), later_s)
        return claimed.runs

    def attempt(
        self,
        function: Callable[..., Any],
        run: Claimed,
        apis: "Apis | None" = None,
        afterwards: Callable[[], Any] | None = None,
    ) -> Verdict:
        """One attempt, and its end written down as the engine does it; `afterwards` while its loop still runs."""

        async def work() -> Verdict:
            with ThreadPoolExecutor(1) as threads:
                upstreams = Upstreams(self.settings, apis.transports if apis else None)
                tools = Tools(
                    self.store,
                    Readings(self.settings),
                    upstreams,
                    Metrics(),
                    self.settings.worker,
                    threads,
                    lambda: 0.5,
                )
                verdict = await Attempt(tools, handler_of(function), run).run()
                await self.store.write(lambda tx: runs.finish(tx, run, verdict))
                if afterwards is not None:
                    await asyncio.to_thread(afterwards)
                await upstreams.aclose()
                return verdict

        return asyncio.run(work())


@contextmanager
def closing_once(engine: Engine) -> Iterator[None]:
    """Stop it at the end, unless the test has."""
    try:
        yield
    finally:
        if not engine._stopped:
            engine.stop(drain_s=0.2)


async def nobody(run: Claimed, timeout_s: float) -> Verdict | None:
    raise AssertionError(f"no run of this test is a suspect: {run}")


@dataclass
class Apis:
    """Upstreams at the seam: one answer after the other, and what reached them."""

    answers: Sequence[Any]
    calls: list[httpx.Request] = field(default_factory=list)

    @property
    def transports(self) -> Mapping[str, httpx.AsyncBaseTransport]:
        transport = httpx.MockTransport(self._answer)
        return {"ledger": transport, "bank": transport}

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        self.calls.append(request)
        answer = self.answers[len(self.calls) - 1]
        answer = answer() if callable(answer) else answer
        if isinstance(answer, Awaitable):
            answer = await answer
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer, json={}) if isinstance(answer, int) else answer


@contextmanager
def a_bench(root: Path, text: str = FAST) -> Iterator[Bench]:
    """The store of this folder, a new one if there is none."""
    file = root / "postern.db"
    if not file.exists():
        new_file(root)
    store = Store(SqliteDatabase(str(file), durable=False))
    try:
        yield Bench(root, settings_of(root, text), store, file)
    finally:
        store.close()
