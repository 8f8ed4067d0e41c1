"""Somebody who follows the README: types its commands, makes its changes, has a second terminal for the server."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from receiver.cli.reload import stamps
from tests.journeys.readme.blocks import Block, typed
from tests.journeys.readme.likeness import Likeness
from tests.journeys.readme.server import Server
from tests.support.upstream import Upstream

REPOSITORY = Path(__file__).parents[3]
LOOKS = re.compile(r"postern (?:events|status)\b[^|]*")  # typed again until they show it: a worker needs its moment
PATIENCE_S = 10.0


class Reader:
    """Works in `home`. What the README has at ledger.example.com is `ledger`."""

    def __init__(self, home: Path, port: int, ledger: Upstream, patience_s: float = PATIENCE_S) -> None:
        self._home = home
        self.folder = home / "postern"
        self.folder.mkdir()
        self._port = port
        self._patience_s = patience_s
        self._environ = environment(home, port, ledger)
        self._server: Server | None = None
        self.likeness = Likeness()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.stop()

    def follow(self, block: Block) -> str:
        """Do what the block says; the block as it comes out today."""
        match block.language:
            case "console":
                return "".join(self._typed(self.likeness.real(command), shown) for command, shown in typed(block.text))
            case "diff":
                self._edit(block.file, lambda before: changed(before, block.text))
            case "toml" if block.file:
                self._edit(block.file, lambda before: f"{before}\n{block.text}")
            case "python" if block.file:
                self._edit(block.file, lambda before: block.text)
        return block.text

    def _typed(self, command: str, shown: str) -> str:
        deadline = time.monotonic() + self._patience_s
        while True:
            printed = self._as_shown(self._settled(lambda: self._run(command)))
            if self.likeness.alike(shown, printed):
                break
            if not LOOKS.fullmatch(command) or time.monotonic() > deadline:
                self.likeness.take(shown, printed)
                break
        return f"$ {command}\n{printed}"

    def _settled(self, work: Callable[[], str]) -> str:
        """What was printed, once the server has seen what was changed on the way."""
        before, starts = stamps(self.folder), self._server.starts if self._server else 0
        printed = work()
        if self._server and stamps(self.folder) != before:
            self._server.wait_for_start(starts + 1)
        return printed

    def _run(self, command: str) -> str:
        if command.startswith("cd "):
            self.folder = (self.folder / command.removeprefix("cd ")).resolve()
            return ""
        if command.startswith("postern serve"):
            self._server = Server(command, self.folder, self._environ, self._port)
            return self._server.wait_for_start(1)
        if command == "make demo":
            return self._demo()
        return self._output(command, self.folder)

    def _demo(self) -> str:
        """What that target does, but in a folder of ours: somebody may be looking at the usual one."""
        folder = self._home / "demo"
        said = self._output(f"'{sys.executable}' -m tests.journeys.demo '{folder}'", REPOSITORY)
        return re.sub(r"\S+/bin/postern", ".venv/bin/postern", said.replace(str(folder), "var/demo"))

    def _output(self, command: str, folder: Path) -> str:
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=folder, env=self._environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, check=False, timeout=120,
        )  # fmt: skip
        return done.stdout

    def _edit(self, file: str, change: Callable[[str], str]) -> None:
        path = self.folder / file
        text = change(path.read_text() if path.exists() else "")
        self._settled(lambda: str(path.write_text(text)))

    def _as_shown(self, printed: str) -> str:
        """Where the README has its project, and the port that it leaves as it is."""
        return re.sub(rf"\b{self._port}\b", "8000", printed.replace(str(self._home), "/home/you"))


def changed(text: str, diff: str) -> str:
    """The text with a change of one place: lines that begin with a space, - or +."""
    old, new = (
        "".join(line[1:] for line in diff.splitlines(keepends=True) if line[0] in kinds) for kinds in (" -", " +")
    )
    assert text.count(old) == 1, f"there is not one place for this change:\n{diff}"
    return text.replace(old, new)


def environment(home: Path, port: int, ledger: Upstream) -> dict[str, str]:
    """A terminal's in which `postern` is this tree's. The port and the upstream are ours by variables, so that the
    README's own commands and files stay as they are."""
    folder = home / "bin"
    folder.mkdir()
    command = folder / "postern"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m receiver "$@"\n')
    command.chmod(0o755)
    ours = ("POSTERN_", "PYTEST_", "COLUMNS", "FORCE_COLOR")
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(ours) and "_SECRET" not in name},
        "PATH": f"{folder}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(REPOSITORY),
        "POSTERN_SERVER__PORT": str(port),
        "POSTERN_APIS__LEDGER__BASE_URL": ledger.url,
    }
