"""A project with a store, filled by the functions that fill a real one; what nobody waits for is left out."""

import hashlib
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from receiver.schemes import Identity
from receiver.store import Store, intake, processes, runs, schema
from receiver.store.activity import Refusal
from receiver.store.ids import number, text
from receiver.store.intake import Arrival
from receiver.store.processes import HandlerOffer
from receiver.store.runs import Claimed, Verdict
from receiver.store.sqlite import SqliteDatabase
from tests.support import ledger

DAY_US = 86_400_000_000
SUCCEEDED = Verdict("succeeded")


def now_us() -> int:
    return time.time_ns() // 1000


def offer(handler: str, source: str = "shop", pattern: str = "*", line: int = 7) -> HandlerOffer:
    return HandlerOffer(handler, source, pattern, "0", "/shop/webhooks.py", line)


class Stored:
    """`arrive` stores events, `work` runs their handlers to the given ends, `refuse` keeps a refused request."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def arrive(self, external_id: str = "evt_1", type: str = "order.paid", source: str = "shop", body: bytes = b"{}",
               *, ago_s: float = 0.0, vendor_id: bool = True) -> str:  # fmt: skip
        """The event's id; that of the first one if it was there."""
        arrival = Arrival(
            source, b"host: localhost\nx-note: a: b", body, hashlib.sha256(body).digest(),
            now_us() - round(ago_s * 1e6), DAY_US, [Identity(external_id, type, vendor_id)],
        )  # fmt: skip
        [[recorded]] = self.store.write_from_thread(lambda tx: intake.add(tx, [arrival]))
        activity = self.store.activity
        if recorded.duplicate:
            activity.duplicate(source, recorded.id, arrival.received_us, "env:KEY (0a1b2c3d)", differs=recorded.differs)
        else:
            activity.accepted(source, arrival.received_us, "env:KEY (0a1b2c3d)")
        self.store.flush()
        return text("ev", recorded.id)

    def claim(self, *handlers: str) -> list[Claimed]:
        """Route what is not routed to all of these handlers, and take what is due."""
        claim = self.store.write_from_thread(lambda tx: runs.claim(tx, handlers, lambda *_: handlers, 100, 60.0))
        return claim.runs

    def work(self, **ends: Verdict) -> None:
        """One attempt of each due run of these handlers, with the end that is given."""
        for run in self.claim(*ends):
            self.finish(run, ends[run.handler])

    def finish(self, run: Claimed, verdict: Verdict) -> None:
        if verdict.code == "ambiguous":  # what makes it so
            request = b"POST bank /pay\n\n"
            self.store.write_from_thread(lambda tx: ledger.intend(tx, run, "pay", 0, "key", request))
        self.store.write_from_thread(lambda tx: runs.finish(tx, run, verdict))

    def worker(self, *offers: HandlerOffer, trouble: str | None = None) -> int:
        return self._register("worker", None, offers, trouble)

    def receiver(self, url: str) -> int:
        return self._register("receiver", url, (), None)

    def _register(self, role: str, url: str | None, offers: tuple[HandlerOffer, ...], trouble: str | None) -> int:
        return self.store.write_from_thread(
            lambda tx: processes.register(tx, role, url=url, trouble=trouble, offers=offers)
        )

    def refuse(self, code: str = "signature_mismatch", source: str = "shop", body: bytes = b"{}", *,
               claimed_ago_s: float | None = None, size_bytes: int | None = None, ago_s: float = 0.0,
               headers: bytes = b"host: localhost", target: str | None = None) -> None:  # fmt: skip
        at_us = now_us() - round(ago_s * 1e6)
        claimed_us = None if claimed_ago_s is None else at_us - round(claimed_ago_s * 1e6)
        size = len(body) if size_bytes is None else size_bytes
        target = f"/webhooks/{source}" if target is None else target
        refusal = Refusal(
            source, at_us, code, f"due to {code}", claimed_us, size, headers, body, "POST", "http", target
        )  # fmt: skip
        self.store.activity.refused(refusal)
        self.store.flush()

    def sql(self, statement: str, **parameters: object) -> None:
        """What only time would do."""
        self.store.write_from_thread(lambda tx: tx.run(statement, **parameters))

    def states(self, event_id: str) -> Mapping[str | None, tuple[str, str | None]]:
        """By handler: (state, code)."""
        event = number("ev", event_id)
        found = self.store.write_from_thread(
            lambda tx: tx.all("SELECT handler, state, code FROM run WHERE event_id = :id", id=event)
        )
        return {handler: (state, code) for handler, state, code in found}


@cache
def _empty() -> bytes:
    """Migrations cost a tenth of a second: they run once."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "postern.db")
        schema.upgrade(SqliteDatabase(str(path)))
        return path.read_bytes()


@contextmanager
def stored(folder: Path) -> Iterator[Stored]:
    """A new store in `folder`, at the place where a configuration without [store] has it."""
    path = folder / "postern.db"
    path.write_bytes(_empty())
    store = Store(SqliteDatabase(str(path), durable=False))
    try:
        yield Stored(store)
    finally:
        store.close()


def steady(printed: str) -> str:
    """The same at any time: times become one, of the same length."""
    return re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", "2030-01-01T00:00:00", re.sub(r"\.\d{3}Z", ".000Z", printed))


GONE = ("a_b", "ab", "Book", "été", "\U0001f4b6", "\uff21")
"""Names of handlers that PostgreSQL's languages, UTF-8 and UTF-16 sort each in their own way."""


def fill(shop: Stored) -> None:
    """Some of everything that a store can hold, left by processes that have stopped. A run of `soon` is due."""
    for process in (shop.receiver("http://localhost:8000"), shop.worker(*map(offer, GONE))):
        shop.store.process_stopped(process)
    shop.arrive("evt_unhandled")
    shop.claim()
    shop.arrive("evt_ended", body=b'{"name": "\xc3\xa9"}')
    shop.work(
        book=SUCCEEDED,
        notify=Verdict("dropped", reason="anonymous \U0001f4b6"),
        bill=Verdict("parked", "refused", "422\nno: é"),
        pay=Verdict("parked", "ambiguous", "sent, and no answer"),
        later=Verdict("waiting", "upstream", "503", wait_s=3600.0, failure=True),
    )
    shop.arrive("evt_running", source="a-b")
    _begin_step(shop, *shop.claim("post"))
    shop.arrive("evt_waiting", "order.paid", "a_b", bytes(range(256)))
    shop.work(soon=Verdict("waiting", "upstream", "503", failure=True))
    _fill_unrouted(shop)
    shop.refuse(claimed_ago_s=400)
    shop.refuse("timestamp_stale", "a_b", bytes(range(256)), size_bytes=1 << 40)


def _begin_step(shop: Stored, run: Claimed) -> None:
    intend = shop.store.write_from_thread(lambda tx: ledger.intend(tx, run, "post", 0, "key", b"POST\0\xff"))
    shop.store.write_from_thread(lambda tx: ledger.conclude(tx, intend, "done", 201, b"x: y", b"\0\xff"))


def _fill_unrouted(shop: Stored) -> None:
    for body in (b'{"n": 1}', b'{"n": 1}', b""):
        shop.arrive("evt_again", source="ab", body=body)
    for ago_s in (2 * DAY_US / 1e6, 0.0):
        shop.arrive("sha256:same", source="ab", ago_s=ago_s, vendor_id=False)
