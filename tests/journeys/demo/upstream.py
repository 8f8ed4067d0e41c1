"""A stand-in for the APIs that handlers call. A call repeated under its idempotency key has no further effect."""

import json
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Any, Self


class Upstream:
    """Listens while entered. `effects`, and calls `repeated` after they took effect, are counted for each event."""

    def __init__(self) -> None:
        self.effects: Counter[str] = Counter()
        self.repeated: Counter[str] = Counter()
        self._failures: Counter[str] = Counter()
        self._cut_off: dict[str, CutOff] = {}
        self._answers: dict[str, bytes] = {}
        self._lock = Lock()
        self._server = _Server(self)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for cut_off in self._cut_off.values():
            cut_off.go_on.set()
        self._server.shutdown()
        self._server.server_close()

    def fail(self, path: str, times: int) -> None:
        """Answer 500, without an effect, so many times."""
        self._failures[path] = times

    def cut_off(self, path: str) -> "CutOff":
        """The first call of this path takes effect and gets no answer."""
        return self._cut_off.setdefault(path, CutOff())

    def take(self, path: str, event: str, key: str | None) -> tuple[int, bytes] | None:
        """The answer's status and body, or None for none."""
        with self._lock:
            if self._failures[path]:
                self._failures[path] -= 1
                return 500, b'{"error": "made to fail"}'
            answer = self._answers.get(key or "")
            if answer is None:
                answer = self._take_effect(event, key)
            else:
                self.repeated[event] += 1
        cut_off = self._cut_off.get(path)
        if cut_off is None or cut_off.reached.is_set():
            return 200, answer
        cut_off.reached.set()
        cut_off.go_on.wait()
        return None

    def _take_effect(self, event: str, key: str | None) -> bytes:
        self.effects[event] += 1
        answer = json.dumps({"ok": True, "id": f"{event}-{self.effects[event]}"}).encode()
        if key:
            self._answers[key] = answer
        return answer


class CutOff:
    """`reached`: the call is here and has taken effect. It hangs until `go_on`, then its connection is closed."""

    def __init__(self) -> None:
        self.reached = Event()
        self.go_on = Event()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, upstream: Upstream) -> None:
        super().__init__(("127.0.0.1", 0), _Call)
        self.upstream = upstream

    def handle_error(self, request: Any, client_address: Any) -> None:
        """The caller was killed: that is the point."""


class _Call(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        event = self.headers.get("X-Correlation-Id", "")
        taken = self.server.upstream.take(self.path, event, self.headers.get("Idempotency-Key"))
        if taken is None:
            self.close_connection = True
            return
        status, body = taken
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_DELETE(self) -> None:
        self.do_POST()

    def log_message(self, format: str, *args: Any) -> None:
        """The demo's own output is enough."""
