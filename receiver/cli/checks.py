"""What `postern doctor` looks at, from the configuration to the handlers: a generator for each check."""

import os
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from receiver import server
from receiver.cli.common import load_settings, opened, shown_time
from receiver.cli.config import without_effect
from receiver.cli.imports import found_handlers
from receiver.cli.secrets import missing_elsewhere, source_keys
from receiver.errors import UserError
from receiver.http import httpx
from receiver.load import put_on_path
from receiver.settings import Settings
from receiver.store import Store, processes, reads
from receiver.store.models import Process
from receiver.store.patterns import matches
from receiver.store.store import sqlite_path

ANSWER_S = 3.0
MEND = "Mend it, and restart postern serve"
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
    live: list[Process] = []
    yield from _store(settings, live)
    yield from _processes(live)
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
                yield Finding("ok", "secrets", f"{name}: {found.shown}")
    for error in missing_elsewhere(settings):
        yield _wrong("secrets", error, "warn")


# ── the store ──


def _store(settings: Settings, live: list[Process]) -> Iterator[Finding]:
    """The live processes are added to `live`."""
    try:
        path = Path(sqlite_path(settings.store.url))
        if not path.exists():
            yield _no_store(path)
            return
        with opened(settings) as store:
            store.write_from_thread(processes.prove_writable)
            yield Finding("ok", "store", f"{path} can be read and written")
            live += _live(store)
            yield from _clock(store)
    except UserError as error:
        yield _wrong("store", error)


def _no_store(path: Path) -> Finding:
    if os.access(path.parent, os.W_OK):
        return Finding("warn", "store", f"there is none yet at {path}", "Type postern serve: it makes one")
    return Finding("fail", "store", f"{path.parent} is no folder that can be written", "Make it, or change [store] url")


def _live(store: Store) -> list[Process]:
    with store.reading() as session:
        return reads.processes(session, datetime.now(UTC))


def _clock(store: Store) -> Iterator[Finding]:
    with store.reading() as session:
        newest = reads.newest(session)
    now = datetime.now(UTC)
    if newest is not None and newest > now + SKEW:
        text = f"it is {shown_time(now)} here, and the store holds something of {shown_time(newest)}"
        yield Finding("fail", "clock", text, "Put the clock right: signatures and retries depend on it")
    else:
        yield Finding("ok", "clock", f"it is {shown_time(now)}, and the store holds nothing later")


# ── who is alive ──


def _processes(live: Sequence[Process]) -> Iterator[Finding]:
    for role in ("receiver", "worker"):
        if not any(process.role == role for process in live):
            yield Finding("warn", role, "none is running", "Type postern serve")
    for process in live:
        who = f"process {process.pid} on {process.host}"
        if process.role == "receiver":
            yield _receiver(process, who)
        elif process.trouble:
            yield Finding("fail", "worker", f"{who} does nothing: {process.trouble}", MEND)
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


def _ports(settings: Settings, live: Sequence[Process]) -> Iterator[Finding]:
    ours = [process.pid for process in live if process.role == "receiver" and process.host == socket.gethostname()]
    urls = [process.url for process in live if process.host == socket.gethostname() and process.url]
    main = settings.server.port
    for port in filter(None, (main, settings.server.admin_port)):
        try:
            server.bind(settings.server.host, port).close()
        except UserError as error:
            is_ours = ours and (port != main or any(urlsplit(url).port == port for url in urls))
            yield Finding("ok", "port", f"{port} is our own receiver's") if is_ours else _wrong("port", error)
        else:
            yield Finding("ok", "port", f"{port} is free")


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
