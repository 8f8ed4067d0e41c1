"""`postern serve` and `postern worker` as users start them: processes of their own, in the folder of a test."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from tests.support.rows import rows
from tests.support.until import until
from tests.support.wire import get

Started = TypeVar("Started")
REPOSITORY = Path(__file__).parents[2]
ANY_PORT = {"POSTERN_SERVER__PORT": "0", "POSTERN_SERVER__HOST": "127.0.0.1"}


def write_project(root: Path, config: str, handlers: str = "") -> None:
    """A user's repository: postern.toml, and handlers.py if there is any."""
    if handlers:
        config += '\n[handlers]\nmodules = ["handlers"]\n'
        (root / "handlers.py").write_text(handlers)
    (root / "postern.toml").write_text(config)


class Postern:
    """One process. Whoever started it ends it: use `serving`, or `stop` or `kill`."""

    def __init__(
        self,
        root: Path,
        environ: Mapping[str, str],
        before_exec: Callable[[], None] | None = None,
        command: Sequence[str] = ("serve",),
    ) -> None:
        self.store = root / "postern.db"
        url = environ.get("POSTERN_STORE__URL", "")
        self._database = url if url.startswith("postgresql:") else self.store
        self._log = root / "postern.log"
        self._seen = len(self.lines())
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "receiver", *command],
                cwd=root, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=before_exec,  # noqa: PLW1509
                env={**os.environ, **ANY_PORT, "PYTHONPATH": str(REPOSITORY), **environ},
            )  # fmt: skip

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    @property
    def code(self) -> int | None:
        """How it ended; None while it lives."""
        return self._process.poll()

    def wait(self, within_s: float = 20.0) -> int:
        """How it ended, once it has."""
        return self._process.wait(within_s)

    @property
    def url(self) -> str:
        """Where it listens, as it wrote into the store for `postern send`."""
        return until(self._url, what="an address in the store")

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def signal(self, number: signal.Signals) -> None:
        """To this process only, while it is our child."""
        assert self.alive, f"it ended with {self.code}"
        self._process.send_signal(number)

    def ready(self) -> "Postern":
        """Wait until it is ready for deliveries."""
        port = self.port
        until(lambda: self._is_ready(port), what="readiness")
        return self

    def lines(self) -> list[dict[str, Any]]:
        """All that this folder's processes have logged; what is no JSON stands under `message`."""
        text = self._log.read_text() if self._log.exists() else ""
        return [_line(line) for line in text.splitlines()]

    def stop(self) -> int:
        """As an operator would: SIGTERM, and the exit code."""
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def _url(self) -> str:
        assert self.alive, f"it ended with {self.code}: {self.lines()[self._seen :]}"
        try:
            found = rows(self._database, "SELECT url FROM process WHERE role = 'receiver' AND pid = ?", self.pid)
        except sqlite3.OperationalError:  # no file or no tables yet
            return ""
        return str(found[0][0]) if found else ""

    @staticmethod
    def _is_ready(port: int) -> bool:
        try:
            return get(port, "/readyz").status == 200
        except OSError:
            return False


def _line(text: str) -> dict[str, Any]:
    try:
        line = json.loads(text)
    except ValueError:
        line = None
    return line if isinstance(line, dict) else {"message": text}


def hung_up_at_its_start(root: Path, start: Callable[[], Started], hang_up: Callable[[Started], None]) -> Started:
    """What is started here is told so before it has read its configuration."""
    config, whole = root / "postern.toml", root / "whole.toml"
    text = config.rename(whole).read_text()
    os.mkfifo(config)
    process = start()
    with config.open("w") as pipe:  # waits until somebody reads
        hang_up(process)
        whole.replace(config)
        pipe.write(text)
    return process


@contextmanager
def serving(
    root: Path, environ: Mapping[str, str] | None = None, before_exec: Callable[[], None] | None = None
) -> Iterator[Postern]:
    """A ready `postern serve` of the project in `root`; it must still be alive at the end, and end with 0."""
    process = Postern(root, environ or {}, before_exec)
    try:
        yield process.ready()
        assert process.stop() == 0, process.lines()[-20:]
    finally:
        process.kill()


class PosternWorker(Postern):
    """One `postern worker`, with its children. Whoever started it ends it: use `working`, or `stop` or `kill`."""

    def __init__(self, root: Path, environ: Mapping[str, str], processes: int = 1) -> None:
        super().__init__(root, environ, command=("worker", "--processes", str(processes)))
        self._processes = processes

    def ready(self) -> "PosternWorker":
        """Wait until all its children have said in the store that they work, or why they do not."""
        until(lambda: len(self.working()) == self._processes, what=f"{self._processes} workers")
        return self

    def children(self) -> set[int]:
        """The processes that it has started, as the system knows them; none once it has ended."""
        return {int(pid) for file in _tasks(self.pid) for pid in file.read_text().split()} if self.alive else set()

    def working(self) -> set[int]:
        """Its children that stand in the store."""
        assert self.alive, f"it ended with {self.code}: {self.lines()[self._seen :]}"
        found = rows(self._database, "SELECT pid FROM process WHERE role = 'worker' AND stopped_at IS NULL")
        return {pid for (pid,) in found} & self.children()


def _tasks(pid: int) -> Iterator[Path]:
    return Path(f"/proc/{pid}/task").glob("*/children")


def is_alive(pid: int) -> bool:
    """Whether there is such a process, and it is no mere name in the table."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except OSError:
        return False


@contextmanager
def working(root: Path, environ: Mapping[str, str] | None = None, processes: int = 1) -> Iterator[PosternWorker]:
    """A `postern worker` of the project in `root`, at work; it must still be alive at the end, and end with 0."""
    process = PosternWorker(root, environ or {}, processes)
    try:
        yield process.ready()
        assert process.stop() == 0, process.lines()[-20:]
    finally:
        process.kill()
