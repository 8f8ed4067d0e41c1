"""`postern send`: posts fixtures as their vendors would, and tells what was answered and what became of them.

How a fixture is found stands in `receiver.fixture`, how it is signed in `outgoing.py`.
"""

import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from socket import gethostname
from typing import TYPE_CHECKING, Any

import click

from receiver.cli.advice import Workers
from receiver.cli.common import (
    complain,
    configured_url,
    json_option,
    load_settings,
    one_line,
    opened,
    print_json,
    shown_time,
)
from receiver.cli.outgoing import Outgoing, choose_source, outgoing, with_values
from receiver.errors import UserError
from receiver.fixture import Fixture, find_fixture
from receiver.http import httpx
from receiver.load import put_on_path
from receiver.settings import Settings
from receiver.sources import Source, build_source

if TYPE_CHECKING:
    from receiver.store import Store
    from receiver.store.reads import EventRow

ANSWER_S = 30.0
WAIT_S = 60.0
POLL_S = 0.05
ARRIVAL_S = 2.0
IDLE_S = 1.0  # before it is told that nobody works: a receiver just started has its worker a moment later
FINAL = ("done", "unhandled", "attention")
LOCAL = {"all://127.0.0.1": None, "all://localhost": None, "all://[::1]": None}  # never through a proxy


@dataclass(slots=True)
class Sent:
    """One delivery and its answer; a batch has an answer for each of its events."""

    fixture: str
    source: str
    type: str
    url: str
    http_status: int
    status: str
    id: str | None = None
    detail: str = ""
    event_status: str | None = None
    code: str | None = None


@click.command()
@click.argument("fixtures", nargs=-1, required=True, metavar="FIXTURE...")
@click.option("--new", is_flag=True, help="A new id: a new event, not a duplicate.")
@click.option("--wait", is_flag=True, help="Follow to the final state; exit 1 unless it is done.")
@click.option("--to", metavar="URL", help="The receiver's address, or the full one to post to.")
@click.option("--source", metavar="NAME", help="The source to sign as.")
@click.option("--set", "assignments", multiple=True, metavar="PATH=VALUE", help="Change the body: JSON, or a text.")
@click.option("--times", type=click.IntRange(1), default=1, metavar="N", help="Send each so many times.")
@json_option
def send(
    fixtures: Sequence[str], new: bool, wait: bool, to: str | None, source: str | None, assignments: Sequence[str],
    times: int, as_json: bool,
) -> int:  # fmt: skip
    """Sign fixtures as their vendors would, and post them.

    A FIXTURE is a path, or source/type: stripe/payment_intent.succeeded.
    """
    settings = load_settings()
    put_on_path(settings.root)
    chosen = [_choose(name, source, assignments, settings) for name in fixtures]  # all, before anything is posted
    ok = True
    with ExitStack() as stack:
        client = stack.enter_context(httpx.Client(timeout=ANSWER_S, mounts=LOCAL))
        store = _store(settings, stack, needed=wait) if wait or to is None else None
        base = to or _address(store, settings)
        look = _idle_teller(store, settings) if wait and store is not None else None
        for fixture, body, as_source in chosen:
            target = _target(base, as_source.name)
            for _ in range(times):
                out = outgoing(fixture, body, as_source, target, settings.public_url, new=new)
                for sent in _post(client, out, store):
                    if not as_json:
                        _tell_answer(sent, wait=wait)
                    if look is not None and store is not None:
                        _follow(store, sent, look)
                    ok &= _tell_end(sent, wait=wait, as_json=as_json)
    return 0 if ok else 1


def _choose(
    name: str, source: str | None, assignments: Sequence[str], settings: Settings
) -> tuple[Fixture, bytes, Source]:
    fixture = find_fixture(name, settings.root, settings.sources)
    body = with_values(fixture.body, assignments)
    return fixture, body, build_source(choose_source(fixture, source, settings), settings)


# ── where to ──


def _store(settings: Settings, stack: ExitStack, *, needed: bool) -> "Store | None":
    try:
        return stack.enter_context(opened(settings))
    except UserError:
        if needed:
            raise
        return None


def _address(store: "Store | None", settings: Settings) -> str:
    """What the newest live receiver of this machine wrote into the store, else what is configured."""
    from receiver.store import reads

    if store is not None:
        with store.reading() as session:
            alive = reads.processes(session)
        urls = [process.url for process in alive if process.url and process.host == gethostname()]
        if urls:
            return urls[-1]
    return configured_url(settings)


def _target(base: str, source: str) -> str:
    """A base is an address without a path; any other is posted to as it is."""
    try:
        url = httpx.URL(base)
    except httpx.InvalidURL:
        url = httpx.URL()
    if url.scheme not in ("http", "https") or not url.host:
        raise UserError(f"{base!r} is not an address", "--to", "Write it like http://127.0.0.1:8000", exit_code=2)
    return base if url.path.strip("/") else str(url.join(f"/webhooks/{source}"))


# ── what was answered ──


