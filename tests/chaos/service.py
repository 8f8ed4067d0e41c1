"""One service under test: a child process of ours, signalled only by the Popen that started it, and its log."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.project import Project
from tests.chaos.wire import ABORTED, free_port, message, read_message

REPOSITORY = Path(__file__).parents[2]
READY_S = 30.0
STOP_S = 12.0
LOOK_S = 0.02


class Broken(Exception):
    """The service did not do what it must at any time: start, answer, stop."""


@dataclass
class Service:
    project: Project
    module: tuple[str, ...] = ("receiver",)
    """What stands after `python -m`; `serve --port N` follows."""
    name: str = "service"
    port: int = field(default_factory=free_port)
    starts: int = 0
    started_at: float = 0.0
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        assert self.process is None, "it runs"
        self.starts += 1
        self.started_at = time.time()
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("POSTERN_")}
        with (self.project.folder / f"{self.name}-{self.starts:03}.log").open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *self.module, "serve", "--port", str(self.port)],
                cwd=REPOSITORY,
                env=inherited | self.project.environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    async def ready(self) -> None:
        """Wait until it answers."""
        give_up_at = time.monotonic() + READY_S
        while not await self._is_ready():
            if self._running().poll() is not None:
                raise Broken(f"the service ended by itself: exit code {self._running().returncode}")
            if time.monotonic() > give_up_at:
                raise Broken(f"the service does not answer {READY_S:.0f} s after its start")
            await asyncio.sleep(LOOK_S)

    async def _is_ready(self) -> bool:
        try:
            async with asyncio.timeout(3):
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                try:
                    writer.write(message("GET /readyz HTTP/1.1", [("Host", "localhost")], b""))
                    return (await read_message(reader)).status == 200
                finally:
                    writer.close()
        except (TimeoutError, *ABORTED):
            return False

    async def kill(self) -> None:
        self._signal(signal.SIGKILL)
        await self._gone(STOP_S)

    def stop(self) -> None:
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._signal(signal.SIGCONT)

    async def terminate(self) -> None:
        """Ask it to end: it must, in time and with exit code 0."""
        self._signal(signal.SIGTERM)
        code = await self._gone(STOP_S)
        if code != 0:
            raise Broken(f"after SIGTERM the exit code was {code}")

    def discard(self) -> None:
        """At the end of a test, however it ended."""
        if self.process is not None and self.process.poll() is None:
            self._signal(signal.SIGCONT)
            self._signal(signal.SIGKILL)
            self.process.wait()

    def _running(self) -> subprocess.Popen[bytes]:
        assert self.process is not None, "it does not run"
        return self.process

    def _signal(self, number: signal.Signals) -> None:
        process = self._running()
        assert process.pid > 1, process.pid
        if process.poll() is not None:
            raise Broken(f"the service ended by itself: exit code {process.returncode}")
        process.send_signal(number)  # not reaped yet, so the number is still our child's

    async def _gone(self, within_s: float) -> int:
        process = self._running()
        try:
            code = await asyncio.to_thread(process.wait, within_s)
        except subprocess.TimeoutExpired:
            raise Broken(f"the service is still there {within_s:.0f} s after it was told to end") from None
        self.process = None
        return code


def complaints(folder: Path) -> Iterator[str]:
    """What the services logged as errors, except what the harness brought about: errors of handlers, a locked store."""
    for file in sorted(folder.glob("*.log")):
        lines = file.read_text(errors="replace").splitlines(keepends=True)
        for line in lines:
            if line.endswith("\n") and _is_complaint(line):  # the last one may have been cut off by a kill
                yield f"{file.name}: {line.strip()}"


def _is_complaint(line: str) -> bool:
    try:
        said = json.loads(line)
    except ValueError:
        return True
    expected = said["message"] == "handler failed" or said["message"].startswith("the store cannot be written")
    return said["level"] in ("error", "critical") and not expected
