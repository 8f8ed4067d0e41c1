"""Crowds that never finish what they began are given up, and nobody else notices them. With the real deadlines."""

import asyncio
import resource
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import cycle, islice
from pathlib import Path

import pytest

from receiver.server import SPARE_FILES
from tests.support import sender
from tests.support.inside import PATH, STRIPE
from tests.support.postern import Postern, serving, write_project
from tests.support.rows import count
from tests.support.until import until
from tests.support.wire import ask, get, request, wire

SLOW = GOOD = 200
CLOSED_S = 15.0
FILES = 500
HEAD = b"POST /webhooks/stripe HTTP/1.1\r\nHost: localhost\r\n"
BEGINNINGS = [
    b"",
    b"POST /webh",
    HEAD + b"X-A: 1\r\n",
    HEAD + b"Content-Length: 1000\r\n\r\n",
    HEAD + b"Content-Length: 1000\r\n\r\n{",
    HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhe",
    HEAD + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    b"POST /nope HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n",
]


@pytest.fixture
def postern(tmp_path: Path) -> Iterator[Postern]:
    write_project(tmp_path, STRIPE)
    with serving(tmp_path) as it:
        yield it


def test_two_hundred_slow_senders_are_closed_and_two_hundred_good_ones_served(postern: Postern) -> None:
    statuses, lasted_s = asyncio.run(crowds(postern.port))
    assert statuses == [200] * GOOD
    assert count(postern.store, "event") == GOOD
    assert max(lasted_s) < CLOSED_S
    assert [line for line in postern.lines() if line["level"] == "error"] == []


def test_with_few_files_there_are_few_connections_and_the_others_are_told_to_come_again(tmp_path: Path) -> None:
    write_project(tmp_path, STRIPE)
    with serving(tmp_path, before_exec=few_files) as postern:
        port = postern.port
        with ExitStack() as stack:
            for _ in range(FILES - SPARE_FILES + 10):
                stack.enter_context(wire(port)).send(HEAD)
            answer = ask(port, request("/healthz", method="GET"))
            assert (answer.status, answer.code) == (503, "overloaded")
            for _ in range(FILES):
                stack.enter_context(wire(port))
        until(lambda: get(port, "/readyz").status == 200, what="room")
        assert [line for line in postern.lines() if line["level"] == "error"] == []


def few_files() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES - 50, FILES))


async def crowds(port: int) -> tuple[list[int], list[float]]:
    beginnings = islice(cycle(BEGINNINGS), SLOW)
    half_open = [asyncio.create_task(slow(port, one, number % 2 == 0)) for number, one in enumerate(beginnings)]
    await asyncio.sleep(0)
    statuses = await asyncio.gather(*(good(port, number) for number in range(GOOD)))
    assert not all(one.done() for one in half_open)
    return list(statuses), list(await asyncio.gather(*half_open))


async def slow(port: int, beginning: bytes, trickles: bool) -> float:
    """How long it took until the other side hung up; `trickles`: a byte a second goes on."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    started = time.monotonic()
    writer.write(beginning)
    try:
        while True:
            try:
                async with asyncio.timeout(1):
                    if not await reader.read(1000):
                        break
            except TimeoutError:
                if trickles:
                    writer.write(b"x")
    except ConnectionError:
        pass
    writer.close()
    return time.monotonic() - started


async def good(port: int, number: int) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = sender.stripe_event(f"evt_good_{number}")
    writer.write(request(PATH, body, sender.stripe(body)))
    status = int((await reader.readuntil(b"\r\n\r\n")).split()[1])
    writer.close()
    return status
