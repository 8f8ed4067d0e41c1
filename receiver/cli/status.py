"""`postern status`: one screen that says what needs a person, and exits 1 if anything does."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from receiver.cli.advice import SERVE, Advice, Workers, for_failures
from receiver.cli.common import json_option, load_settings, one_line, print_json, print_table, reading, shown_time
from receiver.cli.key_usage import KeyUsage, key_advice, key_usage
from receiver.settings import Settings

if TYPE_CHECKING:
    from receiver.store import Session
    from receiver.store.models import Process, Source
    from receiver.store.reads import Failures

UNHANDLED_SINCE = timedelta(hours=24)
OUR_REFUSALS = ("signature_mismatch", "timestamp_stale", "timestamp_future")
"""What a rotated secret or a wrong clock can cause. What else is refused needs nobody: strangers send it."""
UNHANDLED = "postern events list --status unhandled --since 24h"


@dataclass(frozen=True)
class Overview:
    left_out: tuple[str, ...]
    """Of the configuration, for it is wrong."""
    sources: "list[Source]"
    """The configured ones, those that never had a delivery too."""
    refusals: dict[str, str]
    """By source the newest of `OUR_REFUSALS` since the last accepted delivery."""
    keys: list[KeyUsage]
    of_keys: list[Advice]
    receivers: "list[Process]"
    workers: Workers
    runs: dict[str, int]
    failures: "list[Failures]"
    unhandled: int
    ended_silently_at: datetime | None
    """When the last receiver gave its last sign of life, where none is alive and nobody stopped it."""

    @property
    def waiting(self) -> int:
        """Runs that a worker has to take or to go on with."""
        return self.runs["unrouted"] + self.runs["waiting"] + self.runs["running"]


@click.command()
@json_option
def status(as_json: bool) -> int:
    """One screen; exits 1 if anything needs a person."""
    settings = load_settings(forgiving=True)
    with reading(settings) as session:
        overview = look(session, settings, datetime.now(UTC))
    needed = list(needs(overview))
    if as_json:
        for row in _rows(overview, needed):
            print_json(row)
    else:
        _print(overview, needed)
    return 1 if needed else 0


def look(session: "Session", settings: Settings, now: datetime) -> Overview:
    from receiver.store import reads
    from receiver.store.models import Source

    seen = reads.sources(session)
    keys = list(key_usage(settings, reads.usage(session)))
    live = reads.processes(session)
    sources = [seen.get(name) or Source(name=name) for name in settings.sources]
    if settings.left_out:  # some of them may be configured, who can tell
        sources += [source for name, source in seen.items() if name not in settings.sources]
    return Overview(
        settings.left_out,
        sources,
        {source.name: code for source in sources if (code := _our_refusal(session, source))},
        keys,
        list(key_advice(keys, now)),
        [process for process in live if process.role == "receiver"],
        Workers(
            [process for process in live if process.role == "worker"],
            reads.offers(session),
            settings.queue.has_broker,
        ),
        reads.unfinished(session),
        reads.failures(session),
        reads.unhandled(session, now - UNHANDLED_SINCE),
        reads.receivers_ended_silently_at(session),
    )


def _our_refusal(session: "Session", source: "Source") -> str | None:
    """Also where strangers were refused after it, unless they were so many that it is no longer kept."""
    from receiver.store import reads

    if not source.refused_since_accepted:
        return None
    found = [row for code in OUR_REFUSALS for row in reads.rejections(session, source.name, 1, code)]
    accepted_at = source.last_accepted_at
    since = [row for row in found if accepted_at is None or row.received_at > accepted_at]
    return max(since, key=lambda row: row.received_at).code if since else None


def needs(overview: Overview) -> Iterator[Advice]:
    """What needs a person, with the command to type."""
    if overview.left_out:
        yield Advice(f"the configuration is not valid: {', '.join(overview.left_out)}", "postern config check")
    if overview.ended_silently_at:
        ended = f"the last one ended without a word at {shown_time(overview.ended_silently_at)}"
        yield Advice(f"no receiver is alive: {ended}", SERVE)
    if overview.runs["parked"]:
        yield Advice(f"{_runs(overview.runs['parked'])} parked", "postern events list --status attention")
    for receiver in overview.receivers:
        if receiver.trouble:
            text = f"process {receiver.pid} on {receiver.host} goes on with its old configuration: {receiver.trouble}"
            yield Advice(text, f"kill -HUP {receiver.pid}")
    for trouble in dict.fromkeys(overview.workers.troubles()):
        yield Advice(f"a worker does nothing: {trouble}", "postern doctor")
    if not overview.workers.live and (overview.waiting or overview.workers.has_broker):
        waiting = f"{_runs(overview.waiting)} waiting, and " if overview.waiting else ""
        yield Advice(f"{waiting}no worker is alive", overview.workers.command)
    for source in overview.sources:
        if code := overview.refusals.get(source.name):
            text = f"{source.name}: {source.refused_since_accepted} refused since the last one that was accepted"
            yield Advice(f"{text} ({code})", f"postern rejections list --source {source.name}")
    yield from overview.of_keys


def _runs(count: int) -> str:
    return "1 run is" if count == 1 else f"{count} runs are"


# ── for machines ──


def _rows(overview: Overview, needed: list[Advice]) -> Iterator[dict[str, Any]]:
    """Each has a `kind`."""
    for source in overview.sources:
        yield {"kind": "source", **_columns(source)}
    for key in overview.keys:
        yield {"kind": "key", **asdict(key)}
    for process in (*overview.receivers, *overview.workers.live):
        yield {"kind": process.role, **_columns(process)}
    yield {"kind": "runs", **overview.runs}
    for group in overview.failures:
        yield {"kind": "failures", **asdict(group), "command": for_failures(group)}
    yield {"kind": "unhandled", "count": overview.unhandled, "command": UNHANDLED}
    for advice in needed:
        yield {"kind": "needed", **asdict(advice)}


def _columns(row: "Source | Process") -> dict[str, Any]:
    return {name: getattr(row, name) for name in type(row).model_fields if name not in ("id", "role", "stopped_at")}


# ── for people ──


def _print(overview: Overview, needed: list[Advice]) -> None:
    _print_sources(overview)
    _print_keys(overview.keys)
    _print_processes(overview)
    click.echo("\nruns       " + "   ".join(f"{count} {state}" for state, count in overview.runs.items()))
    if overview.unhandled:
        click.echo(f"unhandled  {overview.unhandled} in the last 24 hours: {UNHANDLED}")
    _print_failures(overview.failures)
    click.echo("\nneeds a person" if needed else "\nnothing needs a person")
    for advice in needed:
        click.echo(f"  {one_line(advice.text)}\n    {advice.command}")


def _print_sources(overview: Overview) -> None:
    if overview.sources:
        print_table(("source", "last accepted", "accepted", "duplicates", "refused since", "verified by"), (
            (s.name, s.last_accepted_at, s.accepted, s.duplicates, s.refused_since_accepted, s.key)
            for s in overview.sources
        ))  # fmt: skip
    else:
        click.echo("no source is configured")


def _print_keys(keys: list[KeyUsage]) -> None:
    """Where there is something to tell of them: while they are rotated."""
    of_source = Counter(key.source for key in keys)
    told = [key for key in keys if of_source[key.source] > 1 or key.not_after]
    if told:
        click.echo()
        print_table(("source", "key", "verified", "last", "ends"), (
            (key.source, key.key, key.verified, key.last_verified_at, key.not_after) for key in told
        ))  # fmt: skip


def _print_processes(overview: Overview) -> None:
    click.echo()
    for receiver in overview.receivers:
        click.echo(f"receiver   {receiver.url}  (process {receiver.pid} on {receiver.host}, {receiver.version})")
    for (trouble, host, version), pids in _alike(overview.workers.live).items():
        state = f"does nothing: {one_line(trouble)}" if trouble else "works"
        click.echo(f"worker     {state}  ({_processes(pids)} on {host}, {version})")
    for role, live in (("receiver", overview.receivers), ("worker", overview.workers.live)):
        if not live:
            click.echo(f"{role:<11}none is running")


def _alike(workers: "Sequence[Process]") -> "dict[tuple[str | None, str, str], list[int]]":
    """Their process ids by trouble, host and version: a line each, however many `postern worker` has started."""
    found: dict[tuple[str | None, str, str], list[int]] = {}
    for worker in workers:
        found.setdefault((worker.trouble, worker.host, worker.version), []).append(worker.pid)
    return found


def _processes(pids: list[int]) -> str:
    numbers = ", ".join(map(str, sorted(pids)))
    return f"process {numbers}" if len(pids) == 1 else f"{len(pids)} processes: {numbers}"


def _print_failures(failures: "list[Failures]") -> None:
    if failures:
        click.echo()
        print_table(("failing", "code", "state", "runs", "first", "newest", "next", "type"), (
            (g.handler, g.code, g.state, g.count, g.first_at, g.newest_at, g.next_at, for_failures(g))
            for g in failures
        ))  # fmt: skip
