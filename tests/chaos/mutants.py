"""Planted bugs: each replaces one function of the product, and names the scenario that must catch it, and as what.

One is planted in every process that starts with its name in the environment: see `start/`. A function that was renamed
fails loudly there.
"""

import importlib
import json
import os
import secrets
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

MUTANT = "CHAOS_MUTANT"  # its name, for the services
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
    from receiver.store.writer import _apply, _kinds

    def commit(writer: Any, batch: Any, *, again: bool = False) -> Any:
        tx = writer._connection.begin()
        _apply(tx, _kinds(batch))
        writer._report(batch)
        time.sleep(SLOW_COMMIT_S)
        writer._connection.commit()
        return tx.brought_work

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
    return lambda tx, leases: set(leases)


def no_token_at_the_finish(original: Any) -> Any:
    def finish_all(tx: Any, ended: Any) -> Any:
        for run, _ in ended:
            tx.run("UPDATE run SET token = :token WHERE id = :id", token=run.token, id=run.id)
        return original(tx, ended)

    return finish_all


def late_refusals_count(original: Any) -> Any:
    def conclude_all(tx: Any, outcomes: Any) -> Any:
        sends = {
            outcome.step.id: tx.all("SELECT sends FROM step WHERE id = :id", id=outcome.step.id)[0][0]
            for outcome in outcomes
        }
        late = [outcome._replace(step=replace(outcome.step, sends=sends[outcome.step.id])) for outcome in outcomes]
        return original(tx, late)

    return conclude_all


def no_sweep(original: Any) -> Any:
    return lambda tx: 0


def no_verification(original: Any) -> Any:
    from receiver.schemes import Verified

    return lambda scheme, request, keys, now: Verified(keys[0], None)


def no_dedupe(original: Any) -> Any:
    return lambda source, external_id: os.urandom(16)


def other_bytes(original: Any) -> Any:
    def add(tx: Any, arrivals: Any) -> Any:
        return original(tx, [replace(each, body=json.dumps(json.loads(each.body)).encode()) for each in arrivals])

    return add


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


def only_hints(original: Any) -> Any:
    """The sweep wakes nobody: a lost hint is lost work."""
    return lambda tx, handlers: False


def own_clock(original: Any) -> Any:
    """Leases on the worker's own clock."""

    def begin(connection: Any) -> Any:
        tx = original(connection)
        tx.now_us = time.time_ns() // 1000
        return tx

    return begin


def no_row_locks(original: Any) -> Any:
    return ""


def unlocked_intents(original: Any) -> Any:
    """The token is looked at, but may be gone when the intent is committed."""
    return ""


def asynchronous_commit(original: Any) -> Any:
    def connect(url: str) -> Any:
        connection = original(url)
        connection.execute("SET synchronous_commit TO off")
        return connection

    return connect


def hopeful_commit(original: Any) -> Any:
    """A commit of which nothing is heard is taken for done."""

    def commit(connection: Any) -> None:
        with suppress(Exception):
            original(connection)

    return commit


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
        Mutant("receiver.store.runs:live", no_token_at_intents, "woken_up", "should not exist"),
        Mutant("receiver.store.runs:finish_all", no_token_at_the_finish, "woken_up", "was final, but changed"),
        Mutant("receiver.store.steps:conclude_all", late_refusals_count, "late_refusal", "took effect 2 times"),
        Mutant("receiver.store.runs:sweep", no_sweep, "left_behind", "not final"),
        Mutant("receiver.schemes.hmac:Hmac.verify", no_verification, "rough_upstream", "forged"),
        Mutant("receiver.store.intake:digest", no_dedupe, "rough_upstream", "stored 2 times"),
        Mutant("receiver.store.intake:add", other_bytes, "rough_upstream", "with other bytes"),
        Mutant("processors.errors:may_repeat", unkeyed_repeats, "rough_upstream", "took effect 2 times"),
        Mutant("processors.outbound.ledger:decide", forgotten_answers, "rough_upstream", "took effect 2 times"),
        Mutant("receiver.store.runs:sweep", hasty_blame, "thrice", "code='crashed'"),
        Mutant("receiver.store.runs:has_due", only_hints, "no_hints", "not final"),
        Mutant("receiver.store.postgresql:PostgresqlConnection.begin", own_clock, "two_workers", "without a cause"),
        Mutant(
            "receiver.store.postgresql:PostgresqlTransaction.skip_locked",
            no_row_locks,
            "two_workers",
            "without a cause",
        ),
        Mutant(
            "receiver.store.postgresql:PostgresqlTransaction.stays", unlocked_intents, "held_intent", "should not exist"
        ),
        Mutant(
            "receiver.store.postgresql:connect", asynchronous_commit, "lost_commits", "answered 2xx, but not stored"
        ),
        Mutant(
            "receiver.store.postgresql:PostgresqlConnection.commit",
            hopeful_commit,
            "lost_commits",
            "answered 2xx, but not stored",
        ),
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
