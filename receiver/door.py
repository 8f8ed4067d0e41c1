"""A delivery at its connection: how its body comes in and how its answer leaves, without ASGI.

An ASGI request costs a scope, a cycle, a task and four awaited messages, which is more than to verify and to identify
it. So deliveries are taken at the protocol, by plain calls: the parser's callbacks gather the body, intake takes what
is whole, the store tells later what became of it, and the answer is one write. To uvicorn an `Exchange` looks like one
of its own cycles and one of its own tasks: that is how it waits for those under way while it drains, and cuts them
short at the end of its grace. What is accepted, and why not, is decided in `ingest.py`; everything that is no delivery
goes the ASGI way (`connection.py`).
"""

import asyncio
from typing import Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from receiver.delivery import Answer, Delivery
from receiver.ingest import Intake
from receiver.problems import CLOSES, Problem
from receiver.store.intake import Recorded

LINGER_S: Final = 1.0  # for what a refused sender is still sending: closed at once, it would see a reset and no answer
Lines = list[tuple[bytes, bytes]]


class Door:
    """What all exchanges of a server share."""

    def __init__(self, intake: Intake) -> None:
        self.intake = intake
        self.limits = intake.limits
        self.reading_bytes = 0
        self._shared: tuple[Lines, bytes] = ([], b"")

    def shared_head(self, lines: Lines) -> bytes:
        """The header lines of every answer: uvicorn makes a new list of them each second, for the date."""
        if lines is not self._shared[0]:
            self._shared = lines, b"".join([b"%b: %b\r\n" % line for line in lines])
        return self._shared[1]


class Exchange(Delivery):
    """A delivery and its answer."""

    __slots__ = ("_answered", "_connection", "_counted", "_door", "_timer", "_turn", "keep_alive", "response_complete")

    def __init__(
        self, door: Door, connection: HttpToolsProtocol, name: str, scheme: str, raw_path: bytes, query: bytes,
        *, keep_alive: bool,
    ) -> None:  # fmt: skip
        super().__init__(name, connection.parser.get_method(), scheme, raw_path, query, connection.headers)
        self.keep_alive = keep_alive
        self.response_complete = False
        self._door = door
        self._connection = connection
        self._turn = False
        self._answered = False
        self._counted = 0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def more_body(self) -> bool:
        return not self.whole

    @property
    def response_started(self) -> bool:
        return self._answered

    # ── coming in ──

    def begin(self) -> None:
        """Its turn has come: what was asked before it on this connection has been answered."""
        self._turn = True
        self._connection.tasks.add(self)  # type: ignore[arg-type]  # uvicorn waits for it and may cancel it

    def feed(self, part: bytes) -> None:
        if self._answered:
            return
        if not self.body:
            self.body = part  # mostly the whole of it
        else:
            if isinstance(self.body, bytes):
                self.body = bytearray(self.body)
            self.body += part

    def end(self) -> None:
        self.whole = True
        if self._answered:
            self._complete()
        else:
            self.go_on()

    def go_on(self) -> None:
        """As far as it gets with what has come."""
        if not self._turn or self._answered:
            return
        if self.whole:
            if self._timer is not None:
                self._release()
            self._door.intake.take(self)
            return
        try:
            self._await_more()
        except Exception as error:
            self.set_exception(error)

    def _await_more(self) -> None:
        door = self._door
        door.intake.admit(self)
        door.reading_bytes += len(self.body) - self._counted
        self._counted = len(self.body)
        if door.reading_bytes > door.limits.reading_bytes:
            raise Problem(503, "overloaded", "too much is being received at once")
        if self._timer is None:
            self._timer = self._connection.loop.call_later(door.limits.body_s, self.set_exception, TimeoutError())
            expects = self.headers.first.get(b"expect", b"").lower() == b"100-continue"
            if expects and self._connection.parser.get_http_version() != "1.0":
                self._connection.transport.write(STATUS_LINE[100] + b"\r\n")

    def _release(self) -> None:
        self._door.reading_bytes -= self._counted
        self._counted = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def lost(self) -> None:
        """Nobody is there to be answered. What the store already has is recorded and counted all the same."""
        if not self.whole:
            self._answered = True
            self._finish()

    # ── what became of it ──

    def done(self) -> bool:
        return self._answered

    def set_result(self, recorded: list[Recorded]) -> None:
        self.recorded = recorded
        self._door.intake.stored(self)

    def set_exception(self, error: BaseException) -> None:
        self._release()
        self.answer(self._door.intake.refuse(self, error))

    def cancel(self, msg: str | None = None) -> None:
        """uvicorn's grace is over."""
        self._connection.loop.call_soon(self._cut_short)  # not now: it walks through the set that this is in

    def _cut_short(self) -> None:
        if not self._answered:
            self.set_exception(asyncio.CancelledError())

    # ── going out ──

    def answer(self, answer: Answer) -> None:
        self._answered = True
        status, head, body = answer
        if not self.whole or status in CLOSES:
            self.keep_alive = False
        connection = self._connection
        if not connection.transport.is_closing():
            shared = self._door.shared_head(connection.server_state.default_headers)
            close = b"" if self.keep_alive else b"connection: close\r\n"
            shown = b"" if self.method == b"HEAD" else body
            length = b"content-length: %d\r\n" % len(body) if status != 204 else b""  # RFC 9110 8.6
            connection.transport.write(b"%b%b%b%b%b\r\n%b" % (STATUS_LINE[status], shared, head, length, close, shown))
        if self.whole:
            self._complete()
        else:
            self._timer = connection.loop.call_later(LINGER_S, self._complete)

    def _complete(self) -> None:
        self._finish()
        if not self.keep_alive:
            self._connection.transport.close()
        self._connection.on_response_complete()

    def _finish(self) -> None:
        if self._timer is not None:
            self._release()
        self.response_complete = True
        self._connection.tasks.discard(self)
