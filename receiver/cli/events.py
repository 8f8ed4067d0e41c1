"""`postern events`: list, show and explain what is stored. How a story is told stands in `explain.py`."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from receiver.cli.common import json_option, load_settings, one_line, print_json, print_table, reading
from receiver.cli.fields import header_pairs, print_fields, unwrapped
from receiver.cli.filters import filter_options, limit_option, utf8
from receiver.errors import UserError
from receiver.settings import Settings

if TYPE_CHECKING:
    from receiver.store import Session
    from receiver.store.reads import EventRow, Filters, RunRow

COLUMNS = ("event", "received", "source", "type", "status", "attempts", "code", "due")
RUN_COLUMNS = ("run", "handler", "state", "code", "attempts", "failures", "due", "reason")


@click.group()
def events() -> None:
    """List, show and explain stored events."""


@events.command("list")
@filter_options
@limit_option
@json_option
def list_(filters: "Filters", limit: int, as_json: bool) -> None:
    """Stored events, newest first."""
    from receiver.store import reads

    with reading(load_settings(forgiving=True)) as session:
        found = reads.events(session, filters, limit)
        if as_json:
            for event in found:
                print_json(asdict(event))
        else:
            print_table(COLUMNS, (_line(event) for event in found))


def _line(event: "EventRow") -> tuple[Any, ...]:
    state = (event.status, event.attempts, event.code, event.due_at)
    return (event.id, event.received_at, event.source, event.type, *state)


@events.command()
@click.argument("event", type=utf8, metavar="ID")
@click.option("--raw", is_flag=True, help="The exact bytes of the request's body, and nothing else.")
@json_option
def show(event: str, raw: bool, as_json: bool) -> None:
    """One event and its runs. ID is an event's, or source:external_id."""
    if raw and as_json:
        raise UserError("--raw prints bytes, and --json an object", fix="Type one of them", exit_code=2)
    from receiver.store import reads

    with one_event(load_settings(forgiving=True), event) as (session, number):
        headers, body = reads.delivery(session, number)
        row = asdict(reads.event(session, number)) | {"size_bytes": len(body)}
        runs = reads.runs(session, number)
    if raw:
        click.echo(body, nl=False)
    elif as_json:
        print_json(row | {"headers": header_pairs(headers), "runs": [asdict(run) for run in runs]})
    else:
        print_fields(row, headers)
        click.echo("runs" if runs else "no runs")
        if runs:
            print_table(RUN_COLUMNS, map(_run_line, runs))


def _run_line(run: "RunRow") -> tuple[Any, ...]:
    return (
        run.id,
        run.handler,
        run.state,
        run.code,
        run.attempts,
        run.failures,
        run.due_at,
        unwrapped(run.reason) or None,
    )


@events.command()
@click.argument("event", type=utf8, metavar="ID")
@json_option
def explain(event: str, as_json: bool) -> None:
    """One event's story in time order, how it stands now, and what to do next."""
    from receiver.cli.explain import print_story, read_story

    settings = load_settings(forgiving=True)
    with one_event(settings, event) as (session, number):
        story = read_story(session, settings, number)
    if as_json:
        row = asdict(story)
        print_json(row.pop("event") | row)
    else:
        print_story(story)


@contextmanager
def one_event(settings: Settings, name: str) -> Iterator[tuple["Session", int]]:
    """A session, and the number of the event that is named by its id or by source:external_id."""
    from receiver.store import reads

    with reading(settings) as session:
        number = reads.find_event(session, name)
        if number is None:
            raise unknown_event(name)
        yield session, number


def unknown_event(name: str) -> UserError:
    if name.startswith("ev_") or ":" in name:
        return UserError(f"there is no event {one_line(name)}", fix="Type postern events list")
    fix = "Type its id (ev_…, see postern events list), or source:external_id"
    return UserError(f"{one_line(name)} names no event", fix=fix)
