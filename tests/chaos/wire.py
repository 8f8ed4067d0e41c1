"""HTTP/1.1 over asyncio streams, as little as both sides of the harness need: whole messages with a Content-Length."""

import asyncio
import json
import random
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

ABORTED = (OSError, asyncio.IncompleteReadError)
"""What reading or writing raises once the other side is gone."""


@dataclass(frozen=True, slots=True)
class Message:
    """`first` is the request line or the status line; header names are in lower case."""

    first: str
    headers: dict[str, str]
    body: bytes

    @property
    def status(self) -> int:
        return int(self.first.split()[1])

    def json(self) -> Any:
        return json.loads(self.body)


async def read_message(reader: asyncio.StreamReader) -> Message:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Message(first, headers, await reader.readexactly(int(headers.get("content-length", 0))))


def message(first: str, headers: Iterable[tuple[str, str]], body: bytes) -> bytes:
    lines = [first, *(f"{name}: {value}" for name, value in headers), f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def cut(writer: asyncio.StreamWriter) -> None:
    """End the connection with a reset instead of a goodbye."""
    connection = writer.get_extra_info("socket")
    if connection is not None and connection.fileno() >= 0:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def free_port() -> int:
    """Below the range from which the kernel picks ports of its own.

    While the service is down its clients knock on, and a client whose own port happened to be the one it knocks at
    would be connected to itself, and keep the service from coming back.
    """
    while True:
        port = random.randrange(15000, 32000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
