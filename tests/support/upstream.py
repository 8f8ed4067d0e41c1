"""A small real upstream for handlers to call. It honours idempotency keys, and remembers what it did."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Call:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def key(self) -> str | None:
        return self.headers.get("idempotency-key")


Answering = Callable[[Call], tuple[int, Any]]


@dataclass
class Upstream:
    port: int
    calls: list[Call] = field(default_factory=list)
    """Everything that came, in order."""
    effects: list[Call] = field(default_factory=list)
    """What took effect: each idempotency key once."""
    answers: dict[str, tuple[int, Any]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def accept(call: Call) -> tuple[int, Any]:
    return 201, {"id": "entry_1"}


@contextmanager
def upstream(answering: Answering = accept) -> Iterator[Upstream]:
    """Serve on a free port. `answering` gives status and JSON body; only a 2xx is an effect and is remembered."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            with lock:
                status, content = self.take(Call(self.command, self.path, headers, body))
            text = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def take(self, call: Call) -> tuple[int, Any]:
            known.calls.append(call)
            if call.key in known.answers:
                return known.answers[call.key]
            answer = answering(call)
            if 200 <= answer[0] < 300:
                known.effects.append(call)
                if call.key is not None:
                    known.answers[call.key] = answer
            return answer

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815

        def log_message(self, *arguments: Any) -> None:
            """Not on the terminal."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *arguments: Any) -> None:
            """A caller that was killed is part of the game."""

    with Server(("127.0.0.1", 0), Handler) as server:
        known = Upstream(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield known
        finally:
            server.shutdown()
            thread.join()
