"""The task: an event by its id, claimed, handled, done. Once for threads and processes, once for event loops.

What a task is told stands in variables, because each library starts its processes in its own way. The HTTP clients are
the quickest there are for Python, so that what is measured is the queue: the standard library's own, and aiohttp.
"""

import functools
import http.client
import json
import os
import struct
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp

from tests.benchmarks.peers.ledger import AsyncLedger, Ledger, ledger

STORE = "BENCHMARK_STORE"
BROKER = "BENCHMARK_BROKER"
HANDLER = "BENCHMARK_HANDLER"
UPSTREAM = "BENCHMARK_UPSTREAM"
BARE = "BENCHMARK_BARE"
ENTRIES = "/entries"
MOMENT = struct.Struct("d")


@dataclass(frozen=True)
class Told:
    """`bare` is a file: the task leaves SQL out, and only notes there that it was done."""

    store: str
    broker: str
    calls: bool
    upstream: str
    bare: str

    @classmethod
    def now(cls) -> "Told":
        said = os.environ
        return cls(said[STORE], said[BROKER], said[HANDLER] == "call", said[UPSTREAM], said.get(BARE, ""))


told = Told.now() if STORE in os.environ else Told("", "", False, "", "")


def moments(file: Path) -> list[float]:
    """When each bare task was done."""
    return [moment for (moment,) in MOMENT.iter_unpack(file.read_bytes())] if file.exists() else []


def _request(body: bytes) -> bytes:
    entry = json.loads(body)["data"]["object"]
    return json.dumps({"ref": entry["id"], "cents": entry["amount"]}).encode()


def _headers(key: str) -> dict[str, str]:
    return {"Content-Type": "application/json", "Idempotency-Key": key}


def _key(number: int) -> str:
    return f"event-{number}-book"


# ── threads and processes; everything is opened late, after the library has forked ──


@functools.cache
def _ledger() -> Ledger:
    return ledger(told.store)


_of_thread = threading.local()


def _post(request: bytes, key: str) -> tuple[int, bytes]:
    """Over a connection of this thread that is kept."""
    connection: http.client.HTTPConnection | None = getattr(_of_thread, "connection", None)
    if connection is None:
        connection = _of_thread.connection = http.client.HTTPConnection(urlsplit(told.upstream).netloc)
    connection.request("POST", ENTRIES, request, _headers(key))
    answer = connection.getresponse()
    return answer.status, answer.read()


def work(number: int) -> None:
    if told.bare:
        return _bare(number)
    book = _ledger()
    body = book.claim(number)
    if body is None:
        return
    if told.calls:
        request, key = _request(body), _key(number)
        book.intend(number, key, request)
        book.conclude(number, key, *_post(request, key))
    else:
        json.loads(body)
        book.done(number)


def _bare(number: int) -> None:
    if told.calls:
        _post(b"{}", _key(number))
    _note()


@functools.cache
def _notes() -> int:
    return os.open(told.bare, os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def _note() -> None:
    os.write(_notes(), MOMENT.pack(time.time()))


# ── event loops ──


@functools.cache
def _async_ledger(claimed_by_queue: bool) -> AsyncLedger:
    return AsyncLedger(told.store, claimed_by_queue=claimed_by_queue)


@functools.cache
def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(told.upstream)


async def _post_async(request: bytes, key: str) -> tuple[int, bytes]:
    async with _session().post(ENTRIES, data=request, headers=_headers(key)) as answer:
        return answer.status, await answer.read()


async def work_async(number: int, *, claimed_by_queue: bool = False) -> None:
    if told.bare:
        return await _bare_async(number)
    book = _async_ledger(claimed_by_queue)
    body = await book.claim(number)
    if body is None:
        return
    if told.calls:
        request, key = _request(body), _key(number)
        await book.intend(number, key, request)
        await book.conclude(number, key, *await _post_async(request, key))
    else:
        json.loads(body)
        await book.done(number)


async def _bare_async(number: int) -> None:
    if told.calls:
        await _post_async(b"{}", _key(number))
    _note()
