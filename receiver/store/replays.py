"""An operator's new attempts of one event's runs. What a run does afterwards stands in `runs.py`.

parked                → due again, failures forgotten, ledger kept; an ambiguous one only if effects may repeat
succeeded, dropped    → nothing, unless effects may repeat: then in a new generation, with a ledger of its own
waiting, running      → untouched
no run at all         → routed again
no run of `handler`   → one is made, if a live worker offers it for such an event: handlers take older events only so
"""

from collections.abc import Sequence
from dataclasses import dataclass

from receiver.store.ids import new_id
from receiver.store.patterns import matches
from receiver.store.processes import live_patterns
from receiver.store.runs import Line, remember
from receiver.store.transaction import Transaction

FINISHED = ("succeeded", "dropped")


@dataclass(frozen=True, slots=True)
class Replayed:
    """What was done with a run, or with the event where it has none.

    `action` is again, repeated, routed or added; or, if nothing was done: finished, at_work, ambiguous or not_taken.
    """

    action: str
    run_id: int | None = None
    handler: str | None = None
    state: str | None = None
    """As it was before."""


@dataclass(frozen=True, slots=True)
class Replay:
    """What the operator asked for."""

    handler: str | None = None
    repeat: bool = False
    """Effects may repeat."""
    reason: str | None = None

    @property
    def text(self) -> str | None:
        """For the event's history."""
        said = ["effects may repeat"] if self.repeat else []
        return "; ".join([*said, *filter(None, [self.reason])]) or None


def replay(tx: Transaction, event_id: int, wanted: Replay) -> list[Replayed]:
    """New attempts of an event that exists, as far as its runs' states allow."""
    runs = tx.all("SELECT id, handler, state, code FROM run WHERE event_id = :id ORDER BY id", id=event_id)
    if any(handler is None for _, handler, _, _ in runs):
        return [Replayed("at_work")]
    if not runs and wanted.handler is None:
        return [_route_again(tx, event_id, wanted)]
    names = None if wanted.handler is None else _names(tx, wanted.handler)
    chosen = [run for run in runs if names is None or run[1] in names]
    if not chosen:
        return [_add(tx, event_id, wanted.handler or "", wanted)]
    return [
        Replayed(_again(tx, event_id, run_id, state, code, wanted), run_id, handler, state)
        for run_id, handler, state, code in chosen
    ]


def _again(tx: Transaction, event_id: int, run_id: int, state: str, code: str | None, wanted: Replay) -> str:
    if state in ("waiting", "running"):
        return "at_work"
    if not wanted.repeat and state in FINISHED:
        return "finished"
    if not wanted.repeat and code == "ambiguous" and _has_open_step(tx, run_id):
        return "ambiguous"
    tx.run(
        "UPDATE run SET state = 'waiting', due_at = :now, failures = 0, lapses = 0, code = NULL, reason = NULL,"
        " finished_at = NULL, generation = generation + :repeat WHERE id = :id AND state = :state",
        now=tx.now_us, id=run_id, state=state, repeat=int(wanted.repeat),
    )  # fmt: skip
    remember(tx, Line(event_id, run_id, "replayed", None, wanted.text))
    return "repeated" if wanted.repeat else "again"


def _has_open_step(tx: Transaction, run_id: int) -> bool:
    """Whether an outcome is still unknown: an answer may have come after the run was parked."""
    found = tx.all(
        "SELECT 1 FROM step JOIN run ON run.id = step.run_id AND run.generation = step.generation"
        " WHERE run.id = :id AND step.state = 'open' LIMIT 1",
        id=run_id,
    )
    return bool(found)


def _route_again(tx: Transaction, event_id: int, wanted: Replay) -> Replayed:
    tx.run(
        "INSERT INTO run (id, event_id, state, due_at) VALUES (:id, :event_id, 'waiting', :now)",
        id=new_id(), event_id=event_id, now=tx.now_us,
    )  # fmt: skip
    remember(tx, Line(event_id, None, "replayed", None, wanted.text))
    return Replayed("routed")


def _add(tx: Transaction, event_id: int, handler: str, wanted: Replay) -> Replayed:
    [(source, type_)] = tx.all("SELECT source, type FROM event WHERE id = :id", id=event_id)
    asked = [(of, pattern) for name, of, pattern in live_patterns(tx) or () if name == handler and of]
    if not any(matches(of, source) and matches(pattern, type_) for of, pattern in asked):
        return Replayed("not_taken", handler=handler)
    run_id = new_id()
    tx.run(
        "INSERT INTO run (id, event_id, handler, state, due_at) VALUES (:id, :event_id, :handler, 'waiting', :now)",
        id=run_id, event_id=event_id, handler=handler, now=tx.now_us,
    )  # fmt: skip
    remember(tx, Line(event_id, run_id, "replayed", None, wanted.text))
    return Replayed("added", run_id, handler)


def _names(tx: Transaction, handler: str) -> Sequence[str]:
    """A handler's names, old ones too: what runs under an old name must not get a twin under the new one."""
    found = tx.all(
        "SELECT DISTINCT other.handler FROM offer JOIN offer AS other ON other.process_id = offer.process_id"
        " AND other.file = offer.file AND other.line = offer.line"
        " WHERE offer.handler = :handler AND (offer.source = '' OR other.source = '')",
        handler=handler,
    )
    return [handler, *(row[0] for row in found)]
