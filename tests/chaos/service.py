"""The services under test: child processes of ours, each in a group of its own, and their logs.

Signals go to processes that we started, or to members of such a process's group; Linux says in /proc who those are.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.chaos.clock import CLOCK
from tests.chaos.mutants import MUTANT
from tests.chaos.project import REPOSITORY, Project
from tests.chaos.wire import ABORTED, free_port, message, read_message

READY_S = 60.0
STOP_S = 12.0
LOOK_S = 0.02


class Broken(Exception):
    """A service did not do what it must at any time: start, answer, stop."""


@dataclass
class Service:
    project: Project
    name: str
    mutant: str = ""
    clock_s: float = 0.0
    """How far its wall clock is ahead."""
    starts: int = 0
    started_at: float = 0.0
    process: subprocess.Popen[bytes] | None = None

    @property
    def role(self) -> str:
        return type(self).__name__.lower()

    @property
    def holds(self) -> str:
        """SQL: runs claimed since its start. Of one killed before it leases may still wait to run out."""
        return f"state = 'running' AND started_at > {round(self.started_at * 1e6)}"

    def successor(self, name: str) -> "Service":
        """Another one like it, not started yet."""
        return replace(self, name=name, starts=0, process=None)

    def _command(self) -> list[str]:
        raise NotImplementedError

    async def _is_ready(self) -> bool:
        raise NotImplementedError

    def start(self) -> None:
        assert self.process is None, "it runs"
        self.starts += 1
        self.started_at = time.time()
        with (self.project.folder / f"{self.name}-{self.starts:03}.log").open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "receiver", *self._command()],
                cwd=REPOSITORY,
                env=self.project.environ | {MUTANT: self.mutant, CLOCK: str(self.clock_s)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    async def ready(self) -> None:
        """Wait until it does what it is there for."""
        give_up_at = time.monotonic() + READY_S
        while not await self._is_ready():
            if self._running().poll() is not None:
                raise Broken(f"{self.name} ended by itself: exit code {self._running().returncode}")
            if time.monotonic() > give_up_at:
                raise Broken(f"{self.name} is not ready {READY_S:.0f} s after its start")
            await asyncio.sleep(LOOK_S)

    async def kill(self) -> None:
        """With all its children, as where their machine dies."""
        self._signal(signal.SIGKILL)
        await self._gone()

    def stop(self) -> None:
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._signal(signal.SIGCONT)

    async def terminate(self) -> None:
        """Ask it to end: it must, in time and with exit code 0, and leave nobody behind."""
        process = self._running()
        self._still_running(process)
        process.terminate()
        code = await self._gone()
        if code != 0:
            raise Broken(f"after SIGTERM {self.name} ended with exit code {code}")

    def discard(self) -> None:
        """At the end of a test, however it ended."""
        if self.process is not None and self.process.poll() is None:
            self._signal(signal.SIGKILL)  # ends those that are stopped too
            self.process.wait()

    def _running(self) -> subprocess.Popen[bytes]:
        assert self.process is not None, "it does not run"
        return self.process

    def _still_running(self, process: subprocess.Popen[bytes]) -> None:
        assert process.pid > 1, process.pid
        if process.poll() is not None:
            raise Broken(f"{self.name} ended by itself: exit code {process.returncode}")

    def _signal(self, number: signal.Signals) -> None:
        """To its group: not reaped yet, so the number is still our child's."""
        process = self._running()
        self._still_running(process)
        os.killpg(process.pid, number)

    async def _gone(self) -> int:
        process = self._running()
        try:
            code = await asyncio.to_thread(process.wait, STOP_S)
        except subprocess.TimeoutExpired:
            raise Broken(f"{self.name} is still there {STOP_S:.0f} s after it was told to end") from None
        self.process = None
        await self._all_gone(process.pid)
        return code

    async def _all_gone(self, group: int) -> None:
        """Whoever is left of a group whose leader has gone must notice it, and end."""
        give_up_at = time.monotonic() + STOP_S
        while left := members(group):
            if time.monotonic() > give_up_at:
                os.killpg(group, signal.SIGKILL)
                raise Broken(f"{self.name} has ended, and {STOP_S:.0f} s later {len(left)} children are still there")
            await asyncio.sleep(LOOK_S)


@dataclass
class Receiver(Service):
    """`postern serve`: where the queue is in memory, with the worker inside."""

    port: int = field(default_factory=free_port)

    def successor(self, name: str) -> "Receiver":
        return replace(self, name=name, starts=0, process=None, port=free_port())

    def _command(self) -> list[str]:
        return ["serve", "--port", str(self.port)]

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


@dataclass
class Worker(Service):
    """`postern worker`: a supervisor and its children."""

    def _command(self) -> list[str]:
        return ["worker"]

    async def _is_ready(self) -> bool:
        """Whether a child has written itself down since the start."""
        since = f"role = 'worker' AND trouble IS NULL AND started_at >= {round(self.started_at * 1e6)}"
        rows = await asyncio.to_thread(self.project.store.look, f"SELECT pid FROM process WHERE {since}")
        return any(pid in members(self._running().pid) for (pid,) in rows)

    async def kill_child(self) -> None:
        """The supervisor must put another in its place."""
        process = self._running()
        self._still_running(process)
        for child in members(process.pid) - {process.pid}:
            os.kill(child, signal.SIGKILL)
        self.started_at = time.time()

    async def kill_supervisor(self) -> None:
        """Its children must notice."""
        self._still_running(self._running())
        self._running().kill()
        await self._gone()


def members(group: int) -> set[int]:
    """The living processes of a group."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            number, _, rest = stat.read_text().partition(" (")
        except OSError:  # it has just ended
            continue
        state, _, its_group = rest.rpartition(") ")[2].split()[:3]
        if int(its_group) == group and state not in "ZX":
            found.add(int(number))
    return found


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
