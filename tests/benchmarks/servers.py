"""Server processes under measurement: started on one core, waited for, their processor time read, stopped."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.cpu import tree_cpu_s
from tests.benchmarks.failed import Failed

START_S = 30.0
STOP_S = 30.0


@dataclass(frozen=True, slots=True)
class Cores:
    server: int
    load: int

    @classmethod
    def available(cls) -> "Cores":
        cores = sorted(os.sched_getaffinity(0))
        return cls(server=cores[0], load=cores[-1])


@dataclass(frozen=True, slots=True)
class Server:
    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def cpu_s(self) -> float:
        """User and system time so far, of all its threads and of what it started."""
        return tree_cpu_s(self.process.pid)


def serving(
    module: str, *arguments: str, port: int, cores: Cores, log: Path, environ: Mapping[str, str] | None = None
) -> AbstractContextManager[Server]:
    return pinned([sys.executable, "-m", module, *arguments], port, cores, log, environ or {})


@contextmanager
def pinned(command: Sequence[str], port: int, cores: Cores, log: Path, environ: Mapping[str, str]) -> Iterator[Server]:
    process = _started_on(cores, command, log, environ)
    server = Server(process, port, log)
    try:
        _wait_until_ready(server)
        yield server
    finally:
        _stop(process)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _started_on(cores: Cores, command: Sequence[str], log: Path, environ: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """A child and all its threads inherit its parent's core; set later, only the first would move."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("POSTERN_")}
    os.sched_setaffinity(0, {cores.server})
    try:
        with log.open("ab") as output:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=inherited | dict(environ),
            )
    finally:
        os.sched_setaffinity(0, {cores.load})


def _wait_until_ready(server: Server) -> None:
    give_up_at = time.monotonic() + START_S
    while not is_ready(server.port):
        if server.process.poll() is not None or time.monotonic() > give_up_at:
            raise Failed(f"the server did not get ready; its last lines:\n{tail(server.log)}")
        time.sleep(0.05)


def is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-15:])


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
