"""The upstream that handlers call: answers every POST at once, and counts the idempotency keys it saw.

`python -m tests.benchmarks.upstream PORT`. `GET` anything gives the counts and begins anew.
"""

import asyncio
import http.client
import json
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.programs import Program, running, wait_until_serving
from tests.benchmarks.servers import free_port

KEY = b"\r\nidempotency-key:"
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
_BOOKED = _ANSWER % (13, b'{"booked": 1}')


@dataclass(frozen=True)
class Upstream:
    program: Program
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def counted(self) -> tuple[int, int]:
        """Calls and distinct keys since the last time."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("GET", "/")
        calls, keys = json.loads(connection.getresponse().read())
        connection.close()
        return calls, keys


@contextmanager
def upstream(folder: Path) -> Iterator[Upstream]:
    port, log = free_port(), folder / "upstream.log"
    with running(["-m", "tests.benchmarks.upstream", str(port)], log, {}) as program:
        wait_until_serving(program, port, log)
        yield Upstream(program, port)


class Exchange(asyncio.Protocol):
    """Its clients are ours: one request at a time, with a length."""

    def __init__(self, keys: "Counter[bytes]") -> None:
        self._keys = keys
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator:
            return
        low = head.lower()
        if len(body) >= int(_header(low, b"\r\ncontent-length:") or 0):
            self._received = b""
            self._transport.write(self._answer(low))

    def _answer(self, head: bytes) -> bytes:
        if head.startswith(b"post"):
            self._keys[_header(head, KEY)] += 1
            return _BOOKED
        counted = json.dumps([self._keys.total(), len(self._keys)]).encode()
        self._keys.clear()
        return _ANSWER % (len(counted), counted)


def _header(head: bytes, name: bytes) -> bytes:
    return head.partition(name)[2].partition(b"\r\n")[0].strip()


async def main(port: int) -> None:
    keys: Counter[bytes] = Counter()
    server = await asyncio.get_running_loop().create_server(lambda: Exchange(keys), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
