"""`postern serve --reload`: a parent that starts the server again whenever a file of the project changed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import click

from receiver import hangup

LOOK_S = 0.5
STOP_S = 15.0
ENDINGS = (".py", ".toml", ".env")
SKIPPED = {"__pycache__", "node_modules", "venv"}


def restart_on_change(root: Path) -> int:
    """Until SIGTERM or Ctrl-C. A child that ended by itself, with an error, is started again at the next change."""
    stopping: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        stopping.append(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    hangup.release()
    while not stopping:
        seen = stamps(root)
        child = _start()
        ended = False
        while not stopping and stamps(root) == seen:
            time.sleep(LOOK_S)
            if not ended and child.poll() is not None:
                ended = True
                click.echo("postern: waiting for a change", err=True)
        _stop(child)
    return 0


def stamps(root: Path) -> dict[str, int]:
    """When each file was written that the server reads: code, configuration, secrets."""
    return {path: at for path in _files(root) if (at := _written(path))}


def _files(root: Path) -> Iterator[str]:
    for folder, inside, names in os.walk(root):
        inside[:] = [name for name in inside if name not in SKIPPED and not name.startswith(".")]
        yield from (os.path.join(folder, name) for name in names if name.endswith(ENDINGS))


def _written(path: str) -> int | None:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return None


def _start() -> subprocess.Popen[bytes]:
    arguments = [argument for argument in sys.argv[1:] if argument != "--reload"]
    # A group of its own: a Ctrl-C at our terminal reaches it through us, once.
    return subprocess.Popen([sys.executable, "-m", "receiver", *arguments], process_group=0)


def _stop(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(STOP_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
