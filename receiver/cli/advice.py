"""What to do next, with the command to type: for a parked run by its code, for work that waits, for events unhandled.

Pure: it is told how things stand. `explain.py` and `status.py` print it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from shlex import quote
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from receiver.store.models import Offer, Process
    from receiver.store.reads import EventRow, Failures, RunRow

SERVE = "postern serve"
WORKER = "postern worker"


@dataclass(frozen=True)
class Advice:
    text: str
    command: str = ""


@dataclass(frozen=True)
class Workers:
    """Who could work: the live workers, and what they offer. With a broker they are not inside `postern serve`."""

    live: "Sequence[Process]"
    offers: "Sequence[Offer]"
    has_broker: bool = False

    @property
    def command(self) -> str:
        """Starts one."""
        return WORKER if self.has_broker else SERVE

    def troubles(self) -> list[str]:
        return [worker.trouble for worker in self.live if worker.trouble]

    def offered(self, handler: str) -> bool:
        return any(offer.handler == handler for offer in self.offers)

    def place(self, handler: str) -> str:
        """The handler, and where its code is."""
        found = [f"{handler} ({offer.file}:{offer.line})" for offer in self.offers if offer.handler == handler]
        return found[0] if found else handler

    def idle(self) -> Advice | None:
        """Why nothing is worked on, if nothing is."""
        if not self.live:
            return Advice("No worker is running", self.command)
        if len(self.troubles()) == len(self.live):
            return Advice(f"The worker does nothing: {self.troubles()[0]}. Mend it, and restart", self.command)
        return None


REPLAY = "postern replay event {event} --handler {name}"
PARKED = {
    "asked": "{handler} asked for a person: settle that first",
    "schema_error": "Mend the type that {handler} reads its event as, and restart",
    "refused": "Mend what {handler} sends, or what its upstream expects, and restart: what succeeded is not sent again",
    "failures_exhausted": "Put right what {handler} fails at: what succeeded is not sent again",
    "crashed": "Mend {handler}, which ended its process each time it ran, and restart",
    "step_drift": "Name the step in {handler} (step=…), so that its own bytes are sent again, and restart",
    "handler_missing": "Bring {handler} back, or name it in aliases= of the one that took its place, and restart",
    "missing_secret": "Put the secret there, and restart",
    "needs_credentials": "Put right the auth of that upstream, or what it allows, and restart",
}
AMBIGUOUS = "Find out at the upstream whether it took effect (the key stands above), and say so"


def for_parked(event: "EventRow", run: "RunRow", workers: Workers) -> Advice:
    if run.code == "ambiguous":
        return Advice(AMBIGUOUS, f"postern runs resolve {run.id}")
    text = PARKED.get(run.code or "", "Put right what stands above").format(handler=workers.place(run.handler))
    return Advice(text, REPLAY.format(event=event.id, name=quote(run.handler)))


def for_waiting(run: "RunRow", workers: Workers, now: datetime) -> Advice:
    idle = workers.idle()
    if idle:
        return idle
    if not workers.offered(run.handler):
        text = f"No live worker has a handler named {run.handler}: bring it back, or name it in aliases=, and restart"
        return Advice(f"{text}. After ten minutes the run is parked", workers.command)
    if run.due_at and run.due_at > now:
        return Advice(f"Nothing: {run.handler} is tried again at its time")
    return Advice(f"Nothing: {run.handler} is due, and a worker is there")


def for_unrouted(workers: Workers) -> Advice:
    return workers.idle() or Advice("Nothing: a worker is there, and takes it now")


def for_unhandled(event: "EventRow", workers: Workers) -> Advice:
    there = sorted({f"{o.handler} takes {o.pattern}" for o in workers.offers if o.source == event.source})
    others = f" ({', '.join(there)})" if there else ""
    text = f'No handler takes it{others}: write one under @on("{event.source}", "{event.type}"), and restart'
    return Advice(text, f"postern replay event {event.id}")


def for_failures(group: "Failures") -> str:
    """The command that lists them."""
    code = f" --code {quote(group.code)}" if group.code else ""
    return f"postern events list --failing --handler {quote(group.handler)}{code}"
