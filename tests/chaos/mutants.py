"""Planted bugs: each replaces one function of the product, and names the scenario that must catch it, and as what.

`python -m tests.chaos.mutant NAME serve …` serves with one of them. A renamed function fails loudly there.
"""

import importlib
import json
import os
import secrets
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

SLOW_COMMIT_S = 0.2  # a disk that is slow shows what comes before the commit


@dataclass(frozen=True, slots=True)
class Mutant:
    target: str
    """`module:name` of what is replaced, where it is defined."""
    make: Callable[[Any], Any]
    """The replacement, given what it replaces."""
    scenario: str
    caught_as: str
    """Part of a line that the scenario must bring back."""


def ack_before_commit(original: Any) -> Any:
    def commit(writer: Any, batch: Any) -> None:
        tx = writer._database.begin()
        writer._apply(tx, batch)
        writer._report(batch)
        time.sleep(SLOW_COMMIT_S)
        writer._database.commit()

    return commit


def mark_before_effect(original: Any) -> Any:
    async def repeat(exchange: Any, step: Any, **options: Any) -> Any:
        await exchange._recorder.conclude(step, "done", 200, b"{}", b'{"step": "entry", "effect": "sent"}')
        return await original(exchange, step, **options)

    return repeat


def random_key(original: Any) -> Any:
    return lambda *parts: secrets.token_hex(20)


def another_key_each_time(original: Any) -> Any:
    async def send(upstream: Any, call: Any, *, key: str | None, **options: Any) -> Any:
        return await original(upstream, call, key=key and secrets.token_hex(20), **options)

    return send


def no_token_at_intents(original: Any) -> Any:
    return lambda tx, run_id, token: True


def no_token_at_the_finish(original: Any) -> Any:
    def finish(tx: Any, run: Any, verdict: Any) -> Any:
        tx.run("UPDATE run SET token = :token WHERE id = :id", token=run.token, id=run.id)
        return original(tx, run, verdict)

    return finish


def late_refusals_count(original: Any) -> Any:
    def conclude(tx: Any, step: Any, *outcome: Any) -> Any:
        ((sends,),) = tx.all("SELECT sends FROM step WHERE id = :id", id=step.id)
        return original(tx, replace(step, sends=sends), *outcome)

    return conclude


def no_sweep(original: Any) -> Any:
    return lambda tx: 0


def no_verification(original: Any) -> Any:
    from receiver.schemes import Verified

    return lambda scheme, request, keys, now: Verified(keys[0], None)


def no_dedupe(original: Any) -> Any:
    return lambda source, external_id: os.urandom(16)


def other_bytes(original: Any) -> Any:
    def record(writer: Any, arrival: Any) -> Any:
        return original(writer, replace(arrival, body=json.dumps(json.loads(arrival.body)).encode()))

    return record


def unkeyed_repeats(original: Any) -> Any:
    return lambda method, *, keyed: True


def forgotten_answers(original: Any) -> Any:
    """What was done is done again."""

    def decide(row: Any, request: Any, **options: Any) -> Any:
        if row is not None and row.state == "done":
            row = replace(row, state="refused")
        return original(row, request, **options)

    return decide


def hasty_blame(original: Any) -> Any:
    """A run whose process died three times is taken for the culprit, though nobody saw it kill one."""

    def sweep(tx: Any) -> Any:
        swept = original(tx)
        tx.run("UPDATE run SET state = 'parked', code = 'crashed' WHERE state = 'waiting' AND lapses >= 3")
        return swept

    return sweep


MUTANTS: Mapping[str, Mutant] = {
    mutant.make.__name__: mutant
    for mutant in (
        Mutant(
            "receiver.store.writer:Writer._commit", ack_before_commit, "cut_answers", "answered 2xx, but not stored"
        ),
        Mutant(
            "processors.outbound.client:_Exchange._repeat", mark_before_effect, "rough_upstream", "without its effect"
        ),
        Mutant("processors.outbound.keys:idempotency_key", random_key, "rough_upstream", "took effect 2 times"),
        Mutant(
            "processors.outbound.upstream:Upstream.send", another_key_each_time, "rough_upstream", "took effect 2 times"
        ),
        Mutant("receiver.store.runs:is_live", no_token_at_intents, "woken_up", "should not exist"),
        Mutant("receiver.store.runs:finish", no_token_at_the_finish, "woken_up", "was final, but changed"),
        Mutant("receiver.store.steps:conclude", late_refusals_count, "late_refusal", "took effect 2 times"),
        Mutant("receiver.store.runs:sweep", no_sweep, "left_behind", "not final"),
        Mutant("receiver.schemes.hmac:Hmac.verify", no_verification, "rough_upstream", "forged"),
        Mutant("receiver.store.intake:digest", no_dedupe, "rough_upstream", "stored 2 times"),
        Mutant("receiver.store.writer:Writer.record", other_bytes, "rough_upstream", "with other bytes"),
        Mutant("processors.errors:may_repeat", unkeyed_repeats, "rough_upstream", "took effect 2 times"),
        Mutant("processors.outbound.ledger:decide", forgotten_answers, "rough_upstream", "took effect 2 times"),
        Mutant("receiver.store.runs:sweep", hasty_blame, "thrice", "code='crashed'"),
    )
}


def plant(name: str) -> None:
    mutant = MUTANTS[name]
    module, _, path = mutant.target.partition(":")
    *outer, attribute = path.split(".")
    owner = reduce(getattr, outer, importlib.import_module(module))
    if not hasattr(owner, attribute):
        raise SystemExit(f"mutant {name}: there is no {mutant.target} any more; plant it where that went")
    original = getattr(owner, attribute)
    planted = mutant.make(original)
    setattr(owner, attribute, planted)
    for other in list(sys.modules.values()):  # those that have imported it by name
        if getattr(other, attribute, None) is original:
            setattr(other, attribute, planted)
