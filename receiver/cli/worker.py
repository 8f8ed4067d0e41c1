"""`postern worker`: looks whether workers can start, and becomes the process that keeps them alive: `supervise.py`."""

import os
import sys

import click

from receiver import hangup
from receiver.cli.common import load_settings, opened
from receiver.errors import UserError
from receiver.settings import Settings


@click.command()
@click.option("--processes", type=click.IntRange(1, 256), default=1, metavar="N", help="How many; one if not said.")
def worker(processes: int) -> None:
    """Run workers, for redis or amqp; one that dies is replaced."""
    settings = load_settings()
    _check(settings)
    from receiver.load import environ_for_child

    if hangup.terminal_has_gone():  # that program could not know
        hangup.release()
    # Another program in our place: what was imported to look at the store is not needed any more, and is large.
    command = [sys.executable, "-P", "-m", "receiver.supervise", str(processes)]
    os.execve(sys.executable, command, environ_for_child(settings))  # noqa: S606  no shell is wanted


def _check(settings: Settings) -> None:
    """What would stop every worker stops the start. A store that is away later is waited for."""
    if not settings.queue.has_broker:
        fix = "Type postern serve; or, for workers of their own, set it to redis://… or amqp://…"
        raise UserError("with memory:// the worker is inside postern serve", "[queue] url", fix, exit_code=2)
    from receiver.queue import make_broker

    make_broker(settings.queue.url).close()
    from receiver.store import processes

    with opened(settings) as store:  # it exists, with the tables of this version
        store.write_from_thread(processes.prove_writable)
