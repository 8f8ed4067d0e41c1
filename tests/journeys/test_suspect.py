"""A handler that kills its process on sight, among a thousand others: they are done, and it is parked."""

from pathlib import Path

from tests.support import sender
from tests.support.inside import PATH, STRIPE
from tests.support.postern import Postern, write_project
from tests.support.rows import count, rows
from tests.support.until import until
from tests.support.wire import request, wire

OTHERS = 1000
WORKER = """
[worker]
lease_s = 3
concurrency = 8
"""
HANDLERS = """
import os
from typing import Any
from processors import Context, Event, on

@on("stripe", "payment_intent.succeeded")
async def book(event: Event[dict[str, Any]], ctx: Context) -> None:
    if event.data.get("deadly"):
        os._exit(9)
"""


def send_all(port: int) -> None:
    bodies = [sender.stripe_event(f"evt_{number}") for number in range(OTHERS)]
    bodies.insert(OTHERS // 2, sender.stripe_event("evt_deadly", deadly=True))
    with wire(port) as connection:
        for body in bodies:
            connection.send(request(PATH, body, sender.stripe(body)))
            assert connection.answer().status == 200


class Supervisor:
    """Starts it again whenever it died, as an init system would."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.started = 0
        self.start()

    def start(self) -> None:
        self.process = Postern(self._root, {"POSTERN_HANDLERS__MODULES": '["handlers"]'})
        self.started += 1

    def look(self) -> bool:
        """Start it again if it must be; whether everything is finished."""
        if not self.process.alive:
            assert self.process.code == 9, self.process.lines()[-5:]
            self.start()
        return count(self.process.store, "run", "handler IS NULL OR state IN ('waiting', 'running')") == 0


def test_the_others_are_done_and_the_deadly_one_is_parked_as_crashed(tmp_path: Path) -> None:
    write_project(tmp_path, STRIPE + WORKER, HANDLERS)
    receive_without_working(tmp_path)
    supervisor = Supervisor(tmp_path)
    try:
        until(supervisor.look, 120, "the end of all runs")
        assert supervisor.process.stop() == 0
    finally:
        supervisor.process.kill()
    store = supervisor.process.store
    assert dict(rows(store, "SELECT state, count(*) FROM run GROUP BY 1")) == {"succeeded": OTHERS, "parked": 1}
    [(external_id, code, reason, attempts)] = rows(
        store,
        "SELECT external_id, code, reason, attempts FROM run JOIN event ON event.id = run.event_id"
        " WHERE state = 'parked'",
    )
    assert (external_id, code, attempts) == ("evt_deadly", "crashed", 3)
    assert "exit code 9" in reason
    assert supervisor.started == 3  # two deaths of the whole; the third time only a child died


def receive_without_working(root: Path) -> None:
    """All thousand and one are there before the first handler runs."""
    postern = Postern(root, {"POSTERN_HANDLERS__MODULES": '["nowhere_to_be_found"]'})
    try:
        send_all(postern.ready().port)
        assert postern.stop() == 0
    finally:
        postern.kill()
    assert count(postern.store, "run", "handler IS NULL") == OTHERS + 1
