"""`postern replay`: new attempts of stored events. What may be done with a run stands in `receiver.store.replays`."""

import sys
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING

import click

from receiver.cli.common import (
    confirm,
    json_option,
    load_settings,
    not_built,
    one_line,
    opened,
    print_json,
    print_table,
    yes_option,
)
from receiver.cli.filters import utf8
from receiver.errors import UserError

if TYPE_CHECKING:
    from receiver.store import Session, Store, Transaction
    from receiver.store.replays import Replay, Replayed

AT_ONCE = 100  # events in one transaction: a vendor waits while it is written
SHOWN = 5
DONE = {
    "again": "due again",
    "repeated": "due again, and its effects may repeat",
    "routed": "routed again",
    "added": "given to this handler",
    "finished": "nothing to do: it is finished",
    "at_work": "nothing to do: it is waiting or at work",
    "not_taken": "nothing to do: this handler does not take it",
    "ambiguous": "left parked: say what happened with postern runs resolve {run}",
}


@click.group()
def replay() -> None:
    """Run stored events anew."""


for _name in ("plan", "apply", "status", "pause", "resume", "cancel", "shadow"):
    replay.add_command(not_built(_name, "Single events are replayed with postern replay event ID…"))


def _no_rate_yet(ctx: click.Context, parameter: click.Parameter, rate: str | None) -> None:
    if rate is not None:
        raise UserError(f"{ctx.command_path} --rate is not built yet", fix="Leave it out", exit_code=2)


@replay.command("event")
@click.argument("names", type=utf8, metavar="ID...", nargs=-1, required=True)
@click.option(
    "--handler", type=utf8, metavar="NAME", help="Only the runs of this handler; one that has none yet gets its first."
)
@click.option("--effects", type=click.Choice(["keep", "repeat"]), default="keep", show_default=True,
              help="Send nothing again that succeeded, or begin with nothing recorded.")  # fmt: skip
@click.option("--rate", metavar="RATE", hidden=True, expose_value=False, callback=_no_rate_yet)
@click.option("--reason", type=utf8, metavar="TEXT", help="Why, for the events' stories.")
@yes_option
@json_option
def event_(names: Sequence[str], handler: str | None, effects: str, reason: str | None, yes: bool,
           as_json: bool) -> None:  # fmt: skip
    """New attempts of events. ID is an event's, or source:external_id; - reads them from standard input."""
    from receiver.store.replays import Replay

    wanted = Replay(handler, effects == "repeat", reason)
    with opened(load_settings()) as store:
        with store.reading() as session:
            numbers = _numbers(session, list(_typed(names)))
            _check_handler(session, numbers, handler)
        if numbers:
            confirm(_question(len(numbers), wanted), yes)
        done = _replay(store, numbers, wanted)
        if as_json:
            for event_id, replayed in done:
                print_json(_row(event_id, replayed))
        else:
            print_table(("event", "handler", "was", "done"), (_line(event_id, each) for event_id, each in done))


def _typed(names: Sequence[str]) -> Iterator[str]:
    for name in names:
        if name == "-":
            yield from sys.stdin.buffer.read().decode("utf-8", "replace").split()
        else:
            yield name


def _numbers(session: "Session", names: Sequence[str]) -> list[int]:
    """Of all events named, each once; if one is unknown, nothing is done with any."""
    from receiver.store import reads

    found = {name: reads.find_event(session, name) for name in names}
    unknown = [one_line(name) for name, number in found.items() if number is None]
    if unknown:
        more = f" and {len(unknown) - SHOWN} more" if len(unknown) > SHOWN else ""
        what = f"there is no event {', '.join(unknown[:SHOWN])}{more}: nothing was done"
        raise UserError(what, fix="Type postern events list")
    return list(dict.fromkeys(number for number in found.values() if number is not None))


def _check_handler(session: "Session", numbers: Sequence[int], handler: str | None) -> None:
    from receiver.store import reads

    if handler is None:
        return
    known = {offer.handler for offer in reads.offers(session)}
    known |= reads.handlers_of(session, numbers)
    if handler not in known:
        near = get_close_matches(handler, known, 1)
        fix = f"Did you mean {near[0]}?" if near else f"There are {', '.join(sorted(known))}" if known else ""
        raise UserError(f"no handler {handler!r}: no such run, and no live worker offers it", "--handler", fix)


def _question(count: int, wanted: "Replay") -> str:
    events = "1 event" if count == 1 else f"{count} events"
    repeat = ", and let all its effects happen again" if wanted.repeat else ""
    return f"Replay {events}{repeat}?"


def _replay(store: "Store", numbers: Sequence[int], wanted: "Replay") -> "Iterator[tuple[str, Replayed]]":
    from receiver.store import replays
    from receiver.store.ids import text

    for start in range(0, len(numbers), AT_ONCE):
        some = numbers[start : start + AT_ONCE]

        def write(tx: "Transaction", some: Sequence[int] = some) -> "list[list[Replayed]]":
            return [replays.replay(tx, number, wanted) for number in some]

        for number, of_event in zip(some, store.write_from_thread(write), strict=True):
            yield from ((text("ev", number), replayed) for replayed in of_event)


def _run(replayed: "Replayed") -> str | None:
    from receiver.store.ids import text

    return None if replayed.run_id is None else text("run", replayed.run_id)


def _line(event_id: str, replayed: "Replayed") -> tuple[str | None, ...]:
    return (event_id, replayed.handler, replayed.state, DONE[replayed.action].format(run=_run(replayed)))


def _row(event_id: str, replayed: "Replayed") -> dict[str, str | None]:
    return {
        "event": event_id, "run": _run(replayed), "handler": replayed.handler, "was": replayed.state,
        "done": replayed.action,
    }  # fmt: skip
