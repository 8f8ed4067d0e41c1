"""The demo from its first line to its exit code."""

import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, fields
from pathlib import Path

from receiver.settings import Settings
from receiver.store import Store, open_store
from receiver.store.reads import EventRow, Filters, events
from tests.journeys.demo.deliveries import CUT_OFF, FAILS_TWICE, Delivery, Outcome, Sent, send
from tests.journeys.demo.project import make_project
from tests.journeys.demo.report import Report
from tests.journeys.demo.service import Service
from tests.journeys.demo.upstream import Upstream

LOOK_S = 0.25
WAIT_S = 60.0
Row = tuple[Sent, Outcome]


def tell(folder: Path, deliveries: Sequence[Delivery], last: Delivery, report: Report) -> int:
    """0 if all came out as expected, else 1. The service is killed in the middle of the call for `last`."""
    report.title("Postern takes webhooks in, and makes sure that what they lead to happens once.")
    with ExitStack() as stack:
        upstream = stack.enter_context(Upstream())
        settings = make_project(folder, upstream.url)
        service = stack.enter_context(Service(settings))
        number = service.start()
        report.say(
            f"serving {_shown(folder)} at {service.url} (process {number}); its handlers are the shipped examples"
        )
        store = stack.enter_context(closing(open_store(settings.store.url)))
        demo = Demo(settings, service, store, upstream, report)
        sent = [*demo.send_all(deliveries), demo.send_and_kill(last)]
        rows = list(demo.outcomes(sent))
    report.table(rows)
    wrong = [*misses(rows), *strays(rows, upstream)]
    _conclude(rows, wrong, report)
    report.next(_commands(folder, sent[-1]))
    return 1 if wrong else 0


@dataclass(frozen=True)
class Demo:
    settings: Settings
    service: Service
    store: Store
    upstream: Upstream
    report: Report

    def send_all(self, deliveries: Sequence[Delivery]) -> list[Sent]:
        self.upstream.fail(FAILS_TWICE, times=2)
        sent = [send(delivery, self.settings) for delivery in deliveries]
        answers = Counter("refused" if one.answer.startswith("4") else one.answer.split()[1] for one in sent)
        vendors = len({delivery.source for delivery in deliveries})
        came_back = ", ".join(f"{count} {answer}" for answer, count in answers.items())
        self.report.say(f"sent {len(sent)} webhooks as {vendors} vendors would sign them: {came_back}")
        self.report.wait_for("waiting until every event is final; one of the called APIs fails twice")
        self.wait_until_final()
        return sent

    def send_and_kill(self, delivery: Delivery) -> Sent:
        cut_off = self.upstream.cut_off(CUT_OFF)
        sent = send(delivery, self.settings)
        cut_off.reached.wait(WAIT_S)
        number = self.service.kill()
        cut_off.go_on.set()
        self.report.say(f"sent one more, and in the middle of the call that its handler made: kill -9 {number}")
        number = self.service.start()
        self.report.wait_for(f"started again (process {number}); waiting until the dead one's lease has run out")
        self.wait_until_final()
        if self.upstream.repeated[sent.event or ""] == 1:
            self.report.say("the call came again under its idempotency key, and was answered without a second effect")
        return sent

    def wait_until_final(self) -> None:
        """Or until it takes too long: what is still pending then is no expected outcome."""
        give_up_at = time.monotonic() + WAIT_S
        while any(event.status == "pending" for event in self._events().values()):
            if time.monotonic() > give_up_at:
                return
            time.sleep(LOOK_S)
            self.report.tick()

    def outcomes(self, sent: Sequence[Sent]) -> Iterator[Row]:
        found = self._events()
        for one in sent:
            event = found.get(one.event or "")
            if event is None:
                yield one, Outcome(one.answer, "not stored" if one.event else "-")
            else:
                yield one, Outcome(one.answer, event.status, event.attempts, self.upstream.effects[event.id])

    def _events(self) -> dict[str, EventRow]:
        with self.store.reading() as session:
            return {event.id: event for event in events(session, Filters(), None)}


def misses(rows: Sequence[Row]) -> Iterator[str]:
    """What came out otherwise than expected."""
    for sent, outcome in rows:
        expected = sent.delivery.expected
        for field in fields(Outcome):
            is_, should = getattr(outcome, field.name), getattr(expected, field.name)
            if is_ != should:
                yield f"{sent.delivery.fixture}: {field.name} should be {should}, not {is_}"


def strays(rows: Sequence[Row], upstream: Upstream) -> Iterator[str]:
    """Effects of what is no event: of a refused request, say."""
    known = {sent.event for sent, _ in rows}
    yield from (f"the upstream had an effect of {event or 'nothing'}" for event in upstream.effects.keys() - known)


def _conclude(rows: Sequence[Row], wrong: Sequence[str], report: Report) -> None:
    if wrong:
        report.failed("\n".join(["Not as it should be (the service's own words are in serve.log):", *wrong]))
        return
    accepted = {sent.event for sent, _ in rows if sent.event}
    report.succeeded(
        f"All as it should be: {len(rows)} requests, {len(accepted)} events, every effect once,"
        " none of what was forged, stale or sent again."
    )


def _commands(folder: Path, last: Sent) -> list[tuple[str, str]]:
    postern = f"{_shown(Path(sys.executable).parent / 'postern')} --config {_shown(folder / 'postern.toml')}"
    return [
        (f"{postern} events list", "what is stored"),
        (f"{postern} events explain {last.event}", "what the kill did"),
        (f"{postern} rejections list", "what was refused"),
        (f"{postern} status", "what needs a person"),
    ]


def _shown(path: Path) -> str:
    """As one types it here."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
