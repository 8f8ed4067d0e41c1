"""Programs under measurement that may use every core: started together, ended by their own process ids."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from tests.benchmarks.cpu import tree
from tests.benchmarks.failed import Failed
from tests.benchmarks.servers import START_S, is_ready, tail

STOP_S = 15.0

Program = subprocess.Popen[bytes]


@contextmanager
def running(arguments: Sequence[str], log: Path, environ: Mapping[str, str]) -> Iterator[Program]:
    """`python ARGUMENTS`, without variables of Postern's that this shell happens to have."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("POSTERN_")}
    with log.open("ab") as output:
        program = subprocess.Popen(
            [sys.executable, *arguments],
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=inherited | dict(environ),
        )  # fmt: skip
    try:
        yield program
    finally:
        stop(program)


@contextmanager
def all_running(commands: Sequence[Sequence[str]], log: Path, environ: Mapping[str, str]) -> Iterator[list[Program]]:
    with ExitStack() as programs:
        yield [programs.enter_context(running(command, log, environ)) for command in commands]


def stop(program: Program) -> None:
    """As an operator would; what is left of its tree after a while is killed."""
    members = tree(program.pid) if program.poll() is None else []
    program.terminate()
    try:
        program.wait(STOP_S)
    except subprocess.TimeoutExpired:
        kill(program)
    for member in members[1:]:
        with suppress(ProcessLookupError):
            os.kill(member, signal.SIGKILL)


def kill(program: Program) -> None:
    """The whole tree at once, as the end of a machine would."""
    for member in tree(program.pid):
        with suppress(ProcessLookupError):
            os.kill(member, signal.SIGKILL)
    program.wait()


def wait_until_serving(program: Program, port: int, log: Path) -> None:
    give_up_at = time.monotonic() + START_S
    while not is_ready(port):
        check_alive(program, log)
        if time.monotonic() > give_up_at:
            raise Failed(f"nothing answers on port {port}; its last lines:\n{tail(log)}")
        time.sleep(0.02)


def check_alive(program: Program, log: Path) -> None:
    if program.poll() is not None:
        raise Failed(f"a program ended by itself; its last lines:\n{tail(log)}")
