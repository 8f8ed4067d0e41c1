"""A project of a user, and a Postern that serves it on a free port; stopped by its own process at the end."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from receiver.cli.main import run

REPOSITORY = Path(__file__).parents[3]
PRESETS = ("stripe", "github", "shopify", "slack", "standardwebhooks")


def environment(**more: str) -> dict[str, str]:
    """Ours without what would configure a Postern, for processes that find our packages from any folder."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("POSTERN_", "STRIPE_"))}
    return {**own, "PYTHONPATH": str(REPOSITORY), **more}


def postern(folder: Path, *arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    """`postern …` as a process of its own."""
    command = [sys.executable, "-m", "receiver", *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment(**environ), capture_output=True, text=True, check=False, timeout=60
    )


@dataclass
class Serving:
    """`postern serve` as a process of its own, listening at `url`."""

    process: "subprocess.Popen[str]"
    folder: Path
    url: str = ""

    def line_with(self, text: str) -> str:
        """Its log as far as the next line that holds `text`."""
        assert self.process.stderr is not None
        others = []
        for line in self.process.stderr:
            if text in line:
                return line
            others.append(line)
            if "waiting for a change" in line:
                break  # and it would for ever
        raise AssertionError(f"it ended without saying {text!r}: {''.join(others)}")

    def listening(self) -> str:
        found = re.search(r"http://[^\"\s]+", self.line_with("listening on"))
        assert found
        self.url = found[0]
        return self.url

    def stop(self) -> int:
        if self.process.returncode is None:
            self.process.terminate()
            self.process.communicate()
        return self.process.returncode


def start(folder: Path, *arguments: str, **environ: str) -> Serving:
    command = [sys.executable, "-m", "receiver", "serve", "--port", "0", *arguments]
    environ = environment(**environ)
    return Serving(subprocess.Popen(command, cwd=folder, env=environ, stderr=subprocess.PIPE, text=True), folder)


@pytest.fixture
def serve() -> Iterator[Callable[..., Serving]]:
    """`serve(folder, …)` starts one; all are stopped after the test."""
    started: list[Serving] = []

    def starting(folder: Path, *arguments: str, **environ: str) -> Serving:
        started.append(start(folder, *arguments, **environ))
        return started[-1]

    yield starting
    for serving in started:
        serving.stop()


@pytest.fixture(scope="session")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A project with a source for each preset and a private vendor, served for all tests that only send to it."""
    folder = tmp_path_factory.mktemp("shop")
    options = [text for name in (*PRESETS, "acme") for text in ("--source", name)]
    assert postern(folder, "init", ".", *options).returncode == 0
    one = start(folder)
    one.listening()
    yield one
    assert one.stop() == 0


@dataclass
class Ended:
    """What an in-process `postern …` printed."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """`typed(folder, "send", …)` runs a command in this process, as if typed in that folder."""

    def typing(folder: Path, *arguments: str, environ: Mapping[str, str] | None = None) -> Ended:
        for name in [name for name in os.environ if name.startswith(("POSTERN_", "STRIPE_"))]:
            monkeypatch.delenv(name)
        for name, value in (environ or {}).items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, "path", [*sys.path])  # a command puts the project's folder there
        capsys.readouterr()
        code = run(arguments)
        out, err = capsys.readouterr()
        return Ended(code, out, err)

    return typing
