"""A handler's outbound call, from the ledger to the wire and back. What the answer means is `errors.classify`'s."""

import asyncio
import email.utils
import time
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC
from typing import NoReturn

from processors.errors import LONGEST_WAIT_S, Action, Classified, Outcome, classify, had_no_effect, may_repeat
from processors.outbound.ledger import Todo
from processors.outbound.recorder import Recorder
from processors.outbound.upstream import Answered, Call, Response, Upstream, headers_from_bytes, headers_to_bytes
from receiver.metrics import Metrics
from receiver.store.runs import Verdict
from receiver.store.steps import StepRow

READS = frozenset({"GET", "HEAD", "OPTIONS"})  # every other method may have an effect, also one we never heard of
IN_PLACE_S = 2.0  # a longer wait ends the attempt: nothing sleeps on a slot
IN_PLACE_TRIES = 3
UNSAID_S = 30.0  # of an upstream that says it is asked too often, and not for how long
SHOWN = 200  # characters of a refusal's body in the reason


@dataclass(frozen=True, slots=True)
class Wish:
    """A call and how it is to be treated."""

    call: Call
    step: str | None = None
    expect: AbstractSet[int] = frozenset()
    record: bool = False


async def perform(recorder: Recorder, upstream: Upstream, wish: Wish, metrics: Metrics) -> Response:
    """Send it, or give the recorded answer. Any other outcome ends the attempt and does not return."""
    recorder.check()
    exchange = _Exchange(recorder, upstream, wish, metrics)
    recorded = wish.record or wish.call.method not in READS
    return await recorder.to_its_end(exchange.recorded() if recorded else exchange.plain())


class _Exchange:
    def __init__(self, recorder: Recorder, upstream: Upstream, wish: Wish, metrics: Metrics) -> None:
        self._recorder = recorder
        self._upstream = upstream
        self._wish = wish
        self._metrics = metrics
        self._label = f"{wish.call.method} {upstream.name} {wish.call.target.partition('?')[0]}"
        self._keyed = upstream.keyed

    async def plain(self) -> Response:
        for tries_left in reversed(range(IN_PLACE_TRIES)):
            answered = await self._send(self._wish.call, None)
            outcome = self._outcome(answered, repeated=False)
            classified = classify(outcome)
            if classified.action is Action.OK:
                return answered.whole
            if not (tries_left and await _waited(classified)):
                self._end(classified, outcome, answered)
        raise AssertionError  # the last round returns or ends

    async def recorded(self) -> Response:
        name = self._recorder.name(self._wish.step, self._label)
        todo, step = await self._recorder.begin(
            name, self._wish.call.to_bytes(), named=self._wish.step is not None, repeatable=self._may_repeat
        )
        match todo:
            case Todo.ANSWER:
                return Response(step.status or 0, headers_from_bytes(step.headers), step.body or b"")
            case Todo.AMBIGUOUS:
                self._recorder.park(
                    "ambiguous",
                    f"{name}: it was sent, its answer is unknown, and {self._upstream.name} takes no key",
                )
            case Todo.DRIFTED:
                self._recorder.park(
                    "step_drift",
                    f"{name}: an earlier attempt sent other bytes, outcome unknown; name it (step=…) to repeat those",
                )
            case Todo.REPEAT if Call.from_bytes(step.request).api != self._upstream.name:
                self._recorder.park("step_drift", f"{name}: an earlier attempt sent it to another api, outcome unknown")
            case _:
                return await self._repeat(step, repeated=todo is Todo.REPEAT and step.state == "open")

    def _may_repeat(self, stored: bytes) -> bool:
        return may_repeat(Call.from_bytes(stored).method, keyed=self._keyed)

    async def _repeat(self, step: StepRow, *, repeated: bool) -> Response:
        for tries_left in reversed(range(IN_PLACE_TRIES)):
            answered = await self._send(Call.from_bytes(step.request), step.key)
            outcome = self._outcome(answered, repeated=repeated)
            classified = classify(outcome)
            await self._conclude(step, classified, outcome, answered)
            if classified.action is Action.OK:
                return answered.whole
            if not (tries_left and await _waited(classified)):
                self._end(classified, outcome, answered)
            step = await self._recorder.again(step)
        raise AssertionError

    async def _send(self, call: Call, key: str | None) -> Answered:
        answered = await self._upstream.send(call, key=key, correlation=self._recorder.event_id)
        self._metrics.call(self._upstream.name, str(answered.response.status) if answered.response else "none")
        return answered

    def _outcome(self, answered: Answered, *, repeated: bool) -> Outcome:
        method, keyed, expect = self._wish.call.method, self._keyed, self._wish.expect
        if answered.response is None:
            return Outcome(method, sent=answered.sent, keyed=keyed, repeated=repeated)
        status = answered.response.status
        wait_s = retry_after_s(answered.response.headers.get("retry-after"), time.time())
        return Outcome(method, status, None, wait_s, keyed=keyed, repeated=repeated, expect=expect)

    async def _conclude(self, step: StepRow, classified: Classified, outcome: Outcome, answered: Answered) -> None:
        response = answered.response
        state = "done" if classified.action is Action.OK else "refused" if had_no_effect(outcome) else "open"
        if response is None:
            await self._recorder.conclude(step, state)
            return
        headers = headers_to_bytes(response.headers)
        await self._recorder.conclude(step, state, response.status, headers, response.body)

    def _end(self, classified: Classified, outcome: Outcome, answered: Answered) -> NoReturn:
        said = f"{self._label} " + (
            f"answered {_short(answered)}" if answered.response else f"got no answer: {answered.error}"
        )
        self._recorder.end(_verdict(classified, outcome, said))


def _verdict(classified: Classified, outcome: Outcome, said: str) -> Verdict:
    match classified.action:
        case Action.RATE_LIMITED:
            # Short waits have been sat out and did not help: "0" must not become a loop at full speed.
            wait_s = UNSAID_S if classified.wait_s is None else max(classified.wait_s, IN_PLACE_S)
            return Verdict("waiting", "rate_limited", said, min(wait_s, LONGEST_WAIT_S))
        case Action.AMBIGUOUS:
            return Verdict("parked", "ambiguous", f"{said}; it may have taken effect, and this upstream takes no key")
        case Action.REFRESH_THEN_RETRY:
            return Verdict("parked", "needs_credentials", said)
        case Action.PARK | Action.FAIL:
            return Verdict("parked", "needs_credentials" if outcome.status == 403 else "refused", said)
        case _:
            return Verdict("waiting", "upstream", said, failure=True)


async def _waited(classified: Classified) -> bool:
    """Whether the upstream asked for a wait short enough to sit out here, and it was."""
    if classified.action is not Action.RATE_LIMITED or classified.wait_s is None or classified.wait_s > IN_PLACE_S:
        return False
    await asyncio.sleep(classified.wait_s)
    return True


def retry_after_s(value: str | None, now: float) -> float | None:
    """`Retry-After` (RFC 9110 10.2.3) as seconds from `now`: digits, or a date."""
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit() and len(value) <= 9:
        return float(value)
    try:
        until = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    until = until if until.tzinfo else until.replace(tzinfo=UTC)  # "-0000" says no zone, and ours is not meant
    return max(0.0, until.timestamp() - now)


def _short(answered: Answered) -> str:
    response = answered.whole
    text = " ".join(response.text.split())
    return f"{response.status}: {text[:SHOWN]}" if text else str(response.status)
