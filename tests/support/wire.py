"""HTTP by hand: exact bytes out, answers in. For what no client library would send or show."""

import json
import select
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

Headers = Iterable[tuple[str, str]]


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """Of a problem; its media type is checked on the way."""
        assert self.headers["content-type"] == "application/problem+json", self
        problem = self.json()
        assert problem["status"] == self.status, self
        code: str = problem["code"]
        return code

    @property
    def closes(self) -> bool:
        return self.headers.get("connection") == "close"


class Wire:
    """One connection."""

    def __init__(self, port: int, timeout_s: float = 15.0) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout_s)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._read = self._socket.makefile("rb")

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def may_send(self, within_s: float = 1.0) -> bool:
        """Whether the other side takes more in that time."""
        return bool(select.select([], [self._socket], [], within_s)[1])

    def half_close(self) -> None:
        self._socket.shutdown(socket.SHUT_WR)

    def answer(self, *, head: bool = False) -> Answer:
        """The next answer; `head` where it has headers only. Errors: EOFError where the connection ended instead."""
        line = self._read.readline()
        if not line:
            raise EOFError("the connection was closed without an answer")
        headers = dict(self._headers())
        length = 0 if head else int(headers.get("content-length", 0))
        return Answer(int(line.split()[1]), headers, self._read.read(length))

    def _headers(self) -> Iterator[tuple[str, str]]:
        while (line := self._read.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode("latin-1").partition(":")
            yield name.lower(), value.strip()

    def has_answer(self) -> bool:
        """Whether something has come, or the connection has ended."""
        return bool(select.select([self._socket], [], [], 0)[0])

    def ended(self) -> bool:
        """Waits for what comes next: True if it is the end of the connection."""
        try:
            return self._read.read(1) == b""
        except ConnectionResetError:
            return True

    def close(self) -> None:
        self._read.close()
        self._socket.close()


@contextmanager
def wire(port: int, timeout_s: float = 15.0) -> Iterator[Wire]:
    connection = Wire(port, timeout_s)
    try:
        yield connection
    finally:
        connection.close()


def request(path: str, body: bytes = b"", headers: Headers = (), *, method: str = "POST") -> bytes:
    """A well-formed request's bytes."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *(f"{name}: {value}" for name, value in headers)]
    if body or method == "POST":
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def ask(port: int, data: bytes, *, head: bool = False) -> Answer:
    """One request on a connection of its own."""
    with wire(port) as connection:
        connection.send(data)
        return connection.answer(head=head)


def get(port: int, path: str, headers: Headers = ()) -> Answer:
    return ask(port, request(path, headers=headers, method="GET"))


def post(port: int, path: str, body: bytes, headers: Headers = ()) -> Answer:
    return ask(port, request(path, body, headers))