def _post(client: httpx.Client, out: Outgoing, store: "Store | None") -> Iterator[Sent]:
    before = _stored(store, out)
    try:
        answer = client.post(out.url, content=out.body, headers=out.headers)
    except httpx.HTTPError as error:
        reason = re.sub(r"\[Errno -?\d+\] ", "", str(error)) or type(error).__name__
        what = f"nothing answers at {out.url}: {reason}"
        raise UserError(what, fix="Type postern serve in another terminal, or name its address: --to URL") from None
    said = _parsed(answer)
    sent = Sent(out.fixture.name, out.source, out.fixture.type, out.url, answer.status_code, "refused")
    if not answer.is_success:
        yield replace(sent, code=said.get("code"), detail=said.get("detail") or answer.reason_phrase)
    elif out.is_handshake:
        yield replace(sent, status="handshake", detail=answer.text)
    elif found := _stored(store, out):
        for external_id, id in found.items():
            yield replace(sent, status="duplicate" if external_id in before else "accepted", id=id)
    else:
        for event in said.get("events", [said]):
            yield replace(sent, status=event.get("status", "answered"), id=event.get("id"))


def _stored(store: "Store | None", out: Outgoing) -> dict[str, str]:
    """By their external ids those of its events that are stored, where the answer tells none."""
    from receiver.store import reads

    if store is None or not out.ids:
        return {}
    with store.reading() as session:
        numbers = {id: reads.find_event(session, f"{out.source}:{id}") for id in out.ids}
        return {id: reads.event(session, number).id for id, number in numbers.items() if number is not None}


def _parsed(answer: httpx.Response) -> dict[str, Any]:
    try:
        said = answer.json()
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


# ── what became of it ──


def _follow(store: "Store", sent: Sent, look_for_workers: Callable[[], None]) -> None:
    """Look until the event is final, or nothing will happen to it soon."""
    if sent.id is None:
        return
    begun_at = time.monotonic()
    deadline = begun_at + WAIT_S
    told = ""
    while True:
        row = _event(store, sent, patient=time.monotonic() < begun_at + ARRIVAL_S)
        if row is not None:
            sent.event_status, sent.code, sent.type = row.status, row.code, row.type
            later = row.due_at is not None and row.due_at > datetime.now(UTC) + timedelta(seconds=WAIT_S)
            if row.status in FINAL or later or time.monotonic() > deadline:
                return
            told = _progress(row, told)
            if time.monotonic() > begun_at + IDLE_S:
                look_for_workers()
        time.sleep(POLL_S)


def _idle_teller(store: "Store", settings: Settings) -> Callable[[], None]:
    """Says once on standard error, however often it is called, that nobody works, and what to type."""
    from receiver.store import reads

    told = False

    def look() -> None:
        nonlocal told
        if told:
            return
        with store.reading() as session:
            live = [process for process in reads.processes(session) if process.role == "worker"]
        if idle := Workers(live, (), settings.queue.has_broker).idle():
            complain(f"{idle.text[0].lower()}{idle.text[1:]}\n  Type {idle.command}")
            told = True

    return look


def _event(store: "Store", sent: Sent, *, patient: bool) -> "EventRow | None":
    from receiver.store import reads

    with store.reading() as session:
        number = reads.find_event(session, sent.id or "")
        if number is not None:
            return reads.event(session, number)
    if patient:
        return None
    what = f"{sent.url} stored {sent.id}, but not in the store that is configured here"
    raise UserError(what, "[store] url", "Leave --wait out, or name that receiver's configuration: --config PATH")


def _progress(row: "EventRow", told: str) -> str:
    """On a terminal, whoever waits sees why."""
    line = f"  {row.attempts} failed: {row.code}, again at {shown_time(row.due_at)}" if row.code else ""
    if line and line != told and sys.stderr.isatty():
        click.echo(line, err=True)
    return line


def _tell_answer(sent: Sent, *, wait: bool) -> None:
    """One line, at once: handlers may take their time."""
    more = "  (stored before; --new makes it a new event)" if sent.status == "duplicate" else ""
    waits = "  waiting for its handlers" if wait and sent.id else ""
    answer = sent.code if sent.status == "refused" and sent.code else sent.status
    click.echo(f"{sent.fixture}  {sent.http_status} {answer}  {one_line(sent.id or sent.detail)}{more}{waits}")


def _tell_end(sent: Sent, *, wait: bool, as_json: bool) -> bool:
    """What became of it; and where that is no success, what to do about it. Whether it was one."""
    if as_json:
        print_json(asdict(sent))
    elif sent.event_status:
        click.echo(f"{one_line(sent.id or '')}  {sent.event_status}")
    trouble = _trouble(sent, wait=wait)
    if trouble:
        complain(trouble)
    return not trouble


def _trouble(sent: Sent, *, wait: bool) -> str:
    if sent.status == "refused":
        return f"{sent.fixture} was refused with {sent.http_status}, {sent.code or 'no code'}\n  {_after_refusal(sent)}"
    if not wait or sent.id is None or sent.event_status == "done":
        return ""
    if sent.event_status == "unhandled":
        what = f"no handler takes {sent.type} of {sent.source}"
        return f'{what}\n  Add @on("{sent.source}", "{sent.type}"), restart, and type postern replay event {sent.id}'
    why = sent.code or "no worker has finished it"
    return f"{sent.id} is {sent.event_status}, not done: {why}\n  Type postern events explain {sent.id}"


def _after_refusal(sent: Sent) -> str:
    if sent.http_status == 404:
        return f"Restart postern serve if [sources.{sent.source}] is new"
    if sent.http_status == 401:
        return f"Restart postern serve if the secret is new, or type postern rejections list --source {sent.source}"
    return "Type postern doctor"
