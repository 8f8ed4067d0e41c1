"""One event's story in time order, from its arrival to its last replay; how it stands now, and what to do next."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from receiver.cli import advice
from receiver.cli.advice import Advice, Workers
from receiver.cli.common import one_line, shown_time
from receiver.cli.fields import unwrapped
from receiver.settings import Settings
from receiver.store import reads
from receiver.store.models import History

if TYPE_CHECKING:
    from receiver.store import Session

ENDED = {"failed": "failed", "waiting": "was put off", "parked": "was parked", "dropped": "was dropped",
         "lapsed": "was cut off", "replayed": "was replayed", "promoted": "was promoted"}  # fmt: skip


@dataclass(frozen=True)
class Happened:
    """`at` is None for what has no time of its own; it stands where it belongs."""

    at: datetime | None
    what: str


@dataclass(frozen=True)
class Story:
    event: reads.EventRow
    happened: list[Happened]
    now: list[str]
    next: list[Advice]


def read_story(session: "Session", settings: Settings, number: int) -> Story:
    event, runs = reads.event(session, number), reads.runs(session, number)
    now = datetime.now(UTC)
    live = [process for process in reads.processes(session) if process.role == "worker"]
    workers = Workers(live, reads.offers(session), settings.queue.has_broker)
    _, body = reads.delivery(session, number)
    told = [*_of_steps(reads.steps(session, number)), *_of_history(reads.history(session, number)), *_of_runs(runs)]
    happened = [*_arrival(event, len(body), runs), *sorted(told, key=_time), *_copies(event)]
    standing = [_stands(run) for run in runs] or [_without_run(event)]
    return Story(event, happened, standing, list(_next(event, runs, workers, now)))


def _time(happened: Happened) -> datetime:
    assert happened.at is not None
    return happened.at


# ── what happened ──


def _arrival(event: reads.EventRow, size_bytes: int, runs: list[reads.RunRow]) -> Iterator[Happened]:
    yield Happened(event.received_at, f"received from {event.source}, signature verified, {size_bytes} bytes")
    if runs:
        yield Happened(None, f"routed to {', '.join(run.handler for run in runs)}")


def _copies(event: reads.EventRow) -> Iterator[Happened]:
    if event.duplicates:
        times = "once" if event.duplicates == 1 else f"{event.duplicates} times"
        yield Happened(None, f"delivered again {times}: answered as a duplicate, nothing more was done")


def _of_runs(runs: list[reads.RunRow]) -> Iterator[Happened]:
    """What leaves no line in the history: success, and the attempt that goes on."""
    for run in runs:
        if run.state == "succeeded":
            yield Happened(run.finished_at, f"{run.handler}: attempt {run.attempts} succeeded")
        if run.state == "running":
            yield Happened(run.started_at, f"{run.handler}: attempt {run.attempts} began")


def _of_history(history: list[tuple[str | None, History]]) -> Iterator[Happened]:
    for handler, line in history:
        yield Happened(line.happened_at, _line(handler, line))


def _line(handler: str | None, line: History) -> str:
    who = f"{handler}: " if handler else ""
    attempt = f"attempt {line.attempt} " if line.attempt else ""
    ended = ENDED.get(line.kind, line.kind)
    why = ": ".join(filter(None, [line.code, unwrapped(line.text)]))
    return f"{who}{attempt}{ended}" + (f", {why}" if why else "")


def _of_steps(steps: list[reads.StepRow]) -> Iterator[Happened]:
    for step in steps:
        name = f"{step.handler}: step {step.name!r}" + _edition(step)
        yield Happened(step.intent_at, f"{name} intended, key {step.key}")
        if step.outcome_at:
            yield Happened(step.outcome_at, f"{name} {_outcome(step)}")


def _edition(step: reads.StepRow) -> str:
    said = [f"revision {step.revision}"] if step.revision else []
    said += [f"generation {step.generation}"] if step.generation else []
    return f" ({', '.join(said)})" if said else ""


def _outcome(step: reads.StepRow) -> str:
    answer = f"answered {step.status}" if step.status else "ended"
    means = {"done": "done", "refused": "without effect"}.get(step.state, "effect unknown")
    return f"{answer}, {means}" + (f", sent {step.sends} times" if step.sends > 1 else "")


# ── how it stands, and what to do ──


def _stands(run: reads.RunRow) -> str:
    tried = f"{run.attempts} attempt{'' if run.attempts == 1 else 's'}, {run.failures} failed"
    match run.state:
        case "waiting":
            state = f"waits until {shown_time(run.due_at)}" + (f" ({run.code})" if run.code else "")
        case "parked":
            state = f"is parked as {run.code}: {unwrapped(run.reason)}"
        case "dropped":
            state = f"is finished, dropped: {unwrapped(run.reason) or 'no reason given'}"
        case "succeeded":
            state = "is finished, succeeded"
        case _:
            state = "is at work"
    return f"{run.handler} {state} ({tried})"


def _without_run(event: reads.EventRow) -> str:
    return "not routed yet" if event.status == "pending" else "unhandled: no handler took it"


def _next(event: reads.EventRow, runs: list[reads.RunRow], workers: Workers, now: datetime) -> Iterator[Advice]:
    if not runs:
        unrouted = event.status == "pending"
        yield advice.for_unrouted(workers) if unrouted else advice.for_unhandled(event, workers)
    for run in runs:
        if run.state == "parked":
            yield advice.for_parked(event, run, workers)
        if run.state == "waiting":
            yield advice.for_waiting(run, workers, now)
        if run.state == "running":
            yield workers.idle() or Advice(f"Nothing: {run.handler} is at work")
    if event.status == "done":
        yield Advice("Nothing: it is done")


# ── on the terminal ──


def print_story(story: Story) -> None:
    event = story.event
    click.echo(f"{event.id}  {event.source}  {one_line(event.type)}  {one_line(event.external_id)}  {event.status}")
    for happened in story.happened:
        click.echo(f"  {_at(happened.at):<24}  {one_line(happened.what)}")
    click.echo("now")
    for line in story.now:
        click.echo(f"  {one_line(line)}")
    click.echo("next")
    for step in story.next:
        click.echo(f"  {one_line(step.text)}" + (f"\n    {step.command}" if step.command else ""))


def _at(at: datetime | None) -> str:
    return "" if at is None else at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
