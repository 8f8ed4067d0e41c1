"""What `postern doctor` looks at, from the configuration to the handlers: a generator for each check."""

import os
import socket
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import unquote, urlsplit

from receiver import server
from receiver.cli.advice import SERVE, WORKER
from receiver.cli.common import configured_url, load_settings, opened, shown_time
from receiver.cli.config import without_effect
from receiver.cli.imports import found_handlers
from receiver.cli.secrets import missing_elsewhere, source_keys
from receiver.errors import UserError
from receiver.http import httpx
from receiver.load import put_on_path
from receiver.queue import hint, make_broker
from receiver.schemes import Key
from receiver.settings import Settings, shown_url
from receiver.store import Store, processes, reads
from receiver.store.database import Database, database_at
from receiver.store.models import Process
from receiver.store.patterns import matches

ANSWER_S = 3.0
SKEW = timedelta(seconds=5)


@dataclass(frozen=True)
class Finding:
    """`state` is ok, warn or fail."""

    state: str
    check: str
    text: str
    fix: str = ""


def findings() -> Iterator[Finding]:
    try:
        settings = load_settings()
        put_on_path(settings.root)
        yield from _configuration(settings)
        yield from _secrets(settings)
    except UserError as error:
        yield _wrong("configuration", error)
        return
    live = yield from _store(settings)
    yield from _queue(settings)
    if live is None:
        yield Finding("warn", "processes", "not known while the store cannot be read")
    else:
        yield from _processes(settings, live)
    yield from _ports(settings, live)
    yield from _handlers(settings)


def _wrong(check: str, error: UserError, state: str = "fail") -> Finding:
    where = f" ({error.where})" if error.where else ""
    return Finding(state, check, f"{error.what}{where}", error.fix)


def _configuration(settings: Settings) -> Iterator[Finding]:
    if settings.path is None:
        yield Finding("warn", "configuration", f"no postern.toml in {settings.root}", "Type postern init")
    else:
        yield Finding("ok", "configuration", str(settings.path))
    if not settings.sources:
        yield Finding("warn", "configuration", "no source is configured", "Add [sources.NAME] to postern.toml")
    for warning in without_effect(settings):
        yield Finding("warn", "configuration", warning)


def _secrets(settings: Settings) -> Iterator[Finding]:
    """A source's stops `serve`; an api's only parks the runs that need it."""
    for name in settings.sources:
        for _, found in source_keys(name, settings):
            if isinstance(found, UserError):
                yield _wrong("secrets", found)
            else:
                yield _key(name, found)
    for error in missing_elsewhere(settings):
        yield _wrong("secrets", error, "warn")


def _key(source: str, key: Key) -> Finding:
    if key.not_after is None or key.not_after > time.time():
        return Finding("ok", "secrets", f"{source}: {key.shown}")
    ended = shown_time(datetime.fromtimestamp(key.not_after, UTC))
    return Finding("warn", "secrets", f"{source}: {key.shown} verifies nothing since {ended}", "Take it out")


# ── the store ──


def _store(settings: Settings) -> Generator[Finding, None, list[Process] | None]:
    """The live processes, if they can be read."""
    live = None
    try:
        database = database_at(settings.store.url)
        if database.made_by_serve and database.revision() is None:
            yield _no_store(database)
            return []
        with opened(settings) as store:
            live = _live(store)
            store.write_from_thread(processes.prove_writable)
            yield Finding("ok", "store", f"{database.shown} can be read and written")
            yield from _clock(store)
    except UserError as error:
        yield _wrong("store", error)
    return live


def _no_store(database: Database) -> Finding:
    folder = Path(database.shown).parent
    if os.access(folder, os.W_OK):
        return Finding("warn", "store", f"there is none yet at {database.shown}", "Type postern serve: it makes one")
    return Finding("fail", "store", f"{folder} is no folder that can be written", "Make it, or change [store] url")


def _live(store: Store) -> list[Process]:
    with store.reading() as session:
        return reads.processes(session)


def _clock(store: Store) -> Iterator[Finding]:
    with store.reading() as session:
        newest = reads.newest(session)
    now = datetime.now(UTC)
    if newest is not None and newest > now + SKEW:
        text = f"it is {shown_time(now)} here, and the store holds something of {shown_time(newest)}"
        yield Finding("fail", "clock", text, "Put the clock right: signatures and retries depend on it")
    else:
        yield Finding("ok", "clock", f"it is {shown_time(now)}, and the store holds nothing later")


