"""One server of a test's own: a temporary folder, a loopback port and processes, stopped, killed, started again.

It meets none that the machine runs, and ends with the test process, however that ends. Which servers there are is in
`servers`. Killing needs Linux: pidfds and /proc.
"""

import os
import pwd
import random
import select
import shutil
import signal
import socket
import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, ClassVar, Self

from tests.support.until import until

START_S = 90.0
STOP_S = 30.0
# Below the ports that systems give to clients: while a server is down, no client may get its port as its own, and so
# connect to itself.
PORTS = range(20_000, 32_000)
# Ends a server whose test process is gone: then its pipe, until now silent, is closed. QUIT is PostgreSQL's "at once".
GUARD = 'read -r _ && exit; kill -s QUIT -- "-$1"; sleep 2; kill -s KILL -- "-$1"; rm -rf -- "$2"'


def free_port() -> int:
    while True:
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", random.choice(PORTS)))
            return int(probe.getsockname()[1])


class Server(ABC):
    """One server. Start it by `with`; its end stops it and removes its folder."""

    user: ClassVar[str | None] = None
    """Who runs it, if root may not."""
    stops_on: ClassVar[signal.Signals] = signal.SIGTERM

    _process: "subprocess.Popen[bytes] | None" = None
    _guard: "subprocess.Popen[bytes]"

    def __init__(self) -> None:
        self.port = free_port()

    @property
    @abstractmethod
    def url(self) -> str: ...

    @abstractmethod
    def _command(self) -> Sequence[str | Path]: ...

    @abstractmethod
    def _answers(self) -> bool:
        """Whether a real client gets an answer."""

    def _environ(self) -> Mapping[str, str]:
        return {}

    def _prepare(self) -> None:  # noqa: B027
        """What its folder needs before the first start, if anything."""

    def __enter__(self) -> Self:
        # Not a TemporaryDirectory: at the exit of the process that would go before the server.
        self.folder = Path(tempfile.mkdtemp(prefix="postern-"))
        self.log = self.folder / "log"
        try:
            if self.user:
                shutil.chown(self.folder, self.user)
            self._prepare()
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.stop()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def pid(self) -> int:
        assert self._process, f"{self.url} is not running"
        return self._process.pid

    def start(self) -> None:
        """With the folder and the port it had; returns when it answers. Nothing to do if it runs."""
        if self._process is None:
            with self.log.open("ab") as log:
                self._process = subprocess.Popen(
                    self._command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, **self._surroundings()
                )
            self._guard = subprocess.Popen(
                ["sh", "-c", GUARD, "guard", str(self.pid), str(self.folder)], stdin=subprocess.PIPE,
                stderr=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
        until(self._started, within_s=START_S, what=f"an answer of {self.url}")

    def stop(self) -> None:
        """As an operator would. Nothing to do if it is down."""
        if self._process is None:
            return
        os.kill(self.pid, self.stops_on)  # send_signal would reap it, and free its pid
        try:
            until(self._ended, within_s=STOP_S, what=f"the end of {self.url}")
        except AssertionError:
            self.kill()
            raise
        self._bury(self._process)

    def kill(self) -> None:
        """SIGKILL to the server and all its children; returns when they are gone. Nothing to do if it is down."""
        if self._process is None:
            return
        _kill(_frozen(self._process.pid))
        until(self._ended, what=f"the end of {self.url}")
        self._bury(self._process)

    def restart(self) -> None:
        self.stop()
        self.start()

    def _bury(self, process: "subprocess.Popen[bytes]") -> None:
        """Only now is its pid given back, so that the group, where children may be left, was its own until here."""
        with suppress(ProcessLookupError, PermissionError):  # macOS forbids it for a group of the dead
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        self._process = None
        self._guard.communicate(b"\n")

    def _surroundings(self) -> dict[str, Any]:
        """Nothing of the caller's environment, so that none of its PGDATA or RABBITMQ_NODENAME counts here."""
        environ = {"PATH": os.defpath, **_only("PATH"), "LANG": "C.UTF-8", "HOME": str(self.folder), **self._environ()}
        user = {"user": self.user, "group": pwd.getpwnam(self.user).pw_gid, "extra_groups": []} if self.user else {}
        return {"cwd": self.folder, "env": environ, "start_new_session": True, **user}

    def _started(self) -> bool:
        assert not self._ended(), f"it ended at its start: {self.log.read_text(errors='replace')[-2000:]}"
        return self._answers()

    def _ended(self) -> bool:
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _only(name: str) -> dict[str, str]:
    return {name: os.environ[name]} if name in os.environ else {}


def _frozen(pid: int) -> list[int]:
    """A process and all that descend from it, stopped: so they beget none, and reap none, and each pid stays theirs."""
    os.kill(pid, signal.SIGSTOP)
    return [pid, *(each for child in _children(pid) for each in _frozen(child))]


def _children(pid: int) -> list[int]:
    lists = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for text in lists for child in text.read_text().split()]


def _kill(pids: list[int]) -> None:
    with ExitStack() as stack:
        fds = [os.pidfd_open(pid) for pid in pids]
        for fd in fds:
            stack.callback(os.close, fd)
        for fd in fds:
            signal.pidfd_send_signal(fd, signal.SIGKILL)
        for fd in fds:  # readable when the process has ended
            assert select.select([fd], [], [], STOP_S)[0], "SIGKILL had no effect"
