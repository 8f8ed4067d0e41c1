"""`postern serve`, or `make run`, in a terminal of its own; somebody looks at it, and ends it with Ctrl-C."""

import os
import pty
import re
import signal
import subprocess
import threading
from pathlib import Path

from tests.support.until import until
from tests.support.wire import get

START_S = 60.0
LISTENING = re.compile(r"listening on http://127\.0\.0\.1:\d+.*\n")


class Server:
    def __init__(self, command: str, folder: Path, environ: dict[str, str], port: int) -> None:
        self._port = port
        self._bytes = b""
        self._screen, terminal = pty.openpty()
        self._process = subprocess.Popen(
            ["bash", "-c", f"exec {command}"],
            cwd=folder, env=environ, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True,
        )  # fmt: skip
        os.close(terminal)
        self._reading = threading.Thread(target=self._read)
        self._reading.start()

    @property
    def text(self) -> str:
        return self._bytes.decode().replace("\r\n", "\n")

    @property
    def starts(self) -> int:
        return len(LISTENING.findall(self.text))

    def wait_for_start(self, number: int) -> str:
        """Wait until it has started so often, and takes deliveries; all that it has said."""
        until(lambda: self._process.poll() is not None or self.starts >= number, START_S, f"start {number}")
        assert self._process.poll() is None, self.text
        until(self._ready, START_S, "readiness")
        return self.text

    def stop(self) -> None:
        self._process.send_signal(signal.SIGINT)
        try:
            assert self._process.wait(30) == 0, self.text
        finally:
            self._process.kill()
            self._process.wait()
            self._reading.join(10)
            os.close(self._screen)

    def _read(self) -> None:
        while part := self._next():
            self._bytes += part

    def _next(self) -> bytes:
        try:
            return os.read(self._screen, 65536)
        except OSError:  # it is no longer open on the other side
            return b""

    def _ready(self) -> bool:
        try:
            return get(self._port, "/readyz").status == 200
        except OSError:
            return False