def _queue(settings: Settings) -> Iterator[Finding]:
    """Sends a hint: it says only that there may be work. Without a broker all goes on, but slower."""
    if not settings.queue.has_broker:
        return
    url = shown_url(settings.queue.url)
    try:
        broker = make_broker(settings.queue.url)
        broker.enqueue(hint())
        broker.close()
    except UserError as error:
        yield _wrong("queue", error)
    except Exception as error:
        text = f"{url} takes no hint ({_reason(error, settings.queue.url)})"
        text += ": work waits up to a second until it is found"
        yield Finding("warn", "queue", text, "Start it, or put [queue] url right")
    else:
        yield Finding("ok", "queue", f"{url} takes hints")


def _reason(error: Exception, url: str) -> str:
    """The first line of an error's text, which may quote the address or a part of it: without the password."""
    said = shown_url(str(error).partition("\n")[0]).strip()
    password = urlsplit(url).password
    for secret in filter(None, (password, unquote(password or ""))):
        said = said.replace(secret, "…")
    return said or type(error).__name__


# ── who is alive ──


def _processes(settings: Settings, live: Sequence[Process]) -> Iterator[Finding]:
    work = WORKER if settings.queue.has_broker else SERVE
    for role, command in (("receiver", SERVE), ("worker", work)):
        if not any(process.role == role for process in live):
            yield Finding("warn", role, "none is running", f"Type {command}")
    for process in live:
        who = f"process {process.pid} on {process.host}"
        if process.role == "receiver":
            yield _receiver(process, who)
            if process.trouble:
                text = f"{who} goes on with its old configuration: {process.trouble}"
                yield Finding("fail", "receiver", text, f"Mend it, and type kill -HUP {process.pid} there")
        elif process.trouble:
            yield Finding("fail", "worker", f"{who} does nothing: {process.trouble}", f"Mend it, and restart {work}")
        else:
            yield Finding("ok", "worker", f"{who} works")


def _receiver(process: Process, who: str) -> Finding:
    if process.host != socket.gethostname() or process.url is None:
        return Finding("ok", "receiver", f"{who} gave a sign of life at {shown_time(process.seen_at)}")
    try:
        # Never through a proxy: it is this machine.
        answer = httpx.get(f"{process.url}/readyz", timeout=ANSWER_S, trust_env=False)
    except httpx.HTTPError as error:
        text = f"{who} does not answer at {process.url}: {type(error).__name__}"
        return Finding("fail", "receiver", text, "Restart postern serve")
    if answer.is_success:
        return Finding("ok", "receiver", f"{who} is ready at {process.url}")
    return Finding("fail", "receiver", f"{who} is not ready at {process.url}: {answer.text}", "Look at its log")


def _ports(settings: Settings, live: Sequence[Process] | None) -> Iterator[Finding]:
    for port in filter(None, (settings.server.port, settings.server.admin_port)):
        try:
            server.bind(settings.server.host, port).close()
        except UserError as error:
            is_ours = _answers(settings) if live is None else _is_ours(port, settings, live)
            yield Finding("ok", "port", f"{port} is our own receiver's") if is_ours else _wrong("port", error)
        else:
            yield Finding("ok", "port", f"{port} is free")


def _is_ours(port: int, settings: Settings, live: Sequence[Process]) -> bool:
    ours = [process for process in live if process.role == "receiver" and process.host == socket.gethostname()]
    if port != settings.server.port:
        return bool(ours)
    return any(urlsplit(process.url).port == port for process in ours if process.url)


def _answers(settings: Settings) -> bool:
    """Whether a Postern answers at the configured address, whatever the store knows."""
    try:
        answer = httpx.get(f"{configured_url(settings)}/healthz", timeout=ANSWER_S, trust_env=False)
        return bool(answer.json() == {"status": "alive"})
    except (httpx.HTTPError, ValueError):
        return False


# ── handlers ──


def _handlers(settings: Settings) -> Iterator[Finding]:
    if not settings.handlers.modules:
        text = "no module is configured: every event will be unhandled"
        yield Finding("warn", "handlers", text, 'Write modules = ["webhooks"] under [handlers]')
        return
    try:
        found = found_handlers(settings)
    except UserError as error:
        yield _wrong("handlers", error)
        return
    names = ", ".join(handler.name for handler in found)
    yield Finding("ok" if found else "warn", "handlers", f"{', '.join(settings.handlers.modules)}: {names or 'none'}")
    for handler in found:
        for source, _ in handler.routes:
            if not any(matches(source, name) for name in settings.sources):
                text = f"{handler.name} asks for the source {source!r}, which is not configured ({handler.place})"
                yield Finding("warn", "handlers", text, f"Add [sources.{source}], or name another in @on")
