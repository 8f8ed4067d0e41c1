"""The command line as a whole: its commands, how wrong use is answered, and what goes wrong on the way out."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from receiver.cli.main import COMMANDS
from tests.receiver.cli.conftest import Ended, environment

Typed = Callable[..., Ended]


def test_help_lists_every_command_and_imports_none(tmp_path: Path) -> None:
    code = (
        "import sys; from receiver.cli.main import run; run(['--help'])\n"
        "print(sorted(name for name in sys.modules if name.startswith('sql')))"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=True)
    *help_lines, imported = done.stdout.splitlines()
    assert all(any(line.strip().startswith(f"{name} ") for line in help_lines) for name in COMMANDS)
    assert imported == "[]"


def test_nothing_typed_prints_the_help(tmp_path: Path, typed: Typed) -> None:
    ended = typed(tmp_path)
    assert (ended.code, ended.out.startswith("Usage: postern ")) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("sned x", "postern: postern has no command sned\n  Did you mean postern send?\n"),
        ("gate", "postern: postern has no command gate\n  Type postern --help\n"),
        ("runs resolv", "postern: postern runs has no command resolv\n  Did you mean postern runs resolve?\n"),
        ("send x --wiat", "postern: postern send has no option --wiat\n  Did you mean postern send --wait?\n"),
        ("send", "postern: missing argument 'FIXTURE...'.\n  Usage: postern send [OPTIONS] FIXTURE...\n"),
        (
            "send x --times 0",
            "postern: invalid value for '--times': 0 is not in the range x>=1.\n"
            "  Usage: postern send [OPTIONS] FIXTURE...\n",
        ),
    ],
)
def test_wrong_use_is_told_with_the_nearest_there_is(arguments: str, said: str, tmp_path: Path, typed: Typed) -> None:
    ended = typed(tmp_path, *arguments.split())
    assert (ended.code, ended.out, ended.err) == (2, "", said)


def test_a_command_that_is_not_built_yet_says_so(tmp_path: Path, typed: Typed) -> None:
    ended = typed(tmp_path, "runs", "resolve", "run_1", "--as", "done")
    assert (ended.code, ended.out) == (2, "")
    assert "is not built yet\n" in ended.err


@pytest.mark.parametrize("arguments", [("--config", "x.toml", "send", "a"), ("send", "a", "--config", "x.toml")])
def test_the_configuration_is_named_before_or_after_the_command(
    arguments: tuple[str, ...], tmp_path: Path, typed: Typed
) -> None:
    ended = typed(tmp_path, *arguments)
    said = "postern: x.toml does not exist\n  at --config\n  Name another file, or write one with postern init\n"
    assert (ended.code, ended.err) == (1, said)


def test_a_warning_of_the_configuration_is_printed_once(tmp_path: Path, typed: Typed) -> None:
    ended = typed(tmp_path, "send", "a/b", environ={"POSTERN_SERVER__PROT": "1"})
    warning = "postern: POSTERN_SERVER__PROT: unknown variable, ignored; did you mean POSTERN_SERVER__PORT?\n"
    assert ended.err.count(warning) == 1


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    command = f"{sys.executable} -m receiver --help | true"
    done = subprocess.run(command, shell=True, cwd=tmp_path, env=environment(), capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
