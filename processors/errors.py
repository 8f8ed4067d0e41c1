"""How an attempt can end other than well, and what an upstream's answer means for it.

    Exception
    ├── Steer                  raised by a handler, to say how its run goes on
    │   ├── Retry(after)       again later; not a failure
    │   ├── Drop(reason)       finished, with a reason
    │   └── Park(reason)       wait for a person
    └── Ended(verdict)         raised by `ctx`: the attempt is over, whatever the handler does with it

Any other exception is a failure: tried again later, and parked when the budget of failures is used up.
`classify` is pure: it takes what is known of a call and says what to do, whose trouble it is, and how long to wait.
"""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from receiver.store.runs import Verdict

LONGEST_WAIT_S = 1e9  # thirty years: what a date can hold, whatever a handler or an upstream asks for


class Steer(Exception):
    """A handler's wish for its run."""


class Retry(Steer):
    """Try again after `after` seconds (a number or a timedelta; by default the first retry's wait)."""

    def __init__(self, after: float | timedelta | None = None) -> None:
        super().__init__(after)
        seconds = after.total_seconds() if isinstance(after, timedelta) else after
        self.after_s = None if seconds is None else min(max(0.0, float(seconds)), LONGEST_WAIT_S)


class Drop(Steer):
    """Nothing to do for this event: finished, with a reason that operators see."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)
        self.reason = reason


class Park(Steer):
    """A person must decide: parked, with a reason that operators see."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)
        self.reason = reason


class Ended(Exception):
    """The attempt is over. Catching it changes nothing: `ctx` does no more, and the verdict stands."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.reason)
        self.verdict = verdict


class LeaseLost(Exception):
    """Another attempt has taken over this run: nothing of ours counts any more."""


class Action(StrEnum):
    OK = "ok"
    RETRY = "retry"
    RATE_LIMITED = "rate_limited"
    REFRESH_THEN_RETRY = "refresh_then_retry"
    PARK = "park"
    FAIL = "fail"
    AMBIGUOUS = "ambiguous"


class Owner(StrEnum):
    """Whose trouble it is."""

    VENDOR = "vendor"
    OPERATOR = "operator"
    AUTHOR = "author"
    US = "us"


class Sent(StrEnum):
    """How far a call got that has no answer."""

    NO = "not sent"  # no connection: it cannot have had an effect
    MAYBE = "no answer"  # time-out or reset after it left


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is known of one call. Either `status` or `sent` is set."""

    method: str
    status: int | None = None
    sent: Sent | None = None
    retry_after_s: float | None = None
    keyed: bool = True
    """The upstream takes an idempotency key, so a repeat cannot take effect twice."""
    repeated: bool = False
    """An earlier attempt may have sent the same call."""
    expect: AbstractSet[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Classified:
    action: Action
    owner: Owner
    wait_s: float | None = None


REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})  # RFC 9110 9.2.2: idempotent methods


def may_repeat(method: str, *, keyed: bool) -> bool:
    """Whether sending a call again, its outcome unknown, cannot take effect twice."""
    return keyed or method in REPEATABLE


def classify(outcome: Outcome) -> Classified:
    """What an outcome means."""
    status = outcome.status
    if status is None:
        if outcome.sent is Sent.NO or may_repeat(outcome.method, keyed=outcome.keyed):
            return Classified(Action.RETRY, Owner.VENDOR)
        return Classified(Action.AMBIGUOUS, Owner.VENDOR)
    if 200 <= status < 300 or status in outcome.expect:
        return Classified(Action.OK, Owner.US)
    if status == 429 or (status == 503 and outcome.retry_after_s is not None):
        return Classified(Action.RATE_LIMITED, Owner.VENDOR, outcome.retry_after_s)
    if status in (408, 425, 503) or (status == 409 and outcome.repeated):  # 409: our first copy is still at work there
        return Classified(Action.RETRY, Owner.VENDOR)
    if status == 401:
        return Classified(Action.REFRESH_THEN_RETRY, Owner.OPERATOR)
    if status == 403:
        return Classified(Action.PARK, Owner.OPERATOR)
    if 400 <= status < 500:
        return Classified(Action.PARK, Owner.AUTHOR)
    unsafe = not may_repeat(outcome.method, keyed=outcome.keyed)
    if status >= 500:
        return Classified(Action.AMBIGUOUS if unsafe else Action.RETRY, Owner.VENDOR)
    # Redirects are not followed: the base_url is wrong. A 302 or 303 may also say "done, look there".
    return Classified(Action.AMBIGUOUS if unsafe and status not in ELSEWHERE else Action.FAIL, Owner.AUTHOR)


ELSEWHERE = frozenset({301, 307, 308})
"""Redirects of the call itself (RFC 9110 15.4): nothing was done here."""


TURNED_AWAY = frozenset({401, 403, 408, 409, 425, 429, 503})
"""Answers of a doorkeeper, who has not looked for what became of an earlier copy of the call."""


def had_no_effect(outcome: Outcome) -> bool:
    """Whether no copy of the call took effect, so that a repaired handler may send other bytes under another key."""
    if outcome.repeated and (not outcome.keyed or outcome.status is None or outcome.status in TURNED_AWAY):
        return False
    if outcome.status is None:
        return outcome.sent is Sent.NO
    return 400 <= outcome.status < 500 or outcome.status in (503, *ELSEWHERE)
