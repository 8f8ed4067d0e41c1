"""`postern rejections reverify`: what a source refused and would accept today, and its promotion to events.

What passes is asked of `receiver.reverify`; how it is stored stands in `receiver.store.promotion`.
"""

import asyncio
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from receiver.cli.common import (
    complain,
    confirm,
    json_option,
    load_settings,
    opened,
    print_json,
    print_table,
    yes_option,
)
from receiver.cli.filters import utf8
from receiver.load import put_on_path
from receiver.sources import Source, build_source

if TYPE_CHECKING:
    from receiver.key_provider import KeyProvider
    from receiver.reverify import Passing
    from receiver.store import Store
    from receiver.store.intake import Recorded
    from receiver.store.reads import Kept, RejectionRow

COLUMNS = ("rejection", "received", "refused as", "now", "events")
SHOWN = 3  # events of a batch
GONE = "it is gone: somebody else has promoted it, or newer ones have pushed it out"


@dataclass(frozen=True)
class Judged:
    """A kept rejection, and whether it would pass now."""

    row: "RejectionRow"
    passing: "Passing | None" = None
    why_not: str | None = None
    recorded: "Sequence[Recorded] | None" = None
    """What became of its events, once it is promoted."""


@click.command()
@click.option("--source", type=utf8, metavar="NAME", required=True, help="Of this source.")
@click.option("--limit", type=click.IntRange(1, 1_000_000), help="Of the newest so many; all, if not said.")
@yes_option
@json_option
def reverify(source: str, limit: int | None, yes: bool, as_json: bool) -> None:
    """Verify kept rejections anew, with today's keys and by the clock of their receipt; promote what passes to events.

    Without --yes it shows what would pass, and asks where somebody is there to answer.
    """
    settings = load_settings()
    put_on_path(settings.root)
    built = build_source(source, settings)
    with opened(settings) as store:
        judged = _judged(store, built, settings.public_url, limit)
        passing = sum(one.passing is not None for one in judged)
        if not yes:
            _show(judged, as_json)
            if not passing or as_json or not sys.stdin.isatty():
                _hint(passing)
                return
            confirm(f"Promote {_rejections(passing)} to events?", yes)
            judged = [one for one in judged if one.passing]
        _promote_all(store, judged, as_json)


def _rejections(count: int) -> str:
    return "1 rejection" if count == 1 else f"{count} rejections"


def _hint(passing: int) -> None:
    if passing:
        complain(f"{_rejections(passing)} would pass\n  Add --yes to promote {'it' if passing == 1 else 'them'}")


# ── what would pass ──


def _judged(store: "Store", source: Source, public_url: str | None, limit: int | None) -> list[Judged]:
    """Oldest first: as they came, so the first one of a fact becomes its event."""
    from receiver.store import reads

    with store.reading() as session:
        found = list(reads.kept(session, source.name, limit))
    return asyncio.run(_judge_all(found[::-1], source, public_url))


async def _judge_all(found: "Iterable[Kept]", source: Source, public_url: str | None) -> list[Judged]:
    from receiver.key_provider import KeyProvider

    provider, now = KeyProvider(), time.time()
    return [await _judge(kept, source, public_url, provider, now) for kept in found]


async def _judge(kept: "Kept", source: Source, public_url: str | None, provider: "KeyProvider", now: float) -> Judged:
    from receiver.problems import Problem
    from receiver.reverify import hindrance, reverify
    from receiver.schemes import Refused

    if why_not := hindrance(kept, source):
        return Judged(kept.row, why_not=why_not)
    try:
        return Judged(kept.row, await reverify(kept, source, public_url, provider, now))
    except Refused as refused:
        return Judged(kept.row, why_not=f"{refused.code}: {refused.detail}")
    except Problem as problem:
        return Judged(kept.row, why_not=f"{problem.code}: {problem.note}")


# ── promotion ──


def _promote_all(store: "Store", judged: Sequence[Judged], as_json: bool) -> None:
    """Each in a commit of its own; what was done is shown also where the next one cannot be."""
    done: list[Judged] = []
    try:
        for one in judged:
            done.append(_promoted(store, one) if one.passing else one)
    finally:
        _show(done, as_json)


def _promoted(store: "Store", judged: Judged) -> Judged:
    from receiver.store.ids import number
    from receiver.store.promotion import promote

    rejection, passing = number("rej", judged.row.id), judged.passing
    assert rejection is not None
    assert passing is not None
    recorded = store.write_from_thread(lambda tx: promote(tx, rejection, passing.arrival, passing.key))
    if recorded is None:
        return replace(judged, passing=None, why_not=GONE)
    return replace(judged, recorded=recorded)


# ── what is printed ──


def _show(judged: Iterable[Judged], as_json: bool) -> None:
    if as_json:
        for one in judged:
            print_json(_object(one))
    else:
        print_table(COLUMNS, map(_line, judged))


def _object(judged: Judged) -> dict[str, Any]:
    row = judged.row
    return {
        "id": row.id, "source": row.source, "received_at": row.received_at, "code": row.code,
        "passes": judged.passing is not None, "why_not": judged.why_not,
        "key": judged.passing and judged.passing.key, "promoted": judged.recorded is not None,
        "events": list(_events(judged)),
    }  # fmt: skip


def _events(judged: Judged) -> "Iterable[dict[str, str | None]]":
    """Those it holds; with what became of them, once it is promoted."""
    from receiver.store.ids import text

    for number, event in enumerate(judged.passing.arrival.events if judged.passing else ()):
        recorded = judged.recorded and judged.recorded[number]
        yield {
            "external_id": event.external_id,
            "type": event.type,
            "id": text("ev", recorded.id) if recorded else None,
            "status": ("duplicate" if recorded.duplicate else "accepted") if recorded else None,
        }


def _line(judged: Judged) -> tuple[Any, ...]:
    row, events = judged.row, [_told(event) for event in _events(judged)]
    more = f" and {len(events) - SHOWN} more" if len(events) > SHOWN else ""
    return row.id, row.received_at, row.code, _now(judged), ", ".join(events[:SHOWN]) + more or None


def _told(event: dict[str, str | None]) -> str:
    return f"{event['status']} {event['id']}" if event["status"] else str(event["external_id"])


def _now(judged: Judged) -> str:
    if judged.passing is None:
        return f"no: {judged.why_not}"
    return f"{'promoted' if judged.recorded is not None else 'passes'}, {judged.passing.key}"
