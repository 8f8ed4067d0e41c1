"""Every store with every queue, as real processes: what comes in once takes effect once, whoever receives and works."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.support import sender
from tests.support.inside import PATH, STRIPE
from tests.support.postern import Postern, serving, working, write_project
from tests.support.rows import count, rows
from tests.support.until import until
from tests.support.upstream import Upstream, upstream
from tests.support.wire import post

EVENTS = 40
HANDLERS = """
from processors import Context, Event, SyncContext, on

@on("stripe", "payment_intent.*")
async def book(event: Event[dict[str, str]], ctx: Context) -> None:
    await ctx.api("ledger").post("/entries", json={"ref": event.external_id})

@on("stripe", "*.succeeded")
def note(event: Event[dict[str, str]], ctx: SyncContext) -> None:
    pass
"""


@contextmanager
def layout(root: Path, store_url: str, queue_url: str, ledger: Upstream) -> Iterator[list[Postern]]:
    """Two receivers where the store has no one writer, and workers where the queue is a broker; the receivers."""
    write_project(root, f'{STRIPE}\n[apis.ledger]\nbase_url = "{ledger.url}"\n', HANDLERS)
    environ = {"POSTERN_STORE__URL": store_url, "POSTERN_QUEUE__URL": queue_url}
    receivers = 2 if store_url.startswith("postgresql") else 1
    with ExitStack() as stack:
        if not queue_url.startswith("memory"):
            stack.enter_context(working(root, environ, processes=2))
        yield [stack.enter_context(serving(root, environ)) for _ in range(receivers)]


def test_what_comes_in_takes_effect_once_and_every_process_tells_the_same(
    store_url: str, queue_url: str, tmp_path: Path
) -> None:
    where: Any = store_url if store_url.startswith("postgresql") else tmp_path / "postern.db"
    with upstream() as ledger, layout(tmp_path, store_url, queue_url, ledger) as receivers:
        answers: list[Counter[str]] = []
        for receiver in receivers:
            said: Counter[str] = Counter()
            for number in range(EVENTS):
                body = sender.stripe_event(f"evt_{number}")
                said[post(receiver.port, PATH, body, sender.stripe(body)).json()["status"]] += 1
            answers.append(said)
        assert answers == [Counter(accepted=EVENTS), *[Counter(duplicate=EVENTS)] * (len(receivers) - 1)]
        until(lambda: count(where, "run", "state = 'succeeded'") == 2 * EVENTS, what="all runs' ends")
    assert count(where, "event") == EVENTS
    assert Counter(handler for (handler,) in rows(where, "SELECT handler FROM run")) == {"book": EVENTS, "note": EVENTS}
    assert sorted(json.loads(call.body)["ref"] for call in ledger.calls) == sorted(
        f"evt_{number}" for number in range(EVENTS)
    )
