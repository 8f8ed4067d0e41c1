"""The upstream that handlers call: a real HTTP server in the harness's process, which outlives the services.

It has two ports: `ledger` honours Idempotency-Key as a real one does (same key: the recorded answer, and no second
effect; 409 while the first copy is still at work), `plain` knows no keys. What took effect is counted by call.
"""

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any, NamedTuple
from urllib.parse import unquote

from tests.chaos.faults import Fault, Faults
from tests.chaos.wire import ABORTED, Message, cut, free_port, message, read_message

SILENCE_S = 1.5  # longer than the service waits for an answer
SLOW_S = 0.4  # and this is shorter
LISTEN_TRIES = 100


class Call(NamedTuple):
    """What a request says it does, in its body."""

    event: str
    handler: str
    step: str


@dataclass(slots=True)
class Taken:
    """What the ledger remembers of a key."""

    said: tuple[str, bytes]
    answer: bytes | None = None
    busy: bool = False
    """A copy is at work."""


Price = Callable[[str], Awaitable[tuple[int, Any]]]


async def steady_price(asker: str) -> tuple[int, Any]:
    return 200, {"price": 7}


async def go_on(count: int) -> int | None:
    return None


@dataclass
class Upstream:
    faults: Faults
    price: Price = steady_price
    """Answers `GET /price`, to which no key and no fault belongs."""
    before_effect: Callable[[int], Awaitable[int | None]] = go_on
    """Awaited at a call's count-th request; the status to refuse it with, if it is to be refused."""
    after_effect: Callable[[int], Awaitable[int | None]] = go_on
    """Awaited before the count-th request is answered."""
    ledger_port: int = field(default_factory=free_port)
    plain_port: int = field(default_factory=free_port)
    effects: Counter[Call] = field(default_factory=Counter)
    requests: Counter[Call] = field(default_factory=Counter)
    keys: defaultdict[Call, set[str]] = field(default_factory=lambda: defaultdict(set))
    faced: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    """What no client may ever send."""

    def __post_init__(self) -> None:
        self._numbers = count()
        self._taken: dict[str, Taken] = {}
        self._listening: dict[int, asyncio.Server] = {}
        self._connections: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "Upstream":
        for port in (self.ledger_port, self.plain_port):
            await self._listen(port)
        return self

    async def __aexit__(self, *error: object) -> None:
        for server in self._listening.values():
            server.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def refuse_for(self, seconds: float) -> None:
        """Nobody listens: connections are refused."""
        for server in self._listening.values():
            server.close()
        try:
            await asyncio.sleep(seconds)
        finally:
            for port in list(self._listening):
                await self._listen(port)

    async def _listen(self, port: int) -> None:
        for tries_left in reversed(range(LISTEN_TRIES)):
            try:
                self._listening[port] = await asyncio.start_server(self._serve, "127.0.0.1", port)
                return
            except OSError:
                if not tries_left:
                    raise
                await asyncio.sleep(0.05)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        keyed = writer.get_extra_info("sockname")[1] == self.ledger_port
        try:
            while True:
                await self._answer(await read_message(reader), writer, keyed=keyed)
                await writer.drain()
        except ABORTED:
            cut(writer)
        except asyncio.CancelledError:  # the harness ends; a raised one would be logged
            cut(writer)
        finally:
            self._connections.discard(task)

    async def _answer(self, request: Message, writer: asyncio.StreamWriter, *, keyed: bool) -> None:
        method, target, _ = request.first.split()
        if method == "GET":
            status, content = await self.price(unquote(target.rpartition("=")[2]))
            writer.write(_response(status, content))
            return
        said = request.json()
        call = Call(said["event"], said["handler"], said["step"])
        number = self.requests[call]
        fault = self.faults.of("/".join(call), number)
        self.requests[call] += 1
        self.faced[fault] += 1
        taken = self._taken_before(call, request, keyed=keyed)
        if refusal := await self.before_effect(number):
            writer.write(_response(refusal, {"error": "refused"}))
        elif await self._failed_before(fault, writer):
            pass
        elif taken.busy:
            writer.write(_response(409, {"error": "the first request with this key is still at work"}))
        else:
            await self._take(call, taken, fault, number, writer)

    async def _take(self, call: Call, taken: Taken, fault: Fault, number: int, writer: asyncio.StreamWriter) -> None:
        taken.busy = True
        try:
            if fault is Fault.LATE:
                await asyncio.sleep(SILENCE_S)
            taken.answer = taken.answer or self._effect(call)
            await self.after_effect(number)
            await self._fail_after(fault, taken.answer, writer)
        finally:
            taken.busy = False

    def _taken_before(self, call: Call, request: Message, *, keyed: bool) -> Taken:
        """What is known of the request's key; without one nothing is."""
        self._check_key(call, request, keyed=keyed)
        said = Taken((request.first, request.body))
        key = request.headers.get("idempotency-key")
        taken = self._taken.setdefault(key, said) if key else said
        if taken.said != said.said:
            self.wrong.append(f"{call}: the key {key} came again with other bytes: {taken.said} and {said.said}")
        return taken

    def _check_key(self, call: Call, request: Message, *, keyed: bool) -> None:
        key = request.headers.get("idempotency-key")
        if keyed and not key:
            self.wrong.append(f"{call} came to the ledger without a key")
        if not keyed and key:
            self.wrong.append(f"{call} came with a key to an upstream that takes none")
        if key:
            self.keys[call].add(key)

    async def _failed_before(self, fault: Fault, writer: asyncio.StreamWriter) -> bool:
        match fault:
            case Fault.UNAVAILABLE:
                writer.write(_response(503, {"error": "come back later"}))
            case Fault.BUSY:
                writer.write(_response(429, {"error": "not so fast"}, ("Retry-After", "1")))
            case Fault.RESET_BEFORE:
                raise ConnectionResetError
            case _:
                return False
        return True

    async def _fail_after(self, fault: Fault, answer: bytes, writer: asyncio.StreamWriter) -> None:
        """Answer, or do not: the effect is there."""
        match fault:
            case Fault.ERROR_AFTER:
                writer.write(_response(500, {"error": "something broke afterwards"}))
            case Fault.RESET_AFTER:
                raise ConnectionResetError
            case Fault.SILENT:
                await asyncio.sleep(SILENCE_S)
                raise ConnectionResetError
            case Fault.HALF:
                writer.write(answer[: len(answer) - 9])
                with suppress(OSError):
                    await writer.drain()
                raise ConnectionResetError
            case Fault.SLOW:
                await asyncio.sleep(SLOW_S)
                writer.write(answer)
            case _:
                writer.write(answer)

    def _effect(self, call: Call) -> bytes:
        self.effects[call] += 1
        return _response(200, {"step": call.step, "effect": f"{call.handler}-{next(self._numbers)}"})


def _response(status: int, content: Any, *headers: tuple[str, str]) -> bytes:
    return message(
        f"HTTP/1.1 {status} .", [("Content-Type", "application/json"), *headers], json.dumps(content).encode()
    )
