"""Short words for what the store suites do all the time."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from receiver.store import Store, Transaction, Unavailable, runs
from receiver.store.intake import Arrival, Recorded
from receiver.store.runs import Claimed, Verdict

T = TypeVar("T")
SUCCEEDED = Verdict("succeeded")
FAILED = Verdict("waiting", "exception", "why", failure=True)
S_US = 1_000_000


def insist(write: Callable[[], T]) -> T:
    """Try again while another process has the store: nothing was written then."""
    while True:
        try:
            return write()
        except Unavailable:
            continue


def record(store: Store, *arrivals: Arrival) -> list[list[Recorded]]:
    """Store these at once: they share a commit."""

    async def together() -> list[list[Recorded]]:
        return list(await asyncio.gather(*(store.record(arrival) for arrival in arrivals)))

    return asyncio.run(together())


def ask(store: Store, sql: str, **parameters: Any) -> list[tuple[Any, ...]]:
    return store.write_from_thread(lambda tx: tx.all(sql, **parameters))


def change(store: Store, sql: str, **parameters: Any) -> int:
    return store.write_from_thread(lambda tx: tx.run(sql, **parameters))


def claim(
    store: Store,
    *handlers: str,
    slots: int = 100,
    lease_s: float = 60.0,
    route: Callable[[str, str], Sequence[str]] | None = None,
) -> list[Claimed]:
    """Route to `handlers`, unless told otherwise, and take what is due for them."""

    def op(tx: Transaction) -> list[Claimed]:
        return runs.claim(tx, handlers, route or (lambda source, type_: handlers), slots, lease_s).runs

    return store.write_from_thread(op)


def finish(store: Store, run: Claimed, verdict: Verdict = SUCCEEDED) -> bool:
    return store.write_from_thread(lambda tx: runs.finish(tx, run, verdict))


def states(store: Store) -> dict[str, int]:
    """How many runs are in each state; one without a handler is `unrouted`."""
    sql = "SELECT CASE WHEN handler IS NULL THEN 'unrouted' ELSE state END, count(*) FROM run GROUP BY 1"
    return dict(ask(store, sql))
