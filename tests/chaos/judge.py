"""What must hold once everything is over: between what vendors were told, what is stored, and what took effect."""

import hashlib
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from receiver.store.ids import text
from tests.chaos.handlers import EFFECTS, HANDLERS, REPEATED, UNKEYED
from tests.chaos.load import Load
from tests.chaos.project import Project
from tests.chaos.upstream import Call, Upstream
from tests.chaos.vendors import Fact

SHOWN = 6  # of what is wrong in one way
NOT_FINAL = "handler IS NULL OR state IN ('waiting', 'running')"


@dataclass(frozen=True, slots=True)
class Run:
    handler: str | None
    state: str
    code: str | None
    reason: str | None


def judge(load: Load, upstream: Upstream, project: Project) -> list[str]:
    """Everything that is wrong; each kind of it cut short."""
    events = stored(project)
    runs = runs_of(project)
    kinds: list[Iterator[str]] = [
        iter(load.wrong),
        iter(upstream.wrong),
        _whole(project),
        _kept(load, events),
        _ours(load, events),
        _final(load, runs),
        _effects(load, upstream, runs),
        _notes(load, project, runs),
        _keys(upstream),
    ]
    return [line for kind in kinds for line in _some(list(kind))]


def _some(lines: list[str]) -> list[str]:
    more = len(lines) - SHOWN
    return [*lines[:SHOWN], f"… and {more} more of this kind"] if more > 0 else lines


@dataclass(frozen=True, slots=True)
class Stored:
    id: str
    source: str
    external_id: str
    sha256: bytes
    body: bytes | None


def stored(project: Project) -> list[Stored]:
    sql = (
        "SELECT event.id, source, external_id, sha256, body FROM event LEFT JOIN delivery ON delivery.id = delivery_id"
    )
    return [Stored(text("ev", row[0]), *row[1:]) for row in project.store.look(sql)]


def runs_of(project: Project) -> dict[str, list[Run]]:
    """By external id."""
    runs: defaultdict[str, list[Run]] = defaultdict(list)
    sql = "SELECT external_id, handler, state, code, reason FROM run JOIN event ON event.id = event_id"
    for external_id, *row in project.store.look(sql):
        runs[external_id].append(Run(*row))
    return runs


def _whole(project: Project) -> Iterator[str]:
    for said in project.store.damage():
        yield f"the store is damaged: {said}"


def _kept(load: Load, events: list[Stored]) -> Iterator[str]:
    """Whatever was answered 2xx is there once, with its bytes, under the id that was told."""
    found: defaultdict[str, list[Stored]] = defaultdict(list)
    for event in events:
        found[event.external_id].append(event)
    for fact in load.facts.values():
        copies = found[fact.external_id]
        if len(copies) > 1:
            yield f"stored {len(copies)} times: {fact.external_id}"
        if not fact.ids:
            continue
        if not copies:
            yield f"answered 2xx, but not stored: {fact.external_id}"
        elif set(fact.ids) != {copies[0].id}:
            yield f"answered with {set(fact.ids)}, but stored as {copies[0].id}: {fact.external_id}"


def _ours(load: Load, events: list[Stored]) -> Iterator[str]:
    """Whatever is stored was posted by its vendor, byte for byte."""
    for event in events:
        fact = load.facts.get(event.external_id)
        if fact is None or fact.source != event.source or not fact.posts:
            yield f"stored, but never sent by its vendor: {event.source}:{event.external_id}"
        elif event.body != fact.body or event.sha256 != hashlib.sha256(fact.body).digest():
            yield f"stored with other bytes than its vendor sent: {event.external_id}"


def _final(load: Load, runs: dict[str, list[Run]]) -> Iterator[str]:
    """Every event has a run for each handler that takes it, and each run an end that may be."""
    for fact in load.facts.values():
        if not fact.ids:
            yield f"never accepted: {fact.external_id}"
            continue
        mine = runs.get(fact.external_id, [])
        if Counter(run.handler for run in mine) != Counter(HANDLERS[fact.type]):
            yield f"wrong handlers: {fact.external_id} ({fact.type}) has {mine}"
        for run in mine:
            if not _legal(fact, run):
                yield f"not a legal end: {fact.external_id} ({fact.mood}): {run}"


def _legal(fact: Fact, run: Run) -> bool:
    if run.state == "parked":
        return run.code == "ambiguous" and run.handler in UNKEYED
    return run.state == ("dropped" if fact.mood == "drop" else "succeeded")


def _effects(load: Load, upstream: Upstream, runs: dict[str, list[Run]]) -> Iterator[str]:
    allowed: set[Call] = set()
    for fact in load.facts.values():
        for run in runs.get(fact.external_id, []):
            for step in EFFECTS.get(run.handler or "", ()):
                call = Call(fact.external_id, run.handler or "", step)
                allowed.add(call)
                yield from _of_call(call, run, upstream.effects[call])
    for call in upstream.effects.keys() - allowed:
        if upstream.effects[call]:
            yield f"took effect, but should not exist: {call}"


def _of_call(call: Call, run: Run, times: int) -> Iterator[str]:
    if run.state == "succeeded" and not times:
        yield f"succeeded without its effect: {call}"
    if run.state == "dropped" and times:
        yield f"dropped, but it took effect: {call}"
    if times > 1 and run.handler not in REPEATED:
        yield f"took effect {times} times: {call} ({run.state})"


def _notes(load: Load, project: Project, runs: dict[str, list[Run]]) -> Iterator[str]:
    """The same for the step that is no HTTP call, and may not be repeated."""
    written = Counter(project.notes())
    for external_id in written.keys() - load.facts.keys():
        yield f"noted, but never sent: {external_id}"
    for external_id, mine in runs.items():
        for run in (run for run in mine if run.handler == "jot"):
            call = Call(external_id, "jot", "note")
            yield from _of_call(call, run, written[external_id])


def _keys(upstream: Upstream) -> Iterator[str]:
    owner: dict[str, Call] = {}
    for call, keys in upstream.keys.items():
        if len(keys) > 1:
            yield f"repeated under other keys: {call}: {sorted(keys)}"
        for key in keys:
            if owner.setdefault(key, call) != call:
                yield f"one key for two calls: {call} and {owner[key]}"


def hanging(project: Project) -> list[str]:
    """The runs that are not final, for whoever looks for the cause."""
    now = round(time.time() * 1e6)
    sql = (
        "SELECT external_id, handler, state, code, reason, attempts, failures, lapses,"
        f" round((due_at - {now}) / 1e6, 1), round((lease_until - {now}) / 1e6, 1)"
        f" FROM run JOIN event ON event.id = event_id WHERE {NOT_FINAL}"
    )
    names = ("event", "handler", "state", "code", "reason", "attempts", "failures", "lapses", "due_s", "lease_s")
    rows = project.store.look(sql)
    return _some([
        "not final: " + ", ".join(f"{n}={v}" for n, v in zip(names, row, strict=True) if v is not None) for row in rows
    ])  # fmt: skip
