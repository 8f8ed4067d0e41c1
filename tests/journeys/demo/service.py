"""`postern serve` as a process of its own: started, waited for, killed, stopped. Only ever this one child."""

import subprocess
import sys
import time
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import TracebackType
from typing import Self

from receiver.settings import Settings
from tests.journeys.demo.project import Trouble, environment

ROOT = Path(__file__).parents[3]
START_S = 30
STOP_S = 15
LOOK_S = 0.05


class Service:
    """Runs from `start` to `kill`, and from the next `start` until it is left."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._log = settings.root / "serve.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://{self._settings.server.host}:{self._settings.server.port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def start(self) -> int:
        """The process's number, once it answers that it is ready."""
        command = [sys.executable, "-m", "receiver", "--config", str(self._settings.path), "serve"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=environment(self._settings.root), stdin=subprocess.DEVNULL,
                stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip
        give_up_at = time.monotonic() + START_S
        while not self._ready():
            if self._process.poll() is not None or time.monotonic() > give_up_at:
                last = self._log.read_text(errors="replace").splitlines()[-5:]
                raise Trouble("\n".join([f"the service did not start; the end of {self._log}:", *last]))
            time.sleep(LOOK_S)
        return self._process.pid

    def kill(self) -> int:
        """`kill -9`; the number of the process that was."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        return self._process.pid

    def _ready(self) -> bool:
        connection = HTTPConnection(self._settings.server.host, self._settings.server.port, timeout=5)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()
