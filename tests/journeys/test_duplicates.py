"""Fifty parallel copies of one delivery, as a vendor's retries may come: one event, one run, one effect."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.support import sender
from tests.support.inside import PATH, STRIPE
from tests.support.postern import serving, write_project
from tests.support.rows import count, rows
from tests.support.until import until
from tests.support.upstream import upstream
from tests.support.wire import Answer, get, post

COPIES = 50
HANDLERS = """
from processors import Context, Event, on

@on("stripe", "payment_intent.succeeded")
async def book(event: Event[dict[str, str]], ctx: Context) -> None:
    await ctx.api("ledger").post("/entries", json={"ref": event.data["id"]})
"""


def test_fifty_copies_at_once_are_one_event_with_one_effect(tmp_path: Path) -> None:
    body = sender.stripe_event("evt_copied")
    headers = sender.stripe(body)
    with upstream() as ledger:
        write_project(tmp_path, STRIPE + f'[apis.ledger]\nbase_url = "{ledger.url}"\n', HANDLERS)
        with serving(tmp_path) as postern:
            port = postern.port

            def send(_: int) -> Answer:
                return post(port, PATH, body, headers)

            with ThreadPoolExecutor(COPIES) as threads:
                answers = list(threads.map(send, range(COPIES)))
            until(lambda: count(postern.store, "run", "state = 'succeeded'"), what="the run's end")
            metrics = get(port, "/metrics").body.decode()
        assert Counter((answer.status, answer.json()["status"]) for answer in answers) == {
            (200, "accepted"): 1,
            (200, "duplicate"): COPIES - 1,
        }
        assert len({answer.json()["id"] for answer in answers}) == 1
        assert count(postern.store, "event") == count(postern.store, "delivery") == count(postern.store, "run") == 1
        assert rows(postern.store, "SELECT attempts FROM run") == [(1,)]
        assert rows(postern.store, "SELECT duplicates FROM event") == [(COPIES - 1,)]
        assert rows(postern.store, "SELECT accepted, duplicates, differing FROM source") == [(1, COPIES - 1, 0)]
        assert f'postern_events_total{{source="stripe",status="duplicate"}} {COPIES - 1}.0' in metrics
        assert [call.path for call in ledger.calls] == ["/entries"]
        assert len(ledger.effects) == 1
        assert ledger.calls[0].headers["x-correlation-id"] == answers[0].json()["id"]
